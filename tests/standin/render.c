#include "tests/standin/render.h"
#include "tests/standin/runner.h"
#include "tests/standin/ca.h"
#include "tests/standin/clock.h"
#include "tests/standin/defaults.h"
#include "tests/standin/ids.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *render_id(uint64_t id)
{
    char text[ID_TEXT];
    id_format(id, text);
    return json_string(text);
}

json_t *render_time(int64_t when)
{
    char text[CLOCK_TEXT];
    clock_format(when, text);
    return json_string(text);
}

static json_t *render_status(const struct status *status)
{
    static const char *const kinds[] = {"Pending", "Retry", "Failed"};
    json_t *json = json_object();
    json_object_set_new(json, "createdAt", render_time(status->created_at));
    if (status->kind == STATUS_FAILED) {
        json_object_set_new(json, "failedAt", render_time(status->failed_at));
        json_object_set_new(json, "failedAttemptNumber", json_integer((json_int_t)status->attempt));
    } else {
        json_object_set_new(json, "due", render_time(status->due));
    }
    if (status->kind == STATUS_RETRY)
        json_object_set_new(json, "attemptNumber", json_integer((json_int_t)status->attempt));
    if (status->kind != STATUS_PENDING)
        json_object_set_new(json, "failureReason",
                            json_string(status->reason ? status->reason : ""));
    json_object_set_new(json, "@type", json_string(kinds[status->kind]));
    return json;
}

json_t *render_task(const struct task *task)
{
    json_t *json = json_object();
    if (task->type == TASK_DNS_MANAGEMENT) {
        json_object_set_new(json, "updateRecords",
                            task->update_records ? json_deep_copy(task->update_records)
                                                 : json_object());
        json_object_set_new(json, "onSuccessRenewCertificate",
                            json_boolean(task->renew_on_success));
    }
    json_object_set_new(json, "domainId", render_id(task->domain_id));
    json_object_set_new(json, "status", render_status(&task->status));
    json_object_set_new(json, "@type", json_string(task_type_name(task->type)));
    if (task->status.kind != STATUS_FAILED)
        json_object_set_new(json, "due", render_time(task->status.due));
    json_object_set_new(json, "id", render_id(task->id));
    return json;
}

json_t *render_domain(const struct domain *domain)
{
    json_t *json = json_pack("{s:s}", "name", domain->name);
    json_t *rest = defaults_domain();
    json_object_update(rest, domain->others);
    json_object_update(json, rest);
    json_decref(rest);
    json_object_set_new(json, "createdAt", render_time(domain->created_at));
    json_t *management;
    if (domain->automatic)
        management = json_pack("{s:o, s:o, s:s}", "acmeProviderId", render_id(domain->provider_id),
                               "subjectAlternativeNames", json_deep_copy(domain->names), "@type",
                               "Automatic");
    else
        management = json_pack("{s:s}", "@type", "Manual");
    json_object_set_new(json, "certificateManagement", management);
    json_object_set_new(json, "dnsZoneFile", json_string(""));
    json_object_set_new(json, "id", render_id(domain->id));
    return json;
}

/* "https://ca.test/dir (1cbc8a3c53014aa2)": the directory and the last part of the account. */
static json_t *describe_provider(const struct provider *provider)
{
    const char *directory = json_string_value(json_object_get(provider->others, "directory"));
    const char *account = json_string_value(json_object_get(provider->others, "accountUri"));
    const char *tail = account ? strrchr(account, '/') : NULL;
    if (!tail || !tail[1])
        return json_string(directory ? directory : "");
    return json_sprintf("%s (%s)", directory ? directory : "", tail + 1);
}

json_t *render_provider(const struct provider *provider)
{
    json_t *json = json_pack("{s:s}", "challengeType", provider->challenge);
    json_object_update(json, provider->others);
    json_object_set_new(json, "accountKey", json_string("****"));
    json_object_set_new(json, "renewBefore", json_string(provider->renew_before));
    json_object_set_new(json, "maxRetries", json_integer((json_int_t)provider->max_retries));
    if (store.version == VERSION_0_16_18)
        json_object_set_new(json, "description", describe_provider(provider));
    json_object_set_new(json, "id", render_id(provider->id));
    return json;
}

/* Something of the length and look of a chain. Nobody has the key, so nobody need verify it. */
static json_t *make_pem(const struct cert *cert)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[2400];
    size_t len = 0;
    uint64_t state = cert->id | 1;
    for (int part = 0; part < 2; part++) {
        len += (size_t)sprintf(text + len, "-----BEGIN CERTIFICATE-----\n");
        for (int line = 0; line < 16; line++) {
            for (int i = 0; i < 64; i++) {
                state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                text[len++] = digits[state >> 58];
            }
            text[len++] = '\n';
        }
        len += (size_t)sprintf(text + len, "-----END CERTIFICATE-----\n");
    }
    return json_stringn(text, len);
}

json_t *render_cert(const struct cert *cert, bool with_pem)
{
    json_t *json = json_object();
    if (with_pem) {
        json_object_set_new(json, "certificate",
                            json_pack("{s:o, s:s}", "value",
                                      cert->pem ? json_string(cert->pem) : make_pem(cert), "@type",
                                      "Text"));
        json_object_set_new(json, "privateKey",
                            json_pack("{s:s, s:s}", "secret", "****", "@type", "Text"));
    }
    json_t *names = json_object();
    for (size_t i = 0; i < cert->set->name_count; i++)
        json_object_set_new(names, cert->set->names[i], json_true());
    json_object_set_new(json, "subjectAlternativeNames", names);
    json_object_set_new(json, "notValidAfter", render_time(cert->not_after));
    json_object_set_new(json, "notValidBefore", render_time(cert->not_before));
    json_object_set_new(json, "issuer", json_string(cert->issuer));
    json_object_set_new(json, "id", render_id(cert->id));
    return json;
}

static json_t *render_users(void)
{
    json_t *users = json_array();
    for (size_t i = 0; i < store.user_count; i++) {
        const struct user *user = &store.users[i];
        json_array_append_new(
            users,
            json_pack("{s:s, s:s, s:s?, s:s, s:o}", "name", user->name, "password", user->password,
                      "token", user->token, "accountId", user->account_text, "permissions",
                      user->all ? json_string("all") : json_incref(user->permissions)));
    }
    return users;
}

json_t *render_state(void)
{
    json_t *tasks = json_array(), *domains = json_array(), *providers = json_array(),
           *certs = json_array();
    for (struct ordered_node *n = store.tasks_by_due.head[0]; n; n = n->next[0]) {
        const struct task *task = n->value;
        json_t *json = render_task(task);
        json_object_set_new(json, "running", json_boolean(task->running));
        json_object_set_new(json, "locked", json_boolean(runner_has_locked(task)));
        json_array_append_new(tasks, json);
    }
    for (struct ordered_node *n = store.domains_by_id.head[0]; n; n = n->next[0])
        json_array_append_new(domains, render_domain(n->value));
    for (struct ordered_node *n = store.providers_by_id.head[0]; n; n = n->next[0])
        json_array_append_new(providers, render_provider(n->value));
    for (struct ordered_node *n = store.certs_by_id.head[0]; n; n = n->next[0])
        json_array_append_new(certs, render_cert(n->value, false));
    return json_pack("{s:s, s:o, s:b, s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:O, s:O, s:o, "
                     "s:i, s:i, s:{s:b, s:f, s:f}}",
                     "version", store.version == VERSION_0_16_5 ? "v0.16.5" : "v0.16.18", "now",
                     render_time(clock_now()), "frozen", clock_is_frozen(), "public_url",
                     store.public_url, "hostname", store.hostname, "max_concurrent_requests",
                     (int)store.max_concurrent, "tasks", tasks, "domains", domains, "providers",
                     providers, "certificates", certs, "users", render_users(), "settings",
                     store.settings, "http", store.http, "ca", ca_describe(), "query_max_results",
                     (int)store.query_max, "max_objects", (int)store.objects_max, "runner",
                     "enabled", store.runner.enabled, "order_seconds", store.runner.order_seconds,
                     "gap_seconds", store.runner.gap_seconds);
}

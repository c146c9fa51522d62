#include "proxy/jobs/check.h"

#include <jansson.h>
#include <string.h>
#include <strings.h>

#include "policy/url.h"
#include "proxy/admin/probe.h"
#include "proxy/base/plain_text.h"
#include "proxy/base/version.h"
#include "proxy/jobs/check_public.h"
#include "proxy/replicas/replica_lock.h"

#define TIMEOUT_MILLISECONDS 10000

struct permission {
    const char *name; /* the server's */
    bool needed;      /* for every look-up */
    const char *use;
};

static const struct permission permissions[] = {
    {"sysTaskGet", true, "read tasks"},
    {"sysTaskQuery", true, "find tasks"},
    {"sysDomainGet", true, "read how a domain's certificates are managed"},
    {"sysCertificateGet", true, "read certificates"},
    {"sysCertificateQuery", true, "find certificates"},
    {"sysAcmeProviderGet", true, "read when a provider's certificates become due"},
    {"sysSystemSettingsGet", true, "read the host names that default certificates have"},
    {"sysDomainQuery", false, "sweep all domains"},
    {"sysClusterNodeGet", false, "read the server's own host name where none is set"},
    {"sysTaskUpdate", false, "move tasks"},
    {"sysTaskDestroy", false, "remove tasks that are there twice"},
    {"sysTaskCreate", false, "make tasks"},
    {"taskAcmeRenewal", false, "make and change renewals"},
};

static bool has_permission(const json_t *list, const char *name)
{
    size_t i;
    json_t *entry;
    json_array_foreach(list, i, entry)
    {
        const char *text = json_string_value(entry);
        if (text != NULL && strcmp(text, name) == 0)
            return true;
    }
    return false;
}

/* One line a permission; true where none that is needed is missing. */
static bool tell_permissions(const json_t *list, FILE *out)
{
    bool fine = true;
    for (size_t i = 0; i < sizeof permissions / sizeof *permissions; i++) {
        const struct permission *permission = &permissions[i];
        bool there = has_permission(list, permission->name);
        fprintf(out, "  %s %-22s %s\n",
                there                ? "ok     "
                : permission->needed ? "MISSING"
                                     : "missing",
                permission->name, permission->use);
        fine = fine && (there || !permission->needed);
    }
    return fine;
}

static bool check_server(const struct config *config, FILE *out)
{
    struct probe_result result;
    probe_get(config, "/healthz/live", NULL, TIMEOUT_MILLISECONDS, &result);
    bool fine = result.status != 0 && result.status < 500;
    if (result.status == 0) {
        fprintf(out, "server: %s cannot be reached: ", config->upstream_url);
        plain_text_print(out, result.error, 0);
        fputc('\n', out);
    } else {
        fprintf(out, "server: %s answers (status %u)\n", config->upstream_url, result.status);
    }
    probe_clear(&result);
    check_server_certificate(config, out);
    return fine;
}

static bool check_credential(const struct config *config, FILE *out)
{
    if (config->service_authorization == NULL) {
        fputs("service credential: not set; look-ups are made as the caller only\n", out);
        return true;
    }
    struct probe_result result;
    probe_get(config, "/api/account", config->service_authorization, TIMEOUT_MILLISECONDS, &result);
    json_t *account = json_loadb(buffer_content(&result.body), result.body.len, 0, NULL);
    json_t *list = json_object_get(account, "permissions");
    bool fine = result.status == 200 && json_is_array(list);
    if (fine) {
        fputs("service credential: accepted; it may\n", out);
        fine = tell_permissions(list, out);
    } else if (result.status == 0) {
        fputs("service credential: not checked: ", out);
        plain_text_print(out, result.error, 0);
        fputc('\n', out);
    } else {
        fprintf(out,
                "service credential: refused, or not understood (GET /api/account: status %u)\n",
                result.status);
    }
    json_decref(account);
    probe_clear(&result);
    return fine;
}

/* Of what a look-up needs: its calls go in one request, and a long queue is read by so many. */
static void tell_scarce(const json_t *core, const char *limit, json_int_t needed,
                        const char *setting, FILE *out)
{
    json_int_t given = json_integer_value(json_object_get(core, limit));
    if (given > 0 && given < needed)
        fprintf(out,
                "limits: WARNING: the server's %s is %" JSON_INTEGER_FORMAT
                " (its Jmap settings, %s), and look-ups need %" JSON_INTEGER_FORMAT
                ": creates may be decided without them\n",
                limit, given, setting, needed);
}

/* What a client may send is the smaller of the server's limit and the gate's. */
static void check_limits(const struct config *config, FILE *out)
{
    struct probe_result result;
    probe_get(config, "/jmap/session", config->service_authorization, TIMEOUT_MILLISECONDS,
              &result);
    json_t *session = json_loadb(buffer_content(&result.body), result.body.len, 0, NULL);
    const json_t *capabilities = json_object_get(session, "capabilities");
    const json_t *core = json_object_get(capabilities, "urn:ietf:params:jmap:core");
    json_int_t limit = json_integer_value(json_object_get(core, "maxSizeRequest"));
    if (limit > 0)
        fprintf(out,
                "requests: the server takes %" JSON_INTEGER_FORMAT
                " bytes, the gate %zu (RENEWGATE_MAX_REQUEST)\n",
                limit, config->max_request);
    tell_scarce(core, "maxCallsInRequest", 16, "maxMethodCalls", out);
    tell_scarce(core, "maxObjectsInGet", 100, "getMaxResults", out);
    json_decref(session);
    probe_clear(&result);
}

/* The setting in an answer to x:Http/get, or NULL. */
static json_t *find_setting(const json_t *answer, const char *name)
{
    const json_t *response = json_array_get(json_object_get(answer, "methodResponses"), 0);
    const json_t *list = json_object_get(json_array_get(response, 1), "list");
    return json_object_get(json_array_get(list, 0), name);
}

/*
 * A server that does not read forwarded addresses takes the gate for its only client: a ban of one
 * is then a ban of all. That is a warning, no fault: an operator may have exempted the gate.
 */
static void check_addresses(const struct config *config, FILE *out)
{
    static const char call[] =
        "{\"using\":[\"urn:ietf:params:jmap:core\",\"urn:stalwart:jmap\"],\"methodCalls\":"
        "[[\"x:Http/get\",{\"ids\":[\"singleton\"]},\"a\"]]}";
    if (config->service_authorization == NULL) {
        fputs("clients' addresses: not checked without a service credential; the server must read "
              "X-Forwarded-For (its Http settings, useXForwarded), or its bans hit the gate\n",
              out);
        return;
    }
    struct probe_result result;
    probe_call(config, call, config->service_authorization, TIMEOUT_MILLISECONDS, &result);
    json_t *answer = json_loadb(buffer_content(&result.body), result.body.len, 0, NULL);
    const json_t *setting = find_setting(answer, "useXForwarded");
    if (json_is_true(setting))
        fputs("clients' addresses: the server reads X-Forwarded-For\n", out);
    else if (json_is_false(setting))
        fputs("clients' addresses: WARNING: the server does not read X-Forwarded-For (its Http "
              "settings, useXForwarded). It takes the gate for its only client, so a ban of one "
              "client shuts out everyone\n",
              out);
    else
        fputs("clients' addresses: not checked: the credential may not read the server's Http "
              "settings (sysHttpGet)\n",
              out);
    json_decref(answer);
    probe_clear(&result);
}

/* From there the gate then connects, too. */
static bool is_on_loopback(const char *url)
{
    static const char *const hosts[] = {"127.0.0.1", "[::1]", "localhost"};
    const char *host = url_authority(url);
    size_t len = url_host_len(host);
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        if (strlen(hosts[i]) == len && strncasecmp(host, hosts[i], len) == 0)
            return true;
    }
    return false;
}

/*
 * Whoever shares the gate's login name can bring its address under a ban; nothing shows from here
 * whether the server has exempted it, as it may have by any network.
 */
static void tell_bans(const struct config *config, FILE *out)
{
    if (is_on_loopback(config->upstream_url)) {
        fputs("bans: the server bans nobody who connects from 127.0.0.1 or ::1, as the gate does\n",
              out);
        return;
    }
    fputs(
        "bans: after 100 failed logins or 30 malformed requests a day the server bans an address, "
        "but for 127.0.0.1 and ::1. Where the gate connects from another one (a container, "
        "another host), put that into the server's allowed ones, which counts after the reload: "
        "[\"x:AllowedIp/set\",{\"create\":{\"gate\":{\"address\":\"10.0.0.0/16\"}}},\"a\"], "
        "[\"x:Action/set\",{\"create\":{\"r\":{\"@type\":\"ReloadSettings\"}}},\"b\"]\n",
        out);
}

int check_run(const struct config *config, FILE *out)
{
    version_print(out);
    fputs("configuration: fine\n", out);
    bool fine = check_server(config, out);
    fine = fine && check_credential(config, out);
    if (fine) {
        check_addresses(config, out);
        tell_bans(config, out);
    }
    if (fine)
        check_public_url(config, out);
    if (fine && config->service_authorization != NULL) {
        check_limits(config, out);
        check_challenges(config, out);
    }
    const struct lock_connection_settings lock = config_lock_server(config);
    return replica_lock_check(&lock, out) && fine ? 0 : 1;
}

#include "tests/standin/patch.h"
#include "tests/standin/clock.h"
#include "tests/standin/ids.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool patch_failed(struct patch_error *error, const char *path, const char *message)
{
    snprintf(error->path, sizeof error->path, "%s", path);
    snprintf(error->message, sizeof error->message, "%s", message);
    return false;
}

static bool patch_time(int64_t *when, const json_t *value, const char *path,
                       struct patch_error *error)
{
    if (!json_is_string(value))
        return patch_failed(error, path, "Invalid path for UTCDateTime, expected a string value");
    if (!clock_parse(json_string_value(value), when))
        return patch_failed(error, path, "Failed to parse UTCDateTime from string");
    return true;
}

static bool patch_count(uint64_t *count, const json_t *value, const char *path,
                        struct patch_error *error)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return patch_failed(
            error, path,
            "Invalid value for unsigned integer property (expected non-negative integer)");
    *count = (uint64_t)json_integer_value(value);
    return true;
}

static bool patch_text(char **text, const json_t *value, const char *path,
                       struct patch_error *error)
{
    if (!json_is_string(value) || !json_string_length(value))
        return patch_failed(error, path, "Invalid value for property.");
    free(*text);
    *text = text_copy(json_string_value(value));
    return true;
}

bool patch_id(uint64_t *id, const json_t *value, const char *path, struct patch_error *error)
{
    const char *text = json_string_value(value);
    if (!text || text[0] == '#')
        return patch_failed(error, path, "Invalid path for Id, expected a string value");
    if (!id_parse(text, id))
        return patch_failed(error, path, "Failed to parse Id from string");
    return true;
}

bool patch_names(json_t **set, const json_t *value, const char *path, struct patch_error *error)
{
    json_t *names = json_object();
    const char *key;
    json_t *member;
    if (!json_is_object(value)) {
        json_decref(names);
        return patch_failed(error, path, "Invalid value for object property");
    }
    json_object_foreach((json_t *)value, key, member)
    {
        if (json_is_true(member))
            json_object_set(names, key, member);
    }
    json_decref(*set);
    *set = names;
    return true;
}

bool patch_status_member(struct status *status, const char *member, const json_t *value,
                         const char *path, bool trusted, struct patch_error *error)
{
    if (strcmp(member, "@type") == 0)
        return true;
    if (strcmp(member, "createdAt") == 0)
        return trusted ? patch_time(&status->created_at, value, path, error)
                       : patch_failed(error, path, "Cannot modify server set property");
    if (status->kind != STATUS_FAILED && strcmp(member, "due") == 0)
        return patch_time(&status->due, value, path, error);
    if (status->kind == STATUS_RETRY && strcmp(member, "attemptNumber") == 0)
        return patch_count(&status->attempt, value, path, error);
    if (status->kind == STATUS_FAILED && strcmp(member, "failedAt") == 0)
        return patch_time(&status->failed_at, value, path, error);
    if (status->kind == STATUS_FAILED && strcmp(member, "failedAttemptNumber") == 0)
        return patch_count(&status->attempt, value, path, error);
    if (status->kind != STATUS_PENDING && strcmp(member, "failureReason") == 0)
        return patch_text(&status->reason, value, path, error);
    return patch_failed(error, path, "Invalid property");
}

bool patch_status(struct status *status, const json_t *value, const char *path, bool trusted,
                  struct patch_error *error)
{
    const char *type = json_string_value(json_object_get(value, "@type"));
    struct status fresh = {.created_at = clock_now(), .due = clock_now(), .failed_at = clock_now()};
    if (type && strcmp(type, "Pending") == 0)
        fresh.kind = STATUS_PENDING;
    else if (type && strcmp(type, "Retry") == 0)
        fresh = (struct status){
            .kind = STATUS_RETRY, .created_at = fresh.created_at, .due = fresh.due, .attempt = 1};
    else if (type && strcmp(type, "Failed") == 0)
        fresh.kind = STATUS_FAILED;
    else
        return patch_failed(error, path, "Missing or invalid '@type' property in object");
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)value, key, member)
    {
        char inner[256];
        snprintf(inner, sizeof inner, "%s/%s", path, key);
        bool good = is_property(key)
                        ? patch_status_member(&fresh, key, member, inner, trusted, error)
                        : patch_failed(error, path, "Invalid key for object");
        if (!good) {
            status_clear(&fresh);
            return false;
        }
    }
    *status = fresh;
    return true;
}

bool is_property(const char *name)
{
    static const char *const names[] = {
        "@type",
        "accountId",
        "accountKey",
        "accountName",
        "accountDomainId",
        "accountUri",
        "acmeProviderId",
        "aliases",
        "allowRelaying",
        "allowedEndpoints",
        "attemptNumber",
        "catchAllAddress",
        "certificate",
        "certificateManagement",
        "challengeType",
        "contact",
        "createdAt",
        "defaultCertificateId",
        "defaultDomainId",
        "defaultHostname",
        "description",
        "directory",
        "directoryId",
        "dkimManagement",
        "dnsManagement",
        "dnsZoneFile",
        "domainId",
        "due",
        "enableHsts",
        "failedAt",
        "failedAttemptNumber",
        "failureReason",
        "hostname",
        "id",
        "isEnabled",
        "issuer",
        "lastRenewal",
        "logo",
        "mailExchangers",
        "maintenanceType",
        "maxConnections",
        "maxRetries",
        "memberTenantId",
        "name",
        "nodeId",
        "notValidAfter",
        "notValidBefore",
        "onSuccessRenewCertificate",
        "preferredChain",
        "privateKey",
        "providerInfo",
        "proxyTrustedNetworks",
        "rateLimitAnonymous",
        "rateLimitAuthenticated",
        "redirectRoot",
        "renewBefore",
        "reportAddressUri",
        "responseHeaders",
        "reuseKey",
        "services",
        "status",
        "subAddressing",
        "subjectAlternativeNames",
        "text",
        "threadPoolSize",
        "updateRecords",
        "usePermissiveCors",
        "useXForwarded",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

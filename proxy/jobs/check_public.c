#include "proxy/jobs/check_public.h"

#include <jansson.h>
#include <string.h>
#include <strings.h>

#include "jmap/wire/own_request.h"
#include "policy/url.h"
#include "proxy/admin/probe.h"
#include "proxy/base/plain_text.h"

#define TIMEOUT_MILLISECONDS 10000
#define CHALLENGE_PATH "/.well-known/acme-challenge/renewgate-check"

/* ---- the server's own name ---- */

/* With or without a slash at its end, it is the same URL. */
static bool is_same_url(const char *one, const char *other)
{
    size_t len = strlen(one), other_len = strlen(other);
    len -= len > 0 && one[len - 1] == '/';
    other_len -= other_len > 0 && other[other_len - 1] == '/';
    return len == other_len && strncasecmp(one, other, len) == 0;
}

static void tell_issuer(const struct config *config, const char *issuer, FILE *out)
{
    bool known = config->public_url != NULL && config->public_url[0] != '\0';
    if (known && is_same_url(issuer, config->public_url)) {
        fprintf(out, "sign-in: the server calls itself %s, as clients do\n", config->public_url);
        return;
    }
    fputs(known ? "sign-in: WARNING: the server calls itself "
                : "sign-in: the server calls itself ",
          out);
    plain_text_print(out, issuer, 0);
    if (known)
        fprintf(
            out,
            ", clients call it %s (RENEWGATE_PUBLIC_URL). OAuth and OpenID clients refuse that: "
            "set STALWART_PUBLIC_URL=%s for the server\n",
            config->public_url, config->public_url);
    else
        fputs(". Clients that sign in with OAuth or OpenID must reach the gate by that address, or "
              "they refuse; else set STALWART_PUBLIC_URL for the server, and RENEWGATE_PUBLIC_URL "
              "for this to be checked\n",
              out);
}

void check_public_url(const struct config *config, FILE *out)
{
    struct probe_result result;
    probe_get(config, "/.well-known/openid-configuration", NULL, TIMEOUT_MILLISECONDS, &result);
    json_t *metadata = json_loadb(buffer_content(&result.body), result.body.len, 0, NULL);
    const char *issuer = json_string_value(json_object_get(metadata, "issuer"));
    if (result.status == 200 && issuer != NULL)
        tell_issuer(config, issuer, out);
    json_decref(metadata);
    probe_clear(&result);
}

/* Whether the server has answered the request, which is then read. */
static bool was_answered(const struct config *config, struct own_request *request,
                         struct probe_result *result)
{
    probe_call(config, request->body, config->service_authorization, TIMEOUT_MILLISECONDS, result);
    return own_request_read(request, result->status, buffer_content(&result->body),
                            result->body.len) == NULL;
}

/* ---- the server's own certificate ---- */

#define LABELS_MOST 6

/* The name that the server's certificate is to be for. */
static void certified_name(const struct config *config, char *name, size_t size)
{
    const char *host = url_authority(config->upstream_url);
    if (config->upstream_tls_name != NULL)
        snprintf(name, size, "%s", config->upstream_tls_name);
    else
        snprintf(name, size, "%.*s", (int)url_host_len(host), host);
}

/* Asks for the domains that are the name or end it; how many. */
static size_t ask_for_domains(const char *name, struct own_request *request)
{
    size_t count = 0;
    char query[24], get[24];
    own_request_begin(request);
    for (const char *domain = name; count < LABELS_MOST && strchr(domain, '.') != NULL;
         domain = strchr(domain, '.') + 1, count++) {
        snprintf(query, sizeof query, "q%zu", count);
        snprintf(get, sizeof get, "g%zu", count);
        own_request_add(request, "x:Domain/query", json_pack("{s:{s:s}}", "filter", "name", domain),
                        query);
        own_request_add_found(request, "x:Domain/get", "x:Domain/query", query,
                              json_pack("[s,s]", "name", "certificateManagement"), get);
    }
    return own_request_finish(request) ? count : 0;
}

/* Of those the one whose certificates the server manages; or NULL. Borrowed from the answer. */
static const char *automatic_domain(const struct own_request *request, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char get[24];
        snprintf(get, sizeof get, "g%zu", i);
        const json_t *domain = json_array_get(own_request_list(request, get), 0);
        const char *kind =
            own_request_string(json_object_get(domain, "certificateManagement"), "@type");
        if (kind != NULL && strcmp(kind, "Automatic") == 0)
            return own_request_string(domain, "name");
    }
    return NULL;
}

void check_server_certificate(const struct config *config, FILE *out)
{
    struct own_request request = {0};
    struct probe_result result = {0};
    char name[256];
    if (strncmp(config->upstream_url, "https://", 8) != 0)
        return;
    certified_name(config, name, sizeof name);
    size_t count = config->service_authorization != NULL ? ask_for_domains(name, &request) : 0;
    bool known = count > 0 && was_answered(config, &request, &result);
    const char *domain = known ? automatic_domain(&request, count) : NULL;
    if (domain != NULL) {
        fputs("server: WARNING: its certificate is of ", out);
        plain_text_print(out, domain, 0);
        fputs(", which is renewed by way of this gate: all but challenges stops when it expires; "
              "plain HTTP on the loopback is the better way\n",
              out);
    } else if (!known) {
        fputs("server: WARNING: if its certificate is one that is renewed by way of this gate, "
              "all but challenges stops when it expires; plain HTTP on the loopback is the better "
              "way\n",
              out);
    }
    own_request_clear(&request);
    probe_clear(&result);
}

/* ---- challenges ---- */

/* Whether a provider has Http01; with `*known` false nobody could be asked. */
static bool has_http_challenge(const struct config *config, bool *known)
{
    struct own_request request = {0};
    struct probe_result result = {0};
    bool found = false;
    size_t i;
    json_t *provider;
    own_request_begin(&request);
    own_request_add(&request, "x:AcmeProvider/get",
                    json_pack("{s:n,s:[s]}", "ids", "properties", "challengeType"), "a");
    *known = own_request_finish(&request) && was_answered(config, &request, &result);
    const json_t *list = *known ? own_request_list(&request, "a") : NULL;
    json_array_foreach(list, i, provider)
    {
        const char *type = own_request_string(provider, "challengeType");
        found = found || (type != NULL && strcmp(type, "Http01") == 0);
    }
    *known = list != NULL;
    own_request_clear(&request);
    probe_clear(&result);
    return found;
}

static bool is_same_answer(const struct probe_result *one, const struct probe_result *other)
{
    return one->status == other->status && one->body.len == other->body.len &&
           memcmp(buffer_content(&one->body), buffer_content(&other->body), one->body.len) == 0;
}

static void tell_challenge(const char *url, const struct probe_result *seen,
                           const struct probe_result *own, FILE *out)
{
    if (seen->status == 0) {
        fprintf(out, "challenges: WARNING: %s cannot be fetched from here: ", url);
        plain_text_print(out, seen->error, 0);
        fputs(". If a CA cannot, either, http-01 fails\n", out);
    } else if (is_same_answer(seen, own)) {
        fprintf(out, "challenges: %s leads to the server (status %u, as it answers itself)\n", url,
                seen->status);
    } else {
        fprintf(
            out,
            "challenges: WARNING: %s is answered by something else (status %u; the server "
            "itself: %u), so http-01 fails: port 80 must lead here, by RENEWGATE_HTTP_LISTEN or "
            "a proxy (docs/front.md)\n",
            url, seen->status, own->status);
    }
}

/* Where a CA asks: port 80 of the host. */
static void write_url(const char *public_url, char *url, size_t size)
{
    const char *host = url_authority(public_url);
    snprintf(url, size, "http://%.*s" CHALLENGE_PATH, (int)url_host_len(host), host);
}

void check_challenges(const struct config *config, FILE *out)
{
    bool known, wanted = has_http_challenge(config, &known);
    char url[512];
    if (!known || !wanted)
        return;
    if (config->public_url == NULL || config->public_url[0] == '\0') {
        fputs("challenges: a provider has Http01; with RENEWGATE_PUBLIC_URL set it is tried here "
              "whether a CA would reach the server on port 80\n",
              out);
        return;
    }
    struct probe_result seen, own;
    write_url(config->public_url, url, sizeof url);
    probe_as_ca(url, TIMEOUT_MILLISECONDS, &seen);
    probe_get(config, CHALLENGE_PATH, NULL, TIMEOUT_MILLISECONDS, &own);
    tell_challenge(url, &seen, &own, out);
    probe_clear(&seen);
    probe_clear(&own);
}

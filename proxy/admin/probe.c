#include "proxy/admin/probe.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/server/own_address.h"

#define BODY_LIMIT ((size_t)1 << 20)
#define REDIRECTS_MAX 10L

_Static_assert(PROBE_ERROR_SIZE >= CURL_ERROR_SIZE, "curl writes its reason there");

static size_t probe_on_data(char *bytes, size_t one, size_t len, void *user)
{
    (void)one;
    struct buffer *body = user;
    return body->len + len <= BODY_LIMIT && buffer_append(body, bytes, len) ? len : len + 1;
}

/* False when memory runs out. */
static bool probe_add_field(struct curl_slist **fields, const char *name, const char *value)
{
    struct buffer line = BUFFER_EMPTY;
    struct curl_slist *longer = NULL;
    if (buffer_format(&line, "%s: %s", name, value))
        longer = curl_slist_append(*fields, line.bytes);
    buffer_clear(&line);
    if (longer != NULL)
        *fields = longer;
    return longer != NULL;
}

/* QUICK_EXIT: else its time-out would wait for the system's resolver. */
static void set_limits(CURL *easy, int64_t timeout_ms, struct probe_result *out)
{
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, out->error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, probe_on_data);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &out->body);
}

static void set_up(CURL *easy, const struct config *config, int64_t timeout_ms,
                   struct probe_result *out)
{
    struct trust trust = config_trust(config);
    trust_apply(easy, &trust, false);
    set_limits(easy, timeout_ms, out);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)config->connect_timeout_ms);
}

static void perform(CURL *easy, struct probe_result *out)
{
    long status = 0;
    CURLcode code = curl_easy_perform(easy);
    if (code == CURLE_OK)
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    else if (out->error[0] == '\0')
        snprintf(out->error, sizeof out->error, "%s", curl_easy_strerror(code));
    out->status = (unsigned)status;
}

/* GET without a body. */
static void probe_ask(const struct config *config, const char *own_address, const char *path,
                      const char *authorization, const char *body, int64_t timeout_ms,
                      struct probe_result *out)
{
    *out = (struct probe_result){.error = "out of memory"};
    struct trust trust = config_trust(config);
    struct curl_slist *fields = NULL;
    struct curl_slist *connect_to = NULL;
    CURLU *url = curl_url();
    CURL *easy = curl_easy_init();
    bool fine =
        easy != NULL &&
        (own_address[0] == '\0' || probe_add_field(&fields, "X-Forwarded-For", own_address)) &&
        (authorization == NULL || probe_add_field(&fields, "Authorization", authorization)) &&
        (body == NULL || probe_add_field(&fields, "Content-Type", "application/json")) &&
        url != NULL && curl_url_set(url, CURLUPART_URL, config->upstream_url, 0) == CURLUE_OK &&
        curl_url_set(url, CURLUPART_PATH, path, 0) == CURLUE_OK &&
        trust_put_name(&trust, url, &connect_to);
    if (fine) {
        set_up(easy, config, timeout_ms, out);
        curl_easy_setopt(easy, CURLOPT_CURLU, url);
        curl_easy_setopt(easy, CURLOPT_CONNECT_TO, connect_to);
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, fields);
        if (body != NULL)
            curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
        perform(easy, out);
    }
    curl_easy_cleanup(easy);
    curl_slist_free_all(fields);
    curl_slist_free_all(connect_to);
    curl_url_cleanup(url);
}

void probe_live(const struct config *config, const char *own_address, int64_t timeout_ms,
                struct probe_result *out)
{
    probe_ask(config, own_address, "/healthz/live", NULL, NULL, timeout_ms, out);
}

void probe_get(const struct config *config, const char *path, const char *authorization,
               int64_t timeout_ms, struct probe_result *out)
{
    char own[NETWORK_ADDRESS_TEXT_SIZE];
    own_address_find(config->upstream_url, own);
    probe_ask(config, own, path, authorization, NULL, timeout_ms, out);
}

void probe_call(const struct config *config, const char *body, const char *authorization,
                int64_t timeout_ms, struct probe_result *out)
{
    char own[NETWORK_ADDRESS_TEXT_SIZE];
    own_address_find(config->upstream_url, own);
    probe_ask(config, own, "/jmap/", authorization, body, timeout_ms, out);
}

static void ask_url(const char *url, bool as_ca, int64_t timeout_ms, struct probe_result *out)
{
    *out = (struct probe_result){.error = "out of memory"};
    CURL *easy = curl_easy_init();
    if (easy == NULL)
        return;
    set_limits(easy, timeout_ms, out);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    if (as_ca) {
        curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
        curl_easy_setopt(easy, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    perform(easy, out);
    curl_easy_cleanup(easy);
}

void probe_as_ca(const char *url, int64_t timeout_ms, struct probe_result *out)
{
    ask_url(url, true, timeout_ms, out);
}

void probe_url(const char *url, int64_t timeout_ms, struct probe_result *out)
{
    ask_url(url, false, timeout_ms, out);
}

void probe_clear(struct probe_result *result)
{
    buffer_clear(&result->body);
}

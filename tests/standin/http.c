#include "tests/standin/http.h"
#include "tests/standin/auth.h"
#include "tests/standin/bans.h"
#include "tests/standin/clock.h"
#include "tests/standin/defaults.h"
#include "tests/standin/events.h"
#include "tests/standin/malformed.h"
#include "tests/standin/render.h"
#include "tests/standin/websocket.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define JSON_TYPE "application/json; charset=utf-8"
#define PROBLEM_TYPE "application/problem+json"
#define MAX_UPLOAD 50000000

static json_t *problem(const char *type, unsigned status, const char *title, const char *detail)
{
    json_t *json = json_pack("{s:s, s:i}", "type", type, "status", (int)status);
    if (title)
        json_object_set_new(json, "title", json_string(title));
    json_object_set_new(json, "detail", json_string(detail));
    return json;
}

static void not_found(struct answer *answer)
{
    answer_json(answer, 404, PROBLEM_TYPE,
                problem("about:blank", 404, "Not Found",
                        "The requested resource does not exist on this server."));
}

/* The client's address where the server reads it from the field, else NULL. */
static const char *forwarded_address(const struct request *request)
{
    return json_is_true(json_object_get(store.http, "useXForwarded"))
               ? request_header(request, "X-Forwarded-For")
               : NULL;
}

/* store.lock is held. */
static void unauthorized(const struct request *request, struct answer *answer)
{
    if (bans_note(request_header(request, "Authorization"), forwarded_address(request))) {
        answer_json(answer, 429, PROBLEM_TYPE,
                    problem("about:blank", 429, "Too Many Authentication Attempts",
                            "Your request has been rate limited. Please try again in a few "
                            "minutes."));
        return;
    }
    answer_json(answer, 401, PROBLEM_TYPE,
                problem("about:blank", 401, "Unauthorized", "You have to authenticate first."));
    answer->header_count = 0;
    answer_header(answer, "www-authenticate",
                  store.version == VERSION_0_16_5
                      ? "Bearer realm=\"Stalwart Server\""
                      : "Bearer realm=\"Stalwart Server\", "
                        "resource_metadata=\"/.well-known/oauth-protected-resource\"");
    answer_header(answer, "www-authenticate", "Basic realm=\"Stalwart Server\"");
    answer_header(answer, "content-type", PROBLEM_TYPE);
}

static json_t *limit_problem(const char *limit, const char *detail)
{
    json_t *json = problem("urn:ietf:params:jmap:error:limit", 400, NULL, detail);
    json_object_set_new(json, "limit", json_string(limit));
    return json;
}

json_t *http_refusal(enum api_refusal refusal, const char *body, size_t len)
{
    switch (refusal) {
    case API_NOT_REQUEST: {
        json_t *json = problem("urn:ietf:params:jmap:error:notRequest", 400, NULL, "");
        json_t *detail = json_stringn(body, len);
        if (detail)
            json_object_set_new(json, "detail", detail);
        return json;
    }
    case API_TOO_MANY_CALLS:
        return limit_problem("maxCallsInRequest", "The request exceeds the maximum number of "
                                                  "calls in a single request.");
    case API_TOO_LARGE:
        return limit_problem("maxSizeRequest",
                             "The request is larger than the server is willing to process.");
    default:
        return NULL;
    }
}

/* The name of the user that asks, to be freed; NULL after a refusal. Who is let in is counted until
 * let_go(). */
static char *let_in(const struct request *request, struct answer *answer)
{
    char *name = NULL;
    pthread_mutex_lock(&store.lock);
    struct user *user = auth_user(request_header(request, "Authorization"));
    if (!user) {
        unauthorized(request, answer);
    } else if (store.max_concurrent && user->in_flight >= store.max_concurrent) {
        answer_json(answer, 400, PROBLEM_TYPE,
                    limit_problem("maxConcurrentRequests",
                                  "The request exceeds the maximum number of concurrent "
                                  "requests."));
    } else {
        user->in_flight++;
        name = text_copy(user->name);
    }
    pthread_mutex_unlock(&store.lock);
    return name;
}

static void let_go(char *name)
{
    pthread_mutex_lock(&store.lock);
    for (size_t i = 0; i < store.user_count; i++)
        if (strcmp(store.users[i].name, name) == 0 && store.users[i].in_flight)
            store.users[i].in_flight--;
    pthread_mutex_unlock(&store.lock);
    free(name);
}

static bool is_json_type(const char *content_type)
{
    static const char wanted[] = "application/json";
    size_t len = strcspn(content_type, ";");
    while (len && content_type[len - 1] == ' ')
        len--;
    return len == sizeof wanted - 1 && strncasecmp(content_type, wanted, len) == 0;
}

static void answer_api(const struct request *request, struct answer *answer,
                       const struct fault *fault)
{
    const char *content_type = request_header(request, "Content-Type");
    struct api_request parsed;
    if (store.version != VERSION_0_16_5 && content_type && !is_json_type(content_type)) {
        answer_json(answer, 400, PROBLEM_TYPE,
                    problem("urn:ietf:params:jmap:error:notJSON", 400, NULL,
                            "Failed to parse JSON: The Content-Type header must be "
                            "application/json."));
        return;
    }
    enum api_refusal refusal = request->received > MAX_UPLOAD
                                   ? API_TOO_LARGE
                                   : api_parse(store.version, request->body, request->len, &parsed);
    if (refusal != API_GOOD) {
        answer_json(answer, 400, PROBLEM_TYPE, http_refusal(refusal, request->body, request->len));
        return;
    }
    pthread_mutex_lock(&store.lock);
    const struct user *user = auth_user(request_header(request, "Authorization"));
    json_t *document = user ? api_run(&parsed, user, fault) : NULL;
    if (document)
        answer_json(answer, 200, JSON_TYPE, document);
    else
        unauthorized(request, answer);
    pthread_mutex_unlock(&store.lock);
    api_request_clear(&parsed);
}

static void answer_session(const struct request *request, struct answer *answer)
{
    bool anonymous = !request_header(request, "Authorization");
    pthread_mutex_lock(&store.lock);
    const struct user *user = auth_user(request_header(request, "Authorization"));
    json_t *session =
        user || anonymous ? session_resource(store.version, user, store.public_url) : NULL;
    if (session)
        answer_json(answer, 200, JSON_TYPE, session);
    else
        unauthorized(request, answer);
    pthread_mutex_unlock(&store.lock);
}

static void answer_account(const struct request *request, struct answer *answer)
{
    json_t *document = NULL;
    pthread_mutex_lock(&store.lock);
    const struct user *user = auth_user(request_header(request, "Authorization"));
    if (user)
        document = json_pack("{s:o, s:s, s:s}", "permissions",
                             user->all ? defaults_permissions() : json_deep_copy(user->permissions),
                             "edition", "oss", "locale", "en_US");
    if (document)
        answer_json(answer, 200, JSON_TYPE, document);
    else
        unauthorized(request, answer);
    pthread_mutex_unlock(&store.lock);
}

/*
 * Which addresses someone signs in at: without a host, as the listener speaks no TLS; else the
 * server's own URL stands before each.
 */
static void answer_discover(struct answer *answer)
{
    static const char body[] =
        "{\"issuer\":\"\",\"authorization_endpoint\":\"/login\",\"token_endpoint\":\"/auth/token\","
        "\"userinfo_endpoint\":\"/auth/userinfo\",\"jwks_uri\":\"/auth/jwks.json\","
        "\"registration_endpoint\":\"/auth/register\",\"device_authorization_endpoint\":"
        "\"/auth/device\",\"scopes_supported\":[\"openid\",\"offline_access\","
        "\"urn:ietf:params:oauth:scope:mail\",\"urn:ietf:params:oauth:scope:contacts\","
        "\"urn:ietf:params:oauth:scope:calendars\"],\"response_types_supported\":[\"code\"],"
        "\"subject_types_supported\":[\"public\"],\"grant_types_supported\":["
        "\"authorization_code\",\"refresh_token\","
        "\"urn:ietf:params:oauth:grant-type:device_code\"],"
        "\"token_endpoint_auth_methods_supported\":[\"none\",\"client_secret_post\","
        "\"client_secret_basic\"],\"id_token_signing_alg_values_supported\":[\"RS256\",\"RS384\","
        "\"RS512\",\"ES256\",\"ES384\",\"PS256\",\"PS384\",\"PS512\",\"HS256\",\"HS384\",\"HS512\"]"
        ","
        "\"claims_supported\":[\"sub\",\"name\",\"preferred_username\",\"email\","
        "\"email_verified\"],\"code_challenge_methods_supported\":[\"S256\"],"
        "\"authorization_response_iss_parameter_supported\":true}";
    answer_json(answer, 200, JSON_TYPE, json_loads(body, 0, NULL));
    answer_header(answer, "access-control-allow-origin", "*");
    answer_header(answer, "access-control-allow-headers",
                  "Authorization, Content-Type, Accept, X-Requested-With");
    answer_header(answer, "access-control-allow-methods",
                  "POST, GET, PATCH, PUT, DELETE, HEAD, OPTIONS");
}

/* The value of a query parameter as a number; fallback where there is none. */
static unsigned query_number(const char *query, const char *name, unsigned fallback)
{
    size_t len = strlen(name);
    for (const char *p = query; p && *p; p = strchr(p, '&') ? strchr(p, '&') + 1 : NULL)
        if (strncmp(p, name, len) == 0 && p[len] == '=')
            return (unsigned)strtoul(p + len + 1, NULL, 10);
    return fallback;
}

static ssize_t read_pattern(void *with, uint64_t at, char *buffer, size_t max)
{
    (void)with;
    for (size_t i = 0; i < max; i++)
        buffer[i] = (char)((at + i) * 31 + 7);
    return (ssize_t)max;
}

/* A blob is as long as its name says ("blob1000"), its bytes are (31 i + 7) mod 256. */
static void answer_download(const char *blob, struct answer *answer)
{
    if (!blob || strncmp(blob, "blob", 4) != 0) {
        not_found(answer);
        return;
    }
    uint64_t size = strtoull(blob + 4, NULL, 10);
    answer->status = 200;
    answer->response = MHD_create_response_from_callback(size, 65536, read_pattern, NULL, NULL);
    answer_header(answer, "content-type", "application/octet-stream");
}

static void answer_upload(const struct request *request, const char *account, struct answer *answer)
{
    const char *type = request_header(request, "Content-Type");
    if (!account || !*account) {
        not_found(answer);
        return;
    }
    if (request->received > MAX_UPLOAD) {
        answer_json(answer, 400, PROBLEM_TYPE,
                    limit_problem("maxSizeUpload", "The uploaded file is larger than the server "
                                                   "is willing to process."));
        return;
    }
    char blob[32];
    snprintf(blob, sizeof blob, "blob%zu", request->received);
    answer_json(answer, 200, JSON_TYPE,
                json_pack("{s:s, s:s, s:s, s:I}", "accountId", account, "blobId", blob, "type",
                          type ? type : "application/octet-stream", "size",
                          (json_int_t)request->received));
}

static void answer_health(struct answer *answer)
{
    answer_json(answer, 200, PROBLEM_TYPE,
                json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title", "OK", "status",
                          200, "detail", "OK"));
}

static void answer_jmap(const struct request *request, char *path, const char *query,
                        struct answer *answer, const struct fault *fault)
{
    bool post = strcmp(request->method, "POST") == 0;
    bool get = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
    const char *segment = path ? strsep(&path, "/") : "";
    if (strcmp(request->method, "OPTIONS") == 0) {
        answer->status = 204;
        return;
    }
    if (get && strcmp(segment, "session") == 0) {
        answer_session(request, answer);
        return;
    }
    bool api = post && !*segment;
    bool upload = post && strcmp(segment, "upload") == 0;
    bool download = get && strcmp(segment, "download") == 0;
    bool events = get && strcmp(segment, "eventsource") == 0;
    bool websocket = get && strcmp(segment, "ws") == 0;
    if (!api && !upload && !download && !events && !websocket) {
        not_found(answer);
        return;
    }
    char *name = let_in(request, answer);
    if (!name)
        return;
    if (api) {
        answer_api(request, answer, fault);
    } else if (upload) {
        answer_upload(request, path ? strsep(&path, "/") : NULL, answer);
    } else if (download) {
        (void)(path ? strsep(&path, "/") : NULL);
        answer_download(path ? strsep(&path, "/") : NULL, answer);
    } else if (events) {
        answer->status = 200;
        answer->response = events_stream(query_number(query, "ping", 0));
        answer_header(answer, "content-type", "text/event-stream");
        answer_header(answer, "cache-control", "no-store");
    } else {
        websocket_answer(request, name, answer);
    }
    let_go(name);
}

static void route(const struct request *request, struct answer *answer, const struct fault *fault)
{
    bool get = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
    char *copy = text_copy(request->target);
    char *path = copy;
    char *query = strchr(path, '?');
    if (query)
        *query++ = '\0';
    char *authority = path[0] == '/' ? NULL : strstr(path, "://");
    if (authority)
        path = strpbrk(authority + 3, "/#");
    /* What follows a number sign is no path. */
    if (path)
        path[strcspn(path, "#")] = '\0';
    const char *first = "";
    if (path && *path == '/') {
        path++;
        first = strsep(&path, "/");
    }
    const char *second = path ? path : "";
    if (strcmp(first, "jmap") == 0) {
        answer_jmap(request, path, query, answer, fault);
    } else if (strcmp(first, ".well-known") == 0 && get && strcmp(second, "jmap") == 0) {
        answer->status = 307;
        answer_header(answer, "cache-control", "no-cache");
        answer_header(answer, "location", "/jmap/session");
    } else if (strcmp(first, ".well-known") == 0 || strcmp(first, "auth") == 0 ||
               strcmp(first, "api") == 0) {
        if (strcmp(request->method, "OPTIONS") == 0)
            answer->status = 204;
        else if (strcmp(first, "api") == 0 && get && strcmp(second, "account") == 0)
            answer_account(request, answer);
        else if (strcmp(first, "api") == 0 && strncmp(second, "discover/", 9) == 0)
            answer_discover(answer);
        else
            not_found(answer);
    } else if (strcmp(first, "healthz") == 0 &&
               (strcmp(second, "live") == 0 || strcmp(second, "ready") == 0)) {
        answer_health(answer);
    } else {
        not_found(answer);
    }
    free(copy);
}

bool http_suffer(const struct fault *fault)
{
    struct timespec pause = {.tv_nsec = 10 * 1000000};
    unsigned long generation = faults_generation();
    for (int waited = 0; (fault->hang || waited < fault->delay_ms) && !store.stopping &&
                         generation == faults_generation();
         waited += 10)
        nanosleep(&pause, NULL);
    return !fault->close && !fault->hang;
}

/*
 * Suffers as one of the user's requests. Who has as many as may be does not suffer: the refusal
 * comes at once.
 */
static bool suffer_in_place(const struct request *request, const struct fault *fault)
{
    struct answer refusal = {0};
    pthread_mutex_lock(&store.lock);
    bool limited = store.max_concurrent > 0;
    pthread_mutex_unlock(&store.lock);
    char *name = limited ? let_in(request, &refusal) : NULL;
    bool refused = limited && !name;
    bool goes_on = refused || http_suffer(fault);
    if (name)
        let_go(name);
    free(refusal.body);
    return goes_on;
}

static void ask_to_wait(const struct fault *fault, struct answer *answer)
{
    int64_t left_ms = fault->until_ms - clock_now_ms();
    if (fault->retry_after_date)
        clock_format_http((fault->until_ms + 999) / 1000, answer->retry_after);
    else
        snprintf(answer->retry_after, sizeof answer->retry_after, "%" PRId64,
                 left_ms > 0 ? (left_ms + 999) / 1000 : 0);
    answer_header(answer, "retry-after", answer->retry_after);
}

static void spoil(const struct fault *fault, struct answer *answer)
{
    answer->truncate = fault->truncate;
    if (!fault->garbage && !fault->status && !fault->body)
        return;
    if (answer->response) {
        MHD_destroy_response(answer->response);
        answer->response = NULL;
    }
    free(answer->body);
    answer->body = text_copy(fault->garbage ? "{\"methodResponses\":[[\"x:\xc3" : fault->body);
    answer->len = answer->body ? strlen(answer->body) : 0;
    answer->status = fault->status ? fault->status : 200;
    answer->header_count = 0;
    if (fault->content_type)
        MHD_add_response_header(
            answer->response = MHD_create_response_from_buffer(
                answer->len, answer->body ? answer->body : "", MHD_RESPMEM_MUST_COPY),
            "content-type", fault->content_type);
    else
        answer_header(answer, "content-type", JSON_TYPE);
    if (fault->retry_after)
        ask_to_wait(fault, answer);
}

/* As a server that is killed: what it has stored is there, and every connection breaks. */
static void die(const char *path)
{
    pthread_mutex_lock(&store.lock);
    json_dump_file(render_state(), path, JSON_COMPACT);
    _exit(0);
}

/* True where the request is answered without having been read. */
static bool is_malformed(const struct request *request, struct answer *answer)
{
    int fields = MHD_get_connection_values(request->connection, MHD_HEADER_KIND, NULL, NULL);
    unsigned status = malformed_status(request->target, (size_t)fields);
    if (status == 0)
        return false;
    pthread_mutex_lock(&store.lock);
    bans_note_malformed(json_is_true(json_object_get(store.http, "useXForwarded")));
    pthread_mutex_unlock(&store.lock);
    answer->status = status;
    answer_header(answer, "connection", "close");
    return true;
}

void http_answer(struct request *request, struct answer *answer)
{
    if (is_malformed(request, answer))
        return;
    struct fault fault = {0};
    pthread_mutex_lock(&store.lock);
    store.counters.http_requests++;
    struct user *user = auth_user(request_header(request, "Authorization"));
    char *name = text_copy(user ? user->name : "");
    pthread_mutex_unlock(&store.lock);
    traffic_note(request->method, request->target, request->version, request_headers(request),
                 request->body, request->len);
    bool faulty = fault_take(request->target, name, request->body, request->len, &fault);
    bool before = faulty && !fault.after;
    free(name);
    if (before && fault.die)
        die(fault.die);
    if (before && !suffer_in_place(request, &fault)) {
        answer->close = true;
    } else {
        bool replaced = before && (fault.garbage || fault.status || fault.body);
        if (!replaced)
            route(request, answer, faulty ? &fault : NULL);
        if (!replaced && answer->status == 404) {
            pthread_mutex_lock(&store.lock);
            bans_note_missing(request->target, forwarded_address(request));
            pthread_mutex_unlock(&store.lock);
        }
        if (faulty && fault.after && fault.die)
            die(fault.die);
        if (faulty && fault.after && !http_suffer(&fault))
            answer->close = true;
        if (faulty)
            spoil(&fault, answer);
    }
    if (faulty)
        fault_free(&fault);
}

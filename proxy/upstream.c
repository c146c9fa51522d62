#include "proxy/upstream.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/vetting.h"

/* Idle connections to the server that a worker keeps. */
#define IDLE_CONNECTIONS 256L
/*
 * Shorter than servers usually keep an idle connection, so that a request is rarely sent into one
 * that is being closed.
 */
#define IDLE_CONNECTION_SECONDS 25L
#define RECEIVE_SIZE 65536L
#define SEND_SIZE 65536L
/* The least that curl takes. */
#define SMALL_SEND_SIZE 16384L
#define SPARE_HANDLES 32
/* Since then, what a handle has read does not reach into what it reads next. */
#define CURL_KEEPS_HANDLES 0x080101
/* Tunnels may be idle for hours, each with its buffers. */
#define TUNNEL_RECEIVE_SIZE 4096L
#define FIELDS_AT_FIRST ((size_t)32)
#define FIELDS_LIMIT ((size_t)4096)
/* Of all heads of one answer, interim ones too: the last must fit into a client's connection. */
#define HEAD_LIMIT ((size_t)32768)

/* A file that curl wants to be watched. Kept for as long as the upstream, found by its number. */
struct watched {
    struct loop_source source;
    struct upstream *upstream;
    int file;
    bool connection;     /* opened by open_connection(), so its closing will be told */
    uint32_t wanted;     /* what curl waits for; 0: nothing now */
    uint32_t registered; /* what epoll has */
};

struct upstream {
    struct upstream_settings settings;
    struct loop *loop;
    CURLM *multi;
    CURLU *url; /* settings.url, parsed once */
    monotonic_time timer;
    struct watched **watched; /* by file number */
    size_t watched_count;
    struct transfer *live;
    bool tunnels_ended; /* a live transfer is TRANSFER_TUNNEL_ENDED */
    bool keeps_handles;
    CURL *spare[SPARE_HANDLES];
    size_t spare_count;
};

/* Progress of the answer. */
enum transfer_state {
    TRANSFER_BEFORE_HEAD, /* waits for a status line */
    TRANSFER_IN_HEAD,
    TRANSFER_IN_BODY,
    TRANSFER_TUNNEL,       /* an upgraded connection */
    TRANSFER_TUNNEL_ENDED, /* the server has closed it */
};

struct transfer {
    struct upstream *upstream;
    struct transfer *next; /* in upstream->live */
    struct transfer *previous;
    CURL *easy;
    struct arena *arena; /* the request's */
    const struct transfer_handler *handler;
    void *user;
    enum transfer_state state;
    bool asks_upgrade;
    int paused; /* CURLPAUSE_* */
    bool out_of_memory;
    bool once;
    bool repeatable;
    bool whole;
    unsigned attempts;
    const char *fault;       /* why the gate itself gave up, in words; or NULL */
    monotonic_time progress; /* when bytes last went either way */
    struct upstream_head head;
    size_t head_len; /* bytes of all heads so far */
    size_t field_capacity;
    char error[CURL_ERROR_SIZE];
};

const char *upstream_failure_name(enum upstream_failure failure)
{
    static const char *const names[UPSTREAM_FAILURES] = {
        [UPSTREAM_FINE] = "none",       [UPSTREAM_RESOLVE] = "resolve",
        [UPSTREAM_CONNECT] = "connect", [UPSTREAM_TLS] = "tls",
        [UPSTREAM_TIMEOUT] = "timeout", [UPSTREAM_BROKEN] = "broken",
        [UPSTREAM_MEMORY] = "memory",
    };
    return names[failure];
}

/* ---- files that curl wants watched ---- */

static void on_ready(void *user, uint32_t events)
{
    struct watched *watched = user;
    struct upstream *upstream = watched->upstream;
    if (watched->wanted == 0) {
        /* An idle connection that the server closes: curl finds that out when it wants it again. */
        loop_forget(upstream->loop, watched->file);
        watched->registered = 0;
        return;
    }
    int mask = (events & (EPOLLIN | EPOLLRDHUP) ? CURL_CSELECT_IN : 0) |
               (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
               (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
    int running;
    curl_multi_socket_action(upstream->multi, watched->file, mask, &running);
}

static bool grow_watched(struct upstream *upstream, size_t count)
{
    size_t capacity = upstream->watched_count == 0 ? 64 : upstream->watched_count;
    while (capacity < count)
        capacity *= 2;
    struct watched **all = realloc(upstream->watched, capacity * sizeof *all);
    if (all == NULL)
        return false;
    memset(all + upstream->watched_count, 0, (capacity - upstream->watched_count) * sizeof *all);
    upstream->watched = all;
    upstream->watched_count = capacity;
    return true;
}

static struct watched *watched_of(struct upstream *upstream, int file)
{
    if ((size_t)file >= upstream->watched_count && !grow_watched(upstream, (size_t)file + 1))
        return NULL;
    struct watched *watched = upstream->watched[file];
    if (watched == NULL) {
        watched = malloc(sizeof *watched);
        if (watched == NULL)
            return NULL;
        *watched =
            (struct watched){.source = {on_ready, watched}, .upstream = upstream, .file = file};
        upstream->watched[file] = watched;
    }
    return watched;
}

static bool register_watched(struct watched *watched)
{
    struct loop *loop = watched->upstream->loop;
    bool known = watched->registered != 0;
    bool fine = known ? loop_change(loop, watched->file, watched->wanted, &watched->source)
                      : loop_watch(loop, watched->file, watched->wanted, &watched->source);
    watched->registered = fine ? watched->wanted : 0;
    return fine;
}

/*
 * curl (7.88) reads no more where a tunnel's server has closed it, but does not say so as long as
 * there may be more to send: only that it has nothing to watch any more.
 */
static void note_tunnel_end(CURL *easy)
{
    char *private = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    struct transfer *transfer = (struct transfer *)(void *)private;
    if (transfer == NULL || transfer->state != TRANSFER_TUNNEL ||
        (transfer->paused & CURLPAUSE_RECV) != 0)
        return;
    transfer->state = TRANSFER_TUNNEL_ENDED;
    transfer->upstream->tunnels_ended = true;
}

/*
 * Between two transfers a connection stays registered: the next one wants the same, and two system
 * calls a request are saved. That is safe only for files whose closing is told.
 */
static int on_socket(CURL *easy, curl_socket_t file, int what, void *user, void *unused)
{
    (void)unused;
    struct watched *watched = watched_of(user, file);
    if (watched == NULL)
        return -1;
    if (what == CURL_POLL_REMOVE)
        note_tunnel_end(easy);
    watched->wanted = what == CURL_POLL_REMOVE
                          ? 0
                          : (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) |
                                (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
    if (watched->wanted != 0 && watched->wanted != watched->registered)
        return register_watched(watched) ? 0 : -1;
    if (watched->wanted == 0 && !watched->connection && watched->registered != 0) {
        loop_forget(watched->upstream->loop, file);
        watched->registered = 0;
    }
    return 0;
}

static curl_socket_t open_connection(void *user, curlsocktype purpose,
                                     struct curl_sockaddr *address)
{
    (void)purpose;
    int file = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    struct watched *watched = file < 0 ? NULL : watched_of(user, file);
    if (watched == NULL) {
        if (file >= 0)
            close(file);
        return CURL_SOCKET_BAD;
    }
    watched->connection = true;
    watched->registered = 0;
    return file;
}

static int close_connection(void *user, curl_socket_t file)
{
    struct upstream *upstream = user;
    if ((size_t)file < upstream->watched_count && upstream->watched[file] != NULL) {
        upstream->watched[file]->connection = false;
        upstream->watched[file]->registered = 0;
        upstream->watched[file]->wanted = 0;
    }
    return close(file);
}

static int on_timer(CURLM *multi, long milliseconds, void *user)
{
    (void)multi;
    struct upstream *upstream = user;
    upstream->timer =
        milliseconds < 0 ? MONOTONIC_NEVER : monotonic_after(clock_monotonic(), milliseconds);
    return 0;
}

/* ---- attempts ---- */

static bool is_idempotent(const char *method)
{
    static const char *const methods[] = {
        "GET",  "HEAD", "PUT",    "DELETE", "OPTIONS",   "TRACE", "PROPFIND", "REPORT",     "MKCOL",
        "COPY", "MOVE", "UNLOCK", "SEARCH", "PROPPATCH", "ACL",   "QUERY",    "MKCALENDAR",
    };
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (strcmp(method, methods[i]) == 0)
            return true;
    }
    return false;
}

/*
 * Before each attempt. curl by itself makes up to six, whatever the method, each time that a kept
 * connection ends before it has answered anything.
 */
static int on_attempt(void *user, char *their_address, char *own_address, int their_port,
                      int own_port)
{
    (void)their_address;
    (void)own_address;
    (void)their_port;
    (void)own_port;
    struct transfer *transfer = user;
    long sent = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &sent);
    bool again = !transfer->once && (sent == 0 || transfer->repeatable);
    transfer->attempts++;
    if (transfer->attempts == 1 || (transfer->attempts == 2 && again))
        return CURL_PREREQFUNC_OK;
    transfer->fault = "the server closed a kept connection and may have read the request";
    return CURL_PREREQFUNC_ABORT;
}

/* ---- the answer ---- */

/*
 * curl stops sending where the answer says that the rest is not wanted, but it takes the transfer
 * for unfinished for as long as sending is paused.
 */
static void end_pause_of_sending(struct transfer *transfer)
{
    if (transfer->state == TRANSFER_IN_BODY && (transfer->paused & CURLPAUSE_SEND) != 0)
        transfer_resume(transfer);
}

static bool give_up(struct transfer *transfer, const char *fault)
{
    transfer->fault = fault;
    return false;
}

static bool add_field(struct transfer *transfer, struct field field)
{
    struct field_list *list = &transfer->head.fields;
    if (list->count == FIELDS_LIMIT)
        return give_up(transfer, "the answer has too many header fields");
    if (list->count == transfer->field_capacity) {
        size_t capacity = transfer->field_capacity == 0 ? FIELDS_AT_FIRST : list->count * 2;
        struct field *fields = arena_alloc(transfer->arena, capacity * sizeof *fields);
        if (fields == NULL) {
            transfer->out_of_memory = true;
            return false;
        }
        if (list->count > 0)
            memcpy(fields, list->fields, list->count * sizeof *fields);
        list->fields = fields;
        transfer->field_capacity = capacity;
    }
    list->fields[list->count++] = field;
    return true;
}

/* "HTTP/1.1 200 OK" */
static bool read_status_line(struct transfer *transfer, const char *line, size_t len)
{
    const char *space = memchr(line, ' ', len);
    if (space == NULL || len - (size_t)(space - line) < 4)
        return give_up(transfer, "the answer has no proper status line");
    unsigned status = 0;
    for (int i = 1; i <= 3; i++) {
        if (space[i] < '0' || space[i] > '9')
            return give_up(transfer, "the answer has no proper status line");
        status = status * 10 + (unsigned)(space[i] - '0');
    }
    transfer->head.status = status;
    transfer->head.fields.count = 0;
    transfer->state = TRANSFER_IN_HEAD;
    return status >= 100 || give_up(transfer, "the answer has no proper status line");
}

static bool read_field_line(struct transfer *transfer, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    if (colon == NULL)
        return give_up(transfer, "a header line of the answer has no colon");
    const char *value = colon + 1;
    const char *end = line + len;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    struct field field = {.name_len = (size_t)(colon - line), .value_len = (size_t)(end - value)};
    field.name = arena_copy(transfer->arena, line, field.name_len);
    field.value = arena_copy(transfer->arena, value, field.value_len);
    if (field.name == NULL || field.value == NULL) {
        transfer->out_of_memory = true;
        return false;
    }
    return add_field(transfer, field);
}

static bool end_of_head(struct transfer *transfer)
{
    const char *fault = vetting_answer_fault(&transfer->head.fields);
    bool upgraded = transfer->head.status == 101;
    if (fault != NULL)
        return give_up(transfer, fault);
    if (upgraded && !transfer->asks_upgrade)
        return give_up(transfer, "the server switched protocols unasked");
    if (transfer->head.status < 200 && !upgraded) {
        transfer->state = TRANSFER_BEFORE_HEAD;
        if (transfer->handler->interim != NULL)
            transfer->handler->interim(transfer->user, &transfer->head);
        return true;
    }
    transfer->state = upgraded ? TRANSFER_TUNNEL : TRANSFER_IN_BODY;
    end_pause_of_sending(transfer);
    return transfer->handler->head(transfer->user, &transfer->head);
}

static size_t on_header(char *line, size_t one, size_t size, void *user)
{
    (void)one;
    struct transfer *transfer = user;
    transfer->progress = clock_monotonic();
    size_t len = size;
    while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == '\n'))
        len--;
    bool fine = true;
    if (transfer->state != TRANSFER_IN_BODY && size > HEAD_LIMIT - transfer->head_len) {
        give_up(transfer, "the answer's head is too large");
        return 0;
    }
    transfer->head_len += transfer->state == TRANSFER_IN_BODY ? 0 : size;
    switch (transfer->state) {
    case TRANSFER_BEFORE_HEAD:
        fine = read_status_line(transfer, line, len);
        break;
    case TRANSFER_IN_HEAD:
        fine = len == 0 ? end_of_head(transfer) : read_field_line(transfer, line, len);
        break;
    default:
        break; /* a trailer: the client's side has no place for it */
    }
    return fine ? size : 0;
}

static size_t on_data(char *bytes, size_t one, size_t len, void *user)
{
    (void)one;
    struct transfer *transfer = user;
    if (len == 0)
        return 0;
    if (transfer->whole)
        transfer->progress = clock_monotonic();
    switch (transfer->handler->data(transfer->user, bytes, len)) {
    case DATA_TAKEN:
        end_pause_of_sending(transfer);
        return len;
    case DATA_LATER:
        transfer->paused |= CURLPAUSE_RECV;
        return CURL_WRITEFUNC_PAUSE;
    case DATA_FAIL:
        break;
    }
    return len + 1;
}

static size_t on_pull(char *into, size_t one, size_t max, void *user)
{
    struct transfer *transfer = user;
    size_t len = 0;
    if (transfer->asks_upgrade && transfer->state == TRANSFER_IN_BODY)
        return 0;
    if (transfer->asks_upgrade && transfer->state != TRANSFER_TUNNEL) {
        transfer->paused |= CURLPAUSE_SEND;
        return CURL_READFUNC_PAUSE;
    }
    if (transfer->handler->pull == NULL)
        return CURL_READFUNC_ABORT;
    switch (transfer->handler->pull(transfer->user, into, one * max, &len)) {
    case PULL_BYTES:
        transfer->progress = clock_monotonic();
        return len;
    case PULL_LATER:
        transfer->paused |= CURLPAUSE_SEND;
        return CURL_READFUNC_PAUSE;
    case PULL_END:
        return 0;
    case PULL_FAIL:
        break;
    }
    return CURL_READFUNC_ABORT;
}

/* ---- transfers ---- */

/* What is the same for every transfer. */
static void set_up(struct transfer *transfer)
{
    const struct upstream_settings *settings = &transfer->upstream->settings;
    CURL *easy = transfer->easy;
    curl_easy_setopt(easy, CURLOPT_CURLU, transfer->upstream->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)settings->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, IDLE_CONNECTION_SECONDS);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, settings->tls_verify ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, settings->tls_verify ? 2L : 0L);
    if (settings->ca != NULL)
        curl_easy_setopt(easy, CURLOPT_CAINFO, settings->ca);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_pull);
    curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_attempt);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_connection);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer->upstream);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_connection);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, transfer->upstream);
}

static void link_live(struct transfer *transfer)
{
    struct upstream *upstream = transfer->upstream;
    transfer->previous = NULL;
    transfer->next = upstream->live;
    if (transfer->next != NULL)
        transfer->next->previous = transfer;
    upstream->live = transfer;
}

static void unlink_live(struct transfer *transfer)
{
    if (transfer->previous != NULL)
        transfer->previous->next = transfer->next;
    else
        transfer->upstream->live = transfer->next;
    if (transfer->next != NULL)
        transfer->next->previous = transfer->previous;
}

static CURL *take_handle(struct upstream *upstream)
{
    return upstream->spare_count > 0 ? upstream->spare[--upstream->spare_count] : curl_easy_init();
}

/*
 * Handles are used again only where nothing has gone wrong. Before 8.1.1 they never are: one that
 * has been reset would still follow a pointer to freed fields when its next answer begins with a
 * folded line.
 */
static void put_handle(struct upstream *upstream, CURL *easy, bool sound)
{
    if (!sound || !upstream->keeps_handles || upstream->spare_count == SPARE_HANDLES) {
        curl_easy_cleanup(easy);
        return;
    }
    curl_easy_reset(easy);
    upstream->spare[upstream->spare_count++] = easy;
}

/* Takes the transfer from curl. `sound`: it has come to its proper end. */
static void release(struct transfer *transfer, bool sound)
{
    curl_multi_remove_handle(transfer->upstream->multi, transfer->easy);
    unlink_live(transfer);
    put_handle(transfer->upstream, transfer->easy, sound && transfer->state == TRANSFER_IN_BODY);
    free(transfer);
}

/* One more line for curl; the list lives in the arena, so nothing is freed piece by piece. */
static bool add_line(struct transfer *transfer, struct curl_slist ***end, char *text)
{
    struct curl_slist *line = arena_alloc(transfer->arena, sizeof *line);
    if (line == NULL || text == NULL)
        return false;
    *line = (struct curl_slist){.data = text};
    **end = line;
    *end = &line->next;
    return true;
}

/* curl spells an empty field "Name;" and leaves out its own one for "Name:". */
static char *field_line(struct transfer *transfer, const struct field *field)
{
    size_t len = field->name_len + 2 + field->value_len;
    char *line = arena_alloc(transfer->arena, len + 1);
    if (line == NULL)
        return NULL;
    memcpy(line, field->name, field->name_len);
    if (field->value_len == 0) {
        memcpy(line + field->name_len, ";", 2);
        return line;
    }
    memcpy(line + field->name_len, ": ", 2);
    memcpy(line + field->name_len + 2, field->value, field->value_len + 1);
    return line;
}

/*
 * curl would move Host to the front and spell it its own way. Told first to leave it out, it takes
 * the later line for one that it does not know. Without Transfer-Encoding, it would send what is
 * for a tunnel in chunks.
 */
static bool set_fields(struct transfer *transfer, const struct field_list *fields)
{
    static const struct {
        const char *name;
        char *left_out;
    } own_ones[] = {
        {"Accept", "Accept:"},
        {"Expect", "Expect:"},
        {"Content-Type", "Content-Type:"},
        {"Transfer-Encoding", "Transfer-Encoding:"},
    };
    size_t own_count = sizeof own_ones / sizeof *own_ones - (transfer->asks_upgrade ? 0 : 1);
    struct curl_slist *lines = NULL;
    struct curl_slist **end = &lines;
    if (field_find(fields, "Host") != NULL && !add_line(transfer, &end, "Host:"))
        return false;
    for (size_t i = 0; i < fields->count; i++) {
        if (!add_line(transfer, &end, field_line(transfer, &fields->fields[i])))
            return false;
    }
    for (size_t i = 0; i < own_count; i++) {
        if (field_find(fields, own_ones[i].name) == NULL &&
            !add_line(transfer, &end, own_ones[i].left_out))
            return false;
    }
    return curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, lines) == CURLE_OK;
}

/* curl 8 has and clears a buffer of that size even for what has no body. */
static long send_size(const struct upstream_request *request)
{
    switch (request->body_kind) {
    case BODY_STREAM:
    case BODY_CHUNKS:
        return SEND_SIZE;
    case BODY_WHOLE:
        return request->len > SMALL_SEND_SIZE ? SEND_SIZE : SMALL_SEND_SIZE;
    case BODY_NONE:
    case BODY_UPGRADE:
        break;
    }
    return SMALL_SEND_SIZE;
}

static bool set_body(CURL *easy, const struct upstream_request *request)
{
    bool tunnel = request->body_kind == BODY_UPGRADE;
    bool stream = request->body_kind == BODY_STREAM || request->body_kind == BODY_CHUNKS || tunnel;
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, tunnel ? TUNNEL_RECEIVE_SIZE : RECEIVE_SIZE);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, send_size(request));
    /*
     * A stream cannot be sent twice, so it must not meet a connection that is being closed. Its own
     * is not kept either: the next stream would leave it alone, and they would pile up.
     */
    long alone = stream || request->once ? 1L : 0L;
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, alone);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, alone);
    switch (request->body_kind) {
    case BODY_NONE:
        if (strcmp(request->method, "HEAD") == 0)
            curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        break;
    case BODY_WHOLE:
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
        break;
    case BODY_STREAM:
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->len);
        break;
    case BODY_CHUNKS:
    case BODY_UPGRADE:
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)-1);
        break;
    }
    return curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK;
}

static struct transfer *transfer_create(struct upstream *upstream,
                                        const struct upstream_request *request,
                                        const struct transfer_handler *handler, void *user)
{
    CURL *easy = take_handle(upstream);
    struct transfer *transfer = easy == NULL ? NULL : malloc(sizeof *transfer);
    if (transfer == NULL) {
        curl_easy_cleanup(easy);
        return NULL;
    }
    *transfer = (struct transfer){
        .upstream = upstream,
        .easy = easy,
        .arena = request->arena,
        .handler = handler,
        .user = user,
        .state = TRANSFER_BEFORE_HEAD,
        .asks_upgrade = request->body_kind == BODY_UPGRADE,
        .paused = CURLPAUSE_CONT,
        .once = request->once,
        .repeatable = request->repeatable || is_idempotent(request->method),
        .whole = request->whole,
        .progress = clock_monotonic(),
    };
    set_up(transfer);
    link_live(transfer);
    return transfer;
}

struct transfer *transfer_start(struct upstream *upstream, const struct upstream_request *request,
                                const struct transfer_handler *handler, void *user)
{
    struct transfer *transfer = transfer_create(upstream, request, handler, user);
    if (transfer == NULL)
        return NULL;
    bool fine =
        set_fields(transfer, &request->fields) && set_body(transfer->easy, request) &&
        curl_easy_setopt(transfer->easy, CURLOPT_REQUEST_TARGET, request->target) == CURLE_OK &&
        curl_easy_setopt(transfer->easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms) ==
            CURLE_OK &&
        curl_multi_add_handle(upstream->multi, transfer->easy) == CURLM_OK;
    if (!fine) {
        release(transfer, false);
        return NULL;
    }
    return transfer;
}

void transfer_hand_over(struct transfer *transfer, const struct transfer_handler *handler,
                        void *user)
{
    transfer->handler = handler;
    transfer->user = user;
}

void transfer_resume(struct transfer *transfer)
{
    if (transfer->paused == CURLPAUSE_CONT)
        return;
    /* The handlers called from within may pause again. */
    transfer->paused = CURLPAUSE_CONT;
    transfer->progress = clock_monotonic();
    curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
}

void transfer_cancel(struct transfer *transfer)
{
    if (transfer != NULL)
        release(transfer, false);
}

static enum upstream_failure failure_of(const struct transfer *transfer, CURLcode code)
{
    if (transfer->out_of_memory)
        return UPSTREAM_MEMORY;
    switch (code) {
    case CURLE_OK:
        /* A connection that ends before any status line must not pass as an empty answer. */
        return transfer->state == TRANSFER_BEFORE_HEAD || transfer->state == TRANSFER_IN_HEAD
                   ? UPSTREAM_BROKEN
                   : UPSTREAM_FINE;
    case CURLE_COULDNT_RESOLVE_HOST:
        return UPSTREAM_RESOLVE;
    case CURLE_COULDNT_CONNECT:
        return UPSTREAM_CONNECT;
    case CURLE_OPERATION_TIMEDOUT:
        return UPSTREAM_TIMEOUT;
    case CURLE_OUT_OF_MEMORY:
        return UPSTREAM_MEMORY;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CERTPROBLEM:
        return UPSTREAM_TLS;
    default:
        return UPSTREAM_BROKEN;
    }
}

static void finish(struct transfer *transfer, enum upstream_failure failure, const char *detail)
{
    const struct transfer_handler *handler = transfer->handler;
    void *user = transfer->user;
    char words[CURL_ERROR_SIZE];
    strncpy(words, detail, sizeof words - 1);
    words[sizeof words - 1] = '\0';
    release(transfer, failure == UPSTREAM_FINE);
    handler->done(user, failure, words);
}

static void finish_all_done(struct upstream *upstream)
{
    int left;
    CURLMsg *message;
    while ((message = curl_multi_info_read(upstream->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        char *private;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        struct transfer *transfer = (struct transfer *)(void *)private;
        const char *detail = transfer->fault != NULL      ? transfer->fault
                             : transfer->error[0] != '\0' ? transfer->error
                                                          : curl_easy_strerror(code);
        finish(transfer, failure_of(transfer, code), detail);
    }
}

static struct transfer *find_ended_tunnel(struct upstream *upstream)
{
    struct transfer *transfer = upstream->live;
    while (transfer != NULL && transfer->state != TRANSFER_TUNNEL_ENDED)
        transfer = transfer->next;
    return transfer;
}

static void finish_ended_tunnels(struct upstream *upstream)
{
    struct transfer *transfer;
    if (!upstream->tunnels_ended)
        return;
    upstream->tunnels_ended = false;
    while ((transfer = find_ended_tunnel(upstream)) != NULL)
        finish(transfer, UPSTREAM_FINE, "");
}

monotonic_time upstream_due(const struct upstream *upstream)
{
    return upstream->tunnels_ended ? clock_monotonic() : upstream->timer;
}

void upstream_run(struct upstream *upstream)
{
    if (upstream->timer.nanoseconds <= clock_monotonic().nanoseconds) {
        int running;
        upstream->timer = MONOTONIC_NEVER;
        curl_multi_socket_action(upstream->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    finish_all_done(upstream);
    finish_ended_tunnels(upstream);
}

/* Whether the server is to say something. Where the client does not send, nobody is to blame. */
static bool is_waited_for(const struct transfer *transfer)
{
    if (transfer->state == TRANSFER_IN_BODY)
        return transfer->whole && (transfer->paused & CURLPAUSE_RECV) == 0;
    return transfer->state < TRANSFER_IN_BODY &&
           (transfer->asks_upgrade || (transfer->paused & CURLPAUSE_SEND) == 0);
}

/* One whose server is silent for too long, or NULL. */
static struct transfer *find_silent(struct upstream *upstream, monotonic_time now)
{
    int64_t limit = upstream->settings.idle_timeout_ms * NANOSECONDS_PER_MILLISECOND;
    for (struct transfer *transfer = upstream->live; transfer != NULL; transfer = transfer->next) {
        if (is_waited_for(transfer) && monotonic_elapsed(transfer->progress, now) > limit)
            return transfer;
    }
    return NULL;
}

void upstream_tick(struct upstream *upstream)
{
    monotonic_time now = clock_monotonic();
    struct transfer *transfer;
    for (transfer = upstream->live; transfer != NULL; transfer = transfer->next)
        end_pause_of_sending(transfer);
    while ((transfer = find_silent(upstream, now)) != NULL)
        finish(transfer, UPSTREAM_TIMEOUT,
               transfer->state == TRANSFER_IN_BODY
                   ? "the server did not go on with its answer in time"
                   : "the server did not begin its answer in time");
}

struct upstream *upstream_create(const struct upstream_settings *settings, struct loop *loop)
{
    struct upstream *upstream = calloc(1, sizeof *upstream);
    if (upstream == NULL)
        return NULL;
    upstream->settings = *settings;
    upstream->loop = loop;
    upstream->timer = MONOTONIC_NEVER;
    upstream->keeps_handles = curl_version_info(CURLVERSION_NOW)->version_num >= CURL_KEEPS_HANDLES;
    upstream->multi = curl_multi_init();
    upstream->url = curl_url();
    if (upstream->multi == NULL || upstream->url == NULL ||
        curl_url_set(upstream->url, CURLUPART_URL, settings->url, 0) != CURLUE_OK) {
        curl_multi_cleanup(upstream->multi);
        curl_url_cleanup(upstream->url);
        free(upstream);
        return NULL;
    }
    curl_multi_setopt(upstream->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(upstream->multi, CURLMOPT_SOCKETDATA, upstream);
    curl_multi_setopt(upstream->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(upstream->multi, CURLMOPT_TIMERDATA, upstream);
    curl_multi_setopt(upstream->multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS);
    curl_multi_setopt(upstream->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    return upstream;
}

void upstream_destroy(struct upstream *upstream)
{
    if (upstream == NULL)
        return;
    while (upstream->live != NULL)
        release(upstream->live, false);
    while (upstream->spare_count > 0)
        curl_easy_cleanup(take_handle(upstream));
    curl_multi_cleanup(upstream->multi);
    curl_url_cleanup(upstream->url);
    for (size_t i = 0; i < upstream->watched_count; i++)
        free(upstream->watched[i]);
    free(upstream->watched);
    free(upstream);
}

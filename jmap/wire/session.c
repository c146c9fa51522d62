#include "jmap/wire/session.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/wire/json_text.h"

/*
 * jansson tells no positions, and writing its tree anew would change bytes that are none of the
 * gate's business. So jansson only says that the text is JSON; then a walk over its tokens, which
 * needs to know no more of JSON than where strings and brackets end, finds the values.
 */
struct text {
    const char *bytes;
    size_t len;
};

#define NOWHERE ((size_t)-1)
#define PIECES 12

bool session_is_target(const char *path, size_t len)
{
    static const char *const targets[] = {"/jmap/session", "/.well-known/jmap", "/api/discover"};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        size_t target_len = strlen(targets[i]);
        if (len >= target_len && memcmp(path, targets[i], target_len) == 0 &&
            (len == target_len || path[target_len] == '/' || path[target_len] == '?'))
            return true;
    }
    return false;
}

/* ---- the walk ---- */

static size_t skip_space(struct text text, size_t at)
{
    while (at < text.len && memchr(" \t\r\n", text.bytes[at], 4) != NULL)
        at++;
    return at;
}

/* From a string's first quote to behind its last. */
static size_t skip_string(struct text text, size_t at)
{
    for (at++; at < text.len && text.bytes[at] != '"'; at++)
        at += text.bytes[at] == '\\';
    return at < text.len ? at + 1 : text.len;
}

static size_t skip_value(struct text text, size_t at)
{
    size_t depth = 0;
    do {
        char byte = at < text.len ? text.bytes[at] : '}';
        if (byte == '"') {
            at = skip_string(text, at);
            continue;
        }
        if (byte == '{' || byte == '[')
            depth++;
        else if ((byte == '}' || byte == ']') && depth > 0)
            depth--;
        at++;
    } while (at < text.len && (depth > 0 || memchr(",]} \t\r\n", text.bytes[at], 7) == NULL));
    return at;
}

/* The value of an object's member of that name, of the last where several have it. */
static size_t find_member(struct text text, size_t object, const char *name)
{
    size_t found = NOWHERE;
    size_t name_len = strlen(name);
    if (object >= text.len || text.bytes[object] != '{')
        return NOWHERE;
    size_t at = skip_space(text, object + 1);
    while (at < text.len && text.bytes[at] == '"') {
        size_t end = skip_string(text, at);
        size_t value = skip_space(text, skip_space(text, end) + 1); /* behind the colon */
        if (end - at == name_len + 2 && memcmp(text.bytes + at + 1, name, name_len) == 0)
            found = value;
        at = skip_space(text, skip_value(text, value));
        if (at < text.len && text.bytes[at] == ',')
            at = skip_space(text, at + 1);
    }
    return found;
}

/* ---- what is to be replaced ---- */

enum piece_kind {
    PIECE_WEB, /* http or https, up to the end of the authority */
    PIECE_SOCKET,
    PIECE_LIMIT, /* a number */
};

struct piece {
    size_t begin, end;
    enum piece_kind kind;
};

static bool find_url(struct text text, size_t value, struct piece *out)
{
    static const char *const schemes[] = {"http://", "https://", "ws://", "wss://"};
    if (value >= text.len || text.bytes[value] != '"')
        return false;
    size_t end = skip_string(text, value) - 1;
    size_t begin = value + 1;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t scheme_len = strlen(schemes[i]);
        if (end - begin <= scheme_len || memcmp(text.bytes + begin, schemes[i], scheme_len) != 0)
            continue;
        size_t at = begin + scheme_len;
        while (at < end && memchr("/?#{\\", text.bytes[at], 5) == NULL)
            at++;
        *out = (struct piece){.begin = begin, .end = at, .kind = i >= 2 ? PIECE_SOCKET : PIECE_WEB};
        return at == end || text.bytes[at] != '\\';
    }
    return false;
}

/* A whole number above the gate's limit. One that is too long to be read is, too. */
static bool find_limit(struct text text, size_t value, size_t max_request, struct piece *out)
{
    size_t number = 0;
    size_t at = value;
    for (; at < text.len && text.bytes[at] >= '0' && text.bytes[at] <= '9'; at++) {
        size_t digit = (size_t)(text.bytes[at] - '0');
        number = number > (SIZE_MAX - digit) / 10 ? SIZE_MAX : number * 10 + digit;
    }
    *out = (struct piece){.begin = value, .end = at, .kind = PIECE_LIMIT};
    return value < text.len && at > value && at < text.len &&
           memchr(".eE", text.bytes[at], 3) == NULL && number > max_request;
}

static int session_compare(const void *a, const void *b)
{
    const struct piece *one = a, *other = b;
    return one->begin < other->begin ? -1 : one->begin > other->begin;
}

/* True where both values are strings, and the longer one is the other with `path` behind it. */
static bool is_below(struct text text, size_t longer, size_t value, const char *path)
{
    if (longer >= text.len || value >= text.len || text.bytes[longer] != '"' ||
        text.bytes[value] != '"')
        return false;
    size_t len = skip_string(text, value) - value - 1; /* with its first quote */
    size_t path_len = strlen(path);
    return skip_string(text, longer) - longer - 1 == len + path_len &&
           memcmp(text.bytes + longer, text.bytes + value, len) == 0 &&
           memcmp(text.bytes + longer + len, path, path_len) == 0;
}

/* Of the document for signing in, where it is the server's own. */
static size_t find_endpoints(struct text text, size_t root, struct piece pieces[static PIECES])
{
    static const struct {
        const char *name, *path;
    } endpoints[] = {
        {"registration_endpoint", "/auth/register"},
        {"authorization_endpoint", "/login"},
        {"token_endpoint", "/auth/token"},
        {"userinfo_endpoint", "/auth/userinfo"},
        {"jwks_uri", "/auth/jwks.json"},
        {"device_authorization_endpoint", "/auth/device"},
    };
    size_t issuer = find_member(text, root, "issuer");
    size_t count = 0;
    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++) {
        size_t value = find_member(text, root, endpoints[i].name);
        if (is_below(text, value, issuer, endpoints[i].path))
            count += find_url(text, value, &pieces[count]);
        else if (i == 0)
            break;
    }
    return count;
}

static size_t find_urls(struct text text, size_t root, size_t capabilities,
                        struct piece pieces[static PIECES])
{
    static const char *const names[] = {"apiUrl", "uploadUrl", "downloadUrl", "eventSourceUrl"};
    size_t count = find_endpoints(text, root, pieces);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        count += find_url(text, find_member(text, root, names[i]), &pieces[count]);
    size_t socket = find_member(text, capabilities, "urn:ietf:params:jmap:websocket");
    count += find_url(text, find_member(text, socket, "url"), &pieces[count]);
    return count;
}

/* In their order in the text. */
static size_t find_pieces(struct text text, const struct session_front *front,
                          struct piece pieces[static PIECES])
{
    size_t root = skip_space(text, 0);
    size_t capabilities = find_member(text, root, "capabilities");
    size_t core = find_member(text, capabilities, "urn:ietf:params:jmap:core");
    size_t count = front->authority != NULL ? find_urls(text, root, capabilities, pieces) : 0;
    count += find_limit(text, find_member(text, core, "maxSizeRequest"), front->max_request,
                        &pieces[count]);
    qsort(pieces, count, sizeof *pieces, session_compare);
    return count;
}

/* ---- replacing ---- */

static char *session_append(char *at, const char *bytes, size_t len)
{
    memcpy(at, bytes, len);
    return at + len;
}

static char *append_text(char *at, const char *text)
{
    return session_append(at, text, strlen(text));
}

static char *append_piece(char *at, const struct piece *piece, const struct session_front *front)
{
    if (piece->kind == PIECE_LIMIT)
        return at + sprintf(at, "%zu", front->max_request);
    bool secure = strcmp(front->scheme, "https") == 0;
    at = append_text(at, piece->kind == PIECE_SOCKET ? "ws" : "http");
    at = append_text(at, secure ? "s://" : "://");
    return append_text(at, front->authority);
}

static char *replace(struct text text, const struct piece *pieces, size_t count,
                     const struct session_front *front, size_t *out_len)
{
    /* "https" is the longest of the four schemes, and a number has up to 20 digits. */
    size_t longest =
        strlen("https://") + (front->authority != NULL ? strlen(front->authority) : 0) + 20;
    char *out = malloc(text.len + count * longest + 1);
    if (out == NULL)
        return NULL;
    char *at = out;
    size_t copied = 0;
    for (size_t i = 0; i < count; i++) {
        at = session_append(at, text.bytes + copied, pieces[i].begin - copied);
        at = append_piece(at, &pieces[i], front);
        copied = pieces[i].end;
    }
    at = session_append(at, text.bytes + copied, text.len - copied);
    *at = '\0';
    *out_len = (size_t)(at - out);
    return out;
}

char *session_rewrite(const char *bytes, size_t len, const struct session_front *front,
                      size_t *out_len, bool *no_memory)
{
    struct text text = {bytes, len};
    struct piece pieces[PIECES];
    json_t *session = json_text_read(bytes, len, 0, NULL, no_memory);
    if (session == NULL)
        return NULL;
    json_decref(session);
    size_t count = find_pieces(text, front, pieces);
    if (count == 0)
        return NULL;
    char *out = replace(text, pieces, count, front, out_len);
    *no_memory = out == NULL;
    return out;
}

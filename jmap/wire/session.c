#include "jmap/wire/session.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/wire/json_text.h"
#include "jmap/wire/json_walk.h"

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

/*
 * The value of an object's member of that name, of the last where several have it; NULL where there
 * is none. The text is JSON, as jansson has found: writing its tree anew would change bytes that
 * are none of the gate's business.
 */
static const char *find_member(const char *object, const char *end, const char *name)
{
    const char *found = NULL;
    size_t name_len = strlen(name);

    if (!object || object == end || *object != '{')
        return NULL;
    const char *at = json_walk_space(object + 1, end);
    while (at && at < end && *at == '"') {
        const char *member = at;
        const char *behind = json_walk_string(member, end);
        if (!behind)
            break;
        const char *value = json_walk_space(json_walk_space(behind, end) + 1, end); /* the colon */
        if ((size_t)(behind - member) == name_len + 2 && memcmp(member + 1, name, name_len) == 0)
            found = value;
        at = json_walk_value(value, end);
        at = at ? json_walk_space(at, end) : NULL;
        if (at && at < end && *at == ',')
            at = json_walk_space(at + 1, end);
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
    const char *begin, *end;
    enum piece_kind kind;
};

static bool find_url(const char *value, const char *end, struct piece *out)
{
    static const char *const schemes[] = {"http://", "https://", "ws://", "wss://"};

    if (!value || *value != '"')
        return false;
    const char *begin = value + 1;
    const char *quote = json_walk_string(value, end) - 1;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t scheme_len = strlen(schemes[i]);
        if ((size_t)(quote - begin) <= scheme_len || memcmp(begin, schemes[i], scheme_len) != 0)
            continue;
        const char *at = begin + scheme_len;
        while (at < quote && memchr("/?#{\\", *at, 5) == NULL)
            at++;
        *out = (struct piece){.begin = begin, .end = at, .kind = i >= 2 ? PIECE_SOCKET : PIECE_WEB};
        return at == quote || *at != '\\';
    }
    return false;
}

/* A whole number above the gate's limit. One that is too long to be read is, too. */
static bool find_limit(const char *value, const char *end, size_t max_request, struct piece *out)
{
    size_t number = 0;
    const char *at = value;

    for (; at && *at >= '0' && *at <= '9'; at++) {
        size_t digit = (size_t)(*at - '0');
        number = number > (SIZE_MAX - digit) / 10 ? SIZE_MAX : number * 10 + digit;
    }
    *out = (struct piece){.begin = value, .end = at, .kind = PIECE_LIMIT};
    return at > value && at < end && memchr(".eE", *at, 3) == NULL && number > max_request;
}

static int session_compare(const void *a, const void *b)
{
    const struct piece *one = a, *other = b;
    return one->begin < other->begin ? -1 : one->begin > other->begin;
}

/* True where both values are strings, and the longer one is the other with `path` behind it. */
static bool is_below(const char *longer, const char *value, const char *end, const char *path)
{
    if (!longer || !value || *longer != '"' || *value != '"')
        return false;
    size_t len = (size_t)(json_walk_string(value, end) - value) - 1; /* with its first quote */
    size_t path_len = strlen(path);
    return (size_t)(json_walk_string(longer, end) - longer) - 1 == len + path_len &&
           memcmp(longer, value, len) == 0 && memcmp(longer + len, path, path_len) == 0;
}

/* Of the document for signing in, where it is the server's own. */
static size_t find_endpoints(const char *root, const char *end, struct piece pieces[static PIECES])
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
    const char *issuer = find_member(root, end, "issuer");
    size_t count = 0;
    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++) {
        const char *value = find_member(root, end, endpoints[i].name);
        if (is_below(value, issuer, end, endpoints[i].path))
            count += find_url(value, end, &pieces[count]);
        else if (i == 0)
            break;
    }
    return count;
}

static size_t find_urls(const char *root, const char *capabilities, const char *end,
                        struct piece pieces[static PIECES])
{
    static const char *const names[] = {"apiUrl", "uploadUrl", "downloadUrl", "eventSourceUrl"};
    size_t count = find_endpoints(root, end, pieces);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        count += find_url(find_member(root, end, names[i]), end, &pieces[count]);
    const char *socket = find_member(capabilities, end, "urn:ietf:params:jmap:websocket");
    count += find_url(find_member(socket, end, "url"), end, &pieces[count]);
    return count;
}

/* In their order in the text. */
static size_t find_pieces(const char *text, const char *end, const struct session_front *front,
                          struct piece pieces[static PIECES])
{
    const char *root = json_walk_space(text, end);
    const char *capabilities = find_member(root, end, "capabilities");
    const char *core = find_member(capabilities, end, "urn:ietf:params:jmap:core");
    size_t count = front->authority != NULL ? find_urls(root, capabilities, end, pieces) : 0;
    count += find_limit(find_member(core, end, "maxSizeRequest"), end, front->max_request,
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

static char *replace(const char *text, const char *end, const struct piece *pieces, size_t count,
                     const struct session_front *front, size_t *out_len)
{
    /* "https" is the longest of the four schemes, and a number has up to 20 digits. */
    size_t longest =
        strlen("https://") + (front->authority != NULL ? strlen(front->authority) : 0) + 20;
    char *out = malloc((size_t)(end - text) + count * longest + 1);
    if (out == NULL)
        return NULL;
    char *at = out;
    const char *copied = text;
    for (size_t i = 0; i < count; i++) {
        at = session_append(at, copied, (size_t)(pieces[i].begin - copied));
        at = append_piece(at, &pieces[i], front);
        copied = pieces[i].end;
    }
    at = session_append(at, copied, (size_t)(end - copied));
    *at = '\0';
    *out_len = (size_t)(at - out);
    return out;
}

char *session_rewrite(const char *text, size_t len, const struct session_front *front,
                      size_t *out_len, bool *no_memory)
{
    struct piece pieces[PIECES];
    json_t *session = json_text_read(text, len, 0, NULL, no_memory);
    if (session == NULL)
        return NULL;
    json_decref(session);
    size_t count = find_pieces(text, text + len, front, pieces);
    if (count == 0)
        return NULL;
    char *out = replace(text, text + len, pieces, count, front, out_len);
    *no_memory = out == NULL;
    return out;
}

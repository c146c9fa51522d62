#include "proxy/relay/challenge.h"

#include <string.h>

#include "policy/url.h"
#include "proxy/relay/reply.h"

#define CHALLENGE_PATH "/.well-known/acme-challenge/"

/* The characters of a token: base64url without padding (RFC 8555, section 8.1). */
static bool is_token(const char *text)
{
    return text[0] != '\0' &&
           text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")] ==
               '\0';
}

bool challenge_is_asked(const struct request_head *request_head)
{
    size_t len = strlen(CHALLENGE_PATH);
    return (strcmp(request_head->method, "GET") == 0 ||
            strcmp(request_head->method, "HEAD") == 0) &&
           strncmp(request_head->target, CHALLENGE_PATH, len) == 0 &&
           is_token(request_head->target + len);
}

/*
 * The client's host has a port that is the plain listener's. NULL where it has said no host, and
 * nothing is configured; or without memory.
 */
static const char *origin_of(const struct config *config, const struct request_head *request_head,
                             struct arena *arena)
{
    const char *host = request_head->from.host;
    if (config->public_url != NULL && strncmp(config->public_url, "https://", 8) == 0)
        return config->public_url;
    return host == NULL ? NULL : arena_format(arena, "https://%.*s", (int)url_host_len(host), host);
}

/* The target's path and query: what follows the authority of an absolute one. */
static const char *path_of(const char *target)
{
    const char *authority = target[0] == '/' ? NULL : url_authority(target);
    const char *path = authority != NULL ? authority + strcspn(authority, "/?#") : target;
    return path[0] == '/' ? path : "/";
}

bool challenge_redirect(const struct config *config, const struct request_head *request_head,
                        struct arena *arena, struct answer *out)
{
    const char *origin = origin_of(config, request_head, arena);
    if (origin == NULL)
        return reply_problem(400, "Bad Request",
                             "This address only leads to HTTPS, of a host that "
                             "the request must name.",
                             arena, out);
    const char *location = arena_format(arena, "%s%s", origin, path_of(request_head->target));
    struct field *fields = arena_alloc(arena, sizeof *fields);
    if (location == NULL || fields == NULL)
        return false;
    *fields = field_of("Location", location);
    /* 308: a method stays what it is (RFC 9110, section 15.4.9). */
    *out = (struct answer){
        .status = 308, .fields = {.fields = fields, .count = 1}, .kind = ANSWER_WHOLE, .body = ""};
    return true;
}

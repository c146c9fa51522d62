#include "proxy/relay/reading.h"

#include "jmap/wire/endpoint.h"
#include "jmap/wire/json_size.h"
#include "jmap/wire/request.h"

/* The tree, a copy of each of its parts, and what is noted of each; the text that is written. */
#define TREES 3
#define TEXTS 3

enum reading reading_of(struct budget_account *account, const char *body, size_t len)
{
    if (!endpoint_may_contain_create(body, len) || !request_may_hold(body, len))
        return READING_NEEDLESS;
    size_t tree = json_size_bound(body, len);
    if (tree > READING_BASE + READING_FACTOR * len)
        return READING_TOO_MUCH;
    return budget_take(account, TREES * tree + TEXTS * len) ? READING_ALLOWED : READING_NO_ROOM;
}

bool reading_takes_answer(struct budget_account *account, const char *body, size_t len)
{
    return budget_take(account, json_size_bound(body, len) + TEXTS * len);
}

const char *reading_refusal(enum reading reading)
{
    return reading == READING_TOO_MUCH
               ? "it may hold a renewal, and has more values than the server takes"
               : "requests that are held take all of RENEWGATE_MAX_BUFFERED, or of a client's half";
}

#ifndef RENEWGATE_PROXY_SERVER_API_CALL_H
#define RENEWGATE_PROXY_SERVER_API_CALL_H

/*
 * Requests of the gate's own to the server's API, and answers of the API that are read whole.
 */

#include <stdbool.h>
#include <stddef.h>

#include "proxy/base/budget.h"
#include "proxy/base/buffer.h"
#include "proxy/server/upstream.h"

/* The largest such answer, in bytes. */
#define API_ANSWER_LIMIT ((size_t)64 << 20)

/* A POST of a JMAP request, which is borrowed, or a GET of the session; fields are to be added. */
struct upstream_request api_call(bool is_session, const char *body, size_t len);

/* The next piece of an answer, behind what came of it before. */
enum data_result api_call_take(struct buffer *content, const char *bytes, size_t len);

/*
 * The answer to a request of the gate's own, whose size the server's own content decides: counted
 * against the budget as it comes, and its tree before it is read.
 */
struct api_answer {
    unsigned status;
    struct buffer content;
    struct budget_account account;
    bool no_room; /* the budget had none for it: there is no answer */
};

/* In words. */
#define API_ANSWER_NO_ROOM                                                                         \
    "no room for the server's answer: all of RENEWGATE_MAX_BUFFERED is taken, or a client's half"

/* `client`: as budget_open() takes it. `budget` may be NULL: then nothing is counted. */
void api_answer_open(struct api_answer *answer, struct budget *budget, const char *client);

/* The next piece of it. */
enum data_result api_answer_take(struct api_answer *answer, const char *bytes, size_t len);

/* It is whole, and about to be read. False where its tree has no room. */
bool api_answer_ends(struct api_answer *answer);

/* Gives back what it took; it may begin anew. Allowed when it was never opened. */
void api_answer_clear(struct api_answer *answer);

#endif

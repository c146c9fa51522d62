#ifndef RENEWGATE_JMAP_WIRE_ANSWER_H
#define RENEWGATE_JMAP_WIRE_ANSWER_H

/*
 * The server's answer to a request with held creates, read and written so that it is what the
 * server would have said had it decided itself: no member that it would leave out, none in
 * another place.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct jmap_answer {
    json_t *root;      /* changed in place */
    json_t **sets;     /* for each method call: the arguments of its x:Task/set answer, or NULL */
    json_t *destroyed; /* object: ids of the tasks that they say are destroyed */
    size_t call_count;
};

/* False where the bytes are no answer to the calls, or memory ran out; `out` is then empty. */
bool answer_parse(const char *body, size_t len, const json_t *calls, struct jmap_answer *out);

void answer_clear(struct jmap_answer *answer);

/*
 * Whether a request that was answered with this status, and not as it should be, may have been
 * carried out, or be yet. A refusal by the server's own words is one; silence (0), a failure on the
 * way and what makes no sense are not.
 */
bool answer_is_lost(unsigned status);

/* The id that the server made for a create, or NULL. Borrowed. */
const char *answer_created_id(const struct jmap_answer *answer, size_t call, const char *key);

/* The type of the error that the server gave a create, or NULL. Borrowed. */
const char *answer_error_type(const struct jmap_answer *answer, size_t call, const char *key);

/* Whether any call of the request has destroyed that task. */
bool answer_has_destroyed(const struct jmap_answer *answer, const char *id);

/* True when the create got as far as its domain: shape and permission are in order. */
bool answer_is_placeholder(const struct jmap_answer *answer, size_t call, const char *key);

/* Answers a create with an id, in place of its error. False when memory ran out. */
bool answer_set_created(struct jmap_answer *answer, size_t call, const char *key, const char *id);

/* Answers a create with a set error; the reference is taken over. False when memory ran out. */
bool answer_set_error(struct jmap_answer *answer, size_t call, const char *key, json_t *error);

/*
 * What the calls of the request have made, by key: an object of ids, the caller's. As to the
 * server, a key means what was made under it last, by a call that can make something. NULL when
 * memory ran out.
 */
json_t *answer_made(const struct jmap_answer *answer);

/*
 * What the server says that keys mean; NULL where it does not, or no key means anything. Borrowed.
 */
const json_t *answer_created_ids(const struct jmap_answer *answer);

/* What the answer's createdIds say of a key. False when memory ran out. */
bool answer_set_created_id(struct jmap_answer *answer, const char *key, json_t *id);

/* Takes the createdIds out. */
void answer_drop_created_ids(struct jmap_answer *answer);

/* The answer as text, the caller's to free(); NULL when memory ran out. */
char *answer_text(const struct jmap_answer *answer, size_t *len);

#endif

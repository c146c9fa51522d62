#ifndef RENEWGATE_JMAP_CREATE_HOLD_ANSWER_H
#define RENEWGATE_JMAP_CREATE_HOLD_ANSWER_H

/*
 * The answer to the client.
 */

#include "jmap/create/hold_state.h"

/* The problem documents of the gate's own. */
extern const char hold_no_memory[];
extern const char hold_no_answer[];

/* Writes what was decided into the server's. */
void hold_write_answer(struct hold *hold);

/*
 * The answer to a request that the server could not read: what was sent in the client's place is
 * not for it to see, as it names a task.
 */
void hold_repeat_own_words(struct hold *hold, const char *body, size_t len);

#endif

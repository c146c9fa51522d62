#ifndef RENEWGATE_JMAP_CREATE_HOLD_VERDICT_H
#define RENEWGATE_JMAP_CREATE_HOLD_VERDICT_H

/*
 * What becomes of each create: decided before the client's request goes out, written into it, and
 * judged by the server's answer. `i` is a create's place in the request.
 */

#include "jmap/create/hold_state.h"

void verdict_decide(struct hold *hold, size_t i);

/* Decides the domain's creates anew, by what the client's request has left. */
void verdict_decide_late(struct hold *hold, struct domain *domain);

/* Turns the decision to let the server make a task into a refusal; false where it was another. */
bool verdict_refuse(struct hold *hold, size_t i);

/* The same where others may be deciding at the same time, for moves too. */
void verdict_keep_off(struct hold *hold, size_t i);

/* Puts the decision into the request. False when memory ran out. */
bool verdict_write(struct hold *hold, size_t i);

/* What the server's answer to the client's request makes of the create. */
void verdict_judge(struct hold *hold, size_t i);

/* Keeps the type of the server's error, which outlives the answer; NULL: there is none. */
void verdict_note_error(struct verdict *verdict, const char *type);

/* Twins get what the first of them got. */
void verdict_settle_twins(struct hold *hold);

/* Gives the account's time back that was taken for the domain, unless a task was made for it. */
void verdict_settle_time(const struct hold *hold, struct domain *domain);

/* When the task is due that the domain's first create has made or moved. */
wall_time verdict_due(const struct hold *hold, const struct domain *domain);

/* Nothing was made of it, and it is to be decided anew. */
void verdict_give_time(const struct hold *hold, struct domain *domain);

/* Whether the server may still be making a task of the domain. */
bool verdict_is_unknown(const struct hold *hold, const struct domain *domain);

#endif

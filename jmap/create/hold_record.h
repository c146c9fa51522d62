#ifndef RENEWGATE_JMAP_CREATE_HOLD_RECORD_H
#define RENEWGATE_JMAP_CREATE_HOLD_RECORD_H

/*
 * What is remembered of a hold, and what is reported.
 */

#include "jmap/create/hold_state.h"

/* Creates are on their way: even if no answer comes it is known that they were sent. */
void hold_remember_sent(struct hold *hold);

/* They have not gone out after all. */
void hold_forget_sent(struct hold *hold);

/* Their answer is lost: of those that it lets the server make, nobody knows what has become. */
void hold_lose_answer(struct hold *hold);

void hold_remember(struct hold *hold, const struct domain *domain);
void hold_note_snapshot(const struct hold *hold, const struct domain *domain);
void hold_report_verdict(const struct hold *hold, size_t i);

#endif

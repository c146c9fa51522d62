#ifndef RENEWGATE_JMAP_CREATE_HOLD_HISTORY_H
#define RENEWGATE_JMAP_CREATE_HOLD_HISTORY_H

/*
 * The phase that asks the server about domains whose creates wait behind the cut, where a call
 * before it may take certificates away: when these were issued counts, and is to be read while they
 * are there. What is found is remembered (policy/issue_history.h); nothing is decided by it here.
 */

#include "jmap/create/hold_state.h"

/* Lists these domains, before the request is cut. False when memory ran out. */
bool hold_list_history(struct hold *hold);

enum phase_step hold_begin_history(struct hold *hold);
enum phase_step hold_feed_history(struct hold *hold, unsigned status, const char *body, size_t len);
enum phase_step hold_fail_history(struct hold *hold, const char *why);
void hold_describe_history(const struct hold *hold, struct hold_request *request);

/* Ends what is under way, and forgets which domains these are. Allowed twice. */
void hold_drop_history(struct hold *hold);

#endif

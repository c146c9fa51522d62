#ifndef RENEWGATE_JMAP_CREATE_HOLD_COLLAPSE_H
#define RENEWGATE_JMAP_CREATE_HOLD_COLLAPSE_H

/*
 * The phase that leaves one retry for each domain that was looked at, one domain after another.
 * What fails there is left as it is.
 */

#include "jmap/create/hold_state.h"

enum phase_step hold_begin_collapse(struct hold *hold);
enum phase_step hold_feed_collapse(struct hold *hold, unsigned status, const char *body,
                                   size_t len);
void hold_describe_collapse(const struct hold *hold, struct hold_request *request);

/* Ends what is under way. Allowed twice. */
void hold_drop_collapse(struct hold *hold);

#endif

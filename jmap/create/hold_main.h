#ifndef RENEWGATE_JMAP_CREATE_HOLD_MAIN_H
#define RENEWGATE_JMAP_CREATE_HOLD_MAIN_H

/*
 * The phase with the client's own request: each create is decided and written into it, and judged
 * by what the server answers.
 */

#include "jmap/create/hold_state.h"

enum phase_step hold_begin_main(struct hold *hold);
enum phase_step hold_feed_main(struct hold *hold, unsigned status, const char *body, size_t len);
void hold_describe_main(const struct hold *hold, struct hold_request *request);

/* What was to be made is another's by now: it goes with that taken out. */
enum phase_step hold_overtake_main(struct hold *hold);

bool hold_main_makes(const struct hold *hold, size_t i);

#endif

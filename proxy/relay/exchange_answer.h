#ifndef RENEWGATE_PROXY_RELAY_EXCHANGE_ANSWER_H
#define RENEWGATE_PROXY_RELAY_EXCHANGE_ANSWER_H

/*
 * The answer of an exchange, once it is known. `made`: false where memory ran out for it, which
 * ends the client's connection.
 */

#include "proxy/relay/exchange_state.h"

/* The answer is complete; it goes out once the client's body is in. */
void exchange_answer(struct exchange *exchange, bool made);

/* The same of an answer of the gate's own. */
void exchange_answer_own(struct exchange *exchange, bool made);
void exchange_answer_failure(struct exchange *exchange, enum upstream_failure failure);

/* The server's body, all of it here, as the answer's. */
void exchange_answer_received(struct exchange *exchange);

/* Whether an answer of the gate's own can be read by the page that has asked, if one has. */
bool exchange_add_cors(struct exchange *exchange);

/* Takes over the head of the answer to the client's own request. */
bool exchange_take_head(struct exchange *exchange, const struct upstream_head *head);

/* Makes the answer that there is no room for the request. */
bool exchange_refuse_room(struct exchange *exchange);

/*
 * Counts what of the server's answer is kept because it is needed whole; false: there is no room.
 */
bool exchange_count_received(struct exchange *exchange, size_t len);

/* A small body of a known length lies with the rest of the exchange. */
void exchange_lend_room(struct exchange *exchange, struct buffer *buffer, size_t len);

#endif

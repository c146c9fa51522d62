/*
 * Objects as the API shows them.
 */
#ifndef STANDIN_RENDER_H
#define STANDIN_RENDER_H

#include "tests/standin/store.h"

json_t *render_task(const struct task *task);
json_t *render_domain(const struct domain *domain);
json_t *render_provider(const struct provider *provider);
/* With key material only when asked for: 100,000 PEM texts are large. */
json_t *render_cert(const struct cert *cert, bool with_pem);

/* The whole store, as PUT /state would take it. */
json_t *render_state(void);

json_t *render_id(uint64_t id);
json_t *render_time(int64_t when);

#endif

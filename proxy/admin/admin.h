#ifndef RENEWGATE_PROXY_ADMIN_ADMIN_H
#define RENEWGATE_PROXY_ADMIN_ADMIN_H

/*
 * The operator's pages, on an address of their own:
 *
 *     /             the status page (proxy/admin/status_page.h)
 *     /status.json  the same as JSON
 *     /healthz      200 while the process runs
 *     /readyz       200 when clients can be served; 503 while it stops or the server is down
 *     /metrics      for Prometheus
 */

#include <jansson.h>

#include "proxy/relay/gate.h"
#include "proxy/clients/listener.h"

struct admin;

/* What would become of a create for a domain now; called from any thread, and may take its time. */
struct admin_explainer {
    json_t *(*explain)(void *user, const char *domain); /* NULL when memory runs out */
    void *user;
};

/*
 * `explainer` is copied; its `explain` may be NULL. `text` gets the real address. NULL with a line
 * in the log. The gate must outlive it.
 */
struct admin *admin_start(struct gate *gate, const struct admin_explainer *explainer,
                          char text[static LISTENER_TEXT_SIZE]);

/* NULL is allowed. */
void admin_stop(struct admin *admin);

#endif

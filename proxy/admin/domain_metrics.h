#ifndef RENEWGATE_PROXY_ADMIN_DOMAIN_METRICS_H
#define RENEWGATE_PROXY_ADMIN_DOMAIN_METRICS_H

/*
 * Metrics of the domains that the gate has seen: how many stand how, and, only where
 * RENEWGATE_METRICS_DOMAINS asks for it, a series for each of them.
 */

#include <stdbool.h>

#include "proxy/base/buffer.h"
#include "proxy/relay/gate.h"

/* Appends the text exposition format; false when memory runs out. */
bool domain_metrics_render(const struct gate *gate, struct buffer *out);

#endif

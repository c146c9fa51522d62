#ifndef RENEWGATE_PROXY_ADMIN_PROCESS_H
#define RENEWGATE_PROXY_ADMIN_PROCESS_H

/*
 * What the process itself uses of the machine, under the names that all of Prometheus' clients
 * have for it (prometheus.io, "Writing client libraries", section "Process metrics").
 */

#include <stdbool.h>

#include "policy/wall_time.h"
#include "proxy/base/buffer.h"

/* Appends the text exposition format; false when memory runs out. What /proc hides is left out. */
bool process_render(wall_time started, struct buffer *out);

#endif

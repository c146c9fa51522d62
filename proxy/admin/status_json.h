#ifndef RENEWGATE_PROXY_ADMIN_STATUS_JSON_H
#define RENEWGATE_PROXY_ADMIN_STATUS_JSON_H

/*
 * The status as JSON: the same numbers as on the page. Times are RFC 3339 in UTC; what is not
 * known is null.
 */

#include <stdbool.h>

#include "proxy/base/buffer.h"
#include "proxy/admin/status.h"

/* False when memory runs out. */
bool status_json_render(const struct status *status, struct buffer *out);

#endif

#ifndef RENEWGATE_PROXY_ADMIN_STATUS_PAGE_H
#define RENEWGATE_PROXY_ADMIN_STATUS_PAGE_H

/*
 * The status as a page: HTML with inline SVG and its own style sheet, without scripts and with
 * nothing from elsewhere, readable by whatever shows HTML.
 */

#include <stdbool.h>

#include "proxy/base/buffer.h"
#include "proxy/admin/status.h"

/* False when memory runs out. */
bool status_page_render(const struct status *status, struct buffer *out);

#endif

#ifndef RENEWGATE_PROXY_ADMIN_STATUS_CHART_H
#define RENEWGATE_PROXY_ADMIN_STATUS_CHART_H

/*
 * The status page's pictures, as inline SVG. Each has a name in words for those who do not see it.
 */

#include "jmap/facts/domain_snapshot.h"
#include "proxy/telemetry/history.h"
#include "proxy/admin/markup.h"

/* The style sheet's class for an outcome: how the timeline and its key colour it. */
const char *status_chart_class(enum outcome outcome);

/* The last day's decisions, a bar a quarter of an hour. */
void status_chart_timeline(struct markup *markup, const struct history_view *history);

/* A certificate's life from issue to expiry: what is past, when it is renewed, now. */
void status_chart_life(struct markup *markup, const struct domain_snapshot *snapshot,
                       wall_time now);

#endif

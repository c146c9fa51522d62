#ifndef RENEWGATE_PROXY_JOBS_EXPLANATION_H
#define RENEWGATE_PROXY_JOBS_EXPLANATION_H

/* An explanation (jmap/queue/explain.h) as it is shown. */

#include <jansson.h>
#include <stdio.h>

#include "jmap/queue/explain.h"
#include "proxy/config.h"
#include "proxy/telemetry/advice.h"

/* NULL when memory runs out. */
json_t *explanation_json(const struct explanation *explanation, const struct config *config);

/* What a person does next. */
struct advice explanation_advice(const struct explanation *explanation,
                                 const struct config *config);

/* Bytes that a terminal would not just show are written as \xNN. */
void explanation_print(const struct explanation *explanation, const struct config *config,
                       FILE *out);

#endif

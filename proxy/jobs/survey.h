#ifndef RENEWGATE_PROXY_JOBS_SURVEY_H
#define RENEWGATE_PROXY_JOBS_SURVEY_H

/*
 * A survey is a refresh of what is shown: it reads every domain, as an audit does
 * (jmap/queue/audit.h), so that the status page and the metrics know those too that nobody asked to
 * renew and no sweep had to change. Changes nothing at the server.
 */

#include <stdbool.h>
#include <stddef.h>

#include "proxy/jobs/job.h"
#include "proxy/relay/gate.h"

/*
 * One survey, by an open job of the gate's. `domains` is how many it has seen. NULL when it came
 * to its end, else why not; static. Domains that are gone are forgotten at its end.
 */
const char *survey_run(struct gate *gate, struct job *job, const bool *stopping, size_t *domains);

#endif

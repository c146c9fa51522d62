#ifndef RENEWGATE_PROXY_JOBS_EXPLAINER_H
#define RENEWGATE_PROXY_JOBS_EXPLAINER_H

/*
 * Explains what would become of a create (jmap/queue/explain.h), with the gate's own credential and
 * at its pace. From any thread, one at a time: others are told so.
 */

#include <jansson.h>

#include "jmap/queue/explain.h"
#include "proxy/relay/gate.h"

struct explainer;

/* The gate has a credential of its own. NULL when memory or files run out. */
struct explainer *explainer_open(struct gate *gate);

/*
 * What is under way ends soon, and nothing begins any more. From another thread. NULL is allowed.
 */
void explainer_stop(struct explainer *explainer);

/* Nobody uses it any more. NULL is allowed. */
void explainer_close(struct explainer *explainer);

/*
 * `tell` is called once, with what there is to tell, or with NULL and why there is nothing; and why
 * the last request got no answer, in words, or "".
 */
void explainer_ask(struct explainer *explainer, const char *domain, bool forced,
                   void (*tell)(void *user, const struct explanation *explanation,
                                const char *error, const char *detail),
                   void *user);

/* The explanation as JSON; {"error": why} where there is none; NULL when memory runs out. */
json_t *explainer_json(struct explainer *explainer, const char *domain);

#endif

#ifndef RENEWGATE_JMAP_FACTS_JUDGEMENT_H
#define RENEWGATE_JMAP_FACTS_JUDGEMENT_H

/*
 * From what a look-up found of a domain to what becomes of a create: the facts of the table, the
 * account's limit, the decision. A hold acts upon it (jmap/create/hold_verdict.c), an explanation
 * tells it (jmap/queue/explain.c). The audit (policy/audit.c) reads the table too, but only the
 * table: it has the account's limit from its own pace.
 */

#include "jmap/facts/domain_facts.h"
#include "jmap/facts/memory.h"
#include "policy/decide.h"
#include "policy/held.h"
#include "policy/hold_settings.h"

/* Adds to the facts (decision_begin()) those of the domain. What holds it, H and its sources but
 * for the account's limit. */
struct held judgement_add(struct decision_facts *facts, const struct hold_settings *settings,
                          const struct lookup_domain *found);

/* Adds what stands in where nothing can be looked up; `known` has to outlive the facts. */
void judgement_recall(struct decision_facts *facts, const struct hold_settings *settings,
                      struct task_memory *memory, const char *domain_id,
                      struct domain_memory *known);

/*
 * Reads the table; once more where the account has no token for then: H is in the facts then. The
 * time of an order that may come of it is taken in the memory, and `*took` is set, which else stays
 * as it is: it has to be kept or given back (memory_keep_time(), memory_give_time()). NULL: none is
 * taken. `trace` is of the last reading.
 */
struct decision judgement_decide(struct decision_facts *facts, const struct hold_settings *settings,
                                 struct task_memory *memory, const struct lookup_domain *found,
                                 bool *took, struct decision_trace *trace);

#endif

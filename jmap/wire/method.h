#ifndef RENEWGATE_JMAP_WIRE_METHOD_H
#define RENEWGATE_JMAP_WIRE_METHOD_H

/* What a method call (RFC 8620, section 3.2) can do, by the name of its method: the more, the
 * later. */

#include <jansson.h>
#include <stdbool.h>

enum method_kind {
    METHOD_ECHOES,     /* Core/echo: to the server it does nothing at all */
    METHOD_READS,      /* makes nothing and changes nothing, but result references may find it */
    METHOD_SETS_TASKS, /* x:Task/set */
    METHOD_SETS_FACTS, /* what decisions rest on besides: domains, certificates, providers, ... */
    METHOD_OTHER,      /* may give keys a meaning; whatever this gate does not know */
};

enum method_kind method_kind(const json_t *call);

/* Whether it sets certificates, which are such facts. */
bool method_sets_certificates(const json_t *call);

#endif

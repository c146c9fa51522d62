#ifndef RENEWGATE_JMAP_WIRE_BATCH_H
#define RENEWGATE_JMAP_WIRE_BATCH_H

/*
 * What the calls of one request do to one another, as far as held creates are concerned. Read once,
 * in one pass over the request, since each of thousands of creates asks for it.
 *
 * What a call does is known for certain only from its answer: a set may be refused, a method may
 * not exist. So a call whose meaning rests on an earlier one's success waits for the answer, behind
 * the cut; and of what comes after a create, this says only what may happen.
 */

#include <stdbool.h>
#include <stddef.h>

#include "jmap/wire/request.h"

struct batch {
    size_t cut; /* the first call that must wait for the answers to those before it; else all */
    size_t changing; /* how many calls there are up to the last that may change what decisions rest
                      * on, or removes tasks by a result reference; 0: none does */
    bool
        sets_certificates; /* a call before the cut does, so some may be gone once it is answered */
    json_t *removed; /* object: ids of tasks that calls before the cut may destroy or rewrite */
};

/* Which calls wait. */
enum batch_cut {
    BATCH_UNCUT,
    BATCH_CUT_AT_REFERENCES, /* to domains: where no create can be made, but they may mean one */
    BATCH_CUT,
};

/*
 * Reads the whole of a request, or what comes before its cut. A call waits:
 *
 * - with a create of which the domain is a reference, behind any that may give keys a meaning;
 * - with any other create, behind one that sets what the decision rests on, or removes tasks;
 * - with a create and a destroy by a result reference, behind whatever that refers to;
 * - where it speaks of what a create before it makes: until then, nobody knows the task's id.
 *
 * False when memory ran out. End with batch_clear() in any case.
 */
bool batch_read(const struct jmap_request *request, enum batch_cut cut, struct batch *out);

void batch_clear(struct batch *batch);

/*
 * Whether this call, or one after it, may change what the decision about a create in it rests on.
 */
bool batch_changes_after(const struct batch *batch, size_t call);

/* Whether it may destroy or rewrite that task. */
bool batch_removes(const struct batch *batch, const char *task_id);

#endif

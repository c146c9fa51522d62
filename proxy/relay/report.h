#ifndef RENEWGATE_PROXY_RELAY_REPORT_H
#define RENEWGATE_PROXY_RELAY_REPORT_H

/*
 * What the log, the metrics and the status page are told of exchanges with the server, and of what
 * they have changed there.
 */

#include "jmap/create/hold_report.h"
#include "jmap/queue/sweep_context.h"
#include "proxy/base/clock.h"
#include "proxy/clients/downstream.h"
#include "proxy/relay/gate.h"
#include "proxy/server/upstream.h"

/* A request that was made for `request_head` has failed. */
void report_failure(const struct gate *gate, const struct request_head *request_head,
                    enum upstream_failure failure, const char *detail);

/*
 * A request was not held: there was no room for it, or too much in it. Counted each time, logged
 * once a second.
 */
void report_refused_request(const struct gate *gate, const struct request_head *request_head,
                            bool too_much, const char *why);

/* A held create in what came with `request_head`, at `began`, has been decided. */
void report_decision(const struct gate *gate, const struct request_head *request_head,
                     monotonic_time began, const struct hold_report *decision);

/* A sweep has passed over a domain. */
void report_skip(const struct gate *gate, const struct sweep_skip *skip);

/* The status of the answer to a request with the gate's own credential; 0: there was none. */
void report_credential_answer(const struct gate *gate, const char *credential, unsigned status);

/* The server cannot read a task for anyone; `user` is the gate. As memory_watch_unreadable() calls
 * it. */
void report_unreadable_task(void *user, const char *domain_id, const char *task_id);

/*
 * The server's queue of tasks was tidied up; `request_head` is the request that led to it, or NULL.
 */
void report_change(const struct gate *gate, const struct request_head *request_head,
                   const struct queue_change *change);

#endif

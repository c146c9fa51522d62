#include "proxy/relay/report.h"

#include "jmap/tidy/queue_change.h"
#include "proxy/base/budget.h"
#include "proxy/server/service_credential.h"
#include "proxy/telemetry/history.h"

void report_failure(const struct gate *gate, const struct request_head *request_head,
                    enum upstream_failure failure, const char *detail)
{
    metrics_count_upstream_failure(gate->metrics, failure);
    log_event(gate->log, LOG_LEVEL_WARN, "request to the server failed",
              log_text("kind", upstream_failure_name(failure)), log_text("detail", detail),
              log_text("method", request_head->method), log_text("request", request_head->id),
              log_text("peer", request_head->peer));
}

void report_refused_request(const struct gate *gate, const struct request_head *request_head,
                            bool too_much, const char *why)
{
    uint64_t count;
    metrics_count_refusal(gate->metrics, too_much ? METRICS_TOO_MUCH : METRICS_NO_ROOM);
    if (!budget_tells(gate->budget, clock_monotonic().nanoseconds / NANOSECONDS_PER_SECOND, &count))
        return;
    log_event(gate->log, LOG_LEVEL_WARN, "request not held", log_text("why", why),
              log_number("requests", (int64_t)count),
              log_number("buffered", (int64_t)atomic_load(&gate->budget->used)),
              log_number("limit", (int64_t)gate->budget->limit),
              log_text("request", request_head->id), log_text("peer", request_head->peer));
}

void report_decision(const struct gate *gate, const struct request_head *request_head,
                     monotonic_time began, const struct hold_report *decision)
{
    int64_t elapsed = monotonic_elapsed(began, clock_monotonic());
    bool reached = decision->observed || decision->forwarded;
    metrics_count_decision(gate->metrics, decision->outcome, reached);
    history_note(gate->history, decision, clock_wall());
    log_event(gate->log, LOG_LEVEL_INFO, "decision", log_text("domain_id", decision->domain_id),
              log_text("domain", decision->domain_name),
              log_text("outcome", outcome_name(decision->outcome)),
              log_number("row", decision->row), log_text("why", decision->why),
              log_text("id", decision->id), log_flag("observed", decision->observed),
              log_time("due", decision->due), log_time("renewal_due", decision->renewal_due),
              log_time("refused_until", decision->refused_until),
              log_text("failure", decision->failure), log_number("microseconds", elapsed / 1000),
              log_text("request", request_head->id), log_text("peer", request_head->peer));
}

void report_skip(const struct gate *gate, const struct sweep_skip *skip)
{
    log_event(gate->log, LOG_LEVEL_WARN, "sweep passed over a domain",
              log_text("domain_id", skip->domain_id), log_text("domain", skip->domain_name),
              log_text("error", skip->error), log_number("status", skip->status));
}

void report_change(const struct gate *gate, const struct request_head *request_head,
                   const struct queue_change *change)
{
    metrics_count_change(gate->metrics, change->action);
    log_event(gate->log, LOG_LEVEL_INFO, "queue changed",
              log_text("action", queue_action_name(change->action)),
              log_text("domain_id", change->domain_id), log_text("domain", change->domain_name),
              log_text("id", change->id), log_time("due", change->due),
              log_text("survivor", change->survivor), log_text("old_state", change->old_state),
              log_time("old_due", change->old_due), log_text("old_reason", change->old_reason),
              log_text("request", request_head != NULL ? request_head->id : NULL),
              log_text("peer", request_head != NULL ? request_head->peer : NULL));
}

void report_credential_answer(const struct gate *gate, const char *credential, unsigned status)
{
    monotonic_time now = clock_monotonic();
    enum service_credential_news news =
        service_credential_answered(gate->credential, credential, status, now);
    if (news == SERVICE_CREDENTIAL_ACCEPTED)
        log_event(gate->log, LOG_LEVEL_INFO, "the server takes the gate's own credential again",
                  log_number("status", status));
    if (news != SERVICE_CREDENTIAL_REFUSED)
        return;
    struct service_credential_state state = service_credential_state(gate->credential, now);
    metrics_count_credential_refusal(gate->metrics);
    log_event(gate->log, LOG_LEVEL_WARN,
              "the server refuses the gate's own credential, which rests",
              log_number("status", status), log_number("refusals", state.refusals),
              log_number("rest_milliseconds", state.rest_left_ms));
}

void report_unreadable_task(void *user, const char *domain_id, const char *task_id)
{
    const struct gate *gate = user;
    metrics_count_unreadable_task(gate->metrics);
    log_event(gate->log, LOG_LEVEL_WARN,
              "a task that the server cannot read, change or remove is passed over",
              log_text("domain_id", domain_id), log_text("id", task_id));
}

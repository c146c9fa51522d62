#include "jmap/wire/task_text.h"

#include <string.h>

#include "jmap/wire/object_text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* More than any that is read for what it says. */
#define REASON_SIZE 512

struct parts {
    struct text_slice id, domain_id, type, status;
    struct text_slice state, due, reason, attempts, failed_at, attempts_in_all; /* of the status */
};

/* When it is due: see own_request_task(). */
static bool read_due(const struct parts *parts, enum task_state state, wall_time now,
                     wall_time *out)
{
    char reason[REASON_SIZE];
    struct renewal_task task = {.state = state};

    if (!object_text_time(&parts->due, &task.due))
        return false;
    if (parts->attempts.text && (parts->attempts.kind != TEXT_WORD || *parts->attempts.text > '9'))
        return false;
    if (parts->reason.text && !object_text_copy(&parts->reason, reason, sizeof reason))
        return false;
    task.failure_reason = parts->reason.text ? reason : NULL;
    task.restarted = parts->attempts.len == 1 && *parts->attempts.text == '0';
    *out = renewal_task_due(&task, now);
    return true;
}

/* What is behind the object; NULL where it is not plain. */
static const char *read_parts(const char *text, const char *end, struct parts *parts)
{
    const struct text_member of_status[] = {
        {.name = "@type", .value = &parts->state},
        {.name = "due", .value = &parts->due},
        {.name = "failureReason", .value = &parts->reason},
        {.name = "attemptNumber", .value = &parts->attempts},
        {.name = "failedAt", .value = &parts->failed_at},
        {.name = "failedAttemptNumber", .value = &parts->attempts_in_all}};
    const struct text_member of_task[] = {
        {.name = "id", .value = &parts->id},
        {.name = "domainId", .value = &parts->domain_id},
        {.name = "@type", .value = &parts->type},
        {"status", &parts->status, of_status, COUNT(of_status)},
    };

    return object_text_read(text, end, of_task, COUNT(of_task));
}

const char *task_text_read(const char *text, const char *end, wall_time now, struct task_text *out)
{
    struct parts parts = {0};
    char state[sizeof "Pending"];
    const char *behind = read_parts(text, end, &parts);

    if (!behind || !object_text_is(&parts.type, "AcmeRenewal") ||
        !object_text_copy(&parts.state, state, sizeof state) ||
        !object_text_copy(&parts.id, out->id, sizeof out->id) ||
        !object_text_copy(&parts.domain_id, out->domain_id, sizeof out->domain_id))
        return NULL;
    out->state = task_state_read(state);
    out->due = WALL_TIME_NEVER;
    out->waits = out->state == TASK_PENDING && !parts.reason.text && !parts.attempts.text &&
                 !parts.failed_at.text && !parts.attempts_in_all.text;
    bool readable = out->state == TASK_FAILED || read_due(&parts, out->state, now, &out->due);
    return readable ? behind : NULL;
}

#include "policy/audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/upkeep.h"

#define HOUR INT64_C(3600)
#define DAY (24 * HOUR)
/* CAs date certificates back a little, so one that came in its time seems to have come too soon. */
#define EARLY_SECONDS DAY

/* ---- facts counted ---- */

static bool audit_is_fresh(const struct audit_verdict *verdict)
{
    return wall_time_before(verdict->now, verdict->renewal_due);
}

static bool is_duplicate(const struct audit_facts *facts, size_t which)
{
    const struct audit_certificate *own = &facts->certificates[which];

    for (size_t i = 0; i < facts->certificate_count; i++) {
        const struct audit_certificate *other = &facts->certificates[i];
        bool earlier = wall_time_before(other->begins, own->begins) ||
                       (wall_time_equal(other->begins, own->begins) && i < which);
        if (earlier &&
            wall_time_before(wall_time_add(own->begins, EARLY_SECONDS), other->renewal_due))
            return true;
    }
    return false;
}

static void count_certificates(const struct audit_facts *facts, struct audit_verdict *verdict)
{
    int64_t length = facts->issue_limit.burst > 0 ? facts->issue_limit.window_seconds : 7 * DAY;
    wall_time window = wall_time_add(facts->now, -length);

    verdict->stored = facts->certificate_count;
    for (size_t i = 0; i < facts->certificate_count; i++) {
        const struct audit_certificate *certificate = &facts->certificates[i];
        verdict->duplicates += is_duplicate(facts, i);
        verdict->recent += !certificate->other_ca && wall_time_before(window, certificate->begins);
        if (wall_time_before(verdict->newest_expiry, certificate->ends)) {
            verdict->newest_expiry = certificate->ends;
            verdict->renewal_due = certificate->renewal_due;
            verdict->issuer = certificate->issuer;
        }
    }
}

static wall_time audit_last_issue(const struct audit_facts *facts)
{
    wall_time last = WALL_TIME_NEVER;

    for (size_t i = 0; i < facts->certificate_count; i++)
        last = wall_time_later(last, facts->certificates[i].begins);
    return last;
}

/* Not a refusal, which is told apart, and not what a sweep has taken out of the queue. */
static bool is_failure(const struct renewal_task *task)
{
    return task->state != TASK_PENDING && !task->restarted &&
           refusal_is_failure(task->failure_reason);
}

static void count_failure(const struct renewal_task *task, wall_time since, wall_time *latest,
                          struct audit_verdict *verdict)
{
    wall_time at = task->state == TASK_FAILED ? task->failed_at : verdict->now;

    if (!is_failure(task) || wall_time_before(at, since))
        return;
    verdict->failures++;
    if (!verdict->reason || !wall_time_before(at, *latest)) {
        *latest = at;
        verdict->reason = task->failure_reason;
    }
}

static void count_tasks(const struct audit_facts *facts, struct audit_verdict *verdict)
{
    wall_time since = audit_last_issue(facts), latest = WALL_TIME_NEVER, next = WALL_TIME_FOREVER;
    int64_t stuck_after = facts->settings.stuck_after_seconds > 0
                              ? facts->settings.stuck_after_seconds
                              : RENEWAL_TASK_STUCK_SECONDS;

    for (size_t i = 0; i < facts->task_count; i++) {
        const struct renewal_task *task = &facts->tasks[i];
        if (task->state != TASK_FAILED) {
            verdict->live++;
            verdict->stuck += renewal_task_stuck(task, facts->now, stuck_after);
            next = wall_time_before(task->due, next) ? task->due : next;
        } else if (refusal_is_not_due(task->failure_reason)) {
            verdict->not_due++;
            continue;
        } else {
            verdict->failed++;
        }
        count_failure(task, since, &latest, verdict);
    }
    if (verdict->live > 0)
        verdict->next_due = next;
}

/* ---- what the gate would do ---- */

static struct decision decide_now(const struct audit_facts *facts,
                                  const struct audit_verdict *verdict)
{
    struct decision_facts known = decision_begin(&facts->settings, facts->now, facts->now, false);

    decision_add_domain(&known, facts->has_provider, verdict->renewal_due, facts->held.until,
                        facts->held.by, facts->tasks, facts->task_count, facts->follower);
    return decide(&known);
}

static bool plan_sweep(const struct audit_facts *facts, struct audit_verdict *verdict)
{
    enum collapse_fate *fates = calloc(facts->task_count + 1, sizeof *fates);

    if (!fates)
        return false;
    const struct upkeep_plan plan = upkeep_plan(
        &(struct upkeep_facts){.now = facts->now,
                               .renewable = facts->has_provider,
                               .renewal_due = verdict->renewal_due,
                               .expires = verdict->newest_expiry,
                               .refused_until = facts->held.until,
                               .not_before = facts->not_before,
                               .tasks = facts->tasks,
                               .task_count = facts->task_count,
                               .follower = facts->follower,
                               .stuck_after_seconds = facts->settings.stuck_after_seconds},
        fates);
    free(fates);
    verdict->sweep = (struct audit_sweep){.removed = plan.removed,
                                          .twins = plan.removed - plan.stuck,
                                          .cleared = verdict->not_due + facts->spent,
                                          .moved = plan.moves,
                                          .scheduled = plan.makes,
                                          .due = plan.due};
    return true;
}

/* ---- findings ---- */

static void audit_add(struct audit_verdict *verdict, enum audit_kind kind,
                      enum audit_severity severity)
{
    if (severity > verdict->findings[kind])
        verdict->findings[kind] = severity;
    if (severity > verdict->severity)
        verdict->severity = severity;
}

/* A task runs, or will before long. */
static bool is_on_its_way(const struct audit_verdict *verdict)
{
    return verdict->live > 0 &&
           wall_time_before(verdict->next_due, wall_time_add(verdict->now, HOUR));
}

/* When something is tried next; FOREVER where nothing will be. */
static wall_time next_try(const struct audit_verdict *verdict)
{
    if (verdict->live == 0)
        return WALL_TIME_FOREVER;
    return wall_time_later(verdict->next_due, verdict->refused_until);
}

static void judge_certificates(struct audit_verdict *verdict)
{
    if (verdict->stored == 0)
        audit_add(verdict, AUDIT_NONE,
                  is_on_its_way(verdict) && verdict->stuck < verdict->live ? AUDIT_NOTE
                                                                           : AUDIT_URGENT);
    else if (!wall_time_before(verdict->now, verdict->newest_expiry))
        audit_add(verdict, AUDIT_EXPIRED, AUDIT_URGENT);
    else if (verdict->live > 0 && !wall_time_before(next_try(verdict), verdict->newest_expiry))
        audit_add(verdict, AUDIT_TOO_LATE, AUDIT_URGENT);
    if (verdict->standing == ISSUER_STAGING)
        audit_add(verdict, AUDIT_STAGING, AUDIT_ATTENTION);
    else if (verdict->standing == ISSUER_OTHER)
        audit_add(verdict, AUDIT_OTHER_CA, AUDIT_NOTE);
    if (verdict->duplicates > 0)
        audit_add(verdict, AUDIT_DUPLICATES, AUDIT_NOTE);
    if (verdict->issue_limit.burst > 0 && verdict->recent >= verdict->issue_limit.burst)
        audit_add(verdict, AUDIT_LIMIT, AUDIT_NOTE);
}

static void judge_tasks(struct audit_verdict *verdict)
{
    bool fresh = audit_is_fresh(verdict);
    enum audit_severity trouble = fresh ? AUDIT_NOTE : AUDIT_ATTENTION;
    bool refused = !wall_time_equal(verdict->refused_until, WALL_TIME_NEVER);
    bool waits = verdict->live > 0 && wall_time_before(verdict->now, verdict->next_due);

    if (verdict->live == 0)
        audit_add(verdict, AUDIT_NO_TASK, AUDIT_ATTENTION);
    if (refused)
        audit_add(verdict, AUDIT_REFUSED, trouble);
    if (verdict->failures > 0)
        audit_add(verdict, AUDIT_FAILING, trouble);
    if (verdict->stuck > 0)
        audit_add(verdict, AUDIT_STUCK, AUDIT_ATTENTION);
    if (verdict->sweep.twins > 0)
        audit_add(verdict, AUDIT_TWINS, AUDIT_ATTENTION);
    if (!fresh && waits && !refused && verdict->failures == 0)
        audit_add(verdict, AUDIT_LATE, AUDIT_NOTE);
    if (verdict->not_due > 0)
        audit_add(verdict, AUDIT_NOT_DUE, AUDIT_NOTE);
}

bool audit_judge(const struct audit_facts *facts, struct audit_verdict *verdict)
{
    const wall_time by_ca = facts->held.by_source[HELD_BY_CA];

    *verdict = (struct audit_verdict){
        .now = facts->now,
        .issue_limit = facts->issue_limit,
        .newest_expiry = WALL_TIME_NEVER,
        .renewal_due = WALL_TIME_NEVER,
        .next_due = WALL_TIME_NEVER,
    };
    count_certificates(facts, verdict);
    verdict->standing = issuer_judge(verdict->issuer, facts->directory);
    verdict->ca = issuer_of_directory(facts->directory);
    count_tasks(facts, verdict);
    verdict->refused_until = wall_time_before(facts->now, by_ca) ? by_ca : WALL_TIME_NEVER;
    if (!plan_sweep(facts, verdict))
        return false;
    verdict->decision = decide_now(facts, verdict);
    if (!facts->has_provider)
        audit_add(verdict, AUDIT_NO_PROVIDER, AUDIT_URGENT);
    judge_certificates(verdict);
    judge_tasks(verdict);
    return true;
}

/* ---- what is served, what is stored ---- */

static const struct {
    const char *name, *words;
    enum audit_severity severity;
} services[] = {
    [AUDIT_SERVED_NEWEST] = {"newest", "is served the newest certificate", AUDIT_FINE},
    [AUDIT_SERVED_NOTHING] = {"nothing", "is served no certificate", AUDIT_ATTENTION},
    [AUDIT_SERVED_OLDER] = {"older", "is served an older one of the stored certificates",
                            AUDIT_ATTENTION},
    [AUDIT_SERVED_UNKNOWN] = {"unknown", "is served a certificate that is not stored",
                              AUDIT_ATTENTION},
    [AUDIT_SERVED_EXPIRED] = {"expired", "is served an expired certificate", AUDIT_URGENT},
    [AUDIT_SERVED_OTHER_NAME] = {"other_name", "is served a certificate for other names",
                                 AUDIT_URGENT},
    [AUDIT_SERVED_SELF_SIGNED] = {"self_signed", "is served a self-signed certificate",
                                  AUDIT_URGENT},
};

const char *audit_served_name(enum audit_served served)
{
    return services[served].name;
}

const char *audit_served_words(enum audit_served served)
{
    return services[served].words;
}

void audit_add_served(struct audit_verdict *verdict, enum audit_served served)
{
    audit_add(verdict, AUDIT_SERVED, services[served].severity);
}

void audit_add_damaged(struct audit_verdict *verdict)
{
    audit_add(verdict, AUDIT_DAMAGED, AUDIT_ATTENTION);
}

/* ---- words ---- */

const char *audit_kind_name(enum audit_kind kind)
{
    static const char *const names[AUDIT_KINDS] = {
        [AUDIT_EXPIRED] = "expired",
        [AUDIT_NONE] = "no_certificate",
        [AUDIT_NO_PROVIDER] = "no_provider",
        [AUDIT_SERVED] = "served",
        [AUDIT_TOO_LATE] = "too_late",
        [AUDIT_NO_TASK] = "no_task",
        [AUDIT_STAGING] = "staging",
        [AUDIT_REFUSED] = "refused",
        [AUDIT_FAILING] = "failing",
        [AUDIT_STUCK] = "stuck",
        [AUDIT_TWINS] = "twins",
        [AUDIT_DAMAGED] = "damaged",
        [AUDIT_LATE] = "late",
        [AUDIT_OTHER_CA] = "other_ca",
        [AUDIT_DUPLICATES] = "duplicates",
        [AUDIT_LIMIT] = "limit",
        [AUDIT_NOT_DUE] = "not_due",
    };

    return names[kind];
}

const char *audit_severity_name(enum audit_severity severity)
{
    static const char *const names[] = {"fine", "note", "attention", "urgent"};

    return names[severity];
}

void audit_span(wall_time from, wall_time to, char text[static AUDIT_SPAN_SIZE])
{
    static const struct {
        uint64_t seconds, least;
        const char *unit;
    } units[] = {{DAY, 2 * DAY, "d"}, {HOUR, 2 * HOUR, "h"}, {60, 60, "min"}, {1, 0, "s"}};
    uint64_t span = wall_time_before(from, to) ? (uint64_t)to.seconds - (uint64_t)from.seconds : 0;
    size_t i = 0;

    while (span < units[i].least)
        i++;
    snprintf(text, AUDIT_SPAN_SIZE, "%" PRIu64 " %s", span / units[i].seconds, units[i].unit);
}

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

/* Those that say how long: since `from`, or until `to`. */
static void dated_words(const struct audit_verdict *verdict, enum audit_kind kind, char *words)
{
    char since[AUDIT_SPAN_SIZE], until[AUDIT_SPAN_SIZE], at[WALL_TIME_TEXT_SIZE];

    switch (kind) {
    case AUDIT_EXPIRED:
        audit_span(verdict->newest_expiry, verdict->now, since);
        snprintf(words, AUDIT_WORDS_SIZE, "its certificate expired %s ago", since);
        break;
    case AUDIT_TOO_LATE:
        audit_span(verdict->now, next_try(verdict), until);
        snprintf(words, AUDIT_WORDS_SIZE, "the next try is in %s, when its certificate has expired",
                 until);
        break;
    case AUDIT_REFUSED:
        audit_span(verdict->now, verdict->refused_until, until);
        wall_time_format(verdict->refused_until, at);
        snprintf(words, AUDIT_WORDS_SIZE, "the CA refuses for another %s, until %s", until, at);
        break;
    case AUDIT_STUCK:
        audit_span(verdict->next_due, verdict->now, since);
        snprintf(words, AUDIT_WORDS_SIZE, "its task has been due for %s and has not run", since);
        break;
    case AUDIT_LATE:
        audit_span(verdict->now, verdict->next_due, until);
        snprintf(words, AUDIT_WORDS_SIZE, "a renewal is due, and its task waits for another %s",
                 until);
        break;
    default:
        break;
    }
}

static void counted_words(const struct audit_verdict *verdict, enum audit_kind kind, char *words)
{
    switch (kind) {
    case AUDIT_FAILING:
        snprintf(words, AUDIT_WORDS_SIZE, "%zu failure%s since its last certificate: %s",
                 verdict->failures, plural(verdict->failures), verdict->reason);
        break;
    case AUDIT_TWINS:
        snprintf(words, AUDIT_WORDS_SIZE, "%zu tasks are queued; one is enough", verdict->live);
        break;
    case AUDIT_DUPLICATES:
        snprintf(words, AUDIT_WORDS_SIZE, "%zu certificate%s came while another was fresh",
                 verdict->duplicates, plural(verdict->duplicates));
        break;
    case AUDIT_LIMIT:
        snprintf(words, AUDIT_WORDS_SIZE, "%zu certificates in %" PRId64 " h; the CA's limit is %u",
                 verdict->recent, verdict->issue_limit.window_seconds / HOUR,
                 verdict->issue_limit.burst);
        break;
    case AUDIT_NOT_DUE:
        snprintf(words, AUDIT_WORDS_SIZE, "%zu failed task%s only that it is not due",
                 verdict->not_due, verdict->not_due == 1 ? " says" : "s say");
        break;
    default:
        break;
    }
}

void audit_words(const struct audit_verdict *verdict, enum audit_kind kind,
                 char words[static AUDIT_WORDS_SIZE])
{
    static const char *const plain[AUDIT_KINDS] = {
        [AUDIT_NO_PROVIDER] = "the ACME provider that it names does not exist",
        [AUDIT_SERVED] = "another certificate is served than the newest that is stored",
        [AUDIT_DAMAGED] = "a stored certificate is not what the server says of it",
    };

    words[0] = '\0';
    if (kind == AUDIT_NONE)
        snprintf(words, AUDIT_WORDS_SIZE, "%s",
                 verdict->findings[AUDIT_NONE] == AUDIT_NOTE
                     ? "its first certificate is on its way"
                     : "no certificate with exactly its names is stored");
    else if (kind == AUDIT_NO_TASK)
        snprintf(words, AUDIT_WORDS_SIZE, "%s",
                 audit_is_fresh(verdict) ? "no task will renew it"
                                         : "a renewal is due and none is queued");
    else if (kind == AUDIT_STAGING)
        snprintf(words, AUDIT_WORDS_SIZE, "its certificate is one for tests, of %s",
                 verdict->issuer);
    else if (kind == AUDIT_OTHER_CA)
        snprintf(words, AUDIT_WORDS_SIZE, "its certificate is of %s, its provider's CA is %s",
                 verdict->issuer, verdict->ca);
    else if (plain[kind])
        snprintf(words, AUDIT_WORDS_SIZE, "%s", plain[kind]);
    dated_words(verdict, kind, words);
    counted_words(verdict, kind, words);
}

void audit_sweep_words(const struct audit_verdict *verdict, char words[static AUDIT_WORDS_SIZE])
{
    const struct audit_sweep *sweep = &verdict->sweep;
    char at[WALL_TIME_TEXT_SIZE], removed[64] = "", cleared[64] = "", written[64] = "";

    wall_time_format(sweep->due, at);
    if (sweep->removed > 0)
        snprintf(removed, sizeof removed, "remove %zu task%s, ", sweep->removed,
                 plural(sweep->removed));
    if (sweep->cleared > 0)
        snprintf(cleared, sizeof cleared, "clear %zu failed task%s, ", sweep->cleared,
                 plural(sweep->cleared));
    if (sweep->moved)
        snprintf(written, sizeof written, "move one to %s, ", at);
    else if (sweep->scheduled)
        snprintf(written, sizeof written, "queue one for %s, ", at);
    snprintf(words, AUDIT_WORDS_SIZE, "%s%s%s", removed, cleared, written);
    if (words[0])
        words[strlen(words) - 2] = '\0';
}

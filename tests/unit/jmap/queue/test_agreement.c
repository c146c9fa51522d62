/*
 * Creates and explanations (jmap/facts/judgement.h), sweeps (jmap/queue/outlook.h) and audits
 * (policy/audit.h) say the same of until when a domain is held, and by what: over states as they
 * come.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/facts/judgement.h"
#include "jmap/facts/lookup.h"
#include "jmap/queue/outlook.h"
#include "policy/audit.h"
#include "tests/unit/renewal_tasks.h"

#define NOT_DUE                                                                                    \
    "Certificate for domain a.test is still valid; renewal is not due until 2027-03-01T00:00:00Z"

enum { TASKS = 4, ISSUES = 7, STATES = 20000 };

static unsigned seed = 1;

static int64_t number(int64_t below)
{
    return rand_r(&seed) % below;
}

static bool one_in(int64_t count)
{
    return number(count) == 0;
}

static wall_time past(void)
{
    return (wall_time)AT(-number(one_in(3) ? HOUR : 9 * DAY));
}

static wall_time anytime(void)
{
    return (wall_time)AT(number(40 * DAY) - 20 * DAY);
}

static struct renewal_task some_task(size_t i)
{
    static const char *const ids[TASKS] = {"jp1", "jp2", "jp3", "jp4"};
    static const char *const reasons[] = {
        LIMITED,   LIMITED_BLINDLY,
        DNS_ERROR, "Authentication failed: \"Status: invalid\"",
        NOT_DUE,   "Invalid request: Certificate expires in 60 seconds, expected at least 3600",
    };
    struct renewal_task task = {.id = ids[i],
                                .state = (enum task_state)number(3),
                                .due = anytime(),
                                .failed_at = past(),
                                .seen = past(),
                                .attempts = number(12),
                                .tried = one_in(3) ? past() : WALL_TIME_NEVER,
                                .restarted = one_in(5),
                                .other_order = one_in(6),
                                .other_setup = one_in(6)};

    task.failure_reason = task.state == TASK_PENDING ? NULL : reasons[number(COUNT(reasons))];
    return task;
}

/* What was found of one domain. */
struct found {
    struct lookup_domain domain;
    struct renewal_task tasks[TASKS];
    struct inventory_task listed[TASKS];
    struct lookup_certificate stored[ISSUES];
    struct audit_certificate certificates[ISSUES];
    wall_time issued[2 * ISSUES];
};

static void add_certificates(struct found *found)
{
    struct lookup_domain *domain = &found->domain;
    size_t stored = (size_t)number(ISSUES);

    domain->stored = found->stored;
    domain->issued = found->issued;
    for (size_t i = 0; i < stored; i++) {
        struct lookup_certificate *certificate = &found->stored[i];
        certificate->begins = past();
        certificate->ends = wall_time_add(certificate->begins, 90 * DAY);
        certificate->renewal_due = wall_time_add(certificate->begins, one_in(2) ? 1 : 60 * DAY);
        certificate->other_ca = one_in(4);
        found->certificates[i] =
            (struct audit_certificate){certificate->begins, certificate->ends,
                                       certificate->renewal_due, NULL, certificate->other_ca};
        if (!certificate->other_ca)
            found->issued[domain->issued_count++] = certificate->begins;
        if (wall_time_before(domain->newest_expiry, certificate->ends)) {
            domain->newest_expiry = certificate->ends;
            domain->renewal_due = certificate->renewal_due;
        }
    }
    domain->stored_count = stored;
    /* And what is known of before, and of what was thrown away. */
    for (int64_t more = number(3); more > 0; more--)
        found->issued[domain->issued_count++] = past();
    for (int64_t spent = number(3); spent > 0; spent--)
        found->issued[domain->issued_count + domain->spent_count++] = past();
}

static void generate(struct found *found)
{
    *found = (struct found){.domain = {.id = "b",
                                       .renewable = true,
                                       .tasks = found->tasks,
                                       .task_count = (size_t)number(TASKS + 1),
                                       .kept = {.refused = one_in(3) ? anytime() : WALL_TIME_NEVER,
                                                .failing = one_in(3) ? anytime() : WALL_TIME_NEVER},
                                       .failures = (size_t)number(3),
                                       .renewal_due = WALL_TIME_NEVER,
                                       .newest_expiry = WALL_TIME_NEVER}};
    for (size_t i = 0; i < found->domain.task_count; i++) {
        found->tasks[i] = some_task(i);
        found->listed[i] = (struct inventory_task){.domain_id = "b", .task = found->tasks[i]};
        strcpy(found->listed[i].id, found->tasks[i].id);
    }
    add_certificates(found);
}

static const struct hold_settings settings = {
    .table = {.stuck_after_seconds = 3 * HOUR},
    .blind_hold_seconds = 6 * HOUR,
    .issue_limit = {5, 7 * DAY},
    .validation_limit = {5, HOUR},
    .failure_backoff = {HOUR, DAY},
};

static void assert_held_alike(const struct held *a, const struct held *b)
{
    assert_int_equal(a->until.seconds, b->until.seconds);
    assert_int_equal(a->by, b->by);
    assert_int_equal(a->failures, b->failures);
    for (int source = 0; source < HELD_SOURCES; source++)
        assert_int_equal(a->by_source[source].seconds, b->by_source[source].seconds);
}

static struct audit_verdict audit(const struct found *found, const struct outlook *outlook,
                                  wall_time now)
{
    const struct audit_facts facts = {
        .now = now,
        .has_provider = true,
        .certificates = found->certificates,
        .certificate_count = found->domain.stored_count,
        .tasks = outlook->tasks,
        .task_count = outlook->task_count,
        .spent = outlook->spent_count,
        .issue_limit = settings.issue_limit,
        .settings = settings.table,
        .held = outlook->held,
        .not_before = WALL_TIME_NEVER,
    };
    struct audit_verdict verdict;

    assert_true(audit_judge(&facts, &verdict));
    return verdict;
}

static void all_say_the_same_of_one_domain(void **state)
{
    const wall_time now = AT(0);
    size_t held_by[HELD_SOURCES] = {0};
    struct found found;
    (void)state;

    for (size_t n = 0; n < STATES; n++) {
        generate(&found);
        struct decision_facts facts = decision_begin(&settings.table, now, now, false);
        const struct held create = judgement_add(&facts, &settings, &found.domain);
        const struct decision decision = decide(&facts);
        struct inventory inventory = {.tasks = found.listed, .task_count = found.domain.task_count};
        const struct inventory_domain listed = {.id = "b", .count = found.domain.task_count};
        struct outlook outlook;
        assert_true(outlook_open(&outlook, &inventory, &listed, &found.domain, &settings, now));
        outlook_plan(&outlook, &found.domain, WALL_TIME_NEVER, now);
        const struct audit_verdict verdict = audit(&found, &outlook, now);

        assert_held_alike(&create, &outlook.held);
        assert_int_equal(facts.refused_until.seconds, outlook.held.until.seconds);
        assert_int_equal(verdict.decision.row, decision.row);
        assert_int_equal(verdict.decision.due.seconds, decision.due.seconds);
        assert_int_equal(verdict.sweep.moved, outlook.plan.moves);
        assert_int_equal(verdict.sweep.scheduled, outlook.plan.makes);
        assert_int_equal(verdict.sweep.due.seconds, outlook.plan.due.seconds);
        wall_time by_ca = create.by_source[HELD_BY_CA];
        assert_int_equal(verdict.refused_until.seconds,
                         wall_time_before(now, by_ca) ? by_ca.seconds : INT64_MIN);
        held_by[create.by] += wall_time_before(now, create.until);
        outlook_clear(&outlook);
    }
    assert_true(held_by[HELD_BY_CA] > 0 && held_by[HELD_BY_FAILURES] > 0 &&
                held_by[HELD_BY_VALIDATIONS] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_say_the_same_of_one_domain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

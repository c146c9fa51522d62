#include "policy/audit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define THINGS_MAX 6
#define HOUR INT64_C(3600)
#define DAY INT64_C(86400)
#define NOW INT64_C(1800000000)
#define AT(offset) {NOW + (offset)}

#define LIMITED "Rate limited. Retry after 518400 seconds"
#define DNS_ERROR "DNS error: timeout"
#define NOT_DUE                                                                                    \
    "Certificate for domain example.org is still valid; renewal is not due until "                 \
    "2027-01-21T04:58:11Z"

/* Of 90 days, two thirds of which are 60. */
#define ISSUED(days_ago)                                                                           \
    {AT(-(days_ago) * DAY), AT((90 - (days_ago)) * DAY), AT((60 - (days_ago)) * DAY), NULL, false}
#define FRESH ISSUED(3)
#define DUE ISSUED(64)
#define ABSENT {{0}, {0}, {0}, NULL, false}
#define EXPIRED ISSUED(100)

#define PENDING(offset) {.id = "a", .state = TASK_PENDING, .due = AT(offset)}
#define RETRY(name, offset, reason)                                                                \
    {.id = (name), .state = TASK_RETRY, .due = AT(offset), .failure_reason = (reason)}
#define FAILED(offset, reason)                                                                     \
    {.id = "f", .state = TASK_FAILED, .failed_at = AT(offset), .failure_reason = (reason)}
#define QUEUED PENDING(57 * DAY)

/* Findings as "kind:severity", in their order. */
static const struct row {
    const char *name;
    struct audit_certificate certificates[THINGS_MAX];
    struct renewal_task tasks[THINGS_MAX];
    const char *findings;
    unsigned decided; /* the row of docs/decisions.md */
    const char *sweep;
    bool lacks_provider;
} rows[] = {
    {"all is well", {FRESH}, {QUEUED}, "", 3, "", false},
    {"renewed in its time", {ISSUED(63), FRESH}, {QUEUED}, "", 3, "", false},
    {"renewed in its time, and dated back an hour",
     {ISSUED(63), {AT(-3 * DAY - HOUR), AT(87 * DAY), AT(57 * DAY), NULL, false}},
     {QUEUED},
     "",
     3,
     "",
     false},
    {"expired", {EXPIRED}, {PENDING(-60)}, "expired:urgent", 2, "", false},
    {"none, the first is on its way",
     {ABSENT},
     {PENDING(-60)},
     "no_certificate:note",
     2,
     "",
     false},
    {"none, and nothing queued",
     {ABSENT},
     {{0}},
     "no_certificate:urgent no_task:attention",
     8,
     "queue one for 2027-01-15T08:00:00Z",
     false},
    {"none, and the CA refuses",
     {ABSENT},
     {RETRY("a", 6 * DAY, LIMITED)},
     "no_certificate:urgent refused:attention",
     1,
     "move one to 2027-01-21T08:00:00Z",
     false},
    {"no provider", {FRESH}, {QUEUED}, "no_provider:urgent", 8, "", true},
    {"the next try comes too late",
     {DUE},
     {PENDING(40 * DAY)},
     "too_late:urgent late:note",
     7,
     "move one to 2027-01-15T08:00:00Z",
     false},
    {"the CA refuses for longer than it lives",
     {DUE},
     {RETRY("a", 30 * DAY, LIMITED)},
     "too_late:urgent refused:attention",
     1,
     "move one to 2027-02-14T08:00:00Z",
     false},
    {"the future renewal is lost",
     {FRESH},
     {{0}},
     "no_task:attention",
     4,
     "queue one for 2027-03-13T08:00:00Z",
     false},
    {"due, and nothing queued",
     {DUE},
     {{0}},
     "no_task:attention",
     8,
     "queue one for 2027-01-15T08:00:00Z",
     false},
    {"refused while fresh",
     {FRESH},
     {RETRY("a", 6 * DAY, LIMITED)},
     "refused:note",
     1,
     "move one to 2027-01-21T08:00:00Z",
     false},
    {"a failed refusal",
     {DUE},
     {FAILED(-DAY, LIMITED)},
     "no_task:attention refused:attention",
     6,
     "queue one for 2027-01-20T08:00:00Z",
     false},
    {"a failed refusal that is over",
     {DUE},
     {FAILED(-7 * DAY, LIMITED)},
     "no_task:attention",
     8,
     "queue one for 2027-01-15T08:00:00Z",
     false},
    {"tried and failed", {DUE}, {RETRY("a", DAY, DNS_ERROR)}, "failing:attention", 2, "", false},
    {"failed, then issued", {FRESH}, {QUEUED, FAILED(-4 * DAY, DNS_ERROR)}, "", 3, "", false},
    {"failed while fresh",
     {FRESH},
     {QUEUED, FAILED(-DAY, DNS_ERROR)},
     "failing:note",
     3,
     "",
     false},
    {"taken out of the queue by a sweep",
     {FRESH},
     {QUEUED, FAILED(-DAY, "superseded by a")},
     "",
     3,
     "",
     false},
    {"due for long and not run",
     {DUE},
     {PENDING(-4 * HOUR)},
     "stuck:attention",
     8,
     "remove 1 task, queue one for 2027-01-15T08:00:00Z",
     false},
    {"due for a while, behind others", {DUE}, {PENDING(-2 * HOUR)}, "", 2, "", false},
    {"stuck, and another is there",
     {FRESH},
     {PENDING(-4 * HOUR), {.id = "b", .due = AT(57 * DAY)}},
     "stuck:attention",
     3,
     "remove 1 task",
     false},
    {"the next renewal comes after the certificate is due",
     {FRESH},
     {PENDING(80 * DAY)},
     "",
     3,
     "move one to 2027-03-13T08:00:00Z",
     false},
    {"several are due",
     {DUE},
     {PENDING(-60), {.id = "b", .due = AT(-50)}},
     "twins:attention",
     2,
     "remove 1 task",
     false},
    {"due and about to run", {DUE}, {PENDING(-HOUR / 2)}, "", 2, "", false},
    {"twins",
     {DUE},
     {RETRY("a", 6 * DAY, LIMITED), RETRY("b", 6 * DAY, LIMITED), RETRY("c", 6 * DAY, LIMITED)},
     "refused:attention twins:attention",
     1,
     "remove 2 tasks, move one to 2027-01-21T08:00:00Z",
     false},
    {"due, and the task is queued for later",
     {DUE},
     {PENDING(5 * DAY)},
     "late:note",
     7,
     "move one to 2027-01-15T08:00:00Z",
     false},
    {"duplicates", {FRESH, FRESH, ISSUED(5)}, {QUEUED}, "duplicates:note", 3, "", false},
    {"the limit is used up",
     {FRESH, FRESH, FRESH, FRESH, FRESH},
     {QUEUED},
     "duplicates:note limit:note",
     3,
     "",
     false},
    {"tasks that were not due",
     {FRESH},
     {QUEUED, FAILED(-HOUR, NOT_DUE), FAILED(-HOUR, NOT_DUE)},
     "not_due:note",
     3,
     "clear 2 failed tasks",
     false},
};

static struct held held_of(const struct audit_facts *facts)
{
    wall_time issued[THINGS_MAX];

    for (size_t i = 0; i < facts->certificate_count; i++)
        issued[i] = facts->certificates[i].begins;
    return held_until(
        &(struct held_facts){.limits = {.issue = facts->issue_limit, .blind_hold_seconds = HOUR},
                             .now = facts->now,
                             .tasks = facts->tasks,
                             .task_count = facts->task_count,
                             .issued = issued,
                             .issued_count = facts->certificate_count,
                             .last_issue = WALL_TIME_NEVER,
                             .kept_refused = WALL_TIME_NEVER,
                             .kept_failing = WALL_TIME_NEVER,
                             .paced_until = WALL_TIME_NEVER});
}

static struct audit_facts facts_of(const struct row *row)
{
    struct audit_facts facts = {
        .now = AT(0),
        .has_provider = !row->lacks_provider,
        .certificates = row->certificates,
        .tasks = row->tasks,
        .issue_limit = {5, 7 * DAY},
        .settings.stuck_after_seconds = 3 * HOUR,
        .not_before = WALL_TIME_NEVER,
    };

    while (facts.certificate_count < THINGS_MAX &&
           row->certificates[facts.certificate_count].ends.seconds != 0)
        facts.certificate_count++;
    while (facts.task_count < THINGS_MAX && row->tasks[facts.task_count].id)
        facts.task_count++;
    facts.held = held_of(&facts);
    return facts;
}

static void list_findings(const struct audit_verdict *verdict, char *text)
{
    text[0] = '\0';
    for (int kind = 0; kind < AUDIT_KINDS; kind++) {
        char words[AUDIT_WORDS_SIZE];
        if (verdict->findings[kind] == AUDIT_FINE)
            continue;
        strcat(text, text[0] ? " " : "");
        strcat(text, audit_kind_name(kind));
        strcat(text, ":");
        strcat(text, audit_severity_name(verdict->findings[kind]));
        audit_words(verdict, kind, words);
        assert_true(words[0] != '\0');
    }
}

static enum audit_severity worst(const struct audit_verdict *verdict)
{
    enum audit_severity severity = AUDIT_FINE;

    for (int kind = 0; kind < AUDIT_KINDS; kind++) {
        if (verdict->findings[kind] > severity)
            severity = verdict->findings[kind];
    }
    return severity;
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct audit_facts facts = facts_of(&rows[i]);
        struct audit_verdict verdict;
        char findings[400], sweep[AUDIT_WORDS_SIZE];

        assert_true(audit_judge(&facts, &verdict));
        list_findings(&verdict, findings);
        audit_sweep_words(&verdict, sweep);
        if (strcmp(findings, rows[i].findings) != 0 || strcmp(sweep, rows[i].sweep) != 0 ||
            verdict.decision.row != rows[i].decided)
            fail_msg("%s: \"%s\", row %u, \"%s\"", rows[i].name, findings, verdict.decision.row,
                     sweep);
        assert_int_equal(verdict.severity, worst(&verdict));
    }
}

#define LETSENCRYPT "https://acme-v02.api.letsencrypt.org/directory"

/* Of the certificate that expires last; older ones may be of whom they were. */
static void test_issuers(void **state)
{
    static const struct {
        const char *newest, *older, *directory, *findings;
    } issued[] = {
        {"C=US, O=Let's Encrypt, CN=R11", "C=AT, O=ZeroSSL, CN=X", LETSENCRYPT, ""},
        {"C=AT, O=ZeroSSL, CN=X", "C=US, O=Let's Encrypt, CN=R11", LETSENCRYPT, "other_ca:note"},
        {"C=AT, O=ZeroSSL, CN=X", "", "https://localhost/dir", ""},
        {"O=(STAGING) Let's Encrypt, CN=Y", "", LETSENCRYPT, "staging:attention"},
        {"", "", LETSENCRYPT, ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(issued); i++) {
        struct row row = {.certificates = {ISSUED(63), FRESH}, .tasks = {QUEUED}};
        struct audit_verdict verdict;
        char findings[400];

        row.certificates[0].issuer = issued[i].older;
        row.certificates[1].issuer = issued[i].newest;
        struct audit_facts facts = facts_of(&row);
        facts.directory = issued[i].directory;
        assert_true(audit_judge(&facts, &verdict));
        list_findings(&verdict, findings);
        assert_string_equal(findings, issued[i].findings);
        assert_string_equal(verdict.issuer, issued[i].newest);
    }
}

/* It stands for a renewal, as in a create and in a sweep. */
static void test_a_dns_task_that_renews_is_on_its_way(void **state)
{
    const struct row row = {.certificates = {DUE}};
    const struct renewal_task follower = PENDING(-HOUR);
    struct audit_facts facts = facts_of(&row);
    struct audit_verdict verdict;

    (void)state;
    facts.follower = &follower;
    assert_true(audit_judge(&facts, &verdict));
    assert_int_equal(verdict.decision.row, 2);
    assert_false(verdict.sweep.scheduled);
}

static void test_counts(void **state)
{
    const struct row row = {
        .certificates = {FRESH, FRESH, DUE},
        .tasks = {QUEUED, FAILED(-DAY, DNS_ERROR), FAILED(-HOUR, "CA error"), FAILED(-DAY, LIMITED),
                  FAILED(-DAY, NOT_DUE)},
    };
    struct audit_facts facts = facts_of(&row);
    struct audit_verdict verdict;

    (void)state;
    assert_true(audit_judge(&facts, &verdict));
    assert_int_equal(verdict.stored, 3);
    assert_int_equal(verdict.duplicates, 1);
    assert_int_equal(verdict.recent, 2);
    assert_int_equal(verdict.live, 1);
    assert_int_equal(verdict.failed, 3);
    assert_int_equal(verdict.not_due, 1);
    assert_int_equal(verdict.failures, 2);
    assert_string_equal(verdict.reason, "CA error");
    assert_int_equal(verdict.newest_expiry.seconds, NOW + 87 * DAY);
    assert_int_equal(verdict.renewal_due.seconds, NOW + 57 * DAY);
    assert_int_equal(verdict.next_due.seconds, NOW + 57 * DAY);
    assert_int_equal(verdict.refused_until.seconds, NOW - DAY + 518400);
}

static void test_what_is_served(void **state)
{
    static const struct {
        enum audit_served served;
        enum audit_severity severity;
    } services[] = {
        {AUDIT_SERVED_NEWEST, AUDIT_FINE},        {AUDIT_SERVED_NOTHING, AUDIT_ATTENTION},
        {AUDIT_SERVED_OLDER, AUDIT_ATTENTION},    {AUDIT_SERVED_UNKNOWN, AUDIT_ATTENTION},
        {AUDIT_SERVED_EXPIRED, AUDIT_URGENT},     {AUDIT_SERVED_OTHER_NAME, AUDIT_URGENT},
        {AUDIT_SERVED_SELF_SIGNED, AUDIT_URGENT},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(services); i++) {
        struct audit_verdict verdict = {.severity = AUDIT_FINE};
        audit_add_served(&verdict, services[i].served);
        audit_add_served(&verdict, AUDIT_SERVED_NEWEST);
        assert_int_equal(verdict.severity, services[i].severity);
        assert_int_equal(verdict.findings[AUDIT_SERVED], services[i].severity);
    }
}

static void test_a_damaged_text(void **state)
{
    struct audit_verdict verdict = {.severity = AUDIT_FINE};
    char findings[400];

    (void)state;
    audit_add_damaged(&verdict);
    list_findings(&verdict, findings);
    assert_string_equal(findings, "damaged:attention");
}

static void test_spans(void **state)
{
    static const struct {
        int64_t from, to;
        const char *text;
    } spans[] = {
        {0, 0, "0 s"},
        {0, 59, "59 s"},
        {0, 60, "1 min"},
        {0, 2 * HOUR - 1, "119 min"},
        {0, 2 * HOUR, "2 h"},
        {0, 2 * DAY - 1, "47 h"},
        {0, 2 * DAY, "2 d"},
        {5, 0, "0 s"},
        {INT64_MIN, 0, "106751991167300 d"},
        {0, INT64_MAX, "106751991167300 d"},
        {INT64_MIN, INT64_MAX, "213503982334601 d"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(spans); i++) {
        char text[AUDIT_SPAN_SIZE];
        audit_span((wall_time){spans[i].from}, (wall_time){spans[i].to}, text);
        assert_string_equal(text, spans[i].text);
    }
}

static void test_a_long_reason_is_cut(void **state)
{
    char reason[1000], words[AUDIT_WORDS_SIZE];
    memset(reason, 'x', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    struct audit_verdict verdict = {.failures = 1, .reason = reason};

    (void)state;
    audit_words(&verdict, AUDIT_FAILING, words);
    assert_int_equal(strlen(words), AUDIT_WORDS_SIZE - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_issuers),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_a_dns_task_that_renews_is_on_its_way),
        cmocka_unit_test(test_what_is_served),
        cmocka_unit_test(test_a_damaged_text),
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_a_long_reason_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

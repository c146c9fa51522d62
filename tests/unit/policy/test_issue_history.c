/* What a look at a domain leaves of the times at which the CA has issued for it. */

#include "policy/issue_history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "tests/unit/renewal_tasks.h"

#define SOME 4
#define NOTHING {.order = 0}

#define CERTIFICATE(offset) {.at = AT(offset), .order = 1, .kind = ISSUE_STORED}

#define OF_OTHER(offset) {.at = AT(offset), .order = 2, .kind = ISSUE_STORED}
#define THROWN(offset) {.at = AT(offset), .order = 1, .kind = ISSUE_THROWN_AWAY}
#define ASSUMED(offset) {.at = AT(offset), .order = 1, .kind = ISSUE_ASSUMED}

/* One look; what is left is told as how long ago, with 1 behind what is missing. */
static const struct {
    const char *name;
    struct issue known[SOME], seen[SOME];
    int64_t ran; /* 0: nothing did */
    struct {
        int64_t at;
        bool missing;
    } left[SOME];
} rows[] = {
    {"nothing", {NOTHING}, {NOTHING}, 0, {{0}}},
    {"the first one", {NOTHING}, {CERTIFICATE(-60)}, 0, {{-60, false}}},
    {"it is still there", {CERTIFICATE(-60)}, {CERTIFICATE(-60)}, 0, {{-60, false}}},
    {"it is gone", {CERTIFICATE(-60)}, {NOTHING}, 0, {{-60, true}}},
    {"another has come for it",
     {CERTIFICATE(-HOUR)},
     {CERTIFICATE(-60)},
     0,
     {{-60, false}, {-HOUR, true}}},
    {"one of two in the same second is gone",
     {CERTIFICATE(-60), CERTIFICATE(-60)},
     {CERTIFICATE(-60)},
     0,
     {{-60, true}, {-60, false}}},
    {"of other names", {OF_OTHER(-60)}, {NOTHING}, 0, {{-60, false}}},
    {"a month ago", {CERTIFICATE(-31 * DAY - 1)}, {NOTHING}, 0, {{0}}},
    {"seen, and long ago", {NOTHING}, {CERTIFICATE(-31 * DAY - 1)}, 0, {{0}}},
    {"thrown away, and its task is gone", {THROWN(-60)}, {NOTHING}, 0, {{-60, true}}},
    {"thrown away is not stored",
     {THROWN(-60)},
     {CERTIFICATE(-60)},
     0,
     {{-60, true}, {-60, false}}},
    {"a task has run and left nothing", {NOTHING}, {NOTHING}, -90, {{-90, true}}},
    {"it has left a certificate", {NOTHING}, {CERTIFICATE(-60)}, -90, {{-60, false}}},
    {"it has left the one that was there before",
     {CERTIFICATE(-HOUR)},
     {CERTIFICATE(-HOUR)},
     -90,
     {{-90, true}, {-HOUR, false}}},
    {"it has left what it threw away", {NOTHING}, {THROWN(-80)}, -90, {{-80, false}, {-90, true}}},
    {"its certificate is seen later on",
     {ASSUMED(-DAY)},
     {CERTIFICATE(-DAY - HOUR)},
     0,
     {{-DAY - HOUR, false}}},
    {"that is another's", {ASSUMED(-DAY)}, {CERTIFICATE(-HOUR)}, 0, {{-HOUR, false}, {-DAY, true}}},
    {"one explains one",
     {ASSUMED(-HOUR), ASSUMED(-HOUR - 60)},
     {CERTIFICATE(-2 * HOUR)},
     0,
     {{-HOUR - 60, true}, {-2 * HOUR, false}}},
    {"and that of the task that has just run no other",
     {ASSUMED(-HOUR)},
     {CERTIFICATE(-HOUR - 60)},
     -90,
     {{-HOUR, true}, {-HOUR - 60, false}}},
};

static size_t count_of(const struct issue *issues)
{
    size_t count = 0;

    while (count < SOME && issues[count].order != 0)
        count++;
    return count;
}

static void a_look_leaves_what_it_does_not_see(void **state)
{
    (void)state;
    for (size_t r = 0; r < COUNT(rows); r++) {
        struct issue history[ISSUE_HISTORY_MAX], seen[SOME];
        size_t known = count_of(rows[r].known), wanted = 0;

        for (size_t i = 0; i < known; i++)
            history[i] = rows[r].known[i];
        memcpy(seen, rows[r].seen, sizeof seen);
        size_t count =
            issue_history_review(history, known,
                                 &(struct issue_look){.now = {NOW},
                                                      .order = 1,
                                                      .seen = seen,
                                                      .seen_count = count_of(rows[r].seen),
                                                      .ran = rows[r].ran != 0,
                                                      .ran_at = {NOW + rows[r].ran}});
        while (wanted < SOME && rows[r].left[wanted].at != 0)
            wanted++;
        if (count != wanted)
            fail_msg("%s: %zu are left", rows[r].name, count);
        for (size_t i = 0; i < count; i++) {
            if (history[i].at.seconds - NOW != rows[r].left[i].at ||
                history[i].missing != rows[r].left[i].missing)
                fail_msg("%s: %zu is of %lld", rows[r].name, i,
                         (long long)(history[i].at.seconds - NOW));
        }
    }
}

static void the_newest_stay_and_in_order(void **state)
{
    (void)state;
    struct issue history[ISSUE_HISTORY_MAX], seen[100];
    size_t count = 0;

    for (size_t i = 0; i < COUNT(seen); i++)
        seen[i] = (struct issue){.at = {NOW - (int64_t)((i * 37) % COUNT(seen))}, .order = 1};
    for (size_t again = 0; again < 2; again++) {
        count = issue_history_review(
            history, count,
            &(struct issue_look){
                .now = {NOW}, .order = 1, .seen = seen, .seen_count = COUNT(seen)});
        assert_int_equal(count, ISSUE_HISTORY_MAX);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(history[i].at.seconds, NOW - (int64_t)i);
    }
}

/* Two CAs, the second with two accounts; of one set of names, and of another. */
#define NAMES 8
#define OTHER_NAMES 16
static const struct {
    const char *name;
    uint64_t names, ca, authority; /* of what is known, and was seen before */
    bool own;                      /* as its issuer says, it is of the CA that is asked now */
    bool other;
} owners[] = {
    {"as it was", NAMES, 2, 2, false, false},
    {"of another account", NAMES, 3, 2, false, false},
    {"of another CA", NAMES, 1, 1, false, true},
    {"of another CA, but its issuer is this one", NAMES, 1, 1, true, false},
    {"of another CA, for other names", OTHER_NAMES, 1, 1, false, false},
};

static void what_another_ca_has_issued_stays_its(void **state)
{
    (void)state;
    for (size_t r = 0; r < COUNT(owners); r++) {
        struct issue seen = {.at = AT(-60),
                             .order = NAMES ^ 2,
                             .ca = 2,
                             .authority = 2,
                             .kind = ISSUE_STORED,
                             .own_ca = owners[r].own};
        struct issue history[ISSUE_HISTORY_MAX] = {{.at = seen.at,
                                                    .order = owners[r].names ^ owners[r].ca,
                                                    .ca = owners[r].ca,
                                                    .authority = owners[r].authority,
                                                    .kind = ISSUE_STORED}};
        const struct issue_look look = {.now = {NOW},
                                        .order = seen.order,
                                        .ca = seen.ca,
                                        .authority = seen.authority,
                                        .seen = &seen,
                                        .seen_count = 1};
        size_t count = issue_history_review(history, 1, &look);

        if (seen.other_ca != owners[r].other || count != (r == 0 || owners[r].other ? 1 : 2))
            fail_msg("%s: %zu are left", owners[r].name, count);
        /* Once it is gone it is missing only where it counts. */
        count = issue_history_review(
            history, count,
            &(struct issue_look){.now = {NOW}, .order = seen.order, .ca = 2, .authority = 2});
        size_t missing = 0;
        for (size_t i = 0; i < count; i++)
            missing += history[i].missing;
        if (missing != !owners[r].other)
            fail_msg("%s: %zu are missing", owners[r].name, missing);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_look_leaves_what_it_does_not_see),
        cmocka_unit_test(the_newest_stay_and_in_order),
        cmocka_unit_test(what_another_ca_has_issued_stays_its),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "policy/refusal.h"

#include <stdlib.h>
#include <string.h>

#define ISSUE_BURST_MAX 1000
#define ISSUE_WINDOW_MAX (INT64_C(366) * 86400)
/*
 * Of more than twice the greatest burst the oldest make no difference: the bucket was empty since.
 */
#define ISSUES_MAX ((size_t)2 * ISSUE_BURST_MAX)
#define ISSUE_AGE_MAX INT64_C(1000000000000)

/* Reads at least one digit; a number too large is INT64_MAX. NULL where there is no digit. */
static const char *refusal_read_number(const char *at, int64_t *out)
{
    int64_t number = 0;
    const char *start = at;

    for (; *at >= '0' && *at <= '9'; at++) {
        int digit = *at - '0';

        number = number > (INT64_MAX - digit) / 10 ? INT64_MAX : number * 10 + digit;
    }
    *out = number;
    return at == start ? NULL : at;
}

struct refusal refusal_parse(const char *failure_reason)
{
    static const char opening[] = "Rate limited", until[] = ". Retry after ";
    struct refusal refusal = {REFUSAL_NONE, 0};

    if (!failure_reason || strncmp(failure_reason, opening, sizeof opening - 1) != 0)
        return refusal;

    const char *rest = failure_reason + sizeof opening - 1;
    refusal.kind = REFUSAL_SOME_TIME;
    if (strncmp(rest, until, sizeof until - 1) != 0)
        return refusal;

    int64_t seconds;
    rest = refusal_read_number(rest + sizeof until - 1, &seconds);
    if (rest && strcmp(rest, " seconds") == 0)
        refusal = (struct refusal){REFUSAL_SECONDS, seconds};
    return refusal;
}

bool refusal_is_not_due(const char *failure_reason)
{
    static const char opening[] = "Certificate for domain ",
                      until[] = " is still valid; renewal is not due until ";
    wall_time due;

    if (!failure_reason || strncmp(failure_reason, opening, sizeof opening - 1) != 0)
        return false;

    const char *rest = strstr(failure_reason + sizeof opening - 1, until);
    return rest && wall_time_parse(rest + sizeof until - 1, &due);
}

static bool begins_with(const char *text, const char *opening)
{
    return text && strncmp(text, opening, strlen(opening)) == 0;
}

bool refusal_is_failure(const char *failure_reason)
{
    return failure_reason && refusal_parse(failure_reason).kind == REFUSAL_NONE &&
           !refusal_is_not_due(failure_reason) && !begins_with(failure_reason, REFUSAL_SUPERSEDED);
}

bool refusal_is_thrown_away(const char *failure_reason)
{
    static const char *const openings[] = {
        "Invalid request: Certificate expires in ",
        "Registry error: ",
        "Cryptographic error: Failed to parse PEM: ",
        "Cryptographic error: Failed to parse X.509 certificate: ",
        "Cryptographic error: No certificates found in PEM",
        "Cryptographic error: Certificate not_",
    };
    bool found = false;

    for (size_t i = 0; i < sizeof openings / sizeof *openings; i++)
        found = found || begins_with(failure_reason, openings[i]);
    return found;
}

bool refusal_is_invalid(const char *failure_reason)
{
    return begins_with(failure_reason, "Authentication failed");
}

/* The next word, which ends at *end; NULL where there is none. */
static const char *next_word(const char *at, const char **end)
{
    at += strspn(at, " ");
    *end = at + strcspn(at, " ");
    return *end == at ? NULL : at;
}

static bool has_digit(const char *word, const char *end)
{
    while (word < end && (*word < '0' || *word > '9'))
        word++;
    return word < end;
}

bool refusal_same(const char *a, const char *b)
{
    const char *a_end = a ? a : "", *b_end = b ? b : "", *x, *y;

    do {
        x = next_word(a_end, &a_end);
        y = next_word(b_end, &b_end);
        if (!x || !y)
            return !x && !y;
    } while ((has_digit(x, a_end) && has_digit(y, b_end)) ||
             (a_end - x == b_end - y && memcmp(x, y, (size_t)(a_end - x)) == 0));
    return false;
}

bool retry_after_parse(const char *text, wall_time now, int64_t *seconds)
{
    wall_time date;
    int64_t number;

    if (!text)
        return false;
    if (wall_time_parse_http(text, &date)) {
        uint64_t ahead = (uint64_t)date.seconds - (uint64_t)now.seconds;
        bool past = wall_time_before(date, now);
        *seconds = past ? 0 : ahead < INT64_MAX ? (int64_t)ahead + 1 : INT64_MAX;
        return true;
    }

    const char *rest = refusal_read_number(text, &number);
    if (!rest || *rest != '\0')
        return false;
    *seconds = number;
    return true;
}

const char *duration_read(const char *text, int64_t most, int64_t *seconds)
{
    static const struct {
        char letter;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    int64_t number, unit = 0;
    const char *letter = refusal_read_number(text, &number);

    for (size_t i = 0; letter && i < sizeof units / sizeof *units; i++)
        unit = *letter == units[i].letter ? units[i].seconds : unit;
    if (unit == 0 || number < 1 || number > most / unit)
        return NULL;
    *seconds = number * unit;
    return letter + 1;
}

bool issue_limit_parse(const char *text, struct issue_limit *out)
{
    int64_t burst, window;

    if (!text)
        return false;
    if (strcmp(text, "off") == 0) {
        *out = (struct issue_limit){0};
        return true;
    }

    text = refusal_read_number(text, &burst);
    if (!text || *text != '/' || burst > ISSUE_BURST_MAX)
        return false;
    text = duration_read(text + 1, ISSUE_WINDOW_MAX, &window);
    if (!text || *text != '\0')
        return false;
    *out = (struct issue_limit){.burst = (unsigned)burst, .window_seconds = window};
    return true;
}

/* An issue after `now` counts as now; ages are held below what could overflow as ticks. */
static int64_t issue_age(wall_time issued, wall_time now)
{
    if (!wall_time_before(issued, now))
        return 0;

    uint64_t age = (uint64_t)now.seconds - (uint64_t)issued.seconds;
    return age < ISSUE_AGE_MAX ? (int64_t)age : ISSUE_AGE_MAX;
}

static int age_order(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* Ascending, the newest ISSUES_MAX at most; how many. Each issue is looked at once. */
static size_t newest_ages(const struct issue_times *issued, wall_time now,
                          int64_t ages[static 2 * ISSUES_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < issued->count; i++) {
        int64_t age = issue_age(issued->at(issued->user, i), now);

        if (age == ISSUE_AGE_MAX)
            continue;
        ages[count++] = age;
        if (count < 2 * ISSUES_MAX)
            continue;
        qsort(ages, count, sizeof *ages, age_order);
        count = ISSUES_MAX;
    }
    qsort(ages, count, sizeof *ages, age_order);
    return count < ISSUES_MAX ? count : ISSUES_MAX;
}

/*
 * One token taken. Times are in ticks, 1/burst of a second each, so that a token's interval,
 * window/burst, is a whole number of them; `full` is when the bucket is full again. A certificate
 * that was issued proves that there was a token, so the bucket never owes more than one window.
 */
static int64_t take_token(int64_t full, int64_t issued, struct issue_limit limit)
{
    int64_t interval = limit.window_seconds;
    int64_t empty = issued + interval * limit.burst;

    full = (full > issued ? full : issued) + interval;
    return full < empty ? full : empty;
}

wall_time issue_limit_next_of(struct issue_limit limit, const struct issue_times *issued,
                              wall_time now)
{
    if (limit.burst < 1 || limit.burst > ISSUE_BURST_MAX || limit.window_seconds < 1 ||
        limit.window_seconds > ISSUE_WINDOW_MAX)
        return WALL_TIME_NEVER;

    int64_t burst = limit.burst, interval = limit.window_seconds;
    int64_t full = -(ISSUE_AGE_MAX + 1) * burst;
    int64_t ages[2 * ISSUES_MAX];

    for (size_t i = newest_ages(issued, now, ages); i > 0; i--)
        full = take_token(full, -ages[i - 1] * burst, limit);

    /* The first tokens are back when all others of the burst are still missing. */
    int64_t tokens = issued->tokens < 1 ? 1 : issued->tokens < burst ? issued->tokens : burst;
    int64_t wait = full - (burst - tokens) * interval;
    if (wait <= 0)
        return WALL_TIME_NEVER;
    return wall_time_add(now, (wait + burst - 1) / burst);
}

static wall_time time_at(const void *issued, size_t i)
{
    return ((const wall_time *)issued)[i];
}

wall_time issue_limit_next(struct issue_limit limit, const wall_time *issued, size_t count,
                           wall_time now)
{
    return issue_limit_next_of(
        limit, &(struct issue_times){.at = time_at, .user = issued, .count = count}, now);
}

#include "policy/issue_history.h"

#include <string.h>

static bool is_same(const struct issue *a, const struct issue *b)
{
    return a->order == b->order && a->kind == b->kind && wall_time_equal(a->at, b->at);
}

static bool has_same_names(const struct issue *a, const struct issue *b)
{
    return (a->order ^ a->ca) == (b->order ^ b->ca);
}

/*
 * What a stored certificate was before the domain had another CA, it still is; but the domain may
 * have had this one before the gate first saw it.
 */
static void mark_others(const struct issue *history, size_t count, const struct issue_look *look)
{
    for (size_t i = 0; i < look->seen_count; i++) {
        struct issue *seen = &look->seen[i];

        for (size_t n = 0; seen->kind == ISSUE_STORED && !seen->own_ca && n < count; n++)
            seen->other_ca |=
                history[n].kind == ISSUE_STORED && history[n].authority != look->authority &&
                wall_time_equal(history[n].at, seen->at) && has_same_names(&history[n], seen);
    }
}

static size_t count_same(const struct issue *issues, size_t count, const struct issue *issue)
{
    size_t found = 0;

    for (size_t i = 0; i < count; i++)
        found += is_same(&issues[i], issue);
    return found;
}

static bool is_past(const struct issue *issue, wall_time now)
{
    return wall_time_before(issue->at, wall_time_add(now, -ISSUE_HISTORY_SECONDS));
}

/* Keeps them newest first; the oldest goes where there is no room. */
static size_t insert(struct issue *history, size_t count, const struct issue *issue)
{
    size_t place = count < ISSUE_HISTORY_MAX ? count : ISSUE_HISTORY_MAX - 1;

    if (count == ISSUE_HISTORY_MAX && !wall_time_before(history[place].at, issue->at))
        return count;
    for (; place > 0 && wall_time_before(history[place - 1].at, issue->at); place--)
        history[place] = history[place - 1];
    history[place] = *issue;
    return count < ISSUE_HISTORY_MAX ? count + 1 : count;
}

/* Of the certificates that are new to it, the one at hand may be that of an assumed order. */
static void explain(struct issue *history, size_t count, const struct issue *seen)
{
    for (size_t i = 0; i < count; i++) {
        struct issue *assumed = &history[i];

        if (assumed->kind != ISSUE_ASSUMED || assumed->order != seen->order ||
            wall_time_before(assumed->at, wall_time_add(seen->at, -ISSUE_HISTORY_NEAR_SECONDS)) ||
            wall_time_before(wall_time_add(seen->at, ISSUE_HISTORY_NEAR_SECONDS), assumed->at))
            continue;
        assumed->kind = ISSUE_STORED;
        assumed->at = seen->at;
        return;
    }
}

/* False where a certificate that is new explains why the task has gone. */
static bool match_new(struct issue *history, size_t count, const struct issue_look *look)
{
    const struct issue assumed = {.at = look->ran_at, .order = look->order, .kind = ISSUE_ASSUMED};
    bool unexplained = look->ran && count_same(history, count, &assumed) == 0;

    for (size_t i = 0; i < look->seen_count; i++) {
        const struct issue *seen = &look->seen[i];

        if (seen->kind != ISSUE_STORED || seen->other_ca || is_past(seen, look->now) ||
            count_same(history, count, seen) > 0)
            continue;
        if (unexplained)
            unexplained = false;
        else
            explain(history, count, seen);
    }
    return unexplained;
}

/* Those that stay beside what was seen: of another order, or more than are there any more. */
static size_t keep_others(struct issue *history, size_t count, const struct issue_look *look)
{
    struct issue before[ISSUE_HISTORY_MAX];
    size_t kept = 0;

    memcpy(before, history, count * sizeof *before);
    for (size_t i = 0; i < count; i++) {
        struct issue issue = before[i];

        issue.missing = issue.order == look->order;
        if (is_past(&issue, look->now) ||
            (issue.missing &&
             count_same(before, i, &issue) < count_same(look->seen, look->seen_count, &issue)))
            continue;
        history[kept++] = issue;
    }
    return kept;
}

size_t issue_history_review(struct issue history[static ISSUE_HISTORY_MAX], size_t count,
                            const struct issue_look *look)
{
    mark_others(history, count, look);

    bool assumed = match_new(history, count, look);
    size_t kept = keep_others(history, count, look);

    for (size_t i = 0; i < look->seen_count; i++) {
        if (!look->seen[i].other_ca && !is_past(&look->seen[i], look->now))
            kept = insert(history, kept, &look->seen[i]);
    }
    if (assumed)
        kept = insert(history, kept,
                      &(struct issue){.at = look->ran_at,
                                      .order = look->order,
                                      .ca = look->ca,
                                      .authority = look->authority,
                                      .kind = ISSUE_ASSUMED,
                                      .missing = true});
    return kept;
}

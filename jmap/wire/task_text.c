#include "jmap/wire/task_text.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "jmap/wire/json_walk.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* More than any that is read for what it says. */
#define REASON_SIZE 512

struct slice {
    const char *text; /* NULL: not there */
    size_t len;
    bool quoted;
    bool escaped; /* it stands for another text */
};

/* Members that are wanted of an object, one of which may be an object with such members. */
struct member {
    const char *name;
    struct slice *value;
    const struct member *within;
    size_t within_count;
};

struct reader {
    const char *at, *end;
};

static bool take(struct reader *reader, char letter)
{
    reader->at = json_walk_space(reader->at, reader->end);
    bool there = reader->at < reader->end && *reader->at == letter;
    reader->at += there;
    return there;
}

/* What a \u stands for, and bytes beyond ASCII, can be wrong in ways that only a parser sees. */
static bool read_text(struct reader *reader, struct slice *out)
{
    const char *at = reader->at, *end = reader->end;
    bool escaped = false;

    for (at = json_walk_plain(at, end); at < end && *at == '\\'; at = json_walk_plain(at, end)) {
        if (end - at < 2 || !memchr("\"\\/bfnrt", at[1], 8))
            return false;
        escaped = true;
        at += 2;
    }
    if (at == end || *at != '"')
        return false;
    *out = (struct slice){
        .text = reader->at, .len = (size_t)(at - reader->at), .quoted = true, .escaped = escaped};
    reader->at = at + 1;
    return true;
}

/* A number that no parser finds too large, or a literal. */
static bool read_word(struct reader *reader, struct slice *out)
{
    static const char *const literals[] = {"true", "false", "null"};
    size_t left = (size_t)(reader->end - reader->at), len = 0;

    *out = (struct slice){.text = reader->at};
    while (len < left && len < 10 && out->text[len] >= '0' && out->text[len] <= '9')
        len++;
    if (len == 10 || (len > 1 && out->text[0] == '0'))
        return false;
    for (size_t i = 0; len == 0 && i < COUNT(literals); i++) {
        if (left >= strlen(literals[i]) && memcmp(out->text, literals[i], strlen(literals[i])) == 0)
            len = strlen(literals[i]);
    }
    out->len = len;
    reader->at += len;
    return len > 0;
}

static bool is_text(const struct slice *slice, const char *text)
{
    return slice->text && slice->len == strlen(text) && memcmp(slice->text, text, slice->len) == 0;
}

static const struct member *member_of(const struct member *members, size_t count,
                                      const struct slice *name)
{
    for (size_t i = 0; i < count; i++) {
        if (is_text(name, members[i].name))
            return &members[i];
    }
    return NULL;
}

static bool read_members(struct reader *reader, const struct member *members, size_t count);

static bool read_member(struct reader *reader, const struct member *members, size_t count)
{
    struct slice name, passed_over;
    const struct member *member;

    if (!take(reader, '"') || !read_text(reader, &name) || !take(reader, ':'))
        return false;
    member = member_of(members, count, &name);
    if (member && member->value->text)
        return false;
    struct slice *value = member ? member->value : &passed_over;
    if (take(reader, '{')) {
        if (!member || !member->within)
            return false;
        value->text = reader->at;
        return read_members(reader, member->within, member->within_count);
    }
    return take(reader, '"') ? read_text(reader, value) : read_word(reader, value);
}

/* Behind the bracket. */
static bool read_members(struct reader *reader, const struct member *members, size_t count)
{
    if (take(reader, '}'))
        return true;
    do {
        if (!read_member(reader, members, count))
            return false;
    } while (take(reader, ','));
    return take(reader, '}');
}

/* False where it is no text, stands for another one, or does not fit. */
static bool copy(const struct slice *slice, char *out, size_t size)
{
    if (!slice->text || !slice->quoted || slice->escaped || slice->len >= size)
        return false;
    memcpy(out, slice->text, slice->len);
    out[slice->len] = '\0';
    return true;
}

struct parts {
    struct slice id, domain_id, type, status;
    struct slice state, due, reason, attempts, failed_at, attempts_in_all; /* of the status */
};

/* When it is due: see own_request_task(). */
static bool read_due(const struct parts *parts, enum task_state state, wall_time now,
                     wall_time *out)
{
    char due[WALL_TIME_TEXT_SIZE], reason[REASON_SIZE];
    struct renewal_task task = {.state = state};

    if (!copy(&parts->due, due, sizeof due) || !wall_time_parse(due, &task.due))
        return false;
    if (parts->attempts.text && (parts->attempts.quoted || *parts->attempts.text > '9'))
        return false;
    if (parts->reason.text && !copy(&parts->reason, reason, sizeof reason))
        return false;
    task.failure_reason = parts->reason.text ? reason : NULL;
    task.restarted = is_text(&parts->attempts, "0");
    *out = renewal_task_due(&task, now);
    return true;
}

/* What is behind the object; NULL where it is not plain. */
static const char *read_parts(const char *text, const char *end, struct parts *parts)
{
    const struct member of_status[] = {
        {.name = "@type", .value = &parts->state},
        {.name = "due", .value = &parts->due},
        {.name = "failureReason", .value = &parts->reason},
        {.name = "attemptNumber", .value = &parts->attempts},
        {.name = "failedAt", .value = &parts->failed_at},
        {.name = "failedAttemptNumber", .value = &parts->attempts_in_all}};
    const struct member of_task[] = {
        {.name = "id", .value = &parts->id},
        {.name = "domainId", .value = &parts->domain_id},
        {.name = "@type", .value = &parts->type},
        {"status", &parts->status, of_status, COUNT(of_status)},
    };
    struct reader reader = {.at = text, .end = end};

    return take(&reader, '{') && read_members(&reader, of_task, COUNT(of_task)) ? reader.at : NULL;
}

const char *task_text_read(const char *text, const char *end, wall_time now, struct task_text *out)
{
    struct parts parts = {0};
    char type[sizeof "AcmeRenewal"], state[sizeof "Pending"];
    const char *behind = read_parts(text, end, &parts);

    if (!behind || !copy(&parts.type, type, sizeof type) || strcmp(type, "AcmeRenewal") != 0 ||
        !copy(&parts.state, state, sizeof state) || !copy(&parts.id, out->id, sizeof out->id) ||
        !copy(&parts.domain_id, out->domain_id, sizeof out->domain_id))
        return NULL;
    out->state = task_state_read(state);
    out->due = WALL_TIME_NEVER;
    out->waits = out->state == TASK_PENDING && !parts.reason.text && !parts.attempts.text &&
                 !parts.failed_at.text && !parts.attempts_in_all.text;
    bool readable = out->state == TASK_FAILED || read_due(&parts, out->state, now, &out->due);
    return readable ? behind : NULL;
}

#include "jmap/wire/result_reference.h"

#include <stdlib.h>
#include <string.h>

#include "jmap/wire/json_text.h"

/* What a path has found so far. */
struct findings {
    json_t *texts;
    size_t room;
    bool failed; /* there is no room for more, or no memory */
};

static bool starts_with_segment(const char *path, const char *segment)
{
    size_t len = strlen(segment);

    return strncmp(path, segment, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* Whether the server looks there: at what a call has found, never at what it has changed. */
static bool may_be_referred_to(const char *name, const char *path)
{
    static const struct {
        const char *verb, *root;
    } rows[] = {
        {"/get", "/list"},        {"/query", "/ids"},          {"/changes", "/created"},
        {"/changes", "/updated"}, {"/queryChanges", "/added"}, {"/changes", "/updatedProperties"},
    };
    const char *verb = strchr(name, '/');

    for (size_t i = 0; verb && i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(verb, rows[i].verb) == 0 && starts_with_segment(path, rows[i].root))
            return true;
    }
    return false;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);

    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static bool holds_ids(const char *name)
{
    static const char *const lists[] = {"ids", "created", "updated", "updatedProperties"};

    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        if (strcmp(name, lists[i]) == 0)
            return true;
    }
    return strcmp(name, "id") == 0 || ends_with(name, "Id") || ends_with(name, "Ids");
}

/* RFC 6901, section 4: "~1" is a slash and "~0" a tilde. */
static void unescape(char *text)
{
    char *to = text;

    for (const char *from = text; *from; from++) {
        bool escaped = from[0] == '~' && (from[1] == '0' || from[1] == '1');
        *to++ = !escaped ? from[0] : from[1] == '1' ? '/' : '~';
        from += escaped;
    }
    *to = '\0';
}

static json_t *element(const json_t *array, const char *text)
{
    char *end;
    unsigned long at = strtoul(text, &end, 10);

    return *text >= '0' && *text <= '9' && !*end ? json_array_get(array, at) : NULL;
}

static void result_reference_take(struct findings *findings, json_t *value)
{
    size_t len = json_string_length(value) + sizeof "\"\"," - 1;

    if (!json_is_string(value) || findings->failed)
        return;
    findings->failed = len > findings->room || json_array_append(findings->texts, value) != 0;
    findings->room -= findings->failed ? 0 : len;
}

static void take_all(struct findings *findings, json_t *value)
{
    json_t *member;
    size_t i;

    result_reference_take(findings, value);
    json_array_foreach(value, i, member)
    {
        result_reference_take(findings, member);
    }
}

static void evaluate(struct findings *findings, json_t *value, bool is_id, const char *path);

static void evaluate_each(struct findings *findings, json_t *values, bool is_id, const char *path)
{
    const char *name;
    json_t *value;
    size_t i;

    json_array_foreach(values, i, value)
    {
        evaluate(findings, value, is_id, path);
    }
    json_object_foreach(values, name, value)
    {
        evaluate(findings, value, holds_ids(name), path);
    }
}

static void evaluate_member(struct findings *findings, json_t *value, bool is_id,
                            const char *segment, size_t len)
{
    char *name = strndup(segment, len);

    if (!name) {
        findings->failed = true;
        return;
    }
    unescape(name);
    if (json_is_array(value))
        evaluate(findings, element(value, name), is_id, segment + len);
    else
        evaluate(findings, json_object_get(value, name), holds_ids(name), segment + len);
    free(name);
}

/* It goes no deeper than the value. */
static void evaluate(struct findings *findings, json_t *value, bool is_id, const char *path)
{
    if (!value || findings->failed)
        return;
    if (*path != '/') {
        if (is_id)
            take_all(findings, value);
        return;
    }
    const char *segment = path + 1;
    size_t len = strcspn(segment, "/");
    if (len == 1 && *segment == '*')
        evaluate_each(findings, value, is_id, segment + len);
    else
        evaluate_member(findings, value, is_id, segment, len);
}

/* NULL where it leads nowhere, or to more than there is room for. */
static json_t *result_reference_resolve(const json_t *reference, const json_t *responses,
                                        size_t *room)
{
    const char *name = json_text_value(json_object_get(reference, "name"));
    const char *path = json_text_value(json_object_get(reference, "path"));
    const json_t *call_id = json_object_get(reference, "resultOf");
    json_t *response;
    size_t i;

    if (!name || !path || !may_be_referred_to(name, path))
        return NULL;
    json_array_foreach(responses, i, response)
    {
        const char *own = json_text_value(json_array_get(response, 0));
        if (!own || strcmp(own, name) != 0 || !json_equal(json_array_get(response, 2), call_id))
            continue;
        struct findings findings = {.texts = json_array(), .room = *room};
        findings.failed = !findings.texts;
        evaluate(&findings, json_array_get(response, 1), false, path);
        if (!findings.failed) {
            *room = findings.room;
            return findings.texts;
        }
        json_decref(findings.texts);
        return NULL;
    }
    return NULL;
}

/* Of a value and a reference the server takes what comes last. */
static bool is_overridden(json_t *arguments, const char *referring)
{
    const char *name;
    json_t *value;
    bool seen = false;

    json_object_foreach(arguments, name, value)
    {
        if (strcmp(name, referring) == 0)
            seen = true;
        else if (seen && strcmp(name, referring + 1) == 0)
            return true;
    }
    return false;
}

void result_references_resolve(json_t *arguments, const json_t *responses, size_t *room)
{
    static const char *const referring[] = {"#ids", "#properties", "#destroy"};

    for (size_t i = 0; i < sizeof referring / sizeof *referring; i++) {
        const json_t *reference = json_object_get(arguments, referring[i]);
        json_t *found = reference && !is_overridden(arguments, referring[i])
                            ? result_reference_resolve(reference, responses, room)
                            : NULL;
        if (found && json_object_set(arguments, referring[i] + 1, found) == 0)
            json_object_del(arguments, referring[i]);
        json_decref(found);
    }
}

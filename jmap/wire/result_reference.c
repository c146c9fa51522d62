#include "jmap/wire/result_reference.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static json_t *evaluate(json_t *value, const char *path);

/* The server takes none to what a call has changed. */
static bool may_be_referred_to(const char *name)
{
    static const char *const verbs[] = {"/get", "/query", "/changes", "/queryChanges"};
    const char *verb = strchr(name, '/');

    for (size_t i = 0; verb && i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verb, verbs[i]) == 0)
            return true;
    }
    return false;
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

static json_t *member(const json_t *value, const char *segment, size_t len)
{
    char *name = strndup(segment, len);
    json_t *found = NULL;

    if (name) {
        unescape(name);
        found = json_is_array(value) ? element(value, name) : json_object_get(value, name);
    }
    free(name);
    return found;
}

/* What the path finds in each, in one array. */
static json_t *evaluate_each(const json_t *values, const char *path)
{
    json_t *all = json_array(), *value;
    bool done = all != NULL;
    size_t i;

    json_array_foreach(values, i, value)
    {
        json_t *found = done ? evaluate(value, path) : NULL;
        done = found && (json_is_array(found) ? json_array_extend(all, found)
                                              : json_array_append(all, found)) == 0;
        json_decref(found);
    }
    if (done)
        return all;
    json_decref(all);
    return NULL;
}

/* NULL where the path leads nowhere. It goes no deeper than the value. */
static json_t *evaluate(json_t *value, const char *path)
{
    if (!value || !*path)
        return json_incref(value);
    if (*path != '/')
        return NULL;

    const char *segment = path + 1;
    size_t len = strcspn(segment, "/");
    if (json_is_array(value) && len == 1 && *segment == '*')
        return evaluate_each(value, segment + len);
    return evaluate(member(value, segment, len), segment + len);
}

static json_t *resolve(const json_t *reference, const json_t *responses)
{
    const char *name = json_string_value(json_object_get(reference, "name"));
    const char *path = json_string_value(json_object_get(reference, "path"));
    const json_t *call_id = json_object_get(reference, "resultOf");
    json_t *response, *found = NULL;
    size_t i;

    if (!name || !path || !may_be_referred_to(name))
        return NULL;
    json_array_foreach(responses, i, response)
    {
        const char *own = json_string_value(json_array_get(response, 0));
        if (!found && own && strcmp(own, name) == 0 &&
            json_equal(json_array_get(response, 2), call_id))
            found = evaluate(json_array_get(response, 1), path);
    }
    return found;
}

void result_references_resolve(json_t *arguments, const json_t *responses)
{
    const char *name;
    json_t *reference;
    void *next;

    json_object_foreach_safe(arguments, next, name, reference)
    {
        json_t *found = name[0] == '#' ? resolve(reference, responses) : NULL;
        if (found && json_object_set(arguments, name + 1, found) == 0)
            json_object_del(arguments, name);
        json_decref(found);
    }
}

#include "proxy/http/cors.h"

#include <string.h>
#include <strings.h>

#define PREFIX "Access-Control-"

static bool is_cors(const struct field *field)
{
    return field->name_len >= sizeof PREFIX - 1 &&
           strncasecmp(field->name, PREFIX, sizeof PREFIX - 1) == 0;
}

/* NULL where there is no room. */
static const char *cors_keep(struct cors *cors, const char *text, size_t len)
{
    if (len >= CORS_SIZE - cors->used)
        return NULL;
    char *copy = cors->text + cors->used;
    memcpy(copy, text, len);
    copy[len] = '\0';
    cors->used += len + 1;
    return copy;
}

static bool keep_field(struct cors *cors, const struct field *field)
{
    if (cors->count == CORS_FIELDS)
        return false;
    struct field *copy = &cors->fields[cors->count++];
    *copy = *field;
    copy->name = cors_keep(cors, field->name, field->name_len);
    copy->value = copy->name == NULL ? NULL : cors_keep(cors, field->value, field->value_len);
    if (field_is(field, PREFIX "Allow-Origin"))
        cors->any_origin = strcmp(field->value, "*") == 0;
    return copy->value != NULL;
}

static void cors_forget(struct cors *cors)
{
    cors->count = 0;
    cors->used = 0;
    cors->any_origin = false;
    cors->origin = NULL;
}

void cors_learn(struct cors *cors, const struct field_list *request,
                const struct field_list *answer)
{
    const struct field *origin = field_find(request, "Origin");
    if (origin == NULL)
        return;
    cors_forget(cors);
    cors->origin = cors_keep(cors, origin->value, origin->value_len);
    bool fits = cors->origin != NULL;
    for (size_t i = 0; fits && i < answer->count; i++)
        fits = !is_cors(&answer->fields[i]) || keep_field(cors, &answer->fields[i]);
    if (!fits)
        cors_forget(cors);
}

bool cors_add(const struct cors *cors, const struct field_list *request, struct arena *arena,
              struct field_list *answer)
{
    const struct field *origin = field_find(request, "Origin");
    if (cors->count == 0 || origin == NULL ||
        (!cors->any_origin && strcmp(cors->origin, origin->value) != 0))
        return true;
    struct field *all = arena_alloc(arena, (answer->count + cors->count) * sizeof *all);
    if (all == NULL)
        return false;
    memcpy(all, answer->fields, answer->count * sizeof *all);
    answer->fields = all;
    for (size_t i = 0; i < cors->count; i++) {
        struct field *field = &all[answer->count];
        field->name = arena_copy(arena, cors->fields[i].name, cors->fields[i].name_len);
        field->value = arena_copy(arena, cors->fields[i].value, cors->fields[i].value_len);
        field->name_len = cors->fields[i].name_len;
        field->value_len = cors->fields[i].value_len;
        if (field->name == NULL || field->value == NULL)
            return false;
        answer->count++;
    }
    return true;
}

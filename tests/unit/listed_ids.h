#ifndef RENEWGATE_TESTS_UNIT_LISTED_IDS_H
#define RENEWGATE_TESTS_UNIT_LISTED_IDS_H

/* A query's answer, from a server that has `count` objects and lists `query_max` at a time. */

#include <jansson.h>
#include <stdio.h>

/* Their ids are `prefix` and a number, from `first` on. The caller's. */
static inline json_t *list_ids(const json_t *arguments, size_t count, size_t query_max,
                               const char *prefix, size_t first)
{
    size_t position = (size_t)json_integer_value(json_object_get(arguments, "position"));
    size_t limit = (size_t)json_integer_value(json_object_get(arguments, "limit"));
    json_t *ids = json_array(), *answer = json_pack("{s:o}", "ids", ids);

    if (limit > query_max) {
        limit = query_max;
        json_object_set_new(answer, "limit", json_integer((json_int_t)limit));
    }
    for (size_t i = position; i < count && i < position + limit; i++) {
        char id[32];
        snprintf(id, sizeof id, "%s%zu", prefix, i + first);
        json_array_append_new(ids, json_string(id));
    }
    return answer;
}

#endif

#ifndef RENEWGATE_TESTS_UNIT_CREATED_IDS_H
#define RENEWGATE_TESTS_UNIT_CREATED_IDS_H

/* What the servers in a few lines say of creation ids, as the recordings set-create-due and
 * created-ids-in do. */

#include <jansson.h>
#include <stddef.h>

/* What the request says of keys, and what the answer has made; NULL where it says nothing. */
static json_t *serve_created_ids(const json_t *request, const json_t *responses)
{
    json_t *given = json_object_get(request, "createdIds"), *response, *object;
    const char *key;
    size_t i;

    if (!json_is_object(given))
        return NULL;
    json_t *ids = json_copy(given);
    json_array_foreach(responses, i, response)
    {
        json_object_foreach(json_object_get(json_array_get(response, 1), "created"), key, object)
        {
            json_object_set(ids, key, json_object_get(object, "id"));
        }
    }
    if (json_object_size(ids) > 0)
        return ids;
    json_decref(ids);
    return NULL;
}

#endif

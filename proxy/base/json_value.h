#ifndef RENEWGATE_PROXY_BASE_JSON_VALUE_H
#define RENEWGATE_PROXY_BASE_JSON_VALUE_H

/*
 * Values of what the gate tells as JSON. NULL when memory runs out; jansson passes that on, and a
 * NULL among what is packed makes the whole NULL.
 */

#include <jansson.h>

#include "policy/wall_time.h"

/* As the server writes it; null for the bounds. */
json_t *json_value_of_time(wall_time time);

/*
 * null for NULL and for an empty text. Bytes of the server's, or of a listener's, that are no UTF-8
 * have no place in JSON, so words stand for them.
 */
json_t *json_value_of_text(const char *text);

#endif

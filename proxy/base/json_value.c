#include "proxy/base/json_value.h"

json_t *json_value_of_time(wall_time time)
{
    char text[WALL_TIME_TEXT_SIZE];
    if (wall_time_is_bound(time))
        return json_null();
    wall_time_format(time, text);
    return json_string(text);
}

json_t *json_value_of_text(const char *text)
{
    json_t *value = text != NULL && text[0] != '\0' ? json_string(text) : json_null();
    return value != NULL ? value : json_string("(not UTF-8)");
}

/* Times as the server writes them, and as HTTP does. */

#include "policy/wall_time.h"
#include "tests/fuzz/fuzz.h"

/* What four digits of a year can say: 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z. */
static bool can_be_written(wall_time time)
{
    return time.seconds >= INT64_C(-62135596800) && time.seconds <= INT64_C(253402300799);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = text_of(data, size);
    wall_time time, again;
    char written[WALL_TIME_TEXT_SIZE];

    if (wall_time_parse(text, &time) || wall_time_parse_http(text, &time)) {
        wall_time_format(time, written);
        MUST(wall_time_parse(written, &again));
        MUST(!can_be_written(time) || wall_time_equal(time, again));
    }
    free(text);
    return 0;
}

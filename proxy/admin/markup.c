#include "proxy/admin/markup.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proxy/base/plain_text.h"

#define MINUTE INT64_C(60)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

void markup_text(struct markup *markup, const char *text)
{
    struct plain_character character;
    for (; (character = plain_text_next(text)).len > 0; text += character.len) {
        if (character.hidden)
            markup_put(markup, PLAIN_TEXT_HIDDEN);
        else if (strchr("&<>\"'", *text) != NULL)
            markup_put(markup, "&#%u;", (unsigned char)*text);
        else
            markup_put(markup, "%.*s", (int)character.len, text);
    }
}

void markup_name(struct markup *markup, const char *text)
{
    markup_put(markup, "<bdi>");
    markup_text(markup, text);
    markup_put(markup, "</bdi>");
}

static void put_time(struct markup *markup, wall_time time, bool whole)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char text[WALL_TIME_TEXT_SIZE];
    unsigned year, month, day;
    wall_time_format(time, text);
    if (sscanf(text, "%4u-%2u-%2u", &year, &month, &day) != 3 || month < 1 || month > 12)
        return;
    markup_put(markup, "<time datetime=\"%s\">%u %.3s %u", text, day,
               months + (size_t)(month - 1) * 3, year);
    if (whole)
        markup_put(markup, ", %.5s UTC", text + 11);
    markup_put(markup, "</time>");
}

void markup_time(struct markup *markup, wall_time time)
{
    put_time(markup, time, true);
}

void markup_date(struct markup *markup, wall_time time)
{
    put_time(markup, time, false);
}

/* The two largest units, of which the smaller one is left out where it is none. */
static void put_duration(struct markup *markup, int64_t seconds)
{
    int64_t unit = seconds >= DAY ? DAY : seconds >= HOUR ? HOUR : MINUTE;
    int64_t smaller = unit == DAY ? HOUR : MINUTE;
    const char *name = unit == DAY ? "d" : unit == HOUR ? "h" : "min";
    markup_put(markup, "%" PRId64 " %s", seconds / unit, name);
    if (unit != MINUTE && seconds % unit / smaller > 0)
        markup_put(markup, " %" PRId64 " %s", seconds % unit / smaller,
                   smaller == HOUR ? "h" : "min");
}

void markup_distance(struct markup *markup, wall_time time, wall_time now)
{
    bool past = wall_time_before(time, now);
    int64_t seconds = past ? now.seconds - time.seconds : time.seconds - now.seconds;
    if (seconds < MINUTE) {
        markup_put(markup, "%s", past ? "just now" : "now");
        return;
    }
    markup_put(markup, "%s", past ? "" : "in ");
    put_duration(markup, seconds);
    markup_put(markup, "%s", past ? " ago" : "");
}

void markup_query_value(struct markup *markup, const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        bool plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                     (*at >= '0' && *at <= '9') || strchr("-._~", *at) != NULL;
        markup_put(markup, plain ? "%c" : "%%%02X", *at);
    }
}

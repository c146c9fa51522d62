#include "policy/wall_time.h"

#include <string.h>

#define SECONDS_A_DAY 86400
#define DAYS_A_CYCLE 146097 /* four hundred years of the Gregorian calendar */

/* 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z: what four digits of a year can say. */
#define FIRST_SECOND INT64_C(-62135596800)
#define LAST_SECOND INT64_C(253402300799)

struct calendar_day {
    int64_t year;
    int64_t month;
    int64_t day;
};

wall_time wall_time_add(wall_time t, int64_t seconds)
{
    if (wall_time_is_bound(t))
        return t;
    if (seconds > 0 && t.seconds > INT64_MAX - seconds)
        return WALL_TIME_FOREVER;
    if (seconds < 0 && t.seconds < INT64_MIN - seconds)
        return WALL_TIME_NEVER;
    return (wall_time){t.seconds + seconds};
}

/*
 * Days since 1970-01-01. The year is taken to begin in March, so that the leap day is its last
 * day and the lengths of the months before it follow one formula.
 */
static int64_t days_of(struct calendar_day date)
{
    int64_t year = date.month > 2 ? date.year : date.year - 1;
    int64_t cycle = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_cycle = year - cycle * 400;
    int64_t month = date.month > 2 ? date.month - 3 : date.month + 9;
    int64_t day_of_year = (153 * month + 2) / 5 + date.day - 1;
    int64_t leap_days = year_of_cycle / 4 - year_of_cycle / 100;

    return cycle * DAYS_A_CYCLE + year_of_cycle * 365 + leap_days + day_of_year - 719468;
}

/* The reverse of days_of(), for days in or after the year 1. */
static struct calendar_day day_of(int64_t days)
{
    int64_t since_march = days + 719468;
    int64_t cycle = since_march / DAYS_A_CYCLE;
    int64_t day_of_cycle = since_march % DAYS_A_CYCLE;
    int64_t year_of_cycle =
        (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36524 - day_of_cycle / 146096) / 365;
    int64_t day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    int64_t month = (5 * day_of_year + 2) / 153;

    return (struct calendar_day){
        .year = cycle * 400 + year_of_cycle + (month < 10 ? 0 : 1),
        .month = month < 10 ? month + 3 : month - 9,
        .day = day_of_year - (153 * month + 2) / 5 + 1,
    };
}

static int64_t days_in_month(int64_t year, int64_t month)
{
    static const int64_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return month == 2 && leap ? 29 : days[month - 1];
}

static bool read_digit(const char **at, int64_t *digit)
{
    if (**at < '0' || **at > '9')
        return false;
    *digit = *(*at)++ - '0';
    return true;
}

static bool wall_time_read_number(const char **at, int width, int64_t min, int64_t max,
                                  int64_t *out)
{
    int64_t number = 0, digit = 0;

    for (int i = 0; i < width; i++) {
        if (!read_digit(at, &digit))
            return false;
        number = number * 10 + digit;
    }
    *out = number;
    return number >= min && number <= max;
}

static bool read_char(const char **at, char expected)
{
    if (**at != expected)
        return false;
    (*at)++;
    return true;
}

static bool read_date(const char **at, int64_t *days)
{
    struct calendar_day date;

    if (!wall_time_read_number(at, 4, 0, 9999, &date.year) || !read_char(at, '-') ||
        !wall_time_read_number(at, 2, 1, 12, &date.month) || !read_char(at, '-') ||
        !wall_time_read_number(at, 2, 1, days_in_month(date.year, date.month), &date.day))
        return false;
    *days = days_of(date);
    return true;
}

/* A second of 60 is a leap second (RFC 3339, 5.7); it counts as the first of the next minute. */
static bool read_clock(const char **at, int64_t *seconds)
{
    int64_t hour, minute, second;

    if (!wall_time_read_number(at, 2, 0, 23, &hour) || !read_char(at, ':') ||
        !wall_time_read_number(at, 2, 0, 59, &minute) || !read_char(at, ':') ||
        !wall_time_read_number(at, 2, 0, 60, &second))
        return false;
    *seconds = hour * 3600 + minute * 60 + second;
    return true;
}

static bool read_fraction(const char **at)
{
    int64_t digit;

    if (!read_char(at, '.'))
        return true;
    if (!read_digit(at, &digit))
        return false;
    while (read_digit(at, &digit))
        ;
    return true;
}

static bool read_offset(const char **at, int64_t *seconds)
{
    int64_t hour, minute;
    bool west = **at == '-';

    *seconds = 0;
    if (read_char(at, 'Z') || read_char(at, 'z'))
        return true;
    if (!read_char(at, '+') && !read_char(at, '-'))
        return false;
    if (!wall_time_read_number(at, 2, 0, 23, &hour) || !read_char(at, ':') ||
        !wall_time_read_number(at, 2, 0, 59, &minute))
        return false;
    *seconds = (hour * 3600 + minute * 60) * (west ? -1 : 1);
    return true;
}

bool wall_time_parse(const char *text, wall_time *out)
{
    int64_t days, seconds, offset;

    if (!text || !read_date(&text, &days))
        return false;
    if (!read_char(&text, 'T') && !read_char(&text, 't'))
        return false;
    if (!read_clock(&text, &seconds) || !read_fraction(&text) || !read_offset(&text, &offset))
        return false;
    if (*text != '\0')
        return false;
    *out = (wall_time){days * SECONDS_A_DAY + seconds - offset};
    return true;
}

/* What a character does to the place of the field that is being read: 0 stays, -1 ends it all. */
static int server_step(char c, size_t at)
{
    switch (c) {
    case '-':
        return at <= 1 || at == 5 ? 1 : -1;
    case '+':
        return at == 5 ? 1 : -1;
    case 'T':
        return at == 2 ? 1 : -1;
    case ':':
        return at == 3 || at == 4 || at == 6 ? 1 : -1;
    case '.':
        return at == 5 ? 0 : -1;
    case 'Z':
    case 'z':
        return 0;
    default:
        return -1;
    }
}

bool wall_time_parse_server(const char *text, wall_time *out)
{
    enum { YEAR, MONTH, DAY, HOUR, MINUTE, SECOND, ZONE_HOUR, ZONE_MINUTE, FIELDS };
    static const int64_t first_digit[FIELDS] = {1000, 10, 10, 10, 10, 10, 10, 10};
    static const int64_t least[FIELDS] = {1970, 1, 1};
    static const int64_t most[FIELDS] = {3000, 12, 31, 23, 59, 59, 23, 59};
    int64_t fields[FIELDS] = {0}, place = first_digit[YEAR], sign = 1;
    size_t at = YEAR;
    bool fraction = false;

    if (!text)
        return false;
    for (; *text; text++) {
        if (*text >= '0' && *text <= '9') {
            if (fraction)
                continue;
            if (place == 0)
                break;
            fields[at] += (*text - '0') * place;
            place /= 10;
            continue;
        }
        int step = server_step(*text, at);
        if (step < 0)
            break;
        if (*text == '.')
            fraction = true;
        if (step == 0)
            continue;
        if (at == SECOND)
            sign = *text == '-' ? -1 : 1;
        fraction = false;
        place = first_digit[++at];
    }
    for (size_t i = 0; i < FIELDS; i++) {
        if (at < SECOND || fields[i] < least[i] || fields[i] > most[i])
            return false;
    }
    int64_t days = days_of((struct calendar_day){fields[YEAR], fields[MONTH], 1}) + fields[DAY] - 1;
    int64_t offset = sign * (fields[ZONE_HOUR] * 3600 + fields[ZONE_MINUTE] * 60);
    *out = (wall_time){days * SECONDS_A_DAY + fields[HOUR] * 3600 + fields[MINUTE] * 60 +
                       fields[SECOND] - offset};
    return true;
}

/* One of `count` three-letter names, which stand without anything between them. */
static bool read_name(const char **at, const char *names, int64_t count, int64_t *index)
{
    for (int64_t i = 0; i < count; i++) {
        if (strncmp(*at, names + i * 3, 3) == 0) {
            *at += 3;
            *index = i;
            return true;
        }
    }
    return false;
}

static bool read_text(const char **at, const char *text)
{
    while (*text && read_char(at, *text))
        text++;
    return *text == '\0';
}

static bool read_http_day(const char **at, int64_t *days)
{
    struct calendar_day date;
    int64_t weekday, month;

    if (!read_name(at, "MonTueWedThuFriSatSun", 7, &weekday) || !read_text(at, ", ") ||
        !wall_time_read_number(at, 2, 1, 31, &date.day) || !read_char(at, ' ') ||
        !read_name(at, "JanFebMarAprMayJunJulAugSepOctNovDec", 12, &month) || !read_char(at, ' ') ||
        !wall_time_read_number(at, 4, 0, 9999, &date.year))
        return false;
    date.month = month + 1;
    if (date.day > days_in_month(date.year, date.month))
        return false;
    *days = days_of(date);
    return true;
}

bool wall_time_parse_http(const char *text, wall_time *out)
{
    int64_t days, seconds;

    if (!text || !read_http_day(&text, &days) || !read_char(&text, ' ') ||
        !read_clock(&text, &seconds) || !read_text(&text, " GMT") || *text != '\0')
        return false;
    *out = (wall_time){days * SECONDS_A_DAY + seconds};
    return true;
}

/* Writes `width` digits and the mark behind them; returns where the next field begins. */
static char *write_field(char *at, int width, int64_t number, char mark)
{
    for (int i = width - 1; i >= 0; i--) {
        at[i] = (char)('0' + number % 10);
        number /= 10;
    }
    at[width] = mark;
    return at + width + 1;
}

void wall_time_format(wall_time t, char text[static WALL_TIME_TEXT_SIZE])
{
    int64_t seconds = t.seconds;

    if (seconds < FIRST_SECOND)
        seconds = FIRST_SECOND;
    if (seconds > LAST_SECOND)
        seconds = LAST_SECOND;

    int64_t clock = ((seconds % SECONDS_A_DAY) + SECONDS_A_DAY) % SECONDS_A_DAY;
    struct calendar_day date = day_of((seconds - clock) / SECONDS_A_DAY);
    char *at = text;

    at = write_field(at, 4, date.year, '-');
    at = write_field(at, 2, date.month, '-');
    at = write_field(at, 2, date.day, 'T');
    at = write_field(at, 2, clock / 3600, ':');
    at = write_field(at, 2, clock / 60 % 60, ':');
    at = write_field(at, 2, clock % 60, 'Z');
    *at = '\0';
}

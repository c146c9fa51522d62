#include "tests/standin/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static pthread_mutex_t clock_lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t offset_ms;
static int64_t frozen_at_ms;
static bool frozen;

static int64_t real_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_now_ms(void)
{
    pthread_mutex_lock(&clock_lock);
    int64_t now = frozen ? frozen_at_ms : real_ms() + offset_ms;
    pthread_mutex_unlock(&clock_lock);
    return now;
}

int64_t clock_now(void)
{
    return clock_now_ms() / 1000;
}

void clock_advance(int64_t seconds)
{
    pthread_mutex_lock(&clock_lock);
    offset_ms += seconds * 1000;
    frozen_at_ms += seconds * 1000;
    pthread_mutex_unlock(&clock_lock);
}

/* Its seconds begin with the real ones, so that who reckons by its dates is never ahead of it. */
void clock_set(int64_t seconds)
{
    pthread_mutex_lock(&clock_lock);
    offset_ms = seconds * 1000 - real_ms() / 1000 * 1000;
    frozen_at_ms = seconds * 1000;
    pthread_mutex_unlock(&clock_lock);
}

void clock_freeze(bool freeze)
{
    pthread_mutex_lock(&clock_lock);
    if (freeze && !frozen)
        frozen_at_ms = real_ms() + offset_ms;
    else if (!freeze && frozen)
        offset_ms = frozen_at_ms - real_ms();
    frozen = freeze;
    pthread_mutex_unlock(&clock_lock);
}

bool clock_is_frozen(void)
{
    pthread_mutex_lock(&clock_lock);
    bool is_frozen = frozen;
    pthread_mutex_unlock(&clock_lock);
    return is_frozen;
}

/*
 * As the server's DateTime::from_timestamp: a year is cut to 16 bits and all else to 8, so that
 * what lies outside of its calendar comes out as nonsense that it does not read back itself.
 */
void clock_format(int64_t seconds, char text[CLOCK_TEXT])
{
    int64_t days = seconds / 86400 + 719468, rest = seconds % 86400;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    uint64_t of_era = (uint64_t)(days - era * 146097);
    uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    uint64_t march = (5 * of_year + 2) / 153, month = march < 10 ? march + 3 : march - 9;
    uint16_t shown = (uint16_t)((int64_t)year + era * 400 + (month <= 2));
    snprintf(text, CLOCK_TEXT, "%04u-%02u-%02uT%02u:%02u:%02uZ", shown, (uint8_t)month,
             (uint8_t)(of_year - (153 * march + 2) / 5 + 1), (uint8_t)(rest / 3600),
             (uint8_t)(rest / 60 % 60), (uint8_t)(rest % 60));
}

void clock_format_http(int64_t seconds, char text[CLOCK_TEXT])
{
    time_t when = (time_t)seconds;
    struct tm tm;
    if (!gmtime_r(&when, &tm) || !strftime(text, CLOCK_TEXT, "%a, %d %b %Y %H:%M:%S GMT", &tm))
        text[0] = '\0';
}

/*
 * As the server's UTCDateTime: digits fill a field from its left, so fewer of them read as more;
 * what comes behind the last that is understood is passed over, and a day need not be in its month.
 */
bool clock_parse(const char *text, int64_t *seconds)
{
    static const int widths[] = {4, 2, 2, 2, 2, 2, 2, 2}; /* year to second, offset */
    static const int tens[] = {1, 10, 100, 1000};
    int parts[8] = {0}, used[8] = {0}, at = 0, sign = 1;
    bool fraction = false;
    for (const char *p = text; *p; p++) {
        if (*p >= '0' && *p <= '9') {
            if (fraction)
                continue;
            if (used[at] == widths[at])
                break;
            parts[at] += (*p - '0') * tens[widths[at] - ++used[at]];
        } else if (*p == '-' && (at <= 1 || at == 5)) {
            sign = at == 5 ? -1 : 1;
            fraction = false;
            at++;
        } else if ((*p == 'T' && at == 2) || (*p == ':' && (at == 3 || at == 4 || at == 6))) {
            at++;
        } else if (*p == '+' && at == 5) {
            fraction = false;
            at++;
        } else if (*p == '.' && at == 5) {
            fraction = true;
        } else if (*p != 'Z' && *p != 'z') {
            break;
        }
    }
    if (at < 5 || parts[0] < 1970 || parts[0] > 3000 || parts[1] < 1 || parts[1] > 12 ||
        parts[2] < 1 || parts[2] > 31 || parts[3] > 23 || parts[4] > 59 || parts[5] > 59 ||
        parts[6] > 23 || parts[7] > 59)
        return false;
    struct tm tm = {.tm_year = parts[0] - 1900,
                    .tm_mon = parts[1] - 1,
                    .tm_mday = parts[2],
                    .tm_hour = parts[3],
                    .tm_min = parts[4],
                    .tm_sec = parts[5]};
    *seconds = (int64_t)timegm(&tm) - sign * (parts[6] * 3600 + parts[7] * 60);
    return true;
}

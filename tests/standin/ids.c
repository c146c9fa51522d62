#include "tests/standin/ids.h"
#include "tests/standin/clock.h"

#include <pthread.h>

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz792013";

/* The server counts milliseconds from here. */
static const int64_t epoch_ms = INT64_C(1632280000) * 1000;
static pthread_mutex_t last_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t last;

void id_format(uint64_t id, char text[ID_TEXT])
{
    char digits[ID_TEXT];
    size_t count = 0;
    do {
        digits[count++] = alphabet[id & 31];
        id >>= 5;
    } while (id);
    for (size_t i = 0; i < count; i++)
        text[i] = digits[count - 1 - i];
    text[count] = '\0';
}

static int digit_value(char c)
{
    if (c >= 'a' && c <= 'z')
        return c - 'a';
    if (c >= 'K' && c <= 'Z')
        return c - 'A';
    switch (c) {
    case '7':
        return 26;
    case '9':
        return 27;
    case '2':
        return 28;
    case '0':
        return 29;
    case '1':
        return 30;
    case '3':
        return 31;
    default:
        return -1;
    }
}

bool id_parse(const char *text, uint64_t *id)
{
    uint64_t sum = 0;
    for (const char *p = text; *p; p++) {
        int value = digit_value(*p);
        if (value < 0)
            return false;
        sum = sum << 5 | (uint64_t)value;
    }
    *id = sum;
    return true;
}

uint64_t id_next(void)
{
    uint64_t id = (uint64_t)(clock_now_ms() - epoch_ms) << 21 | 1;
    pthread_mutex_lock(&last_lock);
    if (id <= last)
        id = last + 512;
    last = id;
    pthread_mutex_unlock(&last_lock);
    return id;
}

void id_seen(uint64_t id)
{
    pthread_mutex_lock(&last_lock);
    if (id > last && id < UINT64_MAX >> 1)
        last = id | 1;
    pthread_mutex_unlock(&last_lock);
}

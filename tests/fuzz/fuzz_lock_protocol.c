/* What a lock server says: the same replies in one piece and byte by byte. */

#include "proxy/replicas/lock_protocol.h"
#include "tests/fuzz/fuzz.h"

#define REPLIES_MOST 64

static size_t read_replies(const char *bytes, size_t len, size_t piece,
                           struct lock_reply replies[static REPLIES_MOST])
{
    struct lock_reader *reader = lock_reader_create();
    size_t count = 0;

    MUST(reader != NULL);
    for (size_t at = 0; at < len; at += piece) {
        enum lock_reading reading = LOCK_READING_REPLY;
        MUST(lock_reader_feed(reader, bytes + at, len - at < piece ? len - at : piece));
        while (count < REPLIES_MOST && reading == LOCK_READING_REPLY) {
            reading = lock_reader_next(reader, &replies[count]);
            count += reading == LOCK_READING_REPLY;
        }
        if (reading == LOCK_READING_NONSENSE)
            break;
    }
    lock_reader_destroy(reader);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lock_reply replies[REPLIES_MOST], again[REPLIES_MOST];

    if (size == 0)
        return 0;
    size_t count = read_replies((const char *)data, size, size, replies);
    MUST(read_replies((const char *)data, size, 1, again) == count);
    for (size_t i = 0; i < count; i++) {
        MUST(replies[i].kind == again[i].kind && replies[i].number == again[i].number);
        MUST(strcmp(replies[i].text, again[i].text) == 0);
    }
    return 0;
}

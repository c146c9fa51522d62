#include "tests/standin/events.h"
#include "tests/standin/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KEPT 64

/* The last events; guarded by store.lock. */
static char *kept[KEPT];
static unsigned long sent;

struct stream {
    unsigned long seen;
    unsigned ping;
    time_t next_ping;
    char text[4096];
    size_t len, at;
};

void events_push(const char *event, const char *data)
{
    char *text = NULL;
    if (asprintf(&text, "event: %s\ndata: %s\n\n", event, data) < 0)
        abort();
    pthread_mutex_lock(&store.lock);
    free(kept[sent % KEPT]);
    kept[sent++ % KEPT] = text;
    pthread_cond_broadcast(&store.changed);
    pthread_mutex_unlock(&store.lock);
}

/* Puts the next thing to say into the stream; false when the stand-in stops. */
static bool wait_for_more(struct stream *stream)
{
    bool more = false;
    pthread_mutex_lock(&store.lock);
    while (!more && !store.stopping) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        if (stream->ping && until.tv_sec >= stream->next_ping) {
            snprintf(stream->text, sizeof stream->text, "event: ping\ndata: {\"interval\": %u}\n\n",
                     stream->ping * 1000);
            stream->next_ping = until.tv_sec + (time_t)stream->ping;
            more = true;
        } else if (stream->seen < sent) {
            if (sent - stream->seen > KEPT)
                stream->seen = sent - KEPT;
            snprintf(stream->text, sizeof stream->text, "%s", kept[stream->seen++ % KEPT]);
            more = true;
        } else {
            until.tv_sec += 1;
            pthread_cond_timedwait(&store.changed, &store.lock, &until);
        }
    }
    pthread_mutex_unlock(&store.lock);
    stream->len = more ? strlen(stream->text) : 0;
    stream->at = 0;
    return more;
}

static ssize_t read_stream(void *with, uint64_t at, char *buffer, size_t max)
{
    struct stream *stream = with;
    (void)at;
    if (stream->at == stream->len && !wait_for_more(stream))
        return MHD_CONTENT_READER_END_OF_STREAM;
    size_t count = stream->len - stream->at < max ? stream->len - stream->at : max;
    memcpy(buffer, stream->text + stream->at, count);
    stream->at += count;
    return (ssize_t)count;
}

struct MHD_Response *events_stream(unsigned ping)
{
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        abort();
    stream->ping = ping && ping < 30 ? 30 : ping;
    pthread_mutex_lock(&store.lock);
    stream->seen = sent;
    pthread_mutex_unlock(&store.lock);
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, read_stream, stream, free);
}

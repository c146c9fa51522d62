/*
 * WebSocket frames, from a client where the first byte is even, else from a server: the same pieces
 * of messages however they come; and what is written can be read.
 */

#include "proxy/http/frames.h"
#include "tests/fuzz/fuzz.h"

static void take(struct frames *frames, struct frames *onward, struct buffer *content)
{
    struct frame_piece piece;
    enum frames_result result;

    while ((result = frames_read(frames, &piece)) == FRAMES_PIECE) {
        MUST(piece.len <= piece.frame_len &&
             (!piece.first || !piece.last || piece.len == piece.frame_len));
        MUST(buffer_append(content, piece.bytes, piece.len));
        frames_write(onward, &piece);
    }
}

static void read_all(const uint8_t *data, size_t size, size_t block, struct buffer *content)
{
    enum frames_peer peer = size > 0 && data[0] % 2 ? FRAMES_PEER_SERVER : FRAMES_PEER_CLIENT;
    struct frames from, to, reader;
    struct buffer again = BUFFER_EMPTY;
    struct frame_piece piece;

    MUST(frames_open(&from, peer) && frames_open(&to, FRAMES_PEER_CLIENT) &&
         frames_open(&reader, FRAMES_PEER_SERVER));
    for (size_t at = 1; at < size; at += block) {
        MUST(buffer_append(&from.in, (const char *)data + at,
                           size - at < block ? size - at : block));
        take(&from, &to, content);
    }
    MUST(buffer_append(&reader.in, buffer_content(&to.out), to.out.len));
    while (frames_read(&reader, &piece) == FRAMES_PIECE)
        MUST(buffer_append(&again, piece.bytes, piece.len));
    MUST(again.len == content->len &&
         memcmp(buffer_content(&again), buffer_content(content), again.len) == 0);
    buffer_clear(&again);
    frames_close(&from);
    frames_close(&to);
    frames_close(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer whole = BUFFER_EMPTY, split = BUFFER_EMPTY;

    read_all(data, size, size + 1, &whole);
    read_all(data, size, 3, &split);
    buffer_clear(&whole);
    buffer_clear(&split);
    return 0;
}

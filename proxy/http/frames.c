#include "proxy/http/frames.h"

#include <openssl/rand.h>
#include <string.h>

static ssize_t take_bytes(uint8_t *into, size_t max, int flags, void *user)
{
    (void)flags;
    struct frames *frames = user;
    size_t len = buffer_take(&frames->in, (char *)into, max);
    return len > 0 ? (ssize_t)len : -1;
}

static ssize_t put_bytes(const uint8_t *bytes, size_t len, int flags, void *user)
{
    (void)flags;
    struct frames *frames = user;
    return buffer_append(&frames->out, (const char *)bytes, len) ? (ssize_t)len : -1;
}

/* Masks must be unpredictable to whoever chose the bytes (RFC 6455, section 10.3). */
static int make_mask(uint8_t *mask, size_t len, void *user)
{
    (void)user;
    return RAND_bytes(mask, (int)len) == 1 ? 0 : -1;
}

bool frames_open(struct frames *frames, enum frames_peer peer)
{
    static const struct wslay_frame_callbacks callbacks = {
        .send_callback = put_bytes,
        .recv_callback = take_bytes,
        .genmask_callback = make_mask,
    };
    *frames = (struct frames){.peer = peer};
    return wslay_frame_context_init(&frames->wslay, &callbacks, frames) == 0;
}

void frames_close(struct frames *frames)
{
    if (frames->wslay != NULL)
        wslay_frame_context_free(frames->wslay);
    buffer_clear(&frames->in);
    buffer_clear(&frames->out);
    frames->wslay = NULL;
}

/* What wslay leaves to its caller. No extension is in use, so the reserved bits must be 0. */
static bool is_valid(const struct frames *frames, const struct wslay_frame_iocb *frame)
{
    if (frame->rsv != 0 || (frame->mask != 0) != (frames->peer == FRAMES_PEER_CLIENT))
        return false;
    switch (frame->opcode) {
    case WSLAY_CONTINUATION_FRAME:
        return frames->in_message;
    case WSLAY_TEXT_FRAME:
    case WSLAY_BINARY_FRAME:
        return !frames->in_message;
    case WSLAY_CONNECTION_CLOSE:
    case WSLAY_PING:
    case WSLAY_PONG:
        return true;
    default:
        return false;
    }
}

/* wslay has checked the length. */
static enum frames_result read_control(struct frames *frames, const struct wslay_frame_iocb *frame,
                                       struct frame_piece *out)
{
    if (frame->data_length > 0)
        memcpy(frames->control + frames->control_len, frame->data, frame->data_length);
    frames->control_len += frame->data_length;
    if (frames->control_len < frame->payload_length)
        return FRAMES_NOTHING;
    *out = (struct frame_piece){.opcode = frame->opcode,
                                .final = true,
                                .first = true,
                                .last = true,
                                .frame_len = frames->control_len,
                                .bytes = (const char *)frames->control,
                                .len = frames->control_len};
    frames->control_len = 0;
    return FRAMES_PIECE;
}

static void read_data(struct frames *frames, const struct wslay_frame_iocb *frame,
                      struct frame_piece *out)
{
    *out = (struct frame_piece){.opcode = frame->opcode,
                                .final = frame->fin != 0,
                                .first = frames->read == 0,
                                .frame_len = frame->payload_length,
                                .bytes = (const char *)frame->data,
                                .len = frame->data_length};
    frames->read += frame->data_length;
    out->last = frames->read == frame->payload_length;
    if (!out->last)
        return;
    frames->read = 0;
    frames->in_message = !out->final;
}

enum frames_result frames_read(struct frames *frames, struct frame_piece *out)
{
    struct wslay_frame_iocb frame;
    for (;;) {
        ssize_t result = wslay_frame_recv(frames->wslay, &frame);
        if (result == WSLAY_ERR_WANT_READ && frames->in.len > 0)
            continue; /* it takes no more than a header needs */
        if (result < 0)
            return result == WSLAY_ERR_WANT_READ ? FRAMES_NOTHING : FRAMES_VIOLATION;
        if (frames->read == 0 && !is_valid(frames, &frame))
            return FRAMES_VIOLATION;
        if (!wslay_is_ctrl_frame(frame.opcode)) {
            read_data(frames, &frame, out);
            return FRAMES_PIECE;
        }
        if (read_control(frames, &frame, out) == FRAMES_PIECE)
            return FRAMES_PIECE;
    }
}

bool frames_is_in_message(const struct frames *frames)
{
    return frames->in_message || frames->read > 0;
}

void frames_write(struct frames *frames, const struct frame_piece *piece)
{
    struct wslay_frame_iocb frame = {
        .fin = piece->final,
        .opcode = (uint8_t)piece->opcode,
        .payload_length = piece->frame_len,
        .mask = frames->peer == FRAMES_PEER_SERVER,
        .data = (const uint8_t *)piece->bytes,
        .data_length = piece->len,
    };
    /* Bytes behind a gap would be read as frames. */
    if (frames->no_memory)
        return;
    if (piece->first)
        frames->unwritten = piece->frame_len;
    frames->unwritten -= piece->len;
    if (wslay_frame_send(frames->wslay, &frame) != (ssize_t)piece->len)
        frames->no_memory = true;
}

void frames_write_whole(struct frames *frames, unsigned opcode, const char *bytes, size_t len)
{
    const struct frame_piece piece = {.opcode = opcode,
                                      .final = true,
                                      .first = true,
                                      .last = true,
                                      .frame_len = len,
                                      .bytes = bytes,
                                      .len = len};
    frames_write(frames, &piece);
}

void frames_write_close(struct frames *frames, unsigned code)
{
    const char bytes[] = {(char)(code >> 8), (char)(code & 0xff)};
    frames_write_whole(frames, WSLAY_CONNECTION_CLOSE, bytes, sizeof bytes);
}

#ifndef RENEWGATE_PROXY_HTTP_FRAMES_H
#define RENEWGATE_PROXY_HTTP_FRAMES_H

/*
 * The WebSocket frames that one end of a connection sends and gets (RFC 6455, section 5), without
 * I/O: bytes wait in two buffers, which the owner fills and empties. Data frames are read and
 * written in pieces, so that a frame of any length needs no more than room for a piece; control
 * frames are whole.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wslay/wslay.h>

#include "proxy/base/buffer.h"

#define FRAMES_CONTROL_LIMIT 125

enum frames_peer {
    FRAMES_PEER_CLIENT, /* it sends masked frames, and gets them plain */
    FRAMES_PEER_SERVER, /* the other way round: the mask of what it gets is made here */
};

/* Must stay where it is while it is open. The buffers are the owner's to fill and empty. */
struct frames {
    enum frames_peer peer;
    wslay_frame_context_ptr wslay;
    struct buffer in;  /* from the peer */
    struct buffer out; /* to the peer */
    bool in_message;   /* more frames of a message are to come from the peer */
    uint64_t read;     /* of the data frame that is being read */
    uint64_t unwritten;
    unsigned char control[FRAMES_CONTROL_LIMIT];
    size_t control_len;
    bool no_memory; /* what is written has ended before its end, and nothing more is written */
};

/* A piece of one frame; empty frames are one piece too. */
struct frame_piece {
    unsigned opcode; /* enum wslay_opcode */
    bool final;      /* its frame is the last of its message */
    bool first;      /* of its frame */
    bool last;
    uint64_t frame_len;
    const char *bytes; /* borrowed until the next frames_read() */
    size_t len;
};

enum frames_result {
    FRAMES_PIECE,
    FRAMES_NOTHING,   /* more bytes are needed */
    FRAMES_VIOLATION, /* of the protocol; the peer is to be told with 1002, and not read on */
};

/* False when memory runs out. */
bool frames_open(struct frames *frames, enum frames_peer peer);

/* Allowed when it is zeroed, and twice. */
void frames_close(struct frames *frames);

/* The next piece of what is in `in`. */
enum frames_result frames_read(struct frames *frames, struct frame_piece *out);

/* True from a message's first byte to its last. */
bool frames_is_in_message(const struct frames *frames);

/* Writes a piece; all of a frame, in order. Where memory runs out, `no_memory` is set. */
void frames_write(struct frames *frames, const struct frame_piece *piece);

/* Writes a frame that is a message of its own. Not in the middle of another frame. */
void frames_write_whole(struct frames *frames, unsigned opcode, const char *bytes, size_t len);

/* Writes a Close without a reason. Not in the middle of another frame. */
void frames_write_close(struct frames *frames, unsigned code);

#endif

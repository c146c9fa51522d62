#ifndef RENEWGATE_PROXY_HTTP_ANSWER_PARSER_H
#define RENEWGATE_PROXY_HTTP_ANSWER_PARSER_H

/*
 * Reads the answer to one request, with the interim ones before it, from the bytes of a connection
 * (RFC 9112). Without I/O: bytes go in, heads, data and the end come out, the same however the
 * bytes are cut. It takes what servers may send and nothing else: lines end in CR LF, no line is
 * folded, a body is framed in one way only.
 *
 * Time and memory are linear in the bytes of heads and trailers, which have a limit in all; bodies
 * are not kept here.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/arena.h"
#include "proxy/http/field.h"

enum parsed {
    PARSED_ALL,     /* every byte is used, and more is to come */
    PARSED_INTERIM, /* the head of an answer before the answer (1xx), in `status` and `fields` */
    PARSED_HEAD,    /* the head of the answer, likewise */
    PARSED_DATA,    /* a piece of its content, in `data` and `data_len` */
    PARSED_END,     /* it is complete; bytes behind it are left alone */
    PARSED_FAULT,   /* `fault` says why not, or `out_of_memory` is true */
};

enum answer_parser_state {
    ANSWER_AT_STATUS,
    ANSWER_AT_FIELDS,
    ANSWER_AT_COUNTED, /* content of a known length */
    ANSWER_AT_UNCOUNTED,
    ANSWER_AT_CHUNK_SIZE,
    ANSWER_AT_CHUNK_BLANKS, /* behind the size, where only an extension may follow */
    ANSWER_AT_CHUNK_EXTENSION,
    ANSWER_AT_CHUNK_SIZE_LF,
    ANSWER_AT_CHUNK_DATA,
    ANSWER_AT_CHUNK_DATA_CR,
    ANSWER_AT_CHUNK_DATA_LF,
    ANSWER_AT_TRAILERS,
    ANSWER_AT_TUNNEL, /* behind a 101: everything is content */
    ANSWER_AT_END,
    ANSWER_AT_FAULT,
};

struct answer_parser {
    /* Set by answer_parser_begin(). */
    struct arena *arena;
    size_t head_limit;
    bool no_content; /* the request was a HEAD */
    bool may_switch; /* the request asked for an upgrade, so a 101 is an answer */

    /* What has been read. The fields are the arena's. */
    unsigned status;
    struct field_list fields;
    const char *data; /* borrowed from the bytes that were given last */
    size_t data_len;
    bool begun;           /* a byte of an answer has come */
    bool ends_connection; /* the connection cannot be used for another request */
    bool out_of_memory;
    const char *fault; /* in words for the log */

    enum answer_parser_state state;
    bool is_1_0;
    size_t field_capacity;
    size_t head_len; /* bytes of all heads and trailers so far */
    char *line;      /* the beginning of a line whose end has not come */
    size_t line_len;
    size_t line_capacity;
    uint64_t left;     /* bytes of content, or of the chunk */
    unsigned line_use; /* bytes of a chunk's first line so far */
};

/*
 * Begins with the answer to a request. `head_limit`: bytes of all its heads and its trailers.
 * The arena must live as long as what has been read from it is used.
 */
void answer_parser_begin(struct answer_parser *parser, struct arena *arena, size_t head_limit,
                         bool is_head_request, bool asks_upgrade);

/*
 * Reads on. `used` of the bytes have been used up; the others are to be given again, with what has
 * come since, until the result is PARSED_ALL. PARSED_END comes even where no bytes are left.
 */
enum parsed answer_parser_next(struct answer_parser *parser, const char *bytes, size_t len,
                               size_t *used);

/* The connection has ended: PARSED_END where that is how the answer ends, else PARSED_FAULT. */
enum parsed answer_parser_close(struct answer_parser *parser);

#endif

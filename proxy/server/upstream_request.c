#include "proxy/server/upstream_parts.h"

#include <stdio.h>
#include <string.h>

/* How many pieces of a stream go out until others have their turn. */
#define SENDS_A_TURN 16
/* Before a chunk: its size in up to 16 digits, CR and LF. */
#define CHUNK_HEAD ((size_t)18)
#define CHUNK_TAIL ((size_t)2)

/* ---- the head ---- */

static char *upstream_request_append(char *at, const char *text, size_t len)
{
    memcpy(at, text, len);
    return at + len;
}

static char *append_field(char *at, const char *name, size_t name_len, const char *value,
                          size_t value_len)
{
    at = upstream_request_append(at, name, name_len);
    at = upstream_request_append(at, ": ", 2);
    at = upstream_request_append(at, value, value_len);
    return upstream_request_append(at, "\r\n", 2);
}

/* The framing that the fields do not tell yet; its value has up to 24 bytes. */
static char *append_framing(char *at, const struct upstream_request *request)
{
    if (request->body_kind == BODY_CHUNKS)
        return append_field(at, "Transfer-Encoding", 17, "chunked", 7);
    bool counted = request->body_kind == BODY_WHOLE || request->body_kind == BODY_STREAM;
    if (!counted || field_find(&request->fields, "Content-Length") != NULL)
        return at;
    char length[24];
    int len = snprintf(length, sizeof length, "%zu", request->len);
    return append_field(at, "Content-Length", 14, length, (size_t)len);
}

/* In the place of the client's own field, or behind all others. */
static char *append_fields(char *at, const struct upstream_request *request)
{
    bool asks = request->identity;
    for (size_t i = 0; i < request->fields.count; i++) {
        const struct field *field = &request->fields.fields[i];
        if (!request->identity || !field_is(field, "Accept-Encoding")) {
            at = append_field(at, field->name, field->name_len, field->value, field->value_len);
        } else if (asks) {
            at = append_field(at, field->name, field->name_len, "identity", 8);
            asks = false;
        }
    }
    return asks ? append_field(at, "Accept-Encoding", 15, "identity", 8) : at;
}

bool transfer_write_head(struct transfer *transfer, const struct upstream_request *request)
{
    static const char version[] = " HTTP/1.1\r\n";
    const char *authority = transfer->upstream->authority;
    bool names_host = field_find(&request->fields, "Host") != NULL;
    size_t method_len = strlen(request->method), target_len = strlen(request->target);
    size_t authority_len = strlen(authority);
    size_t size = method_len + target_len + sizeof version + authority_len + 128;
    for (size_t i = 0; i < request->fields.count; i++)
        size += request->fields.fields[i].name_len + request->fields.fields[i].value_len + 4;
    char *head = arena_alloc(transfer->arena, size);
    if (head == NULL)
        return false;
    char *at = upstream_request_append(head, request->method, method_len);
    *at++ = ' ';
    at = upstream_request_append(at, request->target, target_len);
    at = upstream_request_append(at, version, sizeof version - 1);
    if (!names_host)
        at = append_field(at, "Host", 4, authority, authority_len);
    at = append_fields(at, request);
    at = append_framing(at, request);
    at = upstream_request_append(at, "\r\n", 2);
    transfer->head = (struct iovec){head, (size_t)(at - head)};
    return true;
}

void transfer_rewind(struct transfer *transfer)
{
    transfer->parts[0] = transfer->head;
    transfer->parts[1] = transfer->body;
    transfer->part_count = transfer->body.iov_len > 0 ? 2 : 1;
    transfer->left = transfer->told_length;
    transfer->last_pulled = false;
    transfer->sends = true;
    transfer->sent_any = false;
}

/* ---- the body ---- */

/* Whether there is more than the parts. A tunnel's bytes come only once it is one. */
static bool is_pulled(const struct transfer *transfer)
{
    switch (transfer->body_kind) {
    case BODY_STREAM:
        return transfer->left > 0;
    case BODY_CHUNKS:
        return !transfer->last_pulled;
    case BODY_UPGRADE:
        return transfer->parser.state == ANSWER_AT_TUNNEL;
    default:
        return false;
    }
}

static void add_part(struct transfer *transfer, char *bytes, size_t len)
{
    transfer->parts[transfer->part_count++] = (struct iovec){bytes, len};
}

/* The chunk that is in the block behind room for its first line. */
static void add_chunk(struct transfer *transfer, char *block, size_t len)
{
    char line[CHUNK_HEAD + 1];
    size_t line_len = (size_t)snprintf(line, sizeof line, "%zx\r\n", len);
    char *begin = block + CHUNK_HEAD - line_len;
    memcpy(begin, line, line_len);
    memcpy(block + CHUNK_HEAD + len, "\r\n", CHUNK_TAIL);
    add_part(transfer, begin, line_len + len + CHUNK_TAIL);
}

/* SENDING_DONE: another part has been added; SENDING_LATER: there is none now. */
static enum sending pull(struct transfer *transfer)
{
    char *block = transfer->upstream->block;
    bool chunked = transfer->body_kind == BODY_CHUNKS;
    size_t room = chunked ? BLOCK_SIZE - CHUNK_HEAD - CHUNK_TAIL : BLOCK_SIZE;
    size_t len = 0;
    if (transfer->body_kind == BODY_STREAM && room > transfer->left)
        room = transfer->left;
    if (transfer->handler->pull == NULL)
        return SENDING_FAILED;
    switch (
        transfer->handler->pull(transfer->user, block + (chunked ? CHUNK_HEAD : 0), room, &len)) {
    case PULL_BYTES:
        transfer->progress = transfer->upstream->now;
        if (chunked)
            add_chunk(transfer, block, len);
        else
            add_part(transfer, block, len);
        transfer->left -= transfer->body_kind == BODY_STREAM ? len : 0;
        return SENDING_DONE;
    case PULL_LATER:
        transfer->pull_waits = true;
        return SENDING_LATER;
    case PULL_END:
        /* Half of what was told must not pass for all of it. */
        if (!chunked)
            return SENDING_FAILED;
        transfer->last_pulled = true;
        add_part(transfer, memcpy(block, "0\r\n\r\n", 5), 5);
        return SENDING_DONE;
    case PULL_FAIL:
        break;
    }
    return SENDING_FAILED;
}

static void drop_sent(struct transfer *transfer, size_t len)
{
    size_t sent = 0;
    transfer->sent_any = transfer->sent_any || len > 0;
    if (len > 0)
        transfer->progress = transfer->upstream->now;
    while (sent < transfer->part_count && len >= transfer->parts[sent].iov_len)
        len -= transfer->parts[sent++].iov_len;
    for (size_t i = sent; i < transfer->part_count; i++)
        transfer->parts[i - sent] = transfer->parts[i];
    transfer->part_count -= sent;
    if (transfer->part_count > 0) {
        transfer->parts[0].iov_base = (char *)transfer->parts[0].iov_base + len;
        transfer->parts[0].iov_len -= len;
    }
}

/* The block is everybody's, so what of it has not gone out is kept elsewhere. */
static bool save_unsent(struct transfer *transfer)
{
    const char *block = transfer->upstream->block;
    struct iovec *last = &transfer->parts[transfer->part_count - 1];
    const char *begin = last->iov_base;
    if (begin < block || begin >= block + BLOCK_SIZE)
        return true;
    transfer->unsent.len = transfer->unsent.start = 0;
    if (!buffer_append(&transfer->unsent, begin, last->iov_len))
        return false;
    last->iov_base = (char *)buffer_content(&transfer->unsent);
    return true;
}

/* More is pulled once all has gone out, or along with a head of which nothing has. */
static bool has_place(const struct transfer *transfer)
{
    return transfer->part_count == 0 || (transfer->part_count == 1 && !transfer->sent_any);
}

enum sending transfer_send(struct transfer *transfer)
{
    for (int i = 0; i < SENDS_A_TURN; i++) {
        if (is_pulled(transfer) && transfer->sends && !transfer->pull_waits &&
            has_place(transfer)) {
            enum sending result = pull(transfer);
            if (result == SENDING_FAILED)
                return result;
        }
        if (transfer->part_count == 0) {
            transfer->sends = transfer->sends && is_pulled(transfer);
            return transfer->sends ? SENDING_LATER : SENDING_DONE;
        }
        size_t len;
        enum wire result =
            wire_send(transfer->connection, transfer->parts, transfer->part_count, &len);
        drop_sent(transfer, len);
        if (result != WIRE_BYTES && transfer->part_count > 0 && !save_unsent(transfer))
            return SENDING_MEMORY;
        if (result != WIRE_BYTES)
            return result == WIRE_LATER ? SENDING_LATER : SENDING_BROKEN;
    }
    return transfer->part_count > 0 && !save_unsent(transfer) ? SENDING_MEMORY : SENDING_AGAIN;
}

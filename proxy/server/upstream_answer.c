#include "proxy/server/upstream_parts.h"

/* How many blocks are read until others have their turn. */
#define RECEIVES_A_TURN 8

static enum receiving pass_interim(struct transfer *transfer)
{
    const struct upstream_head head = {transfer->parser.status, transfer->parser.fields};
    if (transfer->handler->interim != NULL)
        transfer->handler->interim(transfer->user, &head);
    return RECEIVING_AGAIN;
}

static bool is_unreadable(const struct answer_parser *parser)
{
    return parser->status == 200 && !parser->no_content && field_list_is_encoded(&parser->fields);
}

/* From a 101 on there are bytes to pull. */
static enum receiving pass_head(struct transfer *transfer)
{
    const struct upstream_head head = {transfer->parser.status, transfer->parser.fields};
    if (transfer->identity && is_unreadable(&transfer->parser)) {
        transfer->parser.fault = "the answer has a Content-Encoding, though none was asked for: "
                                 "nothing between the gate and the server may compress";
        return RECEIVING_FAULT;
    }
    transfer->has_head = true;
    transfer->sends |= transfer->parser.state == ANSWER_AT_TUNNEL;
    return transfer->handler->head(transfer->user, &head) ? RECEIVING_AGAIN : RECEIVING_FAILED;
}

static enum receiving pass_data(struct transfer *transfer, const char *bytes, size_t len)
{
    if (transfer->whole)
        transfer->progress = transfer->upstream->now;
    switch (transfer->handler->data(transfer->user, bytes, len)) {
    case DATA_TAKEN:
        return RECEIVING_AGAIN;
    case DATA_LATER:
        transfer->data_waits = true;
        return RECEIVING_LATER;
    case DATA_FAIL:
        break;
    }
    return RECEIVING_FAILED;
}

/*
 * Reads what has come and passes it on. RECEIVING_AGAIN: all is used; RECEIVING_LATER: content
 * that cannot be passed on now, `held_data` bytes of it, ends at `used`.
 */
static enum receiving parse(struct transfer *transfer, const char *bytes, size_t len, size_t *used)
{
    struct answer_parser *parser = &transfer->parser;
    enum receiving result = RECEIVING_AGAIN;
    *used = 0;
    while (result == RECEIVING_AGAIN) {
        size_t count;
        enum parsed parsed = answer_parser_next(parser, bytes + *used, len - *used, &count);
        *used += count;
        switch (parsed) {
        case PARSED_ALL:
            return RECEIVING_AGAIN;
        case PARSED_INTERIM:
            result = pass_interim(transfer);
            break;
        case PARSED_HEAD:
            result = pass_head(transfer);
            break;
        case PARSED_DATA:
            result = pass_data(transfer, parser->data, parser->data_len);
            transfer->held_data = parser->data_len;
            break;
        case PARSED_END:
            transfer->surplus = *used < len;
            return RECEIVING_DONE;
        case PARSED_FAULT:
            return parser->out_of_memory ? RECEIVING_MEMORY : RECEIVING_FAULT;
        }
    }
    return result;
}

/* What was held back before, first of all. */
static enum receiving receive_held(struct transfer *transfer)
{
    struct buffer *held = &transfer->held;
    size_t used;
    if (held->len == 0)
        return RECEIVING_AGAIN;
    enum receiving result = pass_data(transfer, buffer_content(held), transfer->held_data);
    if (result != RECEIVING_AGAIN)
        return result;
    buffer_drop(held, transfer->held_data);
    result = parse(transfer, buffer_content(held), held->len, &used);
    buffer_drop(held, result == RECEIVING_LATER ? used - transfer->held_data : used);
    if (held->len == 0)
        buffer_clear(held);
    return result;
}

static enum receiving receive_block(struct transfer *transfer)
{
    char *block = transfer->upstream->block;
    size_t len, used;
    switch (wire_receive(transfer->connection, block, BLOCK_SIZE, &len)) {
    case WIRE_LATER:
        return RECEIVING_LATER;
    case WIRE_END:
        return answer_parser_close(&transfer->parser) == PARSED_END ? RECEIVING_DONE
                                                                    : RECEIVING_CLOSED;
    case WIRE_BROKEN:
        return RECEIVING_CLOSED;
    case WIRE_BYTES:
        break;
    }
    if (!transfer->has_head)
        transfer->progress = transfer->upstream->now;
    enum receiving result = parse(transfer, block, len, &used);
    if (result != RECEIVING_LATER)
        return result;
    size_t begin = used - transfer->held_data;
    return buffer_append(&transfer->held, block + begin, len - begin) ? RECEIVING_LATER
                                                                      : RECEIVING_MEMORY;
}

enum receiving transfer_receive(struct transfer *transfer)
{
    enum receiving result = receive_held(transfer);
    for (int i = 0; i < RECEIVES_A_TURN && result == RECEIVING_AGAIN; i++) {
        if (!transfer->connection->readable)
            return RECEIVING_LATER;
        result = receive_block(transfer);
    }
    return result;
}

#include "proxy/server/upstream_parts.h"

#include <string.h>

#include "proxy/http/vetting.h"

#define FIELDS_AT_FIRST ((size_t)32)
#define FIELDS_LIMIT ((size_t)4096)
/* Of all heads of one answer, interim ones too: the last must fit into a client's connection. */
#define HEAD_LIMIT ((size_t)32768)

/*
 * curl stops sending where the answer says that the rest is not wanted, but it takes the transfer
 * for unfinished for as long as sending is paused.
 */
void transfer_end_pause_of_sending(struct transfer *transfer)
{
    if (transfer->state == TRANSFER_IN_BODY && (transfer->paused & CURLPAUSE_SEND) != 0)
        transfer_resume(transfer);
}

static bool give_up(struct transfer *transfer, const char *fault)
{
    transfer->fault = fault;
    return false;
}

static bool add_field(struct transfer *transfer, struct field field)
{
    struct field_list *list = &transfer->head.fields;
    if (list->count == FIELDS_LIMIT)
        return give_up(transfer, "the answer has too many header fields");
    if (list->count == transfer->field_capacity) {
        size_t capacity = transfer->field_capacity == 0 ? FIELDS_AT_FIRST : list->count * 2;
        struct field *fields = arena_alloc(transfer->arena, capacity * sizeof *fields);
        if (fields == NULL) {
            transfer->out_of_memory = true;
            return false;
        }
        if (list->count > 0)
            memcpy(fields, list->fields, list->count * sizeof *fields);
        list->fields = fields;
        transfer->field_capacity = capacity;
    }
    list->fields[list->count++] = field;
    return true;
}

/* "HTTP/1.1 200 OK" */
static bool read_status_line(struct transfer *transfer, const char *line, size_t len)
{
    const char *space = memchr(line, ' ', len);
    if (space == NULL || len - (size_t)(space - line) < 4)
        return give_up(transfer, "the answer has no proper status line");
    unsigned status = 0;
    for (int i = 1; i <= 3; i++) {
        if (space[i] < '0' || space[i] > '9')
            return give_up(transfer, "the answer has no proper status line");
        status = status * 10 + (unsigned)(space[i] - '0');
    }
    transfer->head.status = status;
    transfer->head.fields.count = 0;
    transfer->state = TRANSFER_IN_HEAD;
    return status >= 100 || give_up(transfer, "the answer has no proper status line");
}

static bool read_field_line(struct transfer *transfer, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    if (colon == NULL)
        return give_up(transfer, "a header line of the answer has no colon");
    const char *value = colon + 1;
    const char *end = line + len;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    struct field field = {.name_len = (size_t)(colon - line), .value_len = (size_t)(end - value)};
    field.name = arena_copy(transfer->arena, line, field.name_len);
    field.value = arena_copy(transfer->arena, value, field.value_len);
    if (field.name == NULL || field.value == NULL) {
        transfer->out_of_memory = true;
        return false;
    }
    return add_field(transfer, field);
}

static bool end_of_head(struct transfer *transfer)
{
    const char *fault = vetting_framing_fault(&transfer->head.fields);
    bool upgraded = transfer->head.status == 101;
    if (fault != NULL)
        return give_up(transfer, fault);
    if (upgraded && !transfer->asks_upgrade)
        return give_up(transfer, "the server switched protocols unasked");
    if (transfer->head.status < 200 && !upgraded) {
        transfer->state = TRANSFER_BEFORE_HEAD;
        if (transfer->handler->interim != NULL)
            transfer->handler->interim(transfer->user, &transfer->head);
        return true;
    }
    transfer->state = upgraded ? TRANSFER_TUNNEL : TRANSFER_IN_BODY;
    transfer_end_pause_of_sending(transfer);
    return transfer->handler->head(transfer->user, &transfer->head);
}

size_t transfer_on_header(char *line, size_t one, size_t size, void *user)
{
    (void)one;
    struct transfer *transfer = user;
    transfer->progress = clock_monotonic();
    size_t len = size;
    while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == '\n'))
        len--;
    bool fine = true;
    if (transfer->state != TRANSFER_IN_BODY && size > HEAD_LIMIT - transfer->head_len) {
        give_up(transfer, "the answer's head is too large");
        return 0;
    }
    transfer->head_len += transfer->state == TRANSFER_IN_BODY ? 0 : size;
    switch (transfer->state) {
    case TRANSFER_BEFORE_HEAD:
        fine = read_status_line(transfer, line, len);
        break;
    case TRANSFER_IN_HEAD:
        fine = len == 0 ? end_of_head(transfer) : read_field_line(transfer, line, len);
        break;
    default:
        break; /* a trailer: the client's side has no place for it */
    }
    return fine ? size : 0;
}

size_t transfer_on_data(char *bytes, size_t one, size_t len, void *user)
{
    (void)one;
    struct transfer *transfer = user;
    if (len == 0)
        return 0;
    if (transfer->whole)
        transfer->progress = clock_monotonic();
    switch (transfer->handler->data(transfer->user, bytes, len)) {
    case DATA_TAKEN:
        transfer_end_pause_of_sending(transfer);
        return len;
    case DATA_LATER:
        transfer->paused |= CURLPAUSE_RECV;
        return CURL_WRITEFUNC_PAUSE;
    case DATA_FAIL:
        break;
    }
    return len + 1;
}

size_t transfer_on_pull(char *into, size_t one, size_t max, void *user)
{
    struct transfer *transfer = user;
    size_t len = 0;
    if (transfer->asks_upgrade && transfer->state == TRANSFER_IN_BODY)
        return 0;
    if (transfer->asks_upgrade && transfer->state != TRANSFER_TUNNEL) {
        transfer->paused |= CURLPAUSE_SEND;
        return CURL_READFUNC_PAUSE;
    }
    if (transfer->handler->pull == NULL)
        return CURL_READFUNC_ABORT;
    switch (transfer->handler->pull(transfer->user, into, one * max, &len)) {
    case PULL_BYTES:
        transfer->progress = clock_monotonic();
        return len;
    case PULL_LATER:
        transfer->paused |= CURLPAUSE_SEND;
        return CURL_READFUNC_PAUSE;
    case PULL_END:
        return 0;
    case PULL_FAIL:
        break;
    }
    return CURL_READFUNC_ABORT;
}

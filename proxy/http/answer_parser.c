#include "proxy/http/answer_parser.h"

#include <string.h>

#include "proxy/http/validation.h"

#define FIELDS_AT_FIRST ((size_t)16)
#define FIELDS_LIMIT ((size_t)4096)
#define LINE_AT_FIRST ((size_t)256)
/* Of a chunk's size and its extensions, which nobody needs. */
#define CHUNK_LINE_LIMIT 4096

void answer_parser_begin(struct answer_parser *parser, struct arena *arena, size_t head_limit,
                         bool is_head_request, bool asks_upgrade)
{
    *parser = (struct answer_parser){
        .arena = arena,
        .head_limit = head_limit,
        .no_content = is_head_request,
        .may_switch = asks_upgrade,
    };
}

static enum parsed answer_parser_fail(struct answer_parser *parser, const char *fault)
{
    parser->state = ANSWER_AT_FAULT;
    parser->fault = fault;
    return PARSED_FAULT;
}

static enum parsed fail_for_memory(struct answer_parser *parser)
{
    parser->out_of_memory = true;
    return answer_parser_fail(parser, "out of memory");
}

/* ---- lines ---- */

/* Keeps the beginning of a line for when the rest comes. */
static bool answer_parser_keep(struct answer_parser *parser, const char *bytes, size_t len)
{
    if (len > parser->line_capacity - parser->line_len) {
        size_t capacity = parser->line_capacity == 0 ? LINE_AT_FIRST : parser->line_capacity;
        while (capacity - parser->line_len < len)
            capacity *= 2;
        char *line = arena_alloc(parser->arena, capacity);
        if (line == NULL)
            return false;
        if (parser->line_len > 0)
            memcpy(line, parser->line, parser->line_len);
        parser->line = line;
        parser->line_capacity = capacity;
    }
    memcpy(parser->line + parser->line_len, bytes, len);
    parser->line_len += len;
    return true;
}

/*
 * Takes a line off the bytes. PARSED_HEAD: `line` is whole, without its end, and borrowed until
 * the next; PARSED_ALL: it has not come to its end.
 */
static enum parsed take_line(struct answer_parser *parser, const char *bytes, size_t len,
                             size_t *used, const char **line, size_t *line_len)
{
    const char *begin = bytes + *used;
    const char *end = *used == len ? NULL : memchr(begin, '\n', len - *used);
    size_t count = end == NULL ? len - *used : (size_t)(end - begin) + 1;
    if (count > parser->head_limit - parser->head_len)
        return answer_parser_fail(parser, "the answer's head is too large");
    parser->head_len += count;
    *used += count;
    if (end != NULL && parser->line_len == 0) {
        *line = begin;
        *line_len = count;
    } else {
        if (count > 0 && !answer_parser_keep(parser, begin, count))
            return fail_for_memory(parser);
        *line = parser->line;
        *line_len = parser->line_len;
    }
    if (end == NULL)
        return PARSED_ALL;
    parser->line_len = 0;
    if (*line_len < 2 || (*line)[*line_len - 2] != '\r')
        return answer_parser_fail(parser, "a header line of the answer does not end in CR LF");
    *line_len -= 2;
    return PARSED_HEAD;
}

/* Whether a status line can begin so: "HTTP/1.1 200". A server of another protocol may wait. */
static bool may_be_status_line(const char *text, size_t len)
{
    static const char pattern[] = "HTTP/1.v ddd";
    for (size_t i = 0; i < len && i < sizeof pattern - 1; i++) {
        bool fits = pattern[i] == 'v'   ? text[i] == '0' || text[i] == '1'
                    : pattern[i] == 'd' ? text[i] >= '0' && text[i] <= '9'
                                        : text[i] == pattern[i];
        if (!fits)
            return false;
    }
    return true;
}

static enum parsed read_status_line(struct answer_parser *parser, const char *bytes, size_t len,
                                    size_t *used)
{
    const char *line = NULL;
    size_t line_len = 0;
    enum parsed result = take_line(parser, bytes, len, used, &line, &line_len);
    if (result == PARSED_FAULT && parser->out_of_memory)
        return result;
    if (!may_be_status_line(line, line_len))
        return answer_parser_fail(parser, "the answer has no proper status line");
    if (result != PARSED_HEAD)
        return result;
    /* The words behind the number may be missing, and the blank before them too. */
    if (line_len < 12 || line[9] == '0' || (line_len > 12 && line[12] != ' ') ||
        !field_value_valid(line + 12, line_len - 12))
        return answer_parser_fail(parser, "the answer has no proper status line");
    parser->is_1_0 = line[7] == '0';
    parser->status = (unsigned)(line[9] - '0') * 100 + (unsigned)(line[10] - '0') * 10 +
                     (unsigned)(line[11] - '0');
    parser->fields.count = 0;
    parser->state = ANSWER_AT_FIELDS;
    return PARSED_HEAD;
}

/* ---- fields ---- */

/* Reads a line as a field that is borrowed from it, and does not end in NUL. */
static bool split_line(struct answer_parser *parser, const char *line, size_t len,
                       struct field *out)
{
    size_t name_len = 0;
    while (name_len < len && field_byte_in_name(line[name_len]))
        name_len++;
    if (name_len == 0 || name_len == len || line[name_len] != ':') {
        answer_parser_fail(parser, memchr(line, ':', len) == NULL
                                       ? "a header line of the answer has no colon"
                                       : "A header field's name is not valid.");
        return false;
    }
    const char *value = line + name_len + 1;
    const char *end = line + len;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *out = (struct field){line, value, name_len, (size_t)(end - value)};
    if (field_value_valid(value, out->value_len))
        return true;
    answer_parser_fail(parser, "A header field's value has a character that it must not have.");
    return false;
}

static bool parser_make_room(struct answer_parser *parser)
{
    struct field_list *list = &parser->fields;
    if (list->count < parser->field_capacity)
        return true;
    size_t capacity = parser->field_capacity == 0 ? FIELDS_AT_FIRST : list->count * 2;
    struct field *fields = arena_alloc(parser->arena, capacity * sizeof *fields);
    if (fields == NULL)
        return false;
    if (list->count > 0)
        memcpy(fields, list->fields, list->count * sizeof *fields);
    list->fields = fields;
    parser->field_capacity = capacity;
    return true;
}

static enum parsed parser_add_field(struct answer_parser *parser, struct field field)
{
    if (parser->fields.count == FIELDS_LIMIT)
        return answer_parser_fail(parser, "the answer has too many header fields");
    char *text = arena_alloc(parser->arena, field.name_len + field.value_len + 2);
    if (text == NULL || !parser_make_room(parser))
        return fail_for_memory(parser);
    memcpy(text, field.name, field.name_len);
    text[field.name_len] = '\0';
    field.name = text;
    text += field.name_len + 1;
    memcpy(text, field.value, field.value_len);
    text[field.value_len] = '\0';
    field.value = text;
    parser->fields.fields[parser->fields.count++] = field;
    return PARSED_HEAD;
}

static bool says_close(const struct field_list *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        const struct field *field = &fields->fields[i];
        if (field_is(field, "Connection") && field_value_has_token(field->value, "close", 5))
            return true;
    }
    return false;
}

/* How long the content is (RFC 9112, section 6.3). */
static void begin_content(struct answer_parser *parser)
{
    const struct field *length = field_find(&parser->fields, "Content-Length");
    bool chunked = field_find(&parser->fields, "Transfer-Encoding") != NULL;
    size_t len = 0;
    if (length != NULL)
        field_read_length(length->value, &len);
    parser->ends_connection = parser->is_1_0 || says_close(&parser->fields);
    if (parser->no_content || parser->status == 204 || parser->status == 304) {
        parser->state = ANSWER_AT_END;
        /* Whoever announces content where there can be none may also send it. */
        parser->ends_connection |= parser->status == 204 && (chunked || len > 0);
    } else if (chunked) {
        parser->state = ANSWER_AT_CHUNK_SIZE;
    } else if (length != NULL) {
        parser->left = len;
        parser->state = len > 0 ? ANSWER_AT_COUNTED : ANSWER_AT_END;
    } else {
        parser->ends_connection = true;
        parser->state = ANSWER_AT_UNCOUNTED;
    }
}

static enum parsed end_head(struct answer_parser *parser)
{
    const char *fault = validation_framing_fault(&parser->fields);
    if (fault != NULL)
        return answer_parser_fail(parser, fault);
    if (parser->is_1_0 && field_find(&parser->fields, "Transfer-Encoding") != NULL)
        return answer_parser_fail(parser, "HTTP/1.0 has no Transfer-Encoding.");
    if (parser->status == 101) {
        if (!parser->may_switch)
            return answer_parser_fail(parser, "the server switched protocols unasked");
        parser->ends_connection = true;
        parser->state = ANSWER_AT_TUNNEL;
        return PARSED_HEAD;
    }
    if (parser->status < 200) {
        parser->state = ANSWER_AT_STATUS;
        return PARSED_INTERIM;
    }
    begin_content(parser);
    return PARSED_HEAD;
}

/* Trailers are read as fields are, and dropped: the client's side has no place for them. */
static enum parsed read_fields(struct answer_parser *parser, const char *bytes, size_t len,
                               size_t *used)
{
    const char *line;
    size_t line_len;
    struct field field;
    enum parsed result;
    while ((result = take_line(parser, bytes, len, used, &line, &line_len)) == PARSED_HEAD) {
        if (line_len == 0) {
            if (parser->state == ANSWER_AT_FIELDS)
                return end_head(parser);
            parser->state = ANSWER_AT_END;
            return PARSED_END;
        }
        if (!split_line(parser, line, line_len, &field) ||
            (parser->state == ANSWER_AT_FIELDS && parser_add_field(parser, field) == PARSED_FAULT))
            return PARSED_FAULT;
    }
    return result;
}

/* ---- content ---- */

static enum parsed give_data(struct answer_parser *parser, const char *bytes, size_t len,
                             size_t *used)
{
    parser->data = bytes + *used;
    parser->data_len = len - *used;
    *used = len;
    return parser->data_len > 0 ? PARSED_DATA : PARSED_ALL;
}

/* Up to `left` bytes; behind the last of them comes `next`. */
static enum parsed give_counted(struct answer_parser *parser, const char *bytes, size_t len,
                                size_t *used, enum answer_parser_state next)
{
    size_t here = len - *used;
    enum parsed result =
        give_data(parser, bytes, *used + (here < parser->left ? here : (size_t)parser->left), used);
    parser->left -= parser->data_len;
    if (parser->left == 0)
        parser->state = next;
    return result;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The next byte of what stands around a chunk's data. False where it must not stand there. */
static bool take_chunk_byte(struct answer_parser *parser, char c)
{
    int digit = hex_digit(c);
    switch (parser->state) {
    case ANSWER_AT_CHUNK_SIZE:
        if (digit >= 0 && parser->left <= (INT64_MAX >> 4) && parser->line_use <= 16) {
            parser->left = parser->left << 4 | (uint64_t)digit;
            return true;
        }
        if (digit >= 0 || parser->line_use == 1)
            return false;
        parser->state = c == '\r'               ? ANSWER_AT_CHUNK_SIZE_LF
                        : c == ';'              ? ANSWER_AT_CHUNK_EXTENSION
                        : c == ' ' || c == '\t' ? ANSWER_AT_CHUNK_BLANKS
                                                : ANSWER_AT_FAULT;
        return parser->state != ANSWER_AT_FAULT;
    case ANSWER_AT_CHUNK_BLANKS:
        if (c == ';')
            parser->state = ANSWER_AT_CHUNK_EXTENSION;
        return c == ';' || c == ' ' || c == '\t';
    case ANSWER_AT_CHUNK_EXTENSION:
        if (c == '\r')
            parser->state = ANSWER_AT_CHUNK_SIZE_LF;
        return c == '\r' || field_byte_in_value(c);
    case ANSWER_AT_CHUNK_SIZE_LF:
        parser->state = parser->left > 0 ? ANSWER_AT_CHUNK_DATA : ANSWER_AT_TRAILERS;
        parser->line_use = 0;
        return c == '\n';
    case ANSWER_AT_CHUNK_DATA_CR:
        parser->state = ANSWER_AT_CHUNK_DATA_LF;
        parser->line_use = 0;
        return c == '\r';
    default:
        parser->state = ANSWER_AT_CHUNK_SIZE;
        parser->line_use = 0;
        return c == '\n';
    }
}

static enum parsed read_chunk(struct answer_parser *parser, const char *bytes, size_t len,
                              size_t *used)
{
    while (*used < len) {
        if (parser->state == ANSWER_AT_TRAILERS)
            return read_fields(parser, bytes, len, used);
        if (parser->state == ANSWER_AT_CHUNK_DATA)
            return give_counted(parser, bytes, len, used, ANSWER_AT_CHUNK_DATA_CR);
        parser->line_use++;
        if (parser->line_use > CHUNK_LINE_LIMIT || !take_chunk_byte(parser, bytes[(*used)++]))
            return answer_parser_fail(parser, "a chunk of the answer is not framed as it must be");
    }
    return PARSED_ALL;
}

enum parsed answer_parser_next(struct answer_parser *parser, const char *bytes, size_t len,
                               size_t *used)
{
    *used = 0;
    parser->begun = parser->begun || len > 0;
    switch (parser->state) {
    case ANSWER_AT_STATUS: {
        enum parsed result = read_status_line(parser, bytes, len, used);
        return result == PARSED_HEAD ? read_fields(parser, bytes, len, used) : result;
    }
    case ANSWER_AT_FIELDS:
        return read_fields(parser, bytes, len, used);
    case ANSWER_AT_COUNTED:
        return give_counted(parser, bytes, len, used, ANSWER_AT_END);
    case ANSWER_AT_UNCOUNTED:
    case ANSWER_AT_TUNNEL:
        return give_data(parser, bytes, len, used);
    case ANSWER_AT_END:
        return PARSED_END;
    case ANSWER_AT_FAULT:
        return PARSED_FAULT;
    default:
        return read_chunk(parser, bytes, len, used);
    }
}

enum parsed answer_parser_close(struct answer_parser *parser)
{
    switch (parser->state) {
    case ANSWER_AT_END:
    case ANSWER_AT_UNCOUNTED:
    case ANSWER_AT_TUNNEL:
        parser->state = ANSWER_AT_END;
        return PARSED_END;
    case ANSWER_AT_FAULT:
        return PARSED_FAULT;
    default:
        return answer_parser_fail(
            parser, parser->begun ? "the server closed the connection within its answer"
                                  : "the server closed the connection before it had answered");
    }
}

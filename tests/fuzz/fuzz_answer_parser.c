/*
 * The server's answers. The first byte says to what kind of request, the second how the bytes are
 * cut: as they are, one by one, or where each next byte of a small table says. The same comes out
 * however they are cut, and no byte is used twice or lost.
 */

#include "proxy/base/buffer.h"
#include "proxy/http/answer_parser.h"
#include "tests/fuzz/fuzz.h"

#define HEAD_LIMIT ((size_t)4096)
#define CUTS ((size_t)8)

struct outcome {
    struct buffer text;
    enum parsed last;
    size_t used;
    const char *fault;
    bool ends_connection;
};

static void note(struct outcome *outcome, const struct answer_parser *parser, enum parsed result)
{
    if (result == PARSED_DATA) {
        MUST(parser->data_len > 0);
        MUST(buffer_append(&outcome->text, parser->data, parser->data_len));
        return;
    }
    MUST(parser->status >= 100 && parser->status <= 999);
    MUST((result == PARSED_INTERIM) == (parser->status < 200 && parser->status != 101));
    MUST(buffer_format(&outcome->text, "<%u>", parser->status));
    for (size_t i = 0; i < parser->fields.count; i++) {
        const struct field *field = &parser->fields.fields[i];
        MUST(field_name_valid(field->name, field->name_len) &&
             field_value_valid(field->value, field->value_len));
        MUST(strlen(field->name) == field->name_len && strlen(field->value) == field->value_len);
        MUST(buffer_format(&outcome->text, "%s:%s;", field->name, field->value));
    }
}

static struct outcome read_in(const uint8_t *bytes, size_t len, unsigned kind, const uint8_t *cuts,
                              size_t cut_count)
{
    struct arena arena = ARENA_EMPTY;
    struct answer_parser parser;
    struct outcome outcome = {.last = PARSED_ALL};
    size_t at = 0;
    answer_parser_begin(&parser, &arena, HEAD_LIMIT, kind % 3 == 1, kind % 3 == 2);
    for (size_t i = 0; outcome.last == PARSED_ALL && at < len; i++) {
        size_t size = cut_count == 0 ? len : (size_t)cuts[i % cut_count] + 1;
        if (size > len - at)
            size = len - at;
        char *piece = malloc(size);
        MUST(piece != NULL);
        memcpy(piece, bytes + at, size);
        size_t begin = 0, used;
        do {
            outcome.last = answer_parser_next(&parser, piece + begin, size - begin, &used);
            begin += used;
            MUST(begin <= size);
            if (outcome.last == PARSED_HEAD || outcome.last == PARSED_INTERIM ||
                outcome.last == PARSED_DATA)
                note(&outcome, &parser, outcome.last);
        } while (outcome.last == PARSED_HEAD || outcome.last == PARSED_INTERIM ||
                 outcome.last == PARSED_DATA);
        MUST(outcome.last != PARSED_ALL || begin == size);
        at += begin;
        free(piece);
    }
    outcome.used = at;
    if (outcome.last == PARSED_ALL)
        outcome.last = answer_parser_close(&parser);
    outcome.fault = parser.fault;
    outcome.ends_connection = parser.ends_connection;
    MUST(!parser.out_of_memory && (outcome.last == PARSED_FAULT) == (parser.fault != NULL));
    arena_clear(&arena);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t bytewise[] = {0};
    if (size < 1 + CUTS)
        return 0;
    const uint8_t *bytes = data + 1 + CUTS;
    size_t len = size - 1 - CUTS;
    struct outcome whole = read_in(bytes, len, data[0], NULL, 0);
    struct outcome others[] = {
        read_in(bytes, len, data[0], bytewise, 1),
        read_in(bytes, len, data[0], data + 1, CUTS),
    };
    for (size_t i = 0; i < 2; i++) {
        MUST(others[i].last == whole.last && others[i].fault == whole.fault &&
             others[i].ends_connection == whole.ends_connection);
        MUST(whole.last == PARSED_FAULT || others[i].used == whole.used);
        MUST(others[i].text.len == whole.text.len &&
             memcmp(buffer_content(&others[i].text), buffer_content(&whole.text), whole.text.len) ==
                 0);
        buffer_clear(&others[i].text);
    }
    buffer_clear(&whole.text);
    return 0;
}

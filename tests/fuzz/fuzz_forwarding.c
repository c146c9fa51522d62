/* A head, a field each line: whom the request is from, whatever it says itself. */

#include "proxy/http/field.h"
#include "proxy/http/forwarding.h"
#include "tests/fuzz/fuzz.h"

#define FIELDS_MOST 32

static void read_fields(char *text, struct field_list *list)
{
    while (text != NULL && list->count < FIELDS_MOST) {
        char *next = cut_line(text);
        char *colon = strchr(text, ':');
        if (colon != NULL) {
            *colon = '\0';
            struct field field = field_of(text, colon + 1);
            if (field_name_valid(field.name, field.name_len) &&
                field_value_valid(field.value, field.value_len))
                list->fields[list->count++] = field;
        }
        text = next;
    }
}

static void check(const struct field_list *received, const struct network_list *trusted)
{
    struct field written[FORWARDING_FIELDS];
    struct field_list out = {.fields = written};
    struct arena arena = ARENA_EMPTY;
    struct forwarding from;
    const struct forwarding_source source = {.peer = "192.0.2.1",
                                             .scheme = "http",
                                             .version = "1.1",
                                             .is_trusted = forwarding_trusts("192.0.2.1", trusted),
                                             .trusted = trusted};

    MUST(forwarding_read(&source, received, &arena, &from));
    MUST(trusted->count > 0 || strcmp(from.hops, "192.0.2.1") == 0);
    MUST(forwarding_add(&from, received, &arena, &out) && out.count <= FORWARDING_FIELDS);
    for (size_t i = 0; i < out.count; i++)
        MUST(field_value_valid(out.fields[i].value, out.fields[i].value_len));
    arena_clear(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct field fields[FIELDS_MOST];
    struct field_list received = {.fields = fields};
    struct network_list trusted = {0}, none = {0};
    char *text = text_of(data, size);
    size_t length;

    read_fields(text, &received);
    MUST(network_list_read("192.0.2.0/24, 2001:db8::/32", &trusted));
    check(&received, &trusted);
    check(&received, &none);
    for (size_t i = 0; i < received.count; i++) {
        field_is_hop_by_hop(&received, &fields[i]);
        MUST(!field_read_length(fields[i].value, &length) || length <= INT64_MAX);
    }
    network_list_clear(&trusted);
    free(text);
    return 0;
}

/* Ids are told apart, and are what log and documents say that they are. */

#include "proxy/http/request_id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void are_made(void **state)
{
    (void)state;
    static const struct {
        struct request_ids ids;
        const char *id;
    } rows[] = {
        {{0, 0}, "00000000-1"},
        {{0x5f3a01c2, 0x0e}, "5f3a01c2-f"},
        {{0x5f3a01c2, 0x0f}, "5f3a01c2-10"},
        {{0x5f3a01c2, 0x19}, "5f3a01c2-1a"},
        {{0xffffffff, UINT64_MAX - 1}, "ffffffff-ffffffffffffffff"},
    };
    const struct field_list none = {0};
    struct arena arena = ARENA_EMPTY;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct request_ids ids = rows[i].ids;
        assert_string_equal(request_id_of(&ids, false, &none, &arena), rows[i].id);
        assert_int_equal(ids.count, rows[i].ids.count + 1);
    }
    arena_clear(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(are_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Frames that are written while memory runs out, at every allocation in turn: what there is of them
 * is their beginning, and nothing behind a gap. Linked as test_hold_memory is.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "proxy/http/frames.h"
#include "tests/unit/failing_memory.h"

#define FRAMES 12
#define PAYLOAD 3000

/* Some frames of growing length, the last of them empty. */
static void write_frames(struct frames *frames)
{
    char payload[PAYLOAD];

    for (size_t i = 0; i < FRAMES; i++) {
        memset(payload, 'a' + (int)i, sizeof payload);
        frames_write_whole(frames, WSLAY_TEXT_FRAME, payload, PAYLOAD * i / FRAMES);
    }
    frames_write_whole(frames, WSLAY_PING, "", 0);
}

static void nothing_follows_a_gap(void **state)
{
    struct frames whole;
    bool cut = true;

    (void)state;
    assert_true(frames_open(&whole, FRAMES_PEER_CLIENT));
    write_frames(&whole);
    for (int allowed = 0; cut; allowed++) {
        struct frames frames;
        assert_true(frames_open(&frames, FRAMES_PEER_CLIENT));
        for_good = false;
        left = allowed;
        write_frames(&frames);
        left = INT_MAX;
        cut = frames.no_memory;
        assert_true(cut ? frames.out.len < whole.out.len : frames.out.len == whole.out.len);
        assert_memory_equal(buffer_content(&frames.out), buffer_content(&whole.out),
                            frames.out.len);
        frames_close(&frames);
    }
    frames_close(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_follows_a_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

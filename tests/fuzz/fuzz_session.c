/* Sessions: what is rewritten is still a session, and stays as it is when it is rewritten again. */

#include <jansson.h>

#include "jmap/wire/session.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct session_front address = {"https", "mail.example.org:8443", 1000};
    char *text = text_of(data, size);
    size_t len, again_len;
    bool no_memory;

    char *rewritten = session_rewrite(text, size, &address, &len, &no_memory);
    if (rewritten != NULL) {
        json_t *session = json_loadb(rewritten, len, 0, NULL);
        MUST(session != NULL);
        json_decref(session);
        /*
         * URLs are written each time, with the same bytes; of a limit alone nothing is left to do.
         */
        char *again = session_rewrite(rewritten, len, &address, &again_len, &no_memory);
        MUST(again == NULL || (again_len == len && memcmp(again, rewritten, len) == 0));
        free(again);
    }
    MUST(!no_memory);
    free(rewritten);
    session_is_target(text, size);
    free(text);
    return 0;
}

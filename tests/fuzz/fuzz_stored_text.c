/* A certificate's text as the server has it. */

#include "proxy/audit/stored_text.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct lookup_certificate certificate = {.id = "b"};
    struct san_set names = SAN_SET_EMPTY;
    struct stored_text text;
    char *pem = text_of(data, size);

    MUST(san_set_add(&names, "mail.example.org", 16));
    stored_text_read(&text, &certificate, &names, pem);
    MUST(text.readable || text.fault != NULL);
    MUST(memchr(text.key, '\0', sizeof text.key) != NULL);
    san_set_clear(&names);
    free(pem);
    return 0;
}

/* The beginning of a connection: what is whole is so at one length only, and not before. */

#include "proxy/clients/proxy_header.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    struct proxy_header header, part;
    enum proxy_header_state state = proxy_header_read(bytes, size, &header);

    if (state == PROXY_HEADER_MALFORMED)
        return 0;
    size_t len = state == PROXY_HEADER_WHOLE ? header.len : size;
    MUST(len <= size && len <= PROXY_HEADER_LIMIT);
    for (size_t i = 0; i < len; i++) {
        char *exact = text_of(data, i);
        MUST(proxy_header_read(exact, i, &part) == PROXY_HEADER_PARTIAL);
        free(exact);
    }
    MUST(state != PROXY_HEADER_WHOLE || (proxy_header_read(bytes, len, &part) == state &&
                                         part.len == len && part.is_told == header.is_told));
    return 0;
}

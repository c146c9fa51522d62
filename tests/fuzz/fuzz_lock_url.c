/* The lock server's URL. */

#include "proxy/replicas/lock_url.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = text_of(data, size);
    struct lock_server server;

    if (lock_url_read(text, &server)) {
        MUST(server.address != NULL && strchr(server.address, ':') != NULL);
        MUST(server.database <= 65535 && (server.user == NULL || server.password != NULL));
    }
    lock_server_clear(&server);
    free(text);
    return 0;
}

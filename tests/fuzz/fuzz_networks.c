/* Lists of networks; an address that is written reads as itself. */

#include "proxy/base/networks.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = text_of(data, size);
    char written[NETWORK_ADDRESS_TEXT_SIZE];
    struct network_address address, again;
    struct network_list list;

    if (network_address_read(text, strlen(text), &address)) {
        network_address_write(&address, written);
        MUST(network_address_read(written, strlen(written), &again));
        MUST(memcmp(address.bytes, again.bytes, sizeof again.bytes) == 0);
    }
    if (network_list_read(text, &list)) {
        MUST(list.count > 0);
        for (size_t i = 0; i < list.count; i++)
            MUST(network_list_has(&list, &list.networks[i].address));
    }
    network_list_clear(&list);
    free(text);
    return 0;
}

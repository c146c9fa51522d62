#include "policy/no_op_id.h"

#include <openssl/sha.h>
#include <stddef.h>
#include <string.h>

/* The server's digits in the order of their value. */
static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz792013";

static const char prefix[] = "p33";

static void digest(const void *data, size_t len, unsigned char out[static SHA256_DIGEST_LENGTH])
{
    /* Without memory OpenSSL writes nothing; zeroes still make an id that never exists. */
    memset(out, 0, SHA256_DIGEST_LENGTH);
    SHA256(data, len, out);
}

void no_op_id(const char *domain_id, const char *certificate_id, char id[static NO_OP_ID_SIZE])
{
    /* Each is digested by itself first, so that no two pairs share their concatenation. */
    unsigned char pair[2 * SHA256_DIGEST_LENGTH];
    unsigned char whole[SHA256_DIGEST_LENGTH];

    digest(domain_id, strlen(domain_id), pair);
    digest(certificate_id, strlen(certificate_id), pair + SHA256_DIGEST_LENGTH);
    digest(pair, sizeof pair, whole);

    memcpy(id, prefix, sizeof prefix);
    char *digits = id + strlen(prefix);
    size_t digit_count = NO_OP_ID_SIZE - sizeof prefix;

    for (size_t i = 0; i < digit_count; i++)
        digits[i] = alphabet[whole[i] % 32];
    /* A first digit from the lower half keeps well below the ids with a meaning of their own. */
    digits[0] = alphabet[whole[0] % 16];
    digits[digit_count] = '\0';
}

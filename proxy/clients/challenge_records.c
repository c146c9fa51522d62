#include "proxy/clients/challenge_records.h"

#include <stdint.h>

enum { NONE_BEGINS = 0, CHANGE_CIPHER_SPEC = 20, HANDSHAKE = 22, APPLICATION_DATA = 23 };

/*
 * Finished has a header, a hash of at most 48 bytes, its kind, which is hidden, and a tag of 16
 * bytes; an alert has two bytes instead of the first two.
 */
#define FINISHED_MOST ((size_t)(4 + 48 + 1 + 16))
#define ALERT_MOST ((size_t)(2 + 1 + 16))
#define ENCRYPTED_MOST 3U

/* Takes one byte; the kind of the record whose header it ends, or NONE_BEGINS. */
static unsigned read_byte(struct record_reader *reader, unsigned char byte)
{
    if (reader->left > 0) {
        reader->left--;
        return NONE_BEGINS;
    }
    reader->header[reader->header_len++] = byte;
    if (reader->header_len < sizeof reader->header)
        return NONE_BEGINS;
    reader->header_len = 0;
    reader->left = (size_t)reader->header[3] << 8 | reader->header[4];
    return reader->header[0] == NONE_BEGINS ? UINT8_MAX : reader->header[0];
}

static bool allow_encrypted(struct challenge_records *records)
{
    size_t most = records->encrypted == 0 ? FINISHED_MOST : ALERT_MOST;
    return records->server_encrypts && records->client.left <= most &&
           records->encrypted++ < ENCRYPTED_MOST;
}

bool challenge_records_allow(struct challenge_records *records, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned kind = read_byte(&records->client, (unsigned char)bytes[i]);
        bool plain = kind >= CHANGE_CIPHER_SPEC && kind <= HANDSHAKE; /* and alerts, between them */
        if (kind != NONE_BEGINS && !plain &&
            (kind != APPLICATION_DATA || !allow_encrypted(records)))
            return false;
    }
    return true;
}

void challenge_records_note(struct challenge_records *records, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (read_byte(&records->server, (unsigned char)bytes[i]) == APPLICATION_DATA)
            records->server_encrypts = true;
    }
}

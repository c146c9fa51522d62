#ifndef RENEWGATE_PROXY_CLIENTS_CHALLENGE_RECORDS_H
#define RENEWGATE_PROXY_CLIENTS_CHALLENGE_RECORDS_H

/*
 * What passes of a connection for tls-alpn-01: a CA ends the handshake and closes (RFC 8737,
 * section 3). The kind and length of a record can be read (RFC 8446, section 5.1), so whoever sends
 * an application's data is found out. Else the listener behind would be a way around the gate as
 * soon as it takes acme-tls/1 for any other connection.
 *
 * In TLS 1.3 what is encrypted looks like an application's data. There the server encrypts first,
 * and the client has to say no more than Finished and alerts. In older versions a server of HTTP,
 * which is asked first, sends nothing that looks so, and neither may the client.
 */

#include <stdbool.h>
#include <stddef.h>

/* One way. */
struct record_reader {
    unsigned char header[5]; /* kind, version, length */
    size_t header_len;
    size_t left; /* of the record */
};

/* Zeroed at the beginning of a connection. */
struct challenge_records {
    struct record_reader client, server;
    bool server_encrypts;
    unsigned encrypted; /* records of the client's */
};

/* Whether so many bytes more may go to the server. False ends the connection before any of them
 * does. */
bool challenge_records_allow(struct challenge_records *records, const char *bytes, size_t len);

/* Takes note of what comes from the server, before the client gets it. */
void challenge_records_note(struct challenge_records *records, const char *bytes, size_t len);

#endif

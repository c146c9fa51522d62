/*
 * Requests that the server's HTTP library does not read (the crates hyper and http): a target with
 * characters that are to be escaped, or that is no UTF-8, or longer than 65,534 bytes, an authority
 * that is none, or more than 100 header fields. What libmicrohttpd refuses as well never comes so
 * far.
 */
#ifndef STANDIN_MALFORMED_H
#define STANDIN_MALFORMED_H

#include <stddef.h>

/* The status that it answers by itself; 0 where it reads the request. */
unsigned malformed_status(const char *target, size_t field_count);

#endif

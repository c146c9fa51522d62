/*
 * Who is asking.
 */
#ifndef STANDIN_AUTH_H
#define STANDIN_AUTH_H

#include "tests/standin/store.h"

/* The user that an Authorization field names, Basic or Bearer; store.lock is held. */
struct user *auth_user(const char *authorization);

#endif

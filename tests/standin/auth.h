/*
 * Who is asking.
 */
#ifndef STANDIN_AUTH_H
#define STANDIN_AUTH_H

#include "tests/standin/store.h"

/* The longest name and password of an Authorization field, together. */
#define AUTH_TEXT 512

/* The user that an Authorization field names, Basic or Bearer; store.lock is held. */
struct user *auth_user(const char *authorization);

/* The name in a Basic field, which begins `text`, and its password behind that. False where there
 * is none. */
bool auth_basic(const char *authorization, char text[static AUTH_TEXT], char **password);

#endif

#ifndef RENEWGATE_PROXY_RELAY_READING_H
#define RENEWGATE_PROXY_RELAY_READING_H

/*
 * Whether a client's JMAP request is to be parsed, which multiplies its size: only if a create can
 * be in it, only up to a limit, and only where the budget has room.
 *
 * The limit is READING_BASE and READING_FACTOR times the text. The most that the server takes, 16
 * calls with 500 creates each, is below READING_BASE; text in long strings takes hardly more than
 * itself. What exceeds it is nothing that the server would take.
 */

#include <stddef.h>

#include "proxy/base/budget.h"

#define READING_BASE ((size_t)32 << 20)
#define READING_FACTOR 4

enum reading {
    READING_NEEDLESS, /* no create can be in it: it goes on as it is */
    READING_ALLOWED,  /* counted in the account, with the copies that a hold makes of it */
    READING_TOO_MUCH,
    READING_NO_ROOM,
};

enum reading reading_of(struct budget_account *account, const char *body, size_t len);

/* Likewise for the server's answer to it. False where it has no room. */
bool reading_takes_answer(struct budget_account *account, const char *body, size_t len);

/* In words for the log. */
const char *reading_refusal(enum reading reading);

#endif

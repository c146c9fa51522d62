#ifndef RENEWGATE_PROXY_BASE_BUDGET_H
#define RENEWGATE_PROXY_BASE_BUDGET_H

/*
 * How much memory requests that are needed whole may take: one number for the process, which all
 * workers count against without locks, and of it a share for each client.
 *
 *   - All requests together may hold the whole of it. Those that hold more than BUDGET_SMALL each
 *     get three quarters, so that small ones find room beside large ones.
 *   - One client may hold half. A client is an address; of an IPv6 address the first 64 bits, which
 *     is what one network gets. Shares are counted in BUDGET_SHARES counters by a keyed hash: two
 *     clients that meet in one have that half together, and nobody can choose whom to meet.
 *
 * Memory that is given back goes back to the system once it is much, by budget_trim().
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUDGET_SHARES 4096
#define BUDGET_SMALL ((size_t)65536)

struct budget {
    size_t limit;
    uint64_t key[2];
    atomic_size_t used;
    atomic_size_t shares[BUDGET_SHARES];
    atomic_size_t peak;           /* of `used`, since the last trim */
    atomic_int_fast64_t told_at;  /* when it was last told that there was no room, in seconds */
    atomic_uint_fast64_t refused; /* requests, since then */
};

/* What one request holds. Zeroed, it is closed and holds nothing. */
struct budget_account {
    struct budget *budget;
    atomic_size_t *share;
    size_t held;
};

/* False where the system has no random bytes. */
bool budget_init(struct budget *budget, size_t limit);

/* `client`: an address in text; any other text is a client too. */
void budget_open(struct budget_account *account, struct budget *budget, const char *client);

/* Counts so many bytes more; false, and nothing is counted, where they have no room. */
bool budget_take(struct budget_account *account, size_t bytes);

/* Whether budget_take() would find room now. */
bool budget_fits(const struct budget_account *account, size_t bytes);

/* Gives back all but so many bytes. */
void budget_keep(struct budget_account *account, size_t bytes);

/* Gives all back, and closes the account. Allowed twice. */
void budget_close(struct budget_account *account);

/*
 * To be called now and then: gives back to the system what was needed and is not any more, if it is
 * much, in however small pieces. Tells whether it was.
 */
bool budget_trim(struct budget *budget);

/*
 * Whether it is to be told that a request found no room, at `seconds` of any clock: once a second.
 * `count` is how many found none since it was last told, this one included.
 */
bool budget_tells(struct budget *budget, int64_t seconds, uint64_t *count);

#endif

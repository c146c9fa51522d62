#include "proxy/base/budget.h"

#include <malloc.h>
#include <string.h>
#include <sys/random.h>

#include "proxy/base/networks.h"

/* From here on it is worth a walk over the heap. */
#define MUCH ((size_t)16 << 20)

bool budget_init(struct budget *budget, size_t limit)
{
    memset(budget, 0, sizeof *budget);
    budget->limit = limit;
    return getrandom(budget->key, sizeof budget->key, 0) == (ssize_t)sizeof budget->key;
}

/* Not for secrets: what matters is that nobody outside knows which addresses meet. */
static uint64_t mix(uint64_t state, uint64_t word)
{
    state = (state ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    state ^= state >> 29;
    state *= UINT64_C(0xbf58476d1ce4e5b9);
    return state ^ (state >> 32);
}

static uint64_t hash_text(const struct budget *budget, const char *text)
{
    uint64_t state = budget->key[0];
    for (; *text != '\0'; text++)
        state = mix(state, (unsigned char)*text);
    return mix(state, budget->key[1]);
}

static uint64_t hash_address(const struct budget *budget, const struct network_address *address)
{
    struct network_address client = network_address_client(address);
    uint64_t words[2];
    memcpy(words, client.bytes, sizeof words);
    return mix(mix(mix(budget->key[0], words[0]), words[1]), budget->key[1]);
}

void budget_open(struct budget_account *account, struct budget *budget, const char *client)
{
    struct network_address address;
    uint64_t hash = network_address_read(client, strlen(client), &address)
                        ? hash_address(budget, &address)
                        : hash_text(budget, client);
    *account =
        (struct budget_account){.budget = budget, .share = &budget->shares[hash % BUDGET_SHARES]};
}

/* What one account may fill the budget up to. */
static size_t limit_for(const struct budget_account *account, size_t bytes)
{
    size_t limit = account->budget->limit;
    bool small = bytes <= BUDGET_SMALL && account->held <= BUDGET_SMALL - bytes;
    return small ? limit : limit - limit / 4;
}

static bool reserve(atomic_size_t *count, size_t bytes, size_t limit)
{
    size_t used = atomic_load_explicit(count, memory_order_relaxed);
    do {
        if (used > limit || bytes > limit - used)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(count, &used, used + bytes,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

static void note_peak(struct budget *budget)
{
    size_t used = atomic_load_explicit(&budget->used, memory_order_relaxed);
    size_t peak = atomic_load_explicit(&budget->peak, memory_order_relaxed);
    while (peak < used &&
           !atomic_compare_exchange_weak_explicit(&budget->peak, &peak, used, memory_order_relaxed,
                                                  memory_order_relaxed)) {
    }
}

static void give(atomic_size_t *count, size_t bytes)
{
    atomic_fetch_sub_explicit(count, bytes, memory_order_relaxed);
}

bool budget_take(struct budget_account *account, size_t bytes)
{
    struct budget *budget = account->budget;
    if (!reserve(account->share, bytes, budget->limit / 2))
        return false;
    if (!reserve(&budget->used, bytes, limit_for(account, bytes))) {
        give(account->share, bytes);
        return false;
    }
    account->held += bytes;
    note_peak(budget);
    return true;
}

bool budget_fits(const struct budget_account *account, size_t bytes)
{
    size_t limit = limit_for(account, bytes), share = account->budget->limit / 2;
    size_t used = atomic_load_explicit(&account->budget->used, memory_order_relaxed);
    size_t of_share = atomic_load_explicit(account->share, memory_order_relaxed);
    return used <= limit && bytes <= limit - used && of_share <= share && bytes <= share - of_share;
}

void budget_keep(struct budget_account *account, size_t bytes)
{
    if (account->held <= bytes)
        return;
    size_t given = account->held - bytes;
    give(account->share, given);
    give(&account->budget->used, given);
    account->held = bytes;
}

void budget_close(struct budget_account *account)
{
    budget_keep(account, 0);
    *account = (struct budget_account){0};
}

bool budget_trim(struct budget *budget)
{
    size_t used = atomic_load_explicit(&budget->used, memory_order_relaxed);
    size_t peak = atomic_load_explicit(&budget->peak, memory_order_relaxed);
    if (peak < used || peak - used < MUCH ||
        !atomic_compare_exchange_strong_explicit(&budget->peak, &peak, used, memory_order_relaxed,
                                                 memory_order_relaxed))
        return false;
#ifdef __GLIBC__
    malloc_trim(0);
#endif
    return true;
}

bool budget_tells(struct budget *budget, int64_t seconds, uint64_t *count)
{
    int_fast64_t told = atomic_load_explicit(&budget->told_at, memory_order_relaxed);
    atomic_fetch_add_explicit(&budget->refused, 1, memory_order_relaxed);
    if (told == seconds ||
        !atomic_compare_exchange_strong_explicit(&budget->told_at, &told, seconds,
                                                 memory_order_relaxed, memory_order_relaxed))
        return false;
    *count = atomic_exchange_explicit(&budget->refused, 0, memory_order_relaxed);
    return true;
}

#include "jmap/queue/pace.h"

#include <stdlib.h>
#include <string.h>

#include "jmap/facts/account_orders.h"

/*
 * So much of the limit's window a task may be due after the time that would be found for it now,
 * and so much before: with each certificate that comes the times of those behind it move a little.
 */
#define LATE_PARTS 20
#define EARLY_PARTS 100

/* One ACME provider, which has one account at its CA. */
struct pace_account {
    char provider_id[OBJECT_ID_SIZE];
    struct account_orders all; /* those that queued tasks will make too, whether they fit or not */
    struct order_list known;   /* of the domains that were come by, which fit */
    struct order_list latest;  /* those that are yet to be entered there, in no order */
};

/* ---- one account's orders ---- */

/*
 * Where one is to be entered all that are later move, so that is done for many at once, before one
 * that is due asks for them. Most are not.
 */
static bool enter_latest(struct pace_account *account)
{
    return order_list_merge(&account->known, &account->latest);
}

/* Whether one of those that were come by, which are past and to come, fits at that time. */
static bool fits(const struct pace *pace, const struct order_list *orders, wall_time at,
                 int64_t slack_seconds)
{
    return account_limit_fits(pace->limit, orders->times, orders->count, at, slack_seconds,
                              pace->now);
}

/* ---- all of them ---- */

/*
 * What was issued of late, of domains that were not come by yet. Whose order it was is
 * not known until then, so it counts for each account.
 */
static bool add_lately(const struct pace *pace, struct pace_account *account)
{
    for (size_t i = 0; i < pace->lately.count; i++) {
        if (!order_list_append(&account->all.list, pace->lately.times[i]) ||
            !order_list_append(&account->known, pace->lately.times[i]))
            return false;
    }
    return true;
}

static bool copy_lately(struct pace *pace)
{
    const struct order_list *issued = &pace->inventory->issued;
    bool done = true;

    for (size_t i = 0; done && i < issued->count; i++)
        done = order_list_append(&pace->lately, issued->times[i]);
    return done;
}

/* Providers are few. NULL when memory runs out. */
static struct pace_account *account_of(struct pace *pace, const struct inventory_domain *domain)
{
    for (size_t i = 0; i < pace->account_count; i++) {
        if (strcmp(pace->accounts[i].provider_id, domain->provider_id) == 0)
            return &pace->accounts[i];
    }
    struct pace_account *grown =
        realloc(pace->accounts, (pace->account_count + 1) * sizeof *pace->accounts);
    if (!grown)
        return NULL;
    pace->accounts = grown;
    struct pace_account *account = &grown[pace->account_count++];
    *account = (struct pace_account){0};
    memcpy(account->provider_id, domain->provider_id, OBJECT_ID_SIZE);
    return add_lately(pace, account) ? account : NULL;
}

static bool place_queued(struct pace *pace)
{
    for (size_t i = 0; i < pace->inventory->domain_count; i++) {
        const struct inventory_domain *domain = &pace->inventory->domains[i];
        wall_time queued =
            domain->automatic ? inventory_queued(pace->inventory, domain) : WALL_TIME_NEVER;
        pace->placed[i] = queued;
        if (wall_time_equal(queued, WALL_TIME_NEVER))
            continue;
        pace->placed[i] = wall_time_later(queued, pace->now);
        struct pace_account *account = account_of(pace, domain);
        if (!account ||
            !order_list_append(&account->all.list, (struct order_time){.at = pace->placed[i]}))
            return false;
    }
    for (size_t i = 0; i < pace->account_count; i++) {
        struct order_list *list = &pace->accounts[i].all.list;
        qsort(list->times, list->count, sizeof *list->times, order_list_compare);
    }
    return true;
}

bool pace_open(struct pace *pace, const struct inventory *inventory, struct issue_limit limit,
               wall_time now)
{
    *pace = (struct pace){.inventory = inventory, .limit = limit, .now = now};
    pace->placed = calloc(inventory->domain_count + 1, sizeof *pace->placed);
    pace->noted = calloc(inventory->domain_count + 1, sizeof *pace->noted);
    if (pace->placed && pace->noted && copy_lately(pace) && place_queued(pace))
        return true;
    pace_close(pace);
    return false;
}

void pace_close(struct pace *pace)
{
    for (size_t i = 0; i < pace->account_count; i++) {
        free(pace->accounts[i].all.list.times);
        free(pace->accounts[i].known.times);
        free(pace->accounts[i].latest.times);
    }
    free(pace->accounts);
    free(pace->lately.times);
    free(pace->placed);
    free(pace->noted);
    *pace = (struct pace){0};
}

/* ---- one domain ---- */

/*
 * One that counts for all accounts is found to be of this one, or with NULL of another CA. False
 * where it was none of them.
 */
static bool claim(struct pace *pace, const struct pace_account *account, struct order_time order)
{
    if (!order_list_remove(&pace->lately, order))
        return false;
    for (size_t i = 0; i < pace->account_count; i++) {
        if (&pace->accounts[i] == account)
            continue;
        account_orders_lift(&pace->accounts[i].all, order);
        order_list_remove(&pace->accounts[i].known, order);
    }
    return true;
}

/* A certificate that exists proves that there was a token for it. */
static bool note_issued(struct pace *pace, struct pace_account *account,
                        const struct lookup_domain *found)
{
    wall_time past = account_limit_past(pace->limit, pace->now);

    for (size_t i = 0; i < found->stored_count; i++) {
        if (found->stored[i].other_ca)
            claim(pace, NULL, (struct order_time){.at = found->stored[i].begins, .issued = true});
    }
    for (size_t i = 0; i < found->issued_count; i++) {
        const struct order_time order = {.at = found->issued[i], .issued = true};
        if (!wall_time_before(past, order.at) || claim(pace, account, order))
            continue;
        if (!account_orders_add(&account->all, order) ||
            !order_list_append(&account->latest, order))
            return false;
    }
    return true;
}

/* A task that waits may go on waiting, since its order fits and would fit hardly earlier. */
static bool keeps(const struct pace *pace, struct pace_account *account, wall_time placed,
                  wall_time from)
{
    int64_t late = pace->limit.window_seconds / LATE_PARTS;
    int64_t early = pace->limit.window_seconds / EARLY_PARTS;

    if (!wall_time_before(pace->now, placed) || wall_time_before(placed, from))
        return false;
    wall_time free = account_orders_next(&account->all, pace->limit, pace->now, pace->now);
    wall_time latest = wall_time_add(wall_time_later(from, free), late);
    return !wall_time_before(latest, placed) && fits(pace, &account->known, placed, early);
}

/*
 * A task is due by now, and there is an order for it, whatever those that wait are due for. One
 * that is about to be due has its time.
 */
static bool stands(const struct pace *pace, const struct pace_account *account,
                   const struct outlook *outlook, wall_time placed)
{
    int64_t early = pace->limit.window_seconds / EARLY_PARTS;
    wall_time soon = wall_time_add(pace->now, COLLAPSE_MARGIN_SECONDS);
    const struct order_list past = {.times = account->known.times,
                                    .count = order_list_place(&account->known, soon)};

    return outlook_is_on_its_way(outlook, pace->now) &&
           (wall_time_before(pace->now, placed) || fits(pace, &past, pace->now, early));
}

/*
 * When the order of a domain that is due comes; in `all` it has a place already, where it has one.
 */
static bool find_time(const struct pace *pace, struct pace_account *account, wall_time *placed,
                      wall_time from)
{
    if (keeps(pace, account, *placed, from))
        return true;
    account_orders_lift(&account->all, (struct order_time){.at = *placed});
    *placed = account_orders_next(&account->all, pace->limit, from, pace->now);
    return account_orders_add(&account->all, (struct order_time){.at = *placed});
}

bool pace_place(struct pace *pace, const struct inventory_domain *domain,
                const struct lookup_domain *found, const struct outlook *outlook,
                wall_time *not_before)
{
    size_t which = (size_t)(domain - pace->inventory->domains);
    wall_time *placed = &pace->placed[which];

    *not_before = WALL_TIME_NEVER;
    if (pace->limit.burst == 0 || !found->renewable)
        return true;
    if (pace->noted[which]) {
        *not_before = *placed;
        return true;
    }
    struct pace_account *account = account_of(pace, domain);
    bool due = !wall_time_before(pace->now, found->renewal_due);
    if (!account || !note_issued(pace, account, found) || (due && !enter_latest(account)))
        return false;
    if (due && !stands(pace, account, outlook, *placed)) {
        wall_time from = wall_time_later(pace->now, outlook->held.until);
        if (!find_time(pace, account, placed, from))
            return false;
        *not_before = *placed;
    }
    pace->noted[which] = true;
    return wall_time_equal(*placed, WALL_TIME_NEVER) ||
           order_list_append(&account->latest, (struct order_time){.at = *placed});
}

bool pace_shift(struct pace *pace, const struct inventory_domain *domain, wall_time at)
{
    wall_time *placed = &pace->placed[domain - pace->inventory->domains];
    struct pace_account *account = account_of(pace, domain);

    if (!account || wall_time_equal(*placed, at))
        return account != NULL;
    *placed = at;
    return account_orders_add(&account->all, (struct order_time){.at = at}) &&
           order_list_append(&account->latest, (struct order_time){.at = at});
}

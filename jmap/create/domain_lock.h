#ifndef RENEWGATE_JMAP_CREATE_DOMAIN_LOCK_H
#define RENEWGATE_JMAP_CREATE_DOMAIN_LOCK_H

/*
 * What a flight is between threads, a lease is between replicas: who has a domain's lease decides
 * about it alone. Only the interface is here; whoever drives the holds brings the lock.
 *
 * Leases are taken in ascending order of the domains' ids, after all flights of the request, so
 * that no two requests wait for each other, whatever replicas they are on.
 */

#include <stdbool.h>

struct lease; /* the lock's own */

enum lease_state {
    LEASE_WAITING, /* another replica has it, or the answer is still on its way */
    LEASE_MINE,    /* for long enough yet to let the server finish a write */
    LEASE_ALONE,   /* the lock is out of reach: nobody knows who else decides */
    LEASE_OTHERS,  /* it has run out, and may be another's by now */
    LEASE_LATE,    /* another replica has it still: it is waited for no longer */
};

/* Shared by all threads; `user` is given to every function. */
struct domain_lock {
    /*
     * Begins to take the domain's lease. `wake` is called exactly once, from any thread and even
     * before this returns, when the lease waits no longer. NULL: there is none, decide alone.
     */
    struct lease *(*take)(void *user, const char *domain_id, void (*wake)(void *wake_user),
                          void *wake_user);
    enum lease_state (*state)(void *user, const struct lease *lease);
    /* Ends it in any state, after what is to be shared is remembered; it wakes nobody any more. */
    void (*give)(void *user, struct lease *lease, const char *domain_id);
    /* The same, but nobody gets it before it runs out by itself. */
    void (*leave)(void *user, struct lease *lease, const char *domain_id);
    void *user;
};

#endif

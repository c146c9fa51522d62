#ifndef RENEWGATE_POLICY_STANDING_H
#define RENEWGATE_POLICY_STANDING_H

/*
 * How a domain's certificate stands, for people to look at: a word for it, and an order that puts
 * first what needs them most. Nothing is decided by it.
 */

#include "policy/wall_time.h"

/* Worst first. */
enum standing {
    STANDING_EXPIRED,
    STANDING_MISSING, /* no certificate has the domain's names */
    STANDING_HELD,    /* the CA would refuse a renewal now */
    STANDING_DUE,
    STANDING_FRESH,
    STANDINGS,
};

struct standing_facts {
    wall_time not_after;     /* WALL_TIME_NEVER where no certificate has the domain's names */
    wall_time renewal_due;   /* the same */
    wall_time refused_until; /* WALL_TIME_NEVER where nothing says so */
};

enum standing standing_of(const struct standing_facts *facts, wall_time now);

/* "expired", "missing", "held", "due", "fresh". */
const char *standing_name(enum standing standing);

#endif

/*
 * The certification authority behind the stand-in: one token bucket for each exact set of names.
 */
#ifndef STANDIN_CA_H
#define STANDIN_CA_H

#include "tests/standin/store.h"

#define CA_MAX_NAMES 128

void ca_reset(void);
/* The members of POST /ca; those that are not there stay as they are. */
bool ca_configure(const json_t *json, const char **error);
json_t *ca_describe(void);
/* Enters into the books what stored certificates have used up (unless count_stored is off), and
 * orders that PUT /state names: {"a.test,b.test": ["2026-01-02T03:04:05Z", ...]}. */
void ca_open_books(const json_t *orders);

/* The names that an order for the domain asks for, at most CA_MAX_NAMES, each to be freed. */
size_t ca_names(const struct domain *domain, char *names[CA_MAX_NAMES]);

/* An order: 0 when it is taken, else the seconds after which the CA wants to hear of it again. */
int64_t ca_order(struct san_set *set, int64_t now);

#endif

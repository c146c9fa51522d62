#ifndef RENEWGATE_JMAP_FACTS_LISTING_H
#define RENEWGATE_JMAP_FACTS_LISTING_H

/*
 * All objects that a query finds, a long list of them, without I/O: a listing says what to call and
 * reads the answers.
 *
 * Of 500 objects a call, the first request brings the first 2,000 objects, and the ids of 20,000
 * more; a short list is read then. Of a longer one all ids are read next, 40,000 a request, and
 * then the objects by id, 8,000 a request: of a list of 100,000, 16 requests. Ids come first
 * because the server walks over the list for each query, and because the list changes meanwhile:
 * read at once, it cannot shift much.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "jmap/wire/own_request.h"

/* What is listed, the caller's. */
struct listing_kind {
    const char *query, *get;                             /* methods */
    json_t *(*arguments)(size_t position, size_t limit); /* of a query; NULL without memory */
    json_t *(*properties)(void);                         /* of an object; or NULL for all */
};

/* Zeroed before its first use. */
struct listing {
    const struct listing_kind *kind;
    size_t position; /* the next to list */
    size_t end;      /* none is listed from there on */
    size_t page;     /* how many ids the server lists at most */
    size_t a_call; /* how many objects it gives; may be lowered before a request is written anew */
    bool begun;    /* the first request has been answered */
    json_t *ids;   /* array: listed, and not read with the list */
    size_t next;   /* the first of them that has not been read */
};

/* Begins, or begins anew, at that position; at most `most` objects. False when memory runs out. */
bool listing_begin(struct listing *listing, const struct listing_kind *kind, size_t position,
                   size_t most, size_t a_call);

void listing_clear(struct listing *listing);

bool listing_is_done(const struct listing *listing);

/* How many requests it takes to read so many objects. */
size_t listing_requests(size_t count, size_t a_call);

/* Adds the next request's calls; none once all is read. */
void listing_write(const struct listing *listing, struct own_request *request);

/* The answer to them, each object given to read(). False where that is false, or without memory. */
bool listing_read(struct listing *listing, const struct own_request *request,
                  bool (*read)(void *user, json_t *object), void *user);

#endif

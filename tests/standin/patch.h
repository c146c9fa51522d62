/*
 * Writing what a client sent into an object, with the registry's own words where it does not fit.
 */
#ifndef STANDIN_PATCH_H
#define STANDIN_PATCH_H

#include "tests/standin/store.h"

struct patch_error {
    char path[256];
    char message[160];
};

/* Always false, so that it can be returned. */
bool patch_failed(struct patch_error *error, const char *path, const char *message);

/* A status given whole. What it does not say gets its default, not its old value. trusted:
 * createdAt may be written too. */
bool patch_status(struct status *status, const json_t *value, const char *path, bool trusted,
                  struct patch_error *error);
/* One member of a status: "status/due". */
bool patch_status_member(struct status *status, const char *member, const json_t *value,
                         const char *path, bool trusted, struct patch_error *error);

bool patch_id(uint64_t *id, const json_t *value, const char *path, struct patch_error *error);

/* A set as the API writes one: an object whose members are all true. Takes a new reference into
 * *set. */
bool patch_names(json_t **set, const json_t *value, const char *path, struct patch_error *error);

/* Does the schema have a property of that name anywhere? The server tells apart properties that an
 * object does not have and names that no object has. */
bool is_property(const char *name);

#endif

#ifndef RENEWGATE_PROXY_BASE_FILE_VERSION_H
#define RENEWGATE_PROXY_BASE_FILE_VERSION_H

/*
 * What tells one state of a file from another, by what stat(2) says of the file that its path leads
 * to now: links may be swapped at any place in between, as certbot and Kubernetes do.
 */

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

/* Of one file, or of two that belong together. All zero where there is no such file. */
struct file_version {
    struct file_state {
        dev_t device;
        ino_t inode;
        off_t size;
        struct timespec modified, changed;
    } files[2];
};

/* `other` may be NULL. */
struct file_version file_version_now(const char *path, const char *other);

/* Zeroed, nothing is known of them yet. */
struct file_watch {
    struct file_version read; /* last, with whatever success */
    struct file_version seen; /* at the last look */
};

/*
 * They were read; `version` is from before that: what changes meanwhile is seen at the next look.
 */
void file_watch_note_read(struct file_watch *watch, const struct file_version *version);

/* A look: true where they have changed since they were read, and not since the last look. */
bool file_watch_is_stale(struct file_watch *watch, const struct file_version *version);

#endif

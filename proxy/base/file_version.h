#ifndef RENEWGATE_PROXY_BASE_FILE_VERSION_H
#define RENEWGATE_PROXY_BASE_FILE_VERSION_H

/*
 * What tells one state of a file from another, by what stat(2) says of the file that its path leads
 * to now: links may be swapped at any place in between, as certbot and Kubernetes do.
 */

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

/* All zero where there is no such file. */
struct file_version {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

void file_version_now(const char *path, struct file_version *version);

bool file_version_equal(const struct file_version *a, const struct file_version *b);

#endif

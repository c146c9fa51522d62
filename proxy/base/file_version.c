#include "proxy/base/file_version.h"

#include <sys/stat.h>

void file_version_now(const char *path, struct file_version *version)
{
    struct stat about;
    *version = (struct file_version){0};
    if (stat(path, &about) != 0)
        return;
    version->device = about.st_dev;
    version->inode = about.st_ino;
    version->size = about.st_size;
    version->modified = about.st_mtim;
    version->changed = about.st_ctim;
}

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool file_version_equal(const struct file_version *a, const struct file_version *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           is_same_time(&a->modified, &b->modified) && is_same_time(&a->changed, &b->changed);
}

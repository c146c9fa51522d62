#include "proxy/base/file_version.h"

#include <sys/stat.h>

static struct file_state state_now(const char *path)
{
    struct stat about;
    if (path == NULL || stat(path, &about) != 0)
        return (struct file_state){0};
    return (struct file_state){.device = about.st_dev,
                               .inode = about.st_ino,
                               .size = about.st_size,
                               .modified = about.st_mtim,
                               .changed = about.st_ctim};
}

struct file_version file_version_now(const char *path, const char *other)
{
    return (struct file_version){{state_now(path), state_now(other)}};
}

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool is_same(const struct file_version *a, const struct file_version *b)
{
    bool same = true;
    for (size_t i = 0; same && i < sizeof a->files / sizeof *a->files; i++) {
        const struct file_state *x = &a->files[i], *y = &b->files[i];
        same = x->device == y->device && x->inode == y->inode && x->size == y->size &&
               is_same_time(&x->modified, &y->modified) && is_same_time(&x->changed, &y->changed);
    }
    return same;
}

void file_watch_note_read(struct file_watch *watch, const struct file_version *version)
{
    watch->read = watch->seen = *version;
}

bool file_watch_is_stale(struct file_watch *watch, const struct file_version *version)
{
    bool stale = !is_same(version, &watch->read) && is_same(version, &watch->seen);
    watch->seen = *version;
    return stale;
}

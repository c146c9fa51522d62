#include "proxy/admin/process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proxy/telemetry/metrics.h"

static bool render_gauge(struct buffer *out, const char *name, const char *help, int64_t value)
{
    return metrics_render_head(out, name, "gauge", help) &&
           buffer_format(out, "%s %" PRId64 "\n", name, value);
}

static bool render_memory(struct buffer *out)
{
    uint64_t virtual = 0;
    uint64_t resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    bool read = file != NULL && fscanf(file, "%" SCNu64 " %" SCNu64, &virtual, &resident) == 2;
    if (file != NULL)
        fclose(file);
    int64_t page = sysconf(_SC_PAGESIZE);
    return !read || (render_gauge(out, "process_virtual_memory_bytes",
                                  "Virtual memory size in bytes.", (int64_t)virtual * page) &&
                     render_gauge(out, "process_resident_memory_bytes",
                                  "Resident memory size in bytes.", (int64_t)resident * page));
}

/* -1 where it cannot be told. */
static int64_t count_open_files(void)
{
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return -1;
    int64_t count = -1; /* without the folder's own */
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

static bool render_files(struct buffer *out)
{
    struct rlimit limit;
    int64_t count = count_open_files();
    return (count < 0 ||
            render_gauge(out, "process_open_fds", "Number of open file descriptors.", count)) &&
           (getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
            render_gauge(out, "process_max_fds", "Maximum number of open file descriptors.",
                         (int64_t)limit.rlim_cur));
}

static bool render_processor(struct buffer *out)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return true;
    int64_t microseconds = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000) +
                           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    return metrics_render_head(out, "process_cpu_seconds_total", "counter",
                               "Total user and system CPU time spent in seconds.") &&
           buffer_format(out, "process_cpu_seconds_total %" PRId64 ".%06" PRId64 "\n",
                         microseconds / 1000000, microseconds % 1000000);
}

bool process_render(wall_time started, struct buffer *out)
{
    return render_processor(out) && render_memory(out) && render_files(out) &&
           render_gauge(out, "process_start_time_seconds",
                        "Start time of the process since unix epoch in seconds.", started.seconds);
}

#include "proxy/admin/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A loop turns every second at the least. */
#define STUCK_MILLISECONDS 3000

/* A path, or an abstract name, which "@" in the place of its NUL tells. */
static bool notify_read_address(const char *text, struct sockaddr_un *address, socklen_t *len)
{
    size_t text_len = strlen(text);
    if ((text[0] != '/' && text[0] != '@') || text_len >= sizeof address->sun_path)
        return false;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, text, text_len);
    if (text[0] == '@')
        address->sun_path[0] = '\0';
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + text_len);
    return true;
}

/* sd_watchdog_enabled(3); 0 where the watchdog is not this process's. */
static int64_t read_watchdog(void)
{
    const char *text = getenv("WATCHDOG_USEC");
    const char *process = getenv("WATCHDOG_PID");
    if (text == NULL || (process != NULL && strtoll(process, NULL, 10) != getpid()))
        return 0;
    char *end;
    errno = 0;
    long long microseconds = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0' && microseconds > 0 ? microseconds : 0;
}

void notify_open(struct notify *notify)
{
    const char *text = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    socklen_t len;
    *notify = (struct notify){.socket = -1};
    if (text == NULL || !notify_read_address(text, &address, &len))
        return;
    notify->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (notify->socket < 0)
        return;
    if (connect(notify->socket, (const struct sockaddr *)&address, len) != 0) {
        notify_close(notify);
        return;
    }
    notify->watchdog_us = read_watchdog();
}

void notify_close(struct notify *notify)
{
    if (notify->socket >= 0)
        close(notify->socket);
    *notify = (struct notify){.socket = -1};
}

/* Nobody could be told that it failed, and a manager that has gone needs no news. */
__attribute__((format(printf, 2, 3))) static void tell(const struct notify *notify,
                                                       const char *format, ...)
{
    char message[512];
    if (notify->socket < 0)
        return;
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (len > 0 && (size_t)len < sizeof message)
        (void)!send(notify->socket, message, (size_t)len, MSG_NOSIGNAL);
}

void notify_ready(const struct notify *notify, const char *status)
{
    tell(notify, "READY=1\nSTATUS=%s", status);
}

void notify_reloading(const struct notify *notify)
{
    tell(notify, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_awake_microseconds());
}

void notify_stopping(const struct notify *notify)
{
    tell(notify, "STOPPING=1");
}

int64_t notify_interval_ms(const struct notify *notify)
{
    int64_t milliseconds = notify->watchdog_us / 4000;
    if (notify->watchdog_us == 0)
        return -1;
    return milliseconds > 0 ? milliseconds : 1;
}

/* Half of the manager's patience leaves time for a loop that is only late. */
static int64_t stuck_after_ms(const struct notify *notify)
{
    int64_t half = notify->watchdog_us / 2000;
    return half > STUCK_MILLISECONDS ? half : STUCK_MILLISECONDS;
}

void notify_alive(const struct notify *notify, const monotonic_time *marks, size_t count,
                  monotonic_time now)
{
    if (notify->watchdog_us == 0)
        return;
    for (size_t i = 0; i < count; i++) {
        if (monotonic_reached(monotonic_after(marks[i], stuck_after_ms(notify)), now))
            return;
    }
    tell(notify, "WATCHDOG=1");
}

#include "proxy/clients/downstream_parts.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Empty, and false, where memory runs out: whoever closes the request still reads it. */
static bool keep_text(struct arena *arena, const char **text)
{
    const char *kept = arena_copy(arena, *text, strlen(*text));
    *text = kept != NULL ? kept : "";
    return kept != NULL;
}

static bool keep_field(struct arena *arena, struct field *field)
{
    field->name = arena_copy(arena, field->name, field->name_len);
    field->value = arena_copy(arena, field->value, field->value_len);
    return field->name != NULL && field->value != NULL;
}

/*
 * The request's strings are libmicrohttpd's until now. False where not all of them can be kept;
 * what is lost is then empty, or left out.
 */
static bool keep_request_head(struct incoming *incoming)
{
    struct request_head *request_head = &incoming->request_head;
    struct arena *arena = &incoming->arena;
    const char **texts[] = {&request_head->method,      &request_head->id,
                            &request_head->from.client, &request_head->from.hops,
                            &request_head->from.scheme, &request_head->from.host};
    bool kept = true;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        kept = (*texts[i] == NULL || keep_text(arena, texts[i])) && kept;
    request_head->peer = request_head->from.client;
    size_t count = 0;
    while (count < request_head->fields.count &&
           keep_field(arena, &request_head->fields.fields[count]))
        count++;
    kept = kept && count == request_head->fields.count;
    request_head->fields.count = count;
    return kept;
}

/*
 * An upgraded connection may be idle for hours, and libmicrohttpd would keep a request's memory for
 * it. So it is taken from there altogether, unless it is encrypted: then libmicrohttpd has given
 * out one end of a pair, and must go on with the other.
 */
static void detach(struct incoming *incoming, int file)
{
    if (file != connection_socket(incoming->connection))
        return;
    incoming->file = fcntl(file, F_DUPFD_CLOEXEC, 0);
    if (incoming->file < 0)
        return;
    incoming->downstream->upgraded_count++;
    upgrade_end(incoming);
}

static void on_leaving(void *user, uint32_t events)
{
    (void)events;
    struct incoming *incoming = user;
    incoming_end_watch(incoming);
    incoming->left = true;
    incoming->downstream->clients_left = true;
    incoming->downstream->needs_run = true;
}

static void watch_for_leaving(struct incoming *incoming, int pair)
{
    int file = connection_socket(incoming->connection);
    uint32_t events = (uint32_t)EPOLLRDHUP | (uint32_t)EPOLLONESHOT;
    incoming->pair = pair;
    incoming->watch = (struct loop_source){on_leaving, incoming};
    incoming->watched =
        file >= 0 && loop_watch(incoming->downstream->loop, file, events, &incoming->watch);
}

void upgrade_begin(void *user, struct MHD_Connection *connection, void *context, const char *early,
                   size_t early_len, MHD_socket file, struct MHD_UpgradeResponseHandle *upgrade)
{
    (void)context;
    struct incoming *incoming = user;
    bool kept = keep_request_head(incoming);
    incoming->upgrade = upgrade;
    connection_keep_alive(connection_socket(connection));
    /* Frames are written when they are there to be read; none is to wait for another's arrival. */
    setsockopt(connection_socket(connection), IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    detach(incoming, file);
    if (incoming->file < 0)
        watch_for_leaving(incoming, file);
    incoming->downstream->handler->upgraded(
        incoming->object, incoming->file >= 0 ? incoming->file : file, early, early_len);
    if (!kept)
        incoming_abort(incoming);
}

/*
 * libmicrohttpd hands on what a client behind TLS sends, but not that it has left. Once all of that
 * is through, the handler's end of the pair is shut for reading, so that the end is read there.
 */
void upgrades_hand_on_leaving(struct downstream *downstream)
{
    bool still_left = false;
    for (struct incoming *incoming = downstream->requests; incoming != NULL;
         incoming = incoming->next) {
        int unread = 0;
        int unheard = 0;
        if (!incoming->left || incoming->pair < 0 || incoming->upgrade == NULL)
            continue;
        ioctl(connection_socket(incoming->connection), FIONREAD, &unread);
        ioctl(incoming->pair, FIONREAD, &unheard);
        if (unread > 0 || unheard > 0) {
            still_left = true;
            continue;
        }
        shutdown(incoming->pair, SHUT_RD);
        incoming->pair = -1;
    }
    downstream->clients_left = still_left;
}

void upgrades_destroy_ended(struct downstream *downstream)
{
    if (!downstream->upgraded_ended)
        return;
    downstream->upgraded_ended = false;
    struct incoming *next;
    for (struct incoming *incoming = downstream->requests; incoming != NULL; incoming = next) {
        next = incoming->next;
        if (incoming->file >= 0 && incoming->aborted)
            incoming_destroy(incoming);
    }
}

bool incoming_end(struct incoming *incoming)
{
    return incoming->file >= 0 && shutdown(incoming->file, SHUT_WR) == 0;
}

void upgrade_end(struct incoming *incoming)
{
    if (incoming->upgrade != NULL)
        MHD_upgrade_action(incoming->upgrade, MHD_UPGRADE_ACTION_CLOSE);
    incoming->upgrade = NULL;
    incoming->downstream->needs_run = true;
}

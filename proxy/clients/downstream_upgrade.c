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
static bool keep_request_head(struct client_request *client_request)
{
    struct request_head *request_head = &client_request->request_head;
    struct arena *arena = &client_request->arena;
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
static void detach(struct client_request *client_request, int file)
{
    if (file != connection_socket(client_request->connection))
        return;
    client_request->file = fcntl(file, F_DUPFD_CLOEXEC, 0);
    if (client_request->file < 0)
        return;
    client_request->downstream->upgraded_count++;
    upgrade_end(client_request);
}

static void on_leaving(void *user, uint32_t events)
{
    (void)events;
    struct client_request *client_request = user;
    client_request_end_watch(client_request);
    client_request->left = true;
    client_request->downstream->clients_left = true;
    client_request->downstream->needs_run = true;
}

static void watch_for_leaving(struct client_request *client_request, int pair)
{
    int file = connection_socket(client_request->connection);
    uint32_t events = (uint32_t)EPOLLRDHUP | (uint32_t)EPOLLONESHOT;
    client_request->pair = pair;
    client_request->watch = (struct loop_source){on_leaving, client_request};
    client_request->watched = file >= 0 && loop_watch(client_request->downstream->loop, file,
                                                      events, &client_request->watch);
}

void upgrade_begin(void *user, struct MHD_Connection *connection, void *context, const char *early,
                   size_t early_len, MHD_socket file, struct MHD_UpgradeResponseHandle *upgrade)
{
    (void)context;
    struct client_request *client_request = user;
    bool kept = keep_request_head(client_request);
    client_request->upgrade = upgrade;
    connection_keep_alive(connection_socket(connection));
    /* Frames are written when they are there to be read; none is to wait for another's arrival. */
    setsockopt(connection_socket(connection), IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    detach(client_request, file);
    if (client_request->file < 0) {
        client_request->paired = true;
        client_request->downstream->paired_count++;
        watch_for_leaving(client_request, file);
    }
    client_request->downstream->handler->upgraded(
        client_request->object, client_request->file >= 0 ? client_request->file : file, early,
        early_len);
    if (!kept)
        client_request_abort(client_request);
}

/*
 * libmicrohttpd hands on what a client behind TLS sends, but not that it has left. Once all of that
 * is through, the handler's end of the pair is shut for reading, so that the end is read there.
 */
void upgrades_hand_on_leaving(struct downstream *downstream)
{
    bool still_left = false;
    for (struct client_request *client_request = downstream->requests; client_request != NULL;
         client_request = client_request->next) {
        int unread = 0;
        int unheard = 0;
        if (!client_request->left || client_request->pair < 0 || client_request->upgrade == NULL)
            continue;
        ioctl(connection_socket(client_request->connection), FIONREAD, &unread);
        ioctl(client_request->pair, FIONREAD, &unheard);
        if (unread > 0 || unheard > 0) {
            still_left = true;
            continue;
        }
        shutdown(client_request->pair, SHUT_RD);
        client_request->pair = -1;
    }
    downstream->clients_left = still_left;
}

void upgrades_destroy_ended(struct downstream *downstream)
{
    if (!downstream->upgraded_ended)
        return;
    downstream->upgraded_ended = false;
    struct client_request *next;
    for (struct client_request *client_request = downstream->requests; client_request != NULL;
         client_request = next) {
        next = client_request->next;
        if (client_request->file >= 0 && client_request->aborted)
            client_request_destroy(client_request);
    }
}

bool client_request_may_upgrade(const struct client_request *client_request)
{
    const struct downstream *downstream = client_request->downstream;
    return downstream->upgraded_count < downstream->upgraded_limit;
}

bool client_request_end(struct client_request *client_request)
{
    return client_request->file >= 0 && shutdown(client_request->file, SHUT_WR) == 0;
}

void upgrade_end(struct client_request *client_request)
{
    if (client_request->upgrade != NULL)
        MHD_upgrade_action(client_request->upgrade, MHD_UPGRADE_ACTION_CLOSE);
    client_request->upgrade = NULL;
    client_request->downstream->needs_run = true;
}

#include "proxy/relay/api_client.h"

#include "policy/refusal.h"
#include "proxy/http/outgoing.h"
#include "proxy/relay/report.h"
#include "proxy/server/service_credential.h"

void api_client_open(struct api_client *client, struct gate *gate, struct upstream *upstream,
                     const char *budget_client,
                     void (*done)(void *user, enum upstream_failure failure, const char *detail),
                     void *user)
{
    *client = (struct api_client){.gate = gate, .upstream = upstream, .done = done, .user = user};
    api_answer_open(&client->answer, gate->budget, budget_client);
}

/* By the clock that the same answer has just set. */
static int64_t read_retry_after(const struct api_client *client, const struct field_list *fields)
{
    const struct field *field = field_find(fields, "Retry-After");
    int64_t seconds;
    bool asked = field != NULL &&
                 retry_after_parse(field->value, server_clock_now(&client->gate->clock), &seconds);
    return asked ? seconds : 0;
}

static bool api_on_head(void *user, const struct upstream_head *head)
{
    struct api_client *client = user;
    server_clock_note(&client->gate->clock, &head->fields);
    if (client->credential != NULL)
        report_credential_answer(client->gate, client->credential, head->status);
    client->answer.status = head->status;
    client->retry_after = read_retry_after(client, &head->fields);
    return true;
}

static enum data_result api_on_data(void *user, const char *bytes, size_t len)
{
    return api_answer_take(&((struct api_client *)user)->answer, bytes, len);
}

static void api_on_done(void *user, enum upstream_failure failure, const char *detail)
{
    struct api_client *client = user;
    client->transfer = NULL;
    if (failure == UPSTREAM_FINE && !api_answer_ends(&client->answer))
        failure = UPSTREAM_MEMORY;
    if (client->answer.no_room) {
        failure = UPSTREAM_MEMORY;
        detail = API_ANSWER_NO_ROOM;
    }
    if (failure != UPSTREAM_FINE) {
        client->answer.status = 0;
        client->retry_after = 0;
    }
    client->done(client->user, failure, detail);
}

static const struct transfer_handler transfer_handler = {
    .head = api_on_head,
    .data = api_on_data,
    .done = api_on_done,
};

enum api_sent api_client_send(struct api_client *client, struct upstream_request *request,
                              const struct request_head *request_head, bool as_service)
{
    enum service_credential_taken taken = SERVICE_CREDENTIAL_TAKEN;
    api_answer_clear(&client->answer);
    client->retry_after = 0;
    client->credential = NULL;
    if (as_service)
        taken = service_credential_take(client->gate->credential, clock_monotonic(), request->arena,
                                        &client->credential);
    if (taken == SERVICE_CREDENTIAL_RESTS)
        return API_CREDENTIAL_RESTS;
    const struct own_name own = {client->credential, client->gate->own_address};
    const struct own_name *name = as_service ? &own : NULL;
    bool made = taken == SERVICE_CREDENTIAL_TAKEN &&
                (request_head != NULL
                     ? outgoing_lookup_fields(request_head, name, request->arena, &request->fields)
                     : outgoing_own_fields(&own, request->arena, &request->fields));
    if (made)
        client->transfer = transfer_start(client->upstream, request, &transfer_handler, client);
    return client->transfer != NULL ? API_SENT : API_NO_MEMORY;
}

void api_client_clear(struct api_client *client)
{
    transfer_cancel(client->transfer);
    client->transfer = NULL;
    api_answer_clear(&client->answer);
}

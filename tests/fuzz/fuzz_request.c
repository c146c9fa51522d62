/*
 * Requests: no create of a renewal passes, what is cut off is whole, and what is written anew is
 * read as the same.
 */

#include <jansson.h>

#include "jmap/create/hold.h"
#include "jmap/wire/batch.h"
#include "jmap/wire/endpoint.h"
#include "jmap/wire/json_text.h"
#include "jmap/wire/object_id.h"
#include "jmap/wire/request.h"
#include "jmap/wire/result_reference.h"
#include "tests/fuzz/fuzz.h"

static bool string_is(const json_t *value, const char *text)
{
    return json_is_string(value) && json_string_length(value) == strlen(text) &&
           strcmp(json_string_value(value), text) == 0;
}

/* A create for a domain that the server can read the id of. */
static bool is_renewal(const json_t *create)
{
    const char *domain = json_string_value(json_object_get(create, "domainId"));
    char id[OBJECT_ID_SIZE];

    return string_is(json_object_get(create, "@type"), "AcmeRenewal") &&
           !string_is(json_object_get(json_object_get(create, "status"), "@type"), "Failed") &&
           domain && strlen(domain) == json_string_length(json_object_get(create, "domainId")) &&
           object_id_parse(domain, id);
}

static size_t count_renewals(const char *text, size_t len)
{
    json_t *root = json_loadb(text, len, JSON_ALLOW_NUL, NULL), *call, *create;
    size_t i, count = 0;
    const char *key;

    json_array_foreach(json_object_get(root, "methodCalls"), i, call)
    {
        const json_t *creates = json_object_get(json_array_get(call, 1), "create");
        json_object_foreach((json_t *)creates, key, create)
        {
            count += string_is(json_array_get(call, 0), "x:Task/set") && is_renewal(create);
        }
    }
    json_decref(root);
    return count;
}

/* Masked, renewals are still held; a DNS task without its renewal is not. */
static void check_written(struct jmap_request *request)
{
    struct jmap_request again;
    size_t len, left = 0;

    for (size_t i = 0; i < request->count; i++) {
        struct held_create *create = &request->creates[i];
        if (create->of_dns_task) {
            MUST(request_drop_renewal(create));
            continue;
        }
        MUST(request_set_due(create, (wall_time){(int64_t)i}));
        MUST(request_make_placeholder(create));
        left++;
    }
    char *text = request_text(request, &len);
    MUST(text != NULL);
    enum request_kind kind = request_parse(text, len, &again);
    MUST(kind == (left > 0 ? REQUEST_HELD : REQUEST_PASSES));
    MUST(again.count == left);
    for (size_t i = 0, next = 0; i < request->count; i++) {
        if (!request->creates[i].of_dns_task)
            MUST(again.creates[next++].call == request->creates[i].call);
    }
    request_clear(&again);
    free(text);
}

/* Cuts as the hold does. The calls stand in for the answers to them. */
static void check_cut(struct jmap_request *request)
{
    size_t calls = json_array_size(request->calls), room = 100, i;
    struct batch batch;
    json_t *call;

    MUST(batch_read(request, BATCH_CUT, &batch));
    MUST(batch.cut <= calls && batch.changing <= batch.cut && (batch.cut > 0 || calls == 0));
    json_t *rest = batch.cut < calls ? request_cut(request, batch.cut) : NULL;
    MUST(json_array_size(request->calls) == calls);
    MUST(json_array_size(rest) == calls - batch.cut);
    json_array_foreach(rest, i, call)
    {
        result_references_resolve(json_array_get(call, 1), rest, &room);
    }
    MUST(room <= 100);
    for (i = 0; i < request->count; i++)
        MUST(request->creates[i].call < batch.cut);
    batch_clear(&batch);
    json_decref(rest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct jmap_request request;
    size_t renewals = count_renewals(text, size);
    enum request_kind kind = request_parse(text, size, &request);

    MUST(kind != REQUEST_NO_MEMORY);
    MUST(renewals == 0 || (kind == REQUEST_HELD && endpoint_may_contain_create(text, size)));
    MUST(request.count >= renewals);
    if (kind == REQUEST_HELD && json_is_array(request.calls)) {
        check_cut(&request);
        request_clear(&request);
        MUST(request_parse(text, size, &request) == kind);
        check_written(&request);
    }
    request_clear(&request);
    return 0;
}

#include "jmap/create/hold_own.h"

#include <stdlib.h>
#include <string.h>

#include "jmap/wire/json_text.h"

static json_t *account_of(const json_t *call)
{
    return json_object_get(json_array_get(call, 1), "accountId");
}

static json_t *calls_of(const struct hold *hold, const char *member, hold_put_entry *put)
{
    json_t *calls = json_array();
    bool done = calls != NULL;
    size_t i = 0;

    for (size_t c = 0; done && c < json_array_size(hold->request.calls); c++) {
        const json_t *call = json_array_get(hold->request.calls, c);
        json_t *entries = json_object();
        for (; done && i < hold->request.count && hold->request.creates[i].call == c; i++)
            done = entries && put(hold, i, entries);
        json_t *written =
            json_object_size(entries) > 0
                ? json_pack("[s, {s:O*, s:O}, O?]", "x:Task/set", "accountId", account_of(call),
                            member, entries, json_array_get(call, 2))
                : request_empty_call(call);
        json_decref(entries);
        done = json_array_append_new(calls, written) == 0 && done;
    }
    if (done)
        return calls;
    json_decref(calls);
    return NULL;
}

bool hold_write_calls(struct hold *hold, const char *member, hold_put_entry *put)
{
    json_t *using = json_object_get(hold->request.root, "using");

    json_decref(hold->sent);
    hold->sent = calls_of(hold, member, put);
    json_t *request =
        hold->sent ? json_pack("{s:O*, s:O}", "using", using, "methodCalls", hold->sent) : NULL;
    free(hold->out);
    hold->out = request ? json_text_write(request, JSON_COMPACT) : NULL;
    hold->out_len = hold->out ? strlen(hold->out) : 0;
    json_decref(request);
    return hold->out != NULL;
}

bool hold_wants_calls(struct hold *hold, bool (*wanted)(const struct hold *hold, size_t i))
{
    bool any = false;

    for (size_t i = 0; i < hold->request.count; i++) {
        if (!wanted(hold, i))
            continue;
        if (hold_domain_of(hold, hold->request.creates[i].domain)->alone)
            hold->verdicts[i].state = VERDICT_UNAVAILABLE;
        else
            any = true;
    }
    return any;
}

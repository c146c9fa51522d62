#include "proxy/server/api_call.h"

#include "jmap/wire/json_size.h"

struct upstream_request api_call(bool is_session, const char *body, size_t len)
{
    return (struct upstream_request){
        .method = is_session ? "GET" : "POST",
        .target = is_session ? "/jmap/session" : "/jmap/",
        .body_kind = is_session ? BODY_NONE : BODY_WHOLE,
        .body = body,
        .len = len,
        .identity = true,
    };
}

enum data_result api_call_take(struct buffer *content, const char *bytes, size_t len)
{
    if (len > API_ANSWER_LIMIT - content->len)
        return DATA_FAIL;
    return buffer_append(content, bytes, len) ? DATA_TAKEN : DATA_FAIL;
}

void api_answer_open(struct api_answer *answer, struct budget *budget, const char *client)
{
    *answer = (struct api_answer){0};
    if (budget != NULL)
        budget_open(&answer->account, budget, client);
}

static bool take_room(struct api_answer *answer, size_t bytes)
{
    answer->no_room = answer->account.budget != NULL && !budget_take(&answer->account, bytes);
    return !answer->no_room;
}

enum data_result api_answer_take(struct api_answer *answer, const char *bytes, size_t len)
{
    if (!take_room(answer, buffer_growth(&answer->content, len)))
        return DATA_FAIL;
    return api_call_take(&answer->content, bytes, len);
}

bool api_answer_ends(struct api_answer *answer)
{
    const struct buffer *content = &answer->content;
    return take_room(answer, json_size_bound(buffer_content(content), content->len));
}

void api_answer_clear(struct api_answer *answer)
{
    answer->status = 0;
    answer->no_room = false;
    buffer_clear(&answer->content);
    budget_keep(&answer->account, 0);
}

#include "proxy/server/api_call.h"

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

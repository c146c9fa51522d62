/* Messages of JMAP over WebSocket, and the gate's own errors made of problem documents. */

#include "jmap/wire/message.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct message message = message_read((const char *)data, size);

    MUST(message.status == 0 || message.status == 200 ||
         (message.status >= 300 && message.status <= 599));
    MUST(message.kind != MESSAGE_RESPONSE || message_answers(&message, message.id));
    char *problem = message_of_problem((const char *)data, size, message.id);
    if (problem != NULL) {
        struct message own = message_read(problem, strlen(problem));
        MUST(own.kind == MESSAGE_REQUEST_ERROR && message_answers(&own, message.id));
        message_clear(&own);
    }
    free(problem);
    message_clear(&message);
    return 0;
}

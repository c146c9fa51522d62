#ifndef RENEWGATE_JMAP_WIRE_TASK_TEXT_H
#define RENEWGATE_JMAP_WIRE_TASK_TEXT_H

/*
 * A renewal task read from the text of its object, without a tree (jmap/wire/json_list.h).
 */

#include <stdbool.h>

#include "jmap/wire/object_id.h"
#include "policy/renewal_task.h"

struct task_text {
    char id[OBJECT_ID_SIZE];
    char domain_id[OBJECT_ID_SIZE];
    enum task_state state;
    wall_time due; /* Pending, Retry */
    bool waits;    /* Pending, and there is no more to it: see renewal_task_waiting() */
};

/*
 * Reads the object that begins at `text`, in a text that ends at `end`, and gives what is behind
 * it, where it says what own_request_task() would. NULL for what is no AcmeRenewal, and for what is
 * not as plain as the server writes it: with a member twice, unusual escapes, bytes beyond ASCII,
 * or a Retry whose reason has an escape. Then the object is to be parsed.
 */
const char *task_text_read(const char *text, const char *end, wall_time now, struct task_text *out);

#endif

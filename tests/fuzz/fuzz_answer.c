/*
 * A server's answer (second line) to a request (first line): every x:Task/set of it may be written
 * into, and stays what was asked. Its lists may be read in part.
 */

#include "jmap/wire/answer.h"
#include "jmap/wire/json_list.h"
#include "jmap/wire/task_text.h"
#include "tests/fuzz/fuzz.h"

static void change(struct jmap_answer *answer, size_t call)
{
    MUST(answer_set_created(answer, call, "k", "jp1"));
    MUST(strcmp(answer_created_id(answer, call, "k"), "jp1") == 0);
    MUST(answer_error_type(answer, call, "k") == NULL);
    MUST(answer_set_error(answer, call, "k", json_pack("{s:s}", "type", "forbidden")));
    MUST(strcmp(answer_error_type(answer, call, "k"), "forbidden") == 0);
    MUST(answer_created_id(answer, call, "k") == NULL && !answer_is_placeholder(answer, call, "k"));
}

static const char *take_others(void *user, size_t lists, const char *element, const char *end)
{
    struct task_text task;
    const char *behind = task_text_read(element, end, (wall_time){0}, &task);

    (void)user, (void)lists;
    return behind && strcmp(task.domain_id, "b") != 0 ? behind : NULL;
}

/* What is left of JSON is JSON, and no more than it was. */
static void pick(const char *body)
{
    json_t *whole = json_loads(body, 0, NULL), *left;
    size_t len = 0;
    char *picked = json_list_pick(body, strlen(body), take_others, NULL, &len);

    MUST(len <= strlen(body));
    left = picked != NULL ? json_loadb(picked, len, 0, NULL) : NULL;
    MUST(whole == NULL || picked == NULL || left != NULL);
    json_decref(whole);
    json_decref(left);
    free(picked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = text_of(data, size), *body = cut_line(text);
    json_t *request = json_loads(text, 0, NULL);
    struct jmap_answer answer;
    size_t len;

    if (body != NULL)
        pick(body);
    if (body != NULL && json_is_array(json_object_get(request, "methodCalls")) &&
        answer_parse(body, strlen(body), json_object_get(request, "methodCalls"), &answer)) {
        for (size_t i = 0; i < answer.call_count; i++) {
            if (answer.sets[i] != NULL)
                change(&answer, i);
        }
        json_t *made = answer_made(&answer), *id = json_string("jp1");
        MUST(made != NULL && answer_set_created_id(&answer, "k", id));
        MUST(json_object_get(answer_created_ids(&answer), "k") == id);
        json_decref(made);
        json_decref(id);
        answer_drop_created_ids(&answer);
        char *written = answer_text(&answer, &len);
        MUST(written != NULL);
        free(written);
        answer_clear(&answer);
    }
    json_decref(request);
    free(text);
    return 0;
}

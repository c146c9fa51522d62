/*
 * A request (first line) through a whole hold. Each further line is what the server answers next:
 * the text itself, nothing at all for "-", and what a sane server would say for an empty line and
 * from the last line on. However that goes: the hold comes to an end, shows nobody that a create
 * was sent as a placeholder, and tells of no task that was never made.
 */

#include <jansson.h>

#include "jmap/create/flight.h"
#include "jmap/create/hold.h"
#include "jmap/facts/memory.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/task_server.h"

/* More than any hold of a sane length needs; each step is a request to the server. */
#define STEPS_MOST 2000

#define MADE "jpnew" /* what the server calls a task that it has made */

static wall_time fixed_now(void *user)
{
    wall_time now;

    (void)user;
    MUST(wall_time_parse("2026-11-23T12:00:00Z", &now));
    return now;
}

static void count_wake(void *user)
{
    ++*(size_t *)user;
}

static void no_report(void *user, const struct hold_report *report)
{
    (void)user;
    MUST(outcome_name(report->outcome) != NULL && report->why != NULL);
}

/* Whether the server of the unit tests can read it. */
static bool is_proper(const json_t *request)
{
    json_t *calls = json_object_get(request, "methodCalls"), *call, *create;
    const char *key;
    size_t i;

    json_array_foreach(calls, i, call)
    {
        const json_t *arguments = json_array_get(call, 1);
        if (!json_is_string(json_array_get(call, 0)) || !json_is_object(arguments) ||
            !json_is_string(json_array_get(call, 2)))
            return false;
        json_object_foreach(json_object_get(arguments, "create"), key, create)
        {
            if (!json_is_string(json_object_get(create, "domainId")))
                return false;
        }
    }
    return json_is_array(calls);
}

/* What a sane server says, the caller's to free(). */
static char *answer_sane(struct server *server, const struct hold_request *request)
{
    json_t *read = request->is_session ? NULL : json_loadb(request->body, request->len, 0, NULL);
    char *text = is_proper(read) ? serve(server, request->body, request->len) : NULL;

    json_decref(read);
    return text;
}

static void feed(struct hold *hold, const char *text)
{
    static const char problem[] = "{\"type\":\"urn:ietf:params:jmap:error:notRequest\","
                                  "\"status\":400}";

    if (text == NULL)
        hold_feed(hold, 400, problem, sizeof problem - 1);
    else if (strcmp(text, "-") == 0)
        hold_feed_failure(hold, "no answer");
    else
        hold_feed(hold, 200, text, strlen(text));
}

/* It waits for nobody but itself: for the end of a write of its own whose answer was lost. */
static void wait_for_aftermath(struct hold *hold, const struct hold_context *context)
{
    static int64_t now; /* never turned back */
    const size_t *woken = context->user;
    size_t before = *woken;

    for (int ticks = 0; *woken == before; ticks++) {
        MUST(ticks < 3);
        flight_table_tick(context->flights, now += FLIGHT_AFTERMATH_MILLISECONDS, INT64_MAX);
    }
    hold_woken(hold);
}

/* The answer to the client's own request, the caller's to free(); NULL where there is none. */
static char *drive(struct hold *hold, const struct hold_context *context, struct server *server,
                   char *lines)
{
    char *received = NULL;

    for (int steps = 0; hold_step(hold) != HOLD_DONE; steps++) {
        if (hold_step(hold) == HOLD_WAIT) {
            MUST(steps < STEPS_MOST);
            wait_for_aftermath(hold, context);
            continue;
        }
        struct hold_request request = hold_request(hold);
        char *line = lines;
        MUST(steps < STEPS_MOST && (request.is_session || request.body != NULL));
        lines = line == NULL ? NULL : cut_line(line);
        bool sane = line == NULL || *line == '\0', is_own = request.keep_headers;
        hold_sent(hold);
        char *text = sane ? answer_sane(server, &request) : strdup(line);
        feed(hold, text);
        if (!is_own) {
            free(text);
            continue;
        }
        free(received);
        received = text;
    }
    return received;
}

static bool has(const char *text, size_t len, const char *word)
{
    return memmem(text, len, word, strlen(word)) != NULL;
}

static void check(const struct hold *hold, const struct server *server, const char *given,
                  const char *received)
{
    struct hold_answer answer = hold_answer(hold);
    const char *text = answer.as_received ? received : answer.body;
    size_t len = !answer.as_received ? answer.len : received == NULL ? 0 : strlen(received);

    MUST(answer.own_status == 0 || (answer.own_status == 503 && answer.own_type != NULL));
    if (text == NULL)
        return;
    if (!answer.as_received) {
        json_t *read = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
        MUST(json_is_object(read));
        json_decref(read);
    }
    MUST(has(given, strlen(given), IMPOSSIBLE_DOMAIN_ID) || !has(text, len, IMPOSSIBLE_DOMAIN_ID));
    MUST(has(given, strlen(given), MADE) || server->creates > 0 || !has(text, len, MADE));
}

/* The lowest bits of the first byte say how the gate is set up and what the server has. */
static void run(unsigned variant, char *text, const char *given)
{
    struct server server = {.forbids_reads = variant & 1, .refuses_moves = variant & 2};
    struct hold_settings settings = {.has_service_credential = variant & 1,
                                     .max_request = 100000,
                                     .table.not_due = variant & 4 ? NOT_DUE_SCHEDULE : NOT_DUE_NOOP,
                                     .blind_interval_seconds = 3600};
    size_t woken = 0;
    struct hold_context context = {.settings = &settings,
                                   .flights = flight_table_create(),
                                   .memory = task_memory_create(),
                                   .stranger = variant & 16,
                                   .now = fixed_now,
                                   .wake = count_wake,
                                   .user = &woken,
                                   .report = no_report};
    char *lines = cut_line(text);

    if (variant & 8) {
        server.not_before = "2026-11-20T12:00:00Z";
        server.not_after = "2027-02-18T12:00:00Z";
    }
    struct hold *hold = hold_open(&context, text, strlen(text));
    if (hold != NULL) {
        char *received = drive(hold, &context, &server, lines);
        check(hold, &server, given, received);
        free(received);
    }
    hold_close(hold);
    flight_table_destroy(context.flights);
    task_memory_destroy(context.memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    char *text = text_of(data + 1, size - 1), *given = text_of(data + 1, size - 1);
    run(data[0], text, given);
    free(given);
    free(text);
    return 0;
}

#include "proxy/telemetry/advice.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "jmap/wire/object_id.h"

/* Within single quotes, a shell takes nothing of these for more than itself. */
#define PLAIN_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:/[]@%"

/* The server's clock may be a little behind the one by which this is written. */
#define SURELY_PAST_SECONDS 60

static bool is_plain(const char *text)
{
    return text[0] != '\0' && text[0] != '-' && text[strspn(text, PLAIN_CHARACTERS)] == '\0';
}

/* As it was called itself: it may stand where no shell looks for it. */
static const char *own_name(void)
{
    return is_plain(program_invocation_name) ? program_invocation_name : "renewgate";
}

static void say_sweep(struct advice *advice)
{
    snprintf(advice->command, sizeof advice->command, "%s sweep", own_name());
}

/* The call that lets a task run now, for a person who may. It is sent past the gate: it is held by
 * none. */
static void say_run(const struct advice_facts *facts, const char *upstream_url,
                    struct advice *advice)
{
    char id[OBJECT_ID_SIZE], now[WALL_TIME_TEXT_SIZE];
    if (!object_id_parse(facts->task_id, id) || !is_plain(upstream_url))
        return;
    wall_time_format(wall_time_add(facts->now, -SURELY_PAST_SECONDS), now);
    snprintf(advice->command, sizeof advice->command,
             "curl -u admin -H 'Content-Type: application/json' '%s/jmap/' -d '{\"using\":"
             "[\"urn:ietf:params:jmap:core\",\"urn:stalwart:jmap\"],\"methodCalls\":"
             "[[\"x:Task/set\",{\"update\":{\"%s\":{\"status/due\":\"%s\"}}},\"a\"]]}'",
             upstream_url, id, now);
}

static void advise_held(const struct advice_facts *facts, const char *upstream_url,
                        struct advice *advice)
{
    switch (facts->held_by) {
    case HELD_BY_CA:
        advice->words =
            "wait: nothing hurries the CA, and its order is queued for when it no longer "
            "refuses; who spent the limit is in the log, outcome forward";
        break;
    case HELD_BY_FAILURES:
        if (facts->live == 0) {
            advice->words = "mend what made its last order fail; a sweep queues the next one";
            say_sweep(advice);
            break;
        }
        advice->words =
            "mend what made its last order fail; then this lets the next one run at once";
        say_run(facts, upstream_url, advice);
        break;
    case HELD_BY_VALIDATIONS:
        advice->words = "see that the CA reaches its names: DNS, port 80 or 443; the next order is "
                        "queued for when it validates again";
        break;
    case HELD_BY_ACCOUNT:
        advice->words = "wait: its order has its place among those of the CA's account";
        break;
    case HELD_SOURCES:
        break;
    }
}

struct advice advice_of(const struct advice_facts *facts, const char *upstream_url)
{
    struct advice advice = {0};
    if (!facts->renewable) {
        advice.words =
            "set the acmeProviderId of its certificateManagement to a provider that exists";
    } else if (facts->stuck) {
        advice.words =
            "a sweep puts another task in the place of the stuck one; if that does not run "
            "either, see whether the server's task manager is on";
        say_sweep(&advice);
    } else if (wall_time_before(facts->now, facts->held_until)) {
        advise_held(facts, upstream_url, &advice);
    } else if (facts->live == 0 || facts->changes) {
        advice.words = "a sweep leaves it with one task, due at the right time";
        say_sweep(&advice);
    } else if (facts->failures > 0) {
        advice.words = "mend what made its last order fail; the next one is on its way";
    }
    return advice;
}

void advice_explain(const char *name, char command[static ADVICE_COMMAND_SIZE])
{
    command[0] = '\0';
    if (is_plain(name))
        snprintf(command, ADVICE_COMMAND_SIZE, "%s explain %s", own_name(), name);
}

#include "tests/standin/bans.h"
#include "tests/standin/auth.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FAILURES_A_DAY 100
#define MALFORMED_A_DAY 30

static json_t *counts; /* by address, and by login name */
static bool loopback_counts;
static atomic_bool loopback_banned;
static unsigned failures, malformed;

void bans_reset(bool counting)
{
    json_decref(counts);
    counts = json_object();
    loopback_counts = counting;
    atomic_store(&loopback_banned, false);
}

void bans_free(void)
{
    json_decref(counts);
    counts = NULL;
}

static json_int_t raise_count(const char *kind, const char *name)
{
    char key[600];
    snprintf(key, sizeof key, "%s %s", kind, name);
    json_int_t count = json_integer_value(json_object_get(counts, key)) + 1;
    json_object_set_new(counts, key, json_integer(count));
    return count;
}

/* The name that it logs in by; false where nothing is tried. Of a token only an API key is looked
 * up, and that has no name. */
static bool tried_login(const char *authorization, char name[static AUTH_TEXT])
{
    char *password;
    name[0] = '\0';
    if (!authorization)
        return false;
    if (strncasecmp(authorization, "Bearer ", 7) == 0)
        return strncmp(authorization + 7, "API_", 4) == 0;
    return auth_basic(authorization, name, &password);
}

bool bans_note(const char *authorization, const char *from)
{
    char name[AUTH_TEXT];
    if (!tried_login(authorization, name))
        return false;
    failures++;
    if (!from && !loopback_counts)
        return false;
    bool enough = raise_count("address", from ? from : "") > FAILURES_A_DAY;
    if (name[0])
        enough = raise_count("login", name) > FAILURES_A_DAY || enough;
    if (enough && !from)
        atomic_store(&loopback_banned, true);
    return enough;
}

void bans_note_missing(const char *target, const char *from)
{
    static const char *const parts[] = {".php",   ".cgi", ".asp", "/wp-",   "/php",      "/cgi-bin",
                                        "xmlrpc", "../",  "/..",  "joomla", "wordpress", "drupal"};
    size_t len = strcspn(target, "?#");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *found = strstr(target, parts[i]);
        if (found && (size_t)(found - target) < len && !from && loopback_counts)
            atomic_store(&loopback_banned, true);
    }
}

void bans_note_malformed(bool reads_forwarded)
{
    malformed++;
    if (!reads_forwarded && loopback_counts && raise_count("malformed", "") > MALFORMED_A_DAY)
        atomic_store(&loopback_banned, true);
}

bool bans_admit(void)
{
    return !atomic_load(&loopback_banned);
}

unsigned bans_failures(void)
{
    return failures;
}

unsigned bans_malformed(void)
{
    return malformed;
}

void bans_forget_failures(void)
{
    failures = malformed = 0;
}

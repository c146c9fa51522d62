#include "jmap/wire/method.h"

#include <string.h>

#define CERTIFICATE_SET "x:Certificate/set"
#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool is_one_of(const char *text, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text, texts[i]) == 0)
            return true;
    }
    return false;
}

enum method_kind method_kind(const json_t *call)
{
    /* What a look-up reads (jmap/facts/lookup.h), and clients can set. */
    static const char *const facts[] = {"x:Domain/set", CERTIFICATE_SET, "x:AcmeProvider/set",
                                        "x:SystemSettings/set"};
    static const char *const reading[] = {"/get", "/query", "/changes", "/queryChanges"};
    const json_t *written = json_array_get(call, 0);
    const char *name = json_string_value(written);

    if (!name || strlen(name) != json_string_length(written))
        return METHOD_OTHER;
    if (strcmp(name, "Core/echo") == 0)
        return METHOD_ECHOES;
    const char *verb = strrchr(name, '/');
    if (verb && is_one_of(verb, reading, COUNT(reading)))
        return METHOD_READS;
    if (strcmp(name, "x:Task/set") == 0)
        return METHOD_SETS_TASKS;
    return is_one_of(name, facts, COUNT(facts)) ? METHOD_SETS_FACTS : METHOD_OTHER;
}

bool method_sets_certificates(const json_t *call)
{
    return method_kind(call) == METHOD_SETS_FACTS &&
           strcmp(json_string_value(json_array_get(call, 0)), CERTIFICATE_SET) == 0;
}

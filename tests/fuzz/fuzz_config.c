/* Settings, a line each: NAME=value. A wrong one is complained of in one line. */

#include "proxy/config.h"
#include "tests/fuzz/fuzz.h"

#define LINES_MOST 32

static size_t count_lines(FILE *file)
{
    size_t count = 0;

    rewind(file);
    for (int byte; (byte = fgetc(file)) != EOF;)
        count += byte == '\n';
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char url[] = "RENEWGATE_UPSTREAM_URL=http://127.0.0.1:8080";
    char *text = text_of(data, size), *environment[LINES_MOST + 2] = {url};
    size_t count = 1;
    struct config config;
    FILE *errors = tmpfile();

    MUST(errors != NULL);
    for (char *line = text; line != NULL && count <= LINES_MOST;) {
        char *next = cut_line(line);
        if (strstr(line, "_FILE=") == NULL)
            environment[count++] = line;
        line = next;
    }
    bool fine = config_read(&config, environment, errors);
    MUST(count_lines(errors) == (fine ? 0 : 1));
    if (fine)
        config_clear(&config);
    fclose(errors);
    free(text);
    return 0;
}

#include "proxy/jobs/explain_command.h"

#include <stdlib.h>
#include <string.h>

#include "jmap/wire/json_text.h"
#include "proxy/base/plain_text.h"
#include "proxy/jobs/explainer.h"
#include "proxy/jobs/explanation.h"

#define EXIT_NO_EXPLANATION 2

const char explain_usage[] =
    "renewgate explain DOMAIN: what would become of a create for that domain now, and why:\n"
    "each row of the table that was read, and the facts. Changes nothing\n\n"
    "  --force  as with Renewgate-Force: 1, where RENEWGATE_FORCE=allow\n"
    "  --json   one JSON object in place of text\n\n"
    "It needs RENEWGATE_UPSTREAM_URL and RENEWGATE_SERVICE_AUTHORIZATION, and the variables\n"
    "that the gate is run with where its decision is to be the same. Exit status: 0, or 2\n"
    "where there is no explanation and a line says why.\n\n"
    "  renewgate explain example.org\n";

bool explain_options_read(struct explain_options *options, int count, char **arguments)
{
    *options = (struct explain_options){0};
    for (int i = 0; i < count; i++) {
        const char *argument = arguments[i];
        if (strcmp(argument, "--json") == 0)
            options->json = true;
        else if (strcmp(argument, "--force") == 0)
            options->forced = true;
        else if (options->domain == NULL && argument[0] != '-' && argument[0] != '\0')
            options->domain = argument;
        else
            return false;
    }
    return options->domain != NULL;
}

struct explaining {
    struct gate *gate;
    const struct explain_options *options;
    FILE *out, *errors;
    int status;
};

static bool print_json(const struct explaining *explaining, const struct explanation *explanation)
{
    json_t *json = explanation_json(explanation, explaining->gate->config);
    char *text = json_text_write_ascii(json, JSON_INDENT(1));
    if (text != NULL)
        fprintf(explaining->out, "%s\n", text);
    bool made = text != NULL;
    free(text);
    json_decref(json);
    return made;
}

static void explain_command_tell(void *user, const struct explanation *explanation,
                                 const char *error, const char *detail)
{
    struct explaining *explaining = user;
    bool told = explanation != NULL;
    if (told && explaining->options->json)
        told = print_json(explaining, explanation);
    else if (told)
        explanation_print(explanation, explaining->gate->config, explaining->out);
    if (fflush(explaining->out) != 0 || ferror(explaining->out)) {
        told = false;
        error = "it could not be written";
    }
    if (!told) {
        fprintf(explaining->errors, "renewgate: no explanation: %s%s",
                error != NULL ? error : "out of memory", detail[0] != '\0' ? ": " : "");
        plain_text_print(explaining->errors, detail, 0);
        fprintf(explaining->errors, " (%s)\n", explaining->gate->config->upstream_url);
    }
    explaining->status = told ? EXIT_SUCCESS : EXIT_NO_EXPLANATION;
}

int explain_command(struct gate *gate, const struct explain_options *options, FILE *out,
                    FILE *errors)
{
    struct explaining explaining = {.gate = gate,
                                    .options = options,
                                    .out = out,
                                    .errors = errors,
                                    .status = EXIT_NO_EXPLANATION};
    if (gate->config->service_authorization == NULL) {
        fputs("renewgate: an explanation needs RENEWGATE_SERVICE_AUTHORIZATION\n", errors);
        return EXIT_NO_EXPLANATION;
    }
    struct explainer *explainer = explainer_open(gate);
    if (explainer == NULL) {
        fputs("renewgate: no explanation: out of memory or files\n", errors);
        return EXIT_NO_EXPLANATION;
    }
    explainer_ask(explainer, options->domain, options->forced, explain_command_tell, &explaining);
    explainer_close(explainer);
    return explaining.status;
}

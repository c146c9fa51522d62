#include "proxy/jobs/explainer.h"

#include <pthread.h>
#include <stdlib.h>

#include "proxy/base/mailbox.h"
#include "proxy/jobs/job.h"
#include "proxy/jobs/explanation.h"

#define TRIES_MAX 2
#define UNANSWERED_MAX 1

struct explainer {
    struct gate *gate;
    pthread_mutex_t lock; /* over what follows, but for the mailbox and its message */
    struct job job;
    struct mailbox mailbox;
    struct mailbox_message stop;
    bool stopping;
    struct explain *explain;
};

static void explainer_on_stop(void *user)
{
    struct explainer *explainer = user;
    explainer->stopping = true;
}

static wall_time explainer_now(void *user)
{
    const struct explainer *explainer = user;
    return server_clock_now(&explainer->gate->clock);
}

struct explainer *explainer_open(struct gate *gate)
{
    static const struct job_settings settings = {.tries_max = TRIES_MAX,
                                                 .unanswered = UNANSWERED_MAX};
    struct explainer *explainer = calloc(1, sizeof *explainer);
    if (explainer == NULL)
        return NULL;
    *explainer = (struct explainer){.gate = gate,
                                    .job = {.loop = {.epoll = -1}},
                                    .mailbox = {.event = -1},
                                    .stop = {.open = explainer_on_stop, .user = explainer}};
    pthread_mutex_init(&explainer->lock, NULL);
    if (job_open(&explainer->job, gate, &settings) &&
        mailbox_open(&explainer->mailbox, &explainer->job.loop))
        return explainer;
    explainer_close(explainer);
    return NULL;
}

void explainer_stop(struct explainer *explainer)
{
    if (explainer != NULL)
        mailbox_post(&explainer->mailbox, &explainer->stop);
}

void explainer_close(struct explainer *explainer)
{
    if (explainer == NULL)
        return;
    mailbox_close(&explainer->mailbox);
    job_close(&explainer->job);
    pthread_mutex_destroy(&explainer->lock);
    free(explainer);
}

void explainer_ask(struct explainer *explainer, const char *domain, bool forced,
                   void (*tell)(void *user, const struct explanation *explanation,
                                const char *error, const char *detail),
                   void *user)
{
    const struct explain_context context = {.settings = &explainer->gate->config->hold,
                                            .memory = explainer->gate->memory,
                                            .name = domain,
                                            .forced = forced,
                                            .now = explainer_now,
                                            .user = explainer};
    if (pthread_mutex_trylock(&explainer->lock) != 0) {
        tell(user, NULL, "another explanation is being made; ask again", "");
        return;
    }
    explainer->explain = explain_create(&context);
    if (explainer->explain == NULL) {
        tell(user, NULL, "out of memory", "");
    } else {
        job_run(&explainer->job, &explain_machine, explainer->explain, &explainer->stopping);
        const struct explanation *result = explain_result(explainer->explain);
        const char *error = explain_error(explainer->explain);
        tell(user, result, error != NULL || result != NULL ? error : "stopped",
             explainer->job.detail);
    }
    explain_destroy(explainer->explain);
    pthread_mutex_unlock(&explainer->lock);
}

struct json_teller {
    const struct config *config;
    json_t *json;
};

static void tell_json(void *user, const struct explanation *explanation, const char *error,
                      const char *detail)
{
    struct json_teller *teller = user;
    (void)detail;
    teller->json = explanation != NULL ? explanation_json(explanation, teller->config)
                                       : json_pack("{s:s}", "error", error);
}

json_t *explainer_json(struct explainer *explainer, const char *domain)
{
    struct json_teller teller = {.config = explainer->gate->config};
    explainer_ask(explainer, domain, false, tell_json, &teller);
    return teller.json;
}

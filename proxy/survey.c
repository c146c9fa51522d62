#include "proxy/survey.h"

#include "jmap/audit.h"
#include "jmap/memory.h"
#include "jmap/sighting.h"

struct survey {
    struct gate *gate;
    struct audit *audit;
    wall_time began; /* when the first domain was looked at, by the server's clock */
    size_t domains;
};

static wall_time now(void *user)
{
    const struct survey *survey = user;
    return server_clock_now(&survey->gate->clock);
}

/*
 * For creates to come, and for the next survey: it then reads that certificate alone, which would
 * not show that the CA has had enough.
 */
static void remember(const struct survey *survey, const struct lookup_domain *found,
                     wall_time refused_until)
{
    if (found->certificate_id != NULL && wall_time_equal(refused_until, WALL_TIME_NEVER))
        memory_note_renewal(survey->gate->memory, found->id, found->certificate_id,
                            found->renewal_due, "");
}

static bool judged(void *user, const struct audit_domain *domain)
{
    struct survey *survey = user;
    struct lookup_domain found = *domain->found;
    if (wall_time_before(found.asked, survey->began))
        survey->began = found.asked;
    if (!found.renewable)
        return true;
    found.tasks = (struct renewal_task *)domain->tasks;
    found.task_count = domain->task_count;
    struct sighting sighting = sighting_of(&found, domain->verdict.refused_until, found.asked);
    sightings_store_latest(survey->gate->sightings, &sighting);
    remember(survey, &found, domain->verdict.refused_until);
    survey->domains++;
    return true;
}

static enum errand_step step(void *machine)
{
    const struct survey *survey = machine;
    return audit_step(survey->audit) == AUDIT_DONE ? ERRAND_DONE : ERRAND_SEND;
}

static struct own_request_order order(void *machine)
{
    const struct survey *survey = machine;
    return audit_order(survey->audit);
}

static void feed(void *machine, unsigned status, const char *body, size_t len)
{
    const struct survey *survey = machine;
    audit_feed(survey->audit, status, body, len);
}

static const struct errand_machine machine = {.step = step, .order = order, .feed = feed};

const char *survey_run(struct gate *gate, struct errand *errand, const bool *stopping,
                       size_t *domains)
{
    struct survey survey = {.gate = gate, .began = WALL_TIME_FOREVER};
    const struct audit_context context = {.settings = &gate->config->hold,
                                          .memory = gate->memory,
                                          .now = now,
                                          .judged = judged,
                                          .user = &survey};
    survey.audit = audit_create(&context);
    if (survey.audit == NULL)
        return "out of memory";
    errand_run(errand, &machine, &survey, stopping);
    const char *error = *stopping ? "stopped" : audit_error(survey.audit);
    audit_destroy(survey.audit);
    *domains = survey.domains;
    if (error == NULL)
        sightings_forget_before(gate->sightings, survey.domains > 0 ? survey.began : now(&survey));
    return error;
}

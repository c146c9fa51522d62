#include "proxy/jobs/survey.h"

#include "jmap/queue/audit.h"
#include "jmap/facts/domain_snapshot.h"

struct survey {
    struct gate *gate;
    wall_time began; /* when the first domain was looked at, by the server's clock */
    size_t domains;
};

static wall_time survey_now(void *user)
{
    const struct survey *survey = user;
    return server_clock_now(&survey->gate->clock);
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
    struct domain_snapshot snapshot = domain_snapshot_of(&found, &domain->held, found.asked);
    domain_snapshots_store_latest(survey->gate->snapshots, &snapshot);
    survey->domains++;
    return true;
}

const char *survey_run(struct gate *gate, struct job *job, const bool *stopping, size_t *domains)
{
    struct survey survey = {.gate = gate, .began = WALL_TIME_FOREVER};
    const struct audit_context context = {.settings = &gate->config->hold,
                                          .memory = gate->memory,
                                          .remembers = true,
                                          .every_certificate = true,
                                          .now = survey_now,
                                          .judged = judged,
                                          .user = &survey};
    struct audit *audit = audit_create(&context);
    if (audit == NULL)
        return "out of memory";
    job_run(job, &audit_machine, audit, stopping);
    const char *error = *stopping ? "stopped" : audit_error(audit);
    audit_destroy(audit);
    *domains = survey.domains;
    if (error == NULL)
        domain_snapshots_forget_before(gate->snapshots,
                                       survey.domains > 0 ? survey.began : survey_now(&survey));
    return error;
}

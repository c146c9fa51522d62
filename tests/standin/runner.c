#include "tests/standin/runner.h"
#include "tests/standin/ca.h"
#include "tests/standin/clock.h"
#include "tests/standin/defaults.h"
#include "tests/standin/ids.h"
#include "tests/standin/store.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RUN_LIMIT 1000000
/* Of the due ones, one of the first so many is picked: enough for disorder. */
#define MAX_CANDIDATES 1000
/* How many tasks are locked ahead of the one that runs. */
#define CHANNEL_ROOM 10

/* The task manager's own retries: a minute, doubled each time, half an hour at most, give or take a
 * half, and no longer than six hours after the first failure. */
static const int64_t first_delay = 60, longest_delay = 1800, total_deadline = 6 * 3600;

/* Held while a task runs, by the thread or by runner_run_due(): one at a time. Taken before
 * store.lock. */
static pthread_mutex_t run_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_t thread;

static uint64_t channel[CHANNEL_ROOM]; /* the locked tasks that wait for their turn */
static size_t channel_count;

bool runner_has_locked(const struct task *task)
{
    return task->locked || task->dead_lock_until > clock_now();
}

static struct task *pick_due(void)
{
    uint64_t now = (uint64_t)clock_now();
    size_t count = 0;
    struct task *picked = NULL;
    for (struct ordered_node *node = store.tasks_by_due.head[0];
         node && node->due <= now && count < MAX_CANDIDATES; node = node->next[0]) {
        struct task *task = node->value;
        if (!task->poison && !runner_has_locked(task) && random() % (long)++count == 0)
            picked = task;
    }
    return picked;
}

void runner_dispatch(void)
{
    struct task *task;
    while (store.runner.enabled && channel_count < CHANNEL_ROOM && (task = pick_due())) {
        task->locked = true;
        channel[channel_count++] = task->id;
    }
}

/* The task whose turn it is, or NULL. Those that are gone are passed over. */
static struct task *next_in_channel(void)
{
    struct task *task = NULL;
    while (channel_count && !task) {
        task = store_task(channel[0]);
        memmove(channel, channel + 1, --channel_count * sizeof *channel);
    }
    return task;
}

static void empty_channel(void)
{
    for (struct task *task; (task = next_in_channel());)
        task->locked = false;
}

static int64_t ordinary_retry(const struct status *status, int64_t since, uint64_t max_attempts)
{
    if (status->attempt >= max_attempts)
        return 0;
    double delay = fmin((double)first_delay * pow(2, (double)status->attempt), longest_delay);
    delay = fmin(delay * ((double)random() / (double)RAND_MAX + 0.5), longest_delay);
    int64_t next = clock_now() + (int64_t)delay;
    return next > since + total_deadline ? 0 : next;
}

enum failure { FAIL_PERMANENT, FAIL_TEMPORARY, FAIL_RETRY_AT };

static void fail(uint64_t id, enum failure kind, int64_t retry_at, uint64_t max_attempts,
                 const char *reason)
{
    struct task *task = store_task(id);
    if (!task)
        return;
    const struct status *old = &task->status;
    uint64_t attempt = old->kind == STATUS_PENDING ? 0 : old->attempt;
    int64_t since = old->kind == STATUS_PENDING ? clock_now() : old->created_at;
    int64_t due = 0;
    if (kind == FAIL_RETRY_AT && attempt < max_attempts)
        due = retry_at;
    else if (kind == FAIL_TEMPORARY)
        due = ordinary_retry(&(struct status){.attempt = attempt}, since, max_attempts);
    /* The newer version never gives a renewal up; it asks again in one to six hours, whatever the
     * CA has said. */
    if (!due && kind != FAIL_PERMANENT && store.version != VERSION_0_16_5)
        due = clock_now() +
              (int64_t)fmin(3600.0 * (double)(1 << (attempt < 4 ? attempt : 4)), 21600.0);
    task->running = task->locked = false;
    struct status status = {
        .kind = due ? STATUS_RETRY : STATUS_FAILED,
        .created_at = since,
        .due = due,
        .failed_at = clock_now(),
        .attempt = due ? attempt + 1 : attempt,
        .reason = text_copy(reason),
    };
    store_task_set_status(task, &status);
}

static int64_t due_at(int64_t from, int64_t to, const char *renew_before)
{
    int64_t total = to - from;
    if (strcmp(renew_before, "R12") == 0)
        return from + total / 2;
    if (strcmp(renew_before, "R34") == 0)
        return from + total * 3 / 4;
    if (strcmp(renew_before, "R45") == 0)
        return from + total * 4 / 5;
    return from + total * 2 / 3;
}

/* An order as it was taken: what remains to be done when the certificate is there. */
struct order {
    uint64_t task_id, domain_id;
    struct san_set *set;
    char renew_before[8];
    bool placed;
};

static void rate_limited(uint64_t id, int64_t wait, uint64_t max_attempts)
{
    char text[96];
    store.counters.refusals++;
    if (store.ca.retry_after == RETRY_AFTER_SECONDS) {
        /* The server adds a second to what the CA says. */
        uint64_t seconds = (uint64_t)wait + 1;
        snprintf(text, sizeof text, "Rate limited. Retry after %llu seconds",
                 (unsigned long long)seconds);
        fail(id, FAIL_RETRY_AT, (int64_t)((uint64_t)clock_now() + seconds), max_attempts, text);
    } else {
        /* A date is subtracted the wrong way round and so lost, as if there were none. */
        fail(id, FAIL_TEMPORARY, 0, max_attempts, "Rate limited. Retry after some time");
    }
}

/* Only the newer version looks at what is stored, and there the oldest match decides. */
static bool not_due(uint64_t id, const struct domain *domain, const struct san_set *set,
                    const char *renew_before)
{
    if (store.version == VERSION_0_16_5 || !set->cert_count)
        return false;
    const struct cert *cert = set->certs[0];
    int64_t due = due_at(cert->not_before, cert->not_after, renew_before);
    if (cert->not_after <= clock_now() || clock_now() >= due)
        return false;
    char when[CLOCK_TEXT], text[512];
    clock_format(due, when);
    snprintf(text, sizeof text,
             "Certificate for domain %.255s is still valid; renewal is not due until %s",
             domain->name, when);
    fail(id, FAIL_PERMANENT, 0, 0, text);
    return true;
}

static bool has_wildcard(const struct san_set *set)
{
    for (size_t i = 0; i < set->name_count; i++) {
        if (strncmp(set->names[i], "*.", 2) == 0)
            return true;
    }
    return false;
}

/* A CA offers nothing but DNS for a wildcard. What it offers is shown with URL and token, so no two
 * of these read alike. */
static void challenge_not_supported(uint64_t id, const char *requested)
{
    unsigned long long order = store.counters.orders;
    char text[384];
    snprintf(text, sizeof text,
             "Challenge type %.20s not supported. Supported types: [Challenge { typ: Dns01, url: "
             "\"https://localhost:14000/chalZ/dk%llu\", token: Some(\"wM%lluQ\"), error: None }]",
             requested, order, order);
    fail(id, FAIL_PERMANENT, 0, 0, text);
}

static void start_renewal(const struct task *task, struct order *order)
{
    uint64_t id = task->id;
    const struct domain *domain = store_domain(task->domain_id);
    char text[128], id_text[ID_TEXT];
    if (!domain) {
        id_format(task->domain_id, id_text);
        snprintf(text, sizeof text, "Invalid request: Domain with ID %s not found", id_text);
        fail(id, FAIL_PERMANENT, 0, 0, text);
        return;
    }
    if (!domain->automatic) {
        fail(id, FAIL_PERMANENT, 0, 0, "Invalid request: ACME not configured for domain");
        return;
    }
    const struct provider *provider = store_provider(domain->provider_id);
    if (!provider) {
        id_format(domain->provider_id, id_text);
        snprintf(text, sizeof text, "Invalid request: ACME provider with ID %s not found", id_text);
        fail(id, FAIL_PERMANENT, 0, 0, text);
        return;
    }
    char *names[CA_MAX_NAMES];
    size_t count = ca_names(domain, names);
    struct san_set *set = store_set((const char *const *)names, count);
    while (count)
        free(names[--count]);
    if (not_due(id, domain, set, provider->renew_before))
        return;
    int64_t wait = ca_order(set, clock_now());
    if (wait) {
        rate_limited(id, wait, provider->max_retries);
        return;
    }
    if (has_wildcard(set) && strncmp(provider->challenge, "Dns", 3) != 0) {
        challenge_not_supported(id, provider->challenge);
        return;
    }
    if (store.ca.invalid) {
        snprintf(text, sizeof text, "Order is invalid: %.90s", store.ca.invalid);
        fail(id, FAIL_PERMANENT, 0, 0, text);
        return;
    }
    if (store.ca.fail) {
        snprintf(text, sizeof text, "Authentication failed: \"%.90s\"", store.ca.fail);
        fail(id, FAIL_TEMPORARY, 0, 3, text);
        return;
    }
    *order = (struct order){.task_id = id, .domain_id = domain->id, .set = set, .placed = true};
    snprintf(order->renew_before, sizeof order->renew_before, "%.7s", provider->renew_before);
}

/* The certificate's common name is listed among its names, whatever it is. */
static void add_certificate(const struct san_set *set, int64_t from, int64_t to)
{
    const char *names[CA_MAX_NAMES + 1];
    size_t count = set->name_count;
    memcpy(names, set->names, count * sizeof *names);
    if (store.ca.common_name)
        names[count++] = store.ca.common_name;
    store_cert_add(0, names, count, from, to, DEFAULT_ISSUER);
}

/* When the task that follows is due; 0 where the certificate was too short to be stored. */
static int64_t store_certificate(const struct order *order)
{
    int64_t now = clock_now();
    int64_t from = now - store.ca.backdate_seconds;
    int64_t to = from + store.ca.lifetime_seconds - 1;
    int64_t left = to > now ? to - now : 0;
    char text[128];
    store.counters.certificates++;
    if (left < 3600) {
        snprintf(text, sizeof text,
                 "Invalid request: Certificate expires in %lld seconds, expected at least 3600 "
                 "seconds",
                 (long long)left);
        fail(order->task_id, FAIL_PERMANENT, 0, 0, text);
        return 0;
    }
    if (store.ca.discard) {
        fail(order->task_id, FAIL_PERMANENT, 0, 0, store.ca.discard);
        return 0;
    }
    add_certificate(order->set, from, to);
    /* The older version counts what is left of the lifetime from the end of the order. */
    return due_at(store.version == VERSION_0_16_5 ? now : from, to, order->renew_before);
}

static void finish(const struct order *order, int64_t next_due)
{
    struct task *task = store_task(order->task_id);
    if (task)
        store_task_remove(task);
    store_task_schedule(TASK_ACME_RENEWAL, order->domain_id, next_due);
}

static unsigned long state_generation;

/* Sleeps without the lock. false: the stand-in is to stop, or its state was replaced meanwhile. */
static bool wait_seconds(double seconds, unsigned long generation)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    double end = (double)until.tv_sec + (double)until.tv_nsec / 1e9 + seconds;
    while (!store.stopping && generation == state_generation) {
        clock_gettime(CLOCK_REALTIME, &until);
        double left = end - ((double)until.tv_sec + (double)until.tv_nsec / 1e9);
        if (left <= 0)
            return true;
        until.tv_sec = (time_t)end;
        until.tv_nsec = (long)((end - (double)until.tv_sec) * 1e9);
        pthread_cond_timedwait(&store.changed, &store.lock, &until);
    }
    return false;
}

/* store.lock is held, and let go while the order takes its time. */
static void run_task(struct task *task, double order_seconds, double gap_seconds)
{
    unsigned long generation = state_generation;
    struct order order = {0};
    task->running = task->locked = true;
    switch (task->type) {
    case TASK_ACME_RENEWAL:
        start_renewal(task, &order);
        break;
    case TASK_DNS_MANAGEMENT: {
        uint64_t domain_id = task->domain_id;
        bool renew = task->renew_on_success;
        store_task_remove(task);
        if (renew)
            store_task_schedule(TASK_ACME_RENEWAL, domain_id, clock_now());
        break;
    }
    default: {
        /* Keys are made anew every ninety days. */
        uint64_t domain_id = task->domain_id;
        store_task_remove(task);
        store_task_schedule(TASK_DKIM_MANAGEMENT, domain_id, clock_now() + 90 * 86400);
        break;
    }
    }
    if (!order.placed || (order_seconds > 0 && !wait_seconds(order_seconds, generation)))
        return;
    int64_t next_due = store_certificate(&order);
    if (!next_due)
        return;
    if (gap_seconds > 0 && !wait_seconds(gap_seconds, generation))
        return;
    finish(&order, next_due);
}

size_t runner_run_due(void)
{
    size_t count = 0;
    pthread_mutex_lock(&run_lock);
    pthread_mutex_lock(&store.lock);
    empty_channel();
    for (struct task *task; count < RUN_LIMIT && (task = pick_due()); count++)
        run_task(task, 0, 0);
    pthread_mutex_unlock(&store.lock);
    pthread_mutex_unlock(&run_lock);
    return count;
}

void runner_kill(int64_t lock_seconds)
{
    for (struct ordered_node *node = store.tasks_by_due.head[0]; node; node = node->next[0]) {
        struct task *task = node->value;
        if (!task->locked)
            continue;
        task->running = task->locked = false;
        task->dead_lock_until = clock_now() + lock_seconds;
    }
    runner_forget();
}

void runner_forget(void)
{
    state_generation++;
    channel_count = 0;
}

static void nap(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 20 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_mutex_lock(&store.lock);
    if (!store.stopping)
        pthread_cond_timedwait(&store.changed, &store.lock, &until);
    pthread_mutex_unlock(&store.lock);
}

static void *loop(void *with)
{
    (void)with;
    for (;;) {
        pthread_mutex_lock(&run_lock);
        pthread_mutex_lock(&store.lock);
        bool stopping = store.stopping;
        if (!store.runner.enabled)
            empty_channel();
        if (!channel_count)
            runner_dispatch();
        struct task *task = !stopping ? next_in_channel() : NULL;
        bool ran = task != NULL;
        if (task)
            run_task(task, store.runner.order_seconds, store.runner.gap_seconds);
        pthread_mutex_unlock(&store.lock);
        pthread_mutex_unlock(&run_lock);
        if (stopping)
            return NULL;
        if (!ran)
            nap();
    }
}

void runner_start(void)
{
    if (pthread_create(&thread, NULL, loop, NULL))
        abort();
}

void runner_stop(void)
{
    pthread_cond_broadcast(&store.changed);
    pthread_join(thread, NULL);
}

#include "jmap/facts/inventory.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "jmap/wire/array.h"
#include "jmap/wire/json_list.h"
#include "jmap/wire/object_text.h"
#include "jmap/wire/task_text.h"
#include "policy/refusal.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* More than any that is read for what it says. */
#define REASON_MAX 512
/* A server that never ends its list: 4,000,000 objects, and fewer if it lists fewer at a time than
 * others do. */
#define PAGES_MAX 10000
#define PAGES_OF_FEW 200
#define FEW 20

static void inventory_end(struct inventory *inventory, const char *error)
{
    inventory->stage = INVENTORY_DONE;
    inventory->error = error;
}

/* Writing. */

static void add_query(struct inventory *inventory, const char *method, json_t *arguments)
{
    own_request_add(&inventory->request, method, arguments, "q");
}

static void add_get(struct inventory *inventory, const char *method, const char *query,
                    json_t *properties)
{
    own_request_add(&inventory->request, method,
                    json_pack("{s:{s:s, s:s, s:s}, s:o*}", "#ids", "resultOf", "q", "name", query,
                              "path", "/ids", "properties", properties),
                    "g");
}

static json_t *task_filter(const struct inventory *inventory)
{
    char due[WALL_TIME_TEXT_SIZE];
    bool begun = !wall_time_equal(inventory->cursor, WALL_TIME_NEVER);

    wall_time_format(inventory->cursor, due);
    return json_pack("{s:s, s:s*}", "@type", "AcmeRenewal", "dueIsGreaterThanOrEqual",
                     begun ? due : NULL);
}

static void send_page(struct inventory *inventory)
{
    json_int_t position = (json_int_t)inventory->position;

    own_request_begin(&inventory->request);
    switch (inventory->stage) {
    case INVENTORY_TASKS:
        add_query(inventory, "x:Task/query",
                  json_pack("{s:o, s:[{s:s, s:b}], s:I, s:i}", "filter", task_filter(inventory),
                            "sort", "property", "due", "isAscending", 1, "position", position,
                            "limit", (int)inventory->page));
        add_get(inventory, "x:Task/get", "x:Task/query", NULL);
        break;
    case INVENTORY_FAILED:
        add_query(inventory, "x:Task/query",
                  json_pack("{s:{s:s, s:s}, s:I, s:i}", "filter", "@type", "AcmeRenewal", "status",
                            "Failed", "position", position, "limit", (int)inventory->page));
        add_get(inventory, "x:Task/get", "x:Task/query", NULL);
        break;
    case INVENTORY_DOMAINS:
        /* Without the total the server cuts the list before it turns it round. */
        add_query(inventory, "x:Domain/query",
                  json_pack("{s:I, s:i, s:b}", "position", position, "limit", (int)inventory->page,
                            "calculateTotal", 1));
        add_get(inventory, "x:Domain/get", "x:Domain/query",
                json_pack("[s, s]", "name", "certificateManagement"));
        break;
    case INVENTORY_ISSUED:
        /* The newest first, by which those that are wanted come first. */
        add_query(inventory, "x:Certificate/query",
                  json_pack("{s:I, s:i, s:b}", "position", position, "limit", (int)inventory->page,
                            "calculateTotal", 1));
        add_get(inventory, "x:Certificate/get", "x:Certificate/query",
                json_pack("[s]", "notValidBefore"));
        break;
    case INVENTORY_DONE:
        break;
    }
    if (!own_request_finish(&inventory->request))
        inventory_end(inventory, "out of memory");
}

/* Reading. */

static bool append_task(struct inventory *inventory, const struct renewal_task *task,
                        const char *domain_id)
{
    struct inventory_task *tasks =
        array_grow(inventory->tasks, inventory->task_count, sizeof *tasks);
    if (!tasks)
        return false;
    inventory->tasks = tasks;

    struct inventory_task *added = &inventory->tasks[inventory->task_count];
    *added = (struct inventory_task){.task = *task};
    strncpy(added->id, task->id, OBJECT_ID_SIZE - 1);
    strncpy(added->domain_id, domain_id, OBJECT_ID_SIZE - 1);
    added->not_due = task->state == TASK_FAILED && refusal_is_not_due(task->failure_reason);
    added->task.id = NULL;
    added->task.failure_reason = NULL;
    if (task->failure_reason) {
        added->task.failure_reason = strndup(task->failure_reason, REASON_MAX);
        if (!added->task.failure_reason)
            return false;
    }
    inventory->task_count++;
    return true;
}

static bool add_task(struct inventory *inventory, const json_t *object)
{
    struct renewal_task task;
    const char *domain_id;

    return !own_request_task(object, inventory->now, &task, &domain_id) ||
           append_task(inventory, &task, domain_id);
}

/* What is listed of one; `name` NULL where it was not. */
struct listed_domain {
    const char *id, *name;
    bool automatic;
    const char *provider_id; /* or NULL */
};

static bool add_domain(struct inventory *inventory, struct listed_domain listed)
{
    if (!listed.id || strlen(listed.id) >= OBJECT_ID_SIZE)
        return true;
    struct inventory_domain *domains =
        array_grow(inventory->domains, inventory->domain_count, sizeof *domains);
    if (!domains)
        return false;
    inventory->domains = domains;

    struct inventory_domain *added = &inventory->domains[inventory->domain_count];
    *added = (struct inventory_domain){.name = listed.name ? strdup(listed.name) : NULL,
                                       .automatic = listed.automatic};
    if (listed.name && !added->name)
        return false;
    strncpy(added->id, listed.id, OBJECT_ID_SIZE - 1);
    if (listed.provider_id)
        strncpy(added->provider_id, listed.provider_id, OBJECT_ID_SIZE - 1);
    inventory->manual_count += listed.name && !listed.automatic;
    inventory->domain_count++;
    return true;
}

/* One that was asked for. */
static bool add_listed_domain(struct inventory *inventory, struct listed_domain listed)
{
    bool wanted =
        !inventory->only || (listed.name && strcasecmp(listed.name, inventory->only) == 0);

    return !wanted || add_domain(inventory, listed);
}

static bool add_issue(struct inventory *inventory, const json_t *object)
{
    wall_time issued = own_request_time(object, "notValidBefore", WALL_TIME_NEVER);

    return wall_time_before(issued, inventory->issued_since) ||
           order_list_append(&inventory->issued, (struct order_time){.at = issued, .issued = true});
}

static bool add_object(struct inventory *inventory, const json_t *object)
{
    if (inventory->stage == INVENTORY_ISSUED)
        return add_issue(inventory, object);
    if (inventory->stage != INVENTORY_DOMAINS)
        return add_task(inventory, object);

    const json_t *management = json_object_get(object, "certificateManagement");
    const char *type = own_request_string(management, "@type");
    return add_listed_domain(
        inventory,
        (struct listed_domain){.id = own_request_string(object, "id"),
                               .name = own_request_string(object, "name"),
                               .automatic = type && strcmp(type, "Automatic") == 0,
                               .provider_id = own_request_string(management, "acmeProviderId")});
}

/*
 * Most tasks wait and say no more than when they are due, and of a domain little is wanted: no tree
 * is made of these. NULL where one is to be parsed, or memory runs out.
 */

static const char *take_task(struct inventory *inventory, const char *text, const char *end)
{
    struct task_text read;
    const char *behind = task_text_read(text, end, inventory->now, &read);

    if (!behind || !read.waits)
        return NULL;
    struct renewal_task task = renewal_task_waiting(read.id, read.due, inventory->now);
    return append_task(inventory, &task, read.domain_id) ? behind : NULL;
}

static const char *take_domain(struct inventory *inventory, const char *text, const char *end)
{
    struct text_slice id = {0}, name = {0}, management = {0}, type = {0}, provider = {0},
                      names = {0};
    const struct text_member of_management[] = {
        {"@type", &type, NULL, 0},
        {"acmeProviderId", &provider, NULL, 0},
        {"subjectAlternativeNames", &names, object_text_any, 0},
    };
    const struct text_member of_domain[] = {
        {"id", &id, NULL, 0},
        {"name", &name, NULL, 0},
        {"certificateManagement", &management, of_management, COUNT(of_management)},
    };
    char id_text[OBJECT_ID_SIZE], name_text[HOSTNAME_SIZE], provider_text[OBJECT_ID_SIZE] = "";
    const char *behind = object_text_read(text, end, of_domain, COUNT(of_domain));

    if (!behind || !object_text_copy(&id, id_text, sizeof id_text) ||
        !object_text_copy(&name, name_text, sizeof name_text) ||
        (provider.text && !object_text_copy(&provider, provider_text, sizeof provider_text)))
        return NULL;
    const struct listed_domain listed = {.id = id_text,
                                         .name = name_text,
                                         .automatic = object_text_is(&type, "Automatic"),
                                         .provider_id = provider_text};
    return add_listed_domain(inventory, listed) ? behind : NULL;
}

static const char *take_object(void *user, size_t lists, const char *text, const char *end)
{
    struct inventory *inventory = user;

    (void)lists;
    switch (inventory->stage) {
    case INVENTORY_TASKS:
        return take_task(inventory, text, end);
    case INVENTORY_DOMAINS:
        return take_domain(inventory, text, end);
    default:
        return NULL;
    }
}

/* When the last task of this page that is not Failed is due; NEVER where all are. */
static wall_time last_due(const struct inventory *inventory, size_t from)
{
    wall_time last = WALL_TIME_NEVER;

    for (size_t i = from; i < inventory->task_count; i++) {
        if (inventory->tasks[i].task.state != TASK_FAILED)
            last = wall_time_later(last, inventory->tasks[i].task.due);
    }
    return last;
}

/*
 * By due time, so that what comes into the list or goes from it does not shift what is still to be
 * read; by position only through those that are due at the same time.
 */
static void turn_page(struct inventory *inventory, size_t listed, size_t before)
{
    wall_time last = last_due(inventory, before);

    if (inventory->stage == INVENTORY_TASKS && wall_time_before(inventory->cursor, last)) {
        inventory->cursor = last;
        inventory->position = 0;
    } else {
        inventory->position += listed;
    }
}

/* By domain, then by id: a task that was read twice stands twice in a row. */
static int task_order(const void *a, const void *b)
{
    const struct inventory_task *x = a, *y = b;
    int order = strcmp(x->domain_id, y->domain_id);

    return order ? order : strcmp(x->id, y->id);
}

static int task_compare(const void *id, const void *task)
{
    return strcmp(id, ((const struct inventory_task *)task)->id);
}

static int inventory_domain_compare(const void *id, const void *domain)
{
    return strcmp(id, ((const struct inventory_domain *)domain)->id);
}

/* By id; of one that was entered twice, what tells more comes first. */
static int domain_order(const void *a, const void *b)
{
    const struct inventory_domain *x = a, *y = b;
    int order = strcmp(x->id, y->id);

    if (order == 0)
        order = y->automatic - x->automatic;
    return order ? order : (y->name != NULL) - (x->name != NULL);
}

static void forget_repeated(struct inventory *inventory)
{
    size_t kept = 0;

    for (size_t i = 0; i < inventory->task_count; i++) {
        if (kept > 0 && task_order(&inventory->tasks[kept - 1], &inventory->tasks[i]) == 0)
            free((char *)inventory->tasks[i].task.failure_reason);
        else
            inventory->tasks[kept++] = inventory->tasks[i];
    }
    inventory->task_count = kept;
    kept = 0;
    for (size_t i = 0; i < inventory->domain_count; i++) {
        if (kept > 0 && strcmp(inventory->domains[kept - 1].id, inventory->domains[i].id) == 0)
            free(inventory->domains[i].name);
        else
            inventory->domains[kept++] = inventory->domains[i];
    }
    inventory->domain_count = kept;
}

/* Tasks may be of domains that were not listed; those are entered as well. */
static bool enter_task_domains(struct inventory *inventory)
{
    for (size_t i = 0; i < inventory->task_count; i++) {
        if ((i == 0 ||
             strcmp(inventory->tasks[i - 1].domain_id, inventory->tasks[i].domain_id) != 0) &&
            !add_domain(inventory, (struct listed_domain){.id = inventory->tasks[i].domain_id}))
            return false;
    }
    return true;
}

static void inventory_settle(struct inventory *inventory)
{
    if (inventory->task_count > 0)
        qsort(inventory->tasks, inventory->task_count, sizeof *inventory->tasks, task_order);
    if (!enter_task_domains(inventory)) {
        inventory_end(inventory, "out of memory");
        return;
    }
    if (inventory->domain_count > 0)
        qsort(inventory->domains, inventory->domain_count, sizeof *inventory->domains,
              domain_order);
    forget_repeated(inventory);
    if (inventory->issued.count > 0)
        qsort(inventory->issued.times, inventory->issued.count, sizeof *inventory->issued.times,
              order_list_compare);

    size_t next = 0;
    for (size_t i = 0; i < inventory->domain_count; i++) {
        struct inventory_domain *domain = &inventory->domains[i];
        domain->first = next;
        while (next < inventory->task_count &&
               strcmp(inventory->tasks[next].domain_id, domain->id) == 0)
            next++;
        domain->count = next - domain->first;
    }
    for (size_t i = 0; i < inventory->task_count; i++)
        inventory->tasks[i].task.id = inventory->tasks[i].id;
    inventory_end(inventory, NULL);
}

static void next_stage(struct inventory *inventory)
{
    inventory->position = 0;
    inventory->cursor = WALL_TIME_NEVER;
    inventory->stage++;
    if (inventory->stage == INVENTORY_ISSUED &&
        wall_time_equal(inventory->issued_since, WALL_TIME_FOREVER))
        inventory->stage++;
    if (inventory->stage == INVENTORY_DONE)
        inventory_settle(inventory);
    else
        send_page(inventory);
}

static const char *fault_of(const struct inventory *inventory)
{
    const char *query = own_request_error(&inventory->request, "q");
    const char *get = own_request_error(&inventory->request, "g");

    if ((query && strcmp(query, "forbidden") == 0) || (get && strcmp(get, "forbidden") == 0))
        return "the credential may not read tasks and domains";
    return "the server refused to list tasks and domains";
}

/* The same page with fewer objects; false where there can be no fewer. */
static bool ask_for_fewer(struct inventory *inventory)
{
    size_t objects = memory_note_too_many(inventory->memory, inventory->page);

    if (objects == 0)
        return false;
    inventory->page = own_request_a_call(objects);
    send_page(inventory);
    return true;
}

/* Those of an answer that is to be read otherwise, or again. */
static void forget_taken(struct inventory *inventory, size_t tasks, size_t domains, size_t manual)
{
    while (inventory->domain_count > domains)
        free(inventory->domains[--inventory->domain_count].name);
    inventory->task_count = tasks;
    inventory->manual_count = manual;
}

static void feed_page(struct inventory *inventory, size_t before)
{
    const json_t *query = own_request_answer(&inventory->request, "q");
    const json_t *ids = json_object_get(query, "ids");
    const json_t *list = json_object_get(own_request_answer(&inventory->request, "g"), "list");
    size_t listed = json_array_size(ids), i;
    size_t issued = inventory->issued.count;
    json_t *object;

    if (own_request_is_too_large(&inventory->request) && ask_for_fewer(inventory))
        return;
    if (inventory->stage == INVENTORY_ISSUED && !json_is_array(list)) {
        next_stage(inventory); /* who may not see certificates does without them */
        return;
    }
    if (!json_is_array(ids) || !json_is_array(list)) {
        inventory_end(inventory, fault_of(inventory));
        return;
    }
    json_array_foreach(list, i, object)
    {
        if (!add_object(inventory, object)) {
            inventory_end(inventory, "out of memory");
            return;
        }
    }
    inventory->listed += listed;
    turn_page(inventory, listed, before);
    bool past = inventory->stage == INVENTORY_ISSUED && inventory->issued.count == issued;
    if (past || !own_request_goes_on(query, inventory->page))
        next_stage(inventory);
    else if (++inventory->pages >= PAGES_MAX)
        inventory_end(inventory, "the server's list has no end");
    else if (inventory->pages >= PAGES_OF_FEW + inventory->listed / FEW)
        inventory_end(inventory, "the server lists too few at a time");
    else
        send_page(inventory);
}

void inventory_begin(struct inventory *inventory, struct task_memory *memory, wall_time now)
{
    *inventory = (struct inventory){.now = now,
                                    .cursor = WALL_TIME_NEVER,
                                    .issued_since = WALL_TIME_FOREVER,
                                    .page = own_request_a_call(memory_objects_a_call(memory)),
                                    .memory = memory};
    send_page(inventory);
}

const char *inventory_body(const struct inventory *inventory, size_t *len)
{
    *len = inventory->request.len;
    return inventory->stage == INVENTORY_DONE ? NULL : inventory->request.body;
}

void inventory_feed(struct inventory *inventory, unsigned status, const char *body, size_t len)
{
    size_t tasks = inventory->task_count, domains = inventory->domain_count;
    size_t manual = inventory->manual_count, left_len = len;
    char *left =
        status == 200 ? json_list_pick(body, len, take_object, inventory, &left_len) : NULL;

    if (!left)
        forget_taken(inventory, tasks, domains, manual);
    const char *error = own_request_read(&inventory->request, status, left ? left : body, left_len);
    free(left);
    if (error)
        inventory_end(inventory, error);
    else
        feed_page(inventory, tasks);
}

const struct inventory_domain *inventory_find(const struct inventory *inventory, const char *id)
{
    return inventory->domain_count > 0
               ? bsearch(id, inventory->domains, inventory->domain_count,
                         sizeof *inventory->domains, inventory_domain_compare)
               : NULL;
}

const struct inventory_task *inventory_task_of(const struct inventory *inventory,
                                               const struct inventory_domain *domain,
                                               const char *id)
{
    return domain->count > 0 ? bsearch(id, inventory->tasks + domain->first, domain->count,
                                       sizeof *inventory->tasks, task_compare)
                             : NULL;
}

wall_time inventory_queued(const struct inventory *inventory, const struct inventory_domain *domain)
{
    wall_time earliest = WALL_TIME_NEVER;

    for (size_t i = 0; i < domain->count; i++) {
        const struct renewal_task *task = &inventory->tasks[domain->first + i].task;
        if (task->state == TASK_FAILED)
            continue;
        if (wall_time_equal(earliest, WALL_TIME_NEVER) || wall_time_before(task->due, earliest))
            earliest = task->due;
    }
    return earliest;
}

void inventory_note_tasks(const struct inventory *inventory, struct task_memory *memory,
                          uint64_t moment)
{
    for (size_t d = 0; d < inventory->domain_count; d++) {
        const struct inventory_domain *domain = &inventory->domains[d];
        const struct inventory_task *tasks = inventory->tasks + domain->first;
        const char *live[MEMORY_TASKS];
        size_t count = 0;

        for (size_t i = 0; domain->automatic && i < domain->count && count < MEMORY_TASKS; i++) {
            if (tasks[i].task.state != TASK_FAILED)
                live[count++] = tasks[i].id;
        }
        if (count > 0)
            memory_note_listed(memory, domain->id, live, count);
        if (count > 0 && domain->provider_id[0])
            memory_note_queued(memory, domain->id, domain->provider_id,
                               inventory_queued(inventory, domain), inventory->now, moment);
    }
}

void inventory_clear(struct inventory *inventory)
{
    for (size_t i = 0; i < inventory->task_count; i++)
        free((char *)inventory->tasks[i].task.failure_reason);
    for (size_t i = 0; i < inventory->domain_count; i++)
        free(inventory->domains[i].name);
    own_request_clear(&inventory->request);
    free(inventory->issued.times);
    free(inventory->tasks);
    free(inventory->domains);
    *inventory = (struct inventory){0};
}

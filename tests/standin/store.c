#include "tests/standin/store.h"
#include "tests/standin/bans.h"
#include "tests/standin/ca.h"
#include "tests/standin/clock.h"
#include "tests/standin/defaults.h"
#include "tests/standin/ids.h"
#include "tests/standin/patch.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct store store = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .changed = PTHREAD_COND_INITIALIZER,
};

/* The ids of the certificates in which a word occurs, ascending. */
struct posting {
    uint64_t *ids;
    size_t count, room;
};

static void *must(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

char *text_copy(const char *text)
{
    return text ? must(strdup(text)) : NULL;
}

void status_clear(struct status *status)
{
    free(status->reason);
    status->reason = NULL;
}

/* Tasks */

static const char *const type_names[TASK_TYPES] = {"AcmeRenewal", "DnsManagement",
                                                   "DkimManagement"};

const char *task_type_name(enum task_type type)
{
    return type_names[type];
}

bool task_type_parse(const char *name, enum task_type *type)
{
    for (int i = 0; i < TASK_TYPES; i++) {
        if (strcmp(name, type_names[i]) == 0) {
            *type = (enum task_type)i;
            return true;
        }
    }
    return false;
}

uint64_t task_due_key(const struct task *task)
{
    if (task->status.kind == STATUS_FAILED)
        return DUE_NEVER;
    return (uint64_t)task->status.due;
}

struct task *store_task(uint64_t id)
{
    return map_get(&store.tasks, &id, sizeof id);
}

struct task *store_task_add(const struct task *task)
{
    struct task *stored = must(malloc(sizeof *stored));
    *stored = *task;
    map_put(&store.tasks, &stored->id, sizeof stored->id, stored);
    ordered_insert(&store.tasks_by_due, task_due_key(stored), stored->id, stored);
    store.task_counts[stored->type]++;
    store.counters.tasks_created++;
    pthread_cond_broadcast(&store.changed);
    return stored;
}

struct task *store_task_schedule(enum task_type type, uint64_t domain_id, int64_t due)
{
    return store_task_add(&(struct task){
        .id = id_next(),
        .type = type,
        .domain_id = domain_id,
        .status = {.kind = STATUS_PENDING, .created_at = clock_now(), .due = due},
    });
}

void store_task_set_status(struct task *task, const struct status *status)
{
    ordered_remove(&store.tasks_by_due, task_due_key(task), task->id);
    if (task->status.reason != status->reason)
        status_clear(&task->status);
    task->status = *status;
    ordered_insert(&store.tasks_by_due, task_due_key(task), task->id, task);
    pthread_cond_broadcast(&store.changed);
}

static void task_free(void *value)
{
    struct task *task = value;
    status_clear(&task->status);
    json_decref(task->update_records);
    free(task);
}

void store_task_remove(struct task *task)
{
    ordered_remove(&store.tasks_by_due, task_due_key(task), task->id);
    map_remove(&store.tasks, &task->id, sizeof task->id);
    store.task_counts[task->type]--;
    task_free(task);
}

/* Domains and providers */

struct domain *store_domain(uint64_t id)
{
    return map_get(&store.domains, &id, sizeof id);
}

struct domain *store_domain_by_name(const char *name)
{
    return map_get(&store.domains_by_name, name, strlen(name));
}

struct domain *store_domain_add(const struct domain *domain)
{
    struct domain *stored = must(malloc(sizeof *stored));
    *stored = *domain;
    if (!stored->id)
        stored->id = store.next_registry_id;
    if (stored->id >= store.next_registry_id && stored->id < UINT64_MAX >> 1)
        store.next_registry_id = stored->id + 1;
    map_put(&store.domains, &stored->id, sizeof stored->id, stored);
    map_put(&store.domains_by_name, stored->name, strlen(stored->name), stored);
    ordered_insert(&store.domains_by_id, 0, stored->id, stored);
    return stored;
}

static void domain_free(void *value)
{
    struct domain *domain = value;
    free(domain->name);
    json_decref(domain->names);
    json_decref(domain->others);
    free(domain);
}

void store_domain_remove(struct domain *domain)
{
    ordered_remove(&store.domains_by_id, 0, domain->id);
    map_remove(&store.domains_by_name, domain->name, strlen(domain->name));
    map_remove(&store.domains, &domain->id, sizeof domain->id);
    domain_free(domain);
}

struct provider *store_provider(uint64_t id)
{
    return map_get(&store.providers, &id, sizeof id);
}

static void provider_free(void *value)
{
    struct provider *provider = value;
    free(provider->challenge);
    free(provider->renew_before);
    json_decref(provider->others);
    free(provider);
}

/* Certificates */

struct cert *store_cert(uint64_t id)
{
    return map_get(&store.certs, &id, sizeof id);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct san_set *store_set(const char *const *names, size_t count)
{
    const char **sorted = must(malloc((count + 1) * sizeof *sorted));
    size_t len = 1;
    for (size_t i = 0; i < count; i++) {
        sorted[i] = names[i];
        len += strlen(names[i]) + 1;
    }
    if (count)
        qsort(sorted, count, sizeof *sorted, compare_names);
    char *key = must(calloc(1, len));
    char *end = key;
    for (size_t i = 0; i < count; i++)
        end += sprintf(end, "%s%s", i ? "," : "", sorted[i]);

    struct san_set *set = map_get(&store.sets, key, strlen(key));
    if (set) {
        free(key);
    } else {
        set = must(calloc(1, sizeof *set));
        set->key = key;
        set->names = must(malloc((count + 1) * sizeof *set->names));
        set->name_count = count;
        for (size_t i = 0; i < count; i++)
            set->names[i] = text_copy(sorted[i]);
        map_put(&store.sets, key, strlen(key), set);
    }
    free(sorted);
    return set;
}

static void set_free(void *value)
{
    struct san_set *set = value;
    for (size_t i = 0; i < set->name_count; i++)
        free(set->names[i]);
    free(set->names);
    free(set->certs);
    free(set->key);
    free(set);
}

/* Calls visit for every word of a text as the registry splits it: letters and digits, more than one
 * of them, in lower case. */
static void each_word(const char *text, void (*visit)(const char *word, size_t len, void *with),
                      void *with)
{
    char word[256];
    size_t len = 0;
    for (const char *p = text;; p++) {
        if (*p && (isalnum((unsigned char)*p) || (unsigned char)*p >= 0x80)) {
            if (len < sizeof word)
                word[len++] = (char)tolower((unsigned char)*p);
            continue;
        }
        if (len > 1)
            visit(word, len, with);
        len = 0;
        if (!*p)
            break;
    }
}

static size_t posting_place(const struct posting *posting, uint64_t id)
{
    size_t low = 0, high = posting->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (posting->ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool posting_has(const struct posting *posting, uint64_t id)
{
    size_t place = posting_place(posting, id);
    return place < posting->count && posting->ids[place] == id;
}

static void index_word(const char *word, size_t len, void *with)
{
    const struct cert *cert = with;
    struct posting *posting = map_get(&store.words, word, len);
    if (!posting) {
        posting = must(calloc(1, sizeof *posting));
        map_put(&store.words, word, len, posting);
    }
    size_t place = posting_place(posting, cert->id);
    if (place < posting->count && posting->ids[place] == cert->id)
        return;
    if (posting->count == posting->room) {
        posting->room = posting->room ? posting->room * 2 : 2;
        posting->ids = must(realloc(posting->ids, posting->room * sizeof *posting->ids));
    }
    memmove(&posting->ids[place + 1], &posting->ids[place],
            (posting->count - place) * sizeof *posting->ids);
    posting->ids[place] = cert->id;
    posting->count++;
}

static void unindex_word(const char *word, size_t len, void *with)
{
    const struct cert *cert = with;
    struct posting *posting = map_get(&store.words, word, len);
    if (!posting || !posting_has(posting, cert->id))
        return;
    size_t place = posting_place(posting, cert->id);
    memmove(&posting->ids[place], &posting->ids[place + 1],
            (posting->count - place - 1) * sizeof *posting->ids);
    posting->count--;
}

static void posting_free(void *value)
{
    struct posting *posting = value;
    free(posting->ids);
    free(posting);
}

static void cert_free(void *value)
{
    struct cert *cert = value;
    free(cert->issuer);
    free(cert->pem);
    free(cert);
}

void store_cert_remove(struct cert *cert)
{
    struct san_set *set = cert->set;
    for (size_t i = 0; i < set->name_count; i++)
        each_word(set->names[i], unindex_word, cert);
    size_t at = 0;
    while (set->certs[at] != cert)
        at++;
    memmove(&set->certs[at], &set->certs[at + 1],
            (set->cert_count - at - 1) * sizeof(struct cert *));
    set->cert_count--;
    ordered_remove(&store.certs_by_id, 0, cert->id);
    map_remove(&store.certs, &cert->id, sizeof cert->id);
    cert_free(cert);
}

struct cert *store_cert_add(uint64_t id, const char *const *names, size_t count, int64_t not_before,
                            int64_t not_after, const char *issuer)
{
    struct san_set *set = store_set(names, count);
    struct cert *cert = must(malloc(sizeof *cert));
    *cert = (struct cert){
        .id = id ? id : id_next(),
        .not_before = not_before,
        .not_after = not_after,
        .issuer = text_copy(issuer),
        .set = set,
    };
    if (set->cert_count == set->cert_room) {
        set->cert_room = set->cert_room ? set->cert_room * 2 : 2;
        set->certs = must(realloc(set->certs, set->cert_room * sizeof(struct cert *)));
    }
    size_t at = set->cert_count++;
    for (; at && set->certs[at - 1]->id > cert->id; at--)
        set->certs[at] = set->certs[at - 1];
    set->certs[at] = cert;
    map_put(&store.certs, &cert->id, sizeof cert->id, cert);
    ordered_insert(&store.certs_by_id, 0, cert->id, cert);
    for (size_t i = 0; i < set->name_count; i++)
        each_word(set->names[i], index_word, cert);
    /* A renewal makes the server read its certificates anew, and the expired ones go. */
    for (size_t i = set->cert_count; i-- > 0;)
        if (!id && set->certs[i] != cert && set->certs[i]->not_after <= clock_now())
            store_cert_remove(set->certs[i]);
    return cert;
}

struct search {
    uint64_t *ids;
    size_t count;
};

/* The server's own way: words at the front of the text that occur nowhere do not narrow. */
static void narrow(const char *word, size_t len, void *with)
{
    struct search *search = with;
    const struct posting *posting = map_get(&store.words, word, len);
    if (!search->count) {
        if (!posting || !posting->count)
            return;
        search->ids = must(realloc(search->ids, posting->count * sizeof *search->ids));
        memcpy(search->ids, posting->ids, posting->count * sizeof *search->ids);
        search->count = posting->count;
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; posting && i < search->count; i++)
        if (posting_has(posting, search->ids[i]))
            search->ids[kept++] = search->ids[i];
    search->count = kept;
    if (!kept)
        search->count = 0;
}

struct search_stop {
    struct search search;
    bool done;
};

/* Once words that do occur have nothing in common the search ends, whatever follows. */
static void narrow_until_empty(const char *word, size_t len, void *with)
{
    struct search_stop *stop = with;
    if (stop->done)
        return;
    bool had = stop->search.count > 0;
    narrow(word, len, &stop->search);
    stop->done = had && !stop->search.count;
}

uint64_t *store_cert_search(const char *text, size_t *count)
{
    struct search_stop stop = {0};
    each_word(text, narrow_until_empty, &stop);
    *count = stop.search.count;
    return stop.search.ids;
}

/* Users */

struct user *store_user(const char *name, const char *password)
{
    for (size_t i = 0; i < store.user_count; i++)
        if (strcmp(store.users[i].name, name) == 0)
            return strcmp(store.users[i].password, password) == 0 ? &store.users[i] : NULL;
    return NULL;
}

struct user *store_user_by_token(const char *token)
{
    for (size_t i = 0; i < store.user_count; i++)
        if (store.users[i].token && strcmp(store.users[i].token, token) == 0)
            return &store.users[i];
    return NULL;
}

bool user_may(const struct user *user, const char *permission)
{
    if (user->all)
        return true;
    size_t i;
    json_t *name;
    json_array_foreach(user->permissions, i, name)
    {
        if (strcmp(json_string_value(name), permission) == 0)
            return true;
    }
    return false;
}

static void users_free(void)
{
    for (size_t i = 0; i < store.user_count; i++) {
        struct user *user = &store.users[i];
        free(user->name);
        free(user->password);
        free(user->token);
        free(user->account_text);
        json_decref(user->permissions);
    }
    free(store.users);
    store.users = NULL;
    store.user_count = 0;
}

/* The whole */

static void empty(void)
{
    ordered_clear(&store.tasks_by_due);
    map_clear(&store.tasks, task_free);
    memset(store.task_counts, 0, sizeof store.task_counts);
    ordered_clear(&store.domains_by_id);
    map_clear(&store.domains_by_name, NULL);
    map_clear(&store.domains, domain_free);
    ordered_clear(&store.providers_by_id);
    map_clear(&store.providers, provider_free);
    ordered_clear(&store.certs_by_id);
    map_clear(&store.certs, cert_free);
    map_clear(&store.sets, set_free);
    map_clear(&store.words, posting_free);
    users_free();
    json_decref(store.settings);
    json_decref(store.http);
    store.settings = store.http = NULL;
    free(store.public_url);
    free(store.hostname);
    store.public_url = store.hostname = NULL;
    ca_reset();
    store.next_registry_id = 1;
    store.max_concurrent = 0;
    store.query_max = 5000;
    store.objects_max = 500;
}

void store_init(enum version version)
{
    store.version = version;
    store.counters.methods = json_object();
    const char *error = NULL;
    json_t *state = json_object();
    if (!store_load(state, &error))
        abort();
    json_decref(state);
}

void store_free(void)
{
    empty();
    bans_free();
    json_decref(store.counters.methods);
    store.counters.methods = NULL;
}

static bool load_id(const json_t *object, const char *key, uint64_t *id)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text && id_parse(text, id);
}

static bool load_time(const json_t *object, const char *key, int64_t *when)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text && clock_parse(text, when);
}

static bool load_users(const json_t *users, const char **error)
{
    size_t count = json_array_size(users);
    store.users = must(calloc(count + 1, sizeof *store.users));
    size_t i;
    json_t *from;
    json_array_foreach(users, i, from)
    {
        struct user *user = &store.users[i];
        const char *name = json_string_value(json_object_get(from, "name"));
        json_t *permissions = json_object_get(from, "permissions");
        const char *account = json_string_value(json_object_get(from, "accountId"));
        if (!name) {
            *error = "a user has no name";
            return false;
        }
        char text[ID_TEXT];
        id_format(i + 2, text);
        user->name = text_copy(name);
        const char *password = json_string_value(json_object_get(from, "password"));
        user->password = text_copy(password ? password : "secret");
        user->token = text_copy(json_string_value(json_object_get(from, "token")));
        user->account_text = text_copy(account ? account : text);
        user->all = !json_is_array(permissions);
        user->permissions = user->all ? json_array() : json_deep_copy(permissions);
        store.user_count++;
        if (!id_parse(user->account_text, &user->account_id)) {
            *error = "a user's accountId is no id";
            return false;
        }
    }
    return true;
}

static bool load_domain(const json_t *from, const char **error)
{
    struct domain domain = {.created_at = clock_now(), .names = json_object()};
    const char *name = json_string_value(json_object_get(from, "name"));
    json_t *management = json_object_get(from, "certificateManagement");
    const char *type = json_string_value(json_object_get(management, "@type"));
    json_t *names = json_object_get(management, "subjectAlternativeNames");
    if (!name || (json_object_get(from, "id") && !load_id(from, "id", &domain.id))) {
        json_decref(domain.names);
        *error = "a domain has no name or no good id";
        return false;
    }
    domain.name = text_copy(name);
    domain.automatic = type && strcmp(type, "Automatic") == 0;
    if (!load_id(management, "acmeProviderId", &domain.provider_id) &&
        store.providers_by_id.head[0])
        domain.provider_id = store.providers_by_id.head[0]->id;
    if (json_is_object(names))
        json_object_update(domain.names, names);
    (void)load_time(from, "createdAt", &domain.created_at);
    domain.others = json_copy((json_t *)from);
    for (const char *const *key =
             (const char *const[]){"id", "name", "certificateManagement", "createdAt", NULL};
         *key; key++)
        json_object_del(domain.others, *key);
    store_domain_add(&domain);
    return true;
}

static bool load_provider(const json_t *from, const char **error)
{
    struct provider *provider = must(calloc(1, sizeof *provider));
    if (!load_id(from, "id", &provider->id)) {
        free(provider);
        *error = "a provider has no id";
        return false;
    }
    const char *challenge = json_string_value(json_object_get(from, "challengeType"));
    const char *renew_before = json_string_value(json_object_get(from, "renewBefore"));
    const json_t *retries = json_object_get(from, "maxRetries");
    provider->challenge = text_copy(challenge ? challenge : "Http01");
    provider->renew_before = text_copy(renew_before ? renew_before : "R23");
    provider->max_retries = json_is_integer(retries) ? (uint64_t)json_integer_value(retries) : 10;
    provider->others = json_copy((json_t *)from);
    for (const char *const *key =
             (const char *const[]){"id", "challengeType", "renewBefore", "maxRetries", NULL};
         *key; key++)
        json_object_del(provider->others, *key);
    map_put(&store.providers, &provider->id, sizeof provider->id, provider);
    ordered_insert(&store.providers_by_id, 0, provider->id, provider);
    return true;
}

static bool load_cert(const json_t *from, const char **error)
{
    const json_t *names = json_object_get(from, "subjectAlternativeNames");
    const char *list[128];
    size_t count = 0;
    const char *key;
    json_t *value;
    size_t i;
    json_array_foreach(names, i, value)
    {
        if (count < 128 && json_is_string(value))
            list[count++] = json_string_value(value);
    }
    json_object_foreach((json_t *)names, key, value)
    {
        if (count < 128)
            list[count++] = key;
    }
    uint64_t id = 0;
    int64_t not_before, not_after;
    const char *issuer = json_string_value(json_object_get(from, "issuer"));
    if (!count || !load_time(from, "notValidBefore", &not_before) ||
        !load_time(from, "notValidAfter", &not_after) ||
        (json_object_get(from, "id") && !load_id(from, "id", &id))) {
        *error = "a certificate lacks names, times or a good id";
        return false;
    }
    if (id)
        id_seen(id);
    else
        id = id_next();
    struct cert *cert =
        store_cert_add(id, list, count, not_before, not_after, issuer ? issuer : DEFAULT_ISSUER);
    const char *pem =
        json_string_value(json_object_get(json_object_get(from, "certificate"), "value"));
    cert->pem = pem ? text_copy(pem) : NULL;
    return true;
}

static bool load_task(const json_t *from, const char **error)
{
    struct task task = {.status = {.created_at = clock_now(), .due = clock_now()}};
    const char *type = json_string_value(json_object_get(from, "@type"));
    json_t *status = json_object_get(from, "status");
    if ((type && !task_type_parse(type, &task.type)) ||
        !load_id(from, "domainId", &task.domain_id) ||
        (json_object_get(from, "id") && !load_id(from, "id", &task.id))) {
        *error = "a task has no known @type, no domainId or no good id";
        return false;
    }
    if (task.id)
        id_seen(task.id);
    else
        task.id = id_next();
    struct patch_error wrong = {0};
    if (status && !patch_status(&task.status, status, "status", true, &wrong)) {
        status_clear(&task.status);
        *error = "a task's status is wrong";
        return false;
    }
    (void)load_time(from, "lockedUntil", &task.dead_lock_until);
    task.poison = json_is_true(json_object_get(from, "unreadable"));
    task.renew_on_success = json_is_true(json_object_get(from, "onSuccessRenewCertificate"));
    task.update_records = json_deep_copy(json_object_get(from, "updateRecords"));
    store_task_add(&task);
    return true;
}

/* Many domains alike, each with a certificate and a future task, made here rather than sent. */
static bool load_generated(const json_t *from, const char **error)
{
    json_int_t count = json_integer_value(json_object_get(from, "domains"));
    const char *format = json_string_value(json_object_get(from, "suffix"));
    const json_t *age = json_object_get(from, "certificate_age_days");
    const json_t *due = json_object_get(from, "task_due_days");
    const json_t *names = json_object_get(from, "subjectAlternativeNames");
    if (count < 0) {
        *error = "generate.domains is negative";
        return false;
    }
    int64_t now = clock_now();
    for (json_int_t i = 0; i < count; i++) {
        char name[256];
        snprintf(name, sizeof name, "d%lld.%s", (long long)i, format ? format : "test");
        struct domain made = {.name = text_copy(name), .automatic = true, .created_at = now};
        made.names = json_is_object(names) ? json_deep_copy(names) : json_pack("{s:b}", "mail", 1);
        made.provider_id = store.providers_by_id.head[0] ? store.providers_by_id.head[0]->id : 0;
        made.others = json_object();
        struct domain *domain = store_domain_add(&made);
        if (json_is_number(age)) {
            char *sans[CA_MAX_NAMES];
            size_t san_count = ca_names(domain, sans);
            int64_t from_time = now - (int64_t)(json_number_value(age) * 86400);
            store_cert_add(id_next(), (const char *const *)sans, san_count, from_time,
                           from_time + store.ca.lifetime_seconds - 1, DEFAULT_ISSUER);
            while (san_count)
                free(sans[--san_count]);
        }
        if (json_is_number(due))
            store_task_schedule(TASK_ACME_RENEWAL, domain->id,
                                now + (int64_t)(json_number_value(due) * 86400));
    }
    return true;
}

static bool load_each(const json_t *list, bool (*load)(const json_t *, const char **),
                      const char **error)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        if (!load(item, error))
            return false;
    }
    return true;
}

bool store_add(const json_t *more, const char **error)
{
    return load_each(json_object_get(more, "domains"), load_domain, error) &&
           load_each(json_object_get(more, "certificates"), load_cert, error) &&
           load_each(json_object_get(more, "tasks"), load_task, error);
}

bool store_load(const json_t *state, const char **error)
{
    empty();
    json_t *whole = defaults_state(store.version);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)state, key, value)
    {
        if (strcmp(key, "settings") == 0 || strcmp(key, "http") == 0)
            json_object_update(json_object_get(whole, key), value);
        else
            json_object_set(whole, key, value);
    }
    const char *freeze_at = json_string_value(json_object_get(whole, "now"));
    int64_t now;
    if (freeze_at && clock_parse(freeze_at, &now))
        clock_set(now);
    if (json_is_boolean(json_object_get(whole, "frozen")))
        clock_freeze(json_is_true(json_object_get(whole, "frozen")));
    store.public_url = text_copy(json_string_value(json_object_get(whole, "public_url")));
    store.hostname = text_copy(json_string_value(json_object_get(whole, "hostname")));
    json_t *concurrent = json_object_get(whole, "max_concurrent_requests");
    store.max_concurrent = (unsigned)json_integer_value(concurrent);
    bans_reset(json_is_true(json_object_get(whole, "bans")));
    json_t *query_max = json_object_get(whole, "query_max_results");
    if (json_is_integer(query_max))
        store.query_max = (unsigned)json_integer_value(query_max);
    json_t *objects_max = json_object_get(whole, "max_objects");
    if (json_is_integer(objects_max))
        store.objects_max = (unsigned)json_integer_value(objects_max);
    store.settings = json_incref(json_object_get(whole, "settings"));
    store.http = json_incref(json_object_get(whole, "http"));
    ca_reset();
    bool good = ca_configure(json_object_get(whole, "ca"), error) &&
                load_users(json_object_get(whole, "users"), error) &&
                load_each(json_object_get(whole, "providers"), load_provider, error) &&
                store_add(whole, error) &&
                load_generated(json_object_get(whole, "generate"), error);
    if (good)
        ca_open_books(json_object_get(json_object_get(whole, "ca"), "orders"));
    json_t *runner = json_object_get(whole, "runner");
    store.runner.enabled = json_is_true(json_object_get(runner, "enabled"));
    store.runner.order_seconds = json_number_value(json_object_get(runner, "order_seconds"));
    store.runner.gap_seconds = json_number_value(json_object_get(runner, "gap_seconds"));
    json_decref(whole);
    pthread_cond_broadcast(&store.changed);
    return good;
}

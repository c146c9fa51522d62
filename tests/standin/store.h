/*
 * Everything the stand-in remembers. One mutex guards all of it: who calls a store_ function holds
 * store.lock, and pointers into the store are good for as long as it is held.
 */
#ifndef STANDIN_STORE_H
#define STANDIN_STORE_H

#include "tests/standin/map.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum version { VERSION_0_16_5, VERSION_0_16_18 };

enum task_type { TASK_ACME_RENEWAL, TASK_DNS_MANAGEMENT, TASK_DKIM_MANAGEMENT, TASK_TYPES };
enum task_status { STATUS_PENDING, STATUS_RETRY, STATUS_FAILED };

/* What a Failed task sorts by: it has no due time. */
#define DUE_NEVER UINT64_MAX

struct status {
    enum task_status kind;
    int64_t created_at;
    int64_t due;       /* Pending, Retry */
    int64_t failed_at; /* Failed */
    uint64_t attempt;  /* Retry: attemptNumber; Failed: failedAttemptNumber */
    char *reason;      /* Retry, Failed; owned */
};

struct task {
    uint64_t id;
    uint64_t domain_id;
    enum task_type type;
    struct status status;
    bool locked; /* by the dispatcher: it runs, or will as soon as those before it are done */
    bool running;
    int64_t dead_lock_until; /* the lock of a server that was killed ends then; 0: there is none */
    bool poison;             /* made to be due at the epoch: nobody can read it */
    bool renew_on_success;   /* DnsManagement */
    json_t *update_records;  /* DnsManagement */
};

struct domain {
    uint64_t id;
    char *name;
    bool automatic;
    uint64_t provider_id;
    json_t *names; /* subjectAlternativeNames: an object name -> true */
    int64_t created_at;
    json_t *others; /* the properties that nothing here depends on, as they were given */
};

struct provider {
    uint64_t id;
    char *challenge; /* Http01, TlsAlpn01, Dns01, DnsPersist01 */
    char *renew_before;
    uint64_t max_retries;
    json_t *others;
};

struct cert {
    uint64_t id;
    int64_t not_before, not_after;
    char *issuer;
    char *pem; /* NULL: something that looks like one */
    struct san_set *set;
};

/* All certificates with the same names, and the CA's book about that set. */
struct san_set {
    char **names; /* sorted */
    size_t name_count;
    struct cert **certs; /* by id: the oldest first */
    size_t cert_count, cert_room;
    int64_t next_free; /* the token bucket: when it would be full again */
    uint64_t orders;   /* placed since the counters were reset */
    char *key;         /* the names joined by commas */
};

struct user {
    char *name, *password, *token, *account_text;
    uint64_t account_id;
    bool all;            /* every permission */
    json_t *permissions; /* array of names */
    unsigned in_flight;
};

struct ca {
    enum { RETRY_AFTER_SECONDS, RETRY_AFTER_DATE, RETRY_AFTER_ABSENT } retry_after;
    bool limited;
    int64_t burst, window; /* certificates, seconds */
    bool refuse;           /* every order is answered 429 */
    int64_t refuse_seconds;
    int64_t lifetime_seconds;
    char *common_name;        /* of each certificate, listed among its names; or NULL */
    int64_t backdate_seconds; /* how far before its issue a certificate begins */
    bool count_stored;        /* certificates that PUT /state brings have used up tokens */
    char *fail;               /* validation fails with these words */
    char *invalid;            /* orders become invalid with these words */
    char *discard;            /* certificates are thrown away with these words */
};

struct runner_settings {
    bool enabled;
    double order_seconds; /* from the order to the certificate */
    double gap_seconds;   /* from the certificate to the end of the task */
};

struct counters {
    uint64_t http_requests, orders, certificates, refusals, tasks_created, creates_answered;
    json_t *methods; /* requests by JMAP method */
};

struct store {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* the runner waits for it */
    enum version version;
    atomic_bool stopping;

    struct map tasks; /* by id */
    struct ordered tasks_by_due;
    size_t task_counts[TASK_TYPES];
    struct map domains, domains_by_name;
    struct ordered domains_by_id;
    struct map providers;
    struct ordered providers_by_id;
    struct map certs;
    struct ordered certs_by_id;
    struct map sets;  /* by joined names */
    struct map words; /* word -> posting list of certificate ids */

    struct user *users;
    size_t user_count;
    json_t *settings; /* SystemSettings, whole */
    json_t *http;     /* Http, whole */
    char *public_url;
    char *hostname;
    unsigned max_concurrent; /* requests in flight for a user; 0: any number */
    unsigned query_max;      /* ids that a query lists at most */
    unsigned objects_max;    /* objects that a get gives, or a set changes, at most */
    uint64_t next_registry_id;

    struct ca ca;
    struct runner_settings runner;
    struct counters counters;
};

extern struct store store;

void store_init(enum version version);
void store_free(void);

/* The whole state, as PUT /state takes it (format: control.h). On failure what was read so far is
 * there and *error says what was wrong (a static text). */
bool store_load(const json_t *state, const char **error);

/* The domains, certificates and tasks of such a document, to what is there. */
bool store_add(const json_t *more, const char **error);

struct task *store_task(uint64_t id);
/* Takes over everything inside *task. */
struct task *store_task_add(const struct task *task);
/* A Pending task of the given type, due then. */
struct task *store_task_schedule(enum task_type type, uint64_t domain_id, int64_t due);
/* Takes over status->reason. */
void store_task_set_status(struct task *task, const struct status *status);
void store_task_remove(struct task *task);
uint64_t task_due_key(const struct task *task);
const char *task_type_name(enum task_type type);
bool task_type_parse(const char *name, enum task_type *type);

struct domain *store_domain(uint64_t id);
struct domain *store_domain_by_name(const char *name);
/* Takes over everything inside *domain; id 0 asks for the next free one. */
struct domain *store_domain_add(const struct domain *domain);
void store_domain_remove(struct domain *domain);

struct provider *store_provider(uint64_t id);

struct cert *store_cert(uint64_t id);
/* names need not be sorted; nothing is taken over. id 0 asks for a new one. */
struct cert *store_cert_add(uint64_t id, const char *const *names, size_t count, int64_t not_before,
                            int64_t not_after, const char *issuer);
void store_cert_remove(struct cert *cert);
/* Finds or makes the set. */
struct san_set *store_set(const char *const *names, size_t count);
/* The word search of the registry, ids ascending; free() the result. */
uint64_t *store_cert_search(const char *text, size_t *count);

struct user *store_user(const char *name, const char *password);
struct user *store_user_by_token(const char *token);
bool user_may(const struct user *user, const char *permission);

/* Frees only what the status owns. */
void status_clear(struct status *status);
char *text_copy(const char *text);

#endif

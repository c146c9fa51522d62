#ifndef RENEWGATE_JMAP_CREATE_HOLD_PARTS_H
#define RENEWGATE_JMAP_CREATE_HOLD_PARTS_H

/*
 * What the parts of a hold share; nobody else includes it.
 *
 *     hold.c          the phases, from the request's bytes to the end, and the driver's side
 *     hold_caller.c   whom the server lets create renewals
 *     hold_lease.c    what keeps other replicas away from its domains
 *     hold_verdict.c  what becomes of each create: decided before, judged after the server's answer
 *     hold_calls.c    what the gate asks for afterwards: moves, and creates forwarded after all
 *     hold_late.c     creates of which the client's request itself may change what they rest on
 *     hold_collapse.c one retry for each domain that was looked at
 *     hold_rest.c     calls that wait for the answer to those before them
 *     hold_answer.c   the answer to the client
 *     hold_report.c   what is remembered, and what is reported
 */

#include <jansson.h>

#include "jmap/wire/answer.h"
#include "jmap/wire/batch.h"
#include "jmap/tidy/collapse.h"
#include "jmap/create/flight.h"
#include "jmap/create/hold.h"
#include "jmap/facts/lookup.h"
#include "jmap/facts/memory.h"
#include "jmap/tidy/queue_change.h"
#include "jmap/wire/request.h"
#include "jmap/facts/sighting.h"

/* What the hold waits for; each is left by one function below. */
enum phase {
    PHASE_PROOF,   /* whether the server lets the caller create renewals */
    PHASE_FLIGHTS, /* another request's decision on one of its domains */
    PHASE_LEASES,  /* another replica's */
    PHASE_LOOKUP,
    PHASE_MAIN,   /* the client's request */
    PHASE_LATE,   /* what that has left of the domains that are decided after it */
    PHASE_MOVE,   /* tasks moved to another time */
    PHASE_RESEND, /* creates that must be forwarded after all */
    PHASE_COLLAPSE,
    PHASE_REST, /* a hold of its own on the calls that were cut off */
    PHASE_DONE,
};

enum verdict_state {
    VERDICT_OPEN,
    VERDICT_ANSWERED,    /* `id` is the answer */
    VERDICT_REJECTED,    /* the server's error is the answer */
    VERDICT_UNAVAILABLE, /* the gate's own error is the answer */
    VERDICT_LATE,        /* the server lets it pass; to be decided now */
    VERDICT_RESEND,
    VERDICT_UNKNOWN, /* what answered it was lost: the server may have done it, or do it yet */
    VERDICT_TWIN,    /* what the first create for the domain gets is the answer */
};

/* The types of errors are words (RFC 8620, section 5.3); what is longer is cut. */
#define ERROR_TYPE_SIZE 64

/* What becomes of one held create. */
struct verdict {
    struct decision decision;
    enum verdict_state state;
    /* The client's request makes no renewal of it: it points at no domain, or it is a DNS task that
     * none follows. */
    bool masked;
    bool followed;               /* a DNS task that one follows: `id` is its own */
    bool barred;                 /* the caller may not create it, so nothing was read for it */
    char id[OBJECT_ID_SIZE];     /* known before or after; or "" */
    char error[ERROR_TYPE_SIZE]; /* the type of the server's, with VERDICT_REJECTED; or "" */
    size_t next; /* the next create for the same domain; request.count where there is none */
};

struct domain {
    struct hold *hold;
    const char *id; /* or "#key": neither looked up nor flown */
    wall_time asked;
    struct lookup_domain *facts; /* NULL where another request settled it, or nothing is known */
    struct flight_place place;
    struct lease *lease; /* NULL: not taken, or there is no lock */
    bool barred;         /* the caller may create nothing for it */
    bool shared;         /* another request settled it: place.result */
    bool late;           /* decided after the client's request, which may change what it rests on */
    bool alone;          /* another may be deciding about it at the same time: nothing is made */
    bool sent;           /* a create for it has gone out */
    /* Its first create, of a renewal where there is one; once judged, the first that the server did
     * not reject. */
    size_t first;
    wall_time refused_until; /* H, once decided; else WALL_TIME_NEVER */
    uint64_t refused_order;  /* of which order the CA's refusal is, see lookup_domain; 0: not its */
    wall_time taken;         /* of its account's times, until it is settled; else WALL_TIME_NEVER */
    enum held_by held_by;    /* see struct held, as the next two */
    size_t failures;
    const char *failure;           /* borrowed from the look-up */
    char survivor[OBJECT_ID_SIZE]; /* the task that a collapse has left, or "" */
};

struct hold {
    const struct hold_context *context;
    const char *body;
    size_t len;
    struct jmap_request request;
    struct batch batch;
    struct verdict *verdicts; /* one for each of request.creates */
    struct domain *domains;   /* ascending by id */
    size_t domain_count;
    size_t next_flight;
    size_t next_lease;
    unsigned retakes;         /* how often it began anew because its leases were lost */
    bool known;               /* the server lets the caller create renewals */
    bool outsider;            /* it does not, as far as one can tell: no flights, no look-ups */
    bool uncut;               /* the request is to be cut once that is known */
    bool refused;             /* it has said so, and the request is not cut at all */
    bool rehearsed;           /* the client's request went first with nothing to make in it */
    char *rehearsal;          /* its text: what it was answered may be what the client gets */
    struct jmap_answer proof; /* of the same, or of what was asked in its place */
    bool written;             /* decisions stand in the request */
    bool stood_back;      /* its flights are others' while there is no room for it at the server */
    bool under_way;       /* what it asks has gone out and was not answered yet */
    unsigned main_status; /* of the answer to the client's request; 0: there was none */
    struct lookup_domain *facts;
    size_t fact_count;
    struct lookup *lookup;
    const char *lookup_error; /* NULL when the look-ups succeeded */
    enum hold_credential credential;
    wall_time now;
    enum phase phase;
    enum hold_step step;
    bool changed;         /* the request is not the client's bytes any more */
    bool masked;          /* at least one create in it points at no domain */
    const char *own_body; /* a problem document that is the answer, or NULL */
    char *out;            /* what is being sent; NULL in the main phase: the client's bytes */
    size_t out_len;
    struct jmap_answer answer;
    bool has_answer;
    json_t *sent; /* the calls of the gate's own that are being sent */
    struct jmap_answer resent;
    size_t next_collapse; /* the domain that is being collapsed */
    struct lookup *late;  /* of the domains that are decided late */
    struct lookup_domain *late_facts;
    struct collapse *collapse;
    json_t *rest_calls; /* the calls that wait for the answer to those before them, or NULL */
    json_t *meanings;   /* what "#key" means to them, beside the client's createdIds; or NULL */
    unsigned cuts;      /* how many requests it is the rest of */
    struct hold *rest;  /* on these; NULL until then, and where there is nothing to decide */
    char *text;         /* the answer in the gate's words, or NULL */
    size_t text_len;
};

/* hold.c */

/* Opens a hold on what was cut off the whole, of whose caller it knows what that does; or NULL. */
struct hold *hold_open_part(const struct hold_context *context, const char *body, size_t len,
                            const struct hold *whole);

enum hold_step hold_enter(struct hold *hold, enum phase phase, enum hold_step step);

/* Better no answer than an order too many. */
enum hold_step hold_give_up(struct hold *hold);

enum hold_step hold_start_lookup(struct hold *hold);

/* The look-up is over, with an error or NULL; or memory ran out, which must not cost an order. */
enum hold_step hold_lookup_ended(struct hold *hold, const char *error);
enum hold_step hold_lookup_exhausted(struct hold *hold);

/* A request may name as many domains as the server's limits let it: 16 calls, 500 creates each. */
#define HOLD_DOMAINS_MAX 8000

/* What a look-up is to find out about a domain. */
struct lookup_domain hold_unknown(const struct hold *hold, const struct domain *domain);

/* Takes the time from the server's latest answer. */
void hold_note_time(struct hold *hold);

/* All is settled: writes the answer, tells what came of it and gives the flights back. */
enum hold_step hold_finish(struct hold *hold);

wall_time hold_asked_time(const struct hold *hold, const struct held_create *create);
struct domain *hold_domain_of(const struct hold *hold, const char *id);

bool hold_domain_is_reference(const struct domain *domain);

/* Whether the request itself may destroy or rewrite that task. */
bool hold_removes(const struct hold *hold, const char *task_id);

bool hold_is_forced(const struct hold *hold);

/* hold_caller.c */

/*
 * Whether the request does nothing but to make renewals, and to read: with nothing to make in it,
 * it can go first and then again.
 */
bool hold_makes_only_renewals(const struct hold *hold);

/* Keeps in mind what the answer to the client's request says of the caller. */
void hold_note_caller(struct hold *hold, unsigned status);

/* What the server has said of the caller. */
enum hold_proof {
    HOLD_PROVEN,
    HOLD_REFUSED,
    HOLD_UNPROVEN, /* nothing that can be read */
};

/*
 * Asks the server whether the caller may create: with its creates as they are, pointed at a domain
 * that cannot exist, and without the rest of the request. That makes nothing.
 */
enum hold_step hold_prove(struct hold *hold);
enum hold_proof hold_read_proof(struct hold *hold, unsigned status, const char *body, size_t len);

/* Creates that did not pass there cost no look-up: they get the server's own error. */
void hold_bar(struct hold *hold);

/* Gives all flights and leases to others. */
void hold_leave_flights(struct hold *hold);

/* hold_lease.c */

/* Takes the lease of every domain whose flight it leads, in the same order, then looks up. */
enum hold_step hold_take_leases(struct hold *hold);
enum hold_step hold_lease_woken(struct hold *hold);
void hold_give_lease(const struct hold *hold, struct domain *domain);

/* Nobody is to have it before it runs out. */
void hold_leave_lease(const struct hold *hold, struct domain *domain);

/* Whether it may write: no other replica can have begun to decide about one of its domains. */
bool hold_owns_domains(const struct hold *hold);

/* What was looked up may be past: all leases are taken anew, for the sake of their order. */
bool hold_may_retake(const struct hold *hold);
enum hold_step hold_retake_leases(struct hold *hold);

/* Turns the decision to let the server make a task into a refusal; false where it was another. */
bool hold_disown(struct hold *hold, size_t i);

/* The same where others may be deciding at the same time, for moves too. */
void hold_keep_off(struct hold *hold, size_t i);

/* hold_verdict.c; `i` is a create's place in the request */

void verdict_decide(struct hold *hold, size_t i);

/* Decides the domain's creates anew, by what the client's request has left. */
void verdict_decide_late(struct hold *hold, struct domain *domain);

/* Puts the decision into the request. False when memory ran out. */
bool verdict_write(struct hold *hold, size_t i);

/* What the server's answer to the client's request makes of the create. */
void verdict_judge(struct hold *hold, size_t i);

/* Keeps the type of the server's error, which outlives the answer; NULL: there is none. */
void verdict_note_error(struct verdict *verdict, const char *type);

/* Gives the account's time back that was taken for the domain, unless a task was made for it. */
void verdict_settle_time(const struct hold *hold, struct domain *domain);

/* hold_calls.c */

/*
 * Writes a request of the gate's own in the caller's name, with the `using` of the client's. Takes
 * over `calls`, as `sent`. False where these are NULL, or memory ran out.
 */
bool hold_write_own(struct hold *hold, json_t *calls);

/* Whether the renewal is to follow its DNS task after all, which was made without one. */
bool hold_awaits_follow(const struct hold *hold, size_t i);

/* Sends what there is to move, then what is to be forwarded after all, then finishes. */
enum hold_step hold_send_moves(struct hold *hold);
enum hold_step hold_feed_moves(struct hold *hold, unsigned status, const char *body, size_t len);
enum hold_step hold_feed_resends(struct hold *hold, unsigned status, const char *body, size_t len);

enum hold_step hold_send_resends(struct hold *hold);

/* hold_late.c */

/*
 * The client's request may itself change what the decision about its creates rests on, in the call
 * of the create or in one behind it: the domain, its certificates, their provider, the settings, or
 * the tasks that wait. Whether it has done so only its answer tells. Such creates wait, pointed at
 * no domain, and are decided by what is there afterwards; so too if the server has queued a renewal
 * by itself meanwhile.
 */

/* Looks these domains up, all together, and decides; then sends what there is to move. */
enum hold_step hold_send_late(struct hold *hold);
enum hold_step hold_feed_late(struct hold *hold, unsigned status, const char *body, size_t len);

/* hold_collapse.c */

/* Collapses the domains one after another, then finishes. What fails there is left as it is. */
enum hold_step hold_collapse(struct hold *hold);
enum hold_step hold_feed_collapse(struct hold *hold, unsigned status, const char *body, size_t len);

/* hold_rest.c */

/*
 * Some calls mean nothing certain before those in front of them have been answered
 * (jmap/wire/batch.h). So the request is cut before the first of them. What comes before is sent in
 * the client's request, what comes after as a request of the gate's own, with a hold of its own.
 */

/* Reads what the calls do to one another, and cuts. False when memory ran out. */
bool hold_cut(struct hold *hold);

/* What comes before has been answered, and its domains are others' again. */
enum hold_step hold_begin_rest(struct hold *hold);

/* The driver's verbs, while the rest is on its way. */
void hold_request_rest(const struct hold *hold, struct hold_request *request);
enum hold_step hold_recheck_rest(struct hold *hold);
enum hold_step hold_wake_rest(struct hold *hold);
enum hold_step hold_fail_rest(struct hold *hold);
enum hold_step hold_feed_rest(struct hold *hold, unsigned status, const char *body, size_t len);

/* hold_answer.c */

/* The problem documents of the gate's own. */
extern const char hold_no_memory[];
extern const char hold_no_answer[];

void hold_write_answer(struct hold *hold);

/*
 * The answer to a request that the server could not read: what was sent in the client's place is
 * not for it to see, as it names a task.
 */
void hold_repeat_own_words(struct hold *hold, const char *body, size_t len);

/* Twins get what the first of them got. */
void hold_settle_twins(struct hold *hold);

/* hold_report.c */

/* Creates are on their way: even if no answer comes it is known that they were sent. */
void hold_remember_sent(struct hold *hold);

/* They have not gone out after all. */
void hold_forget_sent(struct hold *hold);

/* Their answer is lost. */
void hold_lose_answer(struct hold *hold);

/* Whether the server may still be making a task of the domain. */
bool hold_is_unknown(const struct hold *hold, const struct domain *domain);

void hold_remember(struct hold *hold, const struct domain *domain);
void hold_note_sighting(const struct hold *hold, const struct domain *domain);
void hold_report_verdict(const struct hold *hold, size_t i);

#endif

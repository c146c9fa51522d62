#ifndef RENEWGATE_JMAP_CREATE_HOLD_STATE_H
#define RENEWGATE_JMAP_CREATE_HOLD_STATE_H

/*
 * What the phases of a hold share: the request, its domains with what is known of them, and what
 * becomes of each create. Only they and hold.c include it, which says in which order they come.
 */

#include <jansson.h>

#include "jmap/create/flight.h"
#include "jmap/create/hold_context.h"
#include "jmap/facts/lookup.h"
#include "jmap/wire/answer.h"
#include "jmap/wire/batch.h"
#include "jmap/wire/request.h"

enum verdict_state {
    VERDICT_OPEN,
    VERDICT_ANSWERED,    /* `id` is the answer */
    VERDICT_REJECTED,    /* the server's error is the answer */
    VERDICT_UNAVAILABLE, /* the gate's own error is the answer */
    VERDICT_LATE,        /* the server lets it pass; to be decided now */
    VERDICT_RESEND,
    VERDICT_UNKNOWN, /* what answered it was lost: the server may have done it, or do it yet */
    VERDICT_TWIN,    /* what the domain's `first` gets is the answer */
};

/* The types of errors are words (RFC 8620, section 5.3); what is longer is cut. */
#define ERROR_TYPE_SIZE 64

/* What becomes of one held create. */
struct verdict {
    struct decision decision;
    enum verdict_state state;
    /* The client's request makes no renewal of it: it points at no domain, or it is a DNS task that
     * none follows. */
    bool is_placeholder;
    bool followed;               /* a DNS task that one follows: `id` is its own */
    bool barred;                 /* the caller may not create it, so nothing was read for it */
    char id[OBJECT_ID_SIZE];     /* known before or after; or "" */
    char error[ERROR_TYPE_SIZE]; /* the type of the server's, with VERDICT_REJECTED; or "" */
    /* The next create for the same domain, by the times asked for; request.count: none. */
    size_t next;
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
    size_t earliest;     /* of its creates, by the time asked for */
    /* The create that decides for the others too: the earliest, once judged of those that the
     * server did not reject; behind no-ops, the first that is none. */
    size_t first;
    wall_time refused_until;    /* H, once decided; else WALL_TIME_NEVER */
    struct setback_hold before; /* what held it before the request was carried out */
    bool took;                  /* one of its account's times, until it is settled */
    enum held_by held_by;       /* see struct held, as the next two */
    size_t failures;
    const char *failure;           /* borrowed from the look-up */
    char survivor[OBJECT_ID_SIZE]; /* the task that a collapse has left, or "" */
};

/* What a phase makes of an event. */
enum phase_step {
    PHASE_SEND,    /* what it describes */
    PHASE_WAIT,    /* for its waker */
    PHASE_NEXT,    /* it is over */
    PHASE_AGAIN,   /* what was found out may be past: from the first phase on */
    PHASE_ANEW,    /* likewise, and what was written into the request is not to stand in it */
    PHASE_PART,    /* a hold of its own goes on, with what is to be sent */
    PHASE_GIVE_UP, /* memory ran out, which must not cost an order */
};

/* What the server has shown of the caller. */
struct hold_caller {
    bool known;               /* it lets the caller create renewals */
    bool unauthorized;        /* it does not, as far as one can tell: no flights, no look-ups */
    bool refused;             /* it has said so, and the request is cut at references alone */
    bool unasked;             /* observed, and the server gave no answer about that */
    bool rehearses;           /* the client's request goes first with nothing to make in it */
    char *rehearsal;          /* its text: what it was answered may be what the client gets */
    struct jmap_answer proof; /* of the same, or of what was asked in its place */
};

/* What was cut off of the request. */
struct hold_continuation {
    bool uncut;        /* it is to be cut once the caller is known */
    json_t *calls;     /* those that wait for the answer to those before them, or NULL */
    json_t *meanings;  /* what "#key" means to them, beside the client's createdIds; or NULL */
    unsigned cuts;     /* how many requests this one continues */
    bool is_written;   /* they are what is being sent */
    struct hold *hold; /* on these; NULL until then, and where there is nothing to decide */
};

/* Each phase's own, which its file alone touches: tests/includes.sh holds it. */

struct hold_flights {
    size_t next; /* the domain whose flight is taken next, or waited for */
};

struct hold_leases {
    size_t next;         /* likewise */
    unsigned reacquired; /* how often they were taken anew because they were lost */
};

struct hold_lookup {
    struct lookup *machine;
    struct lookup_domain *facts;
    size_t count;
};

struct hold_history {
    struct lookup *machine;
    struct lookup_domain *facts; /* of domains that have creates behind the cut, ascending by id */
    size_t count;
};

struct hold_late {
    struct lookup *machine;
    struct lookup_domain *facts;
};

struct hold_collapse {
    size_t next; /* the domain that is being collapsed */
    struct collapse *machine;
};

struct hold {
    const struct hold_context *context;
    const char *body;
    size_t len;
    bool unreadable; /* the server might read a create in it where this gate cannot */
    struct jmap_request request;
    struct batch batch;
    struct verdict *verdicts; /* one for each of request.creates */
    struct domain *domains;   /* ascending by id */
    size_t domain_count;
    const char *lookup_error;        /* NULL when the look-ups succeeded */
    enum hold_credential credential; /* they are made with it */
    wall_time now;
    size_t phase; /* its place in the table */
    enum hold_step step;
    bool stood_back; /* its flights are others' while there is no room for it at the server */

    /* What is being sent. */
    char *out; /* NULL where that is the client's bytes */
    size_t out_len;
    json_t *sent;                                     /* the calls of the gate's own in it */
    bool under_way;                                   /* it has gone out and was not answered yet */
    bool (*makes)(const struct hold *hold, size_t i); /* see struct phase; of the one at hand */

    /* What is answered. */
    bool written;          /* decisions stand in the request */
    bool changed;          /* the request is not the client's bytes any more */
    bool has_placeholders; /* at least one create in it points at no domain */
    struct jmap_answer answer;
    bool has_answer;
    unsigned status;           /* of the answer; 0: there was none */
    bool lost;                 /* the request has gone out, and what became of it was not told */
    struct jmap_answer resent; /* to creates that were forwarded after all */
    char *text;                /* the answer in the gate's words, or NULL */
    size_t text_len;
    const char *own_body; /* a problem document that is the answer, or NULL */

    struct hold_caller caller;
    struct hold_continuation continuation;

    struct hold_flights flights;
    struct hold_leases leases;
    struct hold_lookup lookup;
    struct hold_history history;
    struct hold_late late;
    struct hold_collapse collapse;
};

/* A request may name as many domains as the server's limits let it: 16 calls, 500 creates each. */
#define HOLD_DOMAINS_MAX 8000

/* Lists the domains of the request's creates. False when memory ran out. */
bool hold_list_domains(struct hold *hold);

struct domain *hold_domain_of(const struct hold *hold, const char *id);

bool hold_domain_is_reference(const struct domain *domain);

/* Takes the time from the server's latest answer. */
void hold_note_time(struct hold *hold);

/* A create that names no time, or one in the past, asks for a renewal now. */
wall_time hold_asked_time(const struct hold *hold, const struct held_create *create);

/* Whether the request itself may destroy or rewrite that task. */
bool hold_removes(const struct hold *hold, const char *task_id);

bool hold_is_forced(const struct hold *hold);

/* What a look-up is to find out about a domain. */
struct lookup_domain hold_unknown(const struct hold *hold, const struct domain *domain);

/* A look-up of a phase's own: what it asks, and the answer to that, which has told the time too. */
void hold_describe_reading(const struct hold *hold, const struct lookup *machine,
                           struct hold_request *request);
enum lookup_state hold_feed_reading(struct hold *hold, struct lookup *machine, unsigned status,
                                    const char *body, size_t len);

/* The caller may not read: from now on with the gate's own credential. False where it may not. */
bool hold_read_as_service(struct hold *hold);

/* Calls `verb` for each create, a domain's one after the other from the earliest on. */
void hold_for_each_create(struct hold *hold, void (*verb)(struct hold *hold, size_t i));

#endif

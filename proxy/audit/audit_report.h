#ifndef RENEWGATE_PROXY_AUDIT_AUDIT_REPORT_H
#define RENEWGATE_PROXY_AUDIT_AUDIT_REPORT_H

/*
 * What an audit has found, kept until all is read, and then written: a table for people, the worst
 * first, or JSON for programs. Some kilobyte a domain.
 */

#include <stdbool.h>
#include <stdio.h>

#include "jmap/queue/audit.h"
#include "proxy/telemetry/advice.h"
#include "proxy/audit/stored_text.h"
#include "proxy/audit/tls_probe.h"

/* What the listener serves for one of the domain's names. */
struct audit_service {
    enum audit_served served;
    char detail[TLS_PROBE_DETAIL_SIZE]; /* with AUDIT_SERVED_NOTHING: why */
};

/* A stored certificate with exactly the domain's names. */
struct audit_stored {
    struct lookup_certificate certificate;
    enum issuer_standing standing; /* of its issuer */
};

struct audit_row {
    char id[OBJECT_ID_SIZE];
    char *name;
    char *reason;                 /* the verdict's, or NULL */
    char task_id[OBJECT_ID_SIZE]; /* the earliest of its live tasks; or "" */
    struct held held;             /* but for its reason */
    struct san_set names;
    struct audit_verdict verdict;
    struct audit_stored *stored; /* verdict.stored of them */
    struct stored_text *texts;   /* with a probe: of its certificates */
    size_t text_count;
    struct audit_service *services; /* with a probe: one for each name */
};

/* Zeroed before its first use. `server` and `listener` are borrowed. */
struct audit_report {
    const char *server;
    const char *listener; /* that was probed, or NULL */
    wall_time now;
    size_t manual; /* domains that are left out, as their certificates are managed by hand */
    unsigned long requests;
    struct audit_row *rows;
    size_t count;
};

struct audit_totals {
    size_t by_severity[AUDIT_URGENT + 1];
    size_t refused;
    wall_time refused_until; /* the last of them */
    size_t duplicates;
    size_t changes; /* a sweep would make */
};

/* A domain, copied; rows come ascending by id. False when memory runs out. */
bool audit_report_add(struct audit_report *report, const struct audit_domain *domain);

/* A text of a certificate; what is wrong with it is added to the verdict. Likewise. */
bool audit_report_add_text(struct audit_report *report, const struct lookup_domain *domain,
                           const struct lookup_certificate *certificate, const char *pem);

/* What a row's name was served, from an answer; also added to the verdict. */
void audit_report_serve(struct audit_report *report, struct audit_row *row, size_t name,
                        const struct tls_answer *answer);

/* What a person does next about a row. */
struct advice audit_row_advice(const struct audit_report *report, const struct audit_row *row);

/* The worst first, then by name. Nothing is added after it. */
void audit_report_sort(struct audit_report *report);

struct audit_totals audit_report_totals(const struct audit_report *report);

void audit_report_clear(struct audit_report *report);

/* How the table is written. */
struct audit_style {
    bool colours;
    bool all;   /* domains in good state too */
    bool names; /* and each domain's names */
    unsigned width;
};

/* proxy/audit/audit_table.c. Bytes that a terminal would not just show are written as \xNN. */
void audit_report_print(const struct audit_report *report, const struct audit_style *style,
                        FILE *out);

/* proxy/audit/audit_json.c: one object, with one line a domain. False when memory runs out. */
bool audit_report_print_json(const struct audit_report *report, FILE *out);

#endif

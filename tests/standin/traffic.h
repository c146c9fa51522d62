/*
 * What passed the API listener, byte for byte, and what was asked to go wrong there.
 */
#ifndef STANDIN_TRAFFIC_H
#define STANDIN_TRAFFIC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One fault, as POST /faults describes it (control.h). */
struct fault {
    char *match, *user, *method, *method_error, *method_error_description, *body, *content_type;
    char *die; /* where the state goes first */
    int delay_ms;
    bool hang, close, garbage, truncate, after;
    unsigned status;
    long skip;           /* requests that fit and are let be */
    long times;          /* left; negative: for ever */
    long met;            /* requests */
    int64_t retry_after; /* seconds; 0: it says nothing of that */
    bool retry_after_date;
    int64_t until_ms; /* with retry_after: once it has met a request, when it ends */
};

bool fault_add(const json_t *json, const char **error);
void faults_clear(void);
json_t *faults_describe(void);
/* The first fault that fits the request, used up by one; false when there is none. `user` is "" for
 * who is nobody. The copy is to be cleared with fault_free. */
bool fault_take(const char *target, const char *user, const char *body, size_t len,
                struct fault *fault);
void fault_free(struct fault *fault);
/* Rises whenever the faults are cleared: who hangs on one is released. */
unsigned long faults_generation(void);

/* Takes headers over; keeps the last 1,000 requests, of each body the first megabyte. */
void traffic_note(const char *method, const char *target, const char *version, json_t *headers,
                  const char *body, size_t len);
json_t *traffic_log(void);
void traffic_clear(void);

#endif

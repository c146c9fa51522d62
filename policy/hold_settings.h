#ifndef RENEWGATE_POLICY_HOLD_SETTINGS_H
#define RENEWGATE_POLICY_HOLD_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/decide.h"
#include "policy/held.h"
#include "policy/refusal.h"

/* What the operator has set for creates, sweeps and audits. */
struct hold_settings {
    bool observe;
    bool force_allowed;
    bool has_service_credential;
    struct decision_settings table;
    int64_t blind_interval_seconds;
    int64_t blind_hold_seconds;
    struct issue_limit issue_limit;
    struct issue_limit account_limit;
    struct issue_limit validation_limit;
    struct failure_backoff failure_backoff;
    size_t max_request; /* bytes of a client's request, and of what the gate makes of one */
};

static inline struct held_limits hold_limits(const struct hold_settings *settings)
{
    return (struct held_limits){.issue = settings->issue_limit,
                                .validation = settings->validation_limit,
                                .backoff = settings->failure_backoff,
                                .blind_hold_seconds = settings->blind_hold_seconds};
}

#endif

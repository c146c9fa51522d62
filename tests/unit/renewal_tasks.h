#ifndef RENEWGATE_TESTS_UNIT_RENEWAL_TASKS_H
#define RENEWGATE_TESTS_UNIT_RENEWAL_TASKS_H

/* Tasks and times for tables of tests; times are seconds from one fixed moment. */

#include <stdint.h>

#include "policy/renewal_task.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HOUR INT64_C(3600)
#define DAY INT64_C(86400)
#define NOW INT64_C(1800000000)
/* Initialisers of a wall_time. */
#define AT(offset) {NOW + (offset)}
#define NEVER {INT64_MIN}

#define LIMITED "Rate limited. Retry after 604793 seconds"
#define LIMITED_BLINDLY "Rate limited. Retry after some time"
#define DNS_ERROR "DNS error: timeout"

#define PENDING(name, offset) {.id = (name), .state = TASK_PENDING, .due = AT(offset)}
#define RETRY(name, offset, reason)                                                                \
    {.id = (name), .state = TASK_RETRY, .due = AT(offset), .failure_reason = (reason)}
#define FAILED(name, offset, reason)                                                               \
    {.id = (name), .state = TASK_FAILED, .failed_at = AT(offset), .failure_reason = (reason)}

#endif

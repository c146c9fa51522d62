/*
 * The second listener, by which a test puts a server into place, lives through time, lets things go
 * wrong and looks at what happened. Plain HTTP with JSON; 200 and a document, or 400 with
 * {"error": words}.
 *
 * GET /state, PUT /state
 *     The whole state. PUT replaces all of it; what is left out gets its default:
 *     {
 *       "domains": [{"id": "b", "name": "example.org", "certificateManagement":
 *           {"@type": "Automatic", "acmeProviderId": "jp173noyaiqa",
 *            "subjectAlternativeNames": {"mail": true}}, ...any other property}],
 *           id: the next one; acmeProviderId: the first provider
 *       "providers": [{"id", "challengeType", "renewBefore", "maxRetries", "directory", ...}],
 *           default: one, jp173noyaiqa, Http01, R23, 10
 *       "certificates": [{"id", "subjectAlternativeNames": {name: true} or [name],
 *           "notValidBefore", "notValidAfter", "issuer", "certificate": {"value": PEM}}],
 *       "tasks": [{"id", "@type": "AcmeRenewal", "domainId": "b", "status": {...},
 *           "unreadable": true, "lockedUntil": "2026-..Z"}],
 *           lockedUntil: by a server that is dead
 *       "settings": {...}, "http": {...},
 *           laid over the server's defaults
 *       "users": [{"name", "password", "token", "accountId", "permissions": [...] or "all"}],
 *           default: admin (all), reader (reads, may not renew), blind (may renew, reads nothing),
 *           each with the password "secret"
 *       "public_url": "https://mail.example.org",     what the session's URLs begin with
 *       "hostname": "mail.example.org",               the server's own name
 *       "max_concurrent_requests": 0,                 for a user; 0: any number
 *       "bans": false,                                failed logins of the loopback count (bans.h)
 *       "query_max_results": 5000,                    ids that a query lists at most
 *       "max_objects": 500,                           in a get or a set, at most
 *       "now": "2026-11-23T21:35:28Z", "frozen": false,
 *           default: the clock stays as it is
 *       "ca": {as POST /ca, "orders": {"a.test,b.test": ["2026-01-02T03:04:05Z"]}},
 *       "runner": {as POST /runner},                  default: off
 *       "generate": {"domains": 100000, "suffix": "test",
 *           "subjectAlternativeNames": {"mail": true}, "certificate_age_days": 10,
 *           "task_due_days": 50}
 *           d0.test, d1.test, ...; certificate and task only where their member is there
 *     }
 * POST /add {"domains", "certificates", "tasks"}
 *     to what is there
 * GET /clock, POST /clock {"advance": seconds} | {"set": "2026-..Z"} | {"freeze": true}
 * POST /run
 *     runs what is due now until nothing is: {"ran": 3}
 * POST /runner {"enabled": true, "order_seconds": 0.5, "gap_seconds": 0}
 *     the thread that runs due tasks as they come; gap: between the certificate and the task's end
 * POST /kill {"lock_seconds": 3600}
 *     the server is killed in the middle of its work, and starts anew: what ran is not done, and is
 *     locked for so long, as is what was to run next
 * GET /ca, POST /ca {"retry_after": "seconds" | "date" | "absent", "limit": "5/168h" | "off",
 *      "refuse": true, "refuse_seconds": 3600, "lifetime_days": 90, "lifetime_seconds",
 *      "backdate_seconds": 0, "count_stored": true, "fail": "words" | null,
 *      "invalid": "words" | null, "discard": "words" | null, "common_name": "words" | null}
 *     refuse: every order is answered 429
 *     fail: every validation fails
 *     invalid: every order becomes invalid
 *     discard: the server throws each certificate away, with this failureReason
 *     common_name: each certificate has it, among its names too
 *     count_stored: the certificates that PUT /state brings have used up the CA's limit
 * GET /counters, POST /counters/reset
 *     {"orders", "certificates", "refusals", "tasks_created", "creates_answered", "http_requests",
 *      "failed_logins", "malformed_requests", "methods": {"x:Task/get": 3},
 *      "orders_by_names": {"a.test,b.test": 2}}
 *     orders counts the refused ones too; tasks_created counts those the server made itself too
 * GET /faults, POST /faults {...}, DELETE /faults
 *     {"match": "substring of target or body", "times": 1, "delay_ms": 100, "hang": true,
 *      "close": true, "garbage": true, "truncate": true, "status": 503, "body": "...",
 *      "content_type": "text/html", "method_error": "forbidden", "method": "x:Task/query",
 *      "description": "...", "after": true, "retry_after": 2, "retry_after_date": true,
 *      "user": "name", "skip": 3, "die": "path of a file"}
 *     The first that fits is taken.
 *     user: whose requests, "" for nobody's (not over WebSockets)
 *     skip: so many that fit are let be first
 *     die: the process ends there and then; its state is in the file, as PUT /state takes it
 *     method_error: instead of the calls (of that method)
 *     after: what was asked is done first
 *     hang: until the faults are deleted, then closed
 *     retry_after: with a status; from the first that it meets for so many seconds, and each answer
 *     says how long yet, or as a date until when
 * GET /log, DELETE /log
 *     [{"method", "target", "version", "headers": [[name, value]], "body", "body_length"}]
 *     the last 1,000 requests at the API listener; messages of a WebSocket as method "WS"
 * POST /event {"event": "state", "data": {...}}
 *     to every open event stream
 */
#ifndef STANDIN_CONTROL_H
#define STANDIN_CONTROL_H

#include "tests/standin/listener.h"

void control_answer(struct request *request, struct answer *answer);

#endif

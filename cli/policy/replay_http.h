/* Recorded requests of HTTP, asked again; for this folder only. */
#ifndef CHAPERONE_CLI_POLICY_REPLAY_HTTP_H
#define CHAPERONE_CLI_POLICY_REPLAY_HTTP_H

#include "api/audit.pb-c.h"
#include "base/arena.h"
#include "policies/policy.h"

enum replay_http {
    REPLAY_HTTP_ASKED,
    REPLAY_HTTP_REFUSED,   /* no policy is asked about such a request */
    REPLAY_HTTP_TRUNCATED, /* a rule asks for the body, which the record does not have whole */
    REPLAY_HTTP_NO_MEMORY,
};

/* Adds the request to the question, and evaluates it. The recorded values are those after masking.
 * All is valid as long as the arena. */
enum replay_http replay_http_ask(const struct policy *policy, struct arena *arena,
                                 const Chaperone__V1__HttpRequest *recorded,
                                 struct policy_request *request,
                                 struct policy_verdict *out) MUST_USE;

/* Whether a refusal by this rule may have been for what the rule lets through too often, or too
 * much of. */
bool replay_http_limits(const struct policy_verdict *verdict, const char *rule);

/* "GET /customers/{}": without the query, and `{}` for what looks like somebody's number. At most
 * `max` bytes. Returns owned; NULL when memory is short. */
char *replay_http_shape(const Chaperone__V1__HttpRequest *recorded, size_t max) MUST_USE;

#endif

/* What a policy says to a request of HTTP: the way a sidecar decides, without a sidecar. */
#ifndef CHAPERONE_CLI_POLICY_DECISION_HTTP_H
#define CHAPERONE_CLI_POLICY_DECISION_HTTP_H

#include "cli/policy/decision.h"

enum { DECISION_HTTP_HEADERS_MAX = 64 };

/* As people write it down; everything is borrowed. */
struct decision_http {
    const char *request; /* "GET https://api.internal/customers/42?expand=orders" */
    const char *headers[DECISION_HTTP_HEADERS_MAX]; /* "x-team: care" */
    size_t header_count;
    struct bytes body; /* empty: none. Without a Content-Type it is JSON */
    bool is_websocket;
};

/* As decision_make. What a sidecar would not even ask a policy about is decided too: it is refused,
 * by the rule "protocol". ERR_INVALID: it is not written as above; `error` says what was expected.
 * A decision of HTTP has no parts, and nothing is said of masking. */
enum err decision_make_http(const struct policy *policy, const struct identity_option *as,
                            const char *resource, const struct decision_http *asked,
                            struct decision **out, struct err_text *error) MUST_USE;

#endif

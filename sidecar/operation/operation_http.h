/* What a policy is asked about a request of HTTP: the same in a sidecar and in `chaperone policy`.
 * Pure. */
#ifndef CHAPERONE_SIDECAR_OPERATION_OPERATION_HTTP_H
#define CHAPERONE_SIDECAR_OPERATION_OPERATION_HTTP_H

#include "api/audit.pb-c.h"
#include "base/arena.h"
#include "policies/policy.h"

enum {
    /* Of a query, and of a form: each rule looks at each. */
    OPERATION_HTTP_PAIRS_MAX = 1000,
    /* Of JSON; a body with more is not read. */
    OPERATION_HTTP_SCALARS_MAX = 1000,
    OPERATION_HTTP_DEPTH_MAX = 64,
    OPERATION_HTTP_BODY_MAX = 1 << 20,
};

/* Fills `out` from a request; it borrows from both. `path` is decoded once and cut from its query;
 * the query's parameters are decoded as of a form; the host is that of `authority`, in lower case.
 *
 * The body is read where it is complete (neither `body_truncated` nor `body_follows`) and its
 * Content-Type says JSON in UTF-8 or a form; it is POLICY_BODY_UNREAD where it could be read in two
 * ways (a name twice in an object, a NUL, not quite JSON), or is beyond the limits above. The body
 * has to be decoded from its Content-Encoding. With `body_size` 0 and no bytes it is
 * POLICY_BODY_NONE.
 *
 * ERR_INVALID: its path or query cannot be decoded into one meaning (half a percent-encoding, an
 * encoded slash or NUL, a path that is no UTF-8): it is to be refused. ERR_LIMIT: too many
 * parameters. ERR_NO_MEMORY: also the arena's cap. `out` stays untouched then. */
enum err operation_http_fill(struct arena *a, const Chaperone__V1__HttpRequest *request,
                             struct policy_http *out) MUST_USE;

#endif

/* What a policy is asked about an operation: who (the session), and what (the intent). Pure. */
#ifndef CHAPERONE_SIDECAR_OPERATION_QUESTION_H
#define CHAPERONE_SIDECAR_OPERATION_QUESTION_H

#include "api/audit.pb-c.h"
#include "base/arena.h"
#include "policies/policy.h"

/* `opened` has an identity. The request borrows from all of its arguments. `now_unix_s` is for time
 * windows. False: no memory. */
bool question_ask(struct arena *arena, const Chaperone__V1__SessionOpened *opened,
                  const Chaperone__V1__Intent *intent, int64_t now_unix_s,
                  struct policy_request *out) MUST_USE;

#endif

/* How a request of HTTP is decided. */
#include "policies/policy_internal.h"

bool policy_reads_body(const struct policy *policy, const struct policy_request *request)
{
    return policy->rule_count > 0 && request->http != NULL && false;
}

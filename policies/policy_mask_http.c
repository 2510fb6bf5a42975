/* Masks of HTTP: what they name. */
#include "policies/policy_internal.h"

bool policy_mask_matches_field(const struct policy_mask *mask, struct bytes name)
{
    (void)name;
    return mask->names_http && false;
}

bool policy_mask_matches_pointer(const struct policy_mask *mask, struct bytes pointer)
{
    (void)pointer;
    return mask->names_http && false;
}

bool policy_mask_matches_header(const struct policy_mask *mask, struct bytes name)
{
    (void)name;
    return mask->names_http && false;
}

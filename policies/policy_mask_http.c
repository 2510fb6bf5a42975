/* Masks of HTTP: what they name. A server that writes `Email` for `email` means the same. */
#include "policies/policy_http.h"

static bool any_text_matches(const struct texts *texts, struct bytes name)
{
    for (size_t i = 0; i < texts->count; i++) {
        if (glob_matches_bytes(texts->items[i], name, CASE_IGNORED)) {
            return true;
        }
    }
    return false;
}

bool policy_mask_matches_field(const struct policy_mask *mask, struct bytes name)
{
    return mask->names_http && any_text_matches(&mask->names->fields, name);
}

bool policy_mask_matches_pointer(const struct policy_mask *mask, struct bytes pointer)
{
    const struct step_patterns *p = mask->names_http ? mask->names->pointers : NULL;
    for (size_t i = 0; p != NULL && i < p->count; i++) {
        if (pointer_is(&p->items[i], pointer, CASE_IGNORED)) {
            return true;
        }
    }
    return false;
}

bool policy_mask_matches_header(const struct policy_mask *mask, struct bytes name)
{
    return mask->names_http && any_text_matches(&mask->names->headers, name);
}

bool policy_mask_names_fields(const struct policy_mask *mask)
{
    const struct step_patterns *p = mask->names_http ? mask->names->pointers : NULL;
    return mask->names_http && (mask->names->fields.count > 0 || (p != NULL && p->count > 0));
}

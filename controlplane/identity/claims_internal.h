/* Shared by the parts of claims.h's implementation: the identity being made. */
#ifndef CHAPERONE_CONTROLPLANE_IDENTITY_CLAIMS_INTERNAL_H
#define CHAPERONE_CONTROLPLANE_IDENTITY_CLAIMS_INTERNAL_H

#include "base/arena.h"
#include "controlplane/identity/claims.h"

struct identity_claims {
    struct identity identity; /* its texts borrow from `json` and `arena` */
    cJSON *json;              /* owned */
    struct arena *arena;      /* owned */
};

/* A name that decisions hang on: a text of 1 to `max` bytes without control characters. NULL:
 * it is not, and `why` says so of `what`. */
const char *claims_identifier(const cJSON *value, size_t max, const char *what,
                              struct err_text *why) MUST_USE;

/* Fills in the subject, on_behalf_of and may_act. */
enum err claims_read_delegation(const struct identity_provider_config *provider,
                                struct identity_claims *made, struct err_text *why) MUST_USE;

/* Fills in the scalars. */
enum err claims_read_scalars(struct identity_claims *made, struct err_text *why) MUST_USE;

#endif

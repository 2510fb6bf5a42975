/* From a token's claims to an identity. Pure: the time is an argument. */
#ifndef CHAPERONE_CONTROLPLANE_IDENTITY_CLAIMS_H
#define CHAPERONE_CONTROLPLANE_IDENTITY_CLAIMS_H

#include <cjson/cJSON.h>

#include "controlplane/identity/identity.h"

enum {
    CLAIMS_SUBJECT_SIZE_MAX = 255, /* OpenID Connect Core 1.0 section 2: sub */
    CLAIMS_GROUP_SIZE_MAX = 512,
    CLAIMS_ACTORS_MAX = 8,   /* nested act claims; longer chains are nobody's to review */
    CLAIMS_SCALARS_MAX = 64, /* in each session's first record: as many as people would review */
    CLAIMS_SCALAR_SIZE_MAX = 256, /* of a path, of a value */
};

/* Checks audience and times and reads everything else. The signature and the issuer have been
 * checked before. Returns owned in *out, and takes `claims` then; on failure, ERR_DENIED or
 * ERR_NO_MEMORY, it stays the caller's. */
enum err claims_read(const struct identity_provider_config *provider, cJSON *claims, int64_t now_ns,
                     struct identity **out, struct err_text *why) MUST_USE;

#endif

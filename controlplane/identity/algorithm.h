/* The signature algorithms that a token may be signed with (RFC 7518 section 3.1, RFC 8037).
 *
 * A closed table: what is not in it cannot be configured. `none` and the HMACs (HS256 and
 * so on) are not in it, because with them a public key, which everybody knows, would be
 * taken for a secret (RFC 8725 section 2.1). */
#ifndef CHAPERONE_CONTROLPLANE_IDENTITY_ALGORITHM_H
#define CHAPERONE_CONTROLPLANE_IDENTITY_ALGORITHM_H

#include "base/err.h"

struct algorithm {
    const char *name;
    const char *kty;
    const char *crv; /* NULL: RSA has no curve */
};

/* NULL when there is no such algorithm. Valid for ever. */
const struct algorithm *algorithm_find(const char *name) MUST_USE;

#endif

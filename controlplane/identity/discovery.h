/* An issuer's discovery document (OpenID Connect Discovery 1.0 section 3). Pure. */
#ifndef CHAPERONE_CONTROLPLANE_IDENTITY_DISCOVERY_H
#define CHAPERONE_CONTROLPLANE_IDENTITY_DISCOVERY_H

#include "base/bytes.h"

enum {
    /* The largest ones in use are some 10 KiB. */
    DISCOVERY_SIZE_MAX = 64 * 1024,
};

/* Where the document of `issuer` is (section 4). Returns owned (free()); NULL when memory is short.
 */
char *discovery_url(const char *issuer) MUST_USE;

/* Returns owned in *out_jwks_uri (free()). The document's issuer must be `issuer`, byte for byte
 * (section 4.3), else one issuer could speak for another. */
enum err discovery_parse(struct bytes document, const char *issuer, char **out_jwks_uri,
                         struct err_text *why) MUST_USE;

#endif

/* An issuer's keys (RFC 7517 section 5) and the check of a token's signature with one of them.
 *
 * A key set is immutable and counted: each holder releases it, from any thread. Keys that may
 * not be used (for encryption, symmetric, private, RSA below 2048 bits, unknown kinds) stay in it
 * with the reason, so that a token that names one is refused with that reason. Pure: no I/O. */
#ifndef CHAPERONE_CONTROLPLANE_IDENTITY_JWKS_H
#define CHAPERONE_CONTROLPLANE_IDENTITY_JWKS_H

#include "base/bytes.h"
#include "controlplane/identity/token.h"

enum {
    /* The largest public ones (multi-tenant issuers with certificate chains) are some 30 KiB. */
    JWKS_SIZE_MAX = 256 * 1024,
    JWKS_KEYS_MAX = 128,
    JWKS_RSA_BITS_MIN = 2048, /* RFC 7518 section 3.3 */
    /* Verification takes longer with the square of the size. */
    JWKS_RSA_BITS_MAX = 8192,
};

struct jwks;

/* Returns owned in *out (one hold). ERR_INVALID also when no key is there to verify with. */
enum err jwks_parse(struct bytes document, struct jwks **out, struct err_text *why) MUST_USE;
struct jwks *jwks_hold(struct jwks *keys); /* returns its argument, to be released once more */
void jwks_release(struct jwks *keys);      /* takes NULL */

/* Keys that can verify. */
size_t jwks_usable(const struct jwks *keys);

/* Each of them, as it was published; "" where it has no id. */
void jwks_each(const struct jwks *keys,
               void (*visit)(void *context, const char *key_id, const char *jwk), void *context);

enum jwks_verdict {
    JWKS_VALID,
    JWKS_UNKNOWN_KEY, /* newer keys of the issuer may tell */
    JWKS_REFUSED,
};

/* `why` is filled unless the signature is valid. Thread-safe. */
enum jwks_verdict jwks_verify(const struct jwks *keys, const struct token *t,
                              struct err_text *why) MUST_USE;

#endif

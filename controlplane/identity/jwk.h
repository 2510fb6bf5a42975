/* One key of an issuer (RFC 7517 section 4), of a kind that can verify. */
#ifndef CHAPERONE_CONTROLPLANE_IDENTITY_JWK_H
#define CHAPERONE_CONTROLPLANE_IDENTITY_JWK_H

#include <cjson/cJSON.h>

#include "base/bytes.h"
#include "controlplane/identity/token.h"

struct jwk;

/* Returns owned in *out. ERR_INVALID: `why` says what is wrong with it, as the end of a sentence
 * ("it has 1024 bits, at least 2048 are expected"). */
enum err jwk_parse(const cJSON *object, struct jwk **out, struct err_text *why) MUST_USE;
void jwk_destroy(struct jwk *key); /* takes NULL */

/* True when the key may be used with the algorithm: kind, curve, and its own `alg` if it has one.
 */
bool jwk_fits(const struct jwk *key, const struct algorithm *algorithm);

/* The algorithm must fit. */
bool jwk_verify(const struct jwk *key, const struct token *t);

#endif

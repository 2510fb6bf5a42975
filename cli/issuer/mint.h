/* From what is asked for to a signed token. */
#ifndef CHAPERONE_CLI_ISSUER_MINT_H
#define CHAPERONE_CLI_ISSUER_MINT_H

#include <cjose/jwk.h>

#include "cli/issuer/issuer.h"

/* The claims as JSON. Returns owned in *out (free()). Pure. */
enum err mint_claims(const struct issuer_token *token, const char *issuer, int64_t now_s,
                     char **out, struct err_text *why) MUST_USE;

/* Returns owned in *out (free()): the compact serialisation. */
enum err mint_sign(const cjose_jwk_t *key, const char *algorithm, const char *claims, char **out,
                   struct err_text *why) MUST_USE;

#endif

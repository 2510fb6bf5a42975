/* The issuer's signing keys and their file. Not thread-safe: the issuer locks. */
#ifndef CHAPERONE_CLI_ISSUER_KEYS_H
#define CHAPERONE_CLI_ISSUER_KEYS_H

#include <cjose/jwk.h>

#include "base/bytes.h"

enum {
    /* One pair a rotation; the oldest ones go first. */
    ISSUER_KEYS_MAX = 16,
};

struct issuer_keys;

/* Reads the file, or makes keys and the file. Returns owned in *out. */
enum err issuer_keys_open(const char *directory, struct issuer_keys **out,
                          struct err_text *why) MUST_USE;
void issuer_keys_destroy(struct issuer_keys *keys); /* takes NULL */

/* Makes a new RS256 and a new ES256 key; drops those that were retired before `now_s` less
 * `keep_s`. On failure nothing has changed. */
enum err issuer_keys_rotate(struct issuer_keys *keys, int64_t now_s, int64_t keep_s,
                            struct err_text *why) MUST_USE;

/* The newest key of "RS256" or "ES256"; NULL for another algorithm. Borrows, until rotate. */
const cjose_jwk_t *issuer_keys_find(const struct issuer_keys *keys, const char *algorithm) MUST_USE;

/* The public key set (RFC 7517 section 5), without keys that were retired `keep_s` ago. Returns
 * owned (free()); NULL when memory is short. */
char *issuer_keys_jwks(const struct issuer_keys *keys, int64_t now_s, int64_t keep_s) MUST_USE;

#endif

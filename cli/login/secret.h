/* Unguessable texts of a login, and the proof that goes with one (RFC 7636). */
#ifndef CHAPERONE_CLI_LOGIN_SECRET_H
#define CHAPERONE_CLI_LOGIN_SECRET_H

#include "base/crypto/crypto.h"

/* 43 characters and a terminator: 256 bits in base64url, as RFC 7636 section 4.1 recommends. */
enum { LOGIN_SECRET_SIZE = 44 };

/* For the verifier, the state and the nonce. ERR_IO: the system gives no randomness. */
enum err login_secret_make(const struct crypto_random *random,
                           char out[LOGIN_SECRET_SIZE]) MUST_USE;

/* The code challenge of a verifier, method S256 (section 4.2). */
enum err login_secret_challenge(const char *verifier, char out[LOGIN_SECRET_SIZE]) MUST_USE;

#endif

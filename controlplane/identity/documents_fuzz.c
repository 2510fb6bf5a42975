/* The input as an issuer's discovery document and as its key set, with which tokens are checked. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "controlplane/identity/discovery.h"
#include "controlplane/identity/jwks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Empty claims under RS256, ES256, EdDSA, and PS256 with the key id "a"; signatures that are too
 * short for an RSA key, and as long as an EC and an Ed25519 one. */
static const char *const tokens[] = {
    "eyJhbGciOiJSUzI1NiJ9.e30.AAAA",
    "eyJhbGciOiJFUzI1NiJ9.e30."
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "eyJhbGciOiJFZERTQSJ9.e30."
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "eyJhbGciOiJQUzI1NiIsImtpZCI6ImEifQ.e30.AAAA",
};

static void check_tokens(const struct jwks *keys)
{
    struct err_text why;
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        struct token t;
        if (token_init(&t, bytes_of_string(tokens[i]), &why) != OK) {
            abort();
        }
        why.text[0] = '\0';
        if (jwks_verify(keys, &t, &why) != JWKS_VALID && why.text[0] == '\0') {
            abort(); /* a refusal without a reason */
        }
        token_finish(&t);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err_text why;
    char *jwks_uri = NULL;
    if (discovery_parse(bytes_of(data, size), "https://issuer.test", &jwks_uri, &why) == OK) {
        free(jwks_uri);
    }
    struct jwks *keys = NULL;
    if (jwks_parse(bytes_of(data, size), &keys, &why) == OK) {
        if (jwks_usable(keys) == 0) {
            abort();
        }
        check_tokens(keys);
        jwks_release(keys);
    }
    return 0;
}

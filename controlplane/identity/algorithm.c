#include "controlplane/identity/algorithm.h"

#include <stddef.h>
#include <string.h>

static const struct algorithm algorithms[] = {
    {.name = "RS256", .kty = "RSA"},
    {.name = "RS384", .kty = "RSA"},
    {.name = "RS512", .kty = "RSA"},
    {.name = "PS256", .kty = "RSA"},
    {.name = "PS384", .kty = "RSA"},
    {.name = "PS512", .kty = "RSA"},
    {.name = "ES256", .kty = "EC", .crv = "P-256"},
    {.name = "ES384", .kty = "EC", .crv = "P-384"},
    {.name = "ES512", .kty = "EC", .crv = "P-521"},
    {.name = "EdDSA", .kty = "OKP", .crv = "Ed25519"},
    {.name = "Ed25519", .kty = "OKP", .crv = "Ed25519"}, /* RFC 9864 */
};

const struct algorithm *algorithm_find(const char *name)
{
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        if (strcmp(algorithms[i].name, name) == 0) {
            return &algorithms[i];
        }
    }
    return NULL;
}

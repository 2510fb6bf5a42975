/* The input as a token, and as a token's claims after the signature was found good. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "controlplane/identity/claims.h"
#include "controlplane/identity/jwks.h"
#include "controlplane/identity/strict_json.h"
#include "controlplane/identity/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char keys_json[] = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"ed\","
                                "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},"
                                "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"ec\","
                                "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                                "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";

static void read_claims(cJSON *claims)
{
    static const char *const audiences[] = {"chaperone"};
    struct identity_provider_config p = identity_provider_config_default();
    p.name = "fuzz";
    p.issuer = "https://issuer.test";
    p.audiences = audiences;
    p.audience_count = 1;
    p.groups_claim = "realm_access.roles";
    struct identity *id = NULL;
    struct err_text why;
    if (claims_read(&p, claims, 1795251600 * INT64_C(1000000000), &id, &why) != OK) {
        cJSON_Delete(claims);
        return;
    }
    if (id->subject[0] == '\0' || (id->group_count > 0 && id->groups[0][0] == '\0')) {
        abort();
    }
    (void)identity_claim(id, "a.b.c.d");
    (void)identity_claim_has(id, "groups", "x");
    identity_destroy(id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err_text why;
    struct jwks *keys = NULL;
    struct token t;
    if (jwks_parse(bytes_of_string(keys_json), &keys, &why) != OK) {
        abort();
    }
    if (token_init(&t, bytes_of(data, size), &why) == OK) {
        if (jwks_verify(keys, &t, &why) == JWKS_VALID) {
            abort(); /* nobody here has the private keys */
        }
        read_claims(t.claims);
        t.claims = NULL;
        token_finish(&t);
    }
    jwks_release(keys);
    cJSON *claims = NULL;
    if (size <= TOKEN_SIZE_MAX &&
        strict_json_parse(bytes_of(data, size), "the claims", &claims, &why) == OK) {
        read_claims(claims);
    }
    return 0;
}

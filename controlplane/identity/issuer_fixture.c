#include "controlplane/identity/issuer_fixture.h"

#include <openssl/ec.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct identity_provider_config issuer_config(void)
{
    static const char *const audiences[] = {"chaperone"};
    struct identity_provider_config c = identity_provider_config_default();
    c.name = "test";
    c.issuer = FAKE_ISSUER_URL;
    c.audiences = audiences;
    c.audience_count = 1;
    return c;
}

void issuer_publish(struct fixture *f, EVP_PKEY *first, EVP_PKEY *second)
{
    char *a = first == NULL ? NULL : fake_jwk(first, "\"kid\":\"first\",");
    char *b = second == NULL ? NULL : fake_jwk(second, "\"kid\":\"second\",");
    char *json = NULL;
    assert_true(asprintf(&json, "{\"keys\":[%s%s%s]}", a == NULL ? "" : a,
                         a != NULL && b != NULL ? "," : "", b == NULL ? "" : b) > 0);
    fake_issuer_set_jwks(&f->issuer, json);
    free(json);
    free(a);
    free(b);
}

int issuer_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    fake_issuer_init(&f->issuer);
    f->first = EVP_EC_gen("P-256");
    f->second = EVP_EC_gen("P-256");
    issuer_publish(f, f->first, NULL);
    struct identity_provider_config c = issuer_config();
    assert_int_equal(identity_verifier_create(&c, 1, &f->issuer.clock, &f->issuer.fetcher,
                                              &f->verifier, &f->why),
                     OK);
    *state = f;
    return 0;
}

int issuer_teardown(void **state)
{
    struct fixture *f = *state;
    identity_verifier_destroy(f->verifier);
    fake_issuer_finish(&f->issuer);
    EVP_PKEY_free(f->first);
    EVP_PKEY_free(f->second);
    free(f);
    return 0;
}

enum err issuer_verify(struct fixture *f, EVP_PKEY *key, const char *kid)
{
    char header[128];
    char claims[256];
    (void)snprintf(header, sizeof header, "{\"alg\":\"ES256\",\"kid\":\"%s\"}", kid);
    (void)snprintf(claims, sizeof claims,
                   "{\"iss\":\"" FAKE_ISSUER_URL
                   "\",\"aud\":\"chaperone\",\"sub\":\"a\",\"exp\":4000000000}");
    char *token = fake_sign(key, "ES256", header, claims);
    struct identity *id = NULL;
    f->why.text[0] = '\0';
    enum err e = identity_verify(f->verifier, bytes_of_string(token), &id, &f->why);
    assert_true((e == OK) == (id != NULL));
    identity_destroy(id);
    free(token);
    return e;
}

void issuer_assert_why(const struct fixture *f, const char *expected)
{
    if (strstr(f->why.text, expected) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", f->why.text, expected);
    }
}

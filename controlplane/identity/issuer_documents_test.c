/* The issuer's documents, and what is configured about it. */
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/identity/issuer_fixture.h"
#include "controlplane/identity/jwks.h"
#include "controlplane/identity/keycache.h"

/* ---- documents -------------------------------------------------------------------------- */

static void assert_unavailable(struct fixture *f, const char *expected)
{
    assert_int_equal(issuer_verify(f, f->first, "first"), ERR_UNAVAILABLE);
    issuer_assert_why(f, expected);
    fake_issuer_pass(&f->issuer, KEYCACHE_BACKOFF_MAX_S);
}

static void test_bad_discovery(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *document, *expected;
    } cases[] = {
        {"", "the discovery document is empty"},
        {"<html>", "not valid JSON"},
        {"{}", "of another issuer: none instead of " FAKE_ISSUER_URL},
        {"{\"issuer\":\"https://evil.test\",\"jwks_uri\":\"https://keys.test/jwks\"}",
         "of another issuer: \"https://evil.test\" instead of"},
        {"{\"issuer\":\"" FAKE_ISSUER_URL "/\",\"jwks_uri\":\"https://keys.test/jwks\"}",
         "of another issuer"},
        {"{\"issuer\":\"" FAKE_ISSUER_URL "\",\"issuer\":\"" FAKE_ISSUER_URL "\"}", "twice"},
        {"{\"issuer\":\"" FAKE_ISSUER_URL "\"}", "names no key set (jwks_uri)"},
        {"{\"issuer\":\"" FAKE_ISSUER_URL "\",\"jwks_uri\":[]}", "names no key set (jwks_uri)"},
        {"{\"issuer\":\"" FAKE_ISSUER_URL "\",\"jwks_uri\":\"http://keys.test/jwks\"}",
         "must be https"},
        {"{\"issuer\":\"" FAKE_ISSUER_URL "\",\"jwks_uri\":\"http://localhost.evil.test/jwks\"}",
         "must be https"},
        {"{\"issuer\":\"" FAKE_ISSUER_URL "\",\"jwks_uri\":\"http://127.0.0.1@evil.test/jwks\"}",
         "must be https"},
        {"{\"issuer\":\"" FAKE_ISSUER_URL "\",\"jwks_uri\":\"file:///etc/passwd\"}",
         "is not a URL"},
        {"{\"issuer\":\"" FAKE_ISSUER_URL "\",\"jwks_uri\":\"/jwks\"}", "is not a URL"},
        {"{\"issuer\":\"" FAKE_ISSUER_URL "\",\"jwks_uri\":\"https://u:p@keys.test/jwks\"}",
         "without user, password and fragment"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fake_issuer_set_discovery(&f->issuer, cases[i].document);
        assert_unavailable(f, cases[i].expected);
    }
    assert_int_equal(f->issuer.jwks_fetches, 0);
}

static void test_large_documents(void **state)
{
    struct fixture *f = *state;
    char *megabyte = malloc((1 << 20) + 1);
    memset(megabyte, ' ', 1 << 20);
    megabyte[1 << 20] = '\0';
    fake_issuer_set_jwks(&f->issuer, megabyte);
    assert_unavailable(f, "key set: the answer is larger than 262144 bytes");
    fake_issuer_set_discovery(&f->issuer, megabyte);
    assert_unavailable(f, "discovery document: the answer is larger than 65536 bytes");
    free(megabyte);
}

static void test_keys_on_this_machine_may_be_plain(void **state)
{
    struct fixture *f = *state;
    static const char *const hosts[] = {"localhost", "127.0.0.1", "127.9.9.9", "[::1]"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        char document[256];
        (void)snprintf(document, sizeof document,
                       "{\"issuer\":\"" FAKE_ISSUER_URL "\",\"jwks_uri\":\"http://%s:8080/jwks\"}",
                       hosts[i]);
        fake_issuer_set_discovery(&f->issuer, document);
        assert_int_equal(issuer_verify(f, f->first, "first"), OK);
        assert_non_null(strstr(f->issuer.last_jwks_url, hosts[i]));
        fake_issuer_pass(&f->issuer, KEYCACHE_FRESH_MAX_S);
    }
}

static void test_bad_key_sets(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *document, *expected;
    } cases[] = {
        {"[]", "the key set is not a JSON object"},
        {"{}", "the key set has no list of keys"},
        {"{\"keys\":{}}", "the key set has no list of keys"},
        {"{\"keys\":[]}", "no key to verify with"},
        {"{\"keys\":[1]}", "of the first: it is not an object"},
        {"{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}", "its kind is none of RSA, EC and OKP"},
        {"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\"}]}", "its n or e is missing"},
        {"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", "it has 17 bits"},
        {"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQ=B\",\"e\":\"AQAB\"}]}", "its n or e is missing"},
        {"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-192\",\"x\":\"AA\",\"y\":\"AA\"}]}",
         "its curve is"},
        {"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}]}", "no point"},
        {"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
         "\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\","
         "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}]}",
         "no point of its curve"},
        {"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AA\"}]}",
         "its curve is not Ed25519"},
        {"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}]}", "not an Ed25519 key"},
        {"{\"keys\":[{\"kty\":\"RSA\",\"use\":\"enc\"}]}", "it is not for signatures (use)"},
        {"{\"keys\":[{\"kty\":\"RSA\",\"use\":1}]}", "it is not for signatures (use)"},
        {"{\"keys\":[{\"kty\":\"RSA\",\"key_ops\":[\"encrypt\"]}]}",
         "not for verification (key_ops)"},
        {"{\"keys\":[{\"kty\":\"RSA\",\"d\":\"AQAB\"}]}", "its private part was published"},
        {"{\"keys\":[{\"kty\":\"RSA\",\"alg\":\"HS256\"}]}", "its algorithm is not supported"},
        {"{\"keys\":[{\"kty\":\"OKP\",\"alg\":\"ES256\",\"crv\":\"Ed25519\","
         "\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}]}",
         "contradict each other"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fake_issuer_set_jwks(&f->issuer, cases[i].document);
        assert_unavailable(f, cases[i].expected);
    }
}

static void test_too_many_keys(void **state)
{
    struct fixture *f = *state;
    struct buffer json;
    buffer_init(&json, 1 << 16);
    assert_int_equal(buffer_append_string(&json, "{\"keys\":[1"), OK);
    for (int i = 0; i < JWKS_KEYS_MAX; i++) {
        assert_int_equal(buffer_append_string(&json, ",1"), OK);
    }
    assert_int_equal(buffer_append_string(&json, "]}"), OK);
    char *text = bytes_to_string(buffer_bytes(&json));
    fake_issuer_set_jwks(&f->issuer, text);
    assert_unavailable(f, "the key set has more than 128 keys");
    free(text);
    buffer_finish(&json);
}

/* With the exponent 1 each signature would be valid. */
static void test_rsa_exponents(void **state)
{
    struct fixture *f = *state;
    static const char *const exponents[] = {"AQ", "AAAB", "AA", "Ag", "AQAA", "AQAAAAAAAAAAAQ"};
    char modulus[343];
    memset(modulus, 'x', sizeof modulus - 1);
    modulus[sizeof modulus - 1] = '\0';
    for (size_t i = 0; i < sizeof exponents / sizeof exponents[0]; i++) {
        char document[512];
        (void)snprintf(document, sizeof document,
                       "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}]}", modulus,
                       exponents[i]);
        fake_issuer_set_jwks(&f->issuer, document);
        assert_unavailable(f, "its RSA exponent is not an odd number from 3 on");
    }
}

/* One bad key does not spoil the others, and a token that names it learns why. */
static void test_small_rsa_key(void **state)
{
    struct fixture *f = *state;
    EVP_PKEY *small = EVP_RSA_gen(1024);
    char *weak = fake_jwk(small, "\"kid\":\"weak\",");
    char *good = fake_jwk(f->first, "\"kid\":\"first\",");
    char *json = NULL;
    assert_true(asprintf(&json, "{\"keys\":[%s,%s]}", weak, good) > 0);
    fake_issuer_set_jwks(&f->issuer, json);
    assert_int_equal(issuer_verify(f, f->first, "first"), OK);
    char *claims = fake_claims("");
    char *token = fake_sign(small, "RS256", "{\"alg\":\"RS256\",\"kid\":\"weak\"}", claims);
    struct identity *id = NULL;
    assert_int_equal(identity_verify(f->verifier, bytes_of_string(token), &id, &f->why),
                     ERR_DENIED);
    issuer_assert_why(
        f, "key \"weak\", which is refused: it has 1024 bits, 2048 to 8192 are expected");
    free(token);
    free(claims);
    free(json);
    free(weak);
    free(good);
    EVP_PKEY_free(small);
}

/* ---- configuration ---------------------------------------------------------------------- */

static void refuse_config(struct fixture *f, const struct identity_provider_config *configs,
                          size_t count, const char *expected)
{
    struct identity_verifier *v = NULL;
    assert_int_equal(
        identity_verifier_create(configs, count, &f->issuer.clock, &f->issuer.fetcher, &v, &f->why),
        ERR_INVALID);
    assert_null(v);
    issuer_assert_why(f, expected);
}

static void test_algorithms_that_cannot_be_configured(void **state)
{
    static const char *const names[] = {"none", "NONE", "HS256", "HS384", "HS512", "hs256"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *list[] = {"RS256", names[i]};
        struct identity_provider_config c = issuer_config();
        c.algorithms = list;
        c.algorithm_count = 2;
        refuse_config(*state, &c, 1, "can never be allowed");
    }
    const char *unknown[] = {"RS257"};
    struct identity_provider_config c = issuer_config();
    c.algorithms = unknown;
    c.algorithm_count = 1;
    refuse_config(*state, &c, 1, "identity provider test: unknown algorithm RS257");
    c.algorithm_count = 0;
    refuse_config(*state, &c, 1, "no algorithm is allowed");
}

static void test_bad_issuers_in_the_configuration(void **state)
{
    static const struct {
        const char *issuer, *expected;
    } cases[] = {
        {NULL, "the issuer is missing"},
        {"", "the issuer is missing"},
        {"issuer.test", "is not a URL"},
        {"http://issuer.test", "must be https"},
        {"http://10.0.0.1", "must be https"},
        {"ftp://localhost", "must be https"},
        {"https://issuer.test?x=1", "without a query"},
        {"https://issuer.test#x", "without user, password and fragment"},
        {"https://u:p@issuer.test", "without user, password and fragment"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct identity_provider_config c = issuer_config();
        c.issuer = cases[i].issuer;
        refuse_config(*state, &c, 1, cases[i].expected);
    }
}

static void test_other_configuration_mistakes(void **state)
{
    struct fixture *f = *state;
    struct identity_provider_config c = issuer_config();
    c.audience_count = 0;
    refuse_config(f, &c, 1, "no audience");
    c = issuer_config();
    c.leeway_s = IDENTITY_LEEWAY_MAX_S + 1;
    refuse_config(f, &c, 1, "the leeway must be 0 to 300 seconds");
    c = issuer_config();
    c.jwks_timeout_ms = 0;
    refuse_config(f, &c, 1, "timeouts must be 1 to 30000 ms");
    c = issuer_config();
    c.groups_claim = "";
    refuse_config(f, &c, 1, "a claim's path is empty");
    c = issuer_config();
    c.name = NULL;
    refuse_config(f, &c, 1, "has no name");
    struct identity_provider_config twice[] = {issuer_config(), issuer_config()};
    refuse_config(f, twice, 2, "the issuer " FAKE_ISSUER_URL " comes twice");
}

static void test_default_algorithms(void **state)
{
    struct fixture *f = *state;
    char *claims = fake_claims("");
    EVP_PKEY *key = EVP_EC_gen("P-384");
    char *token = fake_sign(key, "ES384", "{\"alg\":\"ES384\",\"kid\":\"first\"}", claims);
    struct identity *id = NULL;
    assert_int_equal(identity_verify(f->verifier, bytes_of_string(token), &id, &f->why),
                     ERR_DENIED);
    issuer_assert_why(f, "the token's algorithm ES384 is not allowed for its issuer");
    assert_int_equal(f->issuer.discovery_fetches, 0);
    free(token);
    free(claims);
    EVP_PKEY_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ISSUER_TEST(test_bad_discovery),
        ISSUER_TEST(test_large_documents),
        ISSUER_TEST(test_keys_on_this_machine_may_be_plain),
        ISSUER_TEST(test_bad_key_sets),
        ISSUER_TEST(test_too_many_keys),
        ISSUER_TEST(test_rsa_exponents),
        ISSUER_TEST(test_small_rsa_key),
        ISSUER_TEST(test_algorithms_that_cannot_be_configured),
        ISSUER_TEST(test_bad_issuers_in_the_configuration),
        ISSUER_TEST(test_other_configuration_mistakes),
        ISSUER_TEST(test_default_algorithms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

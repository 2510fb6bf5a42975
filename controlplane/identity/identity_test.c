/* The verifier as its user sees it: tokens, good and bad, against an issuer without a network. */
#include "controlplane/identity/identity.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/identity/fake_issuer.h"

/* Made once: RSA keys take their time. */
static struct {
    EVP_PKEY *rsa, *p256, *p384, *p521, *ed25519;
} keys;

struct fixture {
    struct fake_issuer issuer;
    struct identity_verifier *verifier;
    struct err_text why;
};

static char *all_jwks(void)
{
    char *rsa = fake_jwk(keys.rsa, "\"kid\":\"rsa\",\"use\":\"sig\",");
    char *p256 = fake_jwk(keys.p256, "\"kid\":\"p256\",\"alg\":\"ES256\",");
    char *p384 = fake_jwk(keys.p384, "\"kid\":\"p384\",");
    char *p521 = fake_jwk(keys.p521, "\"kid\":\"p521\",");
    char *ed = fake_jwk(keys.ed25519, "\"kid\":\"ed\",\"alg\":\"EdDSA\",\"key_ops\":[\"verify\"],");
    char *json = NULL;
    assert_true(asprintf(&json, "{\"keys\":[%s,%s,%s,%s,%s]}", rsa, p256, p384, p521, ed) > 0);
    free(rsa);
    free(p256);
    free(p384);
    free(p521);
    free(ed);
    return json;
}

static struct identity_provider_config config(void)
{
    static const char *const audiences[] = {"chaperone"};
    static const char *const algorithms[] = {"RS256", "RS384", "RS512", "PS256", "PS384",  "PS512",
                                             "ES256", "ES384", "ES512", "EdDSA", "Ed25519"};
    struct identity_provider_config c = identity_provider_config_default();
    c.name = "test";
    c.issuer = FAKE_ISSUER_URL;
    c.audiences = audiences;
    c.audience_count = 1;
    c.algorithms = algorithms;
    c.algorithm_count = sizeof algorithms / sizeof algorithms[0];
    return c;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    fake_issuer_init(&f->issuer);
    char *jwks = all_jwks();
    fake_issuer_set_jwks(&f->issuer, jwks);
    free(jwks);
    struct identity_provider_config c = config();
    assert_int_equal(identity_verifier_create(&c, 1, &f->issuer.clock, &f->issuer.fetcher,
                                              &f->verifier, &f->why),
                     OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    identity_verifier_destroy(f->verifier);
    fake_issuer_finish(&f->issuer);
    free(f);
    return 0;
}

static int make_keys(void **state)
{
    (void)state;
    keys.rsa = EVP_RSA_gen(2048);
    keys.p256 = EVP_EC_gen("P-256");
    keys.p384 = EVP_EC_gen("P-384");
    keys.p521 = EVP_EC_gen("P-521");
    keys.ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    return keys.rsa == NULL || keys.p256 == NULL || keys.p384 == NULL || keys.p521 == NULL ||
           keys.ed25519 == NULL;
}

static int free_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(keys.rsa);
    EVP_PKEY_free(keys.p256);
    EVP_PKEY_free(keys.p384);
    EVP_PKEY_free(keys.p521);
    EVP_PKEY_free(keys.ed25519);
    return 0;
}

static enum err verify(struct fixture *f, const char *token, struct identity **out)
{
    f->why.text[0] = '\0';
    return identity_verify(f->verifier, bytes_of_string(token), out, &f->why);
}

/* Takes the token. */
static void accept(struct fixture *f, char *token)
{
    struct identity *id = NULL;
    if (verify(f, token, &id) != OK) {
        fail_msg("%s", f->why.text);
    }
    assert_string_equal(id->subject, "agent-1");
    identity_destroy(id);
    free(token);
}

/* Takes the token. No part of it that could be used may be in the sentence. */
static void refuse(struct fixture *f, char *token, const char *expected)
{
    struct identity *id = NULL;
    assert_int_equal(verify(f, token, &id), ERR_DENIED);
    assert_null(id);
    if (strstr(f->why.text, expected) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", f->why.text, expected);
    }
    const char *signature = strrchr(token, '.');
    if (signature != NULL && strlen(signature) > 8) {
        assert_null(strstr(f->why.text, signature + 1));
    }
    free(token);
}

static char *sign(EVP_PKEY *key, const char *how, const char *header)
{
    char *claims = fake_claims("");
    char *token = fake_sign(key, how, header, claims);
    free(claims);
    return token;
}

static char *sign_claims(const char *claims)
{
    return fake_sign(keys.rsa, "RS256", "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", claims);
}

/* ---- good ones -------------------------------------------------------------------------- */

static const struct {
    const char *alg, *kid;
    EVP_PKEY **key;
} algorithms[] = {
    {"RS256", "rsa", &keys.rsa},    {"RS384", "rsa", &keys.rsa},      {"RS512", "rsa", &keys.rsa},
    {"PS256", "rsa", &keys.rsa},    {"PS384", "rsa", &keys.rsa},      {"PS512", "rsa", &keys.rsa},
    {"ES256", "p256", &keys.p256},  {"ES384", "p384", &keys.p384},    {"ES512", "p521", &keys.p521},
    {"EdDSA", "ed", &keys.ed25519}, {"Ed25519", "ed", &keys.ed25519},
};
enum { ALGORITHMS = sizeof algorithms / sizeof algorithms[0] };

static void test_every_algorithm(void **state)
{
    for (size_t i = 0; i < ALGORITHMS; i++) {
        char header[128];
        (void)snprintf(header, sizeof header, "{\"typ\":\"JWT\",\"kid\":\"%s\",\"alg\":\"%s\"}",
                       algorithms[i].kid, algorithms[i].alg);
        accept(*state, sign(*algorithms[i].key, algorithms[i].alg, header));
    }
}

static void test_keys_are_fetched_once(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 5; i++) {
        accept(f, sign(keys.rsa, "RS256", "{\"alg\":\"RS256\",\"kid\":\"rsa\"}"));
    }
    assert_int_equal(f->issuer.discovery_fetches, 1);
    assert_int_equal(f->issuer.jwks_fetches, 1);
    assert_string_equal(f->issuer.last_jwks_url, "https://keys.test/jwks");
}

static void test_token_without_kid(void **state)
{
    /* One key fits ES256; for RSA algorithms, too. */
    accept(*state, sign(keys.p256, "ES256", "{\"alg\":\"ES256\"}"));
    accept(*state, sign(keys.rsa, "PS256", "{\"alg\":\"PS256\"}"));
}

static void test_token_without_kid_but_two_keys(void **state)
{
    struct fixture *f = *state;
    char *a = fake_jwk(keys.p256, "\"kid\":\"a\",");
    char *b = fake_jwk(keys.p256, "");
    char *json = NULL;
    assert_true(asprintf(&json, "{\"keys\":[%s,%s]}", a, b) > 0);
    fake_issuer_set_jwks(&f->issuer, json);
    refuse(f, sign(keys.p256, "ES256", "{\"alg\":\"ES256\"}"), "names no key (kid)");
    accept(f, sign(keys.p256, "ES256", "{\"alg\":\"ES256\",\"kid\":\"a\"}"));
    free(a);
    free(b);
    free(json);
}

/* ---- signatures ------------------------------------------------------------------------- */

static void test_alg_none(void **state)
{
    static const char *const names[] = {"none", "None", "NONE", "nOnE", "NoNe", "nonE"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char header[64];
        (void)snprintf(header, sizeof header, "{\"alg\":\"%s\",\"kid\":\"rsa\"}", names[i]);
        refuse(*state, sign(NULL, NULL, header), "the token is unsigned (algorithm \"");
        refuse(*state, sign(keys.rsa, "RS256", header), "the token is unsigned (algorithm \"");
    }
}

static void test_hmac_with_the_public_key(void **state)
{
    char *pem = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PUBKEY(bio, keys.rsa), 1);
    long size = BIO_get_mem_data(bio, &pem);
    char *claims = fake_claims("");
    static const char *const headers[] = {"{\"alg\":\"HS256\",\"kid\":\"rsa\"}",
                                          "{\"alg\":\"HS512\"}", "{\"alg\":\"hs256\"}"};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        refuse(*state, fake_sign_hmac(bytes_of(pem, (size_t)size), headers[i], claims),
               "signed with a shared secret");
    }
    /* The header lies about what made the signature. */
    refuse(
        *state,
        fake_sign_hmac(bytes_of(pem, (size_t)size), "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", claims),
        "the token's signature is wrong");
    BIO_free(bio);
    free(claims);
}

static void test_missing_signature(void **state)
{
    refuse(*state, sign(NULL, NULL, "{\"alg\":\"RS256\",\"kid\":\"rsa\"}"),
           "its signature is missing");
}

/* Every byte of header, payload and signature counts; every algorithm. */
static void test_changed_tokens(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < ALGORITHMS; i++) {
        char header[128];
        (void)snprintf(header, sizeof header, "{\"kid\":\"%s\",\"alg\":\"%s\"}", algorithms[i].kid,
                       algorithms[i].alg);
        char *good = sign(*algorithms[i].key, algorithms[i].alg, header);
        size_t size = strlen(good);
        /* The last character may hold bits that no byte needs. */
        for (size_t at = 0; at < size - 1; at += 7) {
            char *bad = strdup(good);
            if (bad[at] == '.') {
                free(bad);
                continue;
            }
            bad[at] = bad[at] == 'A' ? 'B' : 'A';
            struct identity *id = NULL;
            enum err e = verify(f, bad, &id);
            if (e != ERR_DENIED) {
                fail_msg("%s, byte %zu: %s", algorithms[i].alg, at, err_name(e));
            }
            free(bad);
        }
        free(good);
    }
}

static void test_truncated_tokens(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < ALGORITHMS; i++) {
        char header[128];
        (void)snprintf(header, sizeof header, "{\"kid\":\"%s\",\"alg\":\"%s\"}", algorithms[i].kid,
                       algorithms[i].alg);
        char *good = sign(*algorithms[i].key, algorithms[i].alg, header);
        for (size_t size = 0; size < strlen(good); size++) {
            /* A copy of that size, so that a read beyond its end is seen by ASan. */
            char *cut = malloc(size == 0 ? 1 : size);
            memcpy(cut, good, size);
            struct identity *id = NULL;
            assert_int_equal(identity_verify(f->verifier, bytes_of(cut, size), &id, &f->why),
                             ERR_DENIED);
            free(cut);
        }
        free(good);
    }
}

/* A signature with something behind it is another signature. */
static void test_signature_with_a_tail(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < ALGORITHMS; i++) {
        char header[128];
        (void)snprintf(header, sizeof header, "{\"kid\":\"%s\",\"alg\":\"%s\"}", algorithms[i].kid,
                       algorithms[i].alg);
        char *good = sign(*algorithms[i].key, algorithms[i].alg, header);
        /* Whole bytes behind it: what is left of the last group is filled up with zeros. */
        size_t rest = (size_t)(good + strlen(good) - strrchr(good, '.') - 1) % 4;
        char *longer = NULL;
        assert_true(asprintf(&longer, "%s%sAAAA", good,
                             rest == 2   ? "AA"
                             : rest == 3 ? "A"
                                         : "") > 0);
        refuse(f, longer, "the token's signature is wrong");
        free(good);
    }
}

/* A key that names its algorithm is for no other one. */
static void test_key_for_one_algorithm(void **state)
{
    struct fixture *f = *state;
    char *jwk = fake_jwk(keys.rsa, "\"kid\":\"rsa\",\"alg\":\"PS256\",");
    char *json = NULL;
    assert_true(asprintf(&json, "{\"keys\":[%s]}", jwk) > 0);
    fake_issuer_set_jwks(&f->issuer, json);
    accept(f, sign(keys.rsa, "PS256", "{\"alg\":\"PS256\",\"kid\":\"rsa\"}"));
    refuse(f, sign(keys.rsa, "RS256", "{\"alg\":\"RS256\",\"kid\":\"rsa\"}"),
           "key \"rsa\" is not for the token's algorithm RS256");
    free(json);
    free(jwk);
}

static void test_algorithm_and_key_must_fit(void **state)
{
    static const struct {
        const char *header;
        const char *how;
        EVP_PKEY **key;
        const char *expected;
    } cases[] = {
        {"{\"alg\":\"RS256\",\"kid\":\"p256\"}", "RS256", &keys.rsa,
         "key \"p256\" is not for the token's algorithm RS256"},
        {"{\"alg\":\"ES256\",\"kid\":\"rsa\"}", "ES256", &keys.p256, "is not for the token's"},
        {"{\"alg\":\"ES384\",\"kid\":\"p256\"}", "ES256", &keys.p256, "is not for the token's"},
        {"{\"alg\":\"EdDSA\",\"kid\":\"p256\"}", "EdDSA", &keys.ed25519, "is not for the token's"},
        {"{\"alg\":\"PS256\",\"kid\":\"rsa\"}", "RS256", &keys.rsa, "signature is wrong"},
        {"{\"alg\":\"RS256\",\"kid\":\"rsa\"}", "PS256", &keys.rsa, "signature is wrong"},
        {"{\"alg\":\"RS512\",\"kid\":\"rsa\"}", "RS256", &keys.rsa, "signature is wrong"},
        {"{\"alg\":\"ES256\",\"kid\":\"p256\"}", "EdDSA", &keys.ed25519, "signature is wrong"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        refuse(*state, sign(*cases[i].key, cases[i].how, cases[i].header), cases[i].expected);
    }
}

static void test_bad_headers(void **state)
{
    static const struct {
        const char *header, *expected;
    } cases[] = {
        {"{\"kid\":\"rsa\"}", "names no algorithm"},
        {"{\"alg\":5,\"kid\":\"rsa\"}", "names no algorithm"},
        {"{\"alg\":\"\",\"kid\":\"rsa\"}", "algorithm \"\" is not supported"},
        {"{\"alg\":\"RS256 \",\"kid\":\"rsa\"}", "is not supported"},
        {"{\"alg\":\"rs256\",\"kid\":\"rsa\"}", "is not supported"},
        {"{\"alg\":\"ES256K\",\"kid\":\"p256\"}", "is not supported"},
        {"{\"alg\":\"dir\",\"enc\":\"A128GCM\"}", "is not supported"},
        {"{\"alg\":\"RS256\",\"kid\":7}", "key id (kid) is not a string"},
        {"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"crit\":[\"b64\"],\"b64\":false}", "(crit)"},
        {"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"crit\":[]}", "(crit)"},
        {"{\"alg\":\"none\",\"alg\":\"RS256\",\"kid\":\"rsa\"}",
         "the token's header has the member \"alg\" twice"},
        {"{\"alg\":\"RS256\",\"kid\":\"rsa\"", "header is not valid JSON"},
        {"[\"RS256\"]", "header is not a JSON object"},
        {"{\"alg\":\"RS256\",\"kid\":\"rsa\\u0000\"}", "NUL"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        refuse(*state, sign(keys.rsa, "RS256", cases[i].header), cases[i].expected);
    }
}

/* A token that brings its own key is not believed. */
static void test_embedded_key_is_ignored(void **state)
{
    EVP_PKEY *mine = EVP_EC_gen("P-256");
    char *jwk = fake_jwk(mine, "");
    char *header = NULL;
    assert_true(asprintf(&header, "{\"alg\":\"ES256\",\"kid\":\"p256\",\"jwk\":%s}", jwk) > 0);
    refuse(*state, sign(mine, "ES256", header), "the token's signature is wrong");
    free(header);
    assert_true(
        asprintf(&header, "{\"alg\":\"ES256\",\"jwk\":%s,\"jku\":\"https://evil.test\"}", jwk) > 0);
    refuse(*state, sign(mine, "ES256", header), "the token's signature is wrong");
    free(header);
    free(jwk);
    EVP_PKEY_free(mine);
}

/* ---- shapes ----------------------------------------------------------------------------- */

static void test_garbage(void **state)
{
    static const struct {
        const char *token, *expected;
    } cases[] = {
        {"", "the token is empty"},
        {"opaque", "it has 1 parts between dots, 3 are expected"},
        {"a.b", "it has 2 parts"},
        {"a.b.c.d", "it has 4 parts"},
        {"a.b.c.d.e", "is encrypted (JWE)"},
        {"..", "the token's header is not base64url"},
        {"eyJ9.e30.AA ", "no JWT has (byte 12 of 12)"},
        {"e30=.e30.AA", "no JWT has (byte 4 of 11)"},
        {"e+0.e30.AA", "no JWT has"},
        {"AAAAA.e30.AA", "is not base64url"},
        {"Bearer e30.e30.AA", "no JWT has"},
        {"\xff\xfe.\x01.\x02", "no JWT has"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        refuse(*state, strdup(cases[i].token), cases[i].expected);
    }
}

static void test_large_tokens(void **state)
{
    char *text = malloc(20000);
    memset(text, 'a', 19999);
    text[19999] = '\0';
    refuse(*state, strdup(text), "larger than 16384 bytes");
    char *header = NULL;
    assert_true(asprintf(&header, "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"x\":\"%.8000s\"}", text) >
                0);
    refuse(*state, sign(keys.rsa, "RS256", header), "the token's header is larger than 8192 bytes");
    free(header);
    assert_true(asprintf(&header, "{\"alg\":\"RS256\",\"kid\":\"%.1000s\"}", text) > 0);
    refuse(*state, sign(keys.rsa, "RS256", header), "(kid) is not a string of at most");
    free(header);
    free(text);
}

static void test_many_groups_fit(void **state)
{
    struct fixture *f = *state;
    struct buffer groups;
    buffer_init(&groups, 16384);
    assert_int_equal(buffer_append_string(&groups, "\"groups\":[\"g0\""), OK);
    for (int i = 1; i < 1000; i++) {
        assert_int_equal(buffer_append_format(&groups, ",\"g%d\"", i), OK);
    }
    assert_int_equal(buffer_append_string(&groups, "],"), OK);
    char *extra = bytes_to_string(buffer_bytes(&groups));
    char *claims = fake_claims(extra);
    char *token = sign_claims(claims);
    struct identity *id = NULL;
    assert_int_equal(verify(f, token, &id), OK);
    assert_int_equal(id->group_count, 1000);
    assert_string_equal(id->groups[999], "g999");
    identity_destroy(id);
    free(token);
    free(claims);
    free(extra);
    buffer_finish(&groups);
}

/* ---- claims ----------------------------------------------------------------------------- */

static void test_claims_through_the_verifier(void **state)
{
    static const struct {
        const char *claims, *expected;
    } cases[] = {
        {"{\"iss\":\"" FAKE_ISSUER_URL "\",\"aud\":\"chaperone\",\"sub\":\"a\",\"exp\":1795251000}",
         "the token expired at 2026-11-21T08:50:00"},
        {"{\"iss\":\"" FAKE_ISSUER_URL "\",\"aud\":\"chaperone\",\"sub\":\"a\",\"exp\":1795252000,"
         "\"nbf\":1795251900}",
         "not valid before 2026-11-21T09:05:00"},
        {"{\"iss\":\"" FAKE_ISSUER_URL "\",\"aud\":\"other\",\"sub\":\"a\",\"exp\":1795252000}",
         "for the audience \"other\", expected is \"chaperone\""},
        {"{\"iss\":\"https://evil.test\",\"aud\":\"chaperone\",\"sub\":\"a\",\"exp\":1795252000}",
         "the token's issuer \"https://evil.test\" is not configured"},
        {"{\"iss\":\"" FAKE_ISSUER_URL
         "/\",\"aud\":\"chaperone\",\"sub\":\"a\",\"exp\":1795252000}",
         "is not configured"},
        {"{\"aud\":\"chaperone\",\"sub\":\"a\",\"exp\":1795252000}", "the token's issuer (none)"},
        {"{\"iss\":\"" FAKE_ISSUER_URL
         "\",\"aud\":\"chaperone\",\"sub\":\"agent\",\"exp\":1795252000,"
         "\"sub\":\"admin\"}",
         "the token's payload has the member \"sub\" twice"},
        {"\"text\"", "payload is not a JSON object"},
        {"{", "payload is not valid JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        refuse(*state, sign_claims(cases[i].claims), cases[i].expected);
    }
}

/* A token that is both expired and forged is forged: what it says means nothing. */
static void test_signature_comes_first(void **state)
{
    refuse(*state,
           fake_sign(keys.p256, "ES256", "{\"alg\":\"RS256\",\"kid\":\"rsa\"}",
                     "{\"iss\":\"" FAKE_ISSUER_URL "\",\"aud\":\"x\",\"sub\":\"a\",\"exp\":1}"),
           "the token's signature is wrong");
}

static void test_identity_outlives_the_verifier(void **state)
{
    struct fixture *f = *state;
    char *claims = fake_claims("\"reason\":\"why\",\"groups\":[\"g\"],");
    char *token = sign_claims(claims);
    struct identity *id = NULL;
    assert_int_equal(verify(f, token, &id), OK);
    free(token);
    free(claims);
    identity_verifier_destroy(f->verifier);
    f->verifier = NULL;
    assert_string_equal(id->issuer, FAKE_ISSUER_URL);
    assert_string_equal(id->provider, "test");
    assert_string_equal(id->audience, "chaperone");
    assert_string_equal(id->groups[0], "g");
    assert_string_equal(id->reasons[0].source, "token:reason");
    identity_destroy(id);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_every_algorithm),
        TEST(test_keys_are_fetched_once),
        TEST(test_token_without_kid),
        TEST(test_token_without_kid_but_two_keys),
        TEST(test_alg_none),
        TEST(test_hmac_with_the_public_key),
        TEST(test_missing_signature),
        TEST(test_changed_tokens),
        TEST(test_truncated_tokens),
        TEST(test_signature_with_a_tail),
        TEST(test_key_for_one_algorithm),
        TEST(test_algorithm_and_key_must_fit),
        TEST(test_bad_headers),
        TEST(test_embedded_key_is_ignored),
        TEST(test_garbage),
        TEST(test_large_tokens),
        TEST(test_many_groups_fit),
        TEST(test_claims_through_the_verifier),
        TEST(test_signature_comes_first),
        TEST(test_identity_outlives_the_verifier),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}

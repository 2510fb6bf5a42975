/* The issuer's side: its documents, its keys over time, its absence, the configuration. */
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/identity/fake_issuer.h"
#include "controlplane/identity/jwks.h"
#include "controlplane/identity/keycache.h"

struct fixture {
    struct fake_issuer issuer;
    struct identity_verifier *verifier;
    struct err_text why;
    EVP_PKEY *first, *second;
};

static struct identity_provider_config config(void)
{
    static const char *const audiences[] = {"chaperone"};
    struct identity_provider_config c = identity_provider_config_default();
    c.name = "test";
    c.issuer = FAKE_ISSUER_URL;
    c.audiences = audiences;
    c.audience_count = 1;
    return c;
}

/* The issuer's keys are now these, called "first" and "second"; NULL: it has it not. */
static void publish(struct fixture *f, EVP_PKEY *first, EVP_PKEY *second)
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

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    fake_issuer_init(&f->issuer);
    f->first = EVP_EC_gen("P-256");
    f->second = EVP_EC_gen("P-256");
    publish(f, f->first, NULL);
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
    EVP_PKEY_free(f->first);
    EVP_PKEY_free(f->second);
    free(f);
    return 0;
}

static enum err verify(struct fixture *f, EVP_PKEY *key, const char *kid)
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

static void assert_why(const struct fixture *f, const char *expected)
{
    if (strstr(f->why.text, expected) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", f->why.text, expected);
    }
}

/* ---- rotation --------------------------------------------------------------------------- */

static void test_rotated_key_is_fetched_at_once(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(verify(f, f->first, "first"), OK);
    publish(f, f->first, f->second);
    assert_int_equal(verify(f, f->second, "second"), OK);
    assert_int_equal(verify(f, f->first, "first"), OK);
    assert_int_equal(f->issuer.jwks_fetches, 2);
}

static void test_unknown_kid_is_rationed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(verify(f, f->first, "first"), OK);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(verify(f, f->second, "second"), ERR_DENIED);
        assert_why(f, "the token is signed with an unknown key \"second\"");
    }
    assert_int_equal(f->issuer.jwks_fetches, 2); /* the first, and one because of the unknown key */
    publish(f, f->first, f->second);
    fake_issuer_pass(&f->issuer, KEYCACHE_REFETCH_S - 1);
    assert_int_equal(verify(f, f->second, "second"), ERR_DENIED);
    assert_int_equal(f->issuer.jwks_fetches, 2);
    fake_issuer_pass(&f->issuer, 1);
    assert_int_equal(verify(f, f->second, "second"), OK);
    assert_int_equal(f->issuer.jwks_fetches, 3);
}

static void test_withdrawn_key(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(verify(f, f->first, "first"), OK);
    publish(f, NULL, f->second);
    assert_int_equal(verify(f, f->first, "first"), OK); /* cached */
    fake_issuer_pass(&f->issuer, KEYCACHE_FRESH_DEFAULT_S);
    assert_int_equal(verify(f, f->first, "first"), ERR_DENIED);
    assert_why(f, "unknown key \"first\"");
}

static void test_cache_control(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *header;
        int64_t fresh_s;
    } cases[] = {
        {"", KEYCACHE_FRESH_DEFAULT_S},
        {"public", KEYCACHE_FRESH_DEFAULT_S},
        {"max-age=120", 120},
        {"public, MAX-AGE=3600, must-revalidate", 3600},
        {"max-age=0", KEYCACHE_FRESH_MIN_S},
        {"max-age=-5", KEYCACHE_FRESH_MIN_S},
        {"no-store", KEYCACHE_FRESH_MIN_S},
        {"no-cache, max-age=3600", KEYCACHE_FRESH_MIN_S},
        {"max-age=99999999999999999999999", KEYCACHE_FRESH_MAX_S},
        {"max-age=x", KEYCACHE_FRESH_MIN_S},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        f->issuer.cache_control = cases[i].header;
        fake_issuer_pass(&f->issuer, KEYCACHE_FRESH_MAX_S); /* what was cached is old now */
        int before = f->issuer.jwks_fetches;
        assert_int_equal(verify(f, f->first, "first"), OK);
        assert_int_equal(f->issuer.jwks_fetches, before + 1);
        fake_issuer_pass(&f->issuer, cases[i].fresh_s - 1);
        assert_int_equal(verify(f, f->first, "first"), OK);
        assert_int_equal(f->issuer.jwks_fetches, before + 1);
        fake_issuer_pass(&f->issuer, 1);
        assert_int_equal(verify(f, f->first, "first"), OK);
        assert_int_equal(f->issuer.jwks_fetches, before + 2);
    }
}

/* ---- absence ---------------------------------------------------------------------------- */

static void test_down_without_keys(void **state)
{
    struct fixture *f = *state;
    f->issuer.down = true;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(verify(f, f->first, "first"), ERR_UNAVAILABLE);
        assert_why(f, "the keys of issuer " FAKE_ISSUER_URL
                      " cannot be fetched: discovery document: connection refused");
    }
    assert_int_equal(f->issuer.discovery_fetches, 1); /* a storm of tokens, one request */
    for (int i = 0; i < 600; i++) {
        fake_issuer_pass(&f->issuer, 1);
        assert_int_equal(verify(f, f->first, "first"), ERR_UNAVAILABLE);
    }
    /* After 1, 2, 4, 8, 16 and then each 30 seconds. */
    assert_in_range(f->issuer.discovery_fetches, 20, 26);
    f->issuer.down = false;
    fake_issuer_pass(&f->issuer, KEYCACHE_BACKOFF_MAX_S);
    assert_int_equal(verify(f, f->first, "first"), OK);
}

static void test_down_with_keys(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(verify(f, f->first, "first"), OK);
    f->issuer.down = true;
    fake_issuer_pass(&f->issuer, KEYCACHE_USABLE_S - 1);
    assert_int_equal(verify(f, f->first, "first"), OK);
    struct identity_provider_status status;
    identity_verifier_read_status(f->verifier, 0, &status);
    assert_true(status.failing);
    assert_int_equal(status.keys, 1);
    assert_int_equal(status.keys_age_s, KEYCACHE_USABLE_S - 1);
    assert_non_null(strstr(status.last_error.text, "connection refused"));
    fake_issuer_pass(&f->issuer, 1);
    assert_int_equal(verify(f, f->first, "first"), ERR_UNAVAILABLE);
    assert_why(f, "connection refused");
    identity_verifier_read_status(f->verifier, 0, &status);
    assert_int_equal(status.keys, 0);
}

/* Only the issuer could say whether the key is its own. */
static void test_down_and_unknown_key(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(verify(f, f->first, "first"), OK);
    f->issuer.down = true;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(verify(f, f->second, "second"), ERR_UNAVAILABLE);
        assert_why(f, "unknown key \"second\"");
        assert_why(f, "connection refused");
    }
    assert_int_equal(f->issuer.discovery_fetches, 2);
    assert_int_equal(verify(f, f->first, "first"), OK);
}

/* ---- documents -------------------------------------------------------------------------- */

static void assert_unavailable(struct fixture *f, const char *expected)
{
    assert_int_equal(verify(f, f->first, "first"), ERR_UNAVAILABLE);
    assert_why(f, expected);
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
        assert_int_equal(verify(f, f->first, "first"), OK);
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
    assert_int_equal(verify(f, f->first, "first"), OK);
    char *claims = fake_claims("");
    char *token = fake_sign(small, "RS256", "{\"alg\":\"RS256\",\"kid\":\"weak\"}", claims);
    struct identity *id = NULL;
    assert_int_equal(identity_verify(f->verifier, bytes_of_string(token), &id, &f->why),
                     ERR_DENIED);
    assert_why(f, "key \"weak\", which is refused: it has 1024 bits, 2048 to 8192 are expected");
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
    assert_why(f, expected);
}

static void test_algorithms_that_cannot_be_configured(void **state)
{
    static const char *const names[] = {"none", "NONE", "HS256", "HS384", "HS512", "hs256"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *list[] = {"RS256", names[i]};
        struct identity_provider_config c = config();
        c.algorithms = list;
        c.algorithm_count = 2;
        refuse_config(*state, &c, 1, "can never be allowed");
    }
    const char *unknown[] = {"RS257"};
    struct identity_provider_config c = config();
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
        struct identity_provider_config c = config();
        c.issuer = cases[i].issuer;
        refuse_config(*state, &c, 1, cases[i].expected);
    }
}

static void test_other_configuration_mistakes(void **state)
{
    struct fixture *f = *state;
    struct identity_provider_config c = config();
    c.audience_count = 0;
    refuse_config(f, &c, 1, "no audience");
    c = config();
    c.leeway_s = IDENTITY_LEEWAY_MAX_S + 1;
    refuse_config(f, &c, 1, "the leeway must be 0 to 300 seconds");
    c = config();
    c.jwks_timeout_ms = 0;
    refuse_config(f, &c, 1, "timeouts must be 1 to 30000 ms");
    c = config();
    c.groups_claim = "";
    refuse_config(f, &c, 1, "a claim's path is empty");
    c = config();
    c.name = NULL;
    refuse_config(f, &c, 1, "has no name");
    struct identity_provider_config twice[] = {config(), config()};
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
    assert_why(f, "the token's algorithm ES384 is not allowed for its issuer");
    assert_int_equal(f->issuer.discovery_fetches, 0);
    free(token);
    free(claims);
    EVP_PKEY_free(key);
}

/* ---- threads ---------------------------------------------------------------------------- */

enum { THREADS = 8 };

struct crowd {
    struct keycache *cache;
    pthread_barrier_t start;
    struct identity_fetcher inner;
    pthread_mutex_t lock;
    int inside, most_inside, arrived;
};

/* The first request is under way while all the others ask. */
static void wait_for_the_others(struct crowd *crowd)
{
    bool here = false;
    while (!here) {
        (void)pthread_mutex_lock(&crowd->lock);
        here = crowd->arrived == THREADS;
        (void)pthread_mutex_unlock(&crowd->lock);
        (void)sched_yield();
    }
    for (int i = 0; i < 10000; i++) {
        (void)sched_yield(); /* from having arrived to asking is a few instructions */
    }
}

static enum err count_fetch(void *context, const struct identity_fetch_request *request,
                            struct identity_fetch_response *out, struct err_text *why)
{
    struct crowd *crowd = context;
    (void)pthread_mutex_lock(&crowd->lock);
    crowd->inside++;
    crowd->most_inside = crowd->inside > crowd->most_inside ? crowd->inside : crowd->most_inside;
    (void)pthread_mutex_unlock(&crowd->lock);
    wait_for_the_others(crowd);
    enum err e = crowd->inner.fetch(crowd->inner.context, request, out, why);
    (void)pthread_mutex_lock(&crowd->lock);
    crowd->inside--;
    (void)pthread_mutex_unlock(&crowd->lock);
    return e;
}

static void *ask_for_keys(void *context)
{
    struct crowd *crowd = context;
    (void)pthread_barrier_wait(&crowd->start);
    (void)pthread_mutex_lock(&crowd->lock);
    crowd->arrived++;
    (void)pthread_mutex_unlock(&crowd->lock);
    for (int i = 0; i < 200; i++) {
        struct jwks *keys = NULL;
        uint64_t edition = 0;
        if (keycache_get(crowd->cache, &keys, &edition, NULL) != OK) {
            return crowd;
        }
        jwks_release(keys);
        keys = NULL;
        if (keycache_renew(crowd->cache, edition, &keys, NULL) == ERR_UNAVAILABLE) {
            return crowd;
        }
        jwks_release(keys);
    }
    return NULL;
}

struct seen {
    size_t count;
    char issuer[128], key_id[64], jwk[1024];
};

static void on_key(void *context, const char *issuer, const char *key_id, const char *jwk)
{
    struct seen *seen = context;
    seen->count++;
    (void)snprintf(seen->issuer, sizeof(seen->issuer), "%s", issuer);
    (void)snprintf(seen->key_id, sizeof(seen->key_id), "%s", key_id);
    (void)snprintf(seen->jwk, sizeof(seen->jwk), "%s", jwk);
}

/* What an auditor asks years later: with which key was this token checked? */
static void test_keys_are_told_when_they_have_come(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {.count = 0};
    struct identity_provider_config c = config();
    f->issuer.fetcher.on_key = on_key;
    f->issuer.fetcher.key_context = &seen;
    identity_verifier_destroy(f->verifier);
    f->verifier = NULL;
    assert_int_equal(identity_verifier_create(&c, 1, &f->issuer.clock, &f->issuer.fetcher,
                                              &f->verifier, &f->why),
                     OK);
    assert_int_equal(verify(f, f->first, "first"), OK);
    assert_int_equal(verify(f, f->first, "first"), OK);
    assert_int_equal(seen.count, 1); /* as often as they are fetched, not as they are used */
    assert_string_equal(seen.issuer, FAKE_ISSUER_URL);
    assert_string_equal(seen.key_id, "first");
    assert_non_null(strstr(seen.jwk, "\"kty\":\"EC\""));
    assert_null(strstr(seen.jwk, "\"d\""));
    publish(f, f->first, f->second);
    assert_int_equal(verify(f, f->second, "second"), OK);
    assert_int_equal(seen.count, 3);
    assert_string_equal(seen.key_id, "second");
}

static void test_many_threads_one_request(void **state)
{
    struct fixture *f = *state;
    struct crowd crowd = {.inner = f->issuer.fetcher};
    struct identity_fetcher counting = {.fetch = count_fetch, .context = &crowd};
    struct keycache_config c = {.issuer = FAKE_ISSUER_URL,
                                .discovery_timeout_ms = 1,
                                .jwks_timeout_ms = 1,
                                .clock = &f->issuer.clock,
                                .fetcher = &counting};
    crowd.cache = keycache_create(&c);
    assert_int_equal(pthread_barrier_init(&crowd.start, NULL, THREADS), 0);
    assert_int_equal(pthread_mutex_init(&crowd.lock, NULL), 0);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask_for_keys, &crowd), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(crowd.most_inside, 1);
    assert_int_equal(f->issuer.jwks_fetches, 2); /* the clock stands still: one each */
    keycache_destroy(crowd.cache);
    (void)pthread_barrier_destroy(&crowd.start);
    (void)pthread_mutex_destroy(&crowd.lock);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_rotated_key_is_fetched_at_once),
        TEST(test_unknown_kid_is_rationed),
        TEST(test_withdrawn_key),
        TEST(test_cache_control),
        TEST(test_down_without_keys),
        TEST(test_down_with_keys),
        TEST(test_down_and_unknown_key),
        TEST(test_bad_discovery),
        TEST(test_large_documents),
        TEST(test_keys_on_this_machine_may_be_plain),
        TEST(test_bad_key_sets),
        TEST(test_too_many_keys),
        TEST(test_rsa_exponents),
        TEST(test_small_rsa_key),
        TEST(test_algorithms_that_cannot_be_configured),
        TEST(test_bad_issuers_in_the_configuration),
        TEST(test_other_configuration_mistakes),
        TEST(test_default_algorithms),
        TEST(test_keys_are_told_when_they_have_come),
        TEST(test_many_threads_one_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "controlplane/identity/fake_issuer.h"

#include <cjose/base64.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

enum { DOCUMENT_CAP = 4 << 20 };

static int64_t wall(void *context)
{
    return ((struct fake_issuer *)context)->wall_ns;
}

static int64_t monotonic(void *context)
{
    return ((struct fake_issuer *)context)->monotonic_ns;
}

static enum err fetch(void *context, const struct identity_fetch_request *request,
                      struct identity_fetch_response *out, struct err_text *why)
{
    struct fake_issuer *f = context;
    bool discovery = strstr(request->url, "/.well-known/openid-configuration") != NULL;
    if (discovery) {
        f->discovery_fetches++;
        assert_string_equal(request->url, FAKE_ISSUER_URL "/.well-known/openid-configuration");
    } else {
        f->jwks_fetches++;
        (void)snprintf(f->last_jwks_url, sizeof f->last_jwks_url, "%s", request->url);
    }
    if (f->down) {
        return err_set(why, ERR_UNAVAILABLE, "connection refused");
    }
    if (buffer_append(&out->body, buffer_bytes(discovery ? &f->discovery : &f->jwks)) != OK) {
        return err_set(why, ERR_LIMIT, "the answer is larger than %zu bytes", out->body.cap);
    }
    (void)snprintf(out->cache_control, sizeof out->cache_control, "%s", f->cache_control);
    return OK;
}

void fake_issuer_init(struct fake_issuer *f)
{
    *f = (struct fake_issuer){
        .clock = {.wall_ns = wall, .monotonic_ns = monotonic, .context = f},
        .fetcher = {.fetch = fetch, .context = f},
        .wall_ns = FAKE_ISSUER_NOW_S * INT64_C(1000000000),
        .monotonic_ns = 1,
        .cache_control = "",
    };
    buffer_init(&f->discovery, DOCUMENT_CAP);
    buffer_init(&f->jwks, DOCUMENT_CAP);
    fake_issuer_set_discovery(f, "{\"issuer\":\"" FAKE_ISSUER_URL "\",\"jwks_uri\":"
                                 "\"https://keys.test/jwks\"}");
}

void fake_issuer_finish(struct fake_issuer *f)
{
    buffer_finish(&f->discovery);
    buffer_finish(&f->jwks);
}

void fake_issuer_pass(struct fake_issuer *f, int64_t seconds)
{
    f->wall_ns += seconds * INT64_C(1000000000);
    f->monotonic_ns += seconds * INT64_C(1000000000);
}

void fake_issuer_set_discovery(struct fake_issuer *f, const char *json)
{
    buffer_clear(&f->discovery);
    assert_int_equal(buffer_append_string(&f->discovery, json), OK);
}

void fake_issuer_set_jwks(struct fake_issuer *f, const char *json)
{
    buffer_clear(&f->jwks);
    assert_int_equal(buffer_append_string(&f->jwks, json), OK);
}

/* ---- keys ------------------------------------------------------------------------------- */

static char *encode(const uint8_t *data, size_t size)
{
    char *text = NULL;
    size_t text_size = 0;
    cjose_err e;
    assert_true(cjose_base64url_encode(data, size, &text, &text_size, &e));
    return text;
}

/* The parameter as base64url; `size` 0: as short as it can be. */
static char *encode_number(EVP_PKEY *key, const char *name, int size)
{
    uint8_t bytes[1024];
    BIGNUM *n = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(key, name, &n), 1);
    int written = BN_bn2binpad(n, bytes, size == 0 ? BN_num_bytes(n) : size);
    assert_true(written > 0);
    BN_free(n);
    return encode(bytes, (size_t)written);
}

static int coordinate_size(EVP_PKEY *key)
{
    return (EVP_PKEY_get_bits(key) + 7) / 8;
}

static const char *curve_name(EVP_PKEY *key)
{
    int bits = EVP_PKEY_get_bits(key);
    return bits == 256 ? "P-256" : bits == 384 ? "P-384" : "P-521";
}

char *fake_jwk(EVP_PKEY *key, const char *extra)
{
    char *first = NULL;
    char *second = NULL;
    char *json = NULL;
    int size = -1;
    if (EVP_PKEY_is_a(key, "RSA")) {
        first = encode_number(key, OSSL_PKEY_PARAM_RSA_N, 0);
        second = encode_number(key, OSSL_PKEY_PARAM_RSA_E, 0);
        size =
            asprintf(&json, "{%s\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}", extra, first, second);
    } else if (EVP_PKEY_is_a(key, "EC")) {
        first = encode_number(key, OSSL_PKEY_PARAM_EC_PUB_X, coordinate_size(key));
        second = encode_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, coordinate_size(key));
        size = asprintf(&json, "{%s\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"}", extra,
                        curve_name(key), first, second);
    } else {
        uint8_t raw[32];
        size_t raw_size = sizeof raw;
        assert_int_equal(EVP_PKEY_get_raw_public_key(key, raw, &raw_size), 1);
        first = encode(raw, raw_size);
        size =
            asprintf(&json, "{%s\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}", extra, first);
    }
    assert_true(size > 0);
    free(first);
    free(second);
    return json;
}

/* ---- tokens ----------------------------------------------------------------------------- */

static char *signing_input(const char *header, const char *payload)
{
    char *h = encode((const uint8_t *)header, strlen(header));
    char *p = encode((const uint8_t *)payload, strlen(payload));
    char *input = NULL;
    assert_true(asprintf(&input, "%s.%s", h, p) > 0);
    free(h);
    free(p);
    return input;
}

static char *finish_token(char *input, const uint8_t *signature, size_t size)
{
    char *s = encode(signature, size);
    char *token = NULL;
    assert_true(asprintf(&token, "%s.%s", input, s) > 0);
    free(s);
    free(input);
    return token;
}

static const EVP_MD *digest_of(const char *how)
{
    if (how[0] == 'E' && how[1] == 'd') {
        return NULL;
    }
    return strstr(how, "256") != NULL   ? EVP_sha256()
           : strstr(how, "384") != NULL ? EVP_sha384()
                                        : EVP_sha512();
}

/* From DER to the two numbers, each padded (RFC 7518 section 3.4). */
static size_t flatten_ecdsa(EVP_PKEY *key, uint8_t *signature, size_t size)
{
    const uint8_t *at = signature;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)size);
    assert_non_null(sig);
    int half = coordinate_size(key);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(sig), signature, half), half);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(sig), signature + half, half), half);
    ECDSA_SIG_free(sig);
    return 2 * (size_t)half;
}

char *fake_sign(EVP_PKEY *key, const char *how, const char *header, const char *payload)
{
    char *input = signing_input(header, payload);
    uint8_t signature[1024];
    size_t size = sizeof signature;
    if (how == NULL) {
        return finish_token(input, signature, 0);
    }
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *options = NULL;
    assert_int_equal(EVP_DigestSignInit(context, &options, digest_of(how), NULL, key), 1);
    if (how[0] == 'P') {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST), 1);
    }
    assert_int_equal(
        EVP_DigestSign(context, signature, &size, (const uint8_t *)input, strlen(input)), 1);
    EVP_MD_CTX_free(context);
    if (how[0] == 'E' && how[1] == 'S') {
        size = flatten_ecdsa(key, signature, size);
    }
    return finish_token(input, signature, size);
}

char *fake_sign_hmac(struct bytes secret, const char *header, const char *payload)
{
    char *input = signing_input(header, payload);
    uint8_t signature[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    assert_non_null(HMAC(EVP_sha256(), secret.data, (int)secret.size, (const uint8_t *)input,
                         strlen(input), signature, &size));
    return finish_token(input, signature, size);
}

char *fake_claims(const char *extra)
{
    char *json = NULL;
    assert_true(asprintf(&json,
                         "{%s\"iss\":\"" FAKE_ISSUER_URL "\",\"aud\":\"chaperone\","
                         "\"sub\":\"agent-1\",\"exp\":%d}",
                         extra, FAKE_ISSUER_NOW_S + 600) > 0);
    return json;
}

#include "controlplane/identity/jwk.h"

#include <cjose/base64.h>
#include <cjose/jwk.h>
#include <cjose/jws.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "base/crypto/crypto.h"
#include "controlplane/identity/jwks.h"
#include "controlplane/identity/strict_json.h"

struct jwk {
    const struct algorithm *algorithm; /* its `alg`; NULL: any of its kind */
    const char *kty;
    const char *crv;    /* NULL for RSA */
    cjose_jwk_t *cjose; /* RSA and EC */
    uint8_t ed25519[CRYPTO_ED25519_PUBLIC_SIZE];
    size_t signature_size;
};

/* Returns owned; NULL when the member is missing or no base64url. */
static uint8_t *decode_member(const cJSON *object, const char *name, size_t *out_size)
{
    const char *text = strict_json_string(object, name);
    uint8_t *data = NULL;
    cjose_err e;
    if (text == NULL || text[0] == '\0' || strchr(text, '=') != NULL || strlen(text) % 4 == 1 ||
        !cjose_base64url_decode(text, strlen(text), &data, out_size, &e)) {
        return NULL;
    }
    return data;
}

static size_t leading_zeros(const uint8_t *n, size_t size)
{
    size_t zeros = 0;
    while (zeros < size && n[zeros] == 0) {
        zeros++;
    }
    return zeros;
}

static size_t count_bits(const uint8_t *n, size_t size)
{
    size_t bits = 0;
    for (unsigned top = size == 0 ? 0 : n[0]; top > 0; top >>= 1) {
        bits++;
    }
    return size == 0 ? 0 : (size - 1) * 8 + bits;
}

/* Odd, at least 3, at most 64 bits: with 1 every signature would be valid. */
static bool is_exponent(const uint8_t *e, size_t size)
{
    return size >= 1 && size <= 8 && (e[size - 1] & 1) == 1 && (size > 1 || e[0] >= 3);
}

static enum err set_rsa(struct jwk *key, struct bytes n, struct bytes e, struct err_text *why)
{
    size_t n_zeros = leading_zeros(n.data, n.size);
    size_t e_zeros = leading_zeros(e.data, e.size);
    size_t bits = count_bits(n.data + n_zeros, n.size - n_zeros);
    if (bits < JWKS_RSA_BITS_MIN || bits > JWKS_RSA_BITS_MAX) {
        return err_set(why, ERR_INVALID, "it has %zu bits, %d to %d are expected", bits,
                       JWKS_RSA_BITS_MIN, JWKS_RSA_BITS_MAX);
    }
    if (!is_exponent(e.data + e_zeros, e.size - e_zeros)) {
        return err_set(why, ERR_INVALID, "its RSA exponent is not an odd number from 3 on");
    }
    cjose_err error;
    cjose_jwk_rsa_keyspec spec = {.n = (uint8_t *)n.data + n_zeros,
                                  .nlen = n.size - n_zeros,
                                  .e = (uint8_t *)e.data + e_zeros,
                                  .elen = e.size - e_zeros};
    key->cjose = cjose_jwk_create_RSA_spec(&spec, &error);
    key->signature_size = (bits + 7) / 8;
    return key->cjose != NULL ? OK : err_set(why, ERR_INVALID, "it is not a valid RSA key");
}

static enum err parse_rsa(struct jwk *key, const cJSON *object, struct err_text *why)
{
    size_t n_size = 0;
    size_t e_size = 0;
    uint8_t *n = decode_member(object, "n", &n_size);
    uint8_t *e = decode_member(object, "e", &e_size);
    enum err result = n == NULL || e == NULL
                          ? err_set(why, ERR_INVALID, "its n or e is missing or not base64url")
                          : set_rsa(key, bytes_of(n, n_size), bytes_of(e, e_size), why);
    free(n);
    free(e);
    return result;
}

static const struct curve {
    const char *name;
    cjose_jwk_ec_curve cjose;
    size_t size; /* of a coordinate */
} curves[] = {
    {"P-256", CJOSE_JWK_EC_P_256, 32},
    {"P-384", CJOSE_JWK_EC_P_384, 48},
    {"P-521", CJOSE_JWK_EC_P_521, 66},
};

static const struct curve *find_curve(const char *name)
{
    for (size_t i = 0; name != NULL && i < sizeof curves / sizeof curves[0]; i++) {
        if (strcmp(curves[i].name, name) == 0) {
            return &curves[i];
        }
    }
    return NULL;
}

static enum err parse_ec(struct jwk *key, const cJSON *object, struct err_text *why)
{
    const struct curve *curve = find_curve(strict_json_string(object, "crv"));
    if (curve == NULL) {
        return err_set(why, ERR_INVALID, "its curve is none of P-256, P-384 and P-521");
    }
    cjose_jwk_ec_keyspec spec = {.crv = curve->cjose};
    spec.x = decode_member(object, "x", &spec.xlen);
    spec.y = decode_member(object, "y", &spec.ylen);
    /* RFC 7518 section 6.2.1.2: the full size of a coordinate, always. */
    if (spec.x != NULL && spec.y != NULL && spec.xlen == curve->size && spec.ylen == curve->size) {
        cjose_err error;
        key->cjose = cjose_jwk_create_EC_spec(&spec, &error);
    }
    free(spec.x);
    free(spec.y);
    key->crv = curve->name;
    key->signature_size = 2 * curve->size;
    return key->cjose != NULL ? OK
                              : err_set(why, ERR_INVALID, "its x and y are no point of its curve");
}

static enum err parse_okp(struct jwk *key, const cJSON *object, struct err_text *why)
{
    const char *crv = strict_json_string(object, "crv");
    if (crv == NULL || strcmp(crv, "Ed25519") != 0) {
        return err_set(why, ERR_INVALID, "its curve is not Ed25519");
    }
    size_t size = 0;
    uint8_t *x = decode_member(object, "x", &size);
    bool good = x != NULL && size == sizeof key->ed25519;
    if (good) {
        memcpy(key->ed25519, x, size);
    }
    free(x);
    key->crv = "Ed25519";
    key->signature_size = CRYPTO_ED25519_SIGNATURE_SIZE;
    return good ? OK : err_set(why, ERR_INVALID, "its x is not an Ed25519 key of 32 bytes");
}

static bool allows_verification(const cJSON *operations)
{
    const cJSON *one = NULL;
    cJSON_ArrayForEach(one, operations)
    {
        if (cJSON_IsString(one) && strcmp(one->valuestring, "verify") == 0) {
            return true;
        }
    }
    return false;
}

static enum err check_purpose(struct jwk *key, const cJSON *object, struct err_text *why)
{
    const cJSON *use = cJSON_GetObjectItemCaseSensitive(object, "use");
    if (use != NULL && (!cJSON_IsString(use) || strcmp(use->valuestring, "sig") != 0)) {
        return err_set(why, ERR_INVALID, "it is not for signatures (use)");
    }
    const cJSON *operations = cJSON_GetObjectItemCaseSensitive(object, "key_ops");
    if (operations != NULL && !allows_verification(operations)) {
        return err_set(why, ERR_INVALID, "it is not for verification (key_ops)");
    }
    if (cJSON_GetObjectItemCaseSensitive(object, "d") != NULL) {
        return err_set(why, ERR_INVALID, "its private part was published");
    }
    const cJSON *alg = cJSON_GetObjectItemCaseSensitive(object, "alg");
    if (alg == NULL) {
        return OK;
    }
    key->algorithm = cJSON_IsString(alg) ? algorithm_find(alg->valuestring) : NULL;
    return key->algorithm != NULL ? OK
                                  : err_set(why, ERR_INVALID, "its algorithm is not supported");
}

static enum err parse_kind(struct jwk *key, const cJSON *object, struct err_text *why)
{
    static const struct {
        const char *kty;
        enum err (*parse)(struct jwk *key, const cJSON *object, struct err_text *why);
    } kinds[] = {{"RSA", parse_rsa}, {"EC", parse_ec}, {"OKP", parse_okp}};
    const char *kty = strict_json_string(object, "kty");
    for (size_t i = 0; kty != NULL && i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].kty, kty) == 0) {
            key->kty = kinds[i].kty;
            return kinds[i].parse(key, object, why);
        }
    }
    return err_set(why, ERR_INVALID, "its kind is none of RSA, EC and OKP");
}

enum err jwk_parse(const cJSON *object, struct jwk **out, struct err_text *why)
{
    struct jwk *key = calloc(1, sizeof *key);
    if (key == NULL) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    enum err e = check_purpose(key, object, why);
    if (e == OK) {
        e = parse_kind(key, object, why);
    }
    if (e == OK && key->algorithm != NULL && !jwk_fits(key, key->algorithm)) {
        e = err_set(why, ERR_INVALID, "its algorithm and its kind contradict each other");
    }
    /* What failed is said in `why`; a later user of OpenSSL in this thread must not find it. */
    ERR_clear_error();
    if (e != OK) {
        jwk_destroy(key);
        return e;
    }
    *out = key;
    return OK;
}

void jwk_destroy(struct jwk *key)
{
    if (key != NULL) {
        if (key->cjose != NULL) {
            (void)cjose_jwk_release(key->cjose);
        }
        free(key);
    }
}

bool jwk_fits(const struct jwk *key, const struct algorithm *algorithm)
{
    if (key->kty == NULL || strcmp(key->kty, algorithm->kty) != 0) {
        return false;
    }
    if (algorithm->crv != NULL && (key->crv == NULL || strcmp(key->crv, algorithm->crv) != 0)) {
        return false;
    }
    /* An OKP key says "EdDSA" or, since RFC 9864, "Ed25519", of the same thing. */
    return key->algorithm == NULL || key->algorithm == algorithm || strcmp(key->kty, "OKP") == 0;
}

static bool verify_cjose(const struct jwk *key, const struct token *t)
{
    cjose_err error;
    cjose_jws_t *jws = cjose_jws_import((const char *)t->compact.data, t->compact.size, &error);
    bool valid = jws != NULL && cjose_jws_verify(jws, key->cjose, &error);
    cjose_jws_release(jws);
    ERR_clear_error();
    return valid;
}

bool jwk_verify(const struct jwk *key, const struct token *t)
{
    /* The key fixes the length (RFC 7518 sections 3.3 to 3.5); cjose need not be relied on for it.
     */
    if (t->signature_size != key->signature_size) {
        return false;
    }
    if (key->cjose != NULL) {
        return verify_cjose(key, t);
    }
    /* cjose 0.6.2 has no EdDSA (RFC 8037 section 3.1). */
    return crypto_ed25519_verify(bytes_of(key->ed25519, sizeof key->ed25519), t->signing_input,
                                 bytes_of(t->signature, t->signature_size));
}

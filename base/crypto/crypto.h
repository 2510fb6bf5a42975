/* Hashes, keys and randomness, the same in the process that links BoringSSL and in the one that
 * links OpenSSL 3.
 *
 * Depend on //base/crypto:crypto_boringssl or :crypto_openssl, never on both in one process; a
 * library that must work in either depends on :crypto_headers and leaves the choice to the
 * binary. Nothing here keeps global state of its own. Hash and MAC contexts live in the
 * caller's memory, allocate nothing, cannot fail, and may be copied by assignment to go on
 * from a common prefix. */
#ifndef CHAPERONE_BASE_CRYPTO_CRYPTO_H
#define CHAPERONE_BASE_CRYPTO_CRYPTO_H

#include "base/bytes.h"

enum {
    CRYPTO_SHA256_SIZE = 32,
    CRYPTO_MD5_SIZE = 16,
    CRYPTO_ED25519_PUBLIC_SIZE = 32,
    CRYPTO_ED25519_SIGNATURE_SIZE = 64,
    /* SubjectPublicKeyInfo of an Ed25519 key (RFC 8410 section 4): always the same length. */
    CRYPTO_ED25519_DER_SIZE = 44,
};

/* ---- SHA-256 (FIPS 180-4) ------------------------------------------------------------- */

struct crypto_sha256 {
    uint64_t opaque[14];
};

void crypto_sha256_init(struct crypto_sha256 *hash);
void crypto_sha256_update(struct crypto_sha256 *hash, struct bytes data);
/* Writes CRYPTO_SHA256_SIZE bytes and wipes the context; init it to use it again. */
void crypto_sha256_finish(struct crypto_sha256 *hash, uint8_t *out);
void crypto_sha256_of(struct bytes data, uint8_t *out);

/* ---- HMAC-SHA-256 (RFC 2104) ---------------------------------------------------------- */

struct crypto_hmac {
    struct crypto_sha256 inner, outer;
};

void crypto_hmac_init(struct crypto_hmac *mac, struct bytes key);
void crypto_hmac_update(struct crypto_hmac *mac, struct bytes data);
/* Writes CRYPTO_SHA256_SIZE bytes and wipes the context. */
void crypto_hmac_finish(struct crypto_hmac *mac, uint8_t *out);
void crypto_hmac_of(struct bytes key, struct bytes data, uint8_t *out);

/* ---- PBKDF2-HMAC-SHA-256 (RFC 8018 section 5.2), first block: 32 bytes ----------------- */

/* In slices, so that a loop thread can do other work between them: the number of iterations is
 * chosen by the other side. */
struct crypto_pbkdf2 {
    struct crypto_hmac keyed;
    uint8_t last[CRYPTO_SHA256_SIZE];
    uint8_t sum[CRYPTO_SHA256_SIZE];
    uint32_t remaining;
};

/* `iterations` is at least 1. */
void crypto_pbkdf2_init(struct crypto_pbkdf2 *kdf, struct bytes password, struct bytes salt,
                        uint32_t iterations);
/* Does at most `slice` iterations; true when all are done. */
bool crypto_pbkdf2_step(struct crypto_pbkdf2 *kdf, uint32_t slice);
/* Writes CRYPTO_SHA256_SIZE bytes after step said true, and wipes the context. */
void crypto_pbkdf2_finish(struct crypto_pbkdf2 *kdf, uint8_t *out);
void crypto_pbkdf2_of(struct bytes password, struct bytes salt, uint32_t iterations, uint8_t *out);

/* ---- MD5: for PostgreSQL's md5 login and nothing else ---------------------------------- */

void crypto_md5_of(struct bytes data, uint8_t *out); /* CRYPTO_MD5_SIZE bytes */

/* ---- Randomness, comparison ------------------------------------------------------------ */

/* The random source as an argument, so that a test can give known bytes. */
struct crypto_random {
    enum err (*fill)(void *context, uint8_t *out, size_t size);
    void *context;
};

/* The TLS library's generator. ERR_IO when it has no entropy; never weaker bytes instead. */
struct crypto_random crypto_random_system(void);

static inline enum err MUST_USE crypto_random_fill(const struct crypto_random *random, uint8_t *out,
                                                   size_t size)
{
    return random->fill(random->context, out, size);
}

/* In a time that depends on the sizes only. */
bool crypto_equal(struct bytes a, struct bytes b);

/* ---- Hex and base64 (RFC 4648 section 4, padded) ---------------------------------------- */

/* Lower case; `out` has 2 * data.size + 1 bytes, the last one the terminator. */
void crypto_hex_encode(struct bytes data, char *out);
/* Either case; `text` must be exactly 2 * size digits, else ERR_INVALID. */
enum err crypto_hex_decode(struct bytes text, uint8_t *out, size_t size) MUST_USE;

/* Both append to `out`, whose cap holds. */
enum err crypto_base64_encode(struct bytes data, struct buffer *out) MUST_USE;
/* Strict: no white space, exact padding, unused bits zero; else ERR_INVALID. */
enum err crypto_base64_decode(struct bytes text, struct buffer *out) MUST_USE;

/* ---- Ed25519 (RFC 8032) ----------------------------------------------------------------- */

/* A private key; its memory is wiped by destroy. Signing with one from several threads is safe. */
struct crypto_ed25519;

enum err crypto_ed25519_generate(struct crypto_ed25519 **out) MUST_USE; /* returns owned */
/* PKCS#8 (RFC 8410 section 7) in PEM, not encrypted. ERR_INVALID for anything else. */
enum err crypto_ed25519_from_pem(struct bytes pem, struct crypto_ed25519 **out,
                                 struct err_text *why) MUST_USE; /* returns owned */
enum err crypto_ed25519_to_pem(const struct crypto_ed25519 *key, struct buffer *out) MUST_USE;
/* From a file. ERR_NOT_FOUND when there is none; ERR_DENIED when it can be read by others than
 * its owner. */
enum err crypto_ed25519_load(const char *path, struct crypto_ed25519 **out,
                             struct err_text *why) MUST_USE; /* returns owned */
/* To a file of mode 0600, atomically: the path names the old key or the new one, both whole,
 * whenever the machine stops. */
enum err crypto_ed25519_store(const struct crypto_ed25519 *key, const char *path,
                              struct err_text *why) MUST_USE;
/* What the file has; at a first start, where there is none, a new key that is in it then. */
enum err crypto_ed25519_load_or_make(const char *path, struct crypto_ed25519 **out,
                                     struct err_text *why) MUST_USE; /* returns owned */
void crypto_ed25519_destroy(struct crypto_ed25519 *key);             /* takes NULL */

/* Writes CRYPTO_ED25519_PUBLIC_SIZE bytes. */
void crypto_ed25519_public(const struct crypto_ed25519 *key, uint8_t *out);
/* Writes CRYPTO_ED25519_SIGNATURE_SIZE bytes. */
enum err crypto_ed25519_sign(const struct crypto_ed25519 *key, struct bytes message,
                             uint8_t *out) MUST_USE;
/* `public_key` is 32 bytes; false for a wrong signature and for a wrong size of either. */
bool crypto_ed25519_verify(struct bytes public_key, struct bytes message, struct bytes signature);

/* SubjectPublicKeyInfo: CRYPTO_ED25519_DER_SIZE bytes from CRYPTO_ED25519_PUBLIC_SIZE ones, and
 * back (ERR_INVALID when it is not exactly one Ed25519 key). */
enum err crypto_ed25519_public_to_der(const uint8_t *public_key, uint8_t *out) MUST_USE;
enum err crypto_ed25519_public_from_der(struct bytes der, uint8_t *out) MUST_USE;

#endif

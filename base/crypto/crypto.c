#include "base/crypto/crypto.h"

#include "base/crypto/crypto_library.h"
#include "base/hex.h"

#include <openssl/evp.h>
#include <openssl/md5.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

enum { HMAC_BLOCK_SIZE = 64 };

_Static_assert(sizeof(SHA256_CTX) <= sizeof(struct crypto_sha256), "the context does not fit");
_Static_assert(_Alignof(SHA256_CTX) <= _Alignof(struct crypto_sha256), "the context is misaligned");
_Static_assert(SHA256_DIGEST_LENGTH == CRYPTO_SHA256_SIZE, "size of SHA-256");
_Static_assert(MD5_DIGEST_LENGTH == CRYPTO_MD5_SIZE, "size of MD5");

#ifndef OPENSSL_IS_BORINGSSL
/* gRPC's threads outlive main(): the library must not be taken down at exit while they still
 * use it, and what they hold is freed when they end only as long as it stands. */
__attribute__((constructor)) static void keep_library_until_the_end(void)
{
    (void)OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
}
#endif

static SHA256_CTX *sha256_context(struct crypto_sha256 *hash)
{
    return (SHA256_CTX *)(void *)hash->opaque;
}

/* The low-level functions return 1 always; in both libraries they are pure arithmetic. */
void crypto_sha256_init(struct crypto_sha256 *hash)
{
    (void)SHA256_Init(sha256_context(hash));
}

void crypto_sha256_update(struct crypto_sha256 *hash, struct bytes data)
{
    if (data.size > 0) {
        (void)SHA256_Update(sha256_context(hash), data.data, data.size);
    }
}

void crypto_sha256_finish(struct crypto_sha256 *hash, uint8_t *out)
{
    (void)SHA256_Final(out, sha256_context(hash));
    OPENSSL_cleanse(hash, sizeof(*hash));
}

void crypto_sha256_of(struct bytes data, uint8_t *out)
{
    struct crypto_sha256 hash;
    crypto_sha256_init(&hash);
    crypto_sha256_update(&hash, data);
    (void)SHA256_Final(out, sha256_context(&hash));
}

static void hmac_pad(struct crypto_sha256 *hash, const uint8_t *key, uint8_t pad)
{
    uint8_t block[HMAC_BLOCK_SIZE];
    for (size_t i = 0; i < sizeof(block); i++) {
        block[i] = key[i] ^ pad;
    }
    crypto_sha256_init(hash);
    crypto_sha256_update(hash, bytes_of(block, sizeof(block)));
    OPENSSL_cleanse(block, sizeof(block));
}

void crypto_hmac_init(struct crypto_hmac *mac, struct bytes key)
{
    uint8_t block[HMAC_BLOCK_SIZE] = {0};
    if (key.size > sizeof(block)) {
        crypto_sha256_of(key, block);
    } else if (key.size > 0) {
        memcpy(block, key.data, key.size);
    }
    hmac_pad(&mac->inner, block, 0x36);
    hmac_pad(&mac->outer, block, 0x5c);
    OPENSSL_cleanse(block, sizeof(block));
}

void crypto_hmac_update(struct crypto_hmac *mac, struct bytes data)
{
    crypto_sha256_update(&mac->inner, data);
}

/* Without the wipe: PBKDF2 does this a million times and wipes once. */
static void hmac_final(struct crypto_hmac *mac, uint8_t *out)
{
    uint8_t inner[CRYPTO_SHA256_SIZE];
    (void)SHA256_Final(inner, sha256_context(&mac->inner));
    (void)SHA256_Update(sha256_context(&mac->outer), inner, sizeof(inner));
    (void)SHA256_Final(out, sha256_context(&mac->outer));
}

void crypto_hmac_finish(struct crypto_hmac *mac, uint8_t *out)
{
    hmac_final(mac, out);
    OPENSSL_cleanse(mac, sizeof(*mac));
}

void crypto_hmac_of(struct bytes key, struct bytes data, uint8_t *out)
{
    struct crypto_hmac mac;
    crypto_hmac_init(&mac, key);
    crypto_hmac_update(&mac, data);
    crypto_hmac_finish(&mac, out);
}

void crypto_pbkdf2_init(struct crypto_pbkdf2 *kdf, struct bytes password, struct bytes salt,
                        uint32_t iterations)
{
    static const uint8_t first_block[] = {0, 0, 0, 1};
    crypto_hmac_init(&kdf->keyed, password);
    struct crypto_hmac mac = kdf->keyed;
    crypto_hmac_update(&mac, salt);
    crypto_hmac_update(&mac, bytes_of(first_block, sizeof(first_block)));
    crypto_hmac_finish(&mac, kdf->last);
    memcpy(kdf->sum, kdf->last, sizeof(kdf->sum));
    kdf->remaining = iterations > 0 ? iterations - 1 : 0;
}

bool crypto_pbkdf2_step(struct crypto_pbkdf2 *kdf, uint32_t slice)
{
    struct crypto_hmac mac;
    for (; slice > 0 && kdf->remaining > 0; slice--, kdf->remaining--) {
        mac = kdf->keyed;
        crypto_hmac_update(&mac, bytes_of(kdf->last, sizeof(kdf->last)));
        hmac_final(&mac, kdf->last);
        for (size_t i = 0; i < sizeof(kdf->sum); i++) {
            kdf->sum[i] ^= kdf->last[i];
        }
    }
    OPENSSL_cleanse(&mac, sizeof(mac));
    return kdf->remaining == 0;
}

void crypto_pbkdf2_finish(struct crypto_pbkdf2 *kdf, uint8_t *out)
{
    memcpy(out, kdf->sum, sizeof(kdf->sum));
    OPENSSL_cleanse(kdf, sizeof(*kdf));
}

void crypto_pbkdf2_of(struct bytes password, struct bytes salt, uint32_t iterations, uint8_t *out)
{
    struct crypto_pbkdf2 kdf;
    crypto_pbkdf2_init(&kdf, password, salt, iterations);
    (void)crypto_pbkdf2_step(&kdf, UINT32_MAX);
    crypto_pbkdf2_finish(&kdf, out);
}

void crypto_md5_of(struct bytes data, uint8_t *out)
{
    MD5_CTX md5;
    (void)MD5_Init(&md5);
    if (data.size > 0) {
        (void)MD5_Update(&md5, data.data, data.size);
    }
    (void)MD5_Final(out, &md5);
    OPENSSL_cleanse(&md5, sizeof(md5));
}

static enum err random_fill(void *context, uint8_t *out, size_t size)
{
    (void)context;
    for (size_t done = 0; done < size;) {
        size_t part = size - done < (1U << 20) ? size - done : (1U << 20);
        if (RAND_bytes(out + done, (library_size)part) != 1) {
            return ERR_IO;
        }
        done += part;
    }
    return OK;
}

struct crypto_random crypto_random_system(void)
{
    return (struct crypto_random){.fill = random_fill};
}

bool crypto_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || CRYPTO_memcmp(a.data, b.data, a.size) == 0);
}

void crypto_hex_encode(struct bytes data, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < data.size; i++) {
        out[2 * i] = digits[data.data[i] >> 4];
        out[2 * i + 1] = digits[data.data[i] & 15];
    }
    out[2 * data.size] = '\0';
}

enum err crypto_hex_decode(struct bytes text, uint8_t *out, size_t size)
{
    if (text.size % 2 != 0 || text.size / 2 != size) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (hex_value(text.data[i]) < 0) {
            return ERR_INVALID;
        }
    }
    for (size_t i = 0; i < size; i++) {
        out[i] = (uint8_t)(hex_value(text.data[2 * i]) << 4 | hex_value(text.data[2 * i + 1]));
    }
    return OK;
}

/* The library's block functions take an int. */
enum { BASE64_MAX = 1 << 29 };

enum err crypto_base64_encode(struct bytes data, struct buffer *out)
{
    if (data.size > BASE64_MAX) {
        return ERR_LIMIT;
    }
    if (data.size == 0) {
        return OK;
    }
    size_t size = (data.size + 2) / 3 * 4;
    size_t held = buffer_size(out);
    if (held > out->cap || size > out->cap - held) {
        return ERR_LIMIT;
    }
    /* The library writes a terminator behind the text: the last quantum goes through a block of
     * ours, so that the caller's cap may be exact. */
    uint8_t *at = buffer_reserve(out, size);
    if (at == NULL) {
        return ERR_NO_MEMORY;
    }
    size_t whole = (data.size - 1) / 3 * 3;
    uint8_t block[5];
    (void)EVP_EncodeBlock(block, data.data + whole, (library_size)(data.size - whole));
    if (whole > 0) {
        (void)EVP_EncodeBlock(at, data.data, (library_size)whole);
    }
    memcpy(at + size - 4, block, 4);
    buffer_commit(out, size);
    return OK;
}

static bool base64_is_digit(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
}

/* The number of '=' at the end; 3 when the text is not base64. The library's own check skips
 * white space and stops at a dash. */
static size_t base64_padding(struct bytes text)
{
    if (text.size % 4 != 0 || text.size == 0) {
        return 3;
    }
    size_t padding = 0;
    while (padding < 2 && text.data[text.size - 1 - padding] == '=') {
        padding++;
    }
    for (size_t i = 0; i < text.size - padding; i++) {
        if (!base64_is_digit(text.data[i])) {
            return 3;
        }
    }
    return padding;
}

enum err crypto_base64_decode(struct bytes text, struct buffer *out)
{
    if (text.size == 0) {
        return OK;
    }
    if (text.size > BASE64_MAX) {
        return ERR_LIMIT;
    }
    size_t padding = base64_padding(text);
    uint8_t last[4], again[5];
    if (padding > 2 || EVP_DecodeBlock(last, text.data + text.size - 4, 4) != 3) {
        return ERR_INVALID;
    }
    (void)EVP_EncodeBlock(again, last, (library_size)(3 - padding));
    if (memcmp(again, text.data + text.size - 4, 4) != 0) {
        return ERR_INVALID; /* one value must have one spelling */
    }
    size_t whole = text.size / 4 * 3 - 3, size = whole + 3 - padding;
    size_t held = buffer_size(out);
    if (held > out->cap || size > out->cap - held) {
        return ERR_LIMIT;
    }
    uint8_t *at = buffer_reserve(out, size);
    if (at == NULL) {
        return ERR_NO_MEMORY;
    }
    if (whole > 0 && EVP_DecodeBlock(at, text.data, (library_size)(text.size - 4)) != (int)whole) {
        return ERR_INVALID;
    }
    memcpy(at + whole, last, 3 - padding);
    buffer_commit(out, size);
    return OK;
}

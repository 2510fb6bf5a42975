#include "cli/login/secret.h"

/* base64url without padding (RFC 4648 section 5) of 32 bytes. */
static enum err encode(const uint8_t data[CRYPTO_SHA256_SIZE], char out[LOGIN_SECRET_SIZE])
{
    struct buffer text;
    buffer_init(&text, 64);
    enum err e = crypto_base64_encode(bytes_of(data, CRYPTO_SHA256_SIZE), &text);
    struct bytes all = buffer_bytes(&text);
    for (size_t i = 0; e == OK && i + 1 < LOGIN_SECRET_SIZE; i++) {
        out[i] = all.data[i] == '+' ? '-' : all.data[i] == '/' ? '_' : (char)all.data[i];
    }
    out[LOGIN_SECRET_SIZE - 1] = '\0';
    buffer_wipe(&text);
    return e;
}

enum err login_secret_make(const struct crypto_random *random, char out[LOGIN_SECRET_SIZE])
{
    uint8_t data[CRYPTO_SHA256_SIZE];
    enum err e = crypto_random_fill(random, data, sizeof(data));
    e = e != OK ? e : encode(data, out);
    bytes_wipe(data, sizeof(data));
    return e;
}

enum err login_secret_challenge(const char *verifier, char out[LOGIN_SECRET_SIZE])
{
    uint8_t hash[CRYPTO_SHA256_SIZE];
    crypto_sha256_of(bytes_of_string(verifier), hash);
    return encode(hash, out);
}

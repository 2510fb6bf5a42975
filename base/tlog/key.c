#include "base/tlog/key.h"

#include <stdio.h>

#include "base/tlog/text.h"

static uint32_t key_id(struct bytes name, uint8_t type, const uint8_t *public_key)
{
    const uint8_t between[] = {'\n', type};
    uint8_t digest[CRYPTO_SHA256_SIZE];
    struct crypto_sha256 hash;
    crypto_sha256_init(&hash);
    crypto_sha256_update(&hash, name);
    crypto_sha256_update(&hash, bytes_of(between, sizeof(between)));
    crypto_sha256_update(&hash, bytes_of(public_key, CRYPTO_ED25519_PUBLIC_SIZE));
    crypto_sha256_finish(&hash, digest);
    return (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 | (uint32_t)digest[2] << 8 |
           (uint32_t)digest[3];
}

enum err tlog_verifier_init(struct bytes name, enum tlog_key_type type, const uint8_t *public_key,
                            struct tlog_verifier *out)
{
    if (!text_is_name(name, TLOG_NAME_MAX)) {
        return ERR_INVALID;
    }
    struct tlog_verifier verifier = {.type = type, .id = key_id(name, (uint8_t)type, public_key)};
    memcpy(verifier.name, name.data, name.size);
    memcpy(verifier.public_key, public_key, CRYPTO_ED25519_PUBLIC_SIZE);
    *out = verifier;
    return OK;
}

/* Takes what is before the next plus off `rest`. */
static bool take_part(struct bytes *rest, struct bytes *out)
{
    const uint8_t *plus = rest->size == 0 ? NULL : memchr(rest->data, '+', rest->size);
    if (plus == NULL) {
        return false;
    }
    *out = bytes_of(rest->data, (size_t)(plus - rest->data));
    *rest = bytes_of(plus + 1, rest->size - out->size - 1);
    return true;
}

enum err tlog_verifier_parse(struct bytes text, struct tlog_verifier *out, struct err_text *why)
{
    struct bytes rest = text, name = {0}, id = {0};
    uint8_t key[1 + CRYPTO_ED25519_PUBLIC_SIZE];
    struct tlog_verifier verifier;
    char expected[16];
    if (text.size > TLOG_VERIFIER_TEXT_MAX || !take_part(&rest, &name) || !take_part(&rest, &id)) {
        return err_set(why, ERR_INVALID,
                       "not a verifier key; expected name+8 hexadecimal digits+base64");
    }
    enum err e = text_to_bytes(rest, key, sizeof(key));
    if (e != OK) {
        return err_set(why, e, "the key is not base64 of a type byte and an Ed25519 public key");
    }
    if (key[0] != TLOG_KEY_ED25519 && key[0] != TLOG_KEY_COSIGNATURE) {
        return err_set(why, ERR_INVALID, "a key of type %u; only Ed25519 is known (1 and 4)",
                       (unsigned)key[0]);
    }
    if (tlog_verifier_init(name, (enum tlog_key_type)key[0], key + 1, &verifier) != OK) {
        return err_set(why, ERR_INVALID,
                       "the key's name is empty, longer than %d bytes or has a character that is "
                       "not allowed",
                       (int)TLOG_NAME_MAX);
    }
    (void)snprintf(expected, sizeof(expected), "%08x", (unsigned)verifier.id);
    if (!bytes_equal_string(id, expected)) {
        return err_set(why, ERR_INVALID,
                       "the key's hash is not %s, which its name and key make: a part was changed",
                       expected);
    }
    *out = verifier;
    return OK;
}

enum err tlog_verifier_format(const struct tlog_verifier *verifier, struct buffer *out)
{
    uint8_t key[1 + CRYPTO_ED25519_PUBLIC_SIZE] = {(uint8_t)verifier->type};
    memcpy(key + 1, verifier->public_key, CRYPTO_ED25519_PUBLIC_SIZE);
    size_t before = buffer_size(out);
    enum err e = buffer_append_format(out, "%s+%08x+", verifier->name, (unsigned)verifier->id);
    if (e == OK && (e = crypto_base64_encode(bytes_of(key, sizeof(key)), out)) != OK) {
        text_take_back(out, before);
    }
    return e;
}

enum err tlog_signer_init(struct bytes name, enum tlog_key_type type,
                          const struct crypto_ed25519 *key, struct tlog_signer *out)
{
    uint8_t public_key[CRYPTO_ED25519_PUBLIC_SIZE];
    struct tlog_verifier verifier;
    crypto_ed25519_public(key, public_key);
    enum err e = tlog_verifier_init(name, type, public_key, &verifier);
    if (e == OK) {
        *out = (struct tlog_signer){.verifier = verifier, .key = key};
    }
    return e;
}

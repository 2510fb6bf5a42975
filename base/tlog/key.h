/* Keys of signed notes (https://c2sp.org/signed-note): names, ids, and the one-line text form of a
 * verifier key, "name+hash+base64". */
#ifndef CHAPERONE_BASE_TLOG_KEY_H
#define CHAPERONE_BASE_TLOG_KEY_H

#include "base/bytes.h"
#include "base/crypto/crypto.h"

enum {
    /* tlog-cosignature counts the bytes of a name in one byte. */
    TLOG_NAME_MAX = 255,
    /* "name+01234567+" and base64 of the type and the key. */
    TLOG_VERIFIER_TEXT_MAX = TLOG_NAME_MAX + 10 + 44,
};

/* The type byte that goes into a key's id. Others exist and are not spoken here. */
enum tlog_key_type {
    TLOG_KEY_ED25519 = 0x01,     /* signs the text of a note */
    TLOG_KEY_COSIGNATURE = 0x04, /* signs a checkpoint together with the time (tlog-cosignature) */
};

/* A plain value, made by the functions below only: the id fits the rest. */
struct tlog_verifier {
    char name[TLOG_NAME_MAX + 1];
    enum tlog_key_type type;
    uint32_t id; /* first four bytes of SHA-256(name || 0x0A || type || public key) */
    uint8_t public_key[CRYPTO_ED25519_PUBLIC_SIZE];
};

/* A private key with its name. A plain value. */
struct tlog_signer {
    struct tlog_verifier verifier;
    const struct crypto_ed25519 *key; /* borrows */
};

/* ERR_INVALID when the name is empty, longer than TLOG_NAME_MAX, not UTF-8, or has a Unicode space,
 * a control character or a plus. */
enum err tlog_verifier_init(struct bytes name, enum tlog_key_type type, const uint8_t *public_key,
                            struct tlog_verifier *out) MUST_USE;

/* ERR_INVALID with a sentence: not a verifier key, of a type that is not one of the above, or its
 * hash is not that of the name and the key. */
enum err tlog_verifier_parse(struct bytes text, struct tlog_verifier *out,
                             struct err_text *why) MUST_USE;
/* Appends the text, without a newline. */
enum err tlog_verifier_format(const struct tlog_verifier *verifier, struct buffer *out) MUST_USE;

/* Borrows the key for as long as the signer is used. Errors as of tlog_verifier_init. */
enum err tlog_signer_init(struct bytes name, enum tlog_key_type type,
                          const struct crypto_ed25519 *key, struct tlog_signer *out) MUST_USE;

#endif

/* Secrets encrypted at rest.
 *
 * AES-256-GCM (NIST SP 800-38D). A sealed value is
 *     0x01 || nonce (12 bytes, random for each value) || ciphertext || tag (16 bytes)
 * with the value's name as additional data: a value moved under another name does not open.
 * The key is 32 bytes in a file of mode 0600, made at first use; a vault whose key others may
 * read is not opened. Random nonces are safe for 2^32 values under one key, far more than
 * credentials are ever set.
 *
 * A vault may be used by several threads; it does not change after it was opened. */
#ifndef CHAPERONE_CONTROLPLANE_CREDENTIALS_VAULT_H
#define CHAPERONE_CONTROLPLANE_CREDENTIALS_VAULT_H

#include "base/bytes.h"

struct vault;

enum {
    VAULT_OVERHEAD = 1 + 12 + 16,
    VAULT_SECRET_CAP = 64 << 10, /* a private key with its chain fits */
};

/* Reads the key, or makes it where the file does not exist. Returns owned. ERR_DENIED: the file's
 * mode is laxer than 0600; ERR_INVALID: it is not a key. */
enum err vault_open(const char *key_path, struct vault **out, struct err_text *why) MUST_USE;
void vault_close(struct vault *vault); /* takes NULL; wipes the key */

/* Appends the sealed value. ERR_LIMIT above VAULT_SECRET_CAP. */
enum err vault_seal(const struct vault *vault, const char *name, struct bytes secret,
                    struct buffer *out) MUST_USE;

/* Appends the secret; the caller wipes it (buffer_wipe). ERR_INVALID when the value was changed,
 * belongs to another name, or was sealed with another key: nothing is appended. */
enum err vault_unseal(const struct vault *vault, const char *name, struct bytes sealed,
                      struct buffer *out) MUST_USE;

#endif

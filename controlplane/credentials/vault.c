#include "controlplane/credentials/vault.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>

#include "controlplane/files/files.h"

enum { VERSION = 1, NONCE_SIZE = 12, TAG_SIZE = 16 };

struct vault {
    uint8_t key[VAULT_KEY_SIZE];
};

static enum err make_key(const char *path, struct err_text *why)
{
    uint8_t key[VAULT_KEY_SIZE];
    if (RAND_priv_bytes(key, sizeof(key)) != 1) {
        return err_set(why, ERR_IO, "the system gives no randomness for %s", path);
    }
    enum err e = files_create(path, 0600, bytes_of(key, sizeof(key)), why);
    bytes_wipe(key, sizeof(key));
    /* Another process made it in the meantime: its key is as good, and the only one. */
    return e == ERR_EXISTS ? OK : e;
}

enum err vault_open(const char *key_path, struct vault **out, struct err_text *why)
{
    struct buffer key;
    buffer_init(&key, VAULT_KEY_SIZE);
    struct vault *vault = NULL;
    enum err e = files_check_private(key_path, why);
    if (e == ERR_NOT_FOUND) {
        e = make_key(key_path, why);
    }
    if (e == OK) {
        e = files_read(key_path, &key, why);
    }
    if (e == ERR_LIMIT || (e == OK && buffer_size(&key) != VAULT_KEY_SIZE)) {
        e = err_set(why, ERR_INVALID, "%s is not a credentials key: expected %d bytes", key_path,
                    VAULT_KEY_SIZE);
    }
    if (e != OK) {
        goto out;
    }
    vault = malloc(sizeof(*vault));
    if (vault == NULL) {
        e = ERR_NO_MEMORY;
        goto out;
    }
    memcpy(vault->key, key.data + key.start, VAULT_KEY_SIZE);
    *out = vault;
out:
    buffer_wipe(&key);
    return e;
}

void vault_close(struct vault *vault)
{
    if (vault != NULL) {
        bytes_wipe(vault, sizeof(*vault));
        free(vault);
    }
}

/* One pass of the cipher over `in`, with the name as additional data, the tag not yet handled. */
static bool cipher_run(EVP_CIPHER_CTX *c, const struct vault *vault, bool encrypt,
                       const uint8_t *nonce, const char *name, struct bytes in, uint8_t *out)
{
    int n = 0;
    return EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, vault->key, nonce, encrypt) == 1 &&
           EVP_CipherUpdate(c, NULL, &n, (const uint8_t *)name, (int)strlen(name)) == 1 &&
           (in.size == 0 || EVP_CipherUpdate(c, out, &n, in.data, (int)in.size) == 1);
}

enum err vault_seal(const struct vault *vault, const char *name, struct bytes secret,
                    struct buffer *out)
{
    if (secret.size > VAULT_SECRET_CAP) {
        return ERR_LIMIT;
    }
    uint8_t *at = buffer_reserve(out, secret.size + VAULT_OVERHEAD);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    if (at == NULL || c == NULL) {
        EVP_CIPHER_CTX_free(c);
        return ERR_NO_MEMORY;
    }
    uint8_t *nonce = at + 1, *text = nonce + NONCE_SIZE, *tag = text + secret.size;
    int n = 0;
    at[0] = VERSION;
    bool sealed = RAND_bytes(nonce, NONCE_SIZE) == 1 &&
                  cipher_run(c, vault, true, nonce, name, secret, text) &&
                  EVP_CipherFinal_ex(c, tag, &n) == 1 &&
                  EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, tag) == 1;
    EVP_CIPHER_CTX_free(c);
    if (!sealed) {
        return ERR_INTERNAL;
    }
    buffer_commit(out, secret.size + VAULT_OVERHEAD);
    return OK;
}

enum err vault_unseal(const struct vault *vault, const char *name, struct bytes sealed,
                      struct buffer *out)
{
    if (sealed.size < VAULT_OVERHEAD || sealed.size > VAULT_SECRET_CAP + VAULT_OVERHEAD ||
        sealed.data[0] != VERSION) {
        return ERR_INVALID;
    }
    const uint8_t *nonce = sealed.data + 1;
    struct bytes text = bytes_of(nonce + NONCE_SIZE, sealed.size - VAULT_OVERHEAD);
    uint8_t tag[TAG_SIZE];
    memcpy(tag, text.data + text.size, TAG_SIZE);
    uint8_t *at = buffer_reserve(out, text.size + 1);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    if (at == NULL || c == NULL) {
        EVP_CIPHER_CTX_free(c);
        return ERR_NO_MEMORY;
    }
    int n = 0;
    bool opened = cipher_run(c, vault, false, nonce, name, text, at) &&
                  EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, tag) == 1 &&
                  EVP_CipherFinal_ex(c, at + text.size, &n) == 1;
    EVP_CIPHER_CTX_free(c);
    if (!opened) {
        bytes_wipe(at, text.size); /* unauthenticated plaintext is nobody's */
        return ERR_INVALID;
    }
    buffer_commit(out, text.size);
    return OK;
}

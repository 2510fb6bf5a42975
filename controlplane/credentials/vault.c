#include "controlplane/credentials/vault.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/hardening/locked.h"
#include "controlplane/credentials/secret_key.h"

enum { VERSION = 1, NONCE_SIZE = 12, TAG_SIZE = 16 };

struct vault {
    uint8_t key[SECRET_KEY_SIZE];
};

enum err vault_open(const char *key_path, struct vault **out, struct err_text *why)
{
    struct vault *vault = locked_alloc(sizeof(*vault));
    if (vault == NULL) {
        return err_set(why, ERR_NO_MEMORY,
                       "no memory can be locked for %.200s: the limit is too low (ulimit -l)",
                       key_path);
    }
    enum err e = secret_key_load(key_path, "a credentials key", vault->key, why);
    if (e != OK) {
        locked_free(vault, sizeof(*vault));
        return e;
    }
    *out = vault;
    return OK;
}

void vault_close(struct vault *vault)
{
    if (vault != NULL) {
        locked_free(vault, sizeof(*vault));
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

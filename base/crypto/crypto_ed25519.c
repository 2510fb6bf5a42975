#include "base/crypto/crypto.h"

#include "base/crypto/crypto_library.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A PKCS#8 Ed25519 key in PEM is 119 bytes; room for comments around it. */
enum { PEM_CAP = 16 * 1024 };

struct crypto_ed25519 {
    EVP_PKEY *key;
};

/* Takes `pkey`, also on failure. NULL stands for a failed allocation. */
static enum err key_wrap(EVP_PKEY *pkey, struct crypto_ed25519 **out)
{
    struct crypto_ed25519 *key = pkey == NULL ? NULL : malloc(sizeof(*key));
    if (key == NULL) {
        EVP_PKEY_free(pkey);
        return ERR_NO_MEMORY;
    }
    key->key = pkey;
    *out = key;
    return OK;
}

enum err crypto_ed25519_generate(struct crypto_ed25519 **out)
{
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, NULL);
    if (context != NULL && EVP_PKEY_keygen_init(context) == 1) {
        (void)EVP_PKEY_keygen(context, &pkey);
    }
    EVP_PKEY_CTX_free(context);
    ERR_clear_error();
    return key_wrap(pkey, out);
}

/* Without it the library would ask on the terminal for the password of an encrypted key. */
static int no_password(char *buffer, int size, int writing, void *context)
{
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1;
}

enum err crypto_ed25519_from_pem(struct bytes pem, struct crypto_ed25519 **out,
                                 struct err_text *why)
{
    if (pem.size == 0 || pem.size > PEM_CAP) {
        return err_set(why, ERR_INVALID, "the key is %s; expected an Ed25519 private key in PEM",
                       pem.size == 0 ? "empty" : "too large");
    }
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
    if (bio == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory to read the key");
    }
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    BIO_free(bio);
    ERR_clear_error();
    if (pkey == NULL) {
        return err_set(why, ERR_INVALID, "this is not an unencrypted private key in PEM (PKCS#8)");
    }
    if (EVP_PKEY_id(pkey) != EVP_PKEY_ED25519) {
        EVP_PKEY_free(pkey);
        return err_set(why, ERR_INVALID, "the private key is of another kind than Ed25519");
    }
    return key_wrap(pkey, out);
}

enum err crypto_ed25519_to_pem(const struct crypto_ed25519 *key, struct buffer *out)
{
    /* Both libraries overwrite the memory of such a BIO when they free it. */
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = ERR_NO_MEMORY;
    if (PEM_write_bio_PKCS8PrivateKey(bio, key->key, NULL, NULL, 0, NULL, NULL) == 1) {
        char *data = NULL;
        long size = BIO_get_mem_data(bio, &data);
        e = buffer_append(out, bytes_of(data, (size_t)size));
    }
    BIO_free(bio);
    ERR_clear_error();
    return e;
}

enum err crypto_ed25519_load(const char *path, struct crypto_ed25519 **out, struct err_text *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        enum err e = errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
        return err_set(why, e, "%s: %s", path, strerror(errno));
    }
    enum err e;
    struct stat st;
    struct buffer pem;
    buffer_init(&pem, PEM_CAP);
    if (fstat(fd, &st) != 0) {
        e = err_set(why, ERR_IO, "%s: %s", path, strerror(errno));
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        e = err_set(why, ERR_INVALID, "%s: not a regular file", path);
        goto out;
    }
    if ((st.st_mode & 077) != 0) {
        e = err_set(why, ERR_DENIED,
                    "%s: the mode is %04o; a private key must be for its owner alone (0600)", path,
                    (unsigned)(st.st_mode & 07777));
        goto out;
    }
    e = file_read_all(fd, &pem);
    if (e == ERR_LIMIT) {
        e = err_set(why, ERR_INVALID, "%s: too large for a private key", path);
    } else if (e != OK) {
        (void)err_set(why, e, "%s: %s", path, e == ERR_IO ? strerror(errno) : "memory is short");
    } else {
        struct err_text reason = {.text = ""};
        e = crypto_ed25519_from_pem(buffer_bytes(&pem), out, &reason);
        if (e != OK) {
            (void)err_set(why, e, "%s: %s", path, reason.text);
        }
    }
out:
    (void)close(fd);
    buffer_wipe(&pem);
    return e;
}

enum err crypto_ed25519_store(const struct crypto_ed25519 *key, const char *path,
                              struct err_text *why)
{
    struct buffer pem;
    buffer_init(&pem, PEM_CAP);
    enum err e = crypto_ed25519_to_pem(key, &pem);
    e = e == OK ? file_replace(path, 0600, buffer_bytes(&pem), why)
                : err_set(why, e, "%s: no memory to write the key", path);
    buffer_wipe(&pem);
    return e;
}

enum err crypto_ed25519_load_or_make(const char *path, struct crypto_ed25519 **out,
                                     struct err_text *why)
{
    enum err e = crypto_ed25519_load(path, out, why);
    if (e != ERR_NOT_FOUND) {
        return e;
    }
    struct crypto_ed25519 *key = NULL;
    e = crypto_ed25519_generate(&key);
    e = e == OK ? crypto_ed25519_store(key, path, why) : err_set(why, e, "no key can be made");
    if (e != OK) {
        crypto_ed25519_destroy(key);
        return e;
    }
    *out = key;
    return OK;
}

void crypto_ed25519_destroy(struct crypto_ed25519 *key)
{
    if (key != NULL) {
        EVP_PKEY_free(key->key);
        free(key);
    }
}

void crypto_ed25519_public(const struct crypto_ed25519 *key, uint8_t *out)
{
    size_t size = CRYPTO_ED25519_PUBLIC_SIZE;
    (void)EVP_PKEY_get_raw_public_key(key->key, out, &size);
}

enum err crypto_ed25519_sign(const struct crypto_ed25519 *key, struct bytes message, uint8_t *out)
{
    uint8_t signature[CRYPTO_ED25519_SIGNATURE_SIZE];
    size_t size = sizeof(signature);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    /* Ed25519 hashes by itself: no digest is named. */
    bool ok = context != NULL && EVP_DigestSignInit(context, NULL, NULL, NULL, key->key) == 1 &&
              EVP_DigestSign(context, signature, &size, message.data, message.size) == 1 &&
              size == sizeof(signature);
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    if (ok) {
        memcpy(out, signature, sizeof(signature));
    }
    return ok ? OK : ERR_NO_MEMORY;
}

bool crypto_ed25519_verify(struct bytes public_key, struct bytes message, struct bytes signature)
{
    if (public_key.size != CRYPTO_ED25519_PUBLIC_SIZE ||
        signature.size != CRYPTO_ED25519_SIGNATURE_SIZE) {
        return false;
    }
    EVP_PKEY *pkey =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key.data, public_key.size);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool ok =
        pkey != NULL && context != NULL &&
        EVP_DigestVerifyInit(context, NULL, NULL, NULL, pkey) == 1 &&
        EVP_DigestVerify(context, signature.data, signature.size, message.data, message.size) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return ok;
}

enum err crypto_ed25519_public_to_der(const uint8_t *public_key, uint8_t *out)
{
    EVP_PKEY *pkey =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, CRYPTO_ED25519_PUBLIC_SIZE);
    if (pkey == NULL) {
        ERR_clear_error();
        return ERR_NO_MEMORY;
    }
    uint8_t *der = NULL;
    int size = i2d_PUBKEY(pkey, &der);
    EVP_PKEY_free(pkey);
    enum err e = ERR_NO_MEMORY;
    if (size == CRYPTO_ED25519_DER_SIZE) {
        memcpy(out, der, CRYPTO_ED25519_DER_SIZE);
        e = OK;
    }
    OPENSSL_free(der);
    ERR_clear_error();
    return e;
}

enum err crypto_ed25519_public_from_der(struct bytes der, uint8_t *out)
{
    /* The encoding is unique (RFC 8410 sections 3 and 4), so a length is the first check. */
    if (der.size != CRYPTO_ED25519_DER_SIZE) {
        return ERR_INVALID;
    }
    const uint8_t *at = der.data;
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &at, (long)der.size);
    size_t size = CRYPTO_ED25519_PUBLIC_SIZE;
    bool ok = pkey != NULL && at == der.data + der.size && EVP_PKEY_id(pkey) == EVP_PKEY_ED25519 &&
              EVP_PKEY_get_raw_public_key(pkey, out, &size) == 1;
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return ok ? OK : ERR_INVALID;
}

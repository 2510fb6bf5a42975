#include "controlplane/ca/csr.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>

struct csr {
    X509_REQ *request;
    EVP_PKEY *key; /* borrowed from `request` */
    unsigned char *key_der;
    size_t key_der_size;
};

static bool is_p256(EVP_PKEY *key)
{
    char group[32] = "";
    size_t size = 0;
    return EVP_PKEY_is_a(key, "EC") &&
           EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group),
                                          &size) == 1 &&
           (strcmp(group, "prime256v1") == 0 || strcmp(group, "P-256") == 0);
}

static enum err check(struct csr *csr, struct err_text *why)
{
    csr->key = X509_REQ_get0_pubkey(csr->request);
    if (csr->key == NULL || !(EVP_PKEY_is_a(csr->key, "ED25519") || is_p256(csr->key))) {
        return err_set(why, ERR_INVALID,
                       "the certificate request has a key of another type; expected Ed25519 or "
                       "ECDSA P-256");
    }
    if (X509_REQ_verify(csr->request, csr->key) != 1) {
        return err_set(why, ERR_INVALID,
                       "the certificate request is not signed by its own key, so its sender "
                       "has not shown that it holds that key");
    }
    int size = i2d_PUBKEY(csr->key, &csr->key_der);
    if (size <= 0) {
        return ERR_NO_MEMORY;
    }
    csr->key_der_size = (size_t)size;
    return OK;
}

enum err csr_parse(struct bytes der, struct csr **out, struct err_text *why)
{
    if (der.size > CSR_SIZE_MAX) {
        return err_set(why, ERR_LIMIT, "the certificate request has %zu bytes; at most %d are read",
                       der.size, CSR_SIZE_MAX);
    }
    struct csr *csr = calloc(1, sizeof(*csr));
    if (csr == NULL) {
        return ERR_NO_MEMORY;
    }
    const unsigned char *at = der.data;
    csr->request = der.size == 0 ? NULL : d2i_X509_REQ(NULL, &at, (long)der.size);
    enum err e = OK;
    if (csr->request == NULL || at != der.data + der.size) {
        e = err_set(why, ERR_INVALID, "expected one PKCS#10 certificate request in DER");
    } else {
        e = check(csr, why);
    }
    ERR_clear_error(); /* the queue belongs to the thread; gRPC looks at it as well */
    if (e != OK) {
        csr_destroy(csr);
        return e;
    }
    *out = csr;
    return OK;
}

void csr_destroy(struct csr *csr)
{
    if (csr != NULL) {
        X509_REQ_free(csr->request);
        OPENSSL_free(csr->key_der);
        free(csr);
    }
}

struct bytes csr_public_key_der(const struct csr *csr)
{
    return bytes_of(csr->key_der, csr->key_der_size);
}

EVP_PKEY *csr_public_key(const struct csr *csr)
{
    return csr->key;
}

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "controlplane/ca/ca_internal.h"

/* RFC 5280 section 4.1.2.2: positive, at most 20 octets; 159 random bits are unguessable and
 * unique. */
enum { SERIAL_BITS = 159 };

static bool set_random_serial(X509 *certificate)
{
    BIGNUM *n = BN_new();
    bool set = n != NULL && BN_rand(n, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
               BN_to_ASN1_INTEGER(n, X509_get_serialNumber(certificate)) != NULL;
    BN_free(n);
    return set;
}

X509 *ca_certificate_new(EVP_PKEY *key, int64_t not_before_ns, int64_t not_after_ns)
{
    X509 *c = X509_new();
    if (c == NULL || X509_set_version(c, X509_VERSION_3) != 1 || !set_random_serial(c) ||
        ASN1_TIME_set(X509_getm_notBefore(c), (time_t)(not_before_ns / 1000000000)) == NULL ||
        ASN1_TIME_set(X509_getm_notAfter(c), (time_t)(not_after_ns / 1000000000)) == NULL ||
        X509_set_pubkey(c, key) != 1) {
        X509_free(c);
        return NULL;
    }
    return c;
}

bool ca_certificate_extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509V3_set_ctx_nodb(&context);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool added = e != NULL && X509_add_ext(certificate, e, -1) == 1;
    X509_EXTENSION_free(e);
    return added;
}

bool ca_certificate_set_name(X509_NAME *name, const char *common_name)
{
    return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                      (const unsigned char *)common_name, -1, -1, 0) == 1;
}

bool ca_certificate_sign(X509 *certificate, EVP_PKEY *key)
{
    /* Ed25519 and Ed448 hash by themselves (RFC 8410); an external CA may have such a key. */
    bool hashes = EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448");
    return X509_sign(certificate, key, hashes ? NULL : EVP_sha256()) > 0;
}

static enum err take_bio(BIO *bio, bool written, struct buffer *out)
{
    char *text = NULL;
    long size = written ? BIO_get_mem_data(bio, &text) : 0;
    enum err e = size > 0 ? buffer_append(out, bytes_of(text, (size_t)size)) : ERR_NO_MEMORY;
    BIO_free(bio);
    return e;
}

enum err ca_certificate_to_pem(X509 *certificate, struct buffer *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    return take_bio(bio, bio != NULL && PEM_write_bio_X509(bio, certificate) == 1, out);
}

enum err ca_key_to_pem(EVP_PKEY *key, struct buffer *out)
{
    BIO *bio = BIO_new(BIO_s_secmem()); /* overwritten when it is freed */
    bool written =
        bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;
    return take_bio(bio, written, out);
}

EVP_PKEY *ca_key_generate(void)
{
    return EVP_EC_gen("P-256");
}

#include "sidecar/control/fake_ca.h"

#include <openssl/ec_key.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

enum { PEM_CAP = 64 << 10, DAY_S = 86400 };

static void need(bool ok)
{
    if (!ok) {
        abort();
    }
}

static EVP_PKEY *make_key(void)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();
    need(ec != NULL && key != NULL && EC_KEY_generate_key(ec) == 1 &&
         EVP_PKEY_assign_EC_KEY(key, ec) == 1);
    return key;
}

static void extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_nconf_nid(NULL, &ctx, nid, (char *)(uintptr_t)value);
    need(e != NULL && X509_add_ext(certificate, e, -1) == 1);
    X509_EXTENSION_free(e);
}

static X509 *make_certificate(EVP_PKEY *key, const char *name, int lifetime_s)
{
    static long serial = 1;
    X509 *c = X509_new();
    need(c != NULL && X509_set_version(c, 2) == 1 && X509_set_pubkey(c, key) == 1);
    need(ASN1_INTEGER_set(X509_get_serialNumber(c), __atomic_fetch_add(&serial, 1, 0)) == 1);
    need(X509_gmtime_adj(X509_getm_notBefore(c), -DAY_S / 24) != NULL);
    need(X509_gmtime_adj(X509_getm_notAfter(c), lifetime_s) != NULL);
    need(X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_ASC,
                                    (const unsigned char *)name, -1, -1, 0) == 1);
    return c;
}

static void write_pem(X509 *certificate, struct buffer *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    const uint8_t *data;
    size_t size;
    need(bio != NULL && PEM_write_bio_X509(bio, certificate) == 1 &&
         BIO_mem_contents(bio, &data, &size) == 1 &&
         buffer_append(out, bytes_of(data, size)) == OK);
    BIO_free(bio);
}

void fake_ca_init(struct fake_ca *ca)
{
    ca->key = make_key();
    ca->certificate = make_certificate(ca->key, "test CA", 365 * DAY_S);
    need(X509_set_issuer_name(ca->certificate, X509_get_subject_name(ca->certificate)) == 1);
    extend(ca->certificate, ca->certificate, NID_basic_constraints, "critical,CA:TRUE");
    need(X509_sign(ca->certificate, ca->key, EVP_sha256()) > 0);
    buffer_init(&ca->pem, PEM_CAP);
    write_pem(ca->certificate, &ca->pem);
}

void fake_ca_finish(struct fake_ca *ca)
{
    X509_free(ca->certificate);
    EVP_PKEY_free(ca->key);
    buffer_finish(&ca->pem);
}

static void sign(const struct fake_ca *ca, X509 *certificate)
{
    need(X509_set_issuer_name(certificate, X509_get_subject_name(ca->certificate)) == 1);
    need(X509_sign(certificate, ca->key, EVP_sha256()) > 0);
}

void fake_ca_issue_server(const struct fake_ca *ca, const char *names, EVP_PKEY **out_key,
                          X509 **out_certificate)
{
    *out_key = make_key();
    *out_certificate = make_certificate(*out_key, "server", 30 * DAY_S);
    extend(*out_certificate, ca->certificate, NID_subject_alt_name, names);
    sign(ca, *out_certificate);
}

bool fake_ca_sign(const struct fake_ca *ca, struct bytes csr, int lifetime_s, bool wrong_key,
                  struct buffer *out_pem, uint8_t *out_public_key)
{
    const uint8_t *at = csr.data;
    X509_REQ *request = d2i_X509_REQ(NULL, &at, (long)csr.size);
    EVP_PKEY *key = request == NULL ? NULL : X509_REQ_get_pubkey(request);
    size_t size = 32;
    bool ok = key != NULL && X509_REQ_verify(request, key) == 1 &&
              EVP_PKEY_get_raw_public_key(key, out_public_key, &size) == 1;
    if (ok) {
        EVP_PKEY *other = wrong_key ? make_key() : NULL;
        X509 *c = make_certificate(wrong_key ? other : key, "sidecar", lifetime_s);
        sign(ca, c);
        write_pem(c, out_pem);
        X509_free(c);
        EVP_PKEY_free(other);
    }
    EVP_PKEY_free(key);
    X509_REQ_free(request);
    return ok;
}

/* What the parts of the CA share: the key it signs with, and leaves under construction. */
#ifndef CHAPERONE_CONTROLPLANE_CA_CA_INTERNAL_H
#define CHAPERONE_CONTROLPLANE_CA_CA_INTERNAL_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "controlplane/ca/ca.h"

struct ca {
    X509 *certificate;
    EVP_PKEY *key;
    struct buffer pem; /* the certificate with the chain that came with it */
    bool external;
    struct clock clock;
};

/* A certificate with version, serial, validity from an hour ago (clocks differ) and key set. */
X509 *ca_certificate_new(EVP_PKEY *key, int64_t not_before_ns, int64_t not_after_ns) MUST_USE;
/* `value` in the syntax of openssl's x509v3_config. */
bool ca_certificate_extend(X509 *certificate, X509 *issuer, int nid, const char *value) MUST_USE;
bool ca_certificate_set_name(X509_NAME *name, const char *common_name) MUST_USE;
bool ca_certificate_sign(X509 *certificate, EVP_PKEY *key) MUST_USE;
enum err ca_certificate_to_pem(X509 *certificate, struct buffer *out) MUST_USE;
enum err ca_key_to_pem(EVP_PKEY *key, struct buffer *out) MUST_USE;
EVP_PKEY *ca_key_generate(void) MUST_USE; /* P-256 */

#endif

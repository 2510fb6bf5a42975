/* The certificates of proxy_ca.h. */
#ifndef CHAPERONE_SIDECAR_PROXY_CA_X509_H
#define CHAPERONE_SIDECAR_PROXY_CA_X509_H

#include <openssl/x509.h>

#include "base/bytes.h"

enum { PROXY_CA_PEM_CAP = 64 << 10 };

/* NULL: memory is short. Owned. */
EVP_PKEY *proxy_ca_make_key(void) MUST_USE;
/* The CA's own; constrained to the hosts. NULL: a host is none, or memory is short. Owned. */
X509 *proxy_ca_make_root(EVP_PKEY *key, const char *name, const char *const *hosts, size_t count,
                         int64_t now_s) MUST_USE;
/* A server's, signed by the CA; ends with it at the latest. Likewise. */
X509 *proxy_ca_make_leaf(X509 *root, EVP_PKEY *root_key, EVP_PKEY *key, const char *host,
                         int64_t now_s) MUST_USE;

/* Whether the host may be in a certificate of the CA. */
bool proxy_ca_permits(X509 *root, EVP_PKEY *root_key, const char *host, int64_t now_s) MUST_USE;
int64_t proxy_ca_end_s(const X509 *certificate);

/* Both append. */
enum err proxy_ca_certificate_to_pem(X509 *certificate, struct buffer *out) MUST_USE;
enum err proxy_ca_key_to_pem(EVP_PKEY *key, struct buffer *out) MUST_USE;

#endif

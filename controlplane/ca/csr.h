/* A sidecar's certificate request: PKCS#10 (RFC 2986), DER.
 *
 * Only its public key counts: what subject and extensions it asks for is never looked at. The
 * signature over the request proves that the sender holds the private key (RFC 2986 section 3). */
#ifndef CHAPERONE_CONTROLPLANE_CA_CSR_H
#define CHAPERONE_CONTROLPLANE_CA_CSR_H

#include <openssl/x509.h>

#include "base/bytes.h"

/* A request with an Ed25519 key is some 150 bytes; this leaves room for a talkative one, and keeps
 * a hostile one small. */
enum { CSR_SIZE_MAX = 16 << 10 };

struct csr;

/* Returns owned. ERR_LIMIT: larger than CSR_SIZE_MAX; ERR_INVALID: not one request, not an Ed25519
 * or P-256 key, or the proof of possession is wrong. */
enum err csr_parse(struct bytes der, struct csr **out, struct err_text *why) MUST_USE;
void csr_destroy(struct csr *csr); /* takes NULL */

/* Borrows; valid until destroy. SubjectPublicKeyInfo, DER. */
struct bytes csr_public_key_der(const struct csr *csr);
/* Borrows; valid until destroy. */
EVP_PKEY *csr_public_key(const struct csr *csr);

#endif

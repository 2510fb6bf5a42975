/* A certificate authority for tests, by BoringSSL. Failures abort: it runs on any thread. */
#ifndef CHAPERONE_SIDECAR_CONTROL_FAKE_CA_H
#define CHAPERONE_SIDECAR_CONTROL_FAKE_CA_H

#include <openssl/ssl.h>

#include "base/bytes.h"

struct fake_ca {
    EVP_PKEY *key;
    X509 *certificate;
    struct buffer pem;
};

void fake_ca_init(struct fake_ca *ca);
void fake_ca_finish(struct fake_ca *ca);

/* A server's key and certificate for these names ("IP:127.0.0.1,DNS:localhost"). */
void fake_ca_issue_server(const struct fake_ca *ca, const char *names, EVP_PKEY **out_key,
                          X509 **out_certificate);
/* A certificate for the key of a PKCS#10 request (DER), or for a key of its own when `wrong_key`.
 * False: the request is not well signed. Appends PEM. */
bool fake_ca_sign(const struct fake_ca *ca, struct bytes csr, int lifetime_s, bool wrong_key,
                  struct buffer *out_pem, uint8_t *out_public_key);

#endif

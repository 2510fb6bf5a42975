/* The certificate authority that sidecars are enrolled with.
 *
 * Its own one (ECDSA P-256, made at first start in a directory) or one from outside (certificate
 * and key files). It issues two kinds of leaf (RFC 5280), with random 159-bit serials: sidecar
 * subject CN = id, SAN URI = "chaperone:sidecar:" id, clientAuth only server    SANs from the
 * configuration, serverAuth only
 *
 * A ca does not change after it was opened and may be used by several threads. */
#ifndef CHAPERONE_CONTROLPLANE_CA_CA_H
#define CHAPERONE_CONTROLPLANE_CA_CA_H

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crypto/crypto.h"
#include "controlplane/ca/csr.h"

struct ca;

struct ca_options {
    const char *directory;   /* of the own CA: ca.pem (0644) and ca.key (0600) */
    const char *certificate; /* from outside, PEM, leaf first; NULL: the own CA */
    const char *key;         /* its key, PEM; mode 0600 */
    struct clock clock;
};

enum {
    CA_ID_SIZE = 64,     /* a sidecar's id with its terminator */
    CA_SERIAL_SIZE = 41, /* hex, with its terminator */
    CA_PEM_CAP = 256 << 10,
};

/* Opens the CA, or makes the own one. Writes ca.pem into the directory in both cases: clients read
 * it there. Returns owned. ERR_DENIED: the key's mode is laxer than 0600. ERR_INVALID: not a CA
 * certificate, ended, or not the certificate's key. */
enum err ca_open(const struct ca_options *options, struct ca **out, struct err_text *why) MUST_USE;
void ca_close(struct ca *ca); /* takes NULL */

/* The CA's certificate (chain), PEM. Borrows; valid until close. */
struct bytes ca_certificate_pem(const struct ca *ca);

struct ca_leaf {
    struct buffer pem; /* leaf first, then intermediates; buffer_finish */
    char serial[CA_SERIAL_SIZE];
    int64_t not_after_ns;
};

/* The lifetime is cut to the CA's own end. `id` has only characters of an UUID. */
enum err ca_sign_sidecar(const struct ca *ca, const struct csr *csr, const char *id,
                         int64_t lifetime_ns, struct ca_leaf *out, struct err_text *why) MUST_USE;

/* A server certificate with a new P-256 key. `hosts` are DNS names or addresses. Both buffers are
 * owned by the caller; wipe the key's. */
enum err ca_issue_server(const struct ca *ca, const char *const *hosts, size_t count,
                         int64_t lifetime_ns, struct ca_leaf *out, struct buffer *out_key_pem,
                         struct err_text *why) MUST_USE;

/* Who presents a certificate that TLS has checked against the CA. */
struct ca_sidecar {
    char id[CA_ID_SIZE];
    uint8_t key_hash[CRYPTO_SHA256_SIZE]; /* SHA-256 of SubjectPublicKeyInfo, DER */
};

/* ERR_DENIED: not a certificate of a sidecar (a server's, another application's), or it has ended.
 */
enum err ca_read_sidecar(struct bytes certificate_pem, int64_t now_ns,
                         struct ca_sidecar *out) MUST_USE;

#endif

/* The CA of the explicit proxy: it answers for the hosts that the proxy leads to, with certificates
 * that it makes when they are asked for.
 *
 * Agents trust the CA's certificate (a file that is for everybody); its key is for the sidecar
 * alone. A CA that is made here is an ECDSA P-256 key and a certificate for ten years, which is
 * constrained to the hosts that were configured then (RFC 5280 section 4.2.1.10): whoever gets the
 * key cannot be any other host with it. So hosts that are added need another CA, and `open` says
 * so.
 *
 * Certificates for hosts last seven days and are kept until a day before their end. In memory only.
 * The loop's thread only. */
#ifndef CHAPERONE_SIDECAR_PROXY_CA_H
#define CHAPERONE_SIDECAR_PROXY_CA_H

#include "base/bytes.h"
#include "base/clock.h"

struct proxy_ca;
struct tls_context;

/* All borrowed, until `open` returns. */
struct proxy_ca_options {
    const char *certificate, *key; /* PEM files; both are made where both are missing */
    const char *name;              /* of this machine, for people */
    const char *const *hosts;      /* names and addresses (without brackets), lower case */
    size_t host_count;
    struct clock clock;
};

/* Reads the CA, or makes it: the key first (0600), then the certificate (0644); a key without a
 * certificate gets one. Returns owned. ERR_NOT_FOUND: a certificate without its key; ERR_DENIED:
 * others may read the key; ERR_INVALID: no CA, ended, not for these hosts, or they do not belong
 * together; `why` names the file. */
enum err proxy_ca_open(const struct proxy_ca_options *options, struct proxy_ca **out,
                       struct err_text *why) MUST_USE;
void proxy_ca_close(struct proxy_ca *ca); /* takes NULL; contexts that were given stay */

/* A server's TLS (ALPN h2 and http/1.1) with a certificate for the host, as in the options.
 * `*out` is counted: the caller destroys it. ERR_INVALID: not one of the hosts. */
enum err proxy_ca_issue(struct proxy_ca *ca, const char *host, struct tls_context **out,
                        struct err_text *why) MUST_USE;

#endif

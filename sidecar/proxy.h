/* The hosts that an explicit proxy leads to, and the certificates it answers with. */
#ifndef CHAPERONE_SIDECAR_PROXY_H
#define CHAPERONE_SIDECAR_PROXY_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct proxy;
struct tls_context;

struct proxy_host {
    const char *host; /* a name or an address, lower case */
    uint16_t port;    /* 0: 443 and 80 */
    const char *resource;
};

/* A server's TLS with a certificate for the host; counted, for the caller. */
typedef enum err proxy_issue_fn(void *context, const char *host, struct tls_context **out);

/* Borrows all of it. Returns owned; NULL: no memory. */
struct proxy *proxy_create(const struct proxy_host *hosts, size_t count, proxy_issue_fn *issue,
                           void *context) MUST_USE;
void proxy_destroy(struct proxy *p); /* takes NULL */

/* The resource behind a host (lower case) and port; NULL: none. */
const char *proxy_find(const struct proxy *p, const char *host, uint16_t port);
enum err proxy_issue(struct proxy *p, const char *host, struct tls_context **out) MUST_USE;

#endif

/* TLS by BoringSSL: contexts that connections share. A `conn` (conn.h) does the rest.
 *
 * A context is counted: connections that use it keep it alive after its owner let go. */
#ifndef CHAPERONE_BASE_NET_TLS_H
#define CHAPERONE_BASE_NET_TLS_H

#include <stdbool.h>

#include "base/bytes.h"

enum tls_verify {
    TLS_CHECK_NAME, /* the chain, and the name or address of the server */
    TLS_CHECK_CHAIN,
    TLS_CHECK_NOTHING,
};

struct tls_client_options {
    enum tls_verify verify;
    struct bytes ca_pem;          /* empty: the system's roots */
    struct bytes certificate_pem; /* the client's own, with its chain; may be empty */
    struct bytes key_pem;
    /* "h2": the server must agree to it. "h2,http/1.1": one of them, or none, in this order of
     * preference (conn_alpn). NULL: none. */
    const char *alpn;
    bool only_tls13; /* else 1.2 and 1.3 */
};

struct tls_context;

/* The file of the certificates that are trusted where `ca_pem` is empty. */
extern const char tls_system_roots[];

enum err tls_client_create(const struct tls_client_options *options, struct tls_context **out,
                           struct err_text *why) MUST_USE;
/* `alpn` likewise; of several the first that the client offers. */
enum err tls_server_create(struct bytes certificate_pem, struct bytes key_pem, const char *alpn,
                           struct tls_context **out, struct err_text *why) MUST_USE;
/* One owner more, who destroys it too. Returns it. */
struct tls_context *tls_context_retain(struct tls_context *context) MUST_USE;
void tls_context_destroy(struct tls_context *context); /* takes NULL */

#endif

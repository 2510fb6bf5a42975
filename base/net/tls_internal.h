/* What conn_tls.c needs of tls.c. */
#ifndef CHAPERONE_BASE_NET_TLS_INTERNAL_H
#define CHAPERONE_BASE_NET_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "base/net/tls.h"

struct tls_context {
    SSL_CTX *ctx;
    enum tls_verify verify;
    bool is_server;
    int references;   /* the owners' and one for each connection; the loop's thread only */
    uint8_t alpn[32]; /* wire form: length and name of each */
    size_t alpn_size;
    bool alpn_is_free; /* several: none of them has to be agreed on */
};

/* Text of the last error in BoringSSL's queue, for people; clears the queue. */
void tls_error_text(char *out, size_t size, const char *otherwise);

#endif

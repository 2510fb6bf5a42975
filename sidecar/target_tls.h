/* TLS contexts towards targets, which sessions share: to make one takes the parsing of all roots
 * that are trusted, and 2 KB to 1 MB of memory. One with a client's key is its session's alone, and
 * goes with it. */
#ifndef CHAPERONE_SIDECAR_TARGET_TLS_H
#define CHAPERONE_SIDECAR_TARGET_TLS_H

#include "base/crypto/crypto.h"
#include "base/net/tls.h"

enum { TARGET_TLS_KEPT = 8 }; /* a sidecar has few targets, and most of them trust the same */

/* Zeroed at first. */
struct target_tls {
    struct {
        struct tls_context *context; /* NULL: a free place */
        uint8_t made_of[CRYPTO_SHA256_SIZE];
    } kept[TARGET_TLS_KEPT];
    size_t next; /* counts on: whose turn it is to make room */
};

/* As tls_client_create: the caller owns `*out`. */
enum err target_tls_get(struct target_tls *t, const struct tls_client_options *options,
                        struct tls_context **out, struct err_text *why) MUST_USE;
void target_tls_forget(struct target_tls *t);

#endif

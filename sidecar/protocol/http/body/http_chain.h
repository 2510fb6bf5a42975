/* The content codings of one body, taken off and put on again: HTTP_CODINGS_MAX of them at most,
 * one over another. Memory is bounded, and so is the work that few bytes can make. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_CHAIN_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_CHAIN_H

#include "sidecar/protocol/http/body/http_coding.h"

enum { HTTP_CHAIN_PIECE = 64 << 10 /* of what is decoded, at a time */ };

struct http_unchain;
/* The codings in the order they were applied. Returns owned. */
enum err http_unchain_create(const enum http_coding *codings, size_t count,
                             struct http_unchain **out) MUST_USE;
void http_unchain_destroy(struct http_unchain *u); /* takes NULL; wipes */
/* Calls `give` with each piece (of at most HTTP_CHAIN_PIECE) of what is decoded, until one fails.
 * ERR_INVALID: not of its coding, or more than HTTP_BODY_RATIO_MAX times what came, at any coding.
 */
enum err http_unchain_feed(struct http_unchain *u, struct bytes in,
                           enum err (*give)(void *context, struct bytes piece),
                           void *context) MUST_USE;
bool http_unchain_is_complete(const struct http_unchain *u);

struct http_rechain;
enum err http_rechain_create(const enum http_coding *codings, size_t count,
                             struct http_rechain **out) MUST_USE;
void http_rechain_destroy(struct http_rechain *r); /* takes NULL */
enum err http_rechain_feed(struct http_rechain *r, struct bytes in, enum http_encoder_end end,
                           struct buffer *out) MUST_USE;

#endif

/* Where the nghttp2 session of one connection gets its memory from.
 *
 * What is given back is overwritten first: nghttp2 keeps heads in its frames and in HPACK's tables,
 * and some of their fields are credentials.
 *
 * After an allocation has failed nothing is given back before http2_memory_finish: with priorities
 * turned off nghttp2 1.52 frees a DATA item that it could not queue, and keeps using it. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP2_MEMORY_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP2_MEMORY_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>

struct http2_block;

struct http2_memory {
    struct http2_block *first;
    bool is_exhausted;
};

void http2_memory_init(struct http2_memory *m);
/* Frees all there is; behind nghttp2_session_del. */
void http2_memory_finish(struct http2_memory *m);
/* Borrows `m`. */
nghttp2_mem http2_memory_functions(struct http2_memory *m);

#endif

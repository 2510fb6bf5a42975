/* Heads on their way out: fields as nghttp2 takes them.
 *
 * Everything is borrowed until the submit function that gets it, which copies. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP2_FIELDS_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP2_FIELDS_H

#include <nghttp2/nghttp2.h>

#include "sidecar/protocol/http/http_message.h"

/* Beside the fields of the message: four pseudo-headers, Content-Length, TE, Expect; and as many
 * again for what a sidecar adds. */
enum { HTTP2_PAIRS_MAX = HTTP_FIELDS_MAX + 16 };

struct http2_pairs {
    nghttp2_nv items[HTTP2_PAIRS_MAX];
    size_t count;
    char size[24], status[4];
};

/* False: the message cannot be said in HTTP/2 (too many fields, a name or value that is none,
 * an upgrade). */
bool http2_pairs_of_request(struct http2_pairs *p, const struct http_request *request,
                            bool has_body) MUST_USE;
bool http2_pairs_of_response(struct http2_pairs *p, const struct http_response *response) MUST_USE;
bool http2_pairs_of_trailers(struct http2_pairs *p, const struct http_fields *trailers) MUST_USE;

#endif

/* Makes heads anew: start line, Host, what the connection needs, the fields, the framing.
 *
 * A name or a value that would end its line is refused, as is a field of the connection: it is made
 * here or it is not there at all. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP1_WRITE_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP1_WRITE_H

#include "sidecar/protocol/http/http_codec.h"

struct http1_head_lines {
    bool says_length; /* Content-Length: `length` */
    int64_t length;
    bool is_chunked;
    const char *connection; /* its value; NULL: none */
    bool upgrades;          /* Upgrade: websocket */
};

/* Append to the buffer, which grows once: what was in it is nowhere else. ERR_INVALID: it cannot be
 * said without saying something else as well. */
enum err http1_write_request(struct buffer *out, const struct http_request *request,
                             const struct http1_head_lines *lines) MUST_USE;
enum err http1_write_response(struct buffer *out, const struct http_response *response,
                              const struct http1_head_lines *lines) MUST_USE;
/* After the last chunk: the trailers and the empty line. */
enum err http1_write_trailers(struct buffer *out, const struct http_fields *trailers) MUST_USE;

#endif

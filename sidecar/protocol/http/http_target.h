/* The path and query of a request (RFC 3986) in the one form that is decided and forwarded. Pure.
 *
 * Normalised once: escapes of unreserved characters are decoded, others get upper-case digits;
 * characters that do not belong into a URI are escaped; dot segments are removed. Refused, because
 * servers do not agree about them: escaped slashes, backslashes and NUL, an escaped percent sign in
 * front of two hexadecimal digits (it would be an escape after one more decoding), empty segments,
 * path parameters (';'), dot segments that lead above the root, controls. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP_TARGET_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP_TARGET_H

#include "base/arena.h"
#include "base/bytes.h"

struct http_target {
    struct bytes forwarded; /* path and query: "/customers/J%20B?expand=orders"; or "*" */
    struct bytes query;     /* of `forwarded`, without '?'; empty: none */
    bool has_query;
    const char *path; /* decoded: "/customers/J B" */
};

/* Borrows from the arena. ERR_INVALID: `why` is a sentence. */
enum err http_target_read(struct arena *arena, struct bytes target, struct http_target *out,
                          struct err_text *why) MUST_USE;

/* "host", "host:port", "[::1]:port": the host in lower case, without brackets. ERR_INVALID for
 * anything else, also for user information. `*out_port` 0: none was given. */
enum { HTTP_HOST_SIZE = 256 };
enum err http_authority_read(struct bytes authority, char out_host[HTTP_HOST_SIZE],
                             uint16_t *out_port) MUST_USE;

#endif

/* Takes the secrets out of a body that comes in pieces. Held back is only what may be the beginning
 * of one, so that events and small messages are not delayed. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_SECRETS_STREAM_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_SECRETS_STREAM_H

#include "sidecar/protocol/http/http_body.h"

/* There is something to look for. */
bool http_secrets_are_any(const struct http_secrets *s);

struct http_secrets_stream;
/* Borrows the secrets. `is_json`: what is valid JSON stays so. Returns owned; NULL: no memory. */
struct http_secrets_stream *http_secrets_stream_create(const struct http_secrets *s, bool is_json);
void http_secrets_stream_destroy(struct http_secrets_stream *s); /* takes NULL; wipes */
/* Appends what is free of them to `out`. `out_clean` (may be NULL): gets the end of that, where it
 * stands in `in`, so that it is not copied; it follows what was appended. */
enum err http_secrets_stream_feed(struct http_secrets_stream *s, struct bytes in,
                                  struct buffer *out, struct bytes *out_clean) MUST_USE;
enum err http_secrets_stream_finish(struct http_secrets_stream *s, struct buffer *out) MUST_USE;
/* Whether any was found. */
bool http_secrets_stream_found(const struct http_secrets_stream *s);

#endif

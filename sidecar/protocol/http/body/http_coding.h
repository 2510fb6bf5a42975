/* Content codings (RFC 9110 section 8.4.1), in streams: gzip (RFC 1952), deflate (RFC 1950), br
 * (RFC 7932), zstd (RFC 8878 as RFC 9659 bounds it).
 *
 * Pure; a decoder's memory is bounded by the window of its coding (32 KB, 32 KB, 16 MB, 8 MB). What
 * is not exactly of the coding fails: a raw deflate stream, bytes behind the end, a checksum that
 * is wrong. Concatenated members of gzip and frames of zstd are one stream, as their RFCs say. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_CODING_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_CODING_H

#include "base/bytes.h"

enum http_coding {
    HTTP_CODING_GZIP,
    HTTP_CODING_DEFLATE,
    HTTP_CODING_BR,
    HTTP_CODING_ZSTD,
};

enum {
    HTTP_CODINGS_MAX = 3, /* of one body, one over another: nobody uses more than one */
};

/* Reads a Content-Encoding field; `identity` counts as nothing, and so does an empty field. The
 * codings are in the order they were applied. ERR_DENIED: it is malformed, names a coding that is
 * not known or the same one twice, or more than HTTP_CODINGS_MAX. */
enum err http_coding_parse(struct bytes field, enum http_coding out[HTTP_CODINGS_MAX],
                           size_t *out_count, struct err_text *why) MUST_USE;

struct http_decoder;
/* Returns owned. */
enum err http_decoder_create(enum http_coding coding, struct http_decoder **out) MUST_USE;
void http_decoder_destroy(struct http_decoder *d); /* takes NULL */
/* Takes from the front of `io_in` and writes at most `size` bytes (not 0) to `room`. When it wrote
 * nothing, all of `io_in` was taken: it needs more. ERR_INVALID: not of its coding. */
enum err http_decoder_step(struct http_decoder *d, struct bytes *io_in, uint8_t *room, size_t size,
                           size_t *out_written) MUST_USE;
/* The stream may end here: it is complete, or nothing came at all. */
bool http_decoder_is_complete(const struct http_decoder *d);

enum http_encoder_end {
    HTTP_ENCODER_FLUSH,  /* the peer can decode all that was fed */
    HTTP_ENCODER_FINISH, /* and nothing follows */
};

struct http_encoder;
/* For speed, not for size. Returns owned. */
enum err http_encoder_create(enum http_coding coding, struct http_encoder **out) MUST_USE;
void http_encoder_destroy(struct http_encoder *e); /* takes NULL */
enum err http_encoder_feed(struct http_encoder *e, struct bytes in, enum http_encoder_end end,
                           struct buffer *out) MUST_USE;

#endif

/* One head as HPACK gives it, field by field, and what HTTP makes of it (RFC 9113 section 8).
 *
 * nghttp2 has looked at the fields before: this is what it leaves to its user, and what it lets
 * pass. One head at a time: a header block is never interleaved with another (RFC 9113 section
 * 4.3). */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP2_HEAD_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP2_HEAD_H

#include "sidecar/protocol/http/http_codec.h"

enum {
    HTTP2_PSEUDO_MAX = 8, /* :method, :scheme, :authority, :path, :status, and more to refuse */
    /* A head that is too large is still decoded, for the state of HPACK. A few bytes can name a
     * field of 4 KiB again and again: beyond this it is no head any more, but a bomb. */
    HTTP2_HEAD_DECODED_MAX = 16 * HTTP_HEAD_MAX,
};

struct http2_piece {
    uint32_t name_at, name_size;
    uint32_t value_at, value_size;
};

struct http2_head {
    struct buffer text; /* what the pieces point into; holds credentials */
    struct http2_piece pieces[HTTP_FIELDS_MAX + HTTP2_PSEUDO_MAX];
    size_t count;
    size_t size;               /* as HTTP_HEAD_MAX counts */
    enum http_problem problem; /* the first one */
    const char *why;
    struct http_field fields[HTTP_FIELDS_MAX]; /* of the last http2_head_to_… */
};

void http2_head_init(struct http2_head *h);
void http2_head_finish(struct http2_head *h); /* overwrites what it held */
void http2_head_start(struct http2_head *h);
/* False: the peer is to be stopped (HTTP2_HEAD_DECODED_MAX). */
bool http2_head_add(struct http2_head *h, struct bytes name, struct bytes value) MUST_USE;
void http2_head_fail(struct http2_head *h, enum http_problem problem, const char *why);

/* What the head says; `ends` is whether the message ends with it. Valid until the next
 * http2_head_start. False: `problem` and `why` say what is wrong with it. */
bool http2_head_to_request(struct http2_head *h, bool ends, struct http_request *out) MUST_USE;
bool http2_head_to_response(struct http2_head *h, bool ends, bool to_head_request,
                            struct http_response *out) MUST_USE;
bool http2_head_to_trailers(struct http2_head *h, struct http_fields *out) MUST_USE;

/* For http2_head_message.c: what a piece points at; valid until anything is added. */
struct bytes http2_head_name(const struct http2_head *h, const struct http2_piece *p);
struct bytes http2_head_value(const struct http2_head *h, const struct http2_piece *p);
/* Leaves one piece of a cookie that comes in several. False: see `problem`. */
bool http2_head_join_cookies(struct http2_head *h) MUST_USE;

#endif

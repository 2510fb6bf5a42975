/* What becomes of one body on its way: decoded, looked through, masked, encoded again.
 *
 *   bytes ──▶ decode ──▶ take out echoed secrets ──▶ mask ──┬──▶ encode ──▶ `out`
 *             (gzip, br, zstd, deflate)                     └──▶ on_plain (to be recorded)
 *
 * Steps that are not needed are left out: without masks and secrets the bytes go through unchanged
 * and untouched, and on_plain gets them as they are. Pure; memory is bounded however long the body
 * is. Where a body cannot be decoded or masked the functions fail, and what was given to `out`
 * before is all that may be shown. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_BODY_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_BODY_H

#include "base/bytes.h"

struct masker;

enum {
    /* A decoder that gives more than this many times what it got, after the first megabyte, is fed
     * a bomb. */
    HTTP_BODY_RATIO_MAX = 1100,
    HTTP_BODY_SECRETS_MAX = 16,
};

/* Texts that the agent must never see, in the forms that a server may give them back in: as they
 * are, in base64 (at any of the three offsets), percent-encoded, as a JSON string, in hexadecimal,
 * in UTF-16 (of ASCII). A text that is shorter than 8 bytes is found as it is and in base64 of the
 * whole only. */
struct http_secrets;
/* Copies the texts; wipes them at the end. An empty one counts as none. Returns owned; NULL: no
 * memory, or more than HTTP_BODY_SECRETS_MAX. */
struct http_secrets *http_secrets_create(const struct bytes *texts, size_t count);
void http_secrets_destroy(struct http_secrets *s); /* takes NULL */
/* Whether one of them is in the text, in any of its forms. */
bool http_secrets_are_in(const struct http_secrets *s, struct bytes text);
/* Appends the text with each of them replaced by "[masked]" to `out`. */
enum err http_secrets_replace(const struct http_secrets *s, struct bytes text, struct buffer *out,
                              bool *out_found) MUST_USE;

struct http_body_options {
    struct bytes content_type;     /* the field's value; empty: none */
    struct bytes content_encoding; /* likewise; several codings in the order they were applied */
    struct masker *masker;         /* NULL: nothing is masked */
    const struct http_secrets *secrets; /* NULL: none */
    bool is_part;                       /* 206, or Content-Range: a part of something larger */
    /* Nothing is to be forwarded of it: `out` stays empty, and on_plain gets it decoded, also where
     * nothing is masked (a record). */
    bool only_plain;
    /* Plain, masked bytes; the sum of it is what the agent saw, decoded. NULL: not wanted. */
    void (*on_plain)(void *context, struct bytes plain);
    void *context;
};

struct http_body;
/* ERR_DENIED with a sentence in `why`: under these masks or secrets such a body cannot be shown
 * (its type cannot be masked, its coding is not known, it is a part). Borrows masker and secrets,
 * copies the rest. */
enum err http_body_create(const struct http_body_options *options, struct http_body **out,
                          struct err_text *why) MUST_USE;
void http_body_destroy(struct http_body *b); /* takes NULL */
/* The bytes go through as they are: `feed` then only calls on_plain, and the caller forwards. */
bool http_body_is_unchanged(const struct http_body *b);
/* Appends what may be shown to `out`. ERR_INVALID: not of its coding or type, or a bomb; ERR_LIMIT;
 * ERR_NO_MEMORY. */
enum err http_body_feed(struct http_body *b, struct bytes in, struct buffer *out) MUST_USE;
/* The same, but the end of what may be shown can stay where it stands, in `in`: `*out_rest` follows
 * what was appended. So a body that goes through unchanged is all there. */
enum err http_body_feed_in_place(struct http_body *b, struct bytes in, struct buffer *out,
                                 struct bytes *out_rest) MUST_USE;
/* The end: what was held back. ERR_INVALID: the body is not complete. */
enum err http_body_finish(struct http_body *b, struct buffer *out) MUST_USE;
/* Something was masked, or a secret was found. */
bool http_body_was_masked(const struct http_body *b);
bool http_body_had_secrets(const struct http_body *b);

#endif

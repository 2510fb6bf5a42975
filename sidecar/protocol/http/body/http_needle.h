/* A text to be found in one form (as it is, in base64, in hexadecimal, in UTF-16), however its
 * bytes are written: as they are, percent-encoded (RFC 3986 section 2.1), or as a JSON string (RFC
 * 8259 section 7), byte by byte as the writer liked; and these once more, as one document is
 * written into another. Pure. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_NEEDLE_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_NEEDLE_H

#include "base/bytes.h"

enum http_form {
    HTTP_FORM_PLAIN,
    HTTP_FORM_BASE64_0, /* both alphabets of RFC 4648; with none, one or two bytes before it */
    HTTP_FORM_BASE64_1,
    HTTP_FORM_BASE64_2,
    HTTP_FORM_BASE64_WHOLE, /* with nothing before or behind it */
    HTTP_FORM_HEX,
    HTTP_FORM_WIDE, /* UTF-16 of either order; of ASCII only */
};

struct http_byte_set {
    uint64_t bits[4];
};

static inline void http_byte_set_add(struct http_byte_set *s, uint8_t c)
{
    s->bits[c >> 6] |= (uint64_t)1 << (c & 63);
}

static inline bool http_byte_set_has(const struct http_byte_set *s, uint8_t c)
{
    return (s->bits[c >> 6] >> (c & 63) & 1) != 0;
}

/* One byte of the form: this or that. */
struct http_unit {
    uint8_t a, b;
};

struct http_needle {
    struct http_unit *units;
    size_t count;
    /* Of base64: the first and last character have bits of what is beside the text. */
    bool has_first, has_last;
    struct http_byte_set first, last;
    bool percent_is_raw, backslash_is_raw; /* they begin no escape */
};

/* The text has to have at least one byte. On failure there is nothing to finish. */
enum err http_needle_init(struct http_needle *n, enum http_form form, struct bytes text) MUST_USE;
void http_needle_finish(struct http_needle *n); /* wipes */

/* The bytes that the unit may be. */
struct http_byte_set http_needle_unit(const struct http_needle *n, size_t index);

enum http_needle_match {
    HTTP_NEEDLE_NONE,
    HTTP_NEEDLE_PARTIAL, /* the text is a beginning of it */
    HTTP_NEEDLE_FOUND,
};

/* Whether the text begins with it; then `*out_size` is how many bytes of the text it takes. */
enum http_needle_match http_needle_match(const struct http_needle *n, struct bytes text,
                                         size_t *out_size);

#endif

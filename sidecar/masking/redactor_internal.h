/* Between the files of the redactor. */
#ifndef CHAPERONE_SIDECAR_MASKING_REDACTOR_INTERNAL_H
#define CHAPERONE_SIDECAR_MASKING_REDACTOR_INTERNAL_H

#include "base/crypto/crypto.h"
#include "sidecar/masking/redactor.h"
#include "sidecar/masking/value.h"

enum {
    REDACTOR_HASH_SIZE = 16
}; /* bytes of the HMAC that are shown: collisions need 2^64 values */

struct redactor {
    struct redactor_config config; /* its text borrows `text`; its key is not kept */
    char text[REDACTOR_TEXT_MAX];
    struct crypto_hmac keyed;
    struct buffer scratch; /* of reading a value */
    struct buffer made;    /* what a value of text kind is made of */
    struct buffer element; /* of an array in text: as it was, without its quotes */
    struct buffer piece;   /* the same, redacted */

    bool counts[256]; /* PARTIAL: which characters of ASCII are masked or kept by their number */

    /* Of the type that was asked for last: the values of a column follow each other. */
    uint32_t type_oid;
    const struct value_type *type; /* NULL: it is not known */
    bool type_is_array;
};

/* Each changes `v` to its redacted form; ERR_INVALID when there is none in its type. */
enum err redactor_make_hash(struct redactor *r, struct value *v) MUST_USE;
enum err redactor_make_digits(struct redactor *r, struct value *v) MUST_USE;
enum err redactor_make_partial(struct redactor *r, struct value *v) MUST_USE;

/* Sets `counts`; the configuration is there. */
void redactor_prepare_partial(struct redactor *r);
/* The partial form of a text of ASCII, in its place. False: it is not one; it is unchanged. */
bool redactor_make_partial_in_place(const struct redactor *r, uint8_t *text, size_t size) MUST_USE;

/* Of one value that is no array. */
enum err redactor_apply_one(struct redactor *r, const struct value_type *type, bool is_binary,
                            struct bytes value, struct buffer *out) MUST_USE;
/* Of an array with elements of the type. */
enum err redactor_apply_array(struct redactor *r, const struct value_type *type, bool is_binary,
                              struct bytes value, struct buffer *out) MUST_USE;

/* Appends a JSON string (RFC 8259 section 7), or only its inside. */
enum err redactor_put_json(struct bytes text, bool with_quotes, struct buffer *out) MUST_USE;
/* Appends an element as array_out prints it, in quotes where it needs them. */
enum err redactor_put_element(struct bytes text, struct buffer *out) MUST_USE;

#endif

/* Redactors: pure functions from one value of a result column to one that may be shown.
 *
 * The output is always a valid value of the same type in the same format: a client that decodes
 * a binary int4 gets four bytes. Where a redactor has no such value to give (a fixed word for an
 * int4, the partial form of a date), the value becomes NULL and the result says so; a value that
 * is not one of its type, and a type that is not known, become NULL too. Nothing of a value is
 * ever passed on because it was not understood.
 *
 * The same value gives the same output in text and in binary (text: DateStyle ISO). Arrays of one
 * dimension are redacted element by element, their NULLs stay; of more dimensions: NULL.
 *
 * A redactor keeps scratch memory and is for one thread; it allocates nothing per value once that
 * has grown. It remembers nothing from one value to the next. */
#ifndef CHAPERONE_SIDECAR_MASKING_REDACTOR_H
#define CHAPERONE_SIDECAR_MASKING_REDACTOR_H

#include "base/bytes.h"

struct redactor;

enum redactor_kind {
    REDACTOR_TO_NULL,
    /* `text`, read as a value of the column's type; as a JSON string in json and jsonb. */
    REDACTOR_TO_FIXED,
    /* Text only: all but the first and last characters become `mask`. When there would be nothing
     * left to mask, all of them do. */
    REDACTOR_TO_PARTIAL,
    /* Keyed; equal values stay equal (see docs/masking.md for the form in each type). */
    REDACTOR_TO_HASH,
    /* Text and numbers, keyed: digits become digits, ASCII letters (when asked for) letters of
     * the same case, other ASCII stays, anything beyond ASCII becomes '*' . */
    REDACTOR_TO_DIGITS,
    /* date, timestamp and timestamptz (in UTC): to the beginning of `unit`. */
    REDACTOR_TO_DATE,
};

enum redactor_unit { REDACTOR_YEAR, REDACTOR_MONTH, REDACTOR_DAY };

enum {
    REDACTOR_KEY_MIN = 16,    /* bytes: what cannot be guessed */
    REDACTOR_TEXT_MAX = 1024, /* bytes of a fixed text */
    REDACTOR_KEEP_MAX = 1024, /* characters; more would not be masking */
    /* The default of max_value: what a session may hold of one value. */
    REDACTOR_VALUE_MAX = 16 << 20,
};

/* What a policy fills in; everything is copied. Zero is a redactor to NULL. */
struct redactor_config {
    enum redactor_kind kind;
    struct bytes text;            /* FIXED */
    size_t keep_first, keep_last; /* PARTIAL: characters, of UTF-8 or else bytes */
    char mask;                    /* PARTIAL: printable ASCII; 0 is '*' */
    bool keep_separators;    /* PARTIAL: ASCII other than letters and digits stays, uncounted */
    struct bytes key;        /* HASH, DIGITS */
    bool replace_letters;    /* DIGITS */
    enum redactor_unit unit; /* DATE */
    size_t max_value;        /* bytes of a value; larger ones fail. 0: REDACTOR_VALUE_MAX */
};

/* Returns owned. ERR_INVALID for parameters out of their bounds, said in `why` (may be NULL). */
enum err redactor_create(const struct redactor_config *config, struct redactor **out,
                         struct err_text *why) MUST_USE;
void redactor_destroy(struct redactor *r); /* takes NULL; wipes the key and the scratch memory */

enum redactor_result {
    REDACTOR_VALUE,        /* the redacted value was appended */
    REDACTOR_NULL,         /* NULL, as configured: nothing was appended */
    REDACTOR_NULL_INSTEAD, /* NULL, for there is no such value of the type: nothing was appended */
    REDACTOR_FAILED,       /* no memory, or a cap: nothing was appended; the caller refuses */
};

/* Redacts a value (never NULL itself: NULL stays NULL, the caller does not ask), of the type with
 * this oid, in the text or binary format, and appends to `out`. */
enum redactor_result redactor_apply(struct redactor *r, uint32_t type, bool is_binary,
                                    struct bytes value, struct buffer *out) MUST_USE;

/* The same where the value stands, for what is common and keeps its length: the partial form of a
 * text of ASCII, which is the same in both formats. False: nothing was changed, and redactor_apply
 * is to be called. */
bool redactor_apply_in_place(struct redactor *r, uint32_t type, uint8_t *value,
                             size_t size) MUST_USE;

#endif

/* Between the files of COPY. */
#ifndef CHAPERONE_SIDECAR_MASKING_MASKER_COPY_INTERNAL_H
#define CHAPERONE_SIDECAR_MASKING_MASKER_COPY_INTERNAL_H

#include "sidecar/masking/masker_internal.h"

enum masker_copy_state {
    COPY_HEADER, /* its line, or the head of the binary format, has to come first */
    COPY_ROWS,
    COPY_ENDED,  /* by a marker in the data: nothing may follow */
    COPY_FAILED, /* for good */
};

struct masker_copy_codec {
    /* Where the unit (header, row, end) that `data` begins with ends; 0 when that is not in it.
     * Goes on from what c->looked says. */
    enum err (*find)(struct masker_copy *c, struct bytes data, size_t *out_size);
    /* Appends the unit, masked. */
    enum err (*put)(struct masker_copy *c, struct bytes unit, struct buffer *out);
};

extern const struct masker_copy_codec masker_copy_text, masker_copy_csv, masker_copy_binary;

struct masker_copy {
    struct masker *masker; /* borrows */
    const struct masker_copy_codec *codec;
    enum masker_copy_state state;
    struct masker_column *columns;
    size_t count;
    char delimiter, quote, escape;
    struct buffer null_text;
    struct buffer held;  /* the beginning of a unit */
    struct buffer field; /* a value without its escapes */
    /* How far a unit that is not complete was looked at. */
    struct masker_copy_looked {
        size_t at;
        size_t fields;                                        /* binary: complete before `at` */
        enum { CSV_OUTSIDE, CSV_QUOTED, CSV_ESCAPED } quotes; /* csv: at `at` */
    } looked;
};

/* A line of text or csv in the making: what does not change is copied in runs. */
struct masker_copy_line {
    struct bytes text;  /* without its line feed */
    size_t at;          /* of the next field */
    size_t run;         /* what was not yet copied begins here */
    bool has_backslash; /* text: anywhere in it */
};

/* A field of the line from `start` to line->at is to be replaced: copies what is before it. */
enum err masker_copy_flush(struct masker_copy_line *line, size_t start,
                           struct buffer *out) MUST_USE;

/* Appends a value as COPY's text format writes it (CopyAttributeOutText). */
enum err masker_copy_put_text(struct bytes value, char delimiter, struct buffer *out) MUST_USE;
/* The reverse: replaces what is in `out`. ERR_INVALID for what that would not have written. */
enum err masker_copy_read_text(struct bytes raw, char delimiter, struct buffer *out) MUST_USE;

#endif

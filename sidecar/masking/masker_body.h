/* Masks bodies and fields of HTTP messages, in streams: JSON by path and by name, forms by name,
 * texts by what they look like.
 *
 * A body may come in pieces of any size; where a piece ends makes no difference to what is found.
 * Memory is bounded: a body may be longer than it. Where something cannot be masked the functions
 * fail, and the caller shows no more of it. The counts of what was masked are in the masker's
 * (masker_counts), with the column MASKER_BODY_COLUMN. */
#ifndef CHAPERONE_SIDECAR_MASKING_MASKER_BODY_H
#define CHAPERONE_SIDECAR_MASKING_MASKER_BODY_H

#include "sidecar/masking/masker.h"

enum {
    MASKER_BODY_COLUMN = 0,
    MASKER_BODY_VALUE_MAX = 16 << 20, /* of one string in JSON, of one form field */
    MASKER_BODY_DEPTH_MAX = 512,      /* of JSON */
    MASKER_BODY_PATH_MAX = 4 << 10,   /* of the path to a value, as a JSON pointer */
};

enum masker_body_kind {
    /* RFC 8259; several values one after another (NDJSON, RFC 7464) are read as well. Given out
     * again as JSON: numbers as they were written, strings with the same characters. Fields by
     * name at any depth and by pointer (also the names themselves are looked through by detectors);
     * what is below a masked field is masked value by value. A string that is JSON is masked like a
     * body. Ends of lines between values go out as they come. */
    MASKER_BODY_JSON,
    /* application/x-www-form-urlencoded (WHATWG URL section 5.1). */
    MASKER_BODY_FORM,
    /* Any text: detectors only. With built-in ones a line goes out when it has ended; else up to
     * FIND_BACK + FIND_AHEAD bytes (detector_find.h) are held back. ERR_DENIED where masks name
     * fields, except where they say that what cannot be followed to its origin may be shown
     * (`unknown_origin: allow`). */
    MASKER_BODY_TEXT,
};

struct masker_body;
/* Borrows the masker; returns owned. ERR_DENIED: such a body cannot be shown under these masks. */
enum err masker_body_create(struct masker *m, enum masker_body_kind kind, struct masker_body **out,
                            struct err_text *why) MUST_USE;
void masker_body_destroy(struct masker_body *b); /* takes NULL; wipes what it held */
/* Appends what may be shown. ERR_INVALID: it is not of its kind; ERR_LIMIT. */
enum err masker_body_feed(struct masker_body *b, struct bytes in, struct buffer *out) MUST_USE;
enum err masker_body_finish(struct masker_body *b, struct buffer *out) MUST_USE;

/* What may be shown of a header or trailer field: by its name where the masks name it, else by
 * detectors, also behind percent signs; an address's query by the names in it. Appends to `out`;
 * `*out_changed`: it is another value. */
enum err masker_header(struct masker *m, struct bytes name, struct bytes value, struct buffer *out,
                       bool *out_changed) MUST_USE;
/* What may be recorded of a query ("a=1&b=2", without '?'): as a form, in which a percent sign that
 * begins no escape stands for itself. */
enum err masker_query(struct masker *m, struct bytes query, struct buffer *out,
                      bool *out_changed) MUST_USE;
/* Whether anything of HTTP is masked at all: fields, paths, headers, or contents. */
bool masker_masks_http(const struct masker *m);
/* Whether all of its rules that are about bodies say that what cannot be followed to its origin may
 * be shown (`unknown_origin: allow`): then a body that cannot be looked into may be, too. */
bool masker_allows_unknown(const struct masker *m);

#endif

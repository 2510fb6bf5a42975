/* Between the files that mask bodies and fields of HTTP. */
#ifndef CHAPERONE_SIDECAR_MASKING_MASKER_BODY_INTERNAL_H
#define CHAPERONE_SIDECAR_MASKING_MASKER_BODY_INTERNAL_H

#include "sidecar/masking/masker_body.h"
#include "sidecar/masking/masker_internal.h"

/* ---- which rules name it -------------------------------------------------------------------- */

enum masker_name { MASKER_FIELD, MASKER_POINTER, MASKER_HEADER };

/* Adds the rules that name it. ERR_LIMIT: the name is longer than can be asked for. */
enum err masker_find_rules(const struct masker *m, enum masker_name kind, struct bytes name,
                           uint64_t *io_rules) MUST_USE;
/* Of a form: the whole name, its parts (`user[email]`, `user.email`), and it as a pointer. */
enum err masker_find_form_rules(struct masker *m, struct bytes name, uint64_t *io_rules) MUST_USE;
/* Appends "/" and the step, escaped (RFC 6901 section 3). */
enum err masker_put_step(struct bytes step, struct buffer *path) MUST_USE;

/* ---- what becomes of a value ---------------------------------------------------------------- */

/* As it stands in JSON; of everything else the values are strings. */
enum masker_sort { MASKER_STRING, MASKER_NUMBER, MASKER_TRUE, MASKER_FALSE };

enum masker_made {
    MADE_SAME,
    MADE_STRING, /* in m->value, valid until the next call */
    MADE_NUMBER, /* likewise, as JSON writes it */
    MADE_TRUE,
    MADE_FALSE,
    MADE_NULL,
};

/* A value that the rules name (at least one). Counts what it did. */
enum err masker_make(struct masker *m, uint64_t rules, enum masker_sort sort, struct bytes text,
                     enum masker_made *out) MUST_USE;
/* A value that no rule names: what detectors find in its text. `name`: of the member that it is of,
 * which may tell that it is a secret. */
enum err masker_look(struct masker *m, struct bytes name, struct bytes text,
                     enum masker_made *out) MUST_USE;

/* A number, also without its exponent; one in which something is found becomes a string. */
enum err masker_look_number(struct masker *m, struct bytes name, struct bytes text,
                            enum masker_made *out) MUST_USE;

/* ---- the kinds of bodies -------------------------------------------------------------------- */

struct masker_json;
enum err masker_json_create(struct masker *m, struct masker_json **out) MUST_USE;
void masker_json_destroy(struct masker_json *j); /* takes NULL */
enum err masker_json_feed(struct masker_json *j, struct bytes in, struct buffer *out) MUST_USE;
enum err masker_json_finish(struct masker_json *j, struct buffer *out) MUST_USE;

enum { MASKER_NESTED_MAX = 3 /* JSON within a string of JSON, and so on */ };
/* A text that may be JSON itself, which no rule names: its members are masked as those of a body,
 * `nested` is how deep it stands in other such texts. `*out_changed`: something was, and the text
 * was appended to `out`; it is no JSON otherwise, or has nothing to mask. ERR_LIMIT: deeper than
 * NESTED_MAX. */
enum err masker_json_look_within(struct masker *m, size_t nested, struct bytes text,
                                 struct buffer *out, bool *out_changed) MUST_USE;

struct masker_form;
/* `is_strict`: a percent sign that begins no escape is an error; else it stands for itself. */
enum err masker_form_create(struct masker *m, bool is_strict, struct masker_form **out) MUST_USE;
void masker_form_destroy(struct masker_form *f); /* takes NULL */
enum err masker_form_feed(struct masker_form *f, struct bytes in, struct buffer *out) MUST_USE;
enum err masker_form_finish(struct masker_form *f, struct buffer *out) MUST_USE;

struct masker_stream;
enum err masker_stream_create(struct masker *m, struct masker_stream **out) MUST_USE;
void masker_stream_destroy(struct masker_stream *s); /* takes NULL */
enum err masker_stream_feed(struct masker_stream *s, struct bytes in, struct buffer *out) MUST_USE;
enum err masker_stream_finish(struct masker_stream *s, struct buffer *out) MUST_USE;

#endif

/* Between the files that mask JSON. */
#ifndef CHAPERONE_SIDECAR_MASKING_MASKER_JSON_INTERNAL_H
#define CHAPERONE_SIDECAR_MASKING_MASKER_JSON_INTERNAL_H

#include <yajl/yajl_parse.h>

#include "sidecar/masking/masker_body_internal.h"
#include "sidecar/masking/masker_json_cut.h"
#include "sidecar/masking/masker_json_heap.h"

struct level {
    uint64_t rules;   /* that mask all of it */
    size_t path_size; /* of the path to it */
    uint64_t index;   /* of an array: of its next element */
    bool is_array, has_members;
};

struct masker_json {
    struct masker *m; /* borrows */
    struct masker_json_heap heap;
    yajl_handle parser; /* of the heap */
    struct masker_json_cut cut;
    struct buffer held;      /* the token that has begun */
    struct buffer paired;    /* a piece with its surrogates mended */
    struct buffer path, key; /* to the value, and the last step of it as it was */
    struct buffer *out;      /* borrows, within a call */
    struct bytes piece;      /* that the parser is given */
    size_t between;          /* in the piece: behind the last value on the top level */
    enum err failed;
    bool is_past_mark;    /* of byte order */
    bool has_begun;       /* anything but white space was there */
    bool is_separated;    /* a line has ended, or a record begun, behind the last value */
    bool was_container;   /* that value was */
    bool is_changed;      /* anything was masked */
    size_t nested;        /* how deep it stands in the strings of another */
    struct buffer within; /* what became of a string of JSON */
    uint64_t member_rules;
    size_t depth;
    struct level *levels; /* room for `level_room`, at most MASKER_BODY_DEPTH_MAX */
    size_t level_room;
};

/* As the parser has it, more than RFC 8259 section 2 does. */
static inline bool masker_json_is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* What the parser calls with each token; the context is the masker_json. What fails is noted in it,
 * and ends the parsing. */
extern const yajl_callbacks masker_json_callbacks;

/* Notes what failed first. Returns whether nothing has. */
int masker_json_note(struct masker_json *j, enum err e);
/* Gives out the ends of lines that follow the last value on the top level in the piece. */
enum err masker_json_put_line_ends(struct masker_json *j) MUST_USE;

/* Appends a string (RFC 8259 section 7), in quotes, and `after`. */
enum err masker_json_put_string(struct bytes text, const char *after, struct buffer *out) MUST_USE;

#endif

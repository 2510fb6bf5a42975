/* Where a text of JSON that comes in pieces may be cut without cutting a token (RFC 8259 section
 * 2), so that the parser gets each of them whole: it would begin an unfinished one anew with every
 * piece, and a long string in small pieces would cost the square of its length. It is not a
 * parser: what is no JSON is cut somewhere and refused by the parser. Pure. */
#ifndef CHAPERONE_SIDECAR_MASKING_MASKER_JSON_CUT_H
#define CHAPERONE_SIDECAR_MASKING_MASKER_JSON_CUT_H

#include "base/bytes.h"

enum {
    MASKER_JSON_BARE_MAX = 4096, /* of a number: no one writes more digits */
};

enum masker_json_cut_state { CUT_BETWEEN, CUT_BARE, CUT_STRING, CUT_ESCAPE };

struct masker_json_cut {
    enum masker_json_cut_state state;
    size_t open; /* bytes of the token that has begun */
};

/* Goes on with the next piece. `*out_first`: the first place in it that is in no token (its size:
 * there is none); `*out_last`: the last. ERR_LIMIT: a token is longer than `string_max` or
 * BARE_MAX. */
enum err masker_json_cut_next(struct masker_json_cut *c, struct bytes in, size_t string_max,
                              size_t *out_first, size_t *out_last) MUST_USE;

/* Appends the text, of whole tokens, with each escaped surrogate that is none of a pair (section
 * 8.2) replaced by U+FFFD: parsers make different characters of them. Leaves `out` empty where
 * there is none. */
enum err masker_json_pair(struct bytes text, struct buffer *out) MUST_USE;

#endif

/* A text with its plain constants cut out, made by one pass over its bytes: what a cache may look
 * up before anything is parsed. For this folder only.
 *
 * A constant is cut out only where its form and its neighbours leave no doubt: '...' without a
 * backslash and without a prefix, whole numbers, decimals. All else is kept byte for byte, and a
 * text with anything unusual (E'', U&"", $$, control bytes, what does not end) has no skeleton.
 *
 * Why two texts of one skeleton mean the same: PostgreSQL's scanner (scan.l) reads from left to
 * right, and what it makes of the bytes between two constants depends on nothing within a constant
 * as long as each constant is one token. That this is so is not believed of this module but shown
 * by the parser: skeleton_is_proved compares the skeleton with what pg_query_normalize made of a
 * text that has it. Until then, and where it is not so, nothing is looked up by it. */
#ifndef CHAPERONE_SIDECAR_SQL_SKELETON_H
#define CHAPERONE_SIDECAR_SQL_SKELETON_H

#include "base/bytes.h"

/* What stands for a constant. The kind is kept, for the grammar tells them apart. */
enum skeleton_mark {
    SKELETON_STRING = 1,
    SKELETON_INTEGER, /* fits into 32 bits: ICONST */
    SKELETON_NUMBER,  /* FCONST */
    SKELETON_MARK_LAST = SKELETON_NUMBER,
};

struct skeleton {
    uint8_t *out; /* borrows; of the text's size */
    size_t size;
    size_t marks;
    /* Has NULL, TRUE or FALSE, which normalisation also replaces: texts of other skeletons may have
     * the same normal form. */
    bool has_named_constants;
};

/* False: the text has no skeleton, or none of use, or its tokens could be nested deeper than
 * SQL_DEPTH_MAX (so that depth_check accepts every text of a skeleton). */
bool skeleton_make(struct bytes text, uint8_t *out, struct skeleton *s) MUST_USE;

/* `normal` is pg_query_normalize's of a text with this skeleton. True: every constant that was cut
 * out was one constant of the parse tree, from its first byte to its last. */
bool skeleton_is_proved(const struct skeleton *s, const char *normal) MUST_USE;

#endif

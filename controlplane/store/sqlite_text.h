/* A person's search text as an expression of SQLite's full-text index (FTS5 section 3). */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_TEXT_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_TEXT_H

#include "base/bytes.h"

/* Appends words that begin so, as an expression, and says so in `*out_done`; or appends nothing. */
typedef enum err sqlite_text_expand_fn(void *context, struct bytes beginning, struct buffer *out,
                                       bool *out_done);

/* Appends {text} : ("word" "two words" "begin" *) for what store_audit_filter.text says.
 * Nothing of `text` is ever read as an operator of FTS5. `expand` (may be NULL) may put words in
 * the place of a beginning. ERR_INVALID: there is no word in it. */
enum err sqlite_text_expression(const char *text, sqlite_text_expand_fn *expand, void *context,
                                struct buffer *out) MUST_USE;

/* Takes the next run of `*in` with a word in it: its words stand together, and the last one is a
 * beginning where `*out_is_prefix`. False: there is no more. Quotes in a run only part words. */
bool sqlite_text_phrase_next(struct bytes *in, struct bytes *out_run, bool *out_is_prefix);

#endif

/* The words of a text, as the index of words takes them: those of FTS5's tokenizer unicode61 with
 * remove_diacritics 0 (FTS5 section 4.3.1). ASCII is done here, the rest is SQLite's own. Bytes
 * that are not UTF-8 part words. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_TOKENS_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_TOKENS_H

#include <sqlite3.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

/* Of a connection, which must outlive it; used by one thread at a time. */
struct tokens;
enum err tokens_create(sqlite3 *handle, struct tokens **out) MUST_USE;
void tokens_destroy(struct tokens *tokens); /* takes NULL */

/* The different words of some texts, for one document of the index. */
enum err tokens_set_begin(struct tokens *tokens) MUST_USE;
enum err tokens_set_add(struct tokens *tokens, struct bytes text) MUST_USE;
/* The same of a text whose first `front` and last `end` bytes are, in whole words, those of the one
 * that was added before it: only what is between costs anything. */
enum err tokens_set_add_change(struct tokens *tokens, struct bytes text, size_t front,
                               size_t end) MUST_USE;
/* All of them with a space behind each, in the order in which they came first, so that the same
 * texts give the same bytes; replaces what is in `out`. Empty: there is no word. */
enum err tokens_set_end(struct tokens *tokens, struct buffer *out) MUST_USE;
/* After it: the marks of these texts (sqlite_marks.h). Replaces what is in `out`, which has room
 * for MARKS_SIZE_MAX. */
enum err tokens_set_marks(struct tokens *tokens, struct buffer *out) MUST_USE;

/* What a person searches for (store_audit_filter.text): phrases, all of which must be in a text. */
struct tokens_query;
/* ERR_INVALID: there is no letter or digit in it; ERR_LIMIT: it is too long. A phrase without any
 * word (a symbol beyond ASCII) is passed over where there are others; alone it is in no text. */
enum err tokens_query_parse(struct tokens *tokens, const char *text,
                            struct tokens_query **out) MUST_USE;
void tokens_query_destroy(struct tokens_query *query); /* takes NULL */
/* Whether the text has all of it: the words of each phrase together, in their order. */
enum err tokens_query_match(struct tokens *tokens, const struct tokens_query *query,
                            struct bytes text, bool *out) MUST_USE;
/* Its different words, folded as the index has them; the last one of a phrase may be a beginning.
 * None: nothing has it. */
struct tokens_word {
    struct bytes word; /* borrowed from the query */
    bool is_prefix;
};
size_t tokens_query_words(const struct tokens_query *query, const struct tokens_word **out);

#endif

/* The words of a statement, the same as the full-text index of SQLite makes (FTS5's unicode61, its
 * own code), so that both backends find the same.
 *
 * Two forms of them. *Spoken*: each word with a NUL before it, and one NUL at the end, in their
 * order: what is searched for is a run of it. *Words*: a tsvector of each word once, cut to
 * WORDS_KEPT bytes and written in ASCII (other bytes as _xx, so that a beginning stays one): an
 * index of candidates. Beside words there are tags ("=i12": identity 12) in it. A text of too many
 * words has the one word "*" in their place: it is always a candidate.
 *
 * One for each thread or lock. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_POSTGRES_PG_WORDS_H
#define CHAPERONE_CONTROLPLANE_STORE_POSTGRES_PG_WORDS_H

#include "base/bytes.h"

enum {
    WORDS_KEPT = 60,
    WORDS_SIZE_MAX = 900 * 1024, /* of the words of one text; a tsvector takes 1 MiB */
    WORDS_COUNT_MAX = 200000,
    WORDS_BUFFER_MAX = 16 << 20, /* of a text of 1 MiB, whatever is in it */
};

struct words;

enum err words_create(struct words **out) MUST_USE;
void words_destroy(struct words *w); /* takes NULL */

/* Appends the spoken form of `text` to `out`; nothing where there is no word in it. */
enum err words_speak(struct words *w, struct bytes text, struct buffer *out) MUST_USE;

/* Appends the lexemes of a spoken text, as they stand in the binary form of a tsvector, and says
 * how many they are. words_tag appends one more. */
enum err words_lexemes(struct bytes spoken, struct buffer *out, uint32_t *out_count) MUST_USE;
enum err words_tag(const char *tag, struct buffer *out) MUST_USE;

/* Appends the tsquery (its text) of one phrase, spoken: all of its words, or "*". */
enum err words_query(struct bytes spoken, bool is_prefix, struct buffer *out) MUST_USE;

#endif

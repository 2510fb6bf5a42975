/* Inside of sqlite_tokens: a text as its words. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_TOKENS_WORDS_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_TOKENS_WORDS_H

#include "controlplane/store/sqlite_tokens.h"

enum { WORD_SIZE_MAX = 32768 /* FTS5_MAX_TOKEN_SIZE: what is beyond it is not in the index */ };

struct tokens_text_word {
    const uint8_t *at;
    size_t size;
    size_t left;        /* bytes that may be read from `at` on; at least `size` */
    bool is_folded;     /* it is not of ASCII */
    const uint8_t *run; /* of the text: no separator of ASCII is between it and the word */
};
/* False: that is enough. */
typedef bool tokens_word_fn(void *context, const struct tokens_text_word *word);

/* All words of a text, in their order. ERR_LIMIT: it is too long. */
enum err tokens_words_each(struct tokens *tokens, struct bytes text, tokens_word_fn *each,
                           void *context) MUST_USE;

/* Of a byte of a word. */
static inline uint8_t tokens_fold(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

#endif

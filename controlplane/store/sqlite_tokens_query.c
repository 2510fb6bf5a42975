#include <stdlib.h>

#include "controlplane/store/sqlite_text.h"
#include "controlplane/store/sqlite_tokens.h"
#include "controlplane/store/sqlite_tokens_words.h"

enum {
    QUERY_SIZE_MAX = 1 << 20,
    QUERY_WORDS_MAX = 1024, /* a long statement in the place of a search */
    LANE = 64,
    LANES = QUERY_WORDS_MAX / LANE,
    GLANCE = 3, /* bytes of a word that are looked for at first */
    GLANCE_BLOCK = 16,
};

struct query_word {
    size_t at, size; /* in `bytes` */
    bool is_prefix;  /* of a word */
    bool is_last;    /* of its phrase */
    uint16_t next;   /* one that begins with the same byte, + 1; 0: none */
};

/* The words of all phrases one behind the other: word n is bit n of the lanes. */
struct tokens_query {
    struct buffer bytes;
    struct query_word words[QUERY_WORDS_MAX];
    struct tokens_word different[QUERY_WORDS_MAX];
    size_t count, different_count;
    uint16_t first[256];                 /* of those that begin so, + 1; 0: none */
    uint64_t begins[LANES], ends[LANES]; /* a phrase */
    /* How its longest word of ASCII begins: a byte with these bits set is that one. */
    uint8_t glance_bits[GLANCE], glance[GLANCE];
    bool can_glance;
    enum err failed;
};

/* ---- reading it --------------------------------------------------------------------------------
 */

static bool query_word_add(void *context, const struct tokens_text_word *word)
{
    struct tokens_query *q = context;
    if (q->count == QUERY_WORDS_MAX) {
        q->failed = ERR_LIMIT;
        return false;
    }
    size_t at = buffer_size(&q->bytes);
    q->failed = buffer_append(&q->bytes, bytes_of(word->at, word->size));
    if (q->failed != OK) {
        return false;
    }
    for (size_t i = at; i < at + word->size; i++) {
        q->bytes.data[i] = tokens_fold(q->bytes.data[i]);
    }
    q->words[q->count++] = (struct query_word){.at = at, .size = word->size};
    return true;
}

static enum err phrase_add(struct tokens_query *q, struct tokens *tokens, struct bytes run,
                           bool is_prefix)
{
    size_t from = q->count;
    enum err err = tokens_words_each(tokens, run, query_word_add, q);
    err = err == OK ? q->failed : err;
    if (err == OK && q->count > from) {
        q->words[q->count - 1].is_prefix = is_prefix;
        q->words[q->count - 1].is_last = true;
    }
    return err;
}

static void bit_set(uint64_t *lanes, size_t n)
{
    lanes[n / LANE] |= UINT64_C(1) << n % LANE;
}

static struct bytes word_bytes(const struct tokens_query *q, const struct query_word *word)
{
    return bytes_of(q->bytes.data + word->at, word->size);
}

/* Once each; a word that is there whole need not be asked for as a beginning. */
static void different_add(struct tokens_query *q, const struct query_word *word)
{
    struct tokens_word one = {.word = word_bytes(q, word), .is_prefix = word->is_prefix};
    for (size_t i = 0; i < q->different_count; i++) {
        if (bytes_equal(q->different[i].word, one.word)) {
            q->different[i].is_prefix = q->different[i].is_prefix && one.is_prefix;
            return;
        }
    }
    q->different[q->different_count++] = one;
}

static void words_arrange(struct tokens_query *q)
{
    for (size_t n = 0; n < q->count; n++) {
        struct query_word *word = &q->words[n];
        uint16_t *first = &q->first[q->bytes.data[word->at]];
        word->next = *first;
        *first = (uint16_t)(n + 1);
        if (n == 0 || q->words[n - 1].is_last) {
            bit_set(q->begins, n);
        }
        if (word->is_last) {
            bit_set(q->ends, n);
        }
        different_add(q, word);
    }
}

static bool is_ascii(struct bytes word)
{
    uint8_t all = 0;
    for (size_t i = 0; i < word.size; i++) {
        all |= word.data[i];
    }
    return all < 0x80;
}

static void glance_choose(struct tokens_query *q)
{
    struct bytes longest = {0};
    for (size_t i = 0; i < q->different_count; i++) {
        if (q->different[i].word.size > longest.size && is_ascii(q->different[i].word)) {
            longest = q->different[i].word;
        }
    }
    q->can_glance = longest.size > 0;
    for (size_t i = 0; i < GLANCE; i++) {
        /* Of a shorter word the rest is any byte. */
        q->glance_bits[i] = i < longest.size ? 0x20 : 0xff;
        q->glance[i] = i < longest.size ? longest.data[i] : 0xff;
    }
}

enum err tokens_query_parse(struct tokens *tokens, const char *text, struct tokens_query **out)
{
    struct bytes in = bytes_of_string(text), run;
    bool is_prefix = false, any = false;
    if (in.size > QUERY_SIZE_MAX) {
        return ERR_LIMIT;
    }
    struct tokens_query *q = calloc(1, sizeof(*q));
    if (q == NULL) {
        return ERR_NO_MEMORY;
    }
    buffer_init(&q->bytes, 2 * QUERY_SIZE_MAX); /* sqlite_tokens.c: GROWTH */
    enum err err = OK;
    while (err == OK && sqlite_text_phrase_next(&in, &run, &is_prefix)) {
        any = true;
        err = phrase_add(q, tokens, run, is_prefix);
    }
    if (err == OK && !any) {
        err = ERR_INVALID;
    }
    if (err != OK) {
        tokens_query_destroy(q);
        return err;
    }
    words_arrange(q);
    glance_choose(q);
    *out = q;
    return OK;
}

void tokens_query_destroy(struct tokens_query *query)
{
    if (query != NULL) {
        buffer_wipe(&query->bytes);
        free(query);
    }
}

size_t tokens_query_words(const struct tokens_query *query, const struct tokens_word **out)
{
    *out = query->different;
    return query->different_count;
}

/* ---- whether a text has it ----------------------------------------------------------------------
 */

/* Whether one of GLANCE_BLOCK places of a text, with GLANCE - 1 bytes behind them, may be where the
 * word begins. Without a branch in it, so that it is done for all of them at once. */
static bool block_may_have(const struct tokens_query *q, const uint8_t *at)
{
    uint8_t found = 0;
    for (size_t i = 0; i < GLANCE_BLOCK; i++) {
        uint8_t same = (at[i] | q->glance_bits[0]) == q->glance[0];
        same &= (at[i + 1] | q->glance_bits[1]) == q->glance[1];
        same &= (at[i + 2] | q->glance_bits[2]) == q->glance[2];
        /* A character beyond ASCII may be folded to one of it. */
        found |= (uint8_t)(same | (at[i] & 0x80));
    }
    return found != 0;
}

/* Most texts are told from those that have the word by a glance, without taking them apart. */
static bool text_may_have(const struct tokens_query *q, struct bytes text)
{
    enum { NEEDED = GLANCE_BLOCK + GLANCE - 1 };
    uint8_t last[2 * NEEDED] = {0};
    if (!q->can_glance) {
        return true;
    }
    for (; text.size >= NEEDED; text.data += GLANCE_BLOCK, text.size -= GLANCE_BLOCK) {
        if (block_may_have(q, text.data)) {
            return true;
        }
    }
    memcpy(last, text.data, text.size);
    return block_may_have(q, last) || block_may_have(q, last + GLANCE_BLOCK);
}

/* Of each phrase, all its beginnings that end at the word that was read last (Shift-And:
 * Baeza-Yates and Gonnet, 1992). */
struct match {
    const struct tokens_query *query;
    size_t lanes;
    uint64_t open[LANES];
    uint64_t left[LANES]; /* phrases that were not seen yet, as their ends */
    bool is_open;         /* any bit of `open` */
};

static bool word_fits(const struct tokens_query *q, const struct query_word *word,
                      const struct tokens_text_word *found)
{
    if (word->is_prefix ? found->size < word->size : found->size != word->size) {
        return false;
    }
    const uint8_t *wanted = q->bytes.data + word->at;
    for (size_t i = 0; i < word->size; i++) {
        if (tokens_fold(found->at[i]) != wanted[i]) {
            return false;
        }
    }
    return true;
}

/* False: all phrases were seen. */
static bool match_step(struct match *m, const uint64_t *fits)
{
    const struct tokens_query *q = m->query;
    uint64_t carry = 0, open = 0, left = 0;
    for (size_t i = 0; i < m->lanes; i++) {
        uint64_t shifted = m->open[i] << 1 | carry;
        carry = m->open[i] >> (LANE - 1);
        m->open[i] = (shifted | q->begins[i]) & fits[i];
        m->left[i] &= ~m->open[i];
        open |= m->open[i];
        left |= m->left[i];
    }
    m->is_open = open != 0;
    return left != 0;
}

static bool match_word(void *context, const struct tokens_text_word *word)
{
    struct match *m = context;
    const struct tokens_query *q = m->query;
    uint16_t n = q->first[tokens_fold(word->at[0])];
    /* Most words of a text are in no search. */
    if (n == 0 && !m->is_open) {
        return true;
    }
    uint64_t fits[LANES];
    memset(fits, 0, m->lanes * sizeof(fits[0]));
    for (; n != 0; n = q->words[n - 1].next) {
        if (word_fits(q, &q->words[n - 1], word)) {
            bit_set(fits, n - 1u);
        }
    }
    return match_step(m, fits);
}

enum err tokens_query_match(struct tokens *tokens, const struct tokens_query *query,
                            struct bytes text, bool *out)
{
    struct match m = {.query = query, .lanes = (query->count + LANE - 1) / LANE};
    uint64_t left = 0;
    memcpy(m.left, query->ends, sizeof(m.left));
    bool may_have = query->count > 0 && text.size > 0 && text_may_have(query, text);
    enum err err = may_have ? tokens_words_each(tokens, text, match_word, &m) : OK;
    if (err != OK) {
        return err;
    }
    for (size_t i = 0; i < m.lanes; i++) {
        left |= m.left[i];
    }
    *out = query->count > 0 && left == 0;
    return OK;
}

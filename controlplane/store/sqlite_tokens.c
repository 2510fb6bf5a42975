#include "controlplane/store/sqlite_tokens.h"

#include <endian.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "controlplane/store/sqlite_marks.h"
#include "controlplane/store/sqlite_section.h"
#include "controlplane/store/sqlite_tokens_words.h"

enum {
    /* A small letter may be longer than its large one: three bytes for two. And a space for each
     * word, in the place of what parted it from the next one. */
    GROWTH = 2,
    SET_SIZE_MAX = GROWTH * SECTION_UNPACKED_MAX + (1 << 20), /* and room to work in */
    SET_SIZE_KEPT = 4 << 20, /* more is given back: a section of one large record is rare */
    SLOTS_FIRST = 1024,
    SLOTS_KEPT = 1 << 18,
    BLOCK = 8, /* bytes that are hashed at a time */
};

/* A word of the set; free where it is of another generation. */
struct slot {
    uint64_t first; /* block */
    uint32_t generation, hash, at, size;
    uint32_t number; /* of those before it */
};

struct tokens {
    fts5_tokenizer tokenizer;
    Fts5Tokenizer *unicode; /* owned */
    bool is_word[256];      /* what is no separator of ASCII */
    uint64_t seed, factor;  /* an agent chooses the words: it should not know their places */
    struct buffer words;    /* the set, as it is given out */
    struct slot *slots;     /* a power of two of them */
    size_t slot_count, used;
    uint32_t generation;
    const uint8_t *text; /* borrowed while words are added of it */
    struct marks *marks; /* owned: of the texts of the set */
    enum err failed;
};

/* ---- a text as words ---------------------------------------------------------------------------
 */

/* FTS5 section 7: how an extension finds the tokenizers of a connection. */
static enum err api_find(sqlite3 *handle, fts5_api **out)
{
    sqlite3_stmt *get = NULL;
    fts5_api *api = NULL;
    if (sqlite3_prepare_v2(handle, "SELECT fts5(?1)", -1, &get, NULL) == SQLITE_OK) {
        (void)sqlite3_bind_pointer(get, 1, &api, "fts5_api_ptr", NULL);
        (void)sqlite3_step(get);
    }
    (void)sqlite3_finalize(get);
    if (api == NULL || api->iVersion < 2) {
        return ERR_INTERNAL;
    }
    *out = api;
    return OK;
}

static enum err tokenizer_open(struct tokens *t, sqlite3 *handle)
{
    const char *arguments[] = {"remove_diacritics", "0"};
    void *data = NULL;
    fts5_api *api = NULL;
    enum err err = api_find(handle, &api);
    if (err != OK) {
        return err;
    }
    if (api->xFindTokenizer(api, "unicode61", &data, &t->tokenizer) != SQLITE_OK) {
        return ERR_INTERNAL;
    }
    return t->tokenizer.xCreate(data, arguments, 2, &t->unicode) == SQLITE_OK ? OK : ERR_NO_MEMORY;
}

enum err tokens_create(sqlite3 *handle, struct tokens **out)
{
    struct tokens *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        return ERR_NO_MEMORY;
    }
    buffer_init(&t->words, SET_SIZE_MAX);
    sqlite3_randomness(sizeof(t->seed), &t->seed);
    sqlite3_randomness(sizeof(t->factor), &t->factor);
    t->factor |= 1;
    for (size_t c = 0; c < sizeof(t->is_word); c++) {
        t->is_word[c] =
            c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    }
    enum err err = tokenizer_open(t, handle);
    if (err == OK) {
        err = marks_create(&t->marks);
    }
    if (err != OK) {
        tokens_destroy(t);
        return err;
    }
    *out = t;
    return OK;
}

void tokens_destroy(struct tokens *tokens)
{
    if (tokens != NULL) {
        if (tokens->unicode != NULL) {
            tokens->tokenizer.xDelete(tokens->unicode);
        }
        buffer_wipe(&tokens->words);
        marks_destroy(tokens->marks);
        free(tokens->slots);
        free(tokens);
    }
}

/* The next run without a separator of ASCII. The tokenizer never looks beyond one, so that each run
 * may be given to it alone, and one of ASCII is a word. */
static bool run_next(const struct tokens *t, struct bytes *in, struct bytes *out,
                     bool *out_is_ascii)
{
    const uint8_t *at = in->data, *end = at + in->size;
    while (at < end && !t->is_word[*at]) {
        at++;
    }
    const uint8_t *start = at;
    uint8_t all = 0;
    while (at < end && t->is_word[*at]) {
        all |= *at++;
    }
    *in = bytes_of(at, (size_t)(end - at));
    *out = bytes_of(start, (size_t)(at - start));
    *out_is_ascii = all < 0x80;
    return at > start;
}

struct beyond {
    tokens_word_fn *each;
    void *context;
    const uint8_t *run;
    bool goes_on;
};

/* As much of a word as is in the index, but no part of a character: that would be another one. */
static size_t word_size(const uint8_t *word, size_t size)
{
    if (size > WORD_SIZE_MAX) {
        for (size = WORD_SIZE_MAX; (word[size] & 0xc0) == 0x80; size--) {
        }
    }
    return size;
}

static int beyond_word(void *context, int flags, const char *word, int size, int start, int end)
{
    struct beyond *b = context;
    (void)flags;
    (void)start;
    (void)end;
    size_t whole = word_size((const uint8_t *)word, (size_t)size);
    const struct tokens_text_word found = {.at = (const uint8_t *)word,
                                           .size = whole,
                                           .left = whole,
                                           .is_folded = true,
                                           .run = b->run};
    b->goes_on = b->each(b->context, &found);
    return b->goes_on ? SQLITE_OK : SQLITE_DONE;
}

/* Takes the next part of a run that is UTF-8. To the tokenizer other bytes are characters by
 * chance, some beyond all that there are: it would not find the same ones in the words that it made
 * of them, and the index would not have what the set has. So they part words. */
static bool part_next(struct bytes *run, struct bytes *out)
{
    size_t size = 0, character = 0;
    while (run->size > 0 && utf8_character_size(run->data, run->size) == 0) {
        *run = bytes_of(run->data + 1, run->size - 1);
    }
    while (size < run->size) {
        character = utf8_character_size(run->data + size, run->size - size);
        if (character == 0) {
            break;
        }
        size += character;
    }
    *out = bytes_of(run->data, size);
    *run = bytes_of(run->data + size, run->size - size);
    return size > 0;
}

static enum err beyond_each(struct tokens *tokens, struct bytes run, struct beyond *beyond)
{
    struct bytes part;
    while (beyond->goes_on && part_next(&run, &part)) {
        int result =
            tokens->tokenizer.xTokenize(tokens->unicode, beyond, FTS5_TOKENIZE_DOCUMENT,
                                        (const char *)part.data, (int)part.size, beyond_word);
        if (result != SQLITE_OK && result != SQLITE_DONE) {
            return result == SQLITE_NOMEM ? ERR_NO_MEMORY : ERR_INTERNAL;
        }
    }
    return OK;
}

enum err tokens_words_each(struct tokens *tokens, struct bytes text, tokens_word_fn *each,
                           void *context)
{
    struct beyond b = {.each = each, .context = context, .goes_on = true};
    struct bytes run;
    bool is_ascii = false;
    enum err err = text.size > SECTION_UNPACKED_MAX ? ERR_LIMIT : OK;
    while (err == OK && b.goes_on && text.size > 0 && run_next(tokens, &text, &run, &is_ascii)) {
        if (is_ascii) {
            const struct tokens_text_word word = {.at = run.data,
                                                  .size = run.size > WORD_SIZE_MAX ? WORD_SIZE_MAX
                                                                                   : run.size,
                                                  .left = run.size + text.size,
                                                  .run = run.data};
            b.goes_on = each(context, &word);
        } else {
            b.run = run.data;
            err = beyond_each(tokens, run, &b);
        }
    }
    return err;
}

/* ---- the set -----------------------------------------------------------------------------------
 */

/* Up to eight bytes of a word from `from` on, folded, as a number: zero beyond its end. */
static uint64_t block_read(const struct tokens_text_word *word, size_t from)
{
    size_t size = word->size - from < BLOCK ? word->size - from : BLOCK;
    uint64_t block = 0;
    if (word->left - from >= BLOCK) {
        memcpy(&block, word->at + from, BLOCK);
    } else {
        memcpy(&block, word->at + from, size);
    }
    /* Digits have the bit by which small letters differ from large ones. */
    block = le64toh(block) | (word->is_folded ? 0 : UINT64_C(0x2020202020202020));
    return size == BLOCK ? block : block & ((UINT64_C(1) << 8 * size) - 1);
}

/* Writes it folded, in whole blocks. */
static uint64_t word_fold(const struct tokens *t, const struct tokens_text_word *word, uint8_t *out,
                          uint64_t *out_first)
{
    uint64_t hash = t->seed ^ word->size;
    for (size_t i = 0; i < word->size; i += BLOCK) {
        uint64_t block = block_read(word, i), stored = htole64(block);
        unsigned __int128 product = (unsigned __int128)(hash ^ block) * t->factor;
        hash = (uint64_t)product ^ (uint64_t)(product >> 64);
        memcpy(out + i, &stored, BLOCK);
        *out_first = i == 0 ? block : *out_first;
    }
    return hash ^ hash >> 32;
}

static enum err slots_grow(struct tokens *t)
{
    size_t count = t->slot_count == 0 ? SLOTS_FIRST : 2 * t->slot_count;
    struct slot *slots = calloc(count, sizeof(*slots));
    if (slots == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < t->slot_count; i++) {
        if (t->slots[i].generation == t->generation) {
            size_t place = t->slots[i].hash & (count - 1);
            while (slots[place].generation != 0) {
                place = (place + 1) & (count - 1);
            }
            slots[place] = t->slots[i];
        }
    }
    free(t->slots);
    t->slots = slots;
    t->slot_count = count;
    return OK;
}

/* Where the word is, or a free one where it goes. */
static struct slot *slot_find(struct tokens *t, const struct slot *word, const uint8_t *folded)
{
    size_t place = word->hash & (t->slot_count - 1);
    for (;; place = (place + 1) & (t->slot_count - 1)) {
        struct slot *s = &t->slots[place];
        if (s->generation != t->generation ||
            (s->hash == word->hash && s->size == word->size && s->first == word->first &&
             (s->size <= BLOCK || memcmp(t->words.data + s->at, folded, s->size) == 0))) {
            return s;
        }
    }
}

/* Folds it to where it stays when it is new: behind the others. There is room. */
static bool set_word(void *context, const struct tokens_text_word *found)
{
    struct tokens *t = context;
    uint8_t *at = t->words.data + t->words.end;
    struct slot word = {.generation = t->generation,
                        .at = (uint32_t)t->words.end,
                        .size = (uint32_t)found->size,
                        .number = (uint32_t)t->used};
    if (2 * t->used >= t->slot_count) {
        t->failed = slots_grow(t);
        if (t->failed != OK) {
            return false;
        }
    }
    word.hash = (uint32_t)word_fold(t, found, at, &word.first);
    struct slot *slot = slot_find(t, &word, at);
    if (slot->generation != t->generation) {
        *slot = word;
        at[found->size] = ' ';
        buffer_commit(&t->words, found->size + 1);
        t->used++;
    }
    marks_word(t->marks, (size_t)(found->run - t->text), slot->number);
    return true;
}

enum err tokens_set_begin(struct tokens *tokens)
{
    if (tokens->words.capacity > SET_SIZE_KEPT) {
        buffer_wipe(&tokens->words);
    }
    if (tokens->slot_count > SLOTS_KEPT || tokens->generation == UINT32_MAX) {
        free(tokens->slots);
        tokens->slots = NULL;
        tokens->slot_count = 0;
        tokens->generation = 0;
    }
    buffer_clear(&tokens->words);
    marks_begin(tokens->marks);
    tokens->generation++;
    tokens->used = 0;
    return OK;
}

enum err tokens_set_add_change(struct tokens *tokens, struct bytes text, size_t front, size_t end)
{
    struct bytes change = bytes_of(text.data + front, text.size - front - end);
    size_t room = GROWTH * change.size + 1 + BLOCK;
    if (text.size > SECTION_UNPACKED_MAX || buffer_reserve(&tokens->words, room) == NULL) {
        return buffer_size(&tokens->words) + room > SET_SIZE_MAX ? ERR_LIMIT : ERR_NO_MEMORY;
    }
    marks_text(tokens->marks, text.size, front, end);
    tokens->text = text.data;
    tokens->failed = OK;
    enum err err = tokens_words_each(tokens, change, set_word, tokens);
    return err == OK ? tokens->failed : err;
}

enum err tokens_set_add(struct tokens *tokens, struct bytes text)
{
    return text.size == 0 ? OK : tokens_set_add_change(tokens, text, 0, 0);
}

enum err tokens_set_end(struct tokens *tokens, struct buffer *out)
{
    buffer_clear(out);
    return buffer_append(out, buffer_bytes(&tokens->words));
}

enum err tokens_set_marks(struct tokens *tokens, struct buffer *out)
{
    return marks_end(tokens->marks, buffer_bytes(&tokens->words), out);
}

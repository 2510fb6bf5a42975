#include "controlplane/store/postgres/pg_words.h"

#include <sqlite3.h>
#include <stdlib.h>

#include "base/writer.h"

enum { TOKEN_MAX = 32768 /* FTS5_MAX_TOKEN_SIZE: longer words are cut there */ };

struct words {
    sqlite3 *db; /* in memory, empty: it only has the tokenizer */
    fts5_tokenizer methods;
    Fts5Tokenizer *tokenizer;
};

/* "Extending FTS5": the way to its API. */
static fts5_api *api_get(sqlite3 *db)
{
    fts5_api *api = NULL;
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, "SELECT fts5(?1)", -1, &statement, NULL) == SQLITE_OK) {
        (void)sqlite3_bind_pointer(statement, 1, (void *)&api, "fts5_api_ptr", NULL);
        (void)sqlite3_step(statement);
    }
    (void)sqlite3_finalize(statement);
    return api;
}

enum err words_create(struct words **out)
{
    /* As in the schema of SQLite. */
    const char *arguments[] = {"remove_diacritics", "0"};
    void *context = NULL;
    struct words *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err err = sqlite3_open_v2(":memory:", &w->db,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX,
                                   NULL) == SQLITE_OK
                       ? OK
                       : ERR_NO_MEMORY;
    fts5_api *api = err == OK ? api_get(w->db) : NULL;
    if (err == OK && (api == NULL ||
                      api->xFindTokenizer(api, "unicode61", &context, &w->methods) != SQLITE_OK)) {
        err = ERR_INTERNAL;
    }
    if (err == OK && w->methods.xCreate(context, arguments, 2, &w->tokenizer) != SQLITE_OK) {
        err = ERR_NO_MEMORY;
    }
    if (err != OK) {
        words_destroy(w);
        return err;
    }
    *out = w;
    return OK;
}

void words_destroy(struct words *w)
{
    if (w == NULL) {
        return;
    }
    if (w->tokenizer != NULL) {
        w->methods.xDelete(w->tokenizer);
    }
    (void)sqlite3_close(w->db);
    free(w);
}

struct speech {
    struct buffer *out;
    enum err err;
    bool any;
};

static int token_add(void *context, int flags, const char *token, int size, int start, int end)
{
    struct speech *speech = context;
    (void)flags;
    (void)start;
    (void)end;
    size = size > TOKEN_MAX ? TOKEN_MAX : size;
    speech->err = buffer_append(speech->out, bytes_of("", 1));
    if (speech->err == OK) {
        speech->err = buffer_append(speech->out, bytes_of(token, (size_t)size));
    }
    speech->any = true;
    return speech->err == OK ? SQLITE_OK : SQLITE_NOMEM;
}

enum err words_speak(struct words *w, struct bytes text, struct buffer *out)
{
    struct speech speech = {.out = out};
    if (text.size == 0) {
        return OK;
    }
    int result = w->methods.xTokenize(w->tokenizer, &speech, FTS5_TOKENIZE_DOCUMENT,
                                      (const char *)text.data, (int)text.size, token_add);
    if (result != SQLITE_OK) {
        return speech.err == OK ? ERR_NO_MEMORY : speech.err;
    }
    return speech.any ? buffer_append(out, bytes_of("", 1)) : OK;
}

/* Takes the next word off the front: between two NULs. False: there is none. */
static bool word_take(struct bytes *spoken, struct bytes *out)
{
    if (spoken->size < 2) {
        return false;
    }
    const uint8_t *start = spoken->data + 1;
    const uint8_t *end = memchr(start, 0, spoken->size - 1);
    if (end == NULL) {
        return false;
    }
    *out = bytes_of(start, (size_t)(end - start));
    spoken->data = end;
    spoken->size -= 1 + out->size;
    return true;
}

/* In ASCII; `out` has room for 3 * WORDS_KEPT. The word is cut between its bytes, not those of
 * their ASCII form: a beginning of the word must give a beginning of the form. */
static size_t word_write(struct bytes word, uint8_t *out)
{
    static const char digits[] = "0123456789abcdef";
    size_t size = 0;
    for (size_t i = 0; i < word.size && i < WORDS_KEPT; i++) {
        uint8_t c = word.data[i];
        if (c < 0x80) {
            out[size++] = c;
        } else {
            out[size++] = '_';
            out[size++] = (uint8_t)digits[c >> 4];
            out[size++] = (uint8_t)digits[c & 15];
        }
    }
    return size;
}

/* ---- tsvector ----------------------------------------------------------------------------------
 */

struct lexemes {
    struct bytes *items; /* owned */
    size_t count, size;
    struct buffer texts;
    bool is_too_much;
};

static int lexeme_compare(const void *a, const void *b)
{
    const struct bytes *x = a, *y = b;
    size_t size = x->size < y->size ? x->size : y->size;
    int order = memcmp(x->data, y->data, size);
    return order != 0 ? order : (x->size > y->size) - (x->size < y->size);
}

static size_t words_count(struct bytes spoken)
{
    struct bytes word;
    size_t count = 0;
    while (word_take(&spoken, &word)) {
        count++;
    }
    return count;
}

/* Into one block of memory, so that the items stay where they are. */
static enum err lexemes_gather(struct lexemes *l, struct bytes spoken)
{
    struct bytes word;
    size_t count = words_count(spoken);
    l->is_too_much = count > WORDS_COUNT_MAX;
    if (count == 0 || l->is_too_much) {
        return OK;
    }
    l->items = calloc(count, sizeof(*l->items));
    uint8_t *room = buffer_reserve(&l->texts, 3 * spoken.size);
    if (l->items == NULL || room == NULL) {
        return ERR_NO_MEMORY;
    }
    while (word_take(&spoken, &word)) {
        size_t size = word_write(word, room);
        l->items[l->count++] = bytes_of(room, size);
        room += size;
    }
    qsort(l->items, l->count, sizeof(*l->items), lexeme_compare);
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++) {
        if (kept == 0 || !bytes_equal(l->items[i], l->items[kept - 1])) {
            l->size += l->items[i].size + 1;
            l->items[kept++] = l->items[i];
        }
    }
    l->count = kept;
    l->is_too_much = l->size > WORDS_SIZE_MAX;
    return OK;
}

/* tsvectorrecv: the text with its NUL, and the number of its positions: none. */
static void lexeme_write(struct writer *w, struct bytes text)
{
    writer_put_bytes(w, text);
    writer_put_u8(w, 0);
    writer_put_u16(w, 0);
}

enum err words_lexemes(struct bytes spoken, struct buffer *out, uint32_t *out_count)
{
    struct lexemes l = {.count = 0};
    buffer_init(&l.texts, WORDS_BUFFER_MAX);
    enum err err = lexemes_gather(&l, spoken);
    if (err == OK) {
        struct writer w = writer_start(out);
        if (l.is_too_much) {
            l.count = 1;
            lexeme_write(&w, bytes_of("*", 1));
        }
        for (size_t i = 0; !l.is_too_much && i < l.count; i++) {
            lexeme_write(&w, l.items[i]);
        }
        err = writer_finish(&w);
    }
    if (err == OK) {
        *out_count = (uint32_t)l.count;
    }
    free(l.items);
    buffer_finish(&l.texts);
    return err;
}

enum err words_tag(const char *tag, struct buffer *out)
{
    struct writer w = writer_start(out);
    lexeme_write(&w, bytes_of_string(tag));
    return writer_finish(&w);
}

enum err words_query(struct bytes spoken, bool is_prefix, struct buffer *out)
{
    struct bytes word;
    bool any = false;
    enum err err = buffer_append_string(out, "('*' | ");
    while (err == OK && word_take(&spoken, &word)) {
        uint8_t text[3 * WORDS_KEPT];
        size_t size = word_write(word, text);
        bool is_beginning = is_prefix && spoken.size < 2;
        err = buffer_append_format(out, "%s'%.*s'%s", any ? " & " : "", (int)size,
                                   (const char *)text, is_beginning ? ":*" : "");
        any = true;
    }
    return err == OK ? buffer_append_string(out, ")") : err;
}

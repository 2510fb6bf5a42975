#include <ctype.h>

#include "controlplane/store/sqlite_query.h"

enum {
    WORDS_MAX = 48, /* more of them: FTS5's own way is as good */
    WORD_SIZE_MAX = 64,
    PLACES_MAX = 4000, /* of words in sections: FTS5 brings them together in a millisecond */
};

/* What the tokenizer leaves as it is, but for the case. */
static bool is_plain(struct bytes word)
{
    for (size_t i = 0; i < word.size; i++) {
        if (word.data[i] >= 0x80 || !isalnum(word.data[i])) {
            return false;
        }
    }
    return word.size > 0 && word.size < WORD_SIZE_MAX;
}

/* The first word that is not before `from`; empty: there is none. Each is found without reading
 * where the ones before it stand. */
static enum err word_find(struct db *db, struct bytes from, char out[WORD_SIZE_MAX + 1],
                          size_t *out_size)
{
    sqlite3_stmt *find = NULL;
    bool row = false;
    *out_size = 0;
    enum err err =
        db_statement(db, "SELECT term FROM temp.audit_term WHERE term >= ?1 LIMIT 1", &find);
    if (err == OK) {
        db_bind_text(find, 1, from);
        err = db_step(db, find, &row);
    }
    if (err == OK && row) {
        size_t size = (size_t)sqlite3_column_bytes(find, 0);
        *out_size = size > WORD_SIZE_MAX ? WORD_SIZE_MAX : size; /* then it is not plain */
        memcpy(out, sqlite3_column_text(find, 0), *out_size);
    }
    if (find != NULL) {
        (void)sqlite3_reset(find);
    }
    return err;
}

static bool begins_with(struct bytes word, struct bytes beginning)
{
    return word.size >= beginning.size && memcmp(word.data, beginning.data, beginning.size) == 0;
}

static enum err word_append(struct buffer *list, struct bytes word)
{
    enum err err = buffer_append_string(list, buffer_size(list) == 0 ? "(\"" : "OR \"");
    if (err == OK) {
        err = buffer_append(list, word);
    }
    return err == OK ? buffer_append_string(list, "\" ") : err;
}

/* All that begin so, in `list`; `*out_all` is false where they are too many, or strange. */
static enum err words_list(struct db *db, struct bytes beginning, struct buffer *list,
                           bool *out_all)
{
    char from[WORD_SIZE_MAX + 2];
    size_t from_size = beginning.size;
    *out_all = false;
    memcpy(from, beginning.data, beginning.size);
    for (int i = 0; i <= WORDS_MAX; i++) {
        char word[WORD_SIZE_MAX + 1];
        size_t size = 0;
        enum err err = word_find(db, bytes_of(from, from_size), word, &size);
        struct bytes found = bytes_of(word, size);
        if (err != OK || size == 0 || !begins_with(found, beginning)) {
            *out_all = err == OK;
            return err;
        }
        if (i == WORDS_MAX || !is_plain(found)) {
            return OK;
        }
        err = word_append(list, found);
        if (err != OK) {
            return err;
        }
        memcpy(from, word, size);
        from[size] = '\x01'; /* behind it, and before all that is longer */
        from_size = size + 1;
    }
    return OK;
}

/* Counts no further than that. */
static enum err places_are_many(struct db *db, struct bytes beginning, bool *out)
{
    sqlite3_stmt *count = NULL;
    char until[WORD_SIZE_MAX];
    bool row = false;
    enum err err = db_statement(db,
                                "SELECT count(*) FROM (SELECT 1 FROM temp.audit_term"
                                " WHERE term >= ?1 AND term < ?2 LIMIT ?3)",
                                &count);
    memcpy(until, beginning.data, beginning.size);
    until[beginning.size - 1]++;
    if (err == OK) {
        db_bind_text(count, 1, beginning);
        db_bind_text(count, 2, bytes_of(until, beginning.size));
        db_bind_number(count, 3, PLACES_MAX);
        err = db_step(db, count, &row);
    }
    if (err == OK && row) {
        *out = sqlite3_column_int64(count, 0) == PLACES_MAX;
    }
    if (count != NULL) {
        (void)sqlite3_reset(count);
    }
    return err;
}

enum err sqlite_words_expand(struct db *db, struct bytes beginning, struct buffer *out,
                             bool *out_done, bool *out_is_long)
{
    struct buffer list;
    bool all = false;
    *out_done = false;
    *out_is_long = true;
    if (!is_plain(beginning)) {
        return OK;
    }
    buffer_init(&list, (WORD_SIZE_MAX + 8) * (WORDS_MAX + 1));
    enum err err = words_list(db, beginning, &list, &all);
    if (err == OK && all && buffer_size(&list) == 0) {
        err = word_append(&list, beginning); /* which is not there either */
    }
    if (err == OK && all) {
        err = buffer_append(out, buffer_bytes(&list));
        if (err == OK) {
            err = buffer_append_string(out, ") ");
        }
        *out_done = err == OK;
    }
    if (err == OK && !all) {
        err = places_are_many(db, beginning, out_is_long);
    }
    buffer_finish(&list);
    return err;
}

#include "controlplane/store/sqlite_tokens_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static sqlite3_stmt *statement(struct tokens_fixture *t, const char *sql)
{
    sqlite3_stmt *made = NULL;
    assert_int_equal(sqlite3_prepare_v2(t->handle, sql, -1, &made, NULL), SQLITE_OK);
    return made;
}

int tokens_setup(void **state)
{
    struct tokens_fixture *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    assert_int_equal(sqlite3_open(":memory:", &t->handle), SQLITE_OK);
    assert_int_equal(sqlite3_exec(t->handle,
                                  "CREATE VIRTUAL TABLE words USING fts5 (text,"
                                  " tokenize = 'unicode61 remove_diacritics 0');"
                                  "CREATE VIRTUAL TABLE terms USING fts5vocab (words, row);",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    t->put = statement(t, "INSERT INTO words (text) VALUES (?1)");
    t->drop = statement(t, "DELETE FROM words");
    t->terms = statement(t, "SELECT term FROM terms");
    t->ask = statement(t, "SELECT count(*) FROM words WHERE words MATCH ?1");
    assert_int_equal(tokens_create(t->handle, &t->tokens), OK);
    buffer_init(&t->set, TOKENS_TEXT_MAX);
    buffer_init(&t->terms_found, TOKENS_TEXT_MAX);
    t->seed = 7;
    *state = t;
    return 0;
}

int tokens_teardown(void **state)
{
    struct tokens_fixture *t = *state;
    sqlite3_stmt *all[] = {t->put, t->drop, t->terms, t->ask};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        (void)sqlite3_finalize(all[i]);
    }
    tokens_destroy(t->tokens);
    assert_int_equal(sqlite3_close(t->handle), SQLITE_OK);
    buffer_finish(&t->set);
    buffer_finish(&t->terms_found);
    free(t);
    return 0;
}

uint32_t tokens_random(struct tokens_fixture *t, uint32_t bound)
{
    t->seed = t->seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)t->seed * bound >> 32);
}

static void step(sqlite3_stmt *s, int wanted)
{
    assert_int_equal(sqlite3_step(s), wanted);
    assert_int_equal(sqlite3_reset(s), SQLITE_OK);
}

void tokens_index_put(struct tokens_fixture *t, struct bytes text)
{
    step(t->drop, SQLITE_DONE);
    assert_int_equal(sqlite3_bind_text64(t->put, 1, text.size == 0 ? "" : (const char *)text.data,
                                         text.size, SQLITE_STATIC, SQLITE_UTF8),
                     SQLITE_OK);
    step(t->put, SQLITE_DONE);
}

struct bytes tokens_set_of(struct tokens_fixture *t, const struct bytes *texts, size_t count)
{
    assert_int_equal(tokens_set_begin(t->tokens), OK);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(tokens_set_add(t->tokens, texts[i]), OK);
    }
    assert_int_equal(tokens_set_end(t->tokens, &t->set), OK);
    return buffer_bytes(&t->set);
}

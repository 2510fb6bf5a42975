#include <assert.h>
#include <stdlib.h>

#include "sidecar/sql/sql.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_same(const struct sql_analysis *a, const struct sql_analysis *b)
{
    assert(a->statement_count == b->statement_count);
    for (size_t i = 0; i < a->statement_count; i++) {
        const struct sql_statement *s = &a->statements[i], *t = &b->statements[i];
        assert(strcmp(s->command, t->command) == 0);
        assert(s->accesses == t->accesses && s->object_count == t->object_count);
        for (size_t j = 0; j < s->object_count; j++) {
            assert(strcmp(s->objects[j].text, t->objects[j].text) == 0);
            assert(s->objects[j].access == t->objects[j].access);
            assert(s->objects[j].kind == t->objects[j].kind);
            assert(s->objects[j].column_count == t->objects[j].column_count);
            for (size_t k = 0; k < s->objects[j].column_count; k++) {
                assert(strcmp(s->objects[j].columns[k], t->objects[j].columns[k]) == 0);
            }
        }
        assert(s->transaction == t->transaction && s->is_write == t->is_write);
        assert(s->is_session == t->is_session && s->is_unknown == t->is_unknown);
        assert(s->returns_rows_of_write == t->returns_rows_of_write);
        assert(s->is_transactional == t->is_transactional);
        assert(s->without_where == t->without_where);
        assert(s->start == t->start && s->size == t->size);
    }
}

static void ask(struct sql_cache *cache, struct bytes text)
{
    const struct sql_analysis *cached = NULL;
    struct sql_analysis *fresh = NULL;
    struct sql_error error, again;
    enum err e = sql_cache_analyse(cache, text, &cached, &error);
    assert(sql_analyse(text, 1 << 16, &fresh, &again) == e);
    if (e == OK) {
        expect_same(cached, fresh);
    } else {
        assert(error.message[0] != '\0' && strlen(error.sqlstate) == 5);
    }
    sql_analysis_destroy(fresh);
}

/* Digits count on, and what follows a quote changes, within a string or behind it. */
static uint8_t vary(uint8_t c, bool after_quote, unsigned by)
{
    if (c >= '0' && c <= '9') {
        return (uint8_t)('0' + ((unsigned)c - '0' + by) % 10);
    }
    return after_quote && c != '\'' && c != ',' && c != 0 ? (uint8_t) "x-;"[by] : c;
}

/* The same with other constants, so that it meets what was kept of it. */
static void ask_varied(struct sql_cache *cache, struct bytes text)
{
    uint8_t *varied = malloc(text.size + 1);
    assert(varied != NULL);
    for (unsigned by = 0; by <= 2; by++) {
        for (size_t i = 0; i < text.size; i++) {
            varied[i] = vary(text.data[i], i > 0 && text.data[i - 1] == '\'', by);
        }
        ask(cache, bytes_of(varied, text.size));
    }
    free(varied);
}

/* The cache lives on between inputs, so that one text's analysis meets another's normal form: what
 * the cache says must be what a fresh analysis says. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sql_cache *cache;
    if (cache == NULL) {
        struct sql_cache_options options = {.max_bytes = 1 << 20, .max_text_size = 1 << 16};
        cache = sql_cache_create(&options);
        assert(cache != NULL);
    }
    struct bytes text = bytes_of(data, size);
    ask(cache, text);
    ask_varied(cache, text);
    struct sql_note notes[SQL_NOTES_MAX];
    size_t count = sql_comments_read(text, notes);
    for (size_t i = 0; i < count; i++) {
        assert(notes[i].value.data >= data && notes[i].value.size > 0);
        assert(notes[i].value.data + notes[i].value.size <= data + size);
    }
    return 0;
}

/* What the cache answers must be what a fresh analysis says, also for texts that were made to be
 * mistaken for one another. The mutations are the same in every run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "sidecar/sql/sql_describe.h"

enum { TEXT_MAX = 2048, TEXTS_MAX = 1024, ROUNDS = 15, VARIATIONS = 12 };

struct text {
    size_t size;
    char bytes[TEXT_MAX];
};

static uint32_t random_next(uint64_t *state, uint32_t below)
{
    *state ^= *state << 13; /* xorshift64 */
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 32) % below;
}

/* --- the comparison -------------------------------------------------------------------- */

static void describe(struct buffer *b, enum err e, const struct sql_analysis *a,
                     const struct sql_error *error)
{
    buffer_init(b, 1 << 22);
    if (e != OK) {
        assert_int_equal(buffer_append_format(b, "%s %s at %u", error->sqlstate, error->message,
                                              error->position),
                         OK);
        return;
    }
    for (size_t i = 0; i < a->statement_count; i++) {
        const struct sql_statement *s = &a->statements[i];
        assert_int_equal(sql_describe(b, s), OK);
        assert_int_equal(
            buffer_append_format(b, "%zu %zu %d\n", s->start, s->size, (int)s->transaction), OK);
    }
}

static void expect_same(struct sql_cache *c, struct bytes text)
{
    const struct sql_analysis *cached = NULL;
    struct sql_analysis *fresh = NULL;
    struct sql_error error = {0}, again = {0};
    struct buffer found, expected;
    enum err e = sql_cache_analyse(c, text, &cached, &error);
    describe(&found, e, cached, &error);
    e = sql_analyse(text, SQL_TEXT_SIZE_DEFAULT, &fresh, &again);
    describe(&expected, e, fresh, &again);
    if (!bytes_equal(buffer_bytes(&found), buffer_bytes(&expected))) {
        fail_msg("%.*s\n gives\n%.*s expected\n%.*s", (int)text.size, (const char *)text.data,
                 (int)buffer_size(&found), (const char *)buffer_bytes(&found).data,
                 (int)buffer_size(&expected), (const char *)buffer_bytes(&expected).data);
    }
    sql_analysis_destroy(fresh);
    buffer_finish(&found);
    buffer_finish(&expected);
}

/* --- the texts ------------------------------------------------------------------------- */

static struct text *texts_read(size_t *out_count)
{
    FILE *f = fopen("sidecar/sql/testdata/statements.txt", "r");
    struct text *texts = calloc(TEXTS_MAX, sizeof(*texts));
    char *line = NULL;
    size_t capacity = 0, count = 0;
    assert_true(f != NULL && texts != NULL);
    while (getline(&line, &capacity, f) > 0 && count < TEXTS_MAX - 1) {
        struct text *t = &texts[count];
        size_t size = strlen(line);
        if (line[0] == '\n') {
            count += t->size > 0;
        } else if (line[0] != '#' && strncmp(line, "->", 2) != 0) {
            assert_true(t->size + size < TEXT_MAX);
            memcpy(t->bytes + t->size, line, size);
            t->size += size;
        }
    }
    free(line);
    (void)fclose(f);
    *out_count = count;
    return texts;
}

static void text_replace(struct text *t, size_t at, size_t size, const char *by)
{
    size_t more = strlen(by);
    if (at + size <= t->size && t->size - size + more < TEXT_MAX) {
        memmove(t->bytes + at + more, t->bytes + at + size, t->size - at - size);
        memcpy(t->bytes + at, by, more);
        t->size = t->size - size + more;
    }
}

static const char *const pieces[] = {
    "'",
    "''",
    "\"",
    "\"\"",
    "$$",
    "$a$",
    "$1",
    "$",
    "E'",
    "e'x'",
    "U&'x'",
    "U&\"",
    "N'x'",
    "B'1'",
    "--",
    "--\n",
    "/*",
    "*/",
    "/**/",
    "\n",
    "\t",
    "\v",
    "\\",
    "\\'",
    "1",
    "17",
    ".",
    ".5",
    "1.",
    "1.5",
    "e5",
    "1e-5",
    "99999999999",
    ";",
    "; ",
    "(",
    ")",
    "-",
    "- 1",
    "--1",
    "+",
    "&",
    "|",
    "::",
    ":",
    "'a'",
    " 'b'",
    "'\n'",
    "'a'\n'b'",
    "'a' -- \n'b'",
    "\x01",
    "\x02",
    "\xe9",
    "\xc3\xa9",
    " NULL",
    "true",
    ",",
    ", 1",
    "[1]",
    " DROP TABLE t",
    " OR 1=1",
    " UESCAPE '!'",
    "_",
    "nextval('a')",
    "'a'::regclass",
    "; DELETE FROM t",
    " LIMIT 1",
    " UNION SELECT 1 FROM u ",
};

static void text_mutate(struct text *t, uint64_t *random)
{
    size_t at = random_next(random, (uint32_t)t->size + 1);
    /* Mostly between two words: in the middle of one nearly all is only a syntax error. */
    bool between = random_next(random, 4) > 0;
    while (between && at < t->size && strchr(" (),='\"\n", t->bytes[at]) == NULL) {
        at++;
    }
    size_t size = random_next(random, 4) == 0 ? random_next(random, 3) : 0;
    size_t which = random_next(random, sizeof(pieces) / sizeof(pieces[0]));
    text_replace(t, at, size, pieces[which]);
}

/* Other constants in the places of those that are there, as far as a careless reader sees. */
static void text_vary(struct text *t, uint64_t *random)
{
    static const char *const numbers[] = {"0", "007", "2147483648", "1.5", "'x'"};
    static const char *const strings[] = {"''",      "'--'",       "'/*'",   "'\"'",    "'$$'",
                                          "'it''s'", "'; DROP t'", "'\\'",   "'a' 'b'", "'*/ 1'",
                                          "'\n'",    "5",          "E'\\''", "NULL"};
    for (size_t i = 0; i < t->size; i++) {
        char c = t->bytes[i], plain[16];
        bool is_plain = random_next(random, 8) > 0;
        const char *by = plain;
        size_t size = 1;
        if (c >= '0' && c <= '9') {
            while (i + size < t->size && t->bytes[i + size] >= '0' && t->bytes[i + size] <= '9') {
                size++;
            }
            (void)snprintf(plain, sizeof(plain), "%u", random_next(random, 100));
            by = is_plain ? plain : numbers[random_next(random, 5)];
        } else if (c == '\'') {
            const char *end = memchr(t->bytes + i + 1, '\'', t->size - i - 1);
            size = end != NULL ? (size_t)(end - t->bytes) + 1 - i : t->size - i;
            (void)snprintf(plain, sizeof(plain), "'%u'", random_next(random, 100));
            by = is_plain ? plain : strings[random_next(random, 14)];
        } else {
            continue;
        }
        text_replace(t, i, size, by);
        i += strlen(by) - 1;
    }
}

static struct bytes text_bytes(const struct text *t)
{
    return bytes_of(t->bytes, t->size);
}

/* Rich in constants, and in what looks like one. */
static const char *const rich[] = {
    "SELECT a, b FROM t WHERE c = 'x' AND d = 1 AND e IN (1, 2, 3) LIMIT 10",
    "INSERT INTO t (a, b, c) VALUES (1, 'x', 1.5), (2, 'y', -2.5), (3, NULL, 4)",
    "UPDATE t SET a = 'x', b = b + 1 WHERE c = 5 OR d LIKE 'y%'",
    "DELETE FROM t WHERE a = 1 AND b = 'x' -- it's 1",
    "SELECT E'a' || 'b', $1, \"c 1\" FROM t /* 'd' 1 /* 2 */ 'e' */ WHERE f = 'g'",
    "SELECT 'a', 'b' FROM t WHERE c > 1.5e5 AND d = $$x$$ AND e = 7",
    "SELECT a FROM t WHERE b = 'x' UNION SELECT c FROM u WHERE d = 'y' ORDER BY 1 LIMIT 5",
    "SELECT interval '1 day', date '2026-01-01', 'x'::text, 5::numeric(10, 2), a[1], 1 - 1",
    "SELECT nextval('s'), 'u'::regclass, set_config('a', 'b', true), 1",
    "SELECT 1; SELECT 'x'; DELETE FROM t WHERE a = 'y'",
    "WITH w AS (DELETE FROM t WHERE a = 1 RETURNING b) SELECT 'x', b FROM w WHERE b > 2",
    "MERGE INTO t USING u ON t.a = u.a AND u.b = 1 WHEN MATCHED THEN UPDATE SET c = 'x'",
    "SELECT a FROM t WHERE b = 'x' AND c = U&'y' AND d = B'1' AND e = N'z' AND f = 1",
    "COPY (SELECT 1, 'x' FROM t) TO '/a'",
};

static struct text text_rich(uint64_t *random)
{
    struct text t = {0};
    text_replace(&t, 0, 0, rich[random_next(random, sizeof(rich) / sizeof(rich[0]))]);
    return t;
}

static void test_mutated_statements_are_analysed_as_without_a_cache(void **state)
{
    (void)state;
    struct sql_cache_options options = {.max_bytes = 64 << 20, .seed = {3, 4}};
    struct sql_cache *c = sql_cache_create(&options);
    size_t count = 0;
    struct text *texts = texts_read(&count);
    assert_non_null(c);
    assert_true(count > 100);
    uint64_t random = UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < count * ROUNDS; i++) {
        struct text t = i % 2 == 0 ? texts[i / 2 % count] : text_rich(&random);
        for (uint32_t n = random_next(&random, 3); n > 0; n--) {
            text_mutate(&t, &random);
        }
        expect_same(c, text_bytes(&t));
        for (int n = 0; n < VARIATIONS; n++) {
            struct text other = t;
            text_vary(&other, &random);
            expect_same(c, text_bytes(&other));
        }
    }
    /* Else nothing was compared. */
    assert_true(sql_cache_statistics(c).normalised_hits > count * ROUNDS);
    sql_cache_destroy(c);
    free(texts);
}

/* In each row, texts that a careless key would take for one. */
static void test_texts_that_look_alike_are_told_apart(void **state)
{
    (void)state;
    static const char *const rows[][4] = {
        {"SELECT 1 FROM a WHERE x = 'b' AND y = 'c'", "SELECT 1 FROM a WHERE x = '--' AND y = 'c'",
         "SELECT 1 FROM a WHERE x = '/*' AND y = '*/'",
         "SELECT 1 FROM a WHERE x = 'b'' AND y = c'"},
        {"SELECT E'a' FROM t WHERE b = 'c'", "SELECT E'\\' FROM t WHERE b = 'c'",
         "SELECT E'a\\' FROM u WHERE b = ', c FROM secret --'",
         "SELECT E'a\\'' FROM u WHERE b = ' OR 1=1 --'"},
        {"SELECT 1e-99999999999 FROM t", "SELECT 1e-1.5 FROM t", "SELECT 1e-3 FROM t",
         "SELECT 1e -1.5 FROM t"},
        {"SELECT 'a'\n'b' FROM t", "SELECT 'a'\n'b', nextval('c') FROM t",
         "SELECT 'a' -- x\n'b' FROM t", "SELECT 'a' 'b' FROM t"},
        {"SELECT 1 --1\n+2 FROM t", "SELECT 1 --5\n+3 FROM t", "SELECT 1 - -1\n+2 FROM t",
         "SELECT 1 --1 +2 FROM t"},
        {"SELECT nextval('a')", "SELECT nextval('b')", "SELECT nextval('a' || 'b')",
         "SELECT nextval(1)"},
        {"SELECT 'a'::regclass, 1", "SELECT 'b'::regclass, 2", "SELECT 'a'::text, 1",
         "SELECT regclass 'a', 1"},
        {"DELETE FROM t WHERE 1 = 1", "DELETE FROM t WHERE 2 = 1", "DELETE FROM t WHERE id = 1",
         "DELETE FROM t WHERE 'a' = 'b'"},
        {"SELECT $1$2 FROM t", "SELECT $1 FROM t", "SELECT $$1$$ FROM t", "SELECT $a$1$a$ FROM t"},
        {"SELECT U&'a' UESCAPE '!', 1", "SELECT U&'a' UESCAPE '+', 2", "SELECT U&\"a\", 1",
         "SELECT U& 'a', 1"},
        {"SELECT 1; SELECT 2", "SELECT 3; DROP TABLE t", "SELECT '; DROP TABLE t'",
         "SELECT 1; DROP TABLE t; SELECT 2"},
        {"SELECT set_config('a', 'b', true)", "SELECT set_config('role', 'b', true)",
         "SELECT set_config('role', 'c', false)", "SELECT set_config('a', 'c', false)"},
        {"COPY t TO '/a'", "COPY t TO '/b'", "COPY (SELECT 1) TO '/a'", "COPY (SELECT 2) TO '/b'"},
    };
    struct sql_cache_options options = {.max_bytes = 8 << 20, .seed = {5, 6}};
    struct sql_cache *c = sql_cache_create(&options);
    assert_non_null(c);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            for (size_t j = 0; j < 4; j++) {
                expect_same(c, bytes_of_string(rows[i][(j + (size_t)round) % 4]));
            }
        }
    }
    sql_cache_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mutated_statements_are_analysed_as_without_a_cache),
        cmocka_unit_test(test_texts_that_look_alike_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

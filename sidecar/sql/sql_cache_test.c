#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/sql/sql.h"

static struct sql_cache *cache_of(size_t max_bytes)
{
    struct sql_cache_options options = {.max_bytes = max_bytes, .seed = {1, 2}};
    struct sql_cache *c = sql_cache_create(&options);
    assert_non_null(c);
    return c;
}

static const struct sql_analysis *ask(struct sql_cache *c, const char *text)
{
    const struct sql_analysis *a = NULL;
    struct sql_error error = {0};
    if (sql_cache_analyse(c, bytes_of_string(text), &a, &error) != OK) {
        fail_msg("%s: %s", text, error.message);
    }
    return a;
}

static void expect_counts(const struct sql_cache *c, uint64_t exact, uint64_t normalised,
                          uint64_t misses)
{
    struct sql_cache_statistics s = sql_cache_statistics(c);
    assert_int_equal(s.exact_hits, exact);
    assert_int_equal(s.normalised_hits, normalised);
    assert_int_equal(s.misses, misses);
}

static void test_a_shape_is_what_constants_leave(void **state)
{
    (void)state;
    struct sql_cache *c = cache_of(1 << 20);
    struct bytes shape;
    (void)ask(c, "SELECT a FROM t WHERE id = 1");
    assert_false(sql_cache_shape(c, bytes_of_string("SELECT a FROM t WHERE id = 1"), &shape));
    (void)ask(c, "SELECT a FROM t WHERE id = 2"); /* now it is proved */
    assert_true(sql_cache_shape(c, bytes_of_string("SELECT a FROM t WHERE id = 1"), &shape));
    uint8_t kept[64];
    assert_true(shape.size > 0 && shape.size < sizeof(kept));
    memcpy(kept, shape.data, shape.size);
    const struct bytes first = bytes_of(kept, shape.size);
    assert_true(sql_cache_shape(c, bytes_of_string("SELECT a FROM t WHERE id = 77"), &shape));
    assert_true(bytes_equal(shape, first));
    assert_false(sql_cache_shape(c, bytes_of_string("SELECT a FROM t WHERE id = 'x'"), &shape));
    assert_false(sql_cache_shape(c, bytes_of_string("SELECT b FROM t WHERE id = 1"), &shape));
    assert_int_equal(shape.size, 0);
    sql_cache_destroy(c);
}

/* Also where others were asked for in between, and where a text has none. */
static void test_a_shape_is_that_of_the_text_that_is_asked_for(void **state)
{
    (void)state;
    struct sql_cache *c = cache_of(1 << 20);
    const struct bytes plain = bytes_of_string("SELECT a FROM t WHERE id = 1");
    const struct bytes none = bytes_of_string("SELECT a FROM t WHERE id = $1");
    struct bytes shape;
    char long_text[3000];
    memset(long_text, ' ', sizeof(long_text));
    memcpy(long_text, "SELECT a FROM t WHERE id = 1", 28);
    for (int i = 0; i < 3; i++) {
        (void)ask(c, i == 0 ? "SELECT a FROM t WHERE id = 1" : "SELECT a FROM t WHERE id = 3");
        (void)ask(c, "SELECT a FROM t WHERE id = $1");
        assert_int_equal(sql_cache_shape(c, plain, &shape), i > 0);
        assert_int_equal(sql_cache_shape(c, plain, &shape), i > 0);
        assert_false(sql_cache_shape(c, none, &shape));
        assert_false(sql_cache_shape(c, none, &shape));
        assert_false(sql_cache_shape(c, bytes_of(long_text, sizeof(long_text)), &shape));
    }
    assert_true(sql_cache_shape(c, plain, &shape));
    assert_null(memchr(shape.data, '1', shape.size));
    sql_cache_destroy(c);
}

static void test_the_same_text_is_analysed_once(void **state)
{
    (void)state;
    struct sql_cache *c = cache_of(1 << 20);
    const struct sql_analysis *first = ask(c, "SELECT * FROM orders");
    const struct sql_analysis *second = ask(c, "SELECT * FROM orders");
    assert_ptr_equal(first, second);
    assert_string_equal(second->statements[0].objects[0].name, "orders");
    expect_counts(c, 1, 0, 1);
    sql_cache_destroy(c);
}

static void test_texts_that_differ_in_constants_share_an_analysis(void **state)
{
    (void)state;
    struct sql_cache *c = cache_of(1 << 20);
    const struct sql_analysis *first = ask(c, "SELECT * FROM orders WHERE id = 17");
    assert_ptr_equal(ask(c, "SELECT * FROM orders WHERE id = 42"), first);
    assert_ptr_equal(ask(c, "SELECT * FROM orders WHERE id = 7"), first);
    expect_counts(c, 0, 2, 1);
    /* The second time it is kept, from then on it is found by its exact text. */
    assert_ptr_equal(ask(c, "SELECT * FROM orders WHERE id = 42"), first);
    expect_counts(c, 0, 3, 1);
    assert_ptr_equal(ask(c, "SELECT * FROM orders WHERE id = 42"), first);
    expect_counts(c, 1, 3, 1);
    assert_string_equal(ask(c, "SELECT * FROM secret WHERE id = 42")->statements[0].objects[0].name,
                        "secret");
    expect_counts(c, 1, 3, 2);
    sql_cache_destroy(c);
}

static void test_constants_that_need_the_parser_share_too(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"SELECT * FROM t WHERE a = E'x\\'y'", "SELECT * FROM t WHERE a = E'z'"},
        {"SELECT * FROM t WHERE a = $$1$$", "SELECT * FROM t WHERE a = $b$2$b$"},
        {"INSERT INTO t VALUES (1, NULL)", "INSERT INTO t VALUES (NULL, 'x')"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct sql_cache *c = cache_of(1 << 20);
        const struct sql_analysis *first = ask(c, pairs[i][0]);
        assert_ptr_equal(ask(c, pairs[i][1]), first);
        expect_counts(c, 0, 1, 1);
        sql_cache_destroy(c);
    }
    /* What turns out not to be told by its skeleton is analysed once more, no oftener. */
    struct sql_cache *c = cache_of(1 << 20);
    ask(c, "SELECT 1.5e-3 FROM t");
    const struct sql_analysis *second = ask(c, "SELECT 1.5e-7 FROM t");
    assert_ptr_equal(ask(c, "SELECT 1.5e-9 FROM t"), second);
    expect_counts(c, 0, 1, 2);
    sql_cache_destroy(c);
}

static void test_where_a_constant_matters_nothing_is_shared(void **state)
{
    (void)state;
    struct sql_cache *c = cache_of(1 << 20);
    assert_string_equal(ask(c, "COPY t TO '/a'")->statements[0].objects[1].name, "/a");
    assert_string_equal(ask(c, "COPY t TO '/b'")->statements[0].objects[1].name, "/b");
    assert_string_equal(ask(c, "DO LANGUAGE 'plperl' 'x'")->statements[0].objects[0].name,
                        "plperl");
    assert_string_equal(ask(c, "DO LANGUAGE 'plpgsql' 'x'")->statements[0].objects[0].name,
                        "plpgsql");
    assert_true(ask(c, "EXPLAIN (ANALYZE 1) DELETE FROM t")->statements[0].is_write);
    assert_false(ask(c, "EXPLAIN (ANALYZE 0) DELETE FROM t")->statements[0].is_write);
    /* One statement among several is enough. */
    assert_int_equal(ask(c, "SELECT 1; COPY t TO '/a'")->statement_count, 2);
    assert_string_equal(ask(c, "SELECT 2; COPY t TO '/b'")->statements[1].objects[1].name, "/b");
    expect_counts(c, 0, 0, 8);
    /* In data statements too. */
    ask(c, "SELECT nextval($1)");
    assert_string_equal(ask(c, "SELECT nextval('a')")->statements[0].objects[1].name, "a");
    assert_string_equal(ask(c, "SELECT nextval('b')")->statements[0].objects[1].name, "b");
    assert_string_equal(ask(c, "SELECT 'a'::regclass")->statements[0].objects[0].name, "a");
    assert_string_equal(ask(c, "SELECT 'b'::regclass")->statements[0].objects[0].name, "b");
    assert_string_equal(ask(c, "SELECT set_config('x', 'y', true)")->statements[0].objects[1].name,
                        "x");
    assert_string_equal(
        ask(c, "SELECT set_config('role', 'y', true)")->statements[0].objects[1].name, "role");
    expect_counts(c, 0, 0, 15);
    sql_cache_destroy(c);
}

static void test_an_answer_outlives_its_eviction_until_the_next_call(void **state)
{
    (void)state;
    /* Too small to keep anything. */
    struct sql_cache *c = cache_of(0);
    for (int i = 0; i < 50; i++) {
        char text[64];
        (void)snprintf(text, sizeof(text), "SELECT * FROM table_%d", i);
        const struct sql_analysis *a = ask(c, text);
        assert_string_equal(a->statements[0].objects[0].name, text + 14);
    }
    expect_counts(c, 0, 0, 50);
    assert_int_equal(sql_cache_statistics(c).entries, 0);
    sql_cache_destroy(c);
}

static void test_memory_stays_under_its_cap(void **state)
{
    (void)state;
    const size_t cap = 256 << 10;
    struct sql_cache *c = cache_of(cap);
    char text[128];
    for (int i = 0; i < 3000; i++) {
        /* The first is asked for again and again, and so it stays. */
        (void)ask(c, "SELECT * FROM kept");
        (void)snprintf(text, sizeof(text), "SELECT a, %d FROM t_%d WHERE x = %d", i, i % 700, i);
        (void)ask(c, text);
        assert_true(sql_cache_statistics(c).bytes <= cap);
    }
    struct sql_cache_statistics s = sql_cache_statistics(c);
    assert_true(s.evictions > 100);
    assert_true(s.entries > 50);
    assert_int_equal(s.exact_hits, 2999);
    sql_cache_destroy(c);
}

static void test_errors_are_reported_each_time_and_not_kept(void **state)
{
    (void)state;
    struct sql_cache *c = cache_of(1 << 20);
    const struct sql_analysis *a = NULL;
    struct sql_error error;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sql_cache_analyse(c, bytes_of_string("SELEC 1"), &a, &error), ERR_INVALID);
        assert_string_equal(error.message, "syntax error at or near \"SELEC\"");
        assert_int_equal(error.position, 1);
    }
    assert_int_equal(sql_cache_analyse(c, bytes_of("SELECT\0 1", 9), &a, &error), ERR_INVALID);
    assert_string_equal(error.sqlstate, "22021");
    assert_null(a);
    assert_int_equal(sql_cache_statistics(c).entries, 0);
    assert_int_equal(sql_cache_statistics(c).errors, 3);
    sql_cache_destroy(c);
}

static void expect_refused(struct sql_cache *c, struct bytes text, enum err expected,
                           const char *message)
{
    const struct sql_analysis *a = NULL;
    struct sql_error error = {0};
    assert_int_equal(sql_cache_analyse(c, text, &a, &error), expected);
    if (strncmp(error.message, message, strlen(message)) != 0) {
        fail_msg("%.*s: %s, not %s", (int)text.size, (const char *)text.data, error.message,
                 message);
    }
    assert_null(a);
}

/* Each after a good text of the same begin, and more than once: no path may answer it. */
static void test_broken_texts_are_refused_on_every_path(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"SELECT a FROM t WHERE b = 'open", "unterminated quoted string"},
        {"SELECT a FROM t WHERE b = 'open''", "unterminated quoted string"},
        {"SELECT a FROM t WHERE b = E'open\\'", "unterminated quoted string"},
        {"SELECT a FROM t WHERE b = 1 AND $$open", "unterminated dollar-quoted string"},
        {"SELECT a FROM t WHERE b = 1 AND $a$open$b$", "unterminated dollar-quoted string"},
        {"SELECT a FROM t WHERE b = 1 AND \"open", "unterminated quoted identifier"},
        {"SELECT a FROM t WHERE b = 1 /* /* open */", "unterminated /* comment"},
        {"SELECT a FROM t WHERE b = U&'\\zzzz'", "invalid Unicode escape"},
        {"SELECT a FROM t WHERE b = U&'\\d800'", "invalid Unicode surrogate pair"},
        {"SELECT a FROM t WHERE b = U&'\\0000'", "invalid Unicode escape value"},
        {"SELECT a FROM t WHERE b = U&'a' UESCAPE '+'", "invalid Unicode escape character"},
        {"SELECT U&\"\\+110000\" FROM t WHERE b = 1", "invalid Unicode escape value"},
        {"SELECT a FROM t WHERE b = E'\\u00'", "invalid Unicode escape"},
        {"SELECT a FROM t WHERE b = E'\\0'", "invalid byte sequence"},
        {"SELECT a FROM t WHERE b = E'\\xff'", "invalid byte sequence"},
        {"SELECT a FROM t WHERE b = 1a", "trailing junk after numeric literal"},
        {"SELECT a FROM t WHERE b = $1a", "trailing junk after parameter"},
        {"SELECT a FROM t WHERE b = 'a' 'b'", "syntax error"},
        {"SELECT a FROM t WHERE b = 1.5.2.1", "syntax error"},
    };
    struct sql_cache *c = cache_of(1 << 20);
    for (int round = 0; round < 3; round++) {
        ask(c, round == 0 ? "SELECT a FROM t WHERE b = 1" : "SELECT a FROM t WHERE b = 2");
        ask(c, round == 0 ? "SELECT a FROM t WHERE b = 'x'" : "SELECT a FROM t WHERE b = 'y'");
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            expect_refused(c, bytes_of_string(cases[i].text), ERR_INVALID, cases[i].message);
        }
        expect_refused(c, bytes_of("SELECT a FROM t WHERE b = 3\0", 28), ERR_INVALID,
                       "invalid byte sequence");
        expect_refused(c, bytes_of("SELECT a FROM t WHERE b = '\0'", 29), ERR_INVALID,
                       "invalid byte sequence");
    }
    sql_cache_destroy(c);
}

/* `before`, then `fill` up to `size` bytes. Returns owned. */
static char *text_filled(size_t size, const char *before, char fill)
{
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, fill, size);
    memcpy(text, before, strlen(before));
    return text;
}

static void test_large_and_deep_texts_are_refused_on_every_path(void **state)
{
    (void)state;
    struct sql_cache *c = cache_of(1 << 20);
    char *large = text_filled(10u << 20, "SELECT 1 FROM t WHERE a = '", 'x');
    large[(10u << 20) - 1] = '\'';
    char *deep = text_filled(20000, "SELECT 1, ", '(');
    for (int round = 0; round < 3; round++) {
        ask(c, round == 0 ? "SELECT 1 FROM t WHERE a = 'y'" : "SELECT 1 FROM t WHERE a = 'z'");
        expect_refused(c, bytes_of(large, 10u << 20), ERR_LIMIT, "statement is too large");
        expect_refused(c, bytes_of(deep, 10010), ERR_LIMIT, "statement is nested too deeply");
        /* Below every limit on size, a constant of any length is one like another. */
        large[500000] = '\'';
        const struct sql_analysis *a = NULL;
        assert_int_equal(sql_cache_analyse(c, bytes_of(large, 500001), &a, NULL), OK);
        assert_string_equal(a->statements[0].objects[0].name, "t");
        large[500000] = 'x';
    }
    free(large);
    free(deep);
    sql_cache_destroy(c);
}

static void test_a_cache_without_room_still_answers(void **state)
{
    (void)state;
    /* From nothing kept at all to room for one entry or two: each may be dropped at any time. */
    for (size_t room = 0; room < 48 << 10; room += 1 << 10) {
        struct sql_cache *c = cache_of(room);
        char text[128];
        for (int i = 0; i < 40; i++) {
            (void)snprintf(text, sizeof(text), "SELECT a FROM t_%d WHERE x = %d AND y = %s", i % 3,
                           i / 2, i % 5 == 0 ? "NULL" : "'a'");
            assert_memory_equal(ask(c, text)->statements[0].objects[0].name, text + 14, 3);
            assert_true(sql_cache_statistics(c).bytes <= room + 8192);
        }
        sql_cache_destroy(c);
    }
}

static void test_the_size_cap_of_a_text(void **state)
{
    (void)state;
    struct sql_cache_options options = {.max_bytes = 1 << 20, .max_text_size = 20};
    struct sql_cache *c = sql_cache_create(&options);
    assert_non_null(c);
    const struct sql_analysis *a = NULL;
    struct sql_error error;
    assert_int_equal(sql_cache_analyse(c, bytes_of_string("SELECT 1 FROM orders"), &a, &error), OK);
    assert_int_equal(sql_cache_analyse(c, bytes_of_string("SELECT 1 FROM orders1"), &a, &error),
                     ERR_LIMIT);
    assert_string_equal(error.message, "statement is too large: 21 bytes, at most 20 are allowed");
    sql_cache_destroy(c);
}

struct memory {
    size_t asked, most;
};

static bool has_memory(void *context, size_t bytes)
{
    struct memory *m = context;
    m->asked++;
    return bytes <= m->most;
}

static void test_a_text_is_refused_where_memory_is_short(void **state)
{
    (void)state;
    struct memory memory = {.most = SQL_MEMORY_MARGIN + 100 * SQL_MEMORY_FACTOR};
    const struct sql_cache_options options = {
        .max_bytes = 1 << 20, .seed = {1, 2}, .has_memory = has_memory, .context = &memory};
    struct sql_cache *c = sql_cache_create(&options);
    assert_non_null(c);
    const struct sql_analysis *a = NULL;
    struct sql_error error = {0};
    const struct bytes known = bytes_of_string("SELECT a FROM b WHERE c = 1");
    assert_int_equal(sql_cache_analyse(c, known, &a, &error), OK);
    assert_int_equal(memory.asked, 1);

    char larger[102];
    (void)memset(larger, ' ', sizeof(larger));
    (void)memcpy(larger, "SELECT 1", 8);
    assert_int_equal(sql_cache_analyse(c, bytes_of(larger, 100), &a, &error), OK);
    assert_int_equal(sql_cache_analyse(c, bytes_of(larger, 101), &a, &error), ERR_NO_MEMORY);
    assert_string_equal(error.sqlstate, "53200");

    /* What is known needs none, and nobody is asked. */
    memory = (struct memory){0};
    assert_int_equal(sql_cache_analyse(c, known, &a, &error), OK);
    assert_int_equal(a->statement_count, 1);
    assert_int_equal(memory.asked, 0);
    assert_int_equal(sql_cache_analyse(c, bytes_of_string("SELECT x"), &a, &error), ERR_NO_MEMORY);
    memory.most = SIZE_MAX;
    assert_int_equal(sql_cache_analyse(c, bytes_of_string("SELECT x"), &a, &error), OK);
    sql_cache_destroy(c);
}

static void test_empty_texts(void **state)
{
    (void)state;
    struct sql_cache *c = cache_of(1 << 20);
    const struct sql_analysis *a = NULL;
    struct sql_error error;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sql_cache_analyse(c, (struct bytes){0}, &a, &error), OK);
        assert_int_equal(a->statement_count, 0);
    }
    assert_int_equal(ask(c, " ; -- x")->statement_count, 0);
    expect_counts(c, 1, 0, 2);
    sql_cache_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_shape_is_what_constants_leave),
        cmocka_unit_test(test_a_shape_is_that_of_the_text_that_is_asked_for),
        cmocka_unit_test(test_the_same_text_is_analysed_once),
        cmocka_unit_test(test_texts_that_differ_in_constants_share_an_analysis),
        cmocka_unit_test(test_constants_that_need_the_parser_share_too),
        cmocka_unit_test(test_where_a_constant_matters_nothing_is_shared),
        cmocka_unit_test(test_an_answer_outlives_its_eviction_until_the_next_call),
        cmocka_unit_test(test_memory_stays_under_its_cap),
        cmocka_unit_test(test_errors_are_reported_each_time_and_not_kept),
        cmocka_unit_test(test_broken_texts_are_refused_on_every_path),
        cmocka_unit_test(test_large_and_deep_texts_are_refused_on_every_path),
        cmocka_unit_test(test_a_cache_without_room_still_answers),
        cmocka_unit_test(test_the_size_cap_of_a_text),
        cmocka_unit_test(test_a_text_is_refused_where_memory_is_short),
        cmocka_unit_test(test_empty_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

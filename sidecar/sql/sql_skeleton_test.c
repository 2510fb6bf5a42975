#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pg_query.h>

#include "sidecar/sql/sql.h"
#include "sidecar/sql/sql_skeleton.h"

/* With its marks made readable; NULL: none. Returns owned. */
static char *skeleton_of(struct bytes text)
{
    struct skeleton s;
    uint8_t *out = malloc(text.size + 1);
    assert_non_null(out);
    if (!skeleton_make(text, out, &s)) {
        free(out);
        return NULL;
    }
    assert_ptr_equal(s.out, out);
    assert_true(s.size <= text.size);
    for (size_t i = 0; i < s.size; i++) {
        if (out[i] <= SKELETON_MARK_LAST) {
            out[i] = (uint8_t) "?sin"[out[i]];
        } else if (out[i] == 's' || out[i] == 'i' || out[i] == 'n') {
            out[i] = (uint8_t)(out[i] - 32); /* so that a mark is not mistaken */
        }
    }
    out[s.size] = '\0';
    return (char *)out;
}

static void expect_skeleton(const char *text, const char *expected)
{
    char *found = skeleton_of(bytes_of_string(text));
    if (expected == NULL ? found != NULL : found == NULL || strcmp(found, expected) != 0) {
        fail_msg("%s\n gives    %s\n expected %s", text, found == NULL ? "none" : found,
                 expected == NULL ? "none" : expected);
    }
    free(found);
}

static void test_constants_are_cut_out(void **state)
{
    (void)state;
    expect_skeleton("SELECT 1", "SELECT i");
    expect_skeleton("a=17 AND b='x'", "a=i AND b=s");
    expect_skeleton("(1,'a','b''c','',2.50)", "(i,s,s,s,n)");
    expect_skeleton("'a -- b' /* 'c' 1 */ \"d 1\" 2", "s /* 'c' 1 */ \"d 1\" i");
    expect_skeleton("a -- '\n, 1", "a -- '\n, i");
    expect_skeleton("/* /* ' */ ' */ 'a'", "/* /* ' */ ' */ s");
    expect_skeleton("2147483647, 2147483648, 99999999999", "i, n, n");
    expect_skeleton("a-1, -1, - 1", "a-i, -i, - i");
    expect_skeleton("a.b1 = 1::text", "a.b1 = i::text");
    expect_skeleton("$1, 1", "$1, i");
    expect_skeleton("'\xc3\xa9', caf\xc3\xa9", "s, caf\xc3\xa9");
    expect_skeleton("'a'\n'b'", "s\ns");
    expect_skeleton("\"a\"\"'b\" 'c'", "\"a\"\"'b\" s");
}

static void test_what_is_not_plain_is_kept(void **state)
{
    (void)state;
    expect_skeleton("1, t1, 1e5, 1.5.2, 0x1f, 1a", "i, t1, 1e5, 1.5.2, 0x1f, 1a");
    expect_skeleton("1, .5, 5., a$1$2", "i, .5, 5., a$1$2");
    expect_skeleton("a = 1 ORDER BY 1, 2 DESC, 3 LIMIT 4", "a = i ORDER BY 1, 2 DESC, 3 LIMIT i");
    expect_skeleton("GROUP BY a, 1 HAVING 2", "GROUP BY a, i HAVING i");
    expect_skeleton("(PARTITION BY 1) + 1", "(PARTITION BY 1) + i");
    expect_skeleton("1, 00000000001", "i, 00000000001");
}

static void test_what_is_unusual_has_no_skeleton(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",           "SELECT a",   "1, E'x'",        "1, e'x'",
        "1, B'1'",    "1, X'1'",    "1, N'x'",        "1, U&'x'",
        "1, U&\"x\"", "1, _'x'",    "1, \xc3\xa9'x'", "1, 'a\\'",
        "1, $$a$$",   "1, $a$b$a$", "1, $1$a$",       "1 \x01",
        "1 \x02",     "1 \"\x02\"", "1 /* \x02 */",   "1 -- \x02",
        "1 \v",       "1 \\",       "1 \x7f",         "1 'open",
        "1 'open''",  "1 \"open",   "1 /* open",      "1 /* /* open */",
        "1 /*/",      "1 'a'b",     "1 'a''b'c",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        expect_skeleton(texts[i], NULL);
    }
    assert_null(skeleton_of(bytes_of("SELECT 1\0, 2", 12)));
    assert_null(skeleton_of((struct bytes){0}));
}

static void test_what_may_be_nested_too_deeply_has_none(void **state)
{
    (void)state;
    char text[4096];
    for (size_t count = 1; count < 1200; count++) {
        memset(text, '(', count);
        text[count] = '1';
        text[count + 1] = '\0';
        char *found = skeleton_of(bytes_of_string(text));
        assert_int_equal(found != NULL, count + 3 <= SQL_DEPTH_MAX);
        free(found);
    }
}

static bool is_proved(const char *text, const char *by)
{
    struct skeleton s;
    uint8_t out[256];
    assert_true(strlen(text) < sizeof(out));
    assert_true(skeleton_make(bytes_of_string(text), out, &s));
    PgQueryNormalizeResult r = pg_query_normalize(by);
    bool proved = r.error == NULL && skeleton_is_proved(&s, r.normalized_query);
    pg_query_free_normalize_result(r);
    return proved;
}

static void test_the_parser_proves_a_skeleton(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "SELECT 1, 'a', 1.5 FROM t WHERE b = -5 AND c = - 7 AND d - 1 > 0 LIMIT 10;",
        "INSERT INTO t VALUES (1, NULL, true, 'x', FALSE) -- done",
        "SELECT a FROM t WHERE b = $1 AND c = 5 /* 'x' 7 */ AND d IS NULL",
        "SELECT a, count(*) FROM t WHERE b = 5 GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10",
        "SELECT interval '7 days', date '2026-01-01', 'x'::text, a[1:2] FROM \"t 1\"",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (!is_proved(texts[i], texts[i])) {
            fail_msg("%s", texts[i]);
        }
    }
}

static void test_what_the_parser_sees_otherwise_is_not_proved(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "SELECT 'a'\n'b'",                            /* one constant */
        "SELECT 'a' -- x\n 'b'",                      /* too */
        "SELECT 1.5e-3",                              /* the 3 is a part of it */
        "SELECT a::varchar(10)",                      /* no constant to normalisation */
        "SELECT a FROM t WHERE b = 1 ORDER BY 1 + 1", /* here it is one */
        "SELECT FROM 1",                              /* no SQL */
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (is_proved(texts[i], texts[i])) {
            fail_msg("%s", texts[i]);
        }
    }
    /* Not by the normal form of another text. */
    assert_false(is_proved("SELECT 1", "SELECT 1, 2"));
    assert_false(is_proved("SELECT 1, 2", "SELECT 1"));
    assert_false(is_proved("SELECT 1", "SELECT a"));
    assert_false(is_proved("SELECT - a, 1", "SELECT 1, 1"));
    assert_false(is_proved("SELECT nulls, 1", "SELECT 1, 1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constants_are_cut_out),
        cmocka_unit_test(test_what_is_not_plain_is_kept),
        cmocka_unit_test(test_what_is_unusual_has_no_skeleton),
        cmocka_unit_test(test_what_may_be_nested_too_deeply_has_none),
        cmocka_unit_test(test_the_parser_proves_a_skeleton),
        cmocka_unit_test(test_what_the_parser_sees_otherwise_is_not_proved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

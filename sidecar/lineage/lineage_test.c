/* The cases of testdata, and what must hold for all of them. */
#include "sidecar/lineage/lineage.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/lineage/lineage_testing.h"
#include "sidecar/sql/sql.h"

enum { LINE_MAX_SIZE = 8192, CASE_MAX_SIZE = 32768 };

/* ---- the cases ------------------------------------------------------------------------------- */

typedef void case_fn(const struct fixture *f, const char *text, const char *expected);

static size_t cases_of_file(const char *path, const struct fixture *f, case_fn *each)
{
    char line[LINE_MAX_SIZE], text[CASE_MAX_SIZE] = "", expected[CASE_MAX_SIZE] = "";
    size_t count = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    bool more = true;
    while (more) {
        more = fgets(line, sizeof(line), file) != NULL;
        if (!more || line[0] == '\n') {
            if (text[0] != '\0' && expected[0] != '\0') {
                each(f, text, expected);
                count++;
            }
            text[0] = expected[0] = '\0';
        } else if (strncmp(line, "->", 2) == 0) {
            strncat(expected, line, sizeof(expected) - strlen(expected) - 1);
        } else if (line[0] != '#') {
            strncat(text, line, sizeof(text) - strlen(text) - 1);
        }
    }
    assert_int_equal(fclose(file), 0);
    return count;
}

static void for_all_cases(const struct fixture *f, case_fn *each)
{
    assert_true(cases_of_file("sidecar/lineage/testdata/queries.txt", f, each) > 200);
    assert_true(cases_of_file("sidecar/lineage/testdata/statements.txt", f, each) > 200);
}

static void case_is_found(const struct fixture *f, const char *text, const char *expected)
{
    char found[CASE_MAX_SIZE];
    struct lineage *l = NULL;
    enum err e = lineage_analyse(f->some, bytes_of_string(text), &l);
    if (e != OK) {
        (void)snprintf(found, sizeof(found), "-> error %s\n", err_name(e));
    } else {
        fixture_print(l, found, sizeof(found));
    }
    lineage_destroy(l);
    if (strcmp(found, expected) != 0) {
        print_message("%s", text);
    }
    assert_string_equal(found, expected);
}

static void test_cases(void **state)
{
    for_all_cases(*state, case_is_found);
}

/* ---- what holds for all of them ---------------------------------------------------------------
 */

static bool shows_nothing(const struct lineage_statement *s)
{
    if (s->clean) {
        return true; /* however many columns there are */
    }
    bool shows = s->filtered != 0 || s->stored != 0 || s->unknown || !s->outputs_known;
    for (size_t i = 0; i < s->output_count; i++) {
        shows = shows || s->outputs[i].origin != LINEAGE_CLEAN;
    }
    return !shows;
}

static struct lineage *analyse_or_null(const struct lineage_marks *m, const char *text)
{
    struct lineage *l = NULL;
    return lineage_analyse(m, bytes_of_string(text), &l) == OK ? l : NULL;
}

/* Knowing less never makes anything clean that was not. */
static void case_fails_closed(const struct fixture *f, const char *text, const char *expected)
{
    (void)expected;
    struct lineage *known = analyse_or_null(f->some, text);
    struct lineage *unaware = analyse_or_null(f->unaware, text);
    for (size_t i = 0; known != NULL && unaware != NULL && i < known->statement_count; i++) {
        const struct lineage_statement *k = &known->statements[i];
        const struct lineage_statement *u = &unaware->statements[i];
        if (!shows_nothing(k) && (u->clean || shows_nothing(u)) && k->kind != LINEAGE_FETCH) {
            print_message("clean without a catalog: %s", text);
            fail();
        }
    }
    lineage_destroy(known);
    lineage_destroy(unaware);
}

static void test_less_knowledge_is_not_cleaner(void **state)
{
    for_all_cases(*state, case_fails_closed);
}

/* With every column marked, what was not clean is not, and what is unknown stays so. */
static void case_grows(const struct fixture *f, const char *text, const char *expected)
{
    (void)expected;
    struct lineage *some = analyse_or_null(f->some, text);
    struct lineage *all = analyse_or_null(f->all, text);
    assert_true((some == NULL) == (all == NULL));
    for (size_t i = 0; some != NULL && i < some->statement_count; i++) {
        const struct lineage_statement *s = &some->statements[i], *a = &all->statements[i];
        assert_int_equal(s->filtered & ~a->filtered, 0);
        assert_int_equal(s->stored & ~a->stored, 0);
        assert_int_equal(s->altered & ~a->altered, 0);
        assert_true(!s->unknown || a->unknown);
        assert_true(s->clean || !a->clean);
        assert_true(!s->may_speak || a->may_speak);
        assert_int_equal(s->output_count, a->output_count);
        for (size_t k = 0; k < s->output_count; k++) {
            assert_int_equal(s->outputs[k].rules & ~a->outputs[k].rules, 0);
            assert_true(s->outputs[k].origin == LINEAGE_CLEAN ||
                        a->outputs[k].origin != LINEAGE_CLEAN);
        }
    }
    lineage_destroy(some);
    lineage_destroy(all);
}

static void test_more_marks_show_no_less(void **state)
{
    for_all_cases(*state, case_grows);
}

/* What is said about an output fits its rules; what passes has nothing to hide. */
static void case_is_coherent(const struct fixture *f, const char *text, const char *expected)
{
    (void)expected;
    struct lineage *l = analyse_or_null(f->some, text);
    for (size_t i = 0; l != NULL && i < l->statement_count; i++) {
        const struct lineage_statement *s = &l->statements[i];
        for (size_t k = 0; k < s->output_count; k++) {
            enum lineage_origin o = s->outputs[k].origin;
            assert_true(o != LINEAGE_CLEAN || s->outputs[k].rules == 0);
            assert_true((o != LINEAGE_COLUMN && o != LINEAGE_COMPUTED) || s->outputs[k].rules != 0);
            assert_true(o != LINEAGE_UNKNOWN || s->unknown);
            assert_true(!s->clean || o == LINEAGE_CLEAN);
        }
        assert_true((s->filtered != 0) == (s->filtered_why != NULL));
        assert_true((s->stored != 0) == (s->stored_why != NULL));
        assert_true((s->altered != 0) == (s->altered_why != NULL));
        assert_true(s->unknown == (s->unknown_why != NULL));
        assert_true(!s->clean || (s->filtered == 0 && s->stored == 0 && s->altered == 0));
        assert_true(s->start + s->size <= strlen(text));
    }
    lineage_destroy(l);
}

static void test_results_are_coherent(void **state)
{
    for_all_cases(*state, case_is_coherent);
}

/* ---- sentences and places -------------------------------------------------------------------- */

static void test_why(void **state)
{
    const struct fixture *f = *state;
    struct lineage *l = analyse(f->some, "SELECT id FROM customers WHERE ssn = 'x'");
    assert_string_equal(l->statements[0].filtered_why, "public.customers.ssn is used in WHERE");
    lineage_destroy(l);
    l = analyse(f->some, "CREATE TABLE t AS SELECT ssn FROM customers");
    assert_string_equal(l->statements[0].stored_why,
                        "public.customers.ssn is stored by CREATE TABLE AS");
    lineage_destroy(l);
    l = analyse(f->some, "ALTER TABLE customers RENAME TO c");
    assert_string_equal(l->statements[0].altered_why,
                        "RENAME changes public.customers, which has masked columns");
    lineage_destroy(l);
    l = analyse(f->some, "SELECT evil(1)");
    assert_string_equal(l->statements[0].unknown_why, "the function evil is not PostgreSQL's own");
    lineage_destroy(l);
}

static void test_places_of_statements(void **state)
{
    const struct fixture *f = *state;
    const char *text = "SELECT 1; SELECT ssn FROM customers ;";
    struct lineage *l = analyse(f->some, text);
    assert_int_equal(l->statement_count, 2);
    assert_int_equal(l->statements[0].start, 0);
    assert_int_equal(l->statements[0].size, 8);
    assert_memory_equal(text + l->statements[1].start + l->statements[1].size - 10, "customers ",
                        10);
    assert_true(l->size > 0);
    lineage_destroy(l);
}

static void assert_reads_views(const struct fixture *f, const char *text, bool expected)
{
    struct lineage *l = analyse(f->some, text);
    if (l->reads_views != expected) {
        fail_msg("%s", text);
    }
    lineage_destroy(l);
}

/* Also of a view that was read before, whose columns are remembered. */
static void test_reads_views(void **state)
{
    const struct fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        assert_reads_views(f, "SELECT id FROM v_orders", true);
        assert_reads_views(f, "SELECT 1; SELECT 2 FROM (SELECT FROM v_deep) x; SELECT 3", true);
        assert_reads_views(f, "WITH w AS (SELECT id FROM v_orders) SELECT 1", true);
        assert_reads_views(f, "UPDATE orders SET id = 1 WHERE id = (SELECT id FROM v_orders)",
                           true);
        assert_reads_views(f, "INSERT INTO v_orders VALUES (1, 2)", true);
        assert_reads_views(f, "COPY v_orders TO STDOUT", true);
        assert_reads_views(f, "DECLARE c CURSOR FOR SELECT id FROM v_orders", true);
        assert_reads_views(f, "SELECT id FROM m_customers", false);
        assert_reads_views(f, "SELECT id FROM customers", false);
        assert_reads_views(f, "WITH v_orders AS (SELECT 1) SELECT * FROM v_orders", false);
        assert_reads_views(f, "SELECT name FROM pg_settings", false);
    }
}

/* ---- what holds whatever the constants are ----------------------------------------------------
 */

static bool is_of_word(char c)
{
    return isalnum((unsigned char)c) || strchr("_$.:\"", c) != NULL;
}

/* The text with other plain constants, where this simple reader finds some. */
static void change_constants(const char *text, const char *string, char digit, char *out)
{
    char before = ' ';
    while (*text != '\0') {
        size_t digits = is_of_word(before) ? 0 : strspn(text, "0123456789");
        if (*text == '\'' && strchr(text + 1, '\'') != NULL) {
            out += sprintf(out, "'%s'", string);
            text = strchr(text + 1, '\'') + 1;
            before = '\'';
        } else if (digits > 0) {
            text += digits;
            *out++ = digit;
            before = digit;
        } else {
            before = *text;
            *out++ = *text++;
        }
    }
    *out = '\0';
}

static struct bytes shape_of(struct sql_cache *c, const char *text, const char *other)
{
    const struct sql_analysis *a = NULL;
    struct bytes shape = {0};
    if (sql_cache_analyse(c, bytes_of_string(text), &a, NULL) == OK &&
        sql_cache_analyse(c, bytes_of_string(other), &a, NULL) == OK) {
        (void)sql_cache_shape(c, bytes_of_string(text), &shape);
    }
    return shape;
}

static bool is_shape_of(struct sql_cache *c, struct bytes shape, const char *text)
{
    char copy[CASE_MAX_SIZE];
    struct bytes other;
    if (shape.size == 0 || shape.size >= sizeof(copy)) {
        return false;
    }
    memcpy(copy, shape.data, shape.size);
    return sql_cache_shape(c, bytes_of_string(text), &other) &&
           bytes_equal(other, bytes_of(copy, shape.size));
}

/* Returns how many were compared: 0 or 1. */
static size_t constants_do_not_matter(const struct fixture *f, const char *text, const char *string,
                                      char digit)
{
    size_t compared = 0;
    char other[CASE_MAX_SIZE], found[CASE_MAX_SIZE], expected[CASE_MAX_SIZE];
    const struct sql_cache_options options = {.max_bytes = 1 << 20, .seed = {1, 2}};
    struct sql_cache *c = sql_cache_create(&options);
    change_constants(text, string, digit, other);
    bool is_same = is_shape_of(c, shape_of(c, text, other), other);
    sql_cache_destroy(c);
    struct lineage *l = is_same ? analyse_or_null(f->some, text) : NULL;
    if (l != NULL && !l->reads_constants) {
        struct lineage *m = analyse(f->some, other);
        fixture_print(l, expected, sizeof(expected));
        fixture_print(m, found, sizeof(found));
        if (strcmp(found, expected) != 0) {
            print_message("%s%s", text, other);
        }
        assert_string_equal(found, expected);
        assert_false(m->reads_constants);
        lineage_destroy(m);
        compared++;
    }
    lineage_destroy(l);
    return compared;
}

static void case_holds_for_its_shape(const struct fixture *f, const char *text,
                                     const char *expected)
{
    (void)expected;
    *f->compared += constants_do_not_matter(f, text, "search_path", '1') +
                    constants_do_not_matter(f, text, "customers", '2') +
                    constants_do_not_matter(f, text, "", '3');
}

static void test_other_constants(void **state)
{
    struct fixture *f = *state;
    size_t compared = 0;
    f->compared = &compared;
    for_all_cases(f, case_holds_for_its_shape);
    assert_true(compared > 300);
}

static void assert_reads_constants(const struct fixture *f, const char *text, bool expected)
{
    struct lineage *l = analyse(f->some, text);
    if (l->reads_constants != expected) {
        fail_msg("%s", text);
    }
    lineage_destroy(l);
}

static void test_reads_constants(void **state)
{
    const struct fixture *f = *state;
    assert_reads_constants(f, "SELECT id, ssn FROM customers ORDER BY 1", true);
    assert_reads_constants(f, "SELECT id FROM customers GROUP BY 1", true);
    assert_reads_constants(f, "SELECT set_config('application_name', 'x', false)", true);
    assert_reads_constants(f, "SELECT 1 FROM (SELECT id FROM customers ORDER BY 1) x", true);
    assert_reads_constants(f, "SELECT id FROM customers WHERE id = 5 AND name = 'x'", false);
    assert_reads_constants(f, "UPDATE orders SET id = id + 1 WHERE id = 7", false);
}

static void test_types_of_parameters(void **state)
{
    const struct fixture *f = *state;
    assert_true(lineage_marks_know_type(f->some, 25));
    assert_false(lineage_marks_know_type(f->some, 500)); /* person: by to_person */
    assert_true(lineage_marks_know_type(f->some, 501));  /* by my_hash, which is trusted */
    assert_false(lineage_marks_know_type(f->some, 502)); /* a domain that code_of checks */
    assert_true(lineage_marks_know_type(f->some, 0));    /* not declared */
}

/* ---- bad input ------------------------------------------------------------------------------- */

static void assert_fails(const struct lineage_marks *m, struct bytes text, enum err expected)
{
    struct lineage *l = NULL;
    assert_int_equal(lineage_analyse(m, text, &l), expected);
    assert_null(l);
}

static void test_not_sql(void **state)
{
    const struct fixture *f = *state;
    assert_fails(f->some, bytes_of_string("SELECT FROM WHERE"), ERR_INVALID);
    assert_fails(f->some, bytes_of("SELECT 1\0", 9), ERR_INVALID);
    struct lineage *l = analyse(f->some, "-- nothing");
    assert_int_equal(l->statement_count, 0);
    lineage_destroy(l);
}

static char *repeated(const char *head, const char *part, size_t times, const char *tail)
{
    size_t size = strlen(part);
    char *text = malloc(strlen(head) + size * times + strlen(tail) + 1);
    assert_non_null(text);
    char *at = text + sprintf(text, "%s", head);
    for (size_t i = 0; i < times; i++) {
        memcpy(at, part, size);
        at += size;
    }
    (void)sprintf(at, "%s", tail);
    return text;
}

/* As deep as the guard of sql lets a text be: an answer or ERR_LIMIT, never a crash. */
static void assert_survives(const struct lineage_marks *m, char *text)
{
    struct sql_analysis *guard = NULL;
    struct lineage *l = NULL;
    if (sql_analyse(bytes_of_string(text), SQL_TEXT_SIZE_DEFAULT, &guard, NULL) == OK) {
        enum err e = lineage_analyse(m, bytes_of_string(text), &l);
        assert_true(e == OK || e == ERR_LIMIT);
    }
    sql_analysis_destroy(guard);
    lineage_destroy(l);
    free(text);
}

static void test_depth(void **state)
{
    const struct lineage_marks *m = ((const struct fixture *)*state)->some;
    assert_survives(m, repeated("SELECT ssn", " || ssn", 900, " FROM customers"));
    assert_survives(m, repeated("SELECT ", "(SELECT ", 150, "1"));
    char *open = repeated("", "SELECT (", 140, "SELECT ssn FROM customers");
    char *whole = repeated(open, ")", 140, "");
    free(open);
    assert_survives(m, whole);
    open = repeated("SELECT ", "lower(", 400, "ssn");
    whole = repeated(open, ")", 400, " FROM customers");
    free(open);
    assert_survives(m, whole);
    assert_survives(
        m, repeated("SELECT ssn FROM customers", " UNION ALL SELECT ssn FROM customers", 300, ""));
    assert_survives(m, repeated("SELECT c.id FROM customers c", " CROSS JOIN orders", 300, ""));
}

/* Stars over stars double each time: a limit, not hours and gigabytes. */
static void test_columns_that_double(void **state)
{
    const struct lineage_marks *m = ((const struct fixture *)*state)->some;
    char *open = repeated("", "SELECT x.*, x.* FROM (", 40, "SELECT ssn FROM customers");
    char *whole = repeated(open, ") x", 40, "");
    free(open);
    assert_fails(m, bytes_of_string(whole), ERR_LIMIT);
    free(whole);
}

/* Each WITH RECURSIVE within another is walked again in each round. */
static void test_recursion_that_multiplies(void **state)
{
    const struct lineage_marks *m = ((const struct fixture *)*state)->some;
    char *open = repeated("", "WITH RECURSIVE r(a, b) AS (SELECT 1, 2 UNION ALL SELECT b, (", 20,
                          "SELECT ssn FROM customers LIMIT 1");
    char *whole = repeated(open, ") FROM r) SELECT a FROM r", 20, "");
    free(open);
    assert_survives(m, whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_less_knowledge_is_not_cleaner),
        cmocka_unit_test(test_more_marks_show_no_less),
        cmocka_unit_test(test_results_are_coherent),
        cmocka_unit_test(test_why),
        cmocka_unit_test(test_places_of_statements),
        cmocka_unit_test(test_reads_views),
        cmocka_unit_test(test_other_constants),
        cmocka_unit_test(test_reads_constants),
        cmocka_unit_test(test_types_of_parameters),
        cmocka_unit_test(test_not_sql),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_columns_that_double),
        cmocka_unit_test(test_recursion_that_multiplies),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

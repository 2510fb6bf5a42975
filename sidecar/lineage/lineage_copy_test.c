/* The marks of single columns, and how COPY will write. */
#include "sidecar/lineage/lineage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sidecar/lineage/lineage_testing.h"

/* ---- marks ----------------------------------------------------------------------------------- */

static uint32_t oid_of(const struct catalog *c, const char *schema, const char *name)
{
    const struct catalog_relation *r = catalog_relation_find(c, schema, name);
    assert_non_null(r);
    return r->oid;
}

static void test_marks_of_columns(void **state)
{
    const struct fixture *f = *state;
    const struct catalog *c = f->catalog;
    bool known = false;
    uint32_t customers = oid_of(c, "public", "customers");
    assert_int_equal(lineage_marks_of(f->some, customers, 4, &known), FIXTURE_PII);
    assert_true(known);
    assert_int_equal(lineage_marks_of(f->some, customers, 1, &known), 0);
    assert_true(known);
    assert_int_equal(lineage_marks_of(f->some, customers, -1, &known), 0); /* ctid */
    assert_true(known);
    (void)lineage_marks_of(f->some, customers, 99, &known); /* added meanwhile */
    assert_false(known);
    (void)lineage_marks_of(f->some, 1, 1, &known);
    assert_false(known);
    /* Through views, families and what the server computes. */
    assert_int_equal(lineage_marks_of(f->some, oid_of(c, NULL, "v_deep"), 2, &known), FIXTURE_PII);
    assert_true(known);
    assert_int_equal(lineage_marks_of(f->some, oid_of(c, NULL, "people"), 2, &known), FIXTURE_MAIL);
    assert_int_equal(lineage_marks_of(f->some, oid_of(c, NULL, "people_be"), 3, &known),
                     FIXTURE_PII);
    assert_int_equal(lineage_marks_of(f->some, oid_of(c, NULL, "gen"), 3, &known), FIXTURE_PII);
    assert_true(lineage_marks_of(f->some, oid_of(c, NULL, "pg_stats"), 5, &known) ==
                LINEAGE_SENSITIVE);
    (void)lineage_marks_of(f->some, oid_of(c, NULL, "v_withheld"), 1, &known);
    assert_false(known);
}

static void test_marks_are_empty(void **state)
{
    const struct fixture *f = *state;
    assert_false(lineage_marks_are_empty(f->some));
    assert_true(lineage_marks_are_empty(f->none));
    assert_true(lineage_marks_are_empty(f->unaware));
}

/* ---- COPY ------------------------------------------------------------------------------------ */

static struct lineage_copy copy_of(const struct fixture *f, const char *text)
{
    struct lineage *l = analyse(f->some, text);
    assert_int_equal(l->statement_count, 1);
    assert_int_equal(l->statements[0].kind, LINEAGE_COPY_OUT);
    assert_false(l->statements[0].unknown);
    struct lineage_copy c = l->statements[0].copy;
    lineage_destroy(l);
    return c;
}

static void assert_copy(const struct fixture *f, const char *text, enum lineage_copy_format format,
                        const char *characters, const char *null_text, bool has_header)
{
    struct lineage_copy c = copy_of(f, text);
    assert_int_equal(c.format, format);
    assert_int_equal(c.delimiter, characters[0]);
    assert_int_equal(c.quote, characters[1]);
    assert_int_equal(c.escape, characters[2]);
    assert_string_equal(c.null_text, null_text);
    assert_int_equal(c.has_header, has_header);
}

static void test_copy_options(void **state)
{
    const struct fixture *f = *state;
    const enum lineage_copy_format text = LINEAGE_COPY_AS_TEXT, csv = LINEAGE_COPY_AS_CSV;
    assert_copy(f, "COPY orders TO STDOUT", text, "\t\"\"", "\\N", false);
    assert_copy(f, "COPY orders TO STDOUT CSV", csv, ",\"\"", "", false);
    assert_copy(f, "COPY orders TO STDOUT (FORMAT csv)", csv, ",\"\"", "", false);
    assert_copy(f, "COPY orders TO STDOUT (FORMAT csv, HEADER)", csv, ",\"\"", "", true);
    assert_copy(f, "COPY orders TO STDOUT (HEADER off, FORMAT csv)", csv, ",\"\"", "", false);
    assert_copy(f, "COPY orders TO STDOUT (HEADER 1, FORMAT csv)", csv, ",\"\"", "", true);
    assert_copy(f, "COPY orders TO STDOUT (FORMAT csv, QUOTE '''', DELIMITER ';')", csv, ";''", "",
                false);
    assert_copy(f, "COPY orders TO STDOUT (FORMAT csv, ESCAPE '\\', NULL 'nil')", csv, ",\"\\",
                "nil", false);
    assert_copy(f, "COPY orders TO STDOUT WITH DELIMITER '|' NULL ''", text, "|\"\"", "", false);
    assert_copy(f, "COPY orders TO STDOUT USING DELIMITERS '|'", text, "|\"\"", "\\N", false);
    assert_copy(f, "COPY orders TO STDOUT WITH CSV HEADER FORCE QUOTE *", csv, ",\"\"", "", true);
    assert_copy(f, "COPY orders TO STDOUT BINARY", LINEAGE_COPY_AS_BINARY, "\t\"\"", "\\N", false);
    assert_copy(f, "COPY BINARY orders TO STDOUT", LINEAGE_COPY_AS_BINARY, "\t\"\"", "\\N", false);
}

static void test_copy_options_that_are_not_understood(void **state)
{
    static const char *const texts[] = {
        "COPY orders TO STDOUT (FORMAT 'CSV')",
        "COPY orders TO STDOUT (ENCODING 'latin1')",
        "COPY orders TO STDOUT (DELIMITER 'ab')",
        "COPY orders TO STDOUT (QUOTE '')",
        "COPY orders TO STDOUT (HEADER maybe)",
        "COPY orders TO STDOUT (SOMETHING new)",
        "COPY orders TO STDOUT (DELIMITER '\u00e4')",
        "COPY orders TO STDOUT (NULL "
        "'0123456789012345678901234567890123456789012345678901234567890123456789')",
    };
    const struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct lineage *l = analyse(f->some, texts[i]);
        if (!l->statements[0].unknown) {
            print_message("%s\n", texts[i]);
        }
        assert_true(l->statements[0].unknown);
        assert_false(l->statements[0].clean);
        lineage_destroy(l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks_of_columns),
        cmocka_unit_test(test_marks_are_empty),
        cmocka_unit_test(test_copy_options),
        cmocka_unit_test(test_copy_options_that_are_not_understood),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/sql/sql.h"

/* "reason=x|ticket=y" */
static void expect_notes(const char *text, const char *expected)
{
    static const char *const names[] = {"reason", "on_behalf_of", "ticket"};
    struct sql_note notes[SQL_NOTES_MAX];
    size_t count = sql_comments_read(bytes_of_string(text), notes);
    char got[8192] = "";
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += (size_t)snprintf(got + size, sizeof(got) - size, "%s%s=%.*s", i == 0 ? "" : "|",
                                 names[notes[i].kind], (int)notes[i].value.size,
                                 (const char *)notes[i].value.data);
    }
    assert_string_equal(got, expected);
}

static void test_declarations_are_found_in_comments(void **state)
{
    (void)state;
    expect_notes("/* reason: monthly report */ SELECT 1", "reason=monthly report");
    expect_notes("SELECT 1 -- reason: why not", "reason=why not");
    expect_notes("-- Reason:x\n-- TICKET: OPS-7\nSELECT 1", "reason=x|ticket=OPS-7");
    expect_notes("/*reason:a;ticket: b ; on_behalf_of: alice@example.com*/ SELECT 1",
                 "reason=a|ticket=b|on_behalf_of=alice@example.com");
    expect_notes("/*\n * reason: a long one\n * ticket: T-1\n */\nSELECT 1",
                 "reason=a long one|ticket=T-1");
    expect_notes("SELECT 1 /* reason: é: ü */", "reason=é: ü");
    expect_notes("SELECT /* x */ 1 /* reason: y */;", "reason=y");
    expect_notes("/* reason: outer /* ticket: inner */ end */ SELECT 1",
                 "reason=outer /* ticket: inner */ end");
}

static void test_what_only_looks_like_a_comment_is_none(void **state)
{
    (void)state;
    expect_notes("SELECT 'reason: x'", "");
    expect_notes("SELECT '/* reason: x */'", "");
    expect_notes("SELECT '-- reason: x'", "");
    expect_notes("SELECT $$-- reason: x$$ -- y", "");
    expect_notes("SELECT \"/* reason: x */\"", "");
    expect_notes("SELECT E'\\'/* reason: x */'", "");
    expect_notes("SELECT 1 /* no reason: x */", "");
    expect_notes("SELECT 1 /* reason x */", "");
    expect_notes("SELECT 1 /* reason:   */", "");
    expect_notes("SELECT 1 /* reasons: x */", "");
    expect_notes("SELECT a::int -- comment", "");
    expect_notes("", "");
    expect_notes("-", "");
}

static void test_long_values_are_cut_between_characters(void **state)
{
    (void)state;
    char text[2048] = "-- reason: x";
    for (size_t size = strlen(text); size < 1000; size += 2) {
        memcpy(text + size, "é", 3);
    }
    struct sql_note notes[SQL_NOTES_MAX];
    assert_int_equal(sql_comments_read(bytes_of_string(text), notes), 1);
    /* x and 255 whole characters of two bytes; half a one would make 512. */
    assert_int_equal(notes[0].value.size, 511);
}

static void test_no_more_than_the_cap(void **state)
{
    (void)state;
    char text[1024];
    for (size_t i = 0; i < 20; i++) {
        memcpy(text + 13 * i, "-- reason: x\n", 14);
    }
    struct sql_note notes[SQL_NOTES_MAX];
    assert_int_equal(sql_comments_read(bytes_of_string(text), notes), SQL_NOTES_MAX);
}

static void test_a_plain_text_declares_too(void **state)
{
    (void)state;
    struct sql_note notes[SQL_NOTES_MAX];
    assert_int_equal(sql_notes_read(bytes_of_string("psql"), notes), 0);
    assert_int_equal(sql_notes_read(bytes_of_string("no reason: x"), notes), 0);
    assert_int_equal(
        sql_notes_read(bytes_of_string("nightly; Reason: a report ;ticket: T-1"), notes), 2);
    assert_true(bytes_equal_string(notes[0].value, "a report"));
    assert_int_equal(notes[1].kind, SQL_NOTE_TICKET);
    assert_true(bytes_equal_string(notes[1].value, "T-1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_declarations_are_found_in_comments),
        cmocka_unit_test(test_what_only_looks_like_a_comment_is_none),
        cmocka_unit_test(test_long_values_are_cut_between_characters),
        cmocka_unit_test(test_no_more_than_the_cap),
        cmocka_unit_test(test_a_plain_text_declares_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

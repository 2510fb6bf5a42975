#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "formats/text.h"

struct capture {
    FILE *out;
    char *text;
    size_t size;
};

static void capture_start(struct capture *c)
{
    *c = (struct capture){0};
    c->out = open_memstream(&c->text, &c->size);
    assert_non_null(c->out);
}

static void capture_expect(struct capture *c, const char *expected)
{
    assert_int_equal(fclose(c->out), 0);
    assert_string_equal(c->text, expected);
    free(c->text);
}

static void expect_written(struct bytes text, enum text_spaces spaces, const char *expected)
{
    struct capture c;
    capture_start(&c);
    text_write(c.out, text, spaces);
    capture_expect(&c, expected);
}

static void test_plain_text_stays(void **state)
{
    (void)state;
    expect_written(bytes_of_string("select 'Ærøskøbing', '日本', '🙂'"), TEXT_ESCAPED,
                   "select 'Ærøskøbing', '日本', '🙂'");
}

static void test_a_terminal_cannot_be_rewritten(void **state)
{
    (void)state;
    expect_written(bytes_of_string("\x1b[2Jgone\x07\x7f"), TEXT_LINES, "\\x1b[2Jgone\\x07\\x7f");
    /* C1 control CSI, and the override that reverses the reading direction. */
    expect_written(bytes_of_string("\xc2\x9b"
                                   "31m \xe2\x80\xae"),
                   TEXT_LINES, "\\u009b31m \\u202e");
    expect_written(bytes_of_string("a\rb"), TEXT_LINES, "a\\rb");
}

static void test_line_breaks(void **state)
{
    (void)state;
    struct bytes text = bytes_of_string("select *\n\t  from x");
    expect_written(text, TEXT_ESCAPED, "select *\\n\\t  from x");
    expect_written(text, TEXT_SQUEEZED, "select * from x");
    expect_written(text, TEXT_LINES, "select *\n\t  from x");
}

static void test_what_is_no_utf8_is_replaced(void **state)
{
    (void)state;
    static const char *const broken[] = {
        "\xff",         /* never in UTF-8 */
        "\x80",         /* a continuation without its lead */
        "\xc3",         /* a lead without its continuation */
        "\xc0\x80",     /* overlong NUL: each byte is one */
        "\xed\xa0\x80", /* a surrogate */
        "\xf4\x90\x80\x80",
    };
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct bytes text = bytes_of_string(broken[i]);
        char *utf8 = text_to_utf8(text);
        assert_non_null(utf8);
        assert_int_equal(strlen(utf8), 3 * text.size);
        for (size_t at = 0; at < strlen(utf8); at += 3) {
            assert_memory_equal(utf8 + at, "\xef\xbf\xbd", 3);
        }
        free(utf8);
    }
    char *nul = text_to_utf8(bytes_of("a\0b", 3));
    assert_string_equal(nul, "a\xef\xbf\xbd"
                             "b");
    free(nul);
}

static void expect_cut(const char *text, size_t columns, const char *expected)
{
    struct capture c;
    capture_start(&c);
    size_t used = text_write_cut(c.out, bytes_of_string(text), TEXT_SQUEEZED, columns);
    capture_expect(&c, expected);
    assert_true(used <= columns);
}

static void test_cut_to_columns(void **state)
{
    (void)state;
    expect_cut("orders", 6, "orders");
    expect_cut("orders", 5, "orde…");
    expect_cut("orders", 1, "…");
    expect_cut("orders", 0, "");
    expect_cut("", 5, "");
    /* A character of two columns does not fit into the one that is left. */
    expect_cut("日本語", 4, "日…");
}

static void test_indented(void **state)
{
    (void)state;
    struct capture c;
    capture_start(&c);
    text_write_indented(c.out, bytes_of_string("select *\r\n\n  from x"), 2);
    capture_expect(&c, "  select *\n\n    from x\n");
}

static void test_json_is_safe_on_a_terminal_and_means_the_same(void **state)
{
    (void)state;
    struct capture c;
    capture_start(&c);
    text_write_json(c.out, "{\"a\":\"ø\x7f\xc2\x9b\xe2\x80\xae\xf3\xa0\x80\x81\"}");
    capture_expect(&c, "{\"a\":\"ø\\u007f\\u009b\\u202e\\udb40\\udc01\"}");
}

int main(void)
{
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_text_stays),
        cmocka_unit_test(test_a_terminal_cannot_be_rewritten),
        cmocka_unit_test(test_line_breaks),
        cmocka_unit_test(test_what_is_no_utf8_is_replaced),
        cmocka_unit_test(test_cut_to_columns),
        cmocka_unit_test(test_indented),
        cmocka_unit_test(test_json_is_safe_on_a_terminal_and_means_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

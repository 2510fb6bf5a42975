#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/output/table.h"

static const char *const headings[] = {"NAME", "ROWS", "WHAT", NULL};

static struct table *sample(void)
{
    struct table *t = table_create(headings);
    assert_non_null(t);
    assert_int_equal(table_add_string(t, "日本"), OK);
    assert_int_equal(table_add_number(t, 5), OK);
    assert_int_equal(table_add_string(t, "select *\n  from customers where id = 42"), OK);
    assert_int_equal(table_add_string(t, "orders"), OK);
    assert_int_equal(table_add_number(t, 18446744073709551615ULL), OK);
    assert_int_equal(table_add_string(t, ""), OK);
    assert_int_equal(table_rows(t), 2);
    return t;
}

static char *print(const struct table *t, struct terminal terminal)
{
    char *text = NULL;
    size_t size = 0;
    terminal.out = open_memstream(&text, &size);
    assert_non_null(terminal.out);
    table_print(t, &terminal);
    assert_int_equal(fclose(terminal.out), 0);
    return text;
}

static void test_a_pipe_gets_everything(void **state)
{
    (void)state;
    struct table *t = sample();
    char *text = print(t, (struct terminal){0});
    assert_string_equal(text, "日本\t5\tselect *\\n  from customers where id = 42\n"
                              "orders\t18446744073709551615\t\n");
    free(text);
    table_destroy(t);
}

static void test_a_terminal_gets_aligned_columns(void **state)
{
    (void)state;
    struct table *t = sample();
    char *text = print(t, (struct terminal){.is_terminal = true, .width = 50});
    assert_string_equal(text, "NAME    ROWS                  WHAT\n"
                              "日本    5                     select * from custo…\n"
                              "orders  18446744073709551615\n");
    free(text);
    table_destroy(t);
}

static void test_colours_only_when_wanted(void **state)
{
    (void)state;
    struct table *t = sample();
    char *plain = print(t, (struct terminal){.is_terminal = true, .width = 80});
    char *colour = print(t, (struct terminal){.is_terminal = true, .width = 80, .colour = true});
    assert_null(strchr(plain, '\x1b'));
    assert_non_null(strstr(colour, "\x1b[1mNAME"));
    free(plain);
    free(colour);
    table_destroy(t);
}

int main(void)
{
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_pipe_gets_everything),
        cmocka_unit_test(test_a_terminal_gets_aligned_columns),
        cmocka_unit_test(test_colours_only_when_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

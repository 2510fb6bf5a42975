#include "cli/evidence/html.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void shows(struct bytes text, size_t max, const char *expected)
{
    char *written = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&written, &size);
    assert_non_null(out);
    html_text(out, text, max);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(written, expected);
    free(written);
}

static void test_text_has_no_meaning(void **state)
{
    (void)state;
    shows(bytes_of_string("<script>alert('&amp;')</script>"), HTML_WHOLE,
          "&lt;script&gt;alert(&#39;&amp;amp;&#39;)&lt;/script&gt;");
    shows(bytes_of_string("\" onload=\"x"), HTML_WHOLE, "&quot; onload=&quot;x");
    shows(bytes_of_string("a\x1b[2J\xe2\x80\xae\r\n\t"), HTML_WHOLE, "a\\x1b[2J\\u202e\\r\\n\\t");
    /* What is no UTF-8, and a NUL. */
    shows(bytes_of("a\0\xff<", 4), HTML_WHOLE, "a\\x00\xef\xbf\xbd&lt;");
    shows((struct bytes){0}, HTML_WHOLE, "");
}

static void test_long_text_is_cut_between_characters(void **state)
{
    (void)state;
    shows(bytes_of_string("\xc3\xa4<\xc3\xb6"), 3, "\xc3\xa4&lt;\xc3\xb6");
    shows(bytes_of_string("\xc3\xa4<\xc3\xb6"), 2, "\xc3\xa4&lt;\xe2\x80\xa6");
}

static void test_a_page_may_run_nothing(void **state)
{
    char *written = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&written, &size);
    (void)state;
    assert_non_null(out);
    assert_int_equal(html_begin(out, "</title><script>"), OK);
    html_end(out);
    assert_int_equal(fclose(out), 0);
    assert_null(strstr(written, "<script"));
    assert_non_null(strstr(written, "default-src 'none'; style-src 'sha256-"));
    assert_null(strstr(written, "unsafe-inline"));
    free(written);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_has_no_meaning),
        cmocka_unit_test(test_long_text_is_cut_between_characters),
        cmocka_unit_test(test_a_page_may_run_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

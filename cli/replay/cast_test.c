#include "cli/replay/cast.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const int64_t ms = 1000000;

struct page {
    FILE *out;
    char *text;
    size_t size;
};

static void page_open(struct page *p)
{
    p->out = open_memstream(&p->text, &p->size);
    assert_non_null(p->out);
}

static void page_expect(struct page *p, const char *expected)
{
    assert_int_equal(fclose(p->out), 0);
    assert_string_equal(p->text, expected);
    free(p->text);
}

static void test_a_session(void **state)
{
    (void)state;
    struct page p;
    struct cast c;
    const struct cast_header header = {.columns = 120,
                                       .rows = 40,
                                       .started_unix_ns = 1764000000999999999,
                                       .title = "session \"x\"",
                                       .idle_limit_ns = 2500 * ms};
    page_open(&p);
    assert_int_equal(cast_start(&c, p.out, &header), OK);
    assert_int_equal(cast_add_output(&c, 0, bytes_of_string("opened\n")), OK);
    assert_int_equal(cast_add_marker(&c, 1500 * ms, "#1 SELECT"), OK);
    assert_int_equal(cast_add_output(&c, 1500 * ms, bytes_of_string("\x1b[1ma\"\\\xc3\xa9\n")), OK);
    assert_int_equal(cast_add_exit(&c, 61501 * ms, 0), OK);
    page_expect(&p, "{\"version\":3,\"term\":{\"cols\":120,\"rows\":40},\"timestamp\":1764000000,"
                    "\"idle_time_limit\":2.5,\"title\":\"session \\\"x\\\"\"}\n"
                    "[0.000000,\"o\",\"opened\\r\\n\"]\n"
                    "[1.500000,\"m\",\"#1 SELECT\"]\n"
                    "[0.000000,\"o\",\"\\u001b[1ma\\\"\\\\\xc3\xa9\\r\\n\"]\n"
                    "[60.001000,\"x\",\"0\"]\n");
}

/* Three events a third of a microsecond apart are one microsecond, not zero. */
static void test_rounding_does_not_add_up(void **state)
{
    (void)state;
    struct page p;
    page_open(&p);
    struct cast c = {.out = p.out};
    for (int64_t i = 1; i <= 4; i++) {
        assert_int_equal(cast_add_marker(&c, i * 400, ""), OK);
    }
    assert_int_equal(cast_add_marker(&c, 5, "back"), OK);
    page_expect(&p, "[0.000000,\"m\",\"\"]\n[0.000000,\"m\",\"\"]\n[0.000001,\"m\",\"\"]\n"
                    "[0.000000,\"m\",\"\"]\n[0.000000,\"m\",\"back\"]\n");
}

static void test_a_full_disk_is_said(void **state)
{
    (void)state;
    FILE *full = fopen("/dev/full", "w");
    assert_non_null(full);
    assert_int_equal(setvbuf(full, NULL, _IONBF, 0), 0);
    struct cast c = {.out = full};
    assert_int_equal(cast_add_output(&c, 0, bytes_of_string("x")), ERR_IO);
    (void)fclose(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_session),
        cmocka_unit_test(test_rounding_does_not_add_up),
        cmocka_unit_test(test_a_full_disk_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

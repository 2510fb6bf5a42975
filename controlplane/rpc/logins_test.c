#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "controlplane/rpc/logins.h"

static struct bytes numbered(char text[32], int n)
{
    (void)snprintf(text, 32, "token-%d", n);
    return bytes_of_string(text);
}

static void test_the_first_use_counts_once(void **state)
{
    (void)state;
    struct logins *l = logins_create();
    assert_non_null(l);
    assert_true(logins_is_first(l, bytes_of_string("a")));
    assert_false(logins_is_first(l, bytes_of_string("a")));
    assert_true(logins_is_first(l, bytes_of_string("b")));
    assert_false(logins_is_first(l, bytes_of_string("a")));
    logins_destroy(l);
}

static void test_what_was_not_recorded_is_first_again(void **state)
{
    (void)state;
    struct logins *l = logins_create();
    assert_non_null(l);
    logins_forget(l, bytes_of_string("a"));
    assert_true(logins_is_first(l, bytes_of_string("a")));
    logins_forget(l, bytes_of_string("a"));
    assert_true(logins_is_first(l, bytes_of_string("a")));
    assert_false(logins_is_first(l, bytes_of_string("a")));
    logins_destroy(l);
}

/* One that is in use is not pushed out by those that come and go. */
static void test_memory_is_bounded_and_keeps_what_is_used(void **state)
{
    (void)state;
    struct logins *l = logins_create();
    char text[32];
    assert_non_null(l);
    assert_true(logins_is_first(l, bytes_of_string("daily")));
    for (int i = 0; i < 4 * LOGINS_REMEMBERED; i++) {
        assert_true(logins_is_first(l, numbered(text, i)));
        assert_false(logins_is_first(l, bytes_of_string("daily")));
    }
    int forgotten = 0;
    for (int i = 0; i < LOGINS_REMEMBERED; i++) {
        forgotten += logins_is_first(l, numbered(text, i)) ? 1 : 0;
    }
    assert_int_equal(forgotten, LOGINS_REMEMBERED);
    logins_destroy(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_use_counts_once),
        cmocka_unit_test(test_what_was_not_recorded_is_first_again),
        cmocka_unit_test(test_memory_is_bounded_and_keeps_what_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

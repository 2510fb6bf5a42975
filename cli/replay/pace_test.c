#include "cli/replay/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const int64_t second = 1000000000;

static void test_speeds_that_there_are(void **state)
{
    (void)state;
    double speed = 7;
    struct err_text error;
    assert_int_equal(pace_parse_speed("max", &speed, &error), OK);
    assert_true(speed <= 0);
    assert_int_equal(pace_parse_speed("0.1", &speed, &error), OK);
    assert_true(speed > 0.09 && speed < 0.11);
    assert_int_equal(pace_parse_speed("100", &speed, &error), OK);
    static const char *const wrong[] = {"",    "0",  "0.09",  "100.1", "-1", "1e1", "nan",
                                        "0x2", "2x", "1.2.3", ".",     " 1", "inf"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        speed = 7;
        assert_int_equal(pace_parse_speed(wrong[i], &speed, &error), ERR_INVALID);
        assert_true(speed > 6.9);
    }
    int64_t ns = 0;
    assert_int_equal(pace_parse_seconds("2.5", &ns, &error), OK);
    assert_int_equal(ns, 2500000000);
    assert_int_equal(pace_parse_seconds("0", &ns, &error), ERR_INVALID);
    assert_int_equal(pace_parse_seconds("1m", &ns, &error), ERR_INVALID);
}

static void test_waits_as_long_as_it_took(void **state)
{
    (void)state;
    struct pace p;
    pace_start(&p, 1, 100);
    assert_int_equal(pace_wait(&p, 0, 100), 0);
    assert_int_equal(pace_wait(&p, 5 * second, 100), 5 * second);
    assert_int_equal(pace_wait(&p, 5 * second, 100 + 2 * second), 3 * second);
    assert_int_equal(pace_wait(&p, 5 * second, 100 + 6 * second), 0);
    pace_start(&p, 2, 0);
    assert_int_equal(pace_wait(&p, 10 * second, 0), 5 * second);
    pace_start(&p, 0.5, 0);
    assert_int_equal(pace_wait(&p, second, 0), 2 * second);
    pace_start(&p, 0, 0);
    assert_int_equal(pace_wait(&p, 1000 * second, 0), 0);
}

static void test_a_pause_takes_no_time(void **state)
{
    (void)state;
    struct pace p;
    pace_start(&p, 1, 0);
    pace_pause(&p, 2 * second);
    assert_int_equal(pace_wait(&p, 5 * second, 100 * second), -1);
    pace_resume(&p, 200 * second);
    assert_int_equal(pace_wait(&p, 5 * second, 200 * second), 3 * second);
    pace_set_speed(&p, 2, 201 * second);
    assert_int_equal(pace_wait(&p, 5 * second, 201 * second), second);
    pace_seek(&p, 60 * second, 201 * second);
    assert_int_equal(pace_wait(&p, 60 * second, 201 * second), 0);
    assert_int_equal(pace_wait(&p, 62 * second, 201 * second), second);
}

static void test_idle_time_is_cut(void **state)
{
    (void)state;
    struct pace_gaps g = {.limit_ns = 2 * second};
    assert_int_equal(pace_gaps_add(&g, 50 * second), 0);
    assert_int_equal(pace_gaps_add(&g, 51 * second), second);
    assert_int_equal(pace_gaps_add(&g, 651 * second), 3 * second);
    /* A clock that was set back: no time passes until it has caught up. */
    assert_int_equal(pace_gaps_add(&g, 600 * second), 3 * second);
    assert_int_equal(pace_gaps_add(&g, 652 * second), 4 * second);
    struct pace_gaps free_running = {0};
    assert_int_equal(pace_gaps_add(&free_running, INT64_MIN), 0);
    assert_int_equal(pace_gaps_add(&free_running, INT64_MAX), INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_speeds_that_there_are),
        cmocka_unit_test(test_waits_as_long_as_it_took),
        cmocka_unit_test(test_a_pause_takes_no_time),
        cmocka_unit_test(test_idle_time_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

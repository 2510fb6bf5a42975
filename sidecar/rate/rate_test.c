#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/rate/rate.h"

static const int64_t second = 1000000000, millisecond = 1000000;
static const int64_t start = INT64_C(86400) * 1000000000 + 123456789;

static struct policy_rate rate_of(const char *rule, uint32_t requests, int64_t per_s)
{
    return (struct policy_rate){.rule = rule, .requests = requests, .per_s = per_s};
}

static struct rate_table *table_of(size_t entries_max)
{
    struct rate_table *t = rate_table_create(entries_max);
    assert_non_null(t);
    return t;
}

static void test_takes_until_the_limit_and_says_when_again(void **state)
{
    (void)state;
    struct rate_table *t = table_of(0);
    struct policy_rate r = rate_of("a", 3, 60);
    int64_t retry = 0;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(rate_take(t, "ann", &r, 1, start, &retry), RATE_TAKEN);
    }
    assert_int_equal(rate_take(t, "ann", &r, 1, start, &retry), RATE_EXCEEDED);
    assert_in_range(retry, 60000, 61000);
    /* A millisecond before it is still too early, then it is not. */
    int64_t again = 0;
    assert_int_equal(rate_take(t, "ann", &r, 1, start + (retry - 1) * millisecond, &again),
                     RATE_EXCEEDED);
    assert_int_equal(again, 1);
    assert_int_equal(rate_take(t, "ann", &r, 1, start + retry * millisecond, &retry), RATE_TAKEN);
    rate_table_destroy(t);
}

/* Whoever asks at whatever times: of any time so long, never more. */
static void test_no_window_has_more(void **state)
{
    (void)state;
    enum { ASKED = 20000, LIMIT = 50 };
    static int64_t taken[ASKED];
    struct rate_table *t = table_of(0);
    struct policy_rate r = rate_of("a", LIMIT, 10);
    uint64_t random = 42;
    int64_t now = start, retry = 0;
    size_t count = 0;
    for (size_t i = 0; i < ASKED; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        /* Bursts, and pauses up to a whole time. */
        now += (random >> 60) != 0 ? (int64_t)(random >> 40) : (int64_t)(random >> 31);
        if (rate_take(t, "ann", &r, 1, now, &retry) == RATE_TAKEN) {
            taken[count++] = now;
        }
    }
    assert_true(count > LIMIT * 10);
    for (size_t i = LIMIT; i < count; i++) {
        assert_true(taken[i] - taken[i - LIMIT] >= 10 * second);
    }
    rate_table_destroy(t);
}

static void test_gives_almost_all_of_the_limit(void **state)
{
    (void)state;
    struct rate_table *t = table_of(0);
    struct policy_rate r = rate_of("a", 600, 60);
    int64_t retry = 0;
    size_t count = 0;
    for (int64_t now = start; now < start + 600 * second; now += 10 * millisecond) {
        count += rate_take(t, "ann", &r, 1, now, &retry) == RATE_TAKEN;
    }
    assert_in_range(count, 5850, 6000);
    rate_table_destroy(t);
}

static void test_identities_and_rules_count_alone(void **state)
{
    (void)state;
    struct rate_table *t = table_of(0);
    struct policy_rate a = rate_of("a", 1, 60), b = rate_of("b", 1, 60);
    /* What would be the same text one behind the other. */
    struct policy_rate c = rate_of("nb", 1, 60);
    int64_t retry = 0;
    assert_int_equal(rate_take(t, "ann", &a, 1, start, &retry), RATE_TAKEN);
    assert_int_equal(rate_take(t, "ann", &b, 1, start, &retry), RATE_TAKEN);
    assert_int_equal(rate_take(t, "bob", &a, 1, start, &retry), RATE_TAKEN);
    assert_int_equal(rate_take(t, "an", &c, 1, start, &retry), RATE_TAKEN);
    assert_int_equal(rate_take(t, "ann", &a, 1, start, &retry), RATE_EXCEEDED);
    assert_int_equal(rate_take(t, "bob", &a, 1, start, &retry), RATE_EXCEEDED);
    rate_table_destroy(t);
}

static void test_takes_of_all_or_of_none(void **state)
{
    (void)state;
    struct rate_table *t = table_of(0);
    struct policy_rate both[] = {rate_of("wide", 10, 60), rate_of("tight", 1, 3600)};
    int64_t retry = 0;
    assert_int_equal(rate_take(t, "ann", both, 2, start, &retry), RATE_TAKEN);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(rate_take(t, "ann", both, 2, start, &retry), RATE_EXCEEDED);
        assert_in_range(retry, 3600000, 3660000); /* the longer of both */
    }
    /* Nothing of the wide one was taken by what was refused. */
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(rate_take(t, "ann", both, 1, start, &retry), RATE_TAKEN);
    }
    assert_int_equal(rate_take(t, "ann", both, 1, start, &retry), RATE_EXCEEDED);
    rate_table_destroy(t);
}

static void test_full_of_live_ones_refuses_and_idle_ones_go(void **state)
{
    (void)state;
    struct rate_table *t = table_of(3);
    struct policy_rate r = rate_of("a", 1, 60);
    const char *const names[] = {"a", "b", "c"};
    int64_t retry = 0;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(rate_take(t, names[i], &r, 1, start + (int64_t)i * second, &retry),
                         RATE_TAKEN);
    }
    assert_int_equal(rate_take(t, "d", &r, 1, start + 3 * second, &retry), RATE_FULL);
    assert_true(retry >= 1);
    /* The one that counts nothing any more goes; the others still count. */
    int64_t later = start + 61 * second + 500 * millisecond;
    assert_int_equal(rate_take(t, "d", &r, 1, later, &retry), RATE_TAKEN);
    assert_int_equal(rate_take(t, "c", &r, 1, later, &retry), RATE_EXCEEDED);
    assert_int_equal(rate_take(t, "d", &r, 1, later, &retry), RATE_EXCEEDED);
    rate_table_destroy(t);
}

/* What one call needs it does not throw out for its own next one. */
static void test_a_call_keeps_what_it_uses(void **state)
{
    (void)state;
    struct rate_table *t = table_of(1);
    struct policy_rate both[] = {rate_of("a", 5, 60), rate_of("b", 5, 60)};
    int64_t retry = 0;
    assert_int_equal(rate_take(t, "ann", both, 2, start, &retry), RATE_FULL);
    assert_int_equal(rate_take(t, "ann", both, 1, start, &retry), RATE_TAKEN);
    rate_table_destroy(t);
}

static void test_a_changed_time_forgets_nothing(void **state)
{
    (void)state;
    struct rate_table *t = table_of(0);
    struct policy_rate r = rate_of("a", 2, 60), longer = rate_of("a", 2, 3600);
    int64_t retry = 0;
    assert_int_equal(rate_take(t, "ann", &r, 1, start, &retry), RATE_TAKEN);
    assert_int_equal(rate_take(t, "ann", &r, 1, start, &retry), RATE_TAKEN);
    assert_int_equal(rate_take(t, "ann", &longer, 1, start + second, &retry), RATE_EXCEEDED);
    assert_in_range(retry, 3600000 - 60000, 3660000);
    rate_table_destroy(t);
}

static void test_a_clock_that_goes_back_gives_nothing(void **state)
{
    (void)state;
    struct rate_table *t = table_of(0);
    struct policy_rate r = rate_of("a", 1, 60);
    int64_t retry = 0;
    assert_int_equal(rate_take(t, "ann", &r, 1, start, &retry), RATE_TAKEN);
    assert_int_equal(rate_take(t, "ann", &r, 1, start - 1000 * second, &retry), RATE_EXCEEDED);
    rate_table_destroy(t);
}

static void test_what_cannot_be_counted_is_refused(void **state)
{
    (void)state;
    struct rate_table *t = table_of(0);
    struct policy_rate many[POLICY_RATES_MAX + 1];
    char *subject = calloc(1, RATE_SUBJECT_SIZE_MAX + 1);
    int64_t retry = 0;
    assert_non_null(subject);
    memset(subject, 'x', RATE_SUBJECT_SIZE_MAX);
    for (size_t i = 0; i < POLICY_RATES_MAX + 1; i++) {
        many[i] = rate_of("a", 100, 1);
    }
    assert_int_equal(rate_take(t, "ann", many, POLICY_RATES_MAX + 1, start, &retry), RATE_FULL);
    assert_int_equal(rate_take(t, subject, many, 1, start, &retry), RATE_FULL);
    many[0].requests = 0;
    assert_int_equal(rate_take(t, "ann", many, 1, start, &retry), RATE_EXCEEDED);
    assert_int_equal(rate_take(t, "ann", many, 0, start, &retry), RATE_TAKEN);
    free(subject);
    rate_table_destroy(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes_until_the_limit_and_says_when_again),
        cmocka_unit_test(test_no_window_has_more),
        cmocka_unit_test(test_gives_almost_all_of_the_limit),
        cmocka_unit_test(test_identities_and_rules_count_alone),
        cmocka_unit_test(test_takes_of_all_or_of_none),
        cmocka_unit_test(test_full_of_live_ones_refuses_and_idle_ones_go),
        cmocka_unit_test(test_a_call_keeps_what_it_uses),
        cmocka_unit_test(test_a_changed_time_forgets_nothing),
        cmocka_unit_test(test_a_clock_that_goes_back_gives_nothing),
        cmocka_unit_test(test_what_cannot_be_counted_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/rpc/refusals.h"

static const int64_t second_ns = INT64_C(1000000000);

static bool add(struct refusals *r, const char *from, const char *subject, const char *method,
                int64_t at_s)
{
    const struct refusal one = {.from = from,
                                .issuer = subject == NULL ? NULL : "https://issuer",
                                .subject = subject,
                                .method = method,
                                .error = "no role"};
    return refusals_add(r, &one, at_s * second_ns);
}

static struct refusals *create(void)
{
    struct refusals *r = refusals_create();
    assert_non_null(r);
    return r;
}

static void test_a_flood_is_one_record_and_a_count_each_minute(void **state)
{
    (void)state;
    struct refusals *r = create();
    struct refusals_count count;
    char from[64];
    assert_true(add(r, "ipv4:10.0.0.7:1", NULL, "Search", 100));
    for (int i = 0; i < 10000; i++) {
        (void)snprintf(from, sizeof(from), "ipv4:10.0.0.7:%d", 1024 + i);
        assert_false(add(r, from, NULL, i % 2 == 0 ? "Search" : "Push", 101));
    }
    assert_false(refusals_next(r, 159 * second_ns, false, &count));
    assert_true(refusals_next(r, 160 * second_ns, false, &count));
    assert_int_equal(count.calls, 10000);
    assert_string_equal(count.from, "ipv4:10.0.0.7");
    assert_string_equal(count.subject, "");
    assert_string_equal(count.error, "no role");
    assert_int_equal(count.method_count, 2);
    assert_string_equal(count.methods[0], "Search");
    assert_string_equal(count.methods[1], "Push");
    assert_false(refusals_next(r, 160 * second_ns, false, &count));
    /* It goes on: counted, not told at once. */
    assert_false(add(r, "ipv4:10.0.0.7:1", NULL, "Search", 161));
    assert_true(refusals_next(r, 220 * second_ns, false, &count));
    assert_int_equal(count.calls, 1);
    /* A quiet minute ends it. */
    assert_false(refusals_next(r, 280 * second_ns, false, &count));
    assert_true(add(r, "ipv4:10.0.0.7:1", NULL, "Search", 281));
    refusals_destroy(r);
}

static void test_who_is_known_is_not_hidden_by_strangers(void **state)
{
    (void)state;
    struct refusals *r = create();
    struct refusals_count count;
    assert_true(add(r, "ipv4:10.0.0.7:1", NULL, "Search", 1));
    assert_true(add(r, "ipv4:10.0.0.7:1", "eve", "Search", 1));
    assert_true(add(r, "ipv4:10.0.0.7:1", "mallory", "Search", 1));
    assert_false(add(r, "ipv4:10.0.0.7:9", "eve", "Push", 1));
    assert_true(refusals_next(r, 2 * second_ns, true, &count));
    assert_string_equal(count.subject, "eve");
    assert_string_equal(count.issuer, "https://issuer");
    assert_int_equal(count.calls, 1);
    assert_false(refusals_next(r, 2 * second_ns, true, &count));
    refusals_destroy(r);
}

static void test_many_addresses_are_one_count(void **state)
{
    (void)state;
    struct refusals *r = create();
    struct refusals_count count;
    char from[64];
    int at_once = 0;
    for (int i = 0; i < 10000; i++) {
        (void)snprintf(from, sizeof(from), "ipv4:10.%d.%d.7:80", i / 250, i % 250);
        at_once += add(r, from, NULL, "Search", 1) ? 1 : 0;
    }
    assert_int_equal(at_once, REFUSALS_PEERS);
    assert_true(add(r, "ipv4:10.0.0.7:1", "eve", "Search", 1));
    assert_true(refusals_next(r, 61 * second_ns, false, &count));
    assert_string_equal(count.from, "several addresses");
    assert_int_equal(count.calls, 10000 - REFUSALS_PEERS);
    assert_false(refusals_next(r, 61 * second_ns, false, &count));
    refusals_destroy(r);
}

static void test_ipv6_and_unix_addresses(void **state)
{
    (void)state;
    struct refusals *r = create();
    assert_true(add(r, "ipv6:%5B::1%5D:5312", NULL, "Search", 1));
    assert_false(add(r, "ipv6:%5B::1%5D:5313", NULL, "Search", 1));
    assert_true(add(r, "ipv6:%5B::2%5D:5313", NULL, "Search", 1));
    assert_true(add(r, "unix:/run/a:b", NULL, "Search", 1));
    assert_true(add(r, "unix:/run/a:c", NULL, "Search", 1));
    refusals_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_flood_is_one_record_and_a_count_each_minute),
        cmocka_unit_test(test_who_is_known_is_not_hidden_by_strangers),
        cmocka_unit_test(test_many_addresses_are_one_count),
        cmocka_unit_test(test_ipv6_and_unix_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

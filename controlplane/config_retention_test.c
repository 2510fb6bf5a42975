#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "controlplane/config_fixture.h"

#define IN_FILE(section) "data: /var/lib/x\n" section

static void test_rules_are_read_in_their_order(void **state)
{
    (void)state;
    struct config *config = config_fixture_load(IN_FILE(""));
    assert_int_equal(config->retention.count, 0);
    config_release(config);
    config = config_fixture_load(IN_FILE("retention:\n"
                                         "  - {resource: 'prod-*', keep: 400d}\n"
                                         "  - {resource: '*', keep: 36h}\n"));
    assert_int_equal(config->retention.count, 2);
    assert_string_equal(config->retention.items[0].resource, "prod-*");
    assert_int_equal(config->retention.items[0].keep_ns, INT64_C(400) * 86400 * 1000000000);
    assert_string_equal(config->retention.items[1].resource, "*");
    assert_int_equal(config->retention.items[1].keep_ns, INT64_C(36) * 3600 * 1000000000);
    config_release(config);
}

static void test_what_is_not_understood_is_refused(void **state)
{
    (void)state;
    static const struct config_mistake wrong[] = {
        {IN_FILE("retention: [{resource: db}]"), "keep"},
        {IN_FILE("retention: [{keep: 90d}]"), "resource"},
        {IN_FILE("retention: [{resource: db, keep: 0s}]"), "keep"},
        {IN_FILE("retention: [{resource: db, keep: 90}]"), "keep"},
        {IN_FILE("retention: [{resource: db, keep: 99999d}]"), "keep"},
        {IN_FILE("retention: [{resource: db, keep: 90d, hold: true}]"), "hold"},
        {IN_FILE("retention: {resource: db, keep: 90d}"), "retention"},
    };
    config_fixture_refuse_each(wrong, sizeof(wrong) / sizeof(wrong[0]), "", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_are_read_in_their_order),
        cmocka_unit_test(test_what_is_not_understood_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

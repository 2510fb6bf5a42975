#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "controlplane/config.h"

static enum err load(const char *retention, struct config **out, struct err_text *why)
{
    char text[1024];
    int size = snprintf(text, sizeof(text), "data: /var/lib/x\n%s", retention);
    return config_load_text("/etc/x/controlplane.yaml", bytes_of(text, (size_t)size), out, why);
}

static void test_rules_are_read_in_their_order(void **state)
{
    (void)state;
    struct config *config = NULL;
    struct err_text why;
    assert_int_equal(load("", &config, &why), OK);
    assert_int_equal(config->retention.count, 0);
    config_release(config);
    assert_int_equal(load("retention:\n"
                          "  - {resource: 'prod-*', keep: 400d}\n"
                          "  - {resource: '*', keep: 36h}\n",
                          &config, &why),
                     OK);
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
    static const struct {
        const char *text, *sentence;
    } wrong[] = {
        {"retention: [{resource: db}]", "keep"},
        {"retention: [{keep: 90d}]", "resource"},
        {"retention: [{resource: db, keep: 0s}]", "keep"},
        {"retention: [{resource: db, keep: 90}]", "keep"},
        {"retention: [{resource: db, keep: 99999d}]", "keep"},
        {"retention: [{resource: db, keep: 90d, hold: true}]", "hold"},
        {"retention: {resource: db, keep: 90d}", "retention"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct config *config = NULL;
        struct err_text why = {.text = ""};
        assert_int_equal(load(wrong[i].text, &config, &why), ERR_INVALID);
        if (strstr(why.text, wrong[i].sentence) == NULL) {
            print_error("%s: %s\n", wrong[i].text, why.text);
        }
        assert_non_null(strstr(why.text, wrong[i].sentence));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_are_read_in_their_order),
        cmocka_unit_test(test_what_is_not_understood_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

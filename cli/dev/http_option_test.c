#include "cli/dev/http_option.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct http_option parse(const char *text)
{
    struct http_option o;
    struct err_text error = {0};
    if (http_option_parse(text, &o, &error) != OK) {
        fail_msg("%s", error.text);
    }
    return o;
}

static void assert_text(const char *found, const char *expected)
{
    if (expected == NULL) {
        assert_null(found);
    } else {
        assert_non_null(found);
        assert_string_equal(found, expected);
    }
}

static void a_url_says_where_and_whose(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name, *address, *user, *secret;
    } table[] = {
        {"crm=https://api.internal", "crm", "https://api.internal", NULL, NULL},
        {"crm=http://127.0.0.1:8080/", "crm", "http://127.0.0.1:8080", NULL, NULL},
        {"c.r-m_2=https://[::1]:9443", "c.r-m_2", "https://[::1]:9443", NULL, NULL},
        {"crm=https://bot:p%40ss@api", "crm", "https://api", "bot", "p@ss"},
        {"crm=https://t0k.en@api:8443", "crm", "https://api:8443", NULL, "t0k.en"},
        {"crm=", "crm", NULL, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct http_option o = parse(table[i].text);
        assert_text(o.name, table[i].name);
        assert_text(o.address, table[i].address);
        assert_text(o.user, table[i].user);
        assert_text(o.secret, table[i].secret);
        http_option_finish(&o);
    }
}

static void what_is_not_understood_is_refused_without_its_secret(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "https://api",
                                      "=https://api",
                                      "a/b=https://api",
                                      "..=https://api",
                                      "crm=api.internal",
                                      "crm=ftp://api",
                                      "crm=https://u:hunter2@api/v1",
                                      "crm=https://u:hunter2@api?a=b",
                                      "crm=https://u:hunter2@api#a",
                                      "crm=https://u:hunter2@",
                                      "crm=https://:hunter2@api",
                                      "crm=https://u:hunter2@api:port"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct http_option o;
        struct err_text error = {0};
        if (http_option_parse(bad[i], &o, &error) != ERR_INVALID) {
            fail_msg("%s", bad[i]);
        }
        assert_non_null(strstr(error.text, "--http"));
        assert_null(strstr(error.text, "hunter2"));
    }
}

static void the_process_list_does_not_show_it(void **state)
{
    (void)state;
    char password[] = "crm=https://bot:hunter2@api:8443", token[] = "crm=https://hunter2@api";
    char none[] = "crm=https://api";
    http_option_hide_secret(password);
    http_option_hide_secret(token);
    http_option_hide_secret(none);
    assert_string_equal(password, "crm=https://xxx:xxxxxxx@api:8443");
    assert_string_equal(token, "crm=https://xxxxxxx@api");
    assert_string_equal(none, "crm=https://api");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_says_where_and_whose),
        cmocka_unit_test(what_is_not_understood_is_refused_without_its_secret),
        cmocka_unit_test(the_process_list_does_not_show_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

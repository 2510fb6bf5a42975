#include "controlplane/credentials/http_credential.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct http_credential make(const struct config_credential *credential, const char *secret)
{
    struct http_credential c;
    struct err_text why = {0};
    if (http_credential_make(credential, bytes_of_string(secret), &c, &why) != OK) {
        fail_msg("%s", why.text);
    }
    return c;
}

static bool has_secret(const struct http_credential *c, const char *text)
{
    for (size_t i = 0; i < c->secret_count; i++) {
        if (bytes_equal_string(buffer_bytes(&c->secrets[i]), text)) {
            return true;
        }
    }
    return false;
}

static void assert_field(const struct http_credential *c, const char *name, const char *value)
{
    assert_string_equal(c->name, name);
    assert_true(bytes_equal_string(buffer_bytes(&c->value), value));
}

static const struct config_credential bearer = {.name = "crm", .http = CONFIG_HTTP_BEARER};
static const struct config_credential basic = {
    .name = "crm", .http = CONFIG_HTTP_BASIC, .user = "Aladdin"};

static void a_token_is_a_bearer(void **state)
{
    (void)state;
    struct http_credential c = make(&bearer, "mF_9.B5f-4.1JqM");
    assert_field(&c, "authorization", "Bearer mF_9.B5f-4.1JqM");
    assert_int_equal(c.secret_count, 1);
    assert_true(has_secret(&c, "mF_9.B5f-4.1JqM"));
    http_credential_finish(&c);
    http_credential_finish(&c);
}

/* The example of RFC 7617 section 2. */
static void user_and_password_are_basic(void **state)
{
    (void)state;
    struct http_credential c = make(&basic, "open sesame");
    assert_field(&c, "authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert_int_equal(c.secret_count, 2);
    assert_true(has_secret(&c, "open sesame"));
    assert_true(has_secret(&c, "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
    http_credential_finish(&c);
}

static void a_header_has_its_value(void **state)
{
    (void)state;
    const struct config_credential key = {
        .name = "crm", .http = CONFIG_HTTP_HEADER, .header = "x-api-key"};
    struct http_credential c = make(&key, "k-123456");
    assert_field(&c, "x-api-key", "k-123456");
    assert_int_equal(c.secret_count, 1);
    http_credential_finish(&c);
    c = make(&key, "Token k-123456");
    assert_true(has_secret(&c, "Token k-123456"));
    assert_true(has_secret(&c, "k-123456"));
    http_credential_finish(&c);
}

static void each_cookie_is_a_secret(void **state)
{
    (void)state;
    const struct config_credential cookie = {
        .name = "crm", .http = CONFIG_HTTP_HEADER, .header = "cookie"};
    struct http_credential c = make(&cookie, "sid=abcdef==; lang=de; csrf=12345678");
    assert_field(&c, "cookie", "sid=abcdef==; lang=de; csrf=12345678");
    assert_true(has_secret(&c, "abcdef=="));
    assert_true(has_secret(&c, "12345678"));
    assert_false(has_secret(&c, "de")); /* it would be masked in every word */
    http_credential_finish(&c);
}

static void none_is_no_field(void **state)
{
    (void)state;
    const struct config_credential none = {.name = "crm", .http = CONFIG_HTTP_NONE};
    struct http_credential c = make(&none, "");
    assert_null(c.name);
    assert_int_equal(c.secret_count, 0);
    http_credential_finish(&c);
}

static void what_would_break_a_header_is_refused(void **state)
{
    (void)state;
    static const char *const values[] = {"",
                                         "a\nx: y",
                                         "a\r\nx: y",
                                         " a",
                                         "hunter2\n",
                                         "a ",
                                         "a\x7f",
                                         "a\x01"
                                         "b"};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct http_credential c;
        struct err_text why = {0};
        assert_int_equal(http_credential_make(&bearer, bytes_of_string(values[i]), &c, &why),
                         ERR_INVALID);
        assert_non_null(strstr(why.text, "\"crm\""));
        assert_null(strstr(why.text, "hunter2"));
    }
    struct http_credential c;
    assert_int_equal(http_credential_make(&bearer, bytes_of("a\0b", 3), &c, NULL), ERR_INVALID);
}

static void what_is_too_long_is_refused(void **state)
{
    (void)state;
    static char text[(32 << 10) + 1];
    struct http_credential c;
    memset(text, 'x', sizeof(text));
    assert_int_equal(http_credential_make(&basic, bytes_of(text, sizeof(text)), &c, NULL),
                     ERR_LIMIT);
    assert_int_equal(http_credential_make(&basic, bytes_of(text, sizeof(text) - 1), &c, NULL), OK);
    http_credential_finish(&c);
}

static void a_secret_that_could_not_be_masked_is_not_given(void **state)
{
    (void)state;
    const struct config_credential cookie = {
        .name = "crm", .http = CONFIG_HTTP_HEADER, .header = "cookie"};
    struct buffer text;
    struct http_credential c;
    buffer_init(&text, 4096);
    for (int i = 0; i < HTTP_CREDENTIAL_SECRETS; i++) {
        assert_int_equal(buffer_append_format(&text, "c%d=secret-%d; ", i, i), OK);
    }
    assert_int_equal(buffer_append_string(&text, "x=y"), OK);
    assert_int_equal(http_credential_make(&cookie, buffer_bytes(&text), &c, NULL), ERR_LIMIT);
    buffer_finish(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_a_bearer),
        cmocka_unit_test(user_and_password_are_basic),
        cmocka_unit_test(a_header_has_its_value),
        cmocka_unit_test(each_cookie_is_a_secret),
        cmocka_unit_test(none_is_no_field),
        cmocka_unit_test(what_would_break_a_header_is_refused),
        cmocka_unit_test(what_is_too_long_is_refused),
        cmocka_unit_test(a_secret_that_could_not_be_masked_is_not_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

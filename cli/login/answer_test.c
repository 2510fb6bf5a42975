#include "cli/login/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define ISSUER "https://id.example"

static void expect_server(const char *text, enum err expected, const char *said)
{
    struct login_server s = {0};
    struct err_text why = {0};
    enum err e = login_server_parse(bytes_of_string(text), ISSUER, &s, &why);
    if (e != expected || (said != NULL && strstr(why.text, said) == NULL)) {
        fail_msg("%s: %s, \"%s\"", text, err_name(e), why.text);
    }
    login_server_finish(&s);
}

static void test_discovery(void **state)
{
    (void)state;
    struct login_server s;
    static const char text[] = "{\"issuer\":\"" ISSUER "\",\"token_endpoint\":\"" ISSUER "/token\","
                               "\"authorization_endpoint\":\"http://127.0.0.1:9/auth?a=b\","
                               "\"scopes_supported\":[\"openid\",7,\"groups\"],"
                               "\"authorization_response_iss_parameter_supported\":true}";
    assert_int_equal(login_server_parse(bytes_of_string(text), ISSUER, &s, NULL), OK);
    assert_string_equal(s.token, ISSUER "/token");
    assert_string_equal(s.authorization, "http://127.0.0.1:9/auth?a=b");
    assert_null(s.device);
    assert_true(s.names_itself);
    assert_true(login_server_offers(&s, "scopes_supported", "groups", false));
    assert_false(login_server_offers(&s, "scopes_supported", "email", true));
    assert_true(login_server_offers(&s, "not_there", "x", true));
    login_server_finish(&s);
}

static void test_discovery_of_what_may_not_be_used(void **state)
{
    (void)state;
    expect_server("", ERR_INVALID, "empty");
    expect_server("[]", ERR_INVALID, "not a JSON object");
    expect_server("{\"issuer\":\"https://id.example/\"}", ERR_INVALID, "another issuer");
    expect_server("{\"issuer\":\"https://id.example\\u0000\"}", ERR_INVALID, "NUL");
    expect_server("{\"issuer\":\"" ISSUER "\"}", ERR_INVALID, "names no token_endpoint");
    expect_server("{\"issuer\":\"" ISSUER "\",\"token_endpoint\":\"http://id.example/t\"}",
                  ERR_INVALID, "must be https");
    expect_server("{\"issuer\":\"" ISSUER "\",\"token_endpoint\":\"" ISSUER
                  "/t\",\"token_endpoint\":\"https://evil.example/t\"}",
                  ERR_INVALID, "twice");
}

static void test_tokens(void **state)
{
    (void)state;
    struct login_tokens t;
    static const char text[] = "{\"access_token\":\"a.b.c\",\"token_type\":\"bearer\","
                               "\"expires_in\":\"3600\",\"id_token\":null,\"refresh_token\":\"r\"}";
    assert_int_equal(login_tokens_parse(bytes_of_string(text), &t, NULL), OK);
    assert_string_equal(t.access_token, "a.b.c");
    assert_string_equal(t.refresh_token, "r");
    assert_null(t.id_token);
    assert_int_equal(t.lifetime_s, 3600);
    login_tokens_finish(&t);
}

/* What fails leaves nothing behind and never quotes a token. */
static void test_tokens_that_are_none(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"token_type\":\"Bearer\"}",
        "{\"access_token\":\"topsecret\"}",
        "{\"access_token\":\"topsecret\",\"token_type\":\"DPoP\"}",
        "{\"access_token\":\"topsecret\\r\\nX: y\",\"token_type\":\"Bearer\"}",
        "{\"access_token\":\"topsecret \",\"token_type\":\"Bearer\"}",
        "{\"access_token\":\"\",\"token_type\":\"Bearer\"}",
        "{\"access_token\":7,\"token_type\":\"Bearer\"}",
        "{\"access_token\":\"a\",\"access_token\":\"topsecret\",\"token_type\":\"Bearer\"}",
        "{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"refresh_token\":{\"topsecret\":1}}",
        "topsecret",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct login_tokens t = {.lifetime_s = 77};
        struct err_text why = {0};
        assert_int_equal(login_tokens_parse(bytes_of_string(bad[i]), &t, &why), ERR_INVALID);
        assert_null(strstr(why.text, "topsecret"));
        assert_true(why.text[0] != '\0');
        assert_int_equal(t.lifetime_s, 77);
    }
}

static void test_lifetimes_are_within_reason(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int64_t seconds;
    } cases[] = {{"-5", 0}, {"0", 0}, {"1e300", 366 * 86400}, {"\"nan\"", 0}, {"1.9", 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct login_tokens t;
        char text[128];
        (void)snprintf(text, sizeof(text),
                       "{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"expires_in\":%s}",
                       cases[i].value);
        assert_int_equal(login_tokens_parse(bytes_of_string(text), &t, NULL), OK);
        assert_int_equal(t.lifetime_s, cases[i].seconds);
        login_tokens_finish(&t);
    }
}

static void test_device(void **state)
{
    (void)state;
    struct login_device d;
    static const char text[] = "{\"device_code\":\"d\",\"user_code\":\"BCDF GHJK\","
                               "\"verification_uri\":\"https://id.example/device\","
                               "\"expires_in\":99999999,\"interval\":0}";
    assert_int_equal(login_device_parse(bytes_of_string(text), &d, NULL), OK);
    assert_string_equal(d.user_code, "BCDF GHJK");
    assert_int_equal(d.interval_s, LOGIN_INTERVAL_DEFAULT_S);
    assert_int_equal(d.lifetime_s, LOGIN_DEVICE_MAX_S);
    assert_null(d.uri_complete);
    login_device_finish(&d);
}

static void test_devices_that_are_none(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"user_code\":\"B\",\"verification_uri\":\"https://id.example\"}",
        "{\"device_code\":\"d\",\"verification_uri\":\"https://id.example\"}",
        "{\"device_code\":\"d\",\"user_code\":\"B\"}",
        "{\"device_code\":\"d\",\"user_code\":\"B\\u001b[2J\","
        "\"verification_uri\":\"https://id.example\"}",
        "{\"device_code\":\"d\",\"user_code\":\"B\",\"verification_uri\":\"javascript:a()\"}",
        "{\"device_code\":\"d\",\"user_code\":\"B\",\"verification_uri\":\"https://id.example\","
        "\"verification_uri_complete\":\"http://id.example/?c=B\"}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct login_device d;
        assert_int_equal(login_device_parse(bytes_of_string(bad[i]), &d, NULL), ERR_INVALID);
    }
}

static void test_refusals_are_printable(void **state)
{
    (void)state;
    struct login_refusal r;
    login_refusal_parse(bytes_of_string("{\"error\":\"invalid_grant\","
                                        "\"error_description\":\"no\\u001b[2J \\u202e\"}"),
                        &r);
    assert_string_equal(r.code, "invalid_grant");
    assert_string_equal(r.description, "no?[2J ???");
    login_refusal_parse(bytes_of_string("<html>502</html>"), &r);
    assert_string_equal(r.code, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_discovery),
        cmocka_unit_test(test_discovery_of_what_may_not_be_used),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_tokens_that_are_none),
        cmocka_unit_test(test_lifetimes_are_within_reason),
        cmocka_unit_test(test_device),
        cmocka_unit_test(test_devices_that_are_none),
        cmocka_unit_test(test_refusals_are_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Resources that are reached by HTTP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "controlplane/config_fixture.h"

#define HTTP(rest) "data: d\nresources:\n  - {name: r, protocol: http, " rest "}\n"
#define AT(address) HTTP("credential: {none: true}, address: '" address "'")
#define WITH(credential) HTTP("address: 'https://a', credential: {" credential "}")
#define OAUTH2(rest) WITH("oauth2: {token_url: 'https://id/token', client_id: bot, " rest "}")

static void the_address_says_where_and_whether_with_tls(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *authority;
        uint16_t port;
        enum config_tls_mode tls;
    } table[] = {
        {AT("https://api.internal"), "api.internal", "api.internal", 443, CONFIG_TLS_VERIFY_FULL},
        {AT("https://API.Internal:8443"), "api.internal", "api.internal:8443", 8443,
         CONFIG_TLS_VERIFY_FULL},
        {AT("https://api.internal:443/"), "api.internal", "api.internal", 443,
         CONFIG_TLS_VERIFY_FULL},
        {AT("http://10.0.0.7"), "10.0.0.7", "10.0.0.7", 80, CONFIG_TLS_DISABLE},
        {AT("http://localhost:8080"), "localhost", "localhost:8080", 8080, CONFIG_TLS_DISABLE},
        {AT("https://[::1]:9443"), "::1", "[::1]:9443", 9443, CONFIG_TLS_VERIFY_FULL},
        {AT("https://[2001:DB8::1]"), "2001:db8::1", "[2001:db8::1]", 443, CONFIG_TLS_VERIFY_FULL},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct config *c = config_fixture_load(table[i].text);
        const struct config_resource *r = config_find_resource(c, "r");
        assert_string_equal(r->protocol, "http");
        assert_string_equal(r->host, table[i].host);
        assert_string_equal(r->authority, table[i].authority);
        assert_int_equal(r->port, table[i].port);
        assert_int_equal(r->tls, table[i].tls);
        assert_string_equal(r->database, "");
        config_release(c);
    }
}

static const struct config_credential *credential_of(const struct config *c)
{
    return config_find_resource(c, "r")->credential;
}

static void each_kind_of_credential_is_read(void **state)
{
    (void)state;
    struct config *c = config_fixture_load(WITH("bearer: {file: token}"));
    assert_int_equal(credential_of(c)->http, CONFIG_HTTP_BEARER);
    assert_string_equal(credential_of(c)->password.at, "/etc/chaperone/token");
    assert_string_equal(credential_of(c)->user, "");
    config_release(c);
    c = config_fixture_load(WITH("basic: {user: bot, password_file: /run/p}"));
    assert_int_equal(credential_of(c)->http, CONFIG_HTTP_BASIC);
    assert_string_equal(credential_of(c)->user, "bot");
    assert_int_equal(credential_of(c)->password.source, CONFIG_SECRET_FILE);
    assert_string_equal(credential_of(c)->password.at, "/run/p");
    config_release(c);
    c = config_fixture_load(WITH("header: {name: X-Api-Key, value: {store: key}}"));
    assert_int_equal(credential_of(c)->http, CONFIG_HTTP_HEADER);
    assert_string_equal(credential_of(c)->header, "x-api-key");
    assert_int_equal(credential_of(c)->password.source, CONFIG_SECRET_STORE);
    config_release(c);
    c = config_fixture_load(
        WITH("bearer: {env: T}, client_certificate: {certificate: c.pem, key: {store: k}}"));
    assert_int_equal(credential_of(c)->http, CONFIG_HTTP_BEARER);
    assert_string_equal(credential_of(c)->certificate.at, "/etc/chaperone/c.pem");
    assert_int_equal(credential_of(c)->key.source, CONFIG_SECRET_STORE);
    config_release(c);
    c = config_fixture_load(WITH("client_certificate: {certificate: c.pem, key: k.pem}"));
    assert_int_equal(credential_of(c)->http, CONFIG_HTTP_NONE);
    assert_int_equal(credential_of(c)->key.source, CONFIG_SECRET_FILE);
    config_release(c);
    c = config_fixture_load(WITH("none: true"));
    assert_int_equal(credential_of(c)->http, CONFIG_HTTP_NONE);
    assert_int_equal(credential_of(c)->password.source, CONFIG_SECRET_NONE);
    config_release(c);
}

static void an_oauth2_client_is_read(void **state)
{
    (void)state;
    struct config *c = config_fixture_load(OAUTH2("client_secret_file: s, scope: 'a b'"));
    const struct config_credential *found = credential_of(c);
    assert_int_equal(found->http, CONFIG_HTTP_OAUTH2);
    assert_string_equal(found->user, "bot");
    assert_string_equal(found->oauth2.token_url, "https://id/token");
    assert_string_equal(found->oauth2.scope, "a b");
    assert_null(found->oauth2.audience);
    assert_false(found->oauth2.secret_in_body);
    assert_int_equal(found->oauth2.timeout_ns, INT64_C(4000000000));
    assert_string_equal(found->password.at, "/etc/chaperone/s");
    config_release(c);
    c = config_fixture_load(
        OAUTH2("client_secret: {env: S}, auth: post, audience: x, timeout: 3s"));
    assert_true(credential_of(c)->oauth2.secret_in_body);
    assert_string_equal(credential_of(c)->oauth2.audience, "x");
    assert_int_equal(credential_of(c)->oauth2.timeout_ns, INT64_C(3000000000));
    config_release(c);
}

static void the_server_is_checked_as_told(void **state)
{
    (void)state;
    struct config *c = config_fixture_load(HTTP("address: 'https://a', credential: {none: true}, "
                                                "tls: {mode: verify-ca, server_name: b}"));
    assert_int_equal(config_find_resource(c, "r")->tls, CONFIG_TLS_VERIFY_CA);
    assert_string_equal(config_find_resource(c, "r")->server_name, "b");
    config_release(c);
}

static const struct config_mistake mistakes[] = {
    {HTTP("credential: {none: true}"), "cp.yaml:3:5: resources[0].address: required"},
    {AT("api.internal"), "resources[0].address: expected https://HOST[:PORT]"},
    {AT("ftp://a"), "resources[0].address: expected"},
    {AT("https://a/v1"), "resources[0].address: expected"},
    {AT("https://a?"), "resources[0].address: expected"},
    {AT("https://a#x"), "resources[0].address: expected"},
    {AT("https://u:p@a"), "resources[0].address: expected"},
    {AT("https://a:0"), "resources[0].address: expected"},
    {AT("https://a:65536"), "resources[0].address: expected"},
    {AT("https://a b"), "resources[0].address: expected"},
    {AT("https://a_%2e"), "resources[0].address: expected"},
    {AT("https://\xc3\xa4"), "resources[0].address: expected"},
    {AT("https://[::1%25eth0]"), "resources[0].address: expected"},
    {HTTP("address: 'https://a', credential: {none: true}, databases: [x]"),
     "resources[0]: unknown key `databases`"},
    {HTTP("address: 'http://a', credential: {none: true}, tls: {mode: require}"),
     "resources[0].tls: expected nothing"},
    {HTTP("address: 'https://a', credential: {none: true}, tls: {mode: disable}"),
     "resources[0].tls.mode: expected verify-full"},
    {HTTP("address: 'https://a', credential: {none: true}, tls: {mode: prefer}"),
     "resources[0].tls.mode: expected verify-full"},
    {HTTP("address: 'https://a'"), "resources[0].credential: required"},
    {HTTP("address: 'https://a', credential: c"), "resources[0].credential: expected a map"},
    {WITH(""), "resources[0].credential: expected one of `bearer`"},
    {WITH("token: x"), "resources[0].credential: unknown key `token`"},
    {WITH("none: false"), "resources[0].credential.none: expected `true`"},
    {WITH("none: true, client_certificate: {certificate: c, key: k}"),
     "resources[0].credential.none: expected `true`"},
    {WITH("bearer: {env: A}, basic: {user: u, password_file: f}"), "found several"},
    {WITH("bearer: t0ken"), "resources[0].credential.bearer: expected one of {env: VARIABLE}"},
    {WITH("basic: {password_file: f}"), "resources[0].credential.basic.user: required"},
    {WITH("basic: {user: 'a:b', password_file: f}"), "basic.user: expected a name without \":\""},
    {WITH("basic: {user: u}"), "basic: expected one of `password` and `password_file`, found n"},
    {WITH("basic: {user: u, password: {env: A}, password_file: f}"), "found both"},
    {WITH("header: {name: Host, value_file: f}"), "header.name: expected the name of a header"},
    {WITH("header: {name: Transfer-Encoding, value_file: f}"), "header.name: expected"},
    {WITH("header: {name: 'a b', value_file: f}"), "header.name: expected"},
    {WITH("header: {name: ':path', value_file: f}"), "header.name: expected"},
    {WITH("header: {value_file: f}"), "header.name: required"},
    {WITH("client_certificate: {certificate: c}"), "client_certificate.key: required"},
    {HTTP("address: 'http://a', credential: {client_certificate: {certificate: c, key: k}}"),
     "client_certificate: expected nothing: the address is http://"},
    {WITH("oauth2: {client_id: c, client_secret_file: f}"), "oauth2.token_url: required"},
    {WITH("oauth2: {token_url: 'http://id/', client_id: c, client_secret_file: f}"),
     "oauth2.token_url: expected an https:// URL"},
    {WITH("oauth2: {token_url: 'https://id/', client_secret_file: f}"),
     "oauth2.client_id: required"},
    {OAUTH2("auth: post"), "oauth2: expected one of `client_secret` and `client_secret_file`"},
    {OAUTH2("client_secret_file: f, auth: digest"), "oauth2.auth: expected"},
    {OAUTH2("client_secret_file: f, timeout: 2h"), "oauth2.timeout: expected"},
    {OAUTH2("client_secret_file: f, ca_file: /none"), "oauth2.ca_file: expected a file"},
};

static void each_mistake_is_named_where_it_is(void **state)
{
    (void)state;
    config_fixture_refuse_each(mistakes, sizeof(mistakes) / sizeof(mistakes[0]), "3:", NULL);
}

static void what_may_be_a_secret_is_not_repeated(void **state)
{
    (void)state;
    static const char *const texts[] = {
        AT("https://u:hunter2@a"),
        WITH("bearer: hunter2"),
        WITH("basic: {user: u, password: hunter2}"),
        WITH("header: {name: k, value: hunter2}"),
        WITH("oauth2: {token_url: 'https://c:hunter2@id', client_id: c, client_secret_file: f}"),
        OAUTH2("client_secret: hunter2")};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct err_text why = config_fixture_refuse(texts[i], "", "");
        assert_null(strstr(why.text, "hunter2"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_address_says_where_and_whether_with_tls),
        cmocka_unit_test(each_kind_of_credential_is_read),
        cmocka_unit_test(an_oauth2_client_is_read),
        cmocka_unit_test(the_server_is_checked_as_told),
        cmocka_unit_test(each_mistake_is_named_where_it_is),
        cmocka_unit_test(what_may_be_a_secret_is_not_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "cli/run/run_config.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/run/run_environment.h"

static char file[PATH_MAX];

static const char *write_config(const char *text)
{
    const char *base = getenv("TEST_TMPDIR");
    (void)snprintf(file, sizeof(file), "%s/run.XXXXXX", base == NULL ? "/tmp" : base);
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)close(fd);
    return file;
}

static struct run_config make(const char *text, const char *resource, bool use_socket)
{
    struct run_config c = {0};
    struct err_text error = {0};
    struct run_config_options o = {.file = write_config(text),
                                   .resource = resource,
                                   .directory = "/run/private",
                                   .use_socket = use_socket};
    if (run_config_make(&o, &c, &error) != OK) {
        fail_msg("%s", error.text);
    }
    (void)unlink(file);
    return c;
}

static void test_without_listeners(void **state)
{
    (void)state;
    struct run_config c = make("state: /s\nrecord: {response_bytes: 64KiB}\n", "shop", false);
    char expected[256];
    assert_string_equal(c.host, "127.0.0.1");
    assert_true(strtol(c.port, NULL, 10) > 0);
    (void)snprintf(expected, sizeof(expected),
                   "\"listeners\":[{\"resource\":\"shop\",\"listen\":\"127.0.0.1:%s\"}]", c.port);
    assert_non_null(strstr(c.text, expected));
    (void)snprintf(expected, sizeof(expected), "\"health\":{\"listen\":\"%s\"}", c.health);
    assert_non_null(strstr(c.text, expected));
    /* What the file says stays. */
    assert_non_null(strstr(c.text, "\"state\":\"/s\""));
    assert_non_null(strstr(c.text, "\"response_bytes\":\"64KiB\""));
    free(c.text);
    c = make("state: /s\n", "shop", true);
    assert_string_equal(c.host, "/run/private");
    assert_string_equal(c.port, "5432");
    assert_non_null(strstr(c.text, "\"listen\":\"unix:/run/private/.s.PGSQL.5432\""));
    free(c.text);
}

static void test_addresses_of_the_file_stay(void **state)
{
    (void)state;
    struct run_config c =
        make("state: /s\n"
             "health: {listen: \"127.0.0.1:9100\"}\n"
             "listeners:\n"
             "  - {resource: a, listen: \"[::1]:6432\", tls: {certificate: c, key: k}}\n"
             "  - {resource: b}\n",
             NULL, false);
    assert_string_equal(c.host, "::1");
    assert_string_equal(c.port, "6432");
    assert_string_equal(c.health, "127.0.0.1:9100");
    assert_true(c.has_tls);
    assert_non_null(strstr(c.text, "{\"resource\":\"b\",\"listen\":\"127.0.0.1:"));
    free(c.text);
    c = make("state: /s\nlisteners: [{resource: a, listen: \"unix:/x/.s.PGSQL.6000\"}]\n", NULL,
             false);
    assert_string_equal(c.host, "/x");
    assert_string_equal(c.port, "6000");
    free(c.text);
    c = make("state: /s\nlisteners: [{resource: a, listen: \"127.0.0.1:0\"}]\n", NULL, false);
    assert_true(strtol(c.port, NULL, 10) > 0);
    free(c.text);
}

static void test_a_state_directory_is_made(void **state)
{
    (void)state;
    const char *base = getenv("TEST_TMPDIR");
    char home[PATH_MAX];
    char made[PATH_MAX + 64];
    (void)snprintf(home, sizeof(home), "%s/home.XXXXXX", base == NULL ? "/tmp" : base);
    assert_non_null(mkdtemp(home));
    (void)setenv("XDG_STATE_HOME", home, 1);
    struct run_config c = make("{}", "shop", false);
    (void)snprintf(made, sizeof(made), "%s/chaperone/sidecar", home);
    assert_int_equal(access(made, W_OK), 0);
    assert_non_null(strstr(c.text, made));
    free(c.text);
}

static void expect_refused(const char *text, enum err code, const char *said)
{
    struct run_config c = {0};
    struct err_text error = {0};
    struct run_config_options o = {.file = write_config(text), .directory = "/d"};
    assert_int_equal(run_config_make(&o, &c, &error), code);
    assert_non_null(strstr(error.text, said));
    assert_non_null(strstr(error.text, file));
    assert_null(c.text);
    (void)unlink(file);
}

static void test_refused(void **state)
{
    (void)state;
    expect_refused("state: /s\n", ERR_INVALID, "--resource");
    expect_refused("state: /s\nstate: /t\n", ERR_INVALID, ":2:");
    expect_refused("[1]\n", ERR_INVALID, "expected a map");
    expect_refused("state: /s\nlisteners: []\n", ERR_INVALID, "listeners");
    expect_refused("state: /s\nlisteners: [{resource: a, listen: nowhere}]\n", ERR_INVALID,
                   "HOST:PORT");
    struct run_config c = {0};
    struct err_text error = {0};
    struct run_config_options o = {.file = "/nowhere/x.yaml", .directory = "/d"};
    assert_int_equal(run_config_make(&o, &c, &error), ERR_NOT_FOUND);
}

static void test_an_address_that_is_in_use(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    char text[128];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    (void)snprintf(text, sizeof(text),
                   "health: {listen: '127.0.0.1:%u'}\nlisteners: [{resource: a}]\n",
                   ntohs(address.sin_port));
    expect_refused(text, ERR_EXISTS, "is in use");
    (void)snprintf(text, sizeof(text), "listeners: [{resource: a, listen: '127.0.0.1:%u'}]\n",
                   ntohs(address.sin_port));
    expect_refused(text, ERR_EXISTS, "is in use");
    (void)close(fd);
}

static void test_web_services_and_a_proxy(void **state)
{
    (void)state;
    struct run_config c = make("state: /s\n"
                               "listeners:\n"
                               "  - {resource: crm-2, protocol: http}\n"
                               "  - {resource: web, protocol: http, listen: '127.0.0.1:0',"
                               " tls: {certificate: c, key: k}}\n"
                               "  - {protocol: http, proxy: {hosts: {a: web}}}\n"
                               "  - {resource: shop, listen: '[::1]:6432'}\n",
                               NULL, false);
    assert_string_equal(c.host, "::1");
    assert_string_equal(c.port, "6432");
    assert_int_equal(c.http_count, 2);
    assert_string_equal(c.http[0].variable, "CHAPERONE_HTTP_CRM_2");
    assert_int_equal(strncmp(c.http[0].url, "http://127.0.0.1:", 17), 0);
    assert_true(strtol(c.http[0].url + 17, NULL, 10) > 0);
    assert_string_equal(c.http[1].variable, "CHAPERONE_HTTP_WEB");
    assert_int_equal(strncmp(c.http[1].url, "https://127.0.0.1:", 18), 0);
    assert_int_equal(strncmp(c.proxy, "http://127.0.0.1:", 17), 0);
    assert_string_equal(c.proxy_ca, "/s/proxy-ca.pem");
    free(c.text);
    c = make(
        "state: /s\nlisteners: [{protocol: http, listen: 'localhost:8080', proxy: {hosts: {a: b},"
        " ca: {certificate: ca/c.pem, key: k}}}]\n",
        NULL, false);
    assert_string_equal(c.host, "");
    assert_string_equal(c.proxy, "http://localhost:8080");
    assert_int_equal(c.proxy_ca[0], '/');
    assert_non_null(strstr(c.proxy_ca, "/ca/c.pem"));
    free(c.text);
}

static void clear_environment(void)
{
    static const char *const names[] = {"PGHOST",    "PGPORT",    "PGHOSTADDR",
                                        "PGSERVICE", "PGSSLMODE", "PGUSER"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)unsetenv(names[i]);
    }
}

static void test_environment(void **state)
{
    (void)state;
    struct err_text note;
    struct run_config c = {.host = "127.0.0.1", .port = "6432"};
    clear_environment();
    (void)setenv("PGUSER", "me", 1);
    (void)setenv("PGHOST", "db.example", 1);
    assert_int_equal(run_environment_set(&c, &note), OK);
    assert_string_equal(getenv("PGHOST"), "127.0.0.1");
    assert_string_equal(getenv("PGPORT"), "6432");
    assert_string_equal(getenv("PGUSER"), "me");
    assert_string_equal(getenv("PGSSLMODE"), "disable");
    assert_string_equal(note.text, "");
}

static void test_environment_of_a_proxy(void **state)
{
    (void)state;
    struct err_text note;
    struct run_config c = {.http = {{.variable = "CHAPERONE_HTTP_CRM", .url = "http://h:1"}},
                           .http_count = 1,
                           .proxy = "http://127.0.0.1:8080",
                           .proxy_ca = "/s/proxy-ca.pem"};
    clear_environment();
    (void)unsetenv("SSL_CERT_FILE");
    (void)setenv("HTTPS_PROXY", "http://corporate:3128", 1);
    (void)setenv("no_proxy", "*", 1);
    (void)setenv("ALL_PROXY", "socks5://x", 1);
    assert_int_equal(run_environment_set(&c, &note), OK);
    assert_string_equal(getenv("CHAPERONE_HTTP_CRM"), "http://h:1");
    assert_string_equal(getenv("HTTPS_PROXY"), "http://127.0.0.1:8080");
    assert_string_equal(getenv("http_proxy"), "http://127.0.0.1:8080");
    assert_string_equal(getenv("no_proxy"), "localhost,127.0.0.1,::1");
    assert_string_equal(getenv("SSL_CERT_FILE"), "/s/proxy-ca.pem");
    assert_string_equal(getenv("NODE_EXTRA_CA_CERTS"), "/s/proxy-ca.pem");
    assert_null(getenv("ALL_PROXY"));
    assert_null(getenv("PGHOST"));
    assert_non_null(strstr(note.text, "HTTPS_PROXY is the sidecar's"));
    assert_non_null(strstr(note.text, "no_proxy is the sidecar's"));
    assert_non_null(strstr(note.text, "ALL_PROXY is not passed on"));
    assert_null(strstr(note.text, "SSL_CERT_FILE"));
}

static void test_what_would_lead_past_the_sidecar(void **state)
{
    (void)state;
    struct err_text note;
    struct run_config c = {.host = "127.0.0.1", .port = "6432"};
    clear_environment();
    (void)setenv("PGHOSTADDR", "10.0.0.1", 1);
    (void)setenv("PGSERVICE", "prod", 1);
    (void)setenv("PGSSLMODE", "verify-full", 1);
    assert_int_equal(run_environment_set(&c, &note), OK);
    assert_null(getenv("PGHOSTADDR"));
    assert_null(getenv("PGSERVICE"));
    assert_string_equal(getenv("PGSSLMODE"), "disable");
    assert_non_null(strstr(note.text, "PGHOSTADDR"));
    assert_non_null(strstr(note.text, "PGSERVICE"));
    assert_non_null(strstr(note.text, "PGSSLMODE"));
    /* What connects anyway, and what a listener with TLS can do, is the user's choice. */
    (void)setenv("PGSSLMODE", "prefer", 1);
    assert_int_equal(run_environment_set(&c, &note), OK);
    assert_string_equal(getenv("PGSSLMODE"), "prefer");
    (void)setenv("PGSSLMODE", "verify-full", 1);
    c.has_tls = true;
    assert_int_equal(run_environment_set(&c, &note), OK);
    assert_string_equal(getenv("PGSSLMODE"), "verify-full");
    assert_string_equal(note.text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_listeners),
        cmocka_unit_test(test_addresses_of_the_file_stay),
        cmocka_unit_test(test_a_state_directory_is_made),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_an_address_that_is_in_use),
        cmocka_unit_test(test_web_services_and_a_proxy),
        cmocka_unit_test(test_environment_of_a_proxy),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_what_would_lead_past_the_sidecar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

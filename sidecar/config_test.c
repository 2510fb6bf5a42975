/* The configuration file: what a good one gives, and the sentence for each mistake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/config.h"
#include "sidecar/files.h"

#define GOOD                                                                                       \
    "state: /var/lib/x\n"                                                                          \
    "control_plane: {server: 'cp:7443', ca_file: /etc/ca.pem}\n"                                   \
    "identity: {token_file: /run/token}\n"                                                         \
    "listeners: [{resource: shop, listen: '127.0.0.1:6432'}]\n"

#define PROXY(rest) "listeners: [{protocol: http, listen: b, proxy: {" rest "}}]"

static const char *write_text(const char *text, size_t size)
{
    static char path[512];
    const char *dir = getenv("TEST_TMPDIR");
    (void)snprintf(path, sizeof(path), "%s/sidecar.yaml", dir == NULL ? "/tmp" : dir);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
    return path;
}

static struct config load(const char *text)
{
    struct config c;
    struct err_text why = {0};
    if (config_load(write_text(text, strlen(text)), &c, &why) != OK) {
        fail_msg("%s", why.text);
    }
    return c;
}

static void test_the_least_there_can_be(void **state)
{
    (void)state;
    struct config c = load(GOOD);
    assert_string_equal(c.state, "/var/lib/x");
    assert_int_equal(c.server_count, 1);
    assert_string_equal(c.servers[0], "cp:7443");
    assert_string_equal(c.ca_file, "/etc/ca.pem");
    assert_string_equal(c.identity.file, "/run/token");
    assert_null(c.identity.environment);
    assert_null(c.identity.command);
    assert_false(c.token_in_band);
    assert_int_equal(c.listener_count, 1);
    assert_string_equal(c.listeners[0].resource, "shop");
    assert_string_equal(c.listeners[0].listen, "127.0.0.1:6432");
    assert_string_equal(c.listeners[0].protocol->name, "postgres");
    assert_null(c.listeners[0].tls_certificate);
    assert_null(c.name);
    assert_null(c.health);
    assert_int_equal(c.log_level, LOG_INFO);
    assert_int_equal(c.log_format, LOG_JSON);
    assert_int_equal(c.response_bytes, 64 << 10);
    assert_int_equal(c.parameter_bytes, 4 << 10);
    assert_int_equal(c.statement_bytes, 512 << 10);
    assert_int_equal(c.spool_bytes, 1 << 30);
    assert_int_equal(c.segment_bytes, 16 << 20);
    assert_int_equal(c.drain_ns, 30000000000);
    config_finish(&c);
    assert_null(c.conf);
}

static void assert_host(const struct proxy_host *h, const char *host, int port,
                        const char *resource)
{
    assert_string_equal(h->host, host);
    assert_int_equal(h->port, port);
    assert_string_equal(h->resource, resource);
}

static void test_http_and_its_proxy(void **state)
{
    (void)state;
    struct config c = load("state: /s\n"
                           "control_plane: {server: 'a:1', ca_file: /ca}\n"
                           "identity: {in_band: true}\n"
                           "listeners:\n"
                           "  - {resource: crm, protocol: http, listen: 'localhost:1'}\n"
                           "  - protocol: http\n"
                           "    listen: 'localhost:2'\n"
                           "    proxy:\n"
                           "      hosts:\n"
                           "        B.internal: one\n"
                           "        b.internal:8443: two\n"
                           "        '[0:0::1]:80': crm\n"
                           "        10.0.0.7: one\n"
                           "  - protocol: http\n"
                           "    listen: 'localhost:3'\n"
                           "    proxy: {hosts: {a: r}, ca: {certificate: /c, key: /k}}\n");
    assert_string_equal(c.listeners[0].protocol->name, "http");
    assert_false(c.listeners[0].is_proxy);
    const struct config_listener *l = &c.listeners[1];
    assert_true(l->is_proxy);
    assert_null(l->resource);
    assert_string_equal(l->proxy.certificate, "/s/proxy-ca.pem");
    assert_string_equal(l->proxy.key, "/s/proxy-ca.key");
    assert_int_equal(l->proxy.host_count, 4);
    assert_host(&l->proxy.hosts[0], "10.0.0.7", 0, "one");
    assert_host(&l->proxy.hosts[1], "::1", 80, "crm");
    assert_host(&l->proxy.hosts[2], "b.internal", 8443, "two"); /* before the one for any port */
    assert_host(&l->proxy.hosts[3], "b.internal", 0, "one");
    assert_string_equal(c.listeners[2].proxy.certificate, "/c");
    assert_string_equal(c.listeners[2].proxy.key, "/k");
    assert_int_equal(c.resource_count, 4); /* crm, one, two, r: each once */
    config_finish(&c);
}

static void test_several_control_planes(void **state)
{
    (void)state;
    struct config c = load("state: /s\n"
                           "control_plane: {server: ['a:1', 'b:2'], ca_file: /ca}\n"
                           "identity: {in_band: true}\n"
                           "listeners: [{resource: r, listen: 'localhost:1'}]\n");
    assert_int_equal(c.server_count, 2);
    assert_string_equal(c.servers[0], "a:1");
    assert_string_equal(c.servers[1], "b:2");
    config_finish(&c);
}

static void test_everything_there_is(void **state)
{
    (void)state;
    struct config c = load("state: /s\n"
                           "name: build-42\n"
                           "control_plane:\n"
                           "  server: cp:7443\n"
                           "  server_name: chaperone.internal\n"
                           "  ca_file: /ca\n"
                           "  join_token_file: /join\n"
                           "identity: {token_command: [get-token, --audience, x]}\n"
                           "log: {level: debug, format: human}\n"
                           "health: {listen: '127.0.0.1:9100'}\n"
                           "listeners:\n"
                           "  - {resource: a, protocol: postgres, listen: 'localhost:1',\n"
                           "     tls: {certificate: /c, key: /k}}\n"
                           "  - {resource: b, listen: 'unix:/run/.s.PGSQL.5432'}\n"
                           "record: {response_bytes: 0, parameter_bytes: 1KiB,\n"
                           "         statement_bytes: 64KiB}\n"
                           "spool: {max_bytes: 8MiB, segment_bytes: 1MiB}\n"
                           "drain_time: 250ms\n");
    assert_string_equal(c.name, "build-42");
    assert_string_equal(c.server_name, "chaperone.internal");
    assert_string_equal(c.join_token_file, "/join");
    assert_string_equal(c.identity.command[0], "get-token");
    assert_string_equal(c.identity.command[2], "x");
    assert_null(c.identity.command[3]);
    assert_int_equal(c.log_level, LOG_DEBUG);
    assert_int_equal(c.log_format, LOG_HUMAN);
    assert_string_equal(c.health, "127.0.0.1:9100");
    assert_int_equal(c.listener_count, 2);
    assert_string_equal(c.listeners[0].tls_certificate, "/c");
    assert_string_equal(c.listeners[0].tls_key, "/k");
    assert_string_equal(c.listeners[1].listen, "unix:/run/.s.PGSQL.5432");
    assert_int_equal(c.response_bytes, 0);
    assert_int_equal(c.parameter_bytes, 1 << 10);
    assert_int_equal(c.statement_bytes, 64 << 10);
    assert_int_equal(c.spool_bytes, 8 << 20);
    assert_int_equal(c.segment_bytes, 1 << 20);
    assert_int_equal(c.drain_ns, 250000000);
    config_finish(&c);
}

static void test_sources_of_the_token(void **state)
{
    (void)state;
    struct config c = load("state: /s\n"
                           "control_plane: {server: 'cp:1', ca_file: /ca}\n"
                           "identity: {in_band: true}\n"
                           "listeners: [{resource: a, listen: '127.0.0.1:1'}]\n");
    assert_true(c.token_in_band);
    config_finish(&c);
    c = load("state: /s\n"
             "control_plane: {server: 'cp:1', ca_file: /ca}\n"
             "identity: {token_env: CI_JOB_JWT, in_band: false}\n"
             "listeners: [{resource: a, listen: '127.0.0.1:1'}]\n");
    assert_string_equal(c.identity.environment, "CI_JOB_JWT");
    config_finish(&c);
}

/* The documentation's own example. */
static void test_the_manual_can_be_copied(void **state)
{
    (void)state;
    struct buffer b;
    struct err_text why = {0};
    struct config c;
    buffer_init(&b, FILES_SIZE_MAX);
    assert_int_equal(files_read("docs/sidecar.md", &b, &why), OK);
    assert_int_equal(buffer_append(&b, bytes_of("", 1)), OK);
    const char *start = strstr((const char *)b.data, "```yaml\n");
    assert_non_null(start);
    start += 8;
    const char *end = strstr(start, "```");
    assert_non_null(end);
    if (config_load(write_text(start, (size_t)(end - start)), &c, &why) != OK) {
        fail_msg("%s", why.text);
    }
    assert_int_equal(c.listener_count, 4);
    assert_int_equal(c.drain_ns, 30000000000);
    config_finish(&c);
    buffer_finish(&b);
}

/* ---- mistakes ----------------------------------------------------------------------------- */

/* Where each member of the good configuration is replaced by another text. */
struct mistake {
    const char *state, *control_plane, *identity, *listeners, *more;
    const char *why; /* behind "FILE:LINE:COLUMN: " */
    int line;
};

static const struct mistake mistakes[] = {
    /* Keys that are not known, and what may have been meant. */
    {.more = "listener: []", .why = "unknown key `listener`; did you mean `listeners`?", .line = 5},
    {.more = "colour: red", .why = "unknown key `colour`", .line = 5},
    {.control_plane = "control_plane: {server: a, ca_flie: b}",
     .why = "control_plane: unknown key `ca_flie`; did you mean `ca_file`?",
     .line = 2},
    {.identity = "identity: {token_fil: x}",
     .why = "identity: unknown key `token_fil`; did you mean `token_file`?",
     .line = 3},
    {.listeners = "listeners: [{resource: a, listen: b, protocl: c}]",
     .why = "listeners[0]: unknown key `protocl`; did you mean `protocol`?",
     .line = 4},
    {.listeners = "listeners: [{resource: a, listen: b, tls: {cert: c}}]",
     .why = "listeners[0].tls: unknown key `cert`",
     .line = 4},
    {.more = "log: {levle: info}",
     .why = "log: unknown key `levle`; did you mean `level`?",
     .line = 5},
    {.more = "record: {response: 1}", .why = "record: unknown key `response`", .line = 5},
    {.more = "spool: {max: 1}", .why = "spool: unknown key `max`", .line = 5},
    {.more = "health: {port: 1}", .why = "health: unknown key `port`", .line = 5},
    /* Keys that are missing. */
    {.state = "", .why = "state: required, but missing", .line = 2},
    {.control_plane = "", .why = "control_plane: required, but missing", .line = 1},
    {.control_plane = "control_plane: {ca_file: b}",
     .why = "control_plane.server: required, but missing",
     .line = 2},
    {.control_plane = "control_plane: {server: [], ca_file: b}",
     .why = "control_plane.server: expected an address or several, found none",
     .line = 2},
    {.control_plane = "control_plane: {server: [a, a, a, a, a, a, a, a, a], ca_file: b}",
     .why = "control_plane.server[8]: expected at most 8 addresses",
     .line = 2},
    {.control_plane = "control_plane: {server: b}",
     .why = "control_plane.ca_file: required, but missing",
     .line = 2},
    {.identity = "", .why = "identity: required, but missing", .line = 1},
    {.listeners = "", .why = "listeners: required, but missing", .line = 1},
    {.listeners = "listeners: [{listen: b}]",
     .why = "listeners[0].resource: required, but missing",
     .line = 4},
    {.listeners = "listeners: [{resource: b}]",
     .why = "listeners[0].listen: required, but missing",
     .line = 4},
    {.listeners = "listeners: [{resource: a, listen: b, tls: {certificate: c}}]",
     .why = "listeners[0].tls.key: required, but missing",
     .line = 4},
    {.listeners = "listeners: [{resource: a, listen: b, tls: {key: c}}]",
     .why = "listeners[0].tls.certificate: required, but missing",
     .line = 4},
    /* Values of another kind. */
    {.state = "state: [a]", .why = "state: expected ", .line = 1},
    {.state = "state:", .why = "state: expected ", .line = 1},
    {.control_plane = "control_plane: cp:7443", .why = "control_plane: expected ", .line = 2},
    {.identity = "identity: x", .why = "identity: expected ", .line = 3},
    {.identity = "identity: {in_band: 7}", .why = "identity.in_band: expected ", .line = 3},
    {.identity = "identity: {token_command: get-token}",
     .why = "identity.token_command: expected ",
     .line = 3},
    {.identity = "identity: {token_command: [[a]]}",
     .why = "identity.token_command[0]: expected ",
     .line = 3},
    {.identity = "identity: {token_command: []}",
     .why = "identity.token_command: expected a command and its arguments, found nothing",
     .line = 3},
    {.listeners = "listeners: {resource: a}", .why = "listeners: expected ", .line = 4},
    {.listeners = "listeners: [a]", .why = "listeners[0]: expected ", .line = 4},
    {.listeners = "listeners: []",
     .why = "listeners: expected at least one listener, found none",
     .line = 4},
    {.listeners = "listeners: [{resource: a, listen: b, protocol: mysql}]",
     .why = "listeners[0].protocol: expected `postgres` or `http`, found \"mysql\"",
     .line = 4},
    /* An explicit proxy. */
    {.listeners = "listeners: [{listen: b, proxy: {hosts: {a: r}}}]",
     .why = "listeners[0].proxy: expected `protocol: http`",
     .line = 4},
    {.listeners = "listeners: [{listen: b, protocol: http, resource: r, proxy: {hosts: {a: r}}}]",
     .why = "listeners[0].proxy: expected a listener without `resource` and `tls`, found `res",
     .line = 4},
    {.listeners = "listeners: [{listen: b, protocol: http, tls: {certificate: c, key: k}, "
                  "proxy: {hosts: {a: r}}}]",
     .why = "listeners[0].proxy: expected a listener without `resource` and `tls`, found `tls`",
     .line = 4},
    {.listeners = PROXY("ca: {}"),
     .why = "listeners[0].proxy.hosts: required, but missing",
     .line = 4},
    {.listeners = PROXY("hosts: {}"),
     .why = "listeners[0].proxy.hosts: expected 1 to 256 hosts, found 0",
     .line = 4},
    {.listeners = PROXY("hosts: [a]"), .why = "listeners[0].proxy.hosts: expected ", .line = 4},
    {.listeners = PROXY("hosts: {a: }"), .why = "listeners[0].proxy.hosts.a: expected", .line = 4},
    {.listeners = PROXY("hosts: {'*.a': r}"),
     .why = "listeners[0].proxy.hosts.*.a: expected HOST or ",
     .line = 4},
    {.listeners = PROXY("hosts: {'a.': r}"),
     .why = "listeners[0].proxy.hosts.a.: expected HOST or ",
     .line = 4},
    {.listeners = PROXY("hosts: {'a..b': r}"),
     .why = "listeners[0].proxy.hosts.a..b: expected HOST or ",
     .line = 4},
    {.listeners = PROXY("hosts: {'a:': r}"),
     .why = "listeners[0].proxy.hosts.a:: expected HOST or ",
     .line = 4},
    {.listeners = PROXY("hosts: {'a:0': r}"),
     .why = "listeners[0].proxy.hosts.a:0: expected HOST or ",
     .line = 4},
    {.listeners = PROXY("hosts: {'a:65536': r}"),
     .why = "listeners[0].proxy.hosts.a:65536: expected HOST or ",
     .line = 4},
    {.listeners = PROXY("hosts: {'a:80x': r}"),
     .why = "listeners[0].proxy.hosts.a:80x: expected HOST or ",
     .line = 4},
    {.listeners = PROXY("hosts: {'::1': r}"),
     .why = "listeners[0].proxy.hosts.::1: expected HOST or ",
     .line = 4},
    {.listeners = PROXY("hosts: {'[::1': r}"),
     .why = "listeners[0].proxy.hosts.[::1: expected HOST or ",
     .line = 4},
    {.listeners = PROXY("hosts: {'[a]': r}"),
     .why = "listeners[0].proxy.hosts.[a]: expected HOST or ",
     .line = 4},
    {.listeners = PROXY("hosts: {'[::1]80': r}"),
     .why = "listeners[0].proxy.hosts.[::1]80: expected HOST or ",
     .line = 4},
    {.listeners = PROXY("hosts: {'https://a': r}"),
     .why = "listeners[0].proxy.hosts.https://a: expected HOST or ",
     .line = 4},
    {.listeners = PROXY("hosts: {a: r, A: s}"),
     .why = "listeners[0].proxy.hosts: expected each host once, found \"a\" twice",
     .line = 4},
    {.listeners = PROXY("hosts: {a: r}, ca: {key: k}"),
     .why = "listeners[0].proxy.ca.certificate: required, but missing",
     .line = 4},
    {.listeners = PROXY("hosts: {a: r}, ca: {certificate: k}"),
     .why = "listeners[0].proxy.ca.key: required, but missing",
     .line = 4},
    {.listeners = PROXY("hosts: {a: r}, host: a"),
     .why = "listeners[0].proxy: unknown key `host`",
     .line = 4},
    {.more = "log: {level: loud}", .why = "log.level: expected ", .line = 5},
    {.more = "log: {format: xml}", .why = "log.format: expected ", .line = 5},
    {.more = "record: {response_bytes: 2MiB}",
     .why = "record.response_bytes: expected ",
     .line = 5},
    {.more = "record: {parameter_bytes: some}",
     .why = "record.parameter_bytes: expected ",
     .line = 5},
    {.more = "record: {statement_bytes: 1}", .why = "record.statement_bytes: expected ", .line = 5},
    {.more = "spool: {max_bytes: 1MiB}", .why = "spool.max_bytes: expected ", .line = 5},
    {.more = "spool: {segment_bytes: 3000001}",
     .why = "spool.segment_bytes: expected a multiple of 4KiB",
     .line = 5},
    {.more = "spool: {max_bytes: 32MiB}",
     .why = "spool: expected max_bytes to be at least three times segment_bytes (33554432 and "
            "16777216)",
     .line = 5},
    {.more = "drain_time: 30", .why = "drain_time: expected ", .line = 5},
    {.more = "drain_time: 2h", .why = "drain_time: expected ", .line = 5},
    /* Where the token comes from. */
    {.identity = "identity: {}",
     .why = "identity: expected exactly one of token_file, token_env, token_command and in_band, "
            "found 0",
     .line = 3},
    {.identity = "identity: {token_file: a, token_env: b}",
     .why = "identity: expected exactly one of token_file, token_env, token_command and in_band, "
            "found 2",
     .line = 3},
    {.identity = "identity: {token_command: [a], in_band: true}",
     .why = "identity: expected exactly one of token_file, token_env, token_command and in_band, "
            "found 2",
     .line = 3},
    /* No YAML at all. */
    {.more = "state: twice", .why = "", .line = 5},
    {.more = "  - [", .why = "", .line = 0},
};

static const char *or_good(const char *text, const char *good)
{
    return text == NULL ? good : text;
}

/* "FILE:LINE:COLUMN: why", whatever the column and the rest. */
static bool is_named(const char *found, const char *path, const struct mistake *m)
{
    char place[700];
    int size = m->line == 0 ? snprintf(place, sizeof(place), "%s:", path)
                            : snprintf(place, sizeof(place), "%s:%d:", path, m->line);
    if (strncmp(found, place, (size_t)size) != 0) {
        return false;
    }
    found += size;
    found += strspn(found, "0123456789");
    return m->line == 0 ||
           (strncmp(found, ": ", 2) == 0 && strncmp(found + 2, m->why, strlen(m->why)) == 0);
}

static void test_each_mistake_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        const struct mistake *m = &mistakes[i];
        char text[2000];
        struct config c;
        struct err_text why = {0};
        int size = snprintf(
            text, sizeof(text), "%s\n%s\n%s\n%s\n%s\n", or_good(m->state, "state: /s"),
            or_good(m->control_plane, "control_plane: {server: 'cp:7443', ca_file: /etc/ca.pem}"),
            or_good(m->identity, "identity: {token_file: /run/token}"),
            or_good(m->listeners, "listeners: [{resource: shop, listen: '127.0.0.1:6432'}]"),
            or_good(m->more, ""));
        const char *path = write_text(text, (size_t)size);
        enum err e = config_load(path, &c, &why);
        if (e != ERR_INVALID || !is_named(why.text, path, m)) {
            fail_msg("%s\nexpected: line %d: %s\nfound:    %s (%s)", text, m->line, m->why,
                     why.text, err_name(e));
        }
        assert_null(c.conf);
    }
}

static void append(char *text, size_t size, const char *more)
{
    size_t length = strlen(text);
    (void)snprintf(text + length, size - length, "%s", more);
}

static void test_lists_have_an_end(void **state)
{
    (void)state;
    static char text[16000];
    struct config c;
    struct err_text why = {0};
    (void)snprintf(text, sizeof(text),
                   "state: /s\ncontrol_plane: {server: a, ca_file: b}\n"
                   "identity: {in_band: true}\nlisteners:\n");
    for (int i = 0; i < CONFIG_LISTENERS_MAX; i++) {
        append(text, sizeof(text), "  - {resource: a, listen: 'unix:/x'}\n");
    }
    c = load(text);
    assert_int_equal(c.listener_count, CONFIG_LISTENERS_MAX);
    config_finish(&c);
    append(text, sizeof(text), "  - {resource: a, listen: 'unix:/x'}\n");
    assert_int_equal(config_load(write_text(text, strlen(text)), &c, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, ":69:5: listeners[64]: expected at most 64 listeners"));

    (void)snprintf(text, sizeof(text),
                   "state: /s\ncontrol_plane: {server: a, ca_file: b}\n"
                   "listeners: [{resource: a, listen: b}]\n"
                   "identity: {token_command: [");
    for (int i = 0; i < CONFIG_COMMAND_MAX; i++) {
        append(text, sizeof(text), "a, ");
    }
    size_t length = strlen(text);
    append(text, sizeof(text), "]}\n");
    c = load(text);
    assert_string_equal(c.identity.command[CONFIG_COMMAND_MAX - 1], "a");
    assert_null(c.identity.command[CONFIG_COMMAND_MAX]);
    config_finish(&c);
    text[length] = '\0';
    append(text, sizeof(text), "b]}\n");
    assert_int_equal(config_load(write_text(text, strlen(text)), &c, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "identity.token_command[32]: expected at most 32 arguments"));
}

static void test_a_file_that_is_not_there(void **state)
{
    (void)state;
    struct config c;
    struct err_text why = {0};
    assert_int_equal(config_load("/nonexistent/sidecar.yaml", &c, &why), ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "/nonexistent/sidecar.yaml"));
    assert_null(c.conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_least_there_can_be),
        cmocka_unit_test(test_everything_there_is),
        cmocka_unit_test(test_http_and_its_proxy),
        cmocka_unit_test(test_several_control_planes),
        cmocka_unit_test(test_sources_of_the_token),
        cmocka_unit_test(test_the_manual_can_be_copied),
        cmocka_unit_test(test_each_mistake_is_named),
        cmocka_unit_test(test_lists_have_an_end),
        cmocka_unit_test(test_a_file_that_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

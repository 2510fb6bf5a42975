#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "controlplane/config_fixture.h"

#define LISTED(rest) "data: d\nexports:\n  - {name: x, " rest "}\n"

static void every_destination_is_read(void **state)
{
    (void)state;
    static const char text[] =
        "data: d\n"
        "metrics: {listen: '127.0.0.1:9464'}\n"
        "exports:\n"
        "  - name: siem\n"
        "    format: ocsf\n"
        "    from: beginning\n"
        "    filter: {resource: orders, identity: bot, kinds: [intent, outcome], verdict: deny}\n"
        "    syslog:\n"
        "      address: siem.example:6514\n"
        "      tls: {server_name: siem, certificate: {env: C}, key: {store: k}}\n"
        "      facility: local3\n"
        "  - name: lake\n"
        "    file: {directory: out, compress: zstd, rotate_size: 1MiB}\n"
        "    schedule: {daily: '02:30'}\n"
        "  - name: bus\n"
        "    kafka:\n"
        "      brokers: ['a:9092', 'b:9092']\n"
        "      topic: audit\n"
        "      options: {security.protocol: sasl_ssl}\n"
        "      secrets: {sasl.password: {file: p}}\n";
    struct config *c = config_fixture_load(text);
    assert_int_equal(c->metrics.port, 9464);
    assert_int_equal(c->exports.count, 3);
    const struct config_export *x = c->exports.items;
    assert_int_equal(x[0].kind, CONFIG_EXPORT_SYSLOG);
    assert_int_equal(x[0].format, CONFIG_EXPORT_OCSF);
    assert_true(x[0].from_beginning);
    assert_int_equal(x[0].filter.kinds.count, 2);
    assert_int_equal(x[0].filter.verdict, 2);
    assert_true(x[0].syslog.tls);
    assert_int_equal(x[0].syslog.facility, 19);
    assert_int_equal(x[0].syslog.key.source, CONFIG_SECRET_STORE);
    assert_string_equal(x[1].file.directory, "/etc/chaperone/out");
    assert_int_equal(x[1].file.compress, CONFIG_COMPRESS_ZSTD);
    assert_int_equal(x[1].schedule.daily_ns, INT64_C(9000) * 1000000000);
    assert_false(x[1].from_beginning);
    assert_int_equal(x[2].kafka.brokers.count, 2);
    assert_int_equal(x[2].kafka.option_count, 2);
    assert_string_equal(x[2].kafka.options[0].value, "sasl_ssl");
    assert_int_equal(x[2].kafka.options[1].secret.source, CONFIG_SECRET_FILE);
    config_release(c);
}

static const struct config_mistake mistakes[] = {
    {"data: d\nexports: {name: x}\n", "exports: expected a list"},
    {LISTED("format: json"), "cp.yaml:3:5: exports[0]: expected one of `file`, `syslog` and"},
    {LISTED("file: {directory: d}, kafka: {brokers: ['a:1'], topic: t}"), "found 2 of them"},
    {LISTED("file: {}"), "exports[0].file.directory: required"},
    {LISTED("file: {directory: d, compress: lzma}"), "exports[0].file.compress: expected"},
    {LISTED("file: {directory: d}, format: xml"), "exports[0].format: expected"},
    {LISTED("file: {directory: d}, from: then"), "exports[0].from: expected"},
    {LISTED("file: {directory: d}, filter: {kinds: [intents]}"),
     "exports[0].filter.kinds[0]: expected"},
    {LISTED("file: {directory: d}, filter: {kinds: nothing}"), "exports[0].filter.kinds: expected"},
    {LISTED("file: {directory: d}, filter: {verdict: perhaps}"), "filter.verdict: expected"},
    {LISTED("file: {directory: d}, schedule: {daily: '24:00'}"),
     "exports[0].schedule.daily: expected a time of the day"},
    {LISTED("file: {directory: d}, schedule: {daily: '2:00'}"), "schedule.daily: expected a time"},
    {LISTED("file: {directory: d}, schedule: {daily: '02:00', every: 1h}"), "found 2 keys"},
    {LISTED("file: {directory: d}, schedule: {}"), "found 0 keys"},
    {LISTED("syslog: {address: 'a:1'}, schedule: {every: 1h}"), "expected a schedule with `file`"},
    {LISTED("syslog: {address: a}"), "exports[0].syslog.address: expected HOST:PORT"},
    {LISTED("syslog: {address: 'a.example:1', tls: {mode: disable}}"),
     "exports[0].syslog.tls: expected TLS"},
    {LISTED("syslog: {address: '127.a.example:1', tls: {mode: disable}}"),
     "exports[0].syslog.tls: expected TLS"},
    {LISTED("syslog: {address: 'a:1', tls: {key: {env: K}}}"), "expected `certificate` and `key`"},
    {LISTED("syslog: {address: 'a:1', tls: {key: SECRET}}"), "syslog.tls.key: expected one of"},
    {LISTED("syslog: {address: 'a:1', facility: local9}"), "syslog.facility: expected"},
    {LISTED("syslog: {address: 'a:1', hostname: 'a b'}"), "syslog.hostname: expected"},
    {LISTED("syslog: {address: 'a:1', message_max: 1KiB}"), "syslog.message_max: expected"},
    {LISTED("kafka: {brokers: [], topic: t}"), "exports[0].kafka.brokers: expected"},
    {LISTED("kafka: {brokers: [a], topic: t}"), "exports[0].kafka.brokers: expected HOST:PORT"},
    {LISTED("kafka: {brokers: ['a:1']}"), "exports[0].kafka.topic: required"},
    {LISTED("kafka: {brokers: ['a:1'], topic: t, options: {acks: 0}}"),
     "exports[0].kafka.options.acks: expected another option"},
    {LISTED("kafka: {brokers: ['a:1'], topic: t, options: {plugin.library.paths: x}}"),
     "expected another option"},
    {LISTED("kafka: {brokers: ['a:1'], topic: t, options: {ssl.key.password: SECRET}}"),
     "expected it under `secrets`"},
    {LISTED("kafka: {brokers: ['a:1'], topic: t, secrets: {sasl.password: SECRET}}"),
     "exports[0].kafka.secrets.sasl.password: expected one of"},
    {"data: d\nexports: [{name: a/b, file: {directory: d}}]\n", "exports[0].name: expected"},
    {"data: d\nexports: [{name: .., file: {directory: d}}]\n", "exports[0].name: expected"},
    {"data: d\nexports: [{name: a, file: {directory: d}}, {name: a, file: {directory: d}}]\n",
     "exports[1].name: expected a name that no other has"},
    {"data: d\nmetrics: {}\n", "metrics.listen: required"},
    {"data: d\nmetrics: {listen: 9464}\n", "metrics.listen: expected HOST:PORT"},
};

static void each_mistake_is_named_where_it_is(void **state)
{
    (void)state;
    config_fixture_refuse_each(mistakes, sizeof(mistakes) / sizeof(mistakes[0]), "", "SECRET");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_destination_is_read),
        cmocka_unit_test(each_mistake_is_named_where_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "cli/dev/stack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/conf/conf.h"
#include "cli/dev/identity_option.h"
#include "cli/dev/listen_address.h"
#include "cli/dev/stack_files.h"
#include "cli/dev/stack_http.h"

static char directory[PATH_MAX];

static int setup(void **state)
{
    (void)state;
    const char *base = getenv("TEST_TMPDIR");
    (void)snprintf(directory, sizeof(directory), "%s/stack.XXXXXX", base == NULL ? "/tmp" : base);
    return mkdtemp(directory) == NULL ? -1 : 0;
}

static void open_stack(struct stack *s)
{
    struct err_text error = {0};
    if (stack_open(directory, s, &error) != OK) {
        fail_msg("%s", error.text);
    }
}

static void fill(struct stack *s)
{
    assert_int_equal(stack_set(&s->listen, "127.0.0.1:6432"), OK);
    assert_int_equal(stack_set(&s->resource, "shop"), OK);
    assert_int_equal(stack_set(&s->host, "2001:db8::7"), OK);
    assert_int_equal(stack_set(&s->user, "it's \"app\""), OK);
    assert_int_equal(stack_set(&s->database, "shop: #1"), OK);
    assert_int_equal(stack_set(&s->tls, "verify-full"), OK);
    assert_int_equal(stack_set(&s->ca_file, "/etc/ca.pem"), OK);
    s->port = 5433;
    s->server_port = 7443;
    s->health_port = 9100;
}

static void test_a_second_start_resumes(void **state)
{
    (void)state;
    struct stack s;
    struct err_text error = {0};
    open_stack(&s);
    assert_null(s.listen);
    fill(&s);
    assert_int_equal(stack_save(&s, &error), OK);
    stack_close(&s);
    open_stack(&s);
    assert_string_equal(s.user, "it's \"app\"");
    assert_string_equal(s.database, "shop: #1");
    assert_int_equal(s.port, 5433);
    assert_int_equal(s.server_port, 7443);
    assert_null(s.policy);
    stack_close(&s);
}

static void test_one_stack_has_the_directory(void **state)
{
    (void)state;
    struct stack first;
    struct stack second;
    struct err_text error = {0};
    char pid[32];
    open_stack(&first);
    (void)snprintf(pid, sizeof(pid), "process %d:", (int)getpid());
    assert_int_equal(stack_open(directory, &second, &error), ERR_EXISTS);
    assert_non_null(strstr(error.text, pid));
    stack_close(&first);
    open_stack(&second);
    stack_close(&second);
}

static void test_only_the_owner_reads_it(void **state)
{
    (void)state;
    struct stack s;
    struct stat st;
    struct err_text error = {0};
    char path[PATH_MAX];
    assert_int_equal(chmod(directory, 0755), 0);
    open_stack(&s);
    assert_int_equal(stat(directory, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(stack_write(&s, "secret", bytes_of_string("old"), &error), OK);
    assert_int_equal(stack_write(&s, "secret", bytes_of_string("new"), &error), OK);
    stack_path(&s, "secret", path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, 3);
    assert_false(stack_has(&s, "secret.new"));
    stack_close(&s);
}

static void test_a_damaged_file_is_named(void **state)
{
    (void)state;
    struct stack s;
    struct err_text error = {0};
    open_stack(&s);
    assert_int_equal(stack_write(&s, "dev.json", bytes_of_string("{\"listen\": "), &error), OK);
    stack_close(&s);
    assert_int_equal(stack_open(directory, &s, &error), ERR_INVALID);
    assert_non_null(strstr(error.text, "dev.json"));
}

static const char *text_at(const struct conf_node *root, const char *map, const char *key)
{
    const char *value = NULL;
    const struct conf_node *n = map == NULL ? root : conf_get(root, map);
    n = conf_kind(n) == CONF_LIST ? conf_first(n) : n;
    assert_int_equal(conf_read_string(n, key, &value, NULL), OK);
    assert_non_null(value);
    return value;
}

static struct conf *load(const struct stack *s, const char *name)
{
    char path[PATH_MAX];
    struct conf *conf = NULL;
    struct err_text error = {0};
    stack_path(s, name, path);
    if (conf_load_file(path, &conf, &error) != OK) {
        fail_msg("%s", error.text);
    }
    return conf;
}

static void test_configuration_files_say_what_was_meant(void **state)
{
    (void)state;
    struct stack s;
    struct identity_option identity;
    struct err_text error = {0};
    open_stack(&s);
    fill(&s);
    assert_int_equal(identity_option_parse("sub=o'brien: x,groups=a+b", &identity, &error), OK);
    assert_int_equal(stack_write(&s, "upstream.password", bytes_of_string("pw"), &error), OK);
    assert_int_equal(stack_write_controlplane(&s, &identity, "http://127.0.0.1:1", &error), OK);
    assert_int_equal(stack_write_sidecar(&s, &error), OK);
    assert_int_equal(stack_write_cli(&s, &error), OK);
    struct conf *conf = load(&s, "controlplane.yaml");
    assert_string_equal(text_at(conf_root(conf), "resources", "address"), "[2001:db8::7]:5433");
    assert_string_equal(text_at(conf_root(conf), "resources", "database"), "shop: #1");
    assert_string_equal(text_at(conf_root(conf), "credentials", "user"), "it's \"app\"");
    conf_destroy(conf);
    conf = load(&s, "sidecar.yaml");
    assert_string_equal(text_at(conf_root(conf), "listeners", "listen"), "127.0.0.1:6432");
    assert_string_equal(text_at(conf_root(conf), "health", "listen"), "127.0.0.1:9100");
    conf_destroy(conf);
    conf = load(&s, "cli.json");
    assert_string_equal(text_at(conf_root(conf), NULL, "server"), "127.0.0.1:7443");
    conf_destroy(conf);
    stack_close(&s);
}

static void apply(struct stack *s, const char *text, enum err expected)
{
    struct http_option o;
    struct err_text error = {0};
    assert_int_equal(http_option_parse(text, &o, &error), OK);
    assert_int_equal(stack_http_apply(s, &o, &error), expected);
    http_option_finish(&o);
}

static void test_web_services_are_kept(void **state)
{
    (void)state;
    struct stack s;
    struct err_text error = {0};
    open_stack(&s);
    apply(&s, "crm=https://bot:pw@api", OK);
    apply(&s, "search=http://127.0.0.1:9200", OK);
    apply(&s, "wiki=https://t0ken@wiki:8443", OK);
    s.http[2].port = 8083;
    assert_int_equal(stack_save(&s, &error), OK);
    stack_close(&s);
    open_stack(&s);
    assert_int_equal(s.http_count, 3);
    assert_string_equal(s.http[0].user, "bot");
    assert_true(stack_has(&s, "http.crm.secret"));
    assert_string_equal(s.http[2].address, "https://wiki:8443");
    assert_null(s.http[2].user);
    assert_int_equal(s.http[2].port, 8083);
    /* Without its credential; away; what is not there. */
    apply(&s, "crm=https://api", OK);
    assert_false(stack_has(&s, "http.crm.secret"));
    assert_null(s.http[0].user);
    apply(&s, "wiki=", OK);
    assert_false(stack_has(&s, "http.wiki.secret"));
    apply(&s, "wiki=", ERR_INVALID);
    assert_int_equal(s.http_count, 2);
    stack_close(&s);
}

static void test_web_services_alone_are_configured(void **state)
{
    (void)state;
    struct stack s;
    struct identity_option identity;
    struct err_text error = {0};
    open_stack(&s);
    apply(&s, "crm=https://bot:pw@api", OK);
    apply(&s, "wiki=https://t0ken@wiki:8443", OK);
    s.http[0].port = 8081;
    s.http[1].port = 8082;
    assert_int_equal(identity_option_parse("sub=x", &identity, &error), OK);
    assert_int_equal(stack_write_controlplane(&s, &identity, "http://127.0.0.1:1", &error), OK);
    assert_int_equal(stack_write_sidecar(&s, &error), OK);
    struct conf *conf = load(&s, "controlplane.yaml");
    assert_string_equal(text_at(conf_root(conf), "resources", "address"), "https://api");
    assert_string_equal(text_at(conf_root(conf), "resources", "protocol"), "http");
    assert_null(conf_get(conf_root(conf), "credentials"));
    conf_destroy(conf);
    conf = load(&s, "sidecar.yaml");
    assert_int_equal(conf_count(conf_get(conf_root(conf), "listeners")), 2);
    assert_string_equal(text_at(conf_root(conf), "listeners", "listen"), "127.0.0.1:8081");
    conf_destroy(conf);
    stack_close(&s);
}

static void expect_address(const char *text, const char *psql)
{
    struct listen_address a;
    struct err_text error = {0};
    char *out = NULL;
    size_t size = 0;
    char formatted[PATH_MAX + 32];
    assert_int_equal(listen_address_parse(text, &a, &error), OK);
    listen_address_format(&a, formatted, sizeof(formatted));
    assert_string_equal(formatted, text);
    FILE *f = open_memstream(&out, &size);
    listen_address_print_psql(f, &a, "dev-agent", "shop");
    assert_int_equal(fclose(f), 0);
    assert_string_equal(out, psql);
    free(out);
}

static void test_listen_addresses(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "6432",
                                      ":6432",
                                      "127.0.0.1",
                                      "::1:6432",
                                      "[::1]",
                                      "1.2.3:5",
                                      "db.example:1",
                                      "1.2.3.4:x",
                                      "1.2.3.4:65536",
                                      "1.2.3.4:-1",
                                      "unix:/x",
                                      "unix:x/.s.PGSQL.1",
                                      "unix:/x/.s.PGSQL.",
                                      "unix:/x/.s.PGSQL.0"};
    expect_address("127.0.0.1:6432", "psql -h 127.0.0.1 -p 6432 -U dev-agent shop");
    expect_address("0.0.0.0:6432", "psql -h 127.0.0.1 -p 6432 -U dev-agent shop");
    expect_address("[::1]:6432", "psql -h ::1 -p 6432 -U dev-agent shop");
    expect_address("unix:/run/a b/.s.PGSQL.5432", "psql -h '/run/a b' -p 5432 -U dev-agent shop");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct listen_address a;
        struct err_text error = {0};
        assert_int_equal(listen_address_parse(bad[i], &a, &error), ERR_INVALID);
    }
}

static void test_the_ready_line_can_be_pasted(void **state)
{
    (void)state;
    struct listen_address a;
    struct err_text error = {0};
    char *out = NULL;
    size_t size = 0;
    assert_int_equal(listen_address_parse("localhost:1", &a, &error), OK);
    FILE *f = open_memstream(&out, &size);
    listen_address_print_psql(f, &a, "$(reboot)", "it's");
    (void)fputc('\n', f);
    listen_address_print_psql(f, &a, "u", "-c");
    assert_int_equal(fclose(f), 0);
    assert_string_equal(out, "psql -h 127.0.0.1 -p 1 -U '$(reboot)' 'it'\\''s'\n"
                             "psql -h 127.0.0.1 -p 1 -U u -d -c");
    free(out);
}

static void test_identities(void **state)
{
    (void)state;
    struct identity_option i;
    struct err_text error = {0};
    static const char *const bad[] = {
        "", "sub", "sub=", "groups=a", "sub=x,,", "sub=x,y=z", "sub=x,groups=a++b"};
    assert_int_equal(identity_option_parse(
                         "sub=bot,groups=a+b,on_behalf_of=lead+alice,reason=why not", &i, &error),
                     OK);
    assert_string_equal(i.subject, "bot");
    assert_int_equal(i.group_count, 2);
    assert_string_equal(i.groups[1], "b");
    assert_int_equal(i.on_behalf_of_count, 2);
    assert_string_equal(i.on_behalf_of[0], "lead");
    assert_string_equal(i.reason, "why not");
    assert_int_equal(identity_option_parse("sub=bot", &i, &error), OK);
    assert_string_equal(i.groups[0], "agents");
    for (size_t n = 0; n < sizeof(bad) / sizeof(bad[0]); n++) {
        assert_int_equal(identity_option_parse(bad[n], &i, &error), ERR_INVALID);
        assert_non_null(strstr(error.text, "--identity"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_second_start_resumes, setup),
        cmocka_unit_test_setup(test_one_stack_has_the_directory, setup),
        cmocka_unit_test_setup(test_only_the_owner_reads_it, setup),
        cmocka_unit_test_setup(test_a_damaged_file_is_named, setup),
        cmocka_unit_test_setup(test_configuration_files_say_what_was_meant, setup),
        cmocka_unit_test_setup(test_web_services_are_kept, setup),
        cmocka_unit_test_setup(test_web_services_alone_are_configured, setup),
        cmocka_unit_test(test_listen_addresses),
        cmocka_unit_test(test_the_ready_line_can_be_pasted),
        cmocka_unit_test(test_identities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

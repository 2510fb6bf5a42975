/* The server's own certificate: renewed in time, and taken anew from its files. */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "controlplane/ca/ca.h"
#include "controlplane/files/files.h"
#include "controlplane/testing/fixture.h"

static const int64_t day_ns = INT64_C(86400) * 1000000000;

static size_t count(const char *text, const char *word)
{
    size_t n = 0;
    for (const char *p = strstr(text, word); p != NULL; p = strstr(p + 1, word)) {
        n++;
    }
    return n;
}

static void assert_logged(struct fixture *f, const char *word, size_t times)
{
    char *log = fixture_read_log(f);
    assert_int_equal(count(log, word), times);
    free(log);
}

static void assert_serves(struct fixture *f)
{
    Chaperone__V1__StatusRequest request = CHAPERONE__V1__STATUS_REQUEST__INIT;
    char *admin = fixture_token(f, "root", "admins");
    assert_answer(fixture_call(f->channel, &chaperone__v1__administration__descriptor, "Status",
                               &request.base, admin, 0),
                  RPC_OK, "");
    free(admin);
}

static void it_is_renewed_after_two_thirds_of_its_life(void **state)
{
    struct fixture *f = *state;
    fixture_set_clock(f, -59 * day_ns);
    fixture_restart(f);
    fixture_set_clock(f, 0);
    assert_serves(f);
    server_tend(f->server);
    assert_logged(f, "certificate_renewed", 0);
    fixture_set_clock(f, -61 * day_ns);
    fixture_restart(f);
    int port = server_port(f->server);
    fixture_set_clock(f, 0);
    server_tend(f->server);
    assert_logged(f, "certificate_renewed", 1);
    assert_int_equal(server_port(f->server), port);
    assert_serves(f);
    server_tend(f->server);
    assert_logged(f, "certificate_renewed", 1);
}

static void issue_files(struct fixture *f)
{
    static const char *const hosts[] = {"127.0.0.1"};
    char *directory = files_join(f->directory, "state/ca");
    const struct ca_options options = {.directory = directory, .clock = clock_system()};
    struct ca *ca = NULL;
    struct ca_leaf leaf = {0};
    struct buffer key;
    buffer_init(&key, CA_PEM_CAP);
    assert_int_equal(ca_open(&options, &ca, NULL), OK);
    assert_int_equal(ca_issue_server(ca, hosts, 1, day_ns, &leaf, &key, NULL), OK);
    char *certificate_path = files_join(f->directory, "server.pem");
    char *key_path = files_join(f->directory, "server.key");
    assert_int_equal(file_replace(certificate_path, 0644, buffer_bytes(&leaf.pem), NULL), OK);
    assert_int_equal(file_replace(key_path, 0600, buffer_bytes(&key), NULL), OK);
    free(certificate_path);
    free(key_path);
    free(directory);
    buffer_finish(&leaf.pem);
    buffer_wipe(&key);
    ca_close(ca);
}

static void one_from_files_is_taken_when_they_change(void **state)
{
    struct fixture *f = *state;
    struct err_text why = {0};
    issue_files(f);
    fixture_write_config(
        f, &(struct fixture_config){.extra = "tls: {certificate: server.pem, key: server.key}\n"});
    assert_int_equal(server_reload(f->server, &why), OK);
    assert_logged(f, "certificate_renewed", 1);
    assert_serves(f);
    server_tend(f->server);
    assert_logged(f, "certificate_renewed", 1);
    issue_files(f);
    server_tend(f->server);
    assert_logged(f, "certificate_renewed", 2);
    assert_serves(f);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        CASE(it_is_renewed_after_two_thirds_of_its_life),
        CASE(one_from_files_is_taken_when_they_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

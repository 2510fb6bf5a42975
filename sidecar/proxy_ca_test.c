/* The CA of the explicit proxy: what it makes, and whether curl and openssl believe it. */
#include <ev.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/net/conn.h"
#include "base/net/listen.h"
#include "base/net/loop.h"
#include "base/testing/scratch.h"
#include "sidecar/files.h"
#include "sidecar/proxy_ca.h"

enum { PATH_SIZE = 128, COMMAND_SIZE = 1024, CONNECTIONS_MAX = 16 };

static const char *const hosts[] = {"api.internal", "10.0.0.7", "::1", "127.0.0.1"};

struct fixture {
    char directory[SCRATCH_SIZE];
    char certificate[PATH_SIZE], key[PATH_SIZE];
    int64_t shift_s;
    struct proxy_ca *ca;
};

static int64_t wall(void *context)
{
    const struct clock system = clock_system();
    return clock_wall(&system) + ((struct fixture *)context)->shift_s * 1000000000;
}

static enum err open_for(struct fixture *f, const char *const *names, size_t count,
                         struct err_text *why)
{
    const struct proxy_ca_options options = {
        .certificate = f->certificate,
        .key = f->key,
        .name = "testbed",
        .hosts = names,
        .host_count = count,
        .clock = {.wall_ns = wall, .monotonic_ns = wall, .context = f}};
    proxy_ca_close(f->ca);
    f->ca = NULL;
    return proxy_ca_open(&options, &f->ca, why);
}

static enum err open_ca(struct fixture *f, struct err_text *why)
{
    return open_for(f, hosts, sizeof(hosts) / sizeof(hosts[0]), why);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    scratch_create(f->directory);
    (void)snprintf(f->certificate, PATH_SIZE, "%s/ca.pem", f->directory);
    (void)snprintf(f->key, PATH_SIZE, "%s/ca.key", f->directory);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    proxy_ca_close(f->ca);
    scratch_remove(f->directory);
    free(f);
    return 0;
}

static char *content_of(const char *path)
{
    struct buffer b;
    buffer_init(&b, FILES_SIZE_MAX);
    assert_int_equal(files_read(path, &b, NULL), OK);
    char *text = bytes_to_string(buffer_bytes(&b));
    buffer_finish(&b);
    return text;
}

static int run(const char *command)
{
    int status = system(command); /* NOLINT(cert-env33-c): commands of this file */
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* What openssl says about the CA's certificate; owned. */
static char *describe(struct fixture *f)
{
    char command[COMMAND_SIZE], path[PATH_SIZE + 8];
    (void)snprintf(path, sizeof(path), "%s/text", f->directory);
    (void)snprintf(command, sizeof(command), "openssl x509 -in %s -noout -text > %s",
                   f->certificate, path);
    assert_int_equal(run(command), 0);
    return content_of(path);
}

static void assert_has(const char *text, const char *words)
{
    if (strstr(text, words) == NULL) {
        fail_msg("%s is not in %s", words, text);
    }
}

static void a_ca_is_made_once(void **state)
{
    struct fixture *f = *state;
    struct stat s;
    assert_int_equal(open_ca(f, NULL), OK);
    assert_int_equal(stat(f->key, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
    assert_int_equal(stat(f->certificate, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0644);
    char *certificate = content_of(f->certificate), *key = content_of(f->key);
    assert_int_equal(open_ca(f, NULL), OK);
    char *certificate_again = content_of(f->certificate), *key_again = content_of(f->key);
    assert_string_equal(certificate, certificate_again);
    assert_string_equal(key, key_again);
    free(certificate);
    free(certificate_again);
    free(key);
    free(key_again);
}

static void it_is_a_ca_for_these_hosts_only(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(open_ca(f, NULL), OK);
    char *text = describe(f);
    assert_has(text, "CN = Chaperone local proxy CA (testbed)");
    assert_has(text, "CA:TRUE, pathlen:0");
    assert_has(text, "Certificate Sign, CRL Sign");
    assert_has(text, "X509v3 Name Constraints: critical");
    assert_has(text, "DNS:api.internal");
    assert_has(text, "IP:10.0.0.7/255.255.255.255");
    free(text);
}

static void a_key_without_a_certificate_gets_one(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(open_ca(f, NULL), OK);
    char *key = content_of(f->key);
    assert_int_equal(unlink(f->certificate), 0);
    assert_int_equal(open_ca(f, NULL), OK);
    char *again = content_of(f->key);
    assert_string_equal(key, again);
    free(key);
    free(again);
}

static void assert_refused(struct fixture *f, enum err expected, const char *words)
{
    struct err_text why = {0};
    assert_int_equal(open_ca(f, &why), expected);
    assert_null(f->ca);
    assert_has(why.text, words);
}

static void a_ca_that_cannot_serve_is_refused(void **state)
{
    struct fixture *f = *state;
    char command[COMMAND_SIZE];
    assert_int_equal(open_ca(f, NULL), OK);
    assert_int_equal(chmod(f->key, 0640), 0);
    assert_refused(f, ERR_DENIED, "chmod 600");
    assert_int_equal(chmod(f->key, 0600), 0);
    /* Another one's key. */
    assert_int_equal(unlink(f->key), 0);
    assert_refused(f, ERR_NOT_FOUND, "ca.key: is not there");
    (void)snprintf(command, sizeof(command),
                   "umask 077; openssl ecparam -name prime256v1 -genkey -noout -out %s", f->key);
    assert_int_equal(run(command), 0);
    assert_refused(f, ERR_INVALID, "does not belong to the key");
    /* No CA. */
    (void)snprintf(
        command, sizeof(command),
        "openssl req -x509 -key %s -subj /CN=x -out %s -addext basicConstraints=CA:FALSE", f->key,
        f->certificate);
    assert_int_equal(run(command), 0);
    assert_refused(f, ERR_INVALID, "is no certificate of a CA");
    assert_int_equal(file_replace(f->certificate, 0644, bytes_of_string("x"), NULL), OK);
    assert_refused(f, ERR_INVALID, "is no certificate in PEM");
    assert_int_equal(file_replace(f->key, 0600, bytes_of_string("x"), NULL), OK);
    assert_refused(f, ERR_INVALID, "is no private key in PEM");
}

static void one_that_has_ended_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(open_ca(f, NULL), OK);
    f->shift_s = INT64_C(3653) * 86400;
    assert_refused(f, ERR_INVALID, "has ended");
}

static void another_host_needs_another_ca(void **state)
{
    struct fixture *f = *state;
    static const char *const more[] = {"api.internal", "example.com"};
    static const char *const address[] = {"api.internal", "10.0.0.8"};
    static const char *const names_only[] = {"api.internal"};
    struct err_text why = {0};
    assert_int_equal(open_ca(f, NULL), OK);
    assert_int_equal(open_for(f, names_only, 1, NULL), OK);
    assert_int_equal(open_for(f, more, 2, &why), ERR_INVALID);
    assert_has(why.text, "is a CA for other hosts than \"example.com\"");
    assert_int_equal(open_for(f, address, 2, &why), ERR_INVALID);
    assert_has(why.text, "\"10.0.0.8\"");
    /* Where no address is permitted, none is free. */
    assert_int_equal(unlink(f->certificate), 0);
    assert_int_equal(open_for(f, names_only, 1, NULL), OK);
    assert_int_equal(open_for(f, address, 2, &why), ERR_INVALID);
}

static void what_is_no_host_gets_no_ca(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"a,DNS:evil", "a b", "", "a;b", "*", "A"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(open_for(f, &bad[i], 1, NULL), ERR_INVALID);
    }
    assert_int_not_equal(access(f->certificate, F_OK), 0);
}

static void a_certificate_is_kept_until_a_day_before_its_end(void **state)
{
    struct fixture *f = *state;
    struct tls_context *first = NULL, *second = NULL, *third = NULL, *none = NULL;
    struct err_text why = {0};
    assert_int_equal(open_ca(f, NULL), OK);
    assert_int_equal(proxy_ca_issue(f->ca, "api.internal", &first, NULL), OK);
    f->shift_s = 6 * 86400 - 60;
    assert_int_equal(proxy_ca_issue(f->ca, "api.internal", &second, NULL), OK);
    assert_ptr_equal(first, second);
    f->shift_s = 6 * 86400 + 60;
    assert_int_equal(proxy_ca_issue(f->ca, "api.internal", &third, NULL), OK);
    assert_ptr_not_equal(first, third);
    assert_int_equal(proxy_ca_issue(f->ca, "www.api.internal", &none, &why), ERR_INVALID);
    assert_null(none);
    tls_context_destroy(first);
    tls_context_destroy(second);
    tls_context_destroy(third);
}

/* --- with clients -------------------------------------------------------------------------------
 */

struct talk {
    struct service *service;
    struct conn *conn;
};

/* An HTTPS server with the certificate of one host, while a command runs. */
struct service {
    struct loop *loop;
    struct tls_context *tls;
    struct ev_io accepting;
    struct talk talks[CONNECTIONS_MAX];
    size_t talk_count;
    char address[LISTEN_ADDRESS_SIZE];
    char command[COMMAND_SIZE];
    int code;
};

static void on_ready(void *context)
{
    conn_resume(((struct talk *)context)->conn);
}

static void on_readable(void *context)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello\n";
    struct talk *t = context;
    uint8_t chunk[4096];
    size_t n = 0;
    switch (conn_read(t->conn, chunk, sizeof(chunk), &n)) {
    case CONN_AGAIN: return;
    case CONN_OK:
        if (conn_write(t->conn, bytes_of_string(answer)) != OK) {
            conn_close(t->conn);
        }
        return;
    case CONN_EOF:
    case CONN_FAILED: conn_close(t->conn);
    }
}

static void on_failed(void *context, enum err e, const char *why)
{
    (void)e;
    (void)why;
    conn_close(((struct talk *)context)->conn);
}

static void on_accept(struct ev_loop *ev, struct ev_io *w, int events)
{
    static const struct conn_events handlers = {
        .on_ready = on_ready, .on_readable = on_readable, .on_failed = on_failed};
    (void)ev;
    (void)events;
    struct service *s = w->data;
    int fd = accept(w->fd, NULL, NULL);
    if (fd < 0) {
        return;
    }
    assert_true(s->talk_count < CONNECTIONS_MAX);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    struct talk *t = &s->talks[s->talk_count++];
    t->service = s;
    assert_int_equal(conn_create(s->loop, fd, &handlers, t, &t->conn), OK);
    assert_int_equal(conn_start_tls(t->conn, s->tls, NULL, 5000), OK);
}

static void stop(void *context)
{
    loop_stop(((struct service *)context)->loop);
}

static void *run_command(void *context)
{
    struct service *s = context;
    s->code = run(s->command);
    (void)!loop_post(s->loop, stop, s);
    return NULL;
}

/* The command gets the port as $PORT, the CA as $CA. Its exit code. */
static int serve(struct fixture *f, const char *host, const char *command)
{
    struct service s = {0};
    pthread_t thread;
    int fd = -1;
    assert_int_equal(loop_create(&s.loop), OK);
    assert_int_equal(proxy_ca_issue(f->ca, host, &s.tls, NULL), OK);
    assert_int_equal(listen_open("127.0.0.1:0", &fd, s.address, NULL), OK);
    (void)snprintf(s.command, sizeof(s.command), "CA=%s; PORT=%s; D=%s; %s", f->certificate,
                   strrchr(s.address, ':') + 1, f->directory, command);
    ev_io_init(&s.accepting, on_accept, fd, EV_READ);
    s.accepting.data = &s;
    ev_io_start(loop_ev(s.loop), &s.accepting);
    assert_int_equal(pthread_create(&thread, NULL, run_command, &s), 0);
    loop_run(s.loop);
    (void)pthread_join(thread, NULL);
    ev_io_stop(loop_ev(s.loop), &s.accepting);
    (void)close(fd);
    loop_destroy(s.loop);
    tls_context_destroy(s.tls);
    return s.code;
}

#define CURL "curl -sS -m 20 --http1.1 --cacert $CA -o $D/got "
enum { CURL_PEER_FAILED_VERIFICATION = 60 };

static void curl_believes_the_right_host_only(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(open_ca(f, NULL), OK);
    assert_int_equal(serve(f, "api.internal",
                           CURL "--resolve api.internal:$PORT:127.0.0.1 https://api.internal:$PORT/"
                                " && grep -q hello $D/got"),
                     0);
    assert_int_equal(serve(f, "127.0.0.1", CURL "https://127.0.0.1:$PORT/"), 0);
    assert_int_equal(serve(f, "api.internal", CURL "https://127.0.0.1:$PORT/ 2>$D/errors"),
                     CURL_PEER_FAILED_VERIFICATION);
    assert_int_equal(serve(f, "api.internal",
                           CURL "--resolve www.api.internal:$PORT:127.0.0.1 "
                                "https://www.api.internal:$PORT/ 2>$D/errors"),
                     CURL_PEER_FAILED_VERIFICATION);
    assert_int_equal(
        serve(f, "api.internal",
              "curl -sS -m 20 --http1.1 --resolve api.internal:$PORT:127.0.0.1 -o $D/got "
              "https://api.internal:$PORT/ 2>$D/errors"),
        CURL_PEER_FAILED_VERIFICATION);
}

static void the_chain_verifies(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(open_ca(f, NULL), OK);
    assert_int_equal(
        serve(
            f, "api.internal",
            "openssl s_client -connect 127.0.0.1:$PORT -servername api.internal -alpn h2,http/1.1 "
            "</dev/null >$D/said 2>/dev/null; openssl x509 -in $D/said -out $D/leaf.pem && "
            "openssl verify -x509_strict -purpose sslserver -CAfile $CA "
            "-verify_hostname api.internal $D/leaf.pem >$D/verified && "
            "openssl x509 -in $D/leaf.pem -noout -text >$D/text"),
        0);
    char path[PATH_SIZE + 8];
    (void)snprintf(path, sizeof(path), "%s/said", f->directory);
    char *said = content_of(path);
    assert_has(said, "ALPN protocol: h2");
    free(said);
    (void)snprintf(path, sizeof(path), "%s/text", f->directory);
    char *text = content_of(path);
    assert_has(text, "DNS:api.internal");
    assert_has(text, "TLS Web Server Authentication");
    assert_has(text, "CA:FALSE");
    free(text);
}

/* Somebody who got the key makes a certificate for another host. */
static void the_key_is_of_no_use_for_other_hosts(void **state)
{
    struct fixture *f = *state;
    char command[COMMAND_SIZE];
    assert_int_equal(open_ca(f, NULL), OK);
    (void)snprintf(
        command, sizeof(command),
        "cd %s && for h in DNS:api.internal DNS:bank.example IP:192.0.2.1; do "
        "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout l.key "
        "-subj / -addext subjectAltName=critical,$h -out l.csr 2>/dev/null && "
        "openssl x509 -req -in l.csr -CA ca.pem -CAkey ca.key -CAcreateserial -copy_extensions "
        "copy "
        "-out l.pem 2>/dev/null || exit 2; "
        "if openssl verify -CAfile ca.pem l.pem >/dev/null 2>&1; then r=yes; else r=no; fi; "
        "case $h,$r in DNS:api.internal,yes) ;; DNS:api.internal,no) exit 3 ;; *,no) ;; "
        "*) exit 4 ;; esac; done",
        f->directory);
    assert_int_equal(run(command), 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_ca_is_made_once),
        CASE(it_is_a_ca_for_these_hosts_only),
        CASE(a_key_without_a_certificate_gets_one),
        CASE(a_ca_that_cannot_serve_is_refused),
        CASE(one_that_has_ended_is_refused),
        CASE(another_host_needs_another_ca),
        CASE(what_is_no_host_gets_no_ca),
        CASE(a_certificate_is_kept_until_a_day_before_its_end),
        CASE(curl_believes_the_right_host_only),
        CASE(the_chain_verifies),
        CASE(the_key_is_of_no_use_for_other_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

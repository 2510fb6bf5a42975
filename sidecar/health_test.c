/* The health endpoint as its clients see it: Prometheus, a kubelet, a port scanner. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <ev.h>

#include "base/net/conn.h"
#include "sidecar/health.h"

struct test {
    struct loop *loop;
    struct health *health;
    char dir[64], address[96];
    bool ready;
    enum err metrics_result;
};

static enum err write_metrics(void *context, struct buffer *out)
{
    struct test *t = context;
    return t->metrics_result == OK ? buffer_append_string(out, "one 1\n") : t->metrics_result;
}

static bool write_ready(void *context, struct buffer *out)
{
    struct test *t = context;
    assert_int_equal(buffer_append_string(out, t->ready ? "{\"a\":1}\n" : "{\"a\":0}\n"), OK);
    return t->ready;
}

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    t->ready = true;
    (void)snprintf(t->dir, sizeof(t->dir), "/tmp/health-XXXXXX"); /* short, for a socket's path */
    assert_non_null(mkdtemp(t->dir));
    (void)snprintf(t->address, sizeof(t->address), "unix:%s/socket", t->dir);
    assert_int_equal(loop_create(&t->loop), OK);
    const struct health_source source = {
        .metrics = write_metrics, .ready = write_ready, .context = t};
    struct err_text why = {0};
    assert_int_equal(health_create(t->loop, t->address, &source, &t->health, &why), OK);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    health_destroy(t->health);
    loop_destroy(t->loop);
    (void)unlink(t->address + 5);
    (void)rmdir(t->dir);
    free(t);
    return 0;
}

/* ---- a client on the same loop ------------------------------------------------------------ */

struct client {
    struct test *test;
    struct conn *conn;
    char got[4096];
    size_t size;
    bool over;
    int *left; /* stops the loop when the last one is over */
};

static void client_over(struct client *c)
{
    c->over = true;
    conn_close(c->conn);
    if (--*c->left == 0) {
        loop_stop(c->test->loop);
    }
}

static void client_readable(void *context)
{
    struct client *c = context;
    size_t n = 0;
    switch (conn_read(c->conn, (uint8_t *)c->got + c->size, sizeof(c->got) - 1 - c->size, &n)) {
    case CONN_OK: c->size += n; break;
    case CONN_AGAIN: return;
    case CONN_EOF:
    case CONN_FAILED: client_over(c); break;
    }
}

static void client_failed(void *context, enum err error, const char *why)
{
    (void)error;
    (void)why;
    client_over(context);
}

static void connect_client(struct client *c, struct test *t, int *left)
{
    static const struct conn_events events = {.on_readable = client_readable,
                                              .on_failed = client_failed};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    (void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", t->address + 5);
    *c = (struct client){.test = t, .left = left};
    ++*left;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&un, sizeof(un)), 0);
    assert_int_equal(conn_create(t->loop, fd, &events, c, &c->conn), OK);
    conn_resume(c->conn);
}

static void say(struct client *c, const char *text)
{
    assert_int_equal(conn_write(c->conn, bytes_of_string(text)), OK);
}

/* One request; what came back until the connection was closed. Valid until the next call. */
static const char *ask(struct test *t, const char *request)
{
    static struct client c;
    int left = 0;
    connect_client(&c, t, &left);
    say(&c, request);
    loop_run(t->loop);
    assert_true(c.over);
    return c.got;
}

static void expect(const char *got, const char *start, const char *end)
{
    if (strncmp(got, start, strlen(start)) != 0 || strlen(got) < strlen(end) ||
        strcmp(got + strlen(got) - strlen(end), end) != 0) {
        fail_msg("expected \"%s ... %s\", got \"%s\"", start, end, got);
    }
}

/* ---- tests -------------------------------------------------------------------------------- */

static void test_each_path_answers(void **state)
{
    struct test *t = *state;
    expect(ask(t, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 OK\r\n",
           "\r\n\r\n{\"status\":\"ok\"}\n");
    expect(ask(t, "GET /readyz HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 OK\r\n", "\r\n\r\n{\"a\":1}\n");
    t->ready = false;
    expect(ask(t, "GET /readyz HTTP/1.1\r\n\r\n"), "HTTP/1.1 503 Service Unavailable\r\n",
           "\r\n\r\n{\"a\":0}\n");
    const char *metrics = ask(t, "GET /metrics?name=x HTTP/1.0\r\n\r\n");
    expect(metrics, "HTTP/1.1 200 OK\r\n", "\r\n\r\none 1\n");
    assert_non_null(strstr(metrics, "\r\nContent-Type: text/plain; version=0.0.4"));
    assert_non_null(strstr(metrics, "\r\nContent-Length: 6\r\n"));
    t->metrics_result = ERR_LIMIT;
    expect(ask(t, "GET /metrics HTTP/1.1\r\n\r\n"), "HTTP/1.1 500 ", "\r\n\r\n");
}

static void test_what_is_not_there(void **state)
{
    struct test *t = *state;
    char request[300];
    expect(ask(t, "GET / HTTP/1.1\r\n\r\n"), "HTTP/1.1 404 ", "/healthz, /readyz or /metrics\n");
    expect(ask(t, "GET /healthzz HTTP/1.1\r\n\r\n"), "HTTP/1.1 404 ", "\n");
    /* Longer than what is kept of a path. */
    (void)snprintf(request, sizeof(request), "GET /healthz%0200d HTTP/1.1\r\n\r\n", 0);
    expect(ask(t, request), "HTTP/1.1 404 ", "\n");
    const char *post = ask(t, "POST /metrics HTTP/1.1\r\nContent-Length: 2\r\n\r\nab");
    expect(post, "HTTP/1.1 405 Method Not Allowed\r\n", "\r\n\r\n");
    assert_non_null(strstr(post, "\r\nAllow: GET\r\n"));
}

static void test_garbage_is_refused(void **state)
{
    struct test *t = *state;
    expect(ask(t, "\x16\x03\x01 a TLS hello\r\n\r\n"), "HTTP/1.1 400 Bad Request\r\n", "\r\n\r\n");
    expect(ask(t, "GET /metrics HTTP/9.9\r\n\r\n"), "HTTP/1.1 400 ", "\r\n\r\n");
    char *request = malloc(40000);
    assert_non_null(request);
    (void)snprintf(request, 40000, "GET /metrics HTTP/1.1\r\nX: %020000d\r\n\r\n", 0);
    expect(ask(t, request), "HTTP/1.1 431 ", "\r\n\r\n");
    free(request);
}

/* Byte by byte, and two at a time that take turns: their requests do not mix. */
static void test_clients_do_not_disturb_each_other(void **state)
{
    struct test *t = *state;
    static const char first[] = "GET /healthz HTTP/1.1\r\n\r\n";
    static const char second[] = "GET /nothing HTTP/1.1\r\n\r\n";
    struct client a, b, silent;
    int left = 0, never = 0;
    connect_client(&silent, t, &never); /* says nothing at all */
    connect_client(&a, t, &left);
    connect_client(&b, t, &left);
    for (size_t i = 0; i < sizeof(first) - 1; i++) {
        assert_int_equal(conn_write(a.conn, bytes_of(first + i, 1)), OK);
        assert_int_equal(conn_write(b.conn, bytes_of(second + i, 1)), OK);
    }
    loop_run(t->loop);
    expect(a.got, "HTTP/1.1 200 ", "{\"status\":\"ok\"}\n");
    expect(b.got, "HTTP/1.1 404 ", "\n");
    assert_false(silent.over);
    conn_close(silent.conn);
}

static void test_more_clients_than_places(void **state)
{
    struct test *t = *state;
    enum { MANY = 20 };
    struct client clients[MANY];
    int never = 0, left = 0;
    for (int i = 0; i < 16; i++) {
        connect_client(&clients[i], t, &never);
    }
    for (int i = 16; i < MANY; i++) {
        connect_client(&clients[i], t, &left);
    }
    loop_run(t->loop); /* until all that found no place are closed */
    for (int i = 16; i < MANY; i++) {
        assert_true(clients[i].over);
        assert_int_equal(clients[i].size, 0);
    }
    for (int i = 0; i < 16; i++) {
        assert_false(clients[i].over);
        conn_close(clients[i].conn);
    }
    int last = 0;
    struct client c;
    do { /* as soon as it has seen that they are gone */
        connect_client(&c, t, &last);
        say(&c, "GET /healthz HTTP/1.1\r\n\r\n");
        loop_run(t->loop);
    } while (c.size == 0);
    expect(c.got, "HTTP/1.1 200 ", "\n");
}

/* The endpoint ends while clients are connected. */
static void test_it_ends_with_clients(void **state)
{
    struct test *t = *state;
    struct client silent;
    int left = 0;
    connect_client(&silent, t, &left);
    expect(ask(t, "GET /healthz HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 ", "\n");
    health_destroy(t->health); /* it has accepted the silent one before */
    t->health = NULL;
    loop_run(t->loop);
    assert_true(silent.over);
}

static void test_an_address_of_another_host_is_refused(void **state)
{
    struct test *t = *state;
    struct health *h = NULL;
    struct err_text why = {0};
    const struct health_source source = {.metrics = write_metrics, .ready = write_ready};
    assert_int_equal(health_create(t->loop, "0.0.0.0:0", &source, &h, &why), ERR_DENIED);
    assert_non_null(strstr(why.text, "0.0.0.0:0"));
    assert_int_equal(health_create(t->loop, t->address, &source, &h, &why), ERR_EXISTS);
    assert_null(h);
    health_destroy(NULL);
}

/* Without a descriptor left it waits, and goes on when there is one again. */
static void test_it_survives_the_end_of_descriptors(void **state)
{
    struct test *t = *state;
    struct client c;
    struct rlimit before, few;
    int left = 0;
    connect_client(&c, t, &left);
    say(&c, "GET /healthz HTTP/1.1\r\n\r\n");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = (rlim_t)conn_fd(c.conn) + 1; /* all below are in use */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    ev_run(loop_ev(t->loop), EVRUN_NOWAIT);
    ev_run(loop_ev(t->loop), EVRUN_NOWAIT);
    assert_int_equal(c.size, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    loop_run(t->loop);
    expect(c.got, "HTTP/1.1 200 ", "\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_path_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_not_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_garbage_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clients_do_not_disturb_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more_clients_than_places, setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_ends_with_clients, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_address_of_another_host_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_it_survives_the_end_of_descriptors, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The way of the bytes: a whole session, order, waiting, backpressure, keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "sidecar/session_fixture.h"

/* ---- a whole one -------------------------------------------------------------------------- */

static void test_a_session_from_its_beginning_to_its_end(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    assert_string_equal(f->control.token, "a token");
    assert_int_equal(f->metrics.sessions_active, 1);
    fixture_say(&f->agent, "do process a\n");
    UNTIL(f, fixture_heard(&f->target, "do process a\n"));
    fixture_expect_records(f, "opened allow; intent do process a");
    fixture_say(&f->target, "ok\n");
    UNTIL(f, fixture_heard(&f->agent, "ok\n"));
    fixture_hang_up(&f->agent);
    UNTIL(f, fixture_sessions(f) == 0);
    UNTIL(f, f->target.closed);
    fixture_expect_records(f, "opened allow; intent do process a; outcome success; "
                              "closed agent_disconnected");
    assert_int_equal(f->metrics.sessions_active, 0);
    assert_int_equal(f->metrics.operations_allowed, 1);
    assert_int_equal(f->metrics.bytes_from_agents, strlen("login\ndo process a\n"));
    assert_int_equal(f->metrics.bytes_to_agents, strlen("ready\nok\n"));
}

static void test_a_refused_operation_keeps_the_session(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_say(&f->agent, "do deny a\ndo process b\n");
    UNTIL(f, fixture_heard(&f->target, "\n"));
    assert_string_equal(f->target.got, "do process b\n");
    UNTIL(f, fixture_heard(&f->agent, "refused\n"));
    fixture_say(&f->target, "ok\n");
    UNTIL(f, fixture_heard(&f->agent, "ok\n"));
    assert_int_equal(f->metrics.operations_refused, 1);
    fixture_expect_records(f, "opened allow; intent do deny a; intent do process b; "
                              "outcome success");
}

/* Pieces that adjoin, pieces with something taken out between them, pieces that come in halves. */
static void test_the_order_of_bytes_never_changes(void **state)
{
    struct fixture *f = *state;
    static const char script[] = "one\ntwo\ndo deny x\nthree\ndo process 1\ndo deny y\nfour\n";
    static const char expected[] = "one\ntwo\nthree\ndo process 1\nfour\n";
    fixture_open_session(f);
    for (size_t at = 0; at <= sizeof(script) - 1; at++) {
        f->target.size = 0;
        f->target.got[0] = '\0';
        assert_int_equal(send(f->agent.fd, script, at, 0), at);
        fixture_step(f);
        assert_int_equal(send(f->agent.fd, script + at, sizeof(script) - 1 - at, 0),
                         sizeof(script) - 1 - at);
        UNTIL(f, f->target.size >= sizeof(expected) - 1);
        assert_string_equal(f->target.got, expected);
    }
}

/* ---- waiting ------------------------------------------------------------------------------ */

static void test_bytes_that_wait_are_offered_again(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_say(&f->agent, "pause\none\ntwo\n");
    fixture_settle(f);
    fixture_say(&f->agent, "three\n");
    fixture_settle(f);
    assert_string_equal(f->target.got, "");
    fixture_say(&f->target, "something else\n");
    UNTIL(f, fixture_heard(&f->agent, "something else\n"));
    assert_string_equal(f->target.got, "");
    fixture_say(&f->target, "resume\n");
    UNTIL(f, fixture_heard(&f->target, "three\n"));
    assert_string_equal(f->target.got, "one\ntwo\nthree\n");
}

/* The agent's "free" waits for the target's "resume", and what the target says behind its "hold"
 * waits for that "free": each side's step lets the other one go on. */
static void test_both_sides_may_wait_for_each_other(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_say(&f->agent, "pause\nfree\nlast\n");
    fixture_settle(f);
    fixture_say(&f->target, "resume\nhold\nbehind\n");
    UNTIL(f, fixture_heard(&f->agent, "behind\n"));
    UNTIL(f, fixture_heard(&f->target, "last\n"));
    assert_string_equal(f->target.got, "free\nlast\n");
    assert_true(fixture_heard(&f->agent, "resume\nhold\nbehind\n"));
}

static void test_a_message_has_a_longest_length(void **state)
{
    struct fixture *f = *state;
    char *text = malloc(SESSION_READ_CHUNK + 8192);
    assert_non_null(text);
    memset(text, 'x', SESSION_READ_CHUNK + 8191);
    text[SESSION_READ_CHUNK + 8191] = '\0';
    fixture_open_session(f);
    size_t sent = 0;
    while (!f->agent.closed) { /* without a newline */
        ssize_t n = send(f->agent.fd, text, SESSION_READ_CHUNK / 4, MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        assert_true(sent < 1 << 20);
        fixture_step(f);
    }
    UNTIL(f, fixture_sessions(f) == 0);
    fixture_expect_records(f, "opened allow; closed error");
    assert_string_equal(f->target.got, "");
    free(text);
}

/* ---- backpressure ------------------------------------------------------------------------- */

enum { LINE = 64, LINES = 200000 }; /* 12.8 MB */

static size_t write_lines(int fd, size_t from)
{
    char line[LINE + 1];
    size_t n = from;
    for (;;) {
        (void)snprintf(line, sizeof(line), "%0*zu\n", LINE - 1, n / LINE);
        ssize_t sent =
            n / LINE >= LINES ? -1 : send(fd, line + n % LINE, LINE - n % LINE, MSG_NOSIGNAL);
        if (sent <= 0) {
            return n;
        }
        n += (size_t)sent;
    }
}

static size_t read_lines(int fd, size_t from)
{
    char chunk[4096], line[LINE + 1];
    for (;;) {
        ssize_t n = recv(fd, chunk, sizeof(chunk), 0);
        if (n <= 0) {
            return from;
        }
        for (ssize_t i = 0; i < n; i++, from++) {
            if (i == 0 || from % LINE == 0) {
                (void)snprintf(line, sizeof(line), "%0*zu\n", LINE - 1, from / LINE);
            }
            assert_int_equal(chunk[i], line[from % LINE]);
        }
    }
}

/* `from` writes as much as is taken; `to` reads only in the second half. */
static void check_backpressure(struct fixture *f, struct fixture_end *from, struct fixture_end *to)
{
    size_t sent = 0, got = 0;
    from->deaf = true;
    to->deaf = true;
    int64_t quiet = fixture_now() + 200;
    while (fixture_now() < quiet) {
        size_t before = sent;
        sent = write_lines(from->fd, sent);
        quiet = sent > before ? fixture_now() + 200 : quiet;
        fixture_step(f);
    }
    /* What the sidecar holds is bounded (CONN_HIGH_WATER and a chunk); the rest is the kernel's:
     * two sockets' buffers of some megabytes. */
    assert_true(sent < (size_t)LINE * LINES);
    while (got < (size_t)LINE * LINES) {
        sent = write_lines(from->fd, sent);
        fixture_step(f);
        got = read_lines(to->fd, got);
        assert_true(got <= sent);
    }
    from->deaf = false;
    to->deaf = false;
}

static void small_buffers(const struct fixture_end *end)
{
    int size = 64 << 10;
    assert_int_equal(setsockopt(end->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
    assert_int_equal(setsockopt(end->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
}

static void test_a_slow_agent_stops_the_target(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    small_buffers(&f->agent);
    check_backpressure(f, &f->target, &f->agent);
}

static void test_a_slow_target_stops_the_agent(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    small_buffers(&f->agent);
    check_backpressure(f, &f->agent, &f->target);
}

static size_t write_text(int fd, const char *text, size_t size, size_t from)
{
    ssize_t n = from < size ? send(fd, text + from, size - from, MSG_NOSIGNAL) : 0;
    return from + (n > 0 ? (size_t)n : 0);
}

/* Refusals are answers too: an agent that does not read them is not read. */
static void test_an_agent_that_does_not_read_its_refusals(void **state)
{
    struct fixture *f = *state;
    enum { MANY = 800000 }; /* answers beyond CONN_QUEUE_CAP */
    static const char line[] = "do deny\n", answer[] = "refused\n";
    const size_t total = (size_t)MANY * (sizeof(line) - 1);
    char *script = malloc(total + 1), chunk[4096];
    assert_non_null(script);
    for (size_t i = 0; i < MANY; i++) {
        memcpy(script + i * (sizeof(line) - 1), line, sizeof(line));
    }
    fixture_open_session(f);
    small_buffers(&f->agent);
    f->agent.deaf = true;
    size_t sent = 0, got = 0;
    for (int64_t quiet = fixture_now() + 200; fixture_now() < quiet;) {
        size_t before = sent;
        sent = write_text(f->agent.fd, script, total, sent);
        quiet = sent > before ? fixture_now() + 200 : quiet;
        fixture_step(f);
    }
    assert_int_equal(fixture_sessions(f), 1);
    assert_true(sent < total);
    while (got < (size_t)MANY * (sizeof(answer) - 1)) {
        sent = write_text(f->agent.fd, script, total, sent);
        fixture_step(f);
        ssize_t n = recv(f->agent.fd, chunk, sizeof(chunk), 0);
        for (ssize_t i = 0; i < n; i++, got++) {
            assert_int_equal(chunk[i], answer[got % (sizeof(answer) - 1)]);
        }
        assert_int_not_equal(n, 0);
    }
    free(script);
}

/* ---- keys --------------------------------------------------------------------------------- */

static void test_a_key_reaches_its_session(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_say(&f->agent, "key abc\n");
    UNTIL(f, fixture_heard(&f->agent, "\ndone\n"));
    struct fixture_end first = f->agent;
    f->agent.fd = -1;
    int first_target = f->target.fd;
    f->target.fd = -1;
    fixture_open_session(f);
    fixture_say(&f->agent, "key abc\nsignal abc\nsignal abcd\n");
    UNTIL(f, fixture_heard(&f->agent, "\nnot done\ndone\nnot done\n"));
    char text[64] = "";
    UNTIL(f, recv(first.fd, text, sizeof(text) - 1, 0) > 0);
    assert_string_equal(text, "signalled\n");
    (void)close(first.fd);
    UNTIL(f, fixture_sessions(f) == 1);
    f->agent.size = 0;
    fixture_say(&f->agent, "signal abc\nkey abc\n");
    UNTIL(f, fixture_heard(&f->agent, "not done\ndone\n"));
    (void)close(first_target);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_session_from_its_beginning_to_its_end),
        CASE(test_a_refused_operation_keeps_the_session),
        CASE(test_the_order_of_bytes_never_changes),
        CASE(test_bytes_that_wait_are_offered_again),
        CASE(test_both_sides_may_wait_for_each_other),
        CASE(test_a_message_has_a_longest_length),
        CASE(test_a_slow_agent_stops_the_target),
        CASE(test_a_slow_target_stops_the_agent),
        CASE(test_an_agent_that_does_not_read_its_refusals),
        CASE(test_a_key_reaches_its_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

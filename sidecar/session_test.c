/* The way of the bytes and of an operation: order, the gate, backpressure, and every end. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "sidecar/control/control.h"
#include "sidecar/session_fixture.h"

static size_t sessions(const struct fixture *f)
{
    return directory_count(f->shared->directory);
}

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
    UNTIL(f, sessions(f) == 0);
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

/* ---- the grant ---------------------------------------------------------------------------- */

static void expect_refused(struct fixture *f, enum err code, const char *why)
{
    UNTIL(f, f->agent.closed);
    assert_true(fixture_heard(&f->agent, "not granted\n"));
    assert_int_equal(f->refused_code, code);
    assert_string_equal(f->refused_why, why);
    UNTIL(f, sessions(f) == 0);
    assert_int_equal(f->metrics.sessions_refused, 1);
    assert_int_equal(f->metrics.sessions_opened, 0);
    assert_int_equal(f->target.fd, -1);
}

static void log_in(struct fixture *f)
{
    assert_int_equal(fixture_start(f), OK);
    fixture_say(&f->agent, "login\n");
}

static void test_who_is_refused_hears_why(void **state)
{
    struct fixture *f = *state;
    f->control.code = RPC_PERMISSION_DENIED;
    log_in(f);
    expect_refused(f, ERR_DENIED, "not you");
    fixture_expect_records(f, "opened deny denied");
}

static void test_a_control_plane_that_cannot_be_asked(void **state)
{
    struct fixture *f = *state;
    f->control.start = ERR_LIMIT;
    log_in(f);
    expect_refused(f, ERR_UNAVAILABLE, "the sidecar cannot ask for the session now");
    fixture_expect_records(f, "opened deny unavailable");
}

static void test_a_grant_that_cannot_be_used(void **state)
{
    struct fixture *f = *state;
    f->control.incomplete = true;
    log_in(f);
    expect_refused(f, ERR_INTERNAL, "the control plane's grant is incomplete");
}

/* It would be cut, and the agent connected to another host than was granted. */
static void test_a_target_with_too_long_a_name(void **state)
{
    struct fixture *f = *state;
    char host[300];
    memset(host, 'h', sizeof(host) - 1);
    host[sizeof(host) - 1] = '\0';
    f->control.host = host;
    log_in(f);
    expect_refused(f, ERR_INTERNAL, "the target's name in the grant is too long");
}

static void test_no_token_no_session(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(unsetenv("SESSION_TEST_TOKEN"), 0);
    log_in(f);
    expect_refused(f, ERR_DENIED, "the environment variable SESSION_TEST_TOKEN holds no token");
    assert_int_equal(f->control.asked, 0);
}

static void test_a_token_in_band(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(unsetenv("SESSION_TEST_TOKEN"), 0);
    assert_int_equal(fixture_start(f), OK);
    fixture_say(&f->agent, "login in-band\n");
    UNTIL(f, fixture_heard(&f->agent, "ready\n"));
    assert_string_equal(f->control.token, "in-band");
}

static void test_an_agent_that_says_nothing(void **state)
{
    struct fixture *f = *state;
    f->shared->times.login = 30;
    assert_int_equal(fixture_start(f), OK);
    UNTIL(f, f->agent.closed);
    assert_string_equal(f->agent.got, "terminated: the login took too long\n");
    assert_int_equal(f->terminate_code, ERR_TIMEOUT);
    UNTIL(f, sessions(f) == 0);
    fixture_expect_records(f, "opened deny login_timeout");
}

static void test_a_control_plane_that_says_nothing(void **state)
{
    struct fixture *f = *state;
    f->shared->times.login = 300; /* the token is read meanwhile */
    f->control.silent = true;
    log_in(f);
    UNTIL(f, f->agent.closed);
    assert_int_equal(f->control.cancelled, 1);
    assert_int_equal(f->terminate_code, ERR_TIMEOUT);
}

static void test_an_open_session_has_no_login_timeout(void **state)
{
    struct fixture *f = *state;
    f->shared->times.login = 100;
    fixture_open_session(f);
    int64_t end = fixture_now() + 200;
    UNTIL(f, fixture_now() > end);
    assert_int_equal(sessions(f), 1);
    assert_int_equal(f->terminated, 0);
}

static void test_a_target_that_is_not_there(void **state)
{
    struct fixture *f = *state;
    (void)close(f->listening);
    f->listening = open("/dev/null", O_RDONLY | O_CLOEXEC);
    log_in(f);
    UNTIL(f, f->agent.closed);
    assert_string_equal(f->agent.got, "failed\n");
    assert_int_equal(f->failed_side, SIDE_TARGET);
    assert_int_equal(f->failed_code, ERR_UNAVAILABLE);
    assert_int_equal(f->terminated, 0);
}

/* ---- the gate ----------------------------------------------------------------------------- */

static void test_what_is_not_durable_does_not_leave(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_block_disk(f, true);
    fixture_say(&f->agent, "before\ndo process 1\ndo host 2\nbehind\ndo process 3\n");
    UNTIL(f, fixture_heard(&f->target, "do process 1\n"));
    fixture_say(&f->agent, "do host 4\nlast\n");
    fixture_settle(f);
    assert_string_equal(f->target.got, "before\ndo process 1\n");
    /* Answers to what has left come meanwhile. */
    fixture_say(&f->target, "ok\n");
    UNTIL(f, fixture_heard(&f->agent, "ok\n"));
    assert_string_equal(f->target.got, "before\ndo process 1\n");
    fixture_block_disk(f, false);
    UNTIL(f, fixture_heard(&f->target, "last\n"));
    assert_string_equal(f->target.got, "before\ndo process 1\ndo host 2\nbehind\ndo process 3\n"
                                       "do host 4\nlast\n");
}

static void test_the_fleet_must_have_it(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_say(&f->agent, "do fleet 1\n");
    UNTIL(f, f->metrics.operations_allowed == 1);
    fixture_settle(f);
    assert_string_equal(f->target.got, "");
    recorder_acknowledge(f->recorder, recorder_last_sequence(f->recorder), NULL);
    UNTIL(f, fixture_heard(&f->target, "do fleet 1\n"));
}

/* The stronger level counts for all that is behind it, whichever came first. */
static void test_levels_that_follow_each_other(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_block_disk(f, true);
    fixture_say(&f->agent, "do host 1\ndo fleet 2\ndo host 3\n");
    UNTIL(f, f->metrics.operations_allowed == 3);
    fixture_block_disk(f, false);
    fixture_settle(f);
    assert_string_equal(f->target.got, "");
    recorder_acknowledge(f->recorder, recorder_last_sequence(f->recorder), NULL);
    UNTIL(f, fixture_heard(&f->target, "do host 3\n"));
    assert_string_equal(f->target.got, "do host 1\ndo fleet 2\ndo host 3\n");
}

static void test_a_disk_that_fails_lets_nothing_through(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_fail_disk(f, EIO);
    fixture_say(&f->agent, "do host 1\nbehind\n");
    UNTIL(f, f->agent.closed);
    assert_true(
        fixture_heard(&f->agent, "terminated: the operation could not be recorded durably\n"));
    assert_int_equal(f->terminate_code, ERR_FULL);
    UNTIL(f, f->target.closed);
    assert_string_equal(f->target.got, "");
    UNTIL(f, sessions(f) == 0);
}

/* An hour later the agent has long given up: it must not happen then. */
static void test_what_is_not_durable_in_time_never_leaves(void **state)
{
    struct fixture *f = *state;
    f->shared->times.durable = 50;
    fixture_open_session(f);
    fixture_say(&f->agent, "do fleet 1\n");
    UNTIL(f, f->agent.closed);
    assert_int_equal(f->terminate_code, ERR_FULL);
    UNTIL(f, f->target.closed);
    assert_string_equal(f->target.got, "");
    UNTIL(f, sessions(f) == 0);
    fixture_expect_records(f, "opened allow; intent do fleet 1; outcome unknown; "
                              "closed recording_failed");
}

static void test_a_gate_that_opens_in_time_has_no_late_effect(void **state)
{
    struct fixture *f = *state;
    f->shared->times.durable = 100;
    fixture_open_session(f);
    fixture_say(&f->agent, "do fleet 1\n");
    UNTIL(f, f->metrics.operations_allowed == 1);
    recorder_acknowledge(f->recorder, recorder_last_sequence(f->recorder), NULL);
    UNTIL(f, fixture_heard(&f->target, "do fleet 1\n"));
    int64_t end = fixture_now() + 200;
    UNTIL(f, fixture_now() > end);
    assert_int_equal(f->terminated, 0);
    assert_int_equal(sessions(f), 1);
}

static void test_an_agent_that_goes_while_the_gate_is_closed(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_block_disk(f, true);
    fixture_say(&f->agent, "do host 1\n");
    UNTIL(f, f->metrics.operations_allowed == 1);
    fixture_hang_up(&f->agent);
    fixture_settle(f);
    fixture_block_disk(f, false);
    UNTIL(f, fixture_heard(&f->target, "do host 1\n"));
    fixture_say(&f->target, "ok\n");
    UNTIL(f, sessions(f) == 0);
    fixture_expect_records(f, "opened allow; intent do host 1; outcome success; "
                              "closed agent_disconnected");
}

/* ---- what lasts by a later operation ------------------------------------------------------ */

static void test_what_is_provisional_does_not_wait(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_block_disk(f, true);
    fixture_say(&f->agent, "do default provisional 1\ndo process provisional 2\n"
                           "do default provisional 3\n");
    UNTIL(f, fixture_heard(&f->target, "do default provisional 3\n"));
    fixture_say(&f->target, "ok\nok\nok\n");
    UNTIL(f, fixture_heard(&f->agent, "ok\nok\nok\n"));
    fixture_block_disk(f, false);
}

/* Whatever it is and whatever its own level: it may make the others last. */
static void test_what_follows_it_waits_for_all_of_it(void **state)
{
    static const char *const enders[] = {"do process commit\n", "do host commit\n",
                                         "do default commit\n", "do host provisional\n",
                                         "prepare\n",           "settle\n"};
    struct fixture *f = *state;
    fixture_open_session(f);
    for (size_t i = 0; i < sizeof(enders) / sizeof(enders[0]); i++) {
        char expected[256];
        f->target.size = 0;
        f->target.got[0] = '\0';
        fixture_block_disk(f, true);
        fixture_say(&f->agent, "do default provisional\n");
        fixture_say(&f->agent, enders[i]);
        fixture_say(&f->agent, "behind\n");
        UNTIL(f, fixture_heard(&f->target, "do default provisional\n"));
        fixture_settle(f);
        assert_string_equal(f->target.got, "do default provisional\n");
        fixture_block_disk(f, false);
        UNTIL(f, fixture_heard(&f->target, "behind\n"));
        (void)snprintf(expected, sizeof(expected), "do default provisional\n%sbehind\n", enders[i]);
        assert_string_equal(f->target.got, expected);
    }
}

/* Once they are on the disk nothing has to wait for them, and with none nothing waits at all. */
static void test_what_is_settled_is_waited_for_once(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_say(&f->agent, "do default provisional 1\ndo process commit\n");
    UNTIL(f, fixture_heard(&f->target, "do process commit\n"));
    fixture_block_disk(f, true);
    fixture_say(&f->agent, "do process 2\nsettle\ndo process provisional 3\ndo process 4\n");
    UNTIL(f, fixture_heard(&f->target, "do process 4\n"));
    fixture_block_disk(f, false);
}

static void test_behind_a_gate_provisional_operations_wait_too(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_block_disk(f, true);
    fixture_say(&f->agent, "do host 1\ndo default provisional 2\ndo process commit\n");
    UNTIL(f, f->metrics.operations_allowed == 3);
    fixture_settle(f);
    assert_string_equal(f->target.got, "");
    fixture_block_disk(f, false);
    UNTIL(f, fixture_heard(&f->target, "do process commit\n"));
    assert_string_equal(f->target.got, "do host 1\ndo default provisional 2\ndo process commit\n");
}

static void test_what_a_rule_asks_for_counts_for_each(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_block_disk(f, true);
    fixture_say(&f->agent, "do host provisional 1\n");
    UNTIL(f, f->metrics.operations_allowed == 1);
    fixture_settle(f);
    assert_string_equal(f->target.got, "");
    fixture_block_disk(f, false);
    UNTIL(f, fixture_heard(&f->target, "do host provisional 1\n"));
    fixture_say(&f->agent, "do fleet provisional 2\n");
    UNTIL(f, f->metrics.operations_allowed == 2);
    fixture_settle(f);
    assert_string_equal(f->target.got, "do host provisional 1\n");
    recorder_acknowledge(f->recorder, recorder_last_sequence(f->recorder), NULL);
    UNTIL(f, fixture_heard(&f->target, "do fleet provisional 2\n"));
}

/* The target undoes what it was given: it has lost its client. */
static void test_a_disk_that_fails_ends_what_is_provisional(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_block_disk(f, true);
    fixture_say(&f->agent, "do default provisional\ndo process commit\n");
    UNTIL(f, f->metrics.operations_allowed == 2);
    fixture_fail_disk(f, EIO);
    fixture_block_disk(f, false);
    UNTIL(f, f->agent.closed);
    assert_true(
        fixture_heard(&f->agent, "terminated: the operation could not be recorded durably\n"));
    UNTIL(f, f->target.closed);
    assert_string_equal(f->target.got, "do default provisional\n");
    UNTIL(f, sessions(f) == 0);
}

static void test_a_held_operation_waits_for_what_is_provisional(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_block_disk(f, true);
    fixture_say(&f->agent, "do default provisional\ndo hold provisional too\n");
    UNTIL(f, f->hold.asked == 1);
    fixture_push_decision(f, CHAPERONE__V1__APPROVAL_STATE__APPROVED);
    fixture_settle(f);
    assert_string_equal(f->target.got, "do default provisional\n");
    fixture_block_disk(f, false);
    UNTIL(f, fixture_heard(&f->target, "do hold provisional too\n"));
}

/* ---- a full spool ------------------------------------------------------------------------- */

static void fill_spool(struct fixture *f)
{
    static uint8_t text[4000];
    enum err e = OK;
    for (int i = 0; e == OK; i++) {
        assert_true(i < 10000);
        Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
        Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
        intent.text = (ProtobufCBinaryData){.data = text, .len = sizeof(text)};
        record.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
        record.intent = &intent;
        e = recorder_write(f->recorder, &record, NULL);
    }
    assert_int_equal(e, ERR_FULL);
}

static void test_what_cannot_be_recorded_does_not_happen(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fill_spool(f);
    char line[5000];
    (void)snprintf(line, sizeof(line), "do process %04000d\n", 0);
    fixture_say(&f->agent, line);
    UNTIL(f, fixture_heard(&f->agent, "refused\n"));
    fixture_settle(f);
    assert_string_equal(f->target.got, "");
    assert_int_equal(f->metrics.operations_refused, 1);
    assert_true(f->metrics.record_failures > 0);
}

static void test_no_session_without_room_for_its_record(void **state)
{
    struct fixture *f = *state;
    fill_spool(f);
    /* Fill what is left with the smallest records of that kind. */
    for (enum err e = OK; e == OK;) {
        Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
        Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
        record.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
        record.intent = &intent;
        e = recorder_write(f->recorder, &record, NULL);
    }
    log_in(f);
    expect_refused(f, ERR_FULL, "the session cannot be recorded");
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
    UNTIL(f, sessions(f) == 0);
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
    assert_int_equal(sessions(f), 1);
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

/* ---- ends --------------------------------------------------------------------------------- */

static void test_the_protocol_may_close_in_every_callback(void **state)
{
    struct fixture *f = *state;
    static const int callbacks[] = {CALL_AGENT_BYTES, CALL_TARGET_BYTES, CALL_GRANTED,
                                    CALL_CONNECTED, CALL_END};
    for (size_t i = 0; i < sizeof(callbacks) / sizeof(callbacks[0]); i++) {
        f->close_in = callbacks[i];
        log_in(f);
        fixture_hang_up(&f->target);
        for (int64_t end = fixture_now() + 50; fixture_now() < end && !f->agent.closed;) {
            fixture_step(f);
        }
        if (f->target.fd >= 0 && !f->agent.closed) {
            fixture_say(&f->target, "a line\n");
        }
        for (int64_t end = fixture_now() + 50; fixture_now() < end && !f->agent.closed;) {
            fixture_step(f);
        }
        fixture_hang_up(&f->agent);
        UNTIL(f, sessions(f) == 0);
        assert_int_equal(f->created, f->destroyed);
    }
    assert_int_equal(f->terminated, 0);
}

static void test_close_flushes_what_was_written(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_say(&f->agent, "one\nclose\nnever\n");
    UNTIL(f, f->agent.closed);
    UNTIL(f, f->target.closed);
    assert_string_equal(f->target.got, "one\n");
}

static void test_a_target_that_goes(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_say(&f->agent, "do process 1\n");
    UNTIL(f, fixture_heard(&f->target, "do process 1\n"));
    fixture_hang_up(&f->target);
    UNTIL(f, f->agent.closed);
    UNTIL(f, sessions(f) == 0);
    fixture_expect_records(f, "opened allow; intent do process 1; outcome unknown; "
                              "closed agent_disconnected");
}

/* What had not left for the first connection is not for the other one. */
static void test_another_connection_to_the_target(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_say(&f->agent, "one\n");
    UNTIL(f, fixture_heard(&f->target, "one\n"));
    fixture_say(&f->target, "half a line");
    fixture_settle(f);
    fixture_say(&f->agent, "do host 1\nagain\n");
    UNTIL(f, f->target.closed);
    struct fixture_end *other = &f->second;
    UNTIL(f, other->fd >= 0);
    fixture_say(&f->agent, "two\n");
    UNTIL(f, fixture_heard(other, "two\n"));
    assert_false(fixture_heard(other, "do host 1\n"));
    fixture_say(other, "three\n");
    UNTIL(f, fixture_heard(&f->agent, "three\n"));
    assert_false(fixture_heard(&f->agent, "half a line"));
    assert_int_equal(f->failed, 0);
}

static void test_answers_are_awaited_when_the_agent_has_gone(void **state)
{
    struct fixture *f = *state;
    f->shared->times.answer = 10000;
    fixture_open_session(f);
    fixture_say(&f->agent, "do process 1\n");
    fixture_hang_up(&f->agent);
    UNTIL(f, fixture_heard(&f->target, "do process 1\n"));
    fixture_settle(f);
    assert_int_equal(sessions(f), 1);
    fixture_say(&f->target, "ok\nclose\n");
    UNTIL(f, sessions(f) == 0);
    fixture_expect_records(f, "opened allow; intent do process 1; outcome success; "
                              "closed agent_disconnected");
}

/* It is still there, but takes nothing more: as good as gone, but for what it asked already. */
static void test_an_agent_that_stops_reading_for_good(void **state)
{
    struct fixture *f = *state;
    f->shared->times.answer = 10000;
    fixture_open_session(f);
    fixture_say(&f->agent, "do process 1\ndo process 2\n");
    UNTIL(f, fixture_heard(&f->target, "do process 2\n"));
    assert_int_equal(shutdown(f->agent.fd, SHUT_RD), 0);
    f->agent.deaf = true;
    fixture_say(&f->target, "ok\n");
    fixture_settle(f);
    fixture_say(&f->target, "ok\nclose\n");
    UNTIL(f, sessions(f) == 0);
    fixture_expect_records(f, "opened allow; intent do process 1; intent do process 2; "
                              "outcome success; outcome success; closed agent_disconnected");
}

static void test_answers_are_not_awaited_for_ever(void **state)
{
    struct fixture *f = *state;
    f->shared->times.answer = 30;
    fixture_open_session(f);
    fixture_say(&f->agent, "do process 1\n");
    UNTIL(f, fixture_heard(&f->target, "do process 1\n"));
    fixture_hang_up(&f->agent);
    UNTIL(f, sessions(f) == 0);
    fixture_expect_records(f, "opened allow; intent do process 1; outcome unknown; "
                              "closed agent_disconnected");
}

/* ---- orders ------------------------------------------------------------------------------- */

static void remember(void *context, struct session *session)
{
    *(struct session **)context = session;
}

static struct session *the_session(struct fixture *f)
{
    struct session *s = NULL;
    assert_int_equal(sessions(f), 1);
    directory_each(f->shared->directory, remember, &s);
    return s;
}

static void start_running(struct fixture *f)
{
    fixture_open_session(f);
    fixture_say(&f->agent, "do process 1\n");
    UNTIL(f, fixture_heard(&f->target, "do process 1\n"));
}

static void kill_session(struct session *s, const char *by, const char *reason)
{
    const struct control_kill order = {.order = "0199e9a2-0000-7000-8000-000000000009",
                                       .session = session_id(s),
                                       .identity = "",
                                       .resource = "",
                                       .ordered_by = by,
                                       .reason = reason,
                                       .ordered_unix_ns = 1700000000000000000};
    session_kill(s, &order);
}

static void test_a_kill_stops_what_runs(void **state)
{
    struct fixture *f = *state;
    f->shared->times.second = 10000;
    start_running(f);
    struct session *s = the_session(f);
    kill_session(s, "alice", "enough");
    kill_session(s, "bob", "again"); /* it is over already */
    UNTIL(f, f->agent.closed);
    assert_string_equal(f->agent.got,
                        "ready\nterminated: the session was ended by alice: enough\n");
    UNTIL(f, f->target.closed);
    UNTIL(f, fixture_heard(&f->second, "cancel\n"));
    /* The session is over, but for its second connection. */
    fixture_settle(f);
    assert_int_equal(sessions(f), 1);
    assert_int_equal(f->destroyed, 0);
    assert_false(f->second.closed);
    f->shared->times.stop_again = 1;
    for (int i = 0; i < SESSION_STOP_AGAIN; i++) { /* what runs may have begun after it */
        f->second.got[0] = '\0';
        fixture_hang_up(&f->second); /* as a server does when it has the request */
        UNTIL(f, fixture_heard(&f->second, "cancel\n"));
        assert_int_equal(sessions(f), 1);
    }
    fixture_hang_up(&f->second);
    UNTIL(f, sessions(f) == 0);
    assert_int_equal(f->metrics.cancels, 1 + SESSION_STOP_AGAIN);
    assert_int_equal(f->metrics.sessions_killed, 1);
    fixture_expect_records(f, "opened allow; intent do process 1; outcome unknown; "
                              "closed killed by alice");
}

static bool is_meant(struct session *s, const char *id, const char *identity, const char *resource,
                     bool all)
{
    const struct control_kill order = {.order = "",
                                       .session = id,
                                       .identity = identity,
                                       .resource = resource,
                                       .all = all,
                                       .ordered_by = "alice",
                                       .reason = ""};
    return session_is_meant(s, &order);
}

static void test_an_order_before_the_grant(void **state)
{
    struct fixture *f = *state;
    f->control.silent = true;
    log_in(f);
    UNTIL(f, f->control.asked == 1);
    struct session *s = the_session(f);
    /* Who the agent is, is not known yet. */
    assert_false(is_meant(s, "", "agent-7", "", false));
    assert_true(is_meant(s, "", "", "shop", false));
    assert_true(is_meant(s, "", "", "", true));
    kill_session(s, "alice", "");
    UNTIL(f, sessions(f) == 0);
}

static void test_whom_an_order_is_about(void **state)
{
    struct fixture *f = *state;
    f->shared->times.second = 30;
    start_running(f);
    struct session *s = the_session(f);
    assert_true(is_meant(s, "", "agent-7", "", false));
    assert_true(is_meant(s, session_id(s), "", "", false));
    assert_false(is_meant(s, "", "agent-70", "", false));
    assert_false(is_meant(s, "", "agent", "", false));
    assert_false(is_meant(s, "", "", "another", false));
    assert_false(is_meant(s, "another", "", "", false));
    assert_false(is_meant(s, "", "", "", false));
    kill_session(s, "alice", "");
    assert_false(is_meant(s, "", "", "", true)); /* it has ended */
    UNTIL(f, sessions(f) == 0);
}

static void test_a_second_connection_has_an_end(void **state)
{
    struct fixture *f = *state;
    f->shared->times.second = 30;
    start_running(f);
    kill_session(the_session(f), "alice", "");
    UNTIL(f, sessions(f) == 0); /* the target never closes it */
    UNTIL(f, f->second.closed);
}

static void test_a_second_connection_beside_the_first(void **state)
{
    struct fixture *f = *state;
    start_running(f);
    for (int i = 0; i < 3; i++) {
        fixture_say(&f->agent, "second\nsecond\n"); /* one at a time */
        UNTIL(f, fixture_heard(&f->second, "cancel\n"));
        fixture_hang_up(&f->second);
        f->second.got[0] = '\0';
        fixture_settle(f);
    }
    assert_int_equal(f->metrics.cancels, 3);
    fixture_say(&f->target, "ok\n");
    UNTIL(f, fixture_heard(&f->agent, "ok\n"));
}

/* The target does not accept it (no answer at all, or a refusal): the session goes on. */
static void test_a_second_connection_that_fails(void **state)
{
    struct fixture *f = *state;
    start_running(f);
    (void)close(f->listening);
    f->listening = open("/dev/null", O_RDONLY | O_CLOEXEC);
    fixture_say(&f->agent, "second\n");
    fixture_settle(f);
    assert_int_equal(f->failed, 0);
    fixture_say(&f->target, "ok\n");
    UNTIL(f, fixture_heard(&f->agent, "ok\n"));
}

static void test_a_kill_during_the_login(void **state)
{
    struct fixture *f = *state;
    f->control.silent = true;
    log_in(f);
    UNTIL(f, f->control.asked == 1);
    kill_session(the_session(f), "alice", "");
    UNTIL(f, f->agent.closed);
    assert_string_equal(f->agent.got, "terminated: the session was ended by alice\n");
    assert_int_equal(f->control.cancelled, 1);
    UNTIL(f, sessions(f) == 0);
    fixture_expect_records(f, "opened deny killed");
}

static void test_a_shutdown_ends_idle_sessions_at_once(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    f->shared->draining = true;
    session_drain(the_session(f));
    UNTIL(f, f->agent.closed);
    assert_int_equal(f->terminate_code, ERR_CLOSED);
    UNTIL(f, f->empties == 1);
    fixture_expect_records(f, "opened allow; closed shutdown");
}

static void test_a_shutdown_lets_an_operation_end(void **state)
{
    struct fixture *f = *state;
    start_running(f);
    f->shared->draining = true;
    session_drain(the_session(f));
    fixture_settle(f);
    assert_int_equal(sessions(f), 1);
    assert_int_equal(f->terminated, 0);
    fixture_say(&f->target, "ok\n");
    UNTIL(f, f->agent.closed);
    assert_true(fixture_heard(&f->agent, "ok\nterminated: the sidecar is shutting down\n"));
    UNTIL(f, f->empties == 1);
    fixture_expect_records(f, "opened allow; intent do process 1; outcome success; "
                              "closed shutdown");
}

static void test_a_shutdown_ends_logins_at_once(void **state)
{
    struct fixture *f = *state;
    f->control.silent = true;
    log_in(f);
    UNTIL(f, f->control.asked == 1);
    f->shared->draining = true;
    session_drain(the_session(f));
    UNTIL(f, f->empties == 1);
    assert_int_equal(f->terminate_code, ERR_CLOSED);
}

static void test_an_abort_does_not_wait(void **state)
{
    struct fixture *f = *state;
    start_running(f);
    f->shared->draining = true;
    session_drain(the_session(f));
    session_abort(the_session(f));
    UNTIL(f, f->agent.closed);
    UNTIL(f, fixture_heard(&f->second, "cancel\n"));
    fixture_hang_up(&f->second);
    UNTIL(f, f->empties == 1);
    fixture_expect_records(f, "opened allow; intent do process 1; outcome unknown; "
                              "closed shutdown");
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
    UNTIL(f, sessions(f) == 1);
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
        CASE(test_who_is_refused_hears_why),
        CASE(test_a_control_plane_that_cannot_be_asked),
        CASE(test_a_grant_that_cannot_be_used),
        CASE(test_a_target_with_too_long_a_name),
        CASE(test_no_token_no_session),
        CASE(test_a_token_in_band),
        CASE(test_an_agent_that_says_nothing),
        CASE(test_a_control_plane_that_says_nothing),
        CASE(test_an_open_session_has_no_login_timeout),
        CASE(test_a_target_that_is_not_there),
        CASE(test_what_is_not_durable_does_not_leave),
        CASE(test_the_fleet_must_have_it),
        CASE(test_levels_that_follow_each_other),
        CASE(test_a_disk_that_fails_lets_nothing_through),
        CASE(test_what_is_not_durable_in_time_never_leaves),
        CASE(test_a_gate_that_opens_in_time_has_no_late_effect),
        CASE(test_an_agent_that_goes_while_the_gate_is_closed),
        CASE(test_what_is_provisional_does_not_wait),
        CASE(test_what_follows_it_waits_for_all_of_it),
        CASE(test_what_is_settled_is_waited_for_once),
        CASE(test_behind_a_gate_provisional_operations_wait_too),
        CASE(test_what_a_rule_asks_for_counts_for_each),
        CASE(test_a_disk_that_fails_ends_what_is_provisional),
        CASE(test_a_held_operation_waits_for_what_is_provisional),
        CASE(test_what_cannot_be_recorded_does_not_happen),
        CASE(test_no_session_without_room_for_its_record),
        CASE(test_bytes_that_wait_are_offered_again),
        CASE(test_both_sides_may_wait_for_each_other),
        CASE(test_a_message_has_a_longest_length),
        CASE(test_a_slow_agent_stops_the_target),
        CASE(test_a_slow_target_stops_the_agent),
        CASE(test_an_agent_that_does_not_read_its_refusals),
        CASE(test_the_protocol_may_close_in_every_callback),
        CASE(test_close_flushes_what_was_written),
        CASE(test_a_target_that_goes),
        CASE(test_another_connection_to_the_target),
        CASE(test_answers_are_awaited_when_the_agent_has_gone),
        CASE(test_an_agent_that_stops_reading_for_good),
        CASE(test_answers_are_not_awaited_for_ever),
        CASE(test_a_kill_stops_what_runs),
        CASE(test_a_second_connection_has_an_end),
        CASE(test_whom_an_order_is_about),
        CASE(test_an_order_before_the_grant),
        CASE(test_a_second_connection_beside_the_first),
        CASE(test_a_second_connection_that_fails),
        CASE(test_a_kill_during_the_login),
        CASE(test_a_shutdown_ends_idle_sessions_at_once),
        CASE(test_a_shutdown_lets_an_operation_end),
        CASE(test_a_shutdown_ends_logins_at_once),
        CASE(test_an_abort_does_not_wait),
        CASE(test_a_key_reaches_its_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

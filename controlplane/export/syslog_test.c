/* Jobs that send to a syslog receiver: one of our own, on loopback TCP. TLS is tested end to end
 * with rsyslog. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controlplane/export/export_fixture.h"

enum { ACCEPT_MS = 60000 };

/* Far below the minute that a receiver is given, far above what a busy machine takes. */
#define ENDS_WITHIN_NS INT64_C(20000000000)

struct receiver {
    int listener, fd;
    int port;
    struct buffer got;
};

/* It has a port, and refuses connections. */
static struct receiver receiver_away(void)
{
    struct receiver r = {.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .fd = -1};
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(r.listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(r.listener, (struct sockaddr *)&address, &size), 0);
    r.port = ntohs(address.sin_port);
    buffer_init(&r.got, 64 << 20);
    return r;
}

static struct receiver start_receiver(void)
{
    struct receiver r = receiver_away();
    assert_int_equal(listen(r.listener, 8), 0);
    return r;
}

static void accept_one(struct receiver *r)
{
    struct pollfd p = {.fd = r->listener, .events = POLLIN};
    assert_int_equal(poll(&p, 1, ACCEPT_MS), 1);
    r->fd = accept(r->listener, NULL, NULL);
    assert_true(r->fd >= 0);
    buffer_clear(&r->got);
}

static void hang_up(struct receiver *r)
{
    if (r->fd >= 0) {
        (void)close(r->fd);
        r->fd = -1;
    }
}

static void end_receiver(struct receiver *r)
{
    hang_up(r);
    (void)close(r->listener);
    buffer_finish(&r->got);
}

/* Reads until this is in what arrived. */
static void await_text(struct receiver *r, const char *text)
{
    struct pollfd p = {.fd = r->fd, .events = POLLIN};
    for (;;) {
        char *all = bytes_to_string(buffer_bytes(&r->got));
        bool found = strstr(all, text) != NULL;
        free(all);
        if (found) {
            return;
        }
        assert_int_equal(poll(&p, 1, ACCEPT_MS), 1);
        uint8_t *room = buffer_reserve(&r->got, 1 << 16);
        assert_non_null(room);
        ssize_t n = read(r->fd, room, 1 << 16);
        assert_true(n > 0);
        buffer_commit(&r->got, (size_t)n);
    }
}

/* The frames that arrived, by their counts; each begins with a priority. */
static size_t count_frames(struct receiver *r)
{
    struct bytes all = buffer_bytes(&r->got);
    size_t frames = 0;
    while (all.size > 0) {
        char *rest = NULL;
        char digits[24] = "";
        memcpy(digits, all.data, all.size < 20 ? all.size : 20);
        size_t size = strtoul(digits, &rest, 10);
        size_t skip = (size_t)(rest - digits) + 1;
        assert_int_equal(*rest, ' ');
        assert_true(skip + size <= all.size);
        assert_memory_equal(all.data + skip, "<1", 2);
        all = bytes_of(all.data + skip + size, all.size - skip - size);
        frames++;
    }
    return frames;
}

static void configure(struct test *t, const struct receiver *r, const char *more)
{
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "- {name: s, from: beginning, syslog: {address: '127.0.0.1:%d', tls: {mode: "
                   "disable}%s}}\n",
                   r->port, more);
    export_configure(t, text);
}

static void each_record_is_a_frame(void **state)
{
    struct test *t = *state;
    struct receiver r = start_receiver();
    export_ship(t, "a", 3);
    configure(t, &r, ", hostname: h");
    accept_one(&r);
    await_text(&r, "\"position\":4,");
    assert_int_equal(count_frames(&r), 4);
    export_ship(t, "b", 1); /* as it arrives, on the same connection */
    await_text(&r, "\"position\":6,");
    assert_int_equal(count_frames(&r), 6);
    export_await_position(t, 6);
    export_end(t);
    end_receiver(&r);
}

/* The receiver's system had taken the bytes, the receiver never read them. */
static void what_was_not_read_before_the_end_is_sent_again(void **state)
{
    struct test *t = *state;
    struct receiver r = start_receiver();
    export_ship(t, "a", 2);
    configure(t, &r, "");
    accept_one(&r);
    while (export_first(t).status.records < 3) {
        (void)usleep(1000);
    }
    assert_int_equal(export_first(t).status.position, 0);
    hang_up(&r);
    accept_one(&r);
    await_text(&r, "\"position\":3,");
    assert_int_equal(count_frames(&r), 3);
    export_await_position(t, 3);
    end_receiver(&r);
}

static void a_receiver_that_is_away_is_tried_again(void **state)
{
    struct test *t = *state;
    struct receiver r = receiver_away();
    export_ship(t, "a", 1);
    configure(t, &r, "");
    export_await_state(t, EXPORT_FAILING);
    assert_non_null(strstr(export_first(t).status.error.text, "Connection refused"));
    assert_int_equal(listen(r.listener, 8), 0);
    accept_one(&r);
    await_text(&r, "\"position\":2,");
    export_await_position(t, 2);
    end_receiver(&r);
}

static void a_name_that_nobody_has_is_a_reason(void **state)
{
    struct test *t = *state;
    export_ship(t, "a", 1);
    export_configure(t, "- {name: s, from: beginning, syslog: {address: 'nobody.invalid:6514', "
                        "timeout: 2s}}\n");
    export_await_state(t, EXPORT_FAILING);
    assert_non_null(strstr(export_first(t).status.error.text, "nobody.invalid"));
    assert_non_null(strstr(export_first(t).status.error.text, "resolved"));
}

static void a_receiver_that_stops_reading_is_a_failure_and_no_obstacle(void **state)
{
    struct test *t = *state;
    struct receiver r = start_receiver();
    configure(t, &r, ", timeout: 1s");
    export_ship(t, "a", 10000); /* far more than the sockets' buffers */
    accept_one(&r);
    export_await_state(t, EXPORT_FAILING);
    assert_non_null(strstr(export_first(t).status.error.text, "takes no records"));
    assert_true(export_first(t).status.position < 10001);
    const struct clock clock = clock_system();
    int64_t began = clock_monotonic(&clock);
    export_end(t);
    assert_true(clock_monotonic(&clock) - began < ENDS_WITHIN_NS);
    end_receiver(&r);
}

static void it_ends_while_a_receiver_takes_nothing(void **state)
{
    struct test *t = *state;
    struct receiver r = start_receiver();
    configure(t, &r, ", timeout: 60s");
    export_ship(t, "a", 10000);
    accept_one(&r);
    (void)usleep(500000); /* it waits for room now */
    const struct clock clock = clock_system();
    int64_t began = clock_monotonic(&clock);
    export_end(t);
    assert_true(clock_monotonic(&clock) - began < ENDS_WITHIN_NS);
    end_receiver(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPORT_TEST(each_record_is_a_frame),
        EXPORT_TEST(what_was_not_read_before_the_end_is_sent_again),
        EXPORT_TEST(a_receiver_that_is_away_is_tried_again),
        EXPORT_TEST(a_name_that_nobody_has_is_a_reason),
        EXPORT_TEST(a_receiver_that_stops_reading_is_a_failure_and_no_obstacle),
        EXPORT_TEST(it_ends_while_a_receiver_takes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

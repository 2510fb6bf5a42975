#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/servers.h"

static void test_each_is_checked(void **state)
{
    (void)state;
    static const char *const good[] = {"a:1", "a.example:7443,b:65535", "[::1]:7,127.0.0.1:8",
                                       "a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1"};
    static const char *const bad[] = {"",
                                      "a",
                                      "a:",
                                      ":1",
                                      "a:1,",
                                      ",a:1",
                                      "a:0",
                                      "a:65536",
                                      "a:1,b",
                                      "a:1,,b:2",
                                      "a:+1",
                                      "a:1x",
                                      "a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(servers_are_valid(good[i]));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (servers_are_valid(bad[i])) {
            fail_msg("\"%s\" is taken", bad[i]);
        }
    }
}

/* On a port of its own; `listens`: connections are taken. */
static int open_port(bool listens, int *out_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    if (listens) {
        assert_int_equal(listen(fd, 4), 0);
    }
    *out_port = ntohs(address.sin_port);
    return fd;
}

static void test_the_first_that_answers_is_taken(void **state)
{
    (void)state;
    char text[128], expected[64], chosen[SERVERS_ADDRESS_SIZE];
    int closed_port = 0, open_1 = 0, open_2 = 0;
    int closed = open_port(false, &closed_port), one = open_port(true, &open_1),
        two = open_port(true, &open_2);
    (void)snprintf(text, sizeof(text), "127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d", closed_port,
                   open_1, open_2);
    (void)snprintf(expected, sizeof(expected), "127.0.0.1:%d", open_1);
    servers_choose(text, chosen);
    assert_string_equal(chosen, expected);
    assert_int_equal(close(one), 0);
    (void)snprintf(expected, sizeof(expected), "127.0.0.1:%d", open_2);
    servers_choose(text, chosen);
    assert_string_equal(chosen, expected);
    assert_int_equal(close(two), 0);
    (void)snprintf(expected, sizeof(expected), "127.0.0.1:%d", closed_port);
    servers_choose(text, chosen); /* none: whoever calls says why */
    assert_string_equal(chosen, expected);
    servers_choose("nowhere.invalid:1", chosen); /* not looked up */
    assert_string_equal(chosen, "nowhere.invalid:1");
    assert_int_equal(close(closed), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_is_checked),
        cmocka_unit_test(test_the_first_that_answers_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

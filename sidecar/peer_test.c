/* Who is at the other end: of a unix socket and of a TCP connection to ourselves and a child. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sidecar/peer.h"

static void own_executable(char *out, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    assert_true(n > 0);
    out[n] = '\0';
}

static void test_a_unix_socket(void **state)
{
    (void)state;
    struct holders *holders = holders_create();
    int ends[2];
    struct peer peer;
    char executable[PEER_EXECUTABLE_MAX];
    own_executable(executable, sizeof(executable));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(peer_find(holders, ends[0], &peer), OK);
    assert_int_equal(peer.pid, getpid());
    assert_int_equal(peer.uid, getuid());
    assert_int_equal(peer.gid, getgid());
    assert_string_equal(peer.executable, executable);
    (void)close(ends[0]);
    (void)close(ends[1]);
    holders_destroy(holders);
}

struct addresses {
    struct sockaddr_storage listening;
    socklen_t size;
};

static int listen_on(int family, struct addresses *out)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr *address =
        family == AF_INET ? (const struct sockaddr *)&v4 : (const struct sockaddr *)&v6;
    out->size = family == AF_INET ? sizeof(v4) : sizeof(v6);
    if (fd < 0 || bind(fd, address, out->size) != 0 || listen(fd, 4) != 0 ||
        getsockname(fd, (struct sockaddr *)&out->listening, &out->size) != 0) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return -1; /* a host without IPv6 */
    }
    return fd;
}

static void check_own_tcp(int family)
{
    struct holders *holders = holders_create();
    struct addresses a;
    struct peer peer;
    char executable[PEER_EXECUTABLE_MAX];
    int listening = listen_on(family, &a);
    if (listening < 0 && family == AF_INET6) {
        holders_destroy(holders);
        return;
    }
    assert_true(listening >= 0);
    int client = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (const struct sockaddr *)&a.listening, a.size), 0);
    int accepted = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    assert_true(accepted >= 0);
    own_executable(executable, sizeof(executable));
    assert_int_equal(peer_find(holders, accepted, &peer), OK);
    assert_int_equal(peer.pid, getpid());
    assert_int_equal(peer.uid, getuid());
    assert_string_equal(peer.executable, executable);
    (void)close(client);
    (void)close(accepted);
    (void)close(listening);
    holders_destroy(holders);
}

static void test_tcp_to_ourselves(void **state)
{
    (void)state;
    check_own_tcp(AF_INET);
    check_own_tcp(AF_INET6);
}

/* Another process, which is not us: its own pid is found. */
static void test_tcp_from_a_child(void **state)
{
    (void)state;
    struct holders *holders = holders_create();
    struct addresses a;
    struct peer peer;
    int listening = listen_on(AF_INET, &a);
    assert_true(listening >= 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (const struct sockaddr *)&a.listening, a.size) != 0) {
            _exit(1);
        }
        (void)pause();
        _exit(0);
    }
    int accepted = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    assert_true(accepted >= 0);
    enum err e = peer_find(holders, accepted, &peer);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    assert_int_equal(e, OK);
    assert_int_equal(peer.pid, child);
    (void)close(accepted);
    (void)close(listening);
    holders_destroy(holders);
}

static void test_what_is_no_connection_has_no_peer(void **state)
{
    (void)state;
    struct holders *holders = holders_create();
    int ends[2];
    struct peer peer;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(peer_find(holders, ends[0], &peer), ERR_NOT_FOUND);
    assert_int_equal(peer.pid, -1);
    assert_int_equal(peer.uid, -1);
    assert_string_equal(peer.executable, "");
    int unconnected = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(peer_find(holders, unconnected, &peer), ERR_NOT_FOUND);
    (void)close(unconnected);
    (void)close(ends[0]);
    (void)close(ends[1]);
    holders_destroy(holders);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_unix_socket),
        cmocka_unit_test(test_tcp_to_ourselves),
        cmocka_unit_test(test_tcp_from_a_child),
        cmocka_unit_test(test_what_is_no_connection_has_no_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

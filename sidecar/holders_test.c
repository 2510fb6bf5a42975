/* Who holds a socket: exact, whatever is remembered; and cheap for an agent with many. */
#include "sidecar/holders.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { SOCKETS = 300, OTHERS = 400, SPREAD = 3 };

static uint32_t inode_of(int fd)
{
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    return (uint32_t)status.st_ino;
}

/* A process of its own that opens sockets behind many other descriptors. */
struct agent {
    pid_t pid;
    int commands, inodes;
};

static void serve(int commands, int inodes)
{
    char order;
    for (int i = 0; i < OTHERS; i++) {
        (void)open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    int fd = -1;
    while (read(commands, &order, 1) == 1) {
        if (order == 'c') {
            (void)close(fd);
        } else {
            fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        }
        struct stat status = {0};
        uint32_t inode = fstat(fd, &status) == 0 ? (uint32_t)status.st_ino : 0;
        if (write(inodes, &inode, sizeof(inode)) != (ssize_t)sizeof(inode)) {
            break;
        }
    }
    _exit(0);
}

static struct agent start_agent(void)
{
    int down[2], up[2];
    assert_int_equal(pipe2(down, O_CLOEXEC), 0);
    assert_int_equal(pipe2(up, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(down[1]);
        (void)close(up[0]);
        serve(down[0], up[1]);
    }
    (void)close(down[0]);
    (void)close(up[1]);
    return (struct agent){.pid = pid, .commands = down[1], .inodes = up[0]};
}

static void stop_agent(struct agent *a)
{
    (void)close(a->commands);
    (void)close(a->inodes);
    (void)kill(a->pid, SIGKILL);
    assert_int_equal(waitpid(a->pid, NULL, 0), a->pid);
}

static uint32_t order(const struct agent *a, char what)
{
    uint32_t inode = 0;
    assert_int_equal(write(a->commands, &what, 1), 1);
    assert_int_equal(read(a->inodes, &inode, sizeof(inode)), sizeof(inode));
    return inode;
}

static uint32_t open_one(const struct agent *a)
{
    uint32_t inode = order(a, 'o');
    assert_int_not_equal(inode, 0);
    return inode;
}

/* ---- exact ---- */

static void test_each_socket_has_its_own_process(void **state)
{
    (void)state;
    struct holders *h = holders_create();
    struct agent a = start_agent();
    struct agent b = start_agent();
    for (int i = 0; i < 20; i++) {
        uint32_t first = open_one(&a);
        uint32_t second = open_one(&b);
        assert_int_equal(holders_find(h, first, getuid()), a.pid);
        assert_int_equal(holders_find(h, second, getuid()), b.pid);
    }
    int own = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(holders_find(h, inode_of(own), getuid()), getpid());
    (void)close(own);
    stop_agent(&a);
    stop_agent(&b);
    holders_destroy(h);
}

/* What is remembered is never the answer. */
static void test_one_that_is_gone_is_not_found(void **state)
{
    (void)state;
    struct holders *h = holders_create();
    struct agent a = start_agent();
    uint32_t inode = open_one(&a);
    assert_int_equal(holders_find(h, inode, getuid()), a.pid);
    assert_int_equal(order(&a, 'c'), 0);
    assert_int_equal(holders_find(h, inode, getuid()), -1);
    uint32_t another = open_one(&a); /* the same descriptor */
    assert_int_equal(holders_find(h, inode, getuid()), -1);
    assert_int_equal(holders_find(h, another, getuid()), a.pid);
    stop_agent(&a);
    assert_int_equal(holders_find(h, another, getuid()), -1);
    holders_destroy(h);
}

/* A process of another user is not looked into, also when it is remembered. */
static void test_of_another_user_is_not_found(void **state)
{
    (void)state;
    if (getuid() == 0) {
        return; /* root's processes are looked into for anybody */
    }
    struct holders *h = holders_create();
    int own = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(holders_find(h, inode_of(own), getuid()), getpid());
    assert_int_equal(holders_find(h, inode_of(own), (int64_t)getuid() + 1), -1);
    (void)close(own);
    holders_destroy(h);
}

static void test_what_is_no_socket_has_no_holder(void **state)
{
    (void)state;
    struct holders *h = holders_create();
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(holders_find(h, inode_of(ends[0]), getuid()), -1);
    assert_int_equal(holders_find(h, 0, getuid()), -1);
    (void)close(ends[0]);
    (void)close(ends[1]);
    holders_destroy(h);
    holders_destroy(NULL);
}

/* ---- cheap ---- */

static void test_many_at_once_cost_one_pass(void **state)
{
    (void)state;
    struct holders *h = holders_create();
    struct agent a = start_agent();
    uint32_t inodes[SOCKETS];
    for (int i = 0; i < SOCKETS; i++) {
        inodes[i] = open_one(&a);
    }
    assert_int_equal(holders_find(h, inodes[SOCKETS / 2], getuid()), a.pid);
    uint64_t before = holders_links(h);
    for (int i = 0; i < SOCKETS; i++) {
        assert_int_equal(holders_find(h, inodes[i], getuid()), a.pid);
    }
    /* Another process's may have taken a place. */
    assert_true(holders_links(h) - before < SPREAD * SOCKETS);
    stop_agent(&a);
    holders_destroy(h);
}

static void test_one_after_the_other_is_near(void **state)
{
    (void)state;
    struct holders *h = holders_create();
    struct agent a = start_agent();
    assert_int_equal(holders_find(h, open_one(&a), getuid()), a.pid);
    uint64_t before = holders_links(h);
    for (int i = 0; i < SOCKETS; i++) {
        assert_int_equal(holders_find(h, open_one(&a), getuid()), a.pid);
    }
    assert_true(holders_links(h) - before <= SPREAD * SOCKETS);
    stop_agent(&a);
    holders_destroy(h);
}

/* One that just began does not wait for the many descriptors of those that came before it. */
static void test_a_new_process_is_looked_at_first(void **state)
{
    (void)state;
    struct holders *h = holders_create();
    struct agent a = start_agent();
    uint32_t inode = 0;
    for (int i = 0; i < SOCKETS; i++) {
        inode = open_one(&a);
    }
    assert_int_equal(holders_find(h, inode, getuid()), a.pid);
    struct agent b = start_agent();
    uint64_t before = holders_links(h);
    assert_int_equal(holders_find(h, open_one(&b), getuid()), b.pid);
    uint64_t links = holders_links(h) - before;
    if (b.pid > a.pid) { /* process ids may begin again */
        assert_true(links < OTHERS + SOCKETS);
    }
    stop_agent(&a);
    stop_agent(&b);
    holders_destroy(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_socket_has_its_own_process),
        cmocka_unit_test(test_one_that_is_gone_is_not_found),
        cmocka_unit_test(test_of_another_user_is_not_found),
        cmocka_unit_test(test_what_is_no_socket_has_no_holder),
        cmocka_unit_test(test_many_at_once_cost_one_pass),
        cmocka_unit_test(test_one_after_the_other_is_near),
        cmocka_unit_test(test_a_new_process_is_looked_at_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/hardening/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hardening/child.h"
#include "base/hardening/hardening.h"

/* Codes of the children. */
enum { REFUSED = 0, ALLOWED = 1, NO_FILTER = 2, OTHER_ERROR = 3 };

static bool enter(void)
{
    return confine_enter(CONFINE_ENFORCE, CONFINE_SIDECAR, NULL) == OK;
}

static int refused(bool failed)
{
    return !failed ? ALLOWED : errno == EPERM ? REFUSED : OTHER_ERROR;
}

/* --- what ends the process ---------------------------------------------------------------------
 */

static int run_a_program(void)
{
    char *argv[] = {(char *)"true", NULL};
    return enter() ? (void)execv("/bin/true", argv), ALLOWED : NO_FILTER;
}

static int trace_itself(void)
{
    return enter() ? (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL), ALLOWED : NO_FILTER;
}

static int read_its_parent(void)
{
    return enter() ? (void)syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0),
           ALLOWED : NO_FILTER;
}

static int load_a_program_into_the_kernel(void)
{
    return enter() ? (void)syscall(SYS_bpf, 0, NULL, 0), ALLOWED : NO_FILTER;
}

static int mount_something(void)
{
    return enter() ? (void)syscall(SYS_mount, "none", "/", "tmpfs", 0, NULL), ALLOWED : NO_FILTER;
}

static int ask_for_a_key(void)
{
    return enter() ? (void)syscall(SYS_keyctl, 0, 0, 0, 0, 0), ALLOWED : NO_FILTER;
}

static int start_io_uring(void)
{
    return enter() ? (void)syscall(SYS_io_uring_setup, 1, NULL), ALLOWED : NO_FILTER;
}

static int take_a_descriptor(void)
{
    return enter() ? (void)syscall(SYS_pidfd_getfd, -1, 0, 0), ALLOWED : NO_FILTER;
}

static int leave_its_namespace(void)
{
    return enter() ? (void)syscall(SYS_unshare, 0), ALLOWED : NO_FILTER;
}

static void test_an_intruder_s_calls_end_the_process(void **state)
{
    static int (*const calls[])(void) = {
        run_a_program,       trace_itself,  read_its_parent, load_a_program_into_the_kernel,
        mount_something,     ask_for_a_key, start_io_uring,  take_a_descriptor,
        leave_its_namespace,
    };
    (void)state;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        assert_int_equal(child_run(calls[i]), -SIGSYS);
    }
}

/* --- what is refused ---------------------------------------------------------------------------
 */

static int fork_itself(void)
{
    return enter() ? refused(fork() < 0) : NO_FILTER;
}

static int spawn_a_program(void)
{
    char *argv[] = {(char *)"true", NULL};
    pid_t pid = 0;
    return !enter()                                                          ? NO_FILTER
           : posix_spawn(&pid, "/bin/true", NULL, NULL, argv, NULL) == EPERM ? REFUSED
                                                                             : ALLOWED;
}

static int run_what_it_wrote(void)
{
    if (!enter()) {
        return NO_FILTER;
    }
    void *both =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (both != MAP_FAILED || errno != EPERM) {
        return ALLOWED;
    }
    void *written = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return written == MAP_FAILED ? OTHER_ERROR
                                 : refused(mprotect(written, 4096, PROT_READ | PROT_EXEC) != 0);
}

static int signal_its_parent(void)
{
    return enter() ? refused(kill(getppid(), 0) != 0) : NO_FILTER;
}

static int be_dumped_again(void)
{
    return enter() ? refused(prctl(PR_SET_DUMPABLE, 1) != 0) : NO_FILTER;
}

static int listen_to_the_host(void)
{
    return enter() ? refused(socket(AF_PACKET, SOCK_RAW, 0) < 0 &&
                             socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, 1) < 0)
                   : NO_FILTER;
}

static int type_into_the_terminal(void)
{
    return enter() ? refused(ioctl(0, TIOCSTI, "x") != 0) : NO_FILTER;
}

static int change_a_limit(void)
{
    struct rlimit limit = {0};
    return enter()
               ? refused(getrlimit(RLIMIT_CORE, &limit) == 0 && setrlimit(RLIMIT_CORE, &limit) != 0)
               : NO_FILTER;
}

static int call_what_is_not_listed(void)
{
    return enter() ? refused(syscall(SYS_vhangup) != 0) : NO_FILTER;
}

static void test_what_is_not_needed_is_refused(void **state)
{
    static int (*const calls[])(void) = {
        fork_itself,       spawn_a_program,        run_what_it_wrote,
        signal_its_parent, be_dumped_again,        listen_to_the_host,
        change_a_limit,    type_into_the_terminal, call_what_is_not_listed,
    };
    (void)state;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        assert_int_equal(child_run(calls[i]), REFUSED);
    }
}

/* --- what still works --------------------------------------------------------------------------
 */

static void *nothing(void *context)
{
    return context;
}

static int work(void)
{
    char byte = 'x';
    int ends[2];
    pthread_t thread;
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    if (!enter()) {
        return NO_FILTER;
    }
    bool works = pthread_create(&thread, NULL, nothing, NULL) == 0 &&
                 pthread_join(thread, NULL) == 0 && pipe2(ends, O_CLOEXEC) == 0 &&
                 write(ends[1], &byte, 1) == 1 && read(ends[0], &byte, 1) == 1 &&
                 socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) >= 0 &&
                 open("/etc/hostname", O_RDONLY) >= 0 &&
                 getaddrinfo("localhost", "5432", &hints, &found) == 0;
    return works ? ALLOWED : OTHER_ERROR;
}

static void test_threads_files_and_names_are_left(void **state)
{
    (void)state;
    assert_int_equal(child_run(work), ALLOWED);
}

static int abort_itself(void)
{
    if (!enter()) {
        return NO_FILTER;
    }
    abort();
}

static void test_a_bug_still_ends_as_one(void **state)
{
    (void)state;
    assert_int_equal(child_run(abort_itself), -SIGABRT);
}

static int log_only(void)
{
    return confine_enter(CONFINE_LOG, CONFINE_CONTROLPLANE, NULL) != OK ? NO_FILTER
           : kill(getppid(), 0) == 0                                    ? ALLOWED
                                                                        : REFUSED;
}

static int off(void)
{
    return confine_enter(CONFINE_OFF, CONFINE_CONTROLPLANE, NULL) == OK &&
                   prctl(PR_GET_SECCOMP) == 0
               ? ALLOWED
               : REFUSED;
}

static void test_the_other_modes_refuse_nothing(void **state)
{
    (void)state;
    assert_int_equal(child_run(log_only), ALLOWED);
    assert_int_equal(child_run(off), ALLOWED);
    assert_string_equal(confine_name(CONFINE_OFF), "off");
}

/* Another thread's calls are confined as well as those of the one that asked. */
static void *wait_and_fork(void *context)
{
    int *ends = context;
    char byte;
    int *code = &ends[2];
    *code = read(ends[0], &byte, 1) == 1 ? refused(fork() < 0) : OTHER_ERROR;
    return NULL;
}

static int confine_a_thread_from_before(void)
{
    int ends[3] = {0};
    pthread_t thread;
    if (pipe2(ends, O_CLOEXEC) != 0 || pthread_create(&thread, NULL, wait_and_fork, ends) != 0 ||
        !enter() || write(ends[1], "x", 1) != 1 || pthread_join(thread, NULL) != 0) {
        return NO_FILTER;
    }
    return ends[2];
}

static void test_threads_that_are_there_are_confined_too(void **state)
{
    (void)state;
    assert_int_equal(child_run(confine_a_thread_from_before), REFUSED);
}

static void test_a_sanitizer_is_said(void **state)
{
    (void)state;
    assert_string_equal(confine_name(CONFINE_ENFORCE), "off (sanitizer)");
}

int main(void)
{
    const struct CMUnitTest sanitized[] = {cmocka_unit_test(test_a_sanitizer_is_said)};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_intruder_s_calls_end_the_process),
        cmocka_unit_test(test_what_is_not_needed_is_refused),
        cmocka_unit_test(test_threads_files_and_names_are_left),
        cmocka_unit_test(test_a_bug_still_ends_as_one),
        cmocka_unit_test(test_the_other_modes_refuse_nothing),
        cmocka_unit_test(test_threads_that_are_there_are_confined_too),
    };
    return hardening_is_sanitized() ? cmocka_run_group_tests(sanitized, NULL, NULL)
                                    : cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/hardening/hardening.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hardening/child.h"

enum { WELL = 0 };

static int forbid_dumps(void)
{
    struct rlimit core = {1, 1};
    hardening_forbid_dumps();
    return getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_cur != 0 || core.rlim_max != 0 ? 1
           : !hardening_is_sanitized() && prctl(PR_GET_DUMPABLE) != 0                     ? 2
                                                                                          : WELL;
}

static void test_there_is_no_dump(void **state)
{
    (void)state;
    assert_int_equal(child_run(forbid_dumps), WELL);
}

/* `expected`: the number of the first thing that is not as it should be. */
static int as_nobody(void)
{
    char capabilities[HARDENING_CAPABILITIES_SIZE];
    struct stat made;
    gid_t groups[16];
    /* What it had must not be left. */
    const gid_t extra[] = {0, 4, 42};
    const struct hardening_options options = {.user = "nobody", .keep = UINT64_MAX};
    if (setgroups(3, extra) != 0 || hardening_drop(&options, NULL) != OK) {
        return 1;
    }
    if (getuid() == 0 || geteuid() == 0 || getegid() == 0 || setuid(0) == 0 || seteuid(0) == 0) {
        return 2;
    }
    int count = getgroups(16, groups);
    for (int i = 0; i < count; i++) {
        if (groups[i] == 0 || groups[i] == 4 || groups[i] == 42) {
            return 3;
        }
    }
    hardening_capabilities(capabilities);
    if (strcmp(capabilities, "none") != 0 || prctl(PR_CAPBSET_READ, 0) != 0) {
        return 4;
    }
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 ||
        (!hardening_is_sanitized() && prctl(PR_GET_DUMPABLE) != 0)) {
        return 5; /* a change of the user makes a process dumpable again */
    }
    return count < 0 || umask(0) != 027 || fstat(0, &made) != 0 ? 6 : WELL;
}

static int only_a_port(void)
{
    char capabilities[HARDENING_CAPABILITIES_SIZE];
    const struct hardening_options options = {.keep = 1 << 10 /* CAP_NET_BIND_SERVICE */};
    if (hardening_drop(&options, NULL) != OK) {
        return 1;
    }
    hardening_capabilities(capabilities);
    return strcmp(capabilities, "0000000000000400") == 0 ? WELL : 2;
}

static void test_root_becomes_a_user(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    assert_int_equal(child_run(as_nobody), WELL);
    assert_int_equal(child_run(only_a_port), WELL);
}

static void expect_refused(const char *user, enum err expected, const char *said)
{
    struct err_text why = {0};
    const struct hardening_options options = {.user = user};
    pid_t pid = fork();
    if (pid == 0) {
        enum err e = hardening_drop(&options, &why);
        _exit(e == expected && strstr(why.text, said) != NULL ? WELL : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_users_that_it_does_not_become(void **state)
{
    (void)state;
    expect_refused("no-such-user-of-any-host", ERR_NOT_FOUND, "does not exist");
    expect_refused("root", ERR_DENIED, "is root");
}

static int nobody_becomes_daemon(void)
{
    const struct hardening_options first = {.user = "nobody"}, second = {.user = "daemon"};
    return hardening_drop(&first, NULL) == OK && hardening_drop(&second, NULL) == ERR_DENIED &&
                   hardening_drop(&first, NULL) == OK
               ? WELL
               : 1;
}

static void test_a_user_stays_what_it_is(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    assert_int_equal(child_run(nobody_becomes_daemon), WELL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_is_no_dump),
        cmocka_unit_test(test_root_becomes_a_user),
        cmocka_unit_test(test_users_that_it_does_not_become),
        cmocka_unit_test(test_a_user_stays_what_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

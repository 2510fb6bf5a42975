/* A file system that really is full: a tmpfs of a few pages. Needs root. */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "sidecar/audit/recorder_fixture.h"

static void full_file_system_refuses_and_recovers(void **state)
{
    struct fixture *f = *state;
    char mount_point[280];
    char spool[300];
    char ballast[300];
    (void)snprintf(mount_point, sizeof(mount_point), "%s/mnt", f->dir);
    (void)snprintf(spool, sizeof(spool), "%s/spool", mount_point);
    (void)snprintf(ballast, sizeof(ballast), "%s/ballast", mount_point);
    /* In a mount namespace of its own: others must not see a mount come and go. */
    assert_int_equal(unshare(CLONE_NEWNS), 0);
    assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    assert_int_equal(mkdir(mount_point, 0700), 0);
    assert_int_equal(mount("tmpfs", mount_point, "tmpfs", 0, "size=256k"), 0);
    f->options.dir = spool;
    f->options.system = NULL; /* the real calls */
    struct clock clock = clock_system();
    f->options.clock = &clock;
    fixture_open(f);
    fixture_write_many(f, 20);
    int fd = open(ballast, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    char page[4096] = {1};
    while (write(fd, page, sizeof(page)) == (ssize_t)sizeof(page)) {
    }
    (void)close(fd);
    enum err result = OK;
    uint64_t taken = 20;
    while ((result = fixture_write_intent(f, 100, NULL)) == OK) {
        taken++;
        assert_true(taken < 2000);
    }
    assert_int_equal(result, ERR_FULL);
    assert_int_equal(fixture_write_outcome(f, 100, NULL), OK); /* no SIGBUS */
    fixture_reopen(f);                                         /* also while it is full */
    assert_int_equal(fixture_read_all(f).count, taken + 1);
    assert_int_equal(unlink(ballast), 0);
    struct timespec a_while = {.tv_nsec = 150000000}; /* the pause between two attempts */
    (void)nanosleep(&a_while, NULL);
    assert_int_equal(fixture_write_intent(f, 100, NULL), OK);
    struct fixture_stream s = fixture_read_all(f);
    assert_int_equal(s.count, taken + 2);
    assert_int_equal(s.gaps, 0);
    fixture_close(f);
    assert_int_equal(umount(mount_point), 0);
    assert_int_equal(rmdir(mount_point), 0);
}

int main(void)
{
    if (geteuid() != 0) {
        printf("needs root to mount a tmpfs\n");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(full_file_system_refuses_and_recovers, fixture_setup,
                                        fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

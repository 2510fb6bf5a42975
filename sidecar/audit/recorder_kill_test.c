/* kill -9 at any moment: every record that recorder_write returned OK for is there afterwards. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "sidecar/audit/recorder_fixture.h"

enum { KILLS = 60, LONGEST_LIFE_US = 9000 };

/* Writes until it is killed; tells through shared memory what was promised. */
static void write_forever(struct fixture *f, _Atomic uint64_t *promised)
{
    struct err_text why;
    if (recorder_open(&f->options, &f->recorder, &why) != OK) {
        _exit(1);
    }
    for (size_t size = 1;; size = size * 7 % 1500 + 1) {
        uint64_t sequence = 0;
        if (fixture_write_intent(f, size, &sequence) != OK) {
            _exit(2);
        }
        atomic_store(promised, sequence);
        if (sequence % 40 == 0) {
            recorder_acknowledge(f->recorder, sequence - 30, NULL);
        }
    }
}

static void nothing_promised_is_lost(void **state)
{
    struct fixture *f = *state;
    _Atomic uint64_t *promised =
        mmap(NULL, sizeof(*promised), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(promised != MAP_FAILED);
    unsigned seed = 20261121;
    uint64_t before = 0;
    for (int i = 0; i < KILLS; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            write_forever(f, promised);
        }
        /* Once it writes, a random moment. */
        while (atomic_load(promised) == before && kill(child, 0) == 0) {
            int status;
            if (waitpid(child, &status, WNOHANG) == child) {
                fail_msg("the writer ended by itself: %d", WEXITSTATUS(status));
            }
            (void)sched_yield();
        }
        struct timespec life = {.tv_nsec = rand_r(&seed) % LONGEST_LIFE_US * 1000};
        (void)nanosleep(&life, NULL);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        fixture_open(f);
        uint64_t last = recorder_last_sequence(f->recorder);
        /* At most the one that was being written is there in addition. */
        assert_in_range(last, atomic_load(promised), atomic_load(promised) + 1);
        struct recorder_status status;
        recorder_status(f->recorder, &status);
        assert_int_equal(status.lost, 0);
        struct fixture_stream s = fixture_read_all(f);
        assert_int_equal(s.gaps, 0);
        assert_int_equal(s.losses, 0);
        assert_int_equal(s.last, last);
        assert_int_equal(s.first, status.acknowledged + 1);
        before = last;
        atomic_store(promised, last);
        fixture_close(f);
    }
    assert_true(before > KILLS);
    (void)munmap(promised, sizeof(*promised));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_promised_is_lost, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "controlplane/store/store_killed.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "controlplane/store/store_statements.h"

enum { BATCH = 10 };

uint64_t killed_run(void (*work)(const void *context, int said_fd), const void *context, int count,
                    long then_ns)
{
    int ends[2];
    uint64_t said = 0, next = 0;
    const struct timespec moment = {.tv_nsec = then_ns};
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        work(context, ends[1]);
        _exit(1);
    }
    assert_int_equal(close(ends[1]), 0);
    for (int i = 0; i < count; i++) {
        assert_int_equal(read(ends[0], &said, sizeof(said)), sizeof(said));
    }
    (void)nanosleep(&moment, NULL); /* not waiting for anything: where the kill strikes varies */
    assert_int_equal(kill(child, SIGKILL), 0);
    while (read(ends[0], &next, sizeof(next)) == sizeof(next)) {
        said = next;
    }
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    return said;
}

void killed_say(int said_fd, uint64_t number)
{
    if (write(said_fd, &number, sizeof(number)) != sizeof(number)) {
        _exit(1);
    }
}

void killed_append(struct store *store, int said_fd)
{
    struct store_audit_last last;
    if (store_audit_last(store, "s1", &last) != OK) {
        _exit(1);
    }
    for (uint64_t first = last.sequence + 1;; first += BATCH) {
        struct store_audit_appended done;
        if (statements_append_batch(store, 1, first, BATCH, &done) != OK) {
            _exit(1);
        }
        killed_say(said_fd, done.last.sequence);
    }
}

uint64_t killed_check(struct store *store, uint64_t acknowledged)
{
    struct store_audit_last last;
    assert_int_equal(store_audit_last(store, "s1", &last), OK);
    assert_true(last.sequence >= acknowledged);
    assert_int_equal(last.sequence % BATCH, 0);
    return last.sequence;
}

/* A process that is killed: what it acknowledged is kept, what it began is ended by the next. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "controlplane/store/store_file.h"
#include "controlplane/store/store_statements.h"

/* The child appends batches of 10 and says each acknowledged end on the pipe, until it is killed.
 */
static void child_append(const char *path, int pipe_fd)
{
    struct store *store = NULL;
    struct store_audit_last last;
    if (store_open_sqlite(path, NULL, &store, NULL) != OK ||
        store_audit_last(store, "s1", &last) != OK) {
        _exit(1);
    }
    for (uint64_t first = last.sequence + 1;; first += 10) {
        struct store_audit_record records[10];
        struct store_audit_appended done;
        for (uint64_t i = 0; i < 10; i++) {
            records[i] = records_make(1, first + i, STORE_INTENT, "x");
            records[i].index.text = bytes_of_string("select something");
        }
        if (store_audit_append(store, "s1", records, 10, records_received_ns, &done, NULL, NULL) !=
                OK ||
            write(pipe_fd, &done.last.sequence, sizeof(uint64_t)) != sizeof(uint64_t)) {
            _exit(1);
        }
    }
}

/* Kills a child after it has acknowledged `batches` and somewhere in the next ones; the last
 * acknowledged sequence. */
static uint64_t run_and_kill(const char *path, int batches, useconds_t then_us)
{
    int ends[2];
    uint64_t acknowledged = 0, next = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        child_append(path, ends[1]);
    }
    assert_int_equal(close(ends[1]), 0);
    for (int i = 0; i < batches; i++) {
        assert_int_equal(read(ends[0], &acknowledged, sizeof(acknowledged)), sizeof(acknowledged));
    }
    (void)usleep(then_us); /* not waiting for anything: where the kill strikes varies */
    assert_int_equal(kill(child, SIGKILL), 0);
    while (read(ends[0], &next, sizeof(next)) == sizeof(next)) {
        acknowledged = next;
    }
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    return acknowledged;
}

static size_t sequences_check(struct store *store, const struct store_audit_filter *filter)
{
    struct arena *arena = arena_create(1 << 16, 64 << 20);
    uint64_t next = 1;
    int64_t key = INT64_MIN;
    assert_non_null(arena);
    for (bool more = true; more; arena_reset(arena)) {
        struct store_audit_entry *items = NULL;
        size_t count = 0;
        assert_int_equal(store_audit_page(store, filter, key, 1000, SIZE_MAX, arena, &items, &count,
                                          &more, NULL),
                         OK);
        for (size_t i = 0; i < count; i++, next++) {
            assert_int_equal(items[i].sequence, next);
            key = items[i].key + 1;
        }
    }
    arena_destroy(arena);
    return (size_t)next - 1;
}

static void test_what_was_acknowledged_survives_kill_9(void **state)
{
    enum { KILLS = 25 };
    const struct store_file *f = *state;
    const struct store_audit_filter all = {0}, words = {.text = "something"};
    for (int i = 0; i < KILLS; i++) {
        struct store_audit_last last;
        uint64_t acknowledged = run_and_kill(f->path, 1 + i % 5, (useconds_t)(i * 137 % 3000));
        struct store *store = store_file_open(f, NULL);
        assert_int_equal(store_audit_last(store, "s1", &last), OK);
        assert_true(last.sequence >= acknowledged);
        assert_int_equal(last.sequence % 10, 0); /* whole batches only */
        assert_int_equal(sequences_check(store, &all), last.sequence);
        assert_int_equal(sequences_check(store, &words), last.sequence);
        store_close(store);
    }
}

/* Erases until it is killed. */
static void erase_and_kill(const struct store_file *f, useconds_t after_us)
{
    int ends[2];
    uint8_t ready = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct store *store = store_file_open_sealed(f);
        if (write(ends[1], &ready, 1) != 1) {
            _exit(1);
        }
        (void)statements_erase(store, "db1");
        _exit(2);
    }
    assert_int_equal(close(ends[1]), 0);
    assert_int_equal(read(ends[0], &ready, 1), 1);
    (void)usleep(after_us);     /* not waiting for anything: where the kill strikes varies */
    (void)kill(child, SIGKILL); /* or it has ended before */
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(close(ends[0]), 0);
}

static size_t count_erased(struct store *store)
{
    static const struct store_audit_filter all = {.session = "x"};
    struct arena *arena = arena_create(4096, 16 << 20);
    struct store_audit_entry *items = NULL;
    size_t count = 0, erased = 0;
    bool more = false;
    assert_int_equal(store_audit_page(store, &all, INT64_MIN, 1000, SIZE_MAX, arena, &items, &count,
                                      &more, NULL),
                     OK);
    for (size_t i = 0; i < count; i++) {
        assert_true(items[i].is_erased || items[i].canonical.size > 0);
        erased += items[i].is_erased;
    }
    arena_destroy(arena);
    return erased;
}

/* At every step of an erasing: what is not erased can be read, and the next run ends it. */
static void test_an_erasing_that_was_killed_is_ended_by_the_next(void **state)
{
    enum { KILLS = 12, RECORDS = 151 };
    const struct store_file *f = *state;
    for (int i = 0; i < KILLS; i++) {
        struct store *store = store_file_open_sealed(f);
        statements_append_words(store);
        store_close(store);
        erase_and_kill(f, (useconds_t)(i * 1103 % 7000));
        store = store_file_open_sealed(f);
        size_t erased = count_erased(store);
        assert_true(erased <= RECORDS);
        assert_int_equal(statements_count(store, "numbatx"), erased == 0 ? RECORDS - 1 : 0);
        assert_true(statements_erase(store, "db1") <= 1);
        assert_int_equal(count_erased(store), RECORDS);
        assert_false(store_file_has_word(f, "numbatx"));
        assert_int_equal(statements_count(store, "numbaty"), 149);
        store_close(store);
        assert_int_equal(unlink(f->path), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_FILE_TEST(test_what_was_acknowledged_survives_kill_9),
        STORE_FILE_TEST(test_an_erasing_that_was_killed_is_ended_by_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

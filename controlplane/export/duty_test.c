/* Jobs on a store that other control planes share, and on one that fails: SQLite's, with some of
 * its functions exchanged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <glob.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "controlplane/export/export_fixture.h"
#include "controlplane/store/backend.h"

#define PLAIN "- {name: x, from: beginning, file: {directory: '@/out'}}\n"

/* The functions of a backend get no context of the test's. */
static atomic_bool has_duty, cursor_fails;
static const struct store_backend *original;
static struct store_backend exchanged;

static enum err duty_hold(struct store *store, enum store_duty duty, bool *out_has)
{
    (void)store;
    assert_int_equal(duty, STORE_DUTY_EXPORT);
    *out_has = atomic_load(&has_duty);
    return OK;
}

static enum err cursor_set(struct store *store, const char *name, uint64_t position, int64_t now_ns)
{
    return atomic_load(&cursor_fails) ? ERR_FULL
                                      : original->cursor_set(store, name, position, now_ns);
}

static void exchange(struct test *t)
{
    original = t->store->backend;
    exchanged = *original;
    exchanged.duty_hold = duty_hold;
    exchanged.cursor_set = cursor_set;
    t->store->backend = &exchanged;
    atomic_store(&has_duty, true);
    atomic_store(&cursor_fails, false);
}

static size_t files(struct test *t, const char *pattern)
{
    glob_t found;
    size_t count = glob(export_path(t, pattern), 0, NULL, &found) == 0 ? found.gl_pathc : 0;
    globfree(&found);
    return count;
}

static void only_who_has_the_duty_sends(void **state)
{
    struct test *t = *state;
    exchange(t);
    atomic_store(&has_duty, false);
    export_ship(t, "a", 2);
    export_configure(t, PLAIN);
    export_await_state(t, EXPORT_STANDBY);
    assert_int_equal(files(t, "out/*"), 0);
    assert_int_equal(export_first(t).behind, 3);
    atomic_store(&has_duty, true);
    export_await_position(t, 3);
    assert_int_equal(files(t, "out/*.part"), 1);
    /* Taken away: what was written is given its name, and the job of another goes on. */
    atomic_store(&has_duty, false);
    export_await_state(t, EXPORT_STANDBY);
    assert_int_equal(files(t, "out/*.part"), 0);
    export_ship(t, "b", 3);
    assert_int_equal(store_cursor_set(t->store, "export/x", 5, 1), OK);
    assert_int_equal(export_first(t).status.position, 5);
    atomic_store(&has_duty, true);
    export_await_position(t, 7);
    export_end(t);
    assert_int_equal(files(t, "out/x-00000000000000000006-*.jsonl"), 1);
    assert_int_equal(files(t, "out/*"), 2);
}

static void a_cursor_that_cannot_be_written_is_a_failure_without_doubles(void **state)
{
    struct test *t = *state;
    exchange(t);
    export_ship(t, "a", 2);
    export_configure(t, PLAIN);
    export_await_position(t, 3);
    atomic_store(&cursor_fails, true);
    export_ship(t, "b", 2);
    export_await_state(t, EXPORT_FAILING);
    assert_non_null(strstr(export_first(t).status.error.text, "cursor"));
    atomic_store(&cursor_fails, false);
    export_await_state(t, EXPORT_RUNNING);
    uint64_t stored = 0;
    while (stored < 6) {
        assert_int_equal(store_cursor_get(t->store, "export/x", &stored), OK);
        (void)usleep(1000);
    }
    assert_int_equal(export_first(t).status.records, 6);
    export_end(t);
}

/* A cursor beyond the end (a store put back from an old copy beside a newer one) would pass over
 * what comes next. */
static void a_cursor_beyond_the_log_passes_over_nothing(void **state)
{
    struct test *t = *state;
    export_ship(t, "a", 2);
    assert_int_equal(store_cursor_set(t->store, "export/x", 100, 1), OK);
    export_configure(t, PLAIN);
    export_await_state(t, EXPORT_RUNNING);
    export_ship(t, "b", 1);
    while (export_first(t).status.records < 2) {
        (void)usleep(1000);
    }
    export_end(t);
    assert_int_equal(files(t, "out/x-00000000000000000004-*.jsonl"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPORT_TEST(only_who_has_the_duty_sends),
        EXPORT_TEST(a_cursor_that_cannot_be_written_is_a_failure_without_doubles),
        EXPORT_TEST(a_cursor_beyond_the_log_passes_over_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A process that is killed: what it acknowledged is kept, what it began is ended by the next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "controlplane/store/store_file.h"
#include "controlplane/store/store_killed.h"
#include "controlplane/store/store_statements.h"

static void append(const void *file, int said_fd)
{
    const struct store_file *f = file;
    struct store *store = NULL;
    if (store_open_sqlite(f->path, NULL, &store, NULL) == OK) {
        killed_append(store, said_fd);
    }
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
        uint64_t acknowledged = killed_run(append, f, 1 + i % 5, i * 137000 % 3000000);
        struct store *store = store_file_open(f, NULL);
        uint64_t last = killed_check(store, acknowledged);
        assert_int_equal(sequences_check(store, &all), last);
        assert_int_equal(sequences_check(store, &words), last);
        store_close(store);
    }
}

static void erase(const void *file, int said_fd)
{
    struct store *store = store_file_open_sealed(file);
    killed_say(said_fd, 1);
    (void)statements_erase(store, "db1");
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
        (void)killed_run(erase, f, 1, i * 1103000 % 7000000);
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

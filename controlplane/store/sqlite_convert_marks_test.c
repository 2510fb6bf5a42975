/* A database of sections without marks (schema version 9) gets them when it is opened. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "controlplane/store/store_file.h"
#include "controlplane/store/store_records.h"

enum {
    SECTIONS = 600, /* more than one transaction has */
    PER_SECTION = 10,
    PER_BATCH = 2000,
    RECORDS = SECTIONS * PER_SECTION,
    PAGE = 1000,
};

static enum err open_with(const struct store_file *f, int64_t page_count_max, struct store **out)
{
    const struct store_sqlite_options options = {.page_count_max = page_count_max};
    return store_open_sqlite(f->path, &options, out, NULL);
}

/* Each session says north in one half of its statements and south in the other. */
static void append(struct store *store, uint64_t first)
{
    static struct store_audit_record records[PER_BATCH];
    static char sessions[PER_BATCH][16];
    struct store_audit_appended done;
    for (uint64_t i = 0; i < PER_BATCH; i++) {
        uint64_t n = first + i;
        (void)snprintf(sessions[i], sizeof(sessions[i]), "s%d", (int)(n / PER_SECTION));
        records[i] = records_make(1, n + 1, STORE_INTENT, sessions[i]);
        records[i].index.time_ns = records_start_ns + (int64_t)n * 1000;
        records[i].index.text = bytes_of_string(n % 2 == 0 ? "go north" : "go south");
    }
    assert_int_equal(
        store_audit_append(store, "s1", records, PER_BATCH, records_received_ns, &done, NULL, NULL),
        OK);
}

static int setup(void **state)
{
    (void)store_file_setup(state);
    struct store_file *f = *state;
    struct store *store = store_file_open(f, NULL);
    for (uint64_t at = 0; at < RECORDS; at += PER_BATCH) {
        append(store, at);
    }
    store_close(store);
    assert_int_equal(store_file_number(f, "SELECT count(*) FROM audit_mark"), SECTIONS);
    store_file_drop_marks(f);
    return 0;
}

static void finds(struct store *store, const char *text, size_t expected)
{
    struct arena *arena = arena_create(1 << 16, 64 << 20);
    const struct store_audit_filter filter = {.text = text};
    struct store_audit_entry *items = NULL;
    size_t count = 0;
    bool more = false;
    assert_int_equal(store_audit_page(store, &filter, INT64_MIN, PAGE, SIZE_MAX, arena, &items,
                                      &count, &more, NULL),
                     OK);
    assert_int_equal(count, expected);
    arena_destroy(arena);
}

static void answers_check(struct store *store)
{
    finds(store, "go north", PAGE);
    finds(store, "go south", PAGE);
    finds(store, "north south", 0);
}

static void test_each_section_gets_its_marks(void **state)
{
    struct store_file *f = *state;
    struct store *store = store_file_open(f, NULL);
    answers_check(store);
    append(store, RECORDS);
    store_close(store);
    const int64_t all = SECTIONS + PER_BATCH / PER_SECTION;
    assert_int_equal(store_file_number(f, "SELECT count(*) FROM audit_mark"), all);
    /* Once: what somebody took out later stays out, and is looked for in the texts. */
    store_file_sql(f,
                   "DELETE FROM audit_mark WHERE key % 3 = 0; UPDATE audit_mark SET marks = x'00'"
                   " WHERE key % 7 = 0");
    int64_t left = store_file_number(f, "SELECT count(*) FROM audit_mark");
    store = store_file_open(f, NULL);
    finds(store, "go north", PAGE);
    finds(store, "north south", 0);
    store_close(store);
    assert_int_equal(store_file_number(f, "SELECT count(*) FROM audit_mark"), left);
}

static void test_it_says_how_far_it_is(void **state)
{
    struct store_file *f = *state;
    char steps[STORE_FILE_STEPS_SIZE];
    store_close(store_file_open_told(f, bytes_of(NULL, 0), steps));
    assert_string_equal(steps, "sections 512 of 600, sections 600 of 600");
    store_close(store_file_open_told(f, bytes_of(NULL, 0), steps));
    assert_string_equal(steps, "");
}

static void test_one_that_was_changed_has_none(void **state)
{
    struct store_file *f = *state;
    store_file_sql(f, "UPDATE audit_section SET content = x'00' WHERE key ="
                      " (SELECT key FROM audit_section ORDER BY key LIMIT 1 OFFSET 300);"
                      "UPDATE audit_section SET head = x'' WHERE key ="
                      " (SELECT key FROM audit_section ORDER BY key LIMIT 1 OFFSET 301)");
    store_close(store_file_open(f, NULL));
    assert_int_equal(store_file_number(f, "SELECT count(*) FROM audit_mark"), SECTIONS - 2);
}

static void test_a_full_disk_in_between_goes_on(void **state)
{
    enum { STEP = 1, PAGES_MAX = 1000 };
    struct store_file *f = *state;
    struct store *store = NULL;
    int64_t pages = store_file_number(f, "PRAGMA page_count"), failed = 0, between = 0;
    enum err err = open_with(f, pages, &store);
    for (; err != OK && failed < PAGES_MAX; failed++) {
        assert_int_equal(err, ERR_FULL);
        int64_t made = store_file_number(f, "SELECT count(*) FROM audit_mark");
        between += made > 0 && made < SECTIONS ? 1 : 0;
        pages += STEP;
        err = open_with(f, pages, &store);
    }
    assert_int_equal(err, OK);
    assert_true(failed > 0);
    assert_true(between > 0);
    answers_check(store);
    store_close(store);
    assert_int_equal(store_file_number(f, "SELECT count(*) FROM audit_mark"), SECTIONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_section_gets_its_marks, setup,
                                        store_file_teardown),
        cmocka_unit_test_setup_teardown(test_it_says_how_far_it_is, setup, store_file_teardown),
        cmocka_unit_test_setup_teardown(test_one_that_was_changed_has_none, setup,
                                        store_file_teardown),
        cmocka_unit_test_setup_teardown(test_a_full_disk_in_between_goes_on, setup,
                                        store_file_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

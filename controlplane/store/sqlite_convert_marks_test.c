/* A database of sections without marks (schema version 9) gets them when it is opened. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "controlplane/store/store_records.h"

enum {
    SECTIONS = 600, /* more than one transaction has */
    PER_SECTION = 10,
    PER_BATCH = 2000,
    RECORDS = SECTIONS * PER_SECTION,
    PAGE = 1000,
};

struct old {
    char directory[256];
    char path[300];
};

static void sql(const struct old *o, const char *text)
{
    sqlite3 *db = NULL;
    char *why = NULL;
    assert_int_equal(sqlite3_open(o->path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK) {
        print_error("%s\n", why);
        fail();
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int64_t number(const struct old *o, const char *text)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *get = NULL;
    assert_int_equal(sqlite3_open(o->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &get, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(get), SQLITE_ROW);
    int64_t result = sqlite3_column_int64(get, 0);
    assert_int_equal(sqlite3_finalize(get), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return result;
}

static enum err open_with(const struct old *o, int64_t page_count_max, struct store **out)
{
    const struct store_sqlite_options options = {.page_count_max = page_count_max};
    return store_open_sqlite(o->path, &options, out, NULL);
}

static struct store *open_it(const struct old *o)
{
    struct store *store = NULL;
    assert_int_equal(open_with(o, 0, &store), OK);
    return store;
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
    const char *parent = getenv("TEST_TMPDIR");
    struct old *o = calloc(1, sizeof(*o));
    assert_non_null(o);
    (void)snprintf(o->directory, sizeof(o->directory), "%s/marks-XXXXXX",
                   parent == NULL ? "/tmp" : parent);
    assert_non_null(mkdtemp(o->directory));
    (void)snprintf(o->path, sizeof(o->path), "%s/store.db", o->directory);
    struct store *store = open_it(o);
    for (uint64_t at = 0; at < RECORDS; at += PER_BATCH) {
        append(store, at);
    }
    store_close(store);
    assert_int_equal(number(o, "SELECT count(*) FROM audit_mark"), SECTIONS);
    sql(o, "DROP TABLE audit_mark; DELETE FROM schema_version WHERE version = 10");
    *state = o;
    return 0;
}

static int teardown(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    struct old *o = *state;
    for (size_t i = 0; i < 3; i++) {
        char path[320];
        (void)snprintf(path, sizeof(path), "%s%s", o->path, suffixes[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(o->directory), 0);
    free(o);
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
    struct old *o = *state;
    struct store *store = open_it(o);
    answers_check(store);
    append(store, RECORDS);
    store_close(store);
    const int64_t all = SECTIONS + PER_BATCH / PER_SECTION;
    assert_int_equal(number(o, "SELECT count(*) FROM audit_mark"), all);
    /* Once: what somebody took out later stays out, and is looked for in the texts. */
    sql(o, "DELETE FROM audit_mark WHERE key % 3 = 0; UPDATE audit_mark SET marks = x'00'"
           " WHERE key % 7 = 0");
    int64_t left = number(o, "SELECT count(*) FROM audit_mark");
    store = open_it(o);
    finds(store, "go north", PAGE);
    finds(store, "north south", 0);
    store_close(store);
    assert_int_equal(number(o, "SELECT count(*) FROM audit_mark"), left);
}

static void test_one_that_was_changed_has_none(void **state)
{
    struct old *o = *state;
    sql(o, "UPDATE audit_section SET content = x'00' WHERE key ="
           " (SELECT key FROM audit_section ORDER BY key LIMIT 1 OFFSET 300);"
           "UPDATE audit_section SET head = x'' WHERE key ="
           " (SELECT key FROM audit_section ORDER BY key LIMIT 1 OFFSET 301)");
    store_close(open_it(o));
    assert_int_equal(number(o, "SELECT count(*) FROM audit_mark"), SECTIONS - 2);
}

static void test_a_full_disk_in_between_goes_on(void **state)
{
    enum { STEP = 1, PAGES_MAX = 1000 };
    struct old *o = *state;
    struct store *store = NULL;
    int64_t pages = number(o, "PRAGMA page_count"), failed = 0, between = 0;
    enum err err = open_with(o, pages, &store);
    for (; err != OK && failed < PAGES_MAX; failed++) {
        assert_int_equal(err, ERR_FULL);
        if (number(o, "SELECT count(*) FROM sqlite_schema WHERE name = 'audit_mark'") == 1) {
            int64_t made = number(o, "SELECT count(*) FROM audit_mark");
            between += made > 0 && made < SECTIONS ? 1 : 0;
        }
        pages += STEP;
        err = open_with(o, pages, &store);
    }
    assert_int_equal(err, OK);
    assert_true(failed > 0);
    assert_true(between > 0);
    answers_check(store);
    store_close(store);
    assert_int_equal(number(o, "SELECT count(*) FROM audit_mark"), SECTIONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_section_gets_its_marks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_that_was_changed_has_none, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_full_disk_in_between_goes_on, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

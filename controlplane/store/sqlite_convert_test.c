/* A database that a version before sections wrote: the answers are those that version gave.
 *
 * testdata/schema_v8.sql has 16 records of three streams: a session "x" that was erased, "y" that
 * has ended, "z" of a stream that arrived late, with a record in a blob, and what the control plane
 * wrote itself, which is plain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "controlplane/store/backend.h"
#include "controlplane/store/store_file.h"
#include "controlplane/store/store_records.h"

enum { RECORDS = 16 };

struct old {
    struct store_file file;
    struct arena *arena;
    struct store *store; /* NULL: not open */
};

static int setup(void **state)
{
    struct old *o = calloc(1, sizeof(*o));
    assert_non_null(o);
    store_file_make(&o->file);
    o->arena = arena_create(1 << 16, 64 << 20);
    assert_non_null(o->arena);
    store_file_script(&o->file, "schema_v8.sql");
    *state = o;
    return 0;
}

static void close_it(struct old *o)
{
    if (o->store != NULL) {
        store_close(o->store);
        o->store = NULL;
    }
}

static int teardown(void **state)
{
    struct old *o = *state;
    close_it(o);
    store_file_remove(&o->file);
    arena_destroy(o->arena);
    free(o);
    return 0;
}

static enum err open_with(struct old *o, int64_t page_count_max, struct err_text *why)
{
    const struct store_sqlite_options options = {.page_count_max = page_count_max,
                                                 .content_master = store_file_key()};
    return store_open_sqlite(o->file.path, &options, &o->store, why);
}

static void open_it(struct old *o)
{
    o->store = store_file_open_sealed(&o->file);
}

/* ---- what it answers ---- */

/* The positions of what is found, oldest first. What is in a blob is told as its reference. */
static void finds(struct old *o, const struct store_audit_filter *filter, const char *expected)
{
    struct store_audit_entry *items = NULL;
    struct err_text why = {.text = ""};
    size_t count = 0, size = 0;
    bool more = false;
    char found[256] = "";
    if (o->store->backend->audit_page(o->store, filter, INT64_MIN, 100, SIZE_MAX, o->arena, &items,
                                      &count, &more, &why) != OK) {
        print_error("%s\n", why.text);
        fail();
    }
    for (size_t i = 0; i < count; i++) {
        size += (size_t)snprintf(found + size, sizeof(found) - size, i == 0 ? "%d" : " %d",
                                 (int)items[i].position);
    }
    assert_string_equal(found, expected);
}

#define FINDS(o, expected, ...)                                                                    \
    finds((o), &(const struct store_audit_filter){__VA_ARGS__}, (expected))

static const char *const sidecars[] = {"", "s1", "s2", "controlplane"};

static const struct {
    int stream, sequence, kind;
    int64_t key; /* beyond the start */
    const char *session, *identity, *canonical;
} expected[RECORDS] = {
    {1, 1, STORE_SESSION_OPENED, 1000000000, "x", "alice", NULL},
    {1, 2, STORE_INTENT, 2000000000, "x", "alice", NULL},
    {1, 3, STORE_OUTCOME, 3000000000, "x", "alice", NULL},
    {1, 4, STORE_SESSION_CLOSED, 4000000000, "x", "alice", NULL},
    {1, 5, STORE_SESSION_OPENED, 5000000000, "y", "bob", "any"},
    {1, 6, STORE_INTENT, 6000000000, "y", "bob", "select wombat from public.orders"},
    {1, 7, STORE_OUTCOME, 7000000000, "y", "bob", "any"},
    {1, 8, STORE_INTENT, 8000000000, "y", "bob", "delete from orders, sales.orders"},
    {1, 9, STORE_HEARTBEAT, 9000000000, "", "", "any"},
    {2, 1, STORE_SESSION_OPENED, 2000000500, "z", "alice", "any"},
    {2, 2, STORE_INTENT, 4000000500, "z", "alice", "select Wombat, numbat from public.reef"},
    {2, 3, STORE_INTENT, 6000000500, "z", "alice", "\x01\xb1\x0b"},
    {2, 4, STORE_INTENT, 8000000500, "z", "alice", "select 'Ünïcode Größe 東京'"},
    {3, 1, STORE_INTENT, 7500000000, "y", "bob", "\x5a\x0f\x4a\x0dselect dugong"},
    {3, 2, STORE_FINDING, 7600000000, "", "", "a finding"},
    {1, 10, STORE_SESSION_CLOSED, 10000000000, "y", "bob", "any"},
};

static void record_check(struct old *o, uint64_t position)
{
    const int at = (int)position - 1;
    uint8_t hash[STORE_HASH_SIZE];
    struct store_audit_entry e;
    const char *canonical = expected[at].canonical == NULL ? "" : expected[at].canonical;
    assert_int_equal(o->store->backend->audit_at(o->store, position, o->arena, &e), OK);
    records_hash((uint64_t)expected[at].stream, (uint64_t)expected[at].sequence, hash);
    assert_memory_equal(e.hash, hash, sizeof(hash));
    assert_string_equal(e.sidecar, sidecars[expected[at].stream]);
    assert_int_equal(e.position, position);
    assert_int_equal(e.sequence, expected[at].sequence);
    assert_int_equal(e.key, records_start_ns + expected[at].key);
    assert_int_equal(e.kind, expected[at].kind);
    assert_string_equal(e.session, expected[at].session);
    assert_string_equal(e.identity, expected[at].identity);
    assert_true(e.is_erased == (expected[at].canonical == NULL));
    assert_true(e.is_in_blob == (position == 12));
    assert_int_equal(e.received_ns, records_received_ns + (position == 16   ? 7
                                                           : position >= 14 ? 6
                                                           : position >= 10 ? 5
                                                                            : 0));
    assert_true(e.canonical.size >= strlen(canonical));
    assert_memory_equal(e.canonical.data == NULL ? (const uint8_t *)"" : e.canonical.data,
                        canonical, strlen(canonical));
}

static void answers_check(struct old *o)
{
    for (uint64_t position = 1; position <= RECORDS; position++) {
        record_check(o, position);
    }
    FINDS(o, "1 2 10 3 4 11 5 6 12 7 14 15 8 13 9 16", .kinds = STORE_KINDS_ALL);
    FINDS(o, "", .text = "quokka");
    FINDS(o, "11 6", .text = "wombat");
    FINDS(o, "11 6", .text = "WOM*");
    FINDS(o, "11 6", .text = "wombat from");
    FINDS(o, "6", .text = "\"wombat from\"");
    FINDS(o, "11 12", .text = "numbat");
    FINDS(o, "13", .text = "größe");
    FINDS(o, "14", .text = "dugong");
    FINDS(o, "6 12 8", .table = "orders");
    FINDS(o, "8", .table = "sales.orders");
    FINDS(o, "11 14", .table = "reef");
    FINDS(o, "6", .table = "orders", .text = "wombat");
    FINDS(o, "5 6 7 14 8 16", .identity = "bob");
    FINDS(o, "5 6 7 14 8 16", .session = "y");
    FINDS(o, "1 2 3 4", .session = "x");
    FINDS(o, "11", .resource = "db2", .identity = "alice", .text = "wombat");
    FINDS(o, "8", .verdict = 2);
    FINDS(o, "14", .verdict = 3);
    FINDS(o, "15 9", .kinds = store_kind_bit(STORE_FINDING) | store_kind_bit(STORE_HEARTBEAT));
    arena_reset(o->arena);
}

static void test_the_answers_are_as_they_were(void **state)
{
    struct old *o = *state;
    uint8_t hashes[RECORDS + 1][STORE_HASH_SIZE];
    size_t count = 0;
    open_it(o);
    answers_check(o);
    assert_int_equal(store_log_read(o->store, 0, RECORDS + 1, hashes, &count), OK);
    assert_int_equal(count, RECORDS);
}

static void test_it_is_moved_once_and_goes_on(void **state)
{
    struct old *o = *state;
    struct store_audit_appended done;
    struct store_audit_record next = records_make(1, 11, STORE_HEARTBEAT, "");
    struct store_audit_record late = records_make(2, 6, STORE_HEARTBEAT, "");
    open_it(o);
    close_it(o);
    store_file_sql(
        &o->file,
        "CREATE TABLE proof (ok INTEGER CHECK (ok));"
        "INSERT INTO proof SELECT count(*) = 0 FROM sqlite_schema WHERE name LIKE 'audit_record%'"
        " OR name LIKE 'audit_text%';"
        "CREATE TABLE copy AS SELECT * FROM audit_section");
    open_it(o);
    answers_check(o);
    assert_int_equal(
        store_audit_append(o->store, "s2", &late, 1, records_received_ns, &done, NULL, NULL),
        ERR_INVALID);
    assert_int_equal(
        store_audit_append(o->store, "s1", &next, 1, records_received_ns, &done, NULL, NULL), OK);
    assert_int_equal(done.first_position, RECORDS + 1);
    close_it(o);
    store_file_sql(&o->file, "INSERT INTO proof SELECT count(*) = 0 FROM"
                             " (SELECT * FROM copy EXCEPT SELECT * FROM audit_section)");
}

static size_t erase(struct old *o, const char *resource)
{
    const struct store_erase what = {
        .resource = resource, .closed_before_ns = records_received_ns, .max = 10};
    const char **sessions = NULL;
    size_t count = 0;
    assert_int_equal(
        store_audit_erase(o->store, &what, records_received_ns, o->arena, &sessions, &count), OK);
    return count;
}

static void test_it_says_how_far_it_is(void **state)
{
    struct old *o = *state;
    char steps[STORE_FILE_STEPS_SIZE];
    o->store = store_file_open_told(&o->file, store_file_key(), steps);
    assert_string_equal(steps, "records 16 of 16");
    close_it(o);
    o->store = store_file_open_told(&o->file, store_file_key(), steps);
    assert_string_equal(steps, "");
}

static void test_it_can_be_erased_afterwards(void **state)
{
    struct old *o = *state;
    struct store_audit_entry e;
    open_it(o);
    assert_int_equal(erase(o, "db2"), 1);
    assert_int_equal(erase(o, "db2"), 0);
    FINDS(o, "11", .text = "wombat");
    FINDS(o, "12", .table = "orders");
    FINDS(o, "11 12", .text = "numbat");
    FINDS(o, "14", .text = "dugong"); /* what the control plane says about it is not its content */
    FINDS(o, "5 6 7 14 8 16", .session = "y");
    assert_int_equal(store_audit_at(o->store, 6, o->arena, &e), OK);
    assert_true(e.is_erased);
    assert_int_equal(e.canonical.size, 0);
    record_check(o, 14);
}

/* ---- what was changed stays noticed ---- */

static void test_a_gap_stays_one(void **state)
{
    struct old *o = *state;
    uint8_t hashes[RECORDS][STORE_HASH_SIZE];
    struct store_audit_entry e;
    size_t count = 0;
    store_file_sql(&o->file, "DELETE FROM audit_record WHERE position = 7");
    open_it(o);
    assert_int_equal(store_log_read(o->store, 0, RECORDS, hashes, &count), OK);
    assert_int_equal(count, 6);
    assert_int_equal(store_log_read(o->store, 6, RECORDS, hashes, &count), ERR_IO);
    assert_int_equal(store_audit_at(o->store, 7, o->arena, &e), ERR_NOT_FOUND);
    record_check(o, 6);
    record_check(o, 8);
}

/* The record at position 6 cannot be read, and all others can. */
static void changed_check(struct old *o, const char *change)
{
    static const struct store_audit_filter all = {.kinds = STORE_KINDS_ALL};
    struct store_audit_entry e, *items = NULL;
    struct err_text why = {.text = ""};
    size_t count = 0;
    bool more = false;
    store_file_sql(&o->file, change);
    open_it(o);
    for (uint64_t position = 1; position <= RECORDS; position++) {
        if (position == 6) {
            assert_int_equal(store_audit_at(o->store, position, o->arena, &e), ERR_IO);
        } else {
            record_check(o, position);
        }
    }
    assert_int_equal(store_audit_page(o->store, &all, records_start_ns + 6000000000, 1, SIZE_MAX,
                                      o->arena, &items, &count, &more, &why),
                     ERR_IO);
    assert_non_null(strstr(why.text, "position 6 was changed in the database"));
    /* A second opening finds it so. */
    close_it(o);
    open_it(o);
    assert_int_equal(store_audit_at(o->store, 6, o->arena, &e), ERR_IO);
    close_it(o);
    assert_int_equal(unlink(o->file.path), 0);
    store_file_script(&o->file, "schema_v8.sql");
    arena_reset(o->arena);
}

static void test_what_was_changed_stays_changed(void **state)
{
    struct old *o = *state;
    changed_check(o, "UPDATE audit_record SET canonical = (SELECT canonical FROM audit_record"
                     " WHERE position = 5) WHERE position = 6");
    changed_check(o, "UPDATE audit_record SET canonical = x'' WHERE position = 6");
    changed_check(o, "UPDATE audit_record SET hash = x'00' WHERE position = 6");
    changed_check(o, "UPDATE audit_record SET hash = zeroblob(32) WHERE position = 6");
    changed_check(o, "UPDATE audit_record SET form = 9 WHERE position = 6");
    changed_check(o, "UPDATE audit_record SET kind = 300 WHERE position = 6");
    changed_check(o, "UPDATE audit_record SET kind = 32 WHERE position = 6");
    changed_check(o, "UPDATE audit_record SET verdict = 4294967296 WHERE position = 6");
    changed_check(o, "UPDATE audit_record SET session = NULL WHERE position = 6");
    changed_check(o, "UPDATE audit_record SET session = 77 WHERE position = 6");
    changed_check(o, "UPDATE audit_record SET session = 3 WHERE position = 6");
}

static void test_what_was_changed_can_be_erased(void **state)
{
    struct old *o = *state;
    struct store_audit_entry e;
    store_file_sql(&o->file, "UPDATE audit_record SET canonical = x'' WHERE position = 6");
    open_it(o);
    assert_int_equal(erase(o, "db2"), 1);
    assert_int_equal(store_audit_at(o->store, 6, o->arena, &e), OK);
    assert_true(e.is_erased);
    FINDS(o, "5 6 7 14 8 16", .session = "y");
}

/* ---- what ends in the middle goes on ---- */

static void test_a_full_disk_changes_nothing(void **state)
{
    enum { STEP = 3, PAGES_MAX = 1000 };
    struct old *o = *state;
    struct err_text why;
    int64_t pages = STEP, failed = 0;
    enum err err = open_with(o, pages, &why);
    while (err != OK && pages < PAGES_MAX) {
        assert_int_equal(err, ERR_FULL);
        pages += STEP;
        failed++;
        err = open_with(o, pages, &why);
    }
    assert_int_equal(err, OK);
    assert_true(failed > 0);
    answers_check(o);
}

enum { MORE = 45000, MOVED = 20000 /* by the first transaction */ };

/* Of a stream of its own, ten in an append. Each goes north or south. */
static const char more_records[] =
    "INSERT INTO audit_stream VALUES (4, 's4', 45000, zeroblob(32), 1700001000000045000);"
    "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 45000)"
    " INSERT INTO audit_record (key, position, stream, sequence, kind, verdict, status, row_count,"
    " error_code, session, identity, resource, received_ns, hash, canonical, form)"
    " SELECT 1700001000000000000 + i, 16 + i, 4, i, 11, 0, 0, 0, '', NULL, NULL, NULL,"
    " 1800000000000000009 + (i - 1) / 10, zeroblob(32),"
    " CAST(x'5a0a4a08' || iif(i % 2, 'go south', 'go north') AS BLOB), 0 FROM n;";

/* The second transaction fails. */
static void stop_in_between(struct old *o)
{
    struct err_text why;
    store_file_sql(&o->file, more_records);
    store_file_sql(&o->file,
                   "CREATE TRIGGER stop BEFORE DELETE ON audit_record WHEN OLD.position = 30000"
                   " BEGIN SELECT RAISE(ABORT, 'stop'); END");
    assert_int_not_equal(open_with(o, 0, &why), OK);
    assert_non_null(strstr(why.text, "stop"));
    /* Some are there, some are here, none twice. */
    store_file_sql(&o->file, "DROP TRIGGER stop");
    assert_int_equal(store_file_number(&o->file, "SELECT sum(count) FROM audit_batch"), MOVED);
    assert_int_equal(store_file_number(&o->file, "SELECT count(*) FROM audit_record"),
                     RECORDS + MORE - MOVED);
}

static void more_count(struct old *o, const char *text, size_t all)
{
    const struct store_audit_filter filter = {.text = text};
    struct store_audit_entry *items = NULL;
    size_t count = 0;
    bool more = false;
    assert_int_equal(store_audit_page(o->store, &filter, INT64_MIN, 1000, SIZE_MAX, o->arena,
                                      &items, &count, &more, NULL),
                     OK);
    assert_int_equal(count, all);
    arena_reset(o->arena);
}

static void more_check(struct old *o)
{
    enum { ALL = RECORDS + MORE };
    struct store_audit_entry e;
    uint64_t count = 0;
    assert_int_equal(store_audit_count(o->store, &count), OK);
    assert_int_equal(count, ALL);
    for (uint64_t at = RECORDS + 1; at <= ALL; at += 333, arena_reset(o->arena)) {
        assert_int_equal(store_audit_at(o->store, at, o->arena, &e), OK);
        assert_int_equal(e.sequence, at - RECORDS);
        assert_int_equal(e.key, INT64_C(1700001000000000000) + (int64_t)(at - RECORDS));
        assert_true(bytes_equal_string(e.canonical, (at - RECORDS) % 2 == 0
                                                        ? "\x5a\x0a\x4a\x08go north"
                                                        : "\x5a\x0a\x4a\x08go south"));
    }
    for (uint64_t at = 1; at <= RECORDS; at++) {
        record_check(o, at);
    }
    more_count(o, "go north", 1000);
    more_count(o, "north south", 0);
}

/* Each of those sections is a batch; the first 16 records are too few in each of theirs. */
static void marks_check(struct old *o)
{
    close_it(o);
    assert_int_equal(store_file_number(&o->file, "SELECT count(*) FROM audit_mark"),
                     store_file_number(&o->file, "SELECT count(*) FROM audit_batch"
                                                 " WHERE stream = 4 AND count >= 4"));
    assert_int_equal(store_file_number(&o->file, "SELECT count(*) FROM audit_mark m"
                                                 " JOIN audit_section s ON s.key = m.key"
                                                 " JOIN audit_batch b ON b.position = s.batch"
                                                 " WHERE b.stream = 4"),
                     store_file_number(&o->file, "SELECT count(*) FROM audit_mark"));
}

static void test_a_crash_in_between_goes_on(void **state)
{
    struct old *o = *state;
    char steps[STORE_FILE_STEPS_SIZE];
    stop_in_between(o);
    o->store = store_file_open_told(&o->file, store_file_key(), steps);
    /* And no more: sections are written with their marks. */
    assert_string_equal(steps, "records 20000 of 25016, records 25016 of 25016");
    more_check(o);
    marks_check(o);
}

/* The version between knew of no marks. */
static void test_what_a_version_between_began_is_ended(void **state)
{
    struct old *o = *state;
    char steps[STORE_FILE_STEPS_SIZE], end[64];
    stop_in_between(o);
    store_file_drop_marks(&o->file);
    const int sections = (int)store_file_number(&o->file, "SELECT count(*) FROM audit_section");
    o->store = store_file_open_told(&o->file, store_file_key(), steps);
    (void)snprintf(end, sizeof(end), "sections %d of %d", sections, sections);
    assert_non_null(strstr(steps, "records 25016 of 25016, sections 512 of "));
    assert_non_null(strstr(steps, end));
    more_check(o);
    marks_check(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_answers_are_as_they_were, setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_is_moved_once_and_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_says_how_far_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_can_be_erased_afterwards, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_gap_stays_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_was_changed_stays_changed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_was_changed_can_be_erased, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_full_disk_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_crash_in_between_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_a_version_between_began_is_ended, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

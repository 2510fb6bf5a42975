/* A database that somebody changed: what cannot be read is said with its place.
 *
 * Each append of one record is a batch, and a section in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "controlplane/store/store_file.h"
#include "controlplane/store/store_statements.h"

static enum err page_of_all(struct store *store, struct arena *arena, size_t *out_count,
                            struct err_text *why)
{
    static const struct store_audit_filter all = {.kinds = STORE_KINDS_ALL};
    struct store_audit_entry *items = NULL;
    bool more = false;
    return store_audit_page(store, &all, INT64_MIN, 10, SIZE_MAX, arena, &items, out_count, &more,
                            why);
}

/* What following the log from a position says: of at most `max` records, how far it came. */
struct followed {
    uint64_t position;
    bool more;
    struct err_text why;
};

static enum err follow(struct store *store, uint64_t after, size_t max, struct followed *out)
{
    static const struct store_audit_filter all = {.kinds = STORE_KINDS_ALL};
    struct arena *arena = arena_create(4096, 1 << 20);
    struct store_audit_entry *items = NULL;
    size_t count = 0;
    *out = (struct followed){.why = {.text = ""}};
    enum err err = store_audit_follow(store, &all, after, max, SIZE_MAX, arena, &items, &count,
                                      &out->position, &out->more, &out->why);
    arena_destroy(arena);
    return err;
}

/* The store of `count` statements that somebody changed when it was closed; returns owned. */
static struct store *open_changed(const struct store_file *f, uint64_t count, const char *change)
{
    struct store *store = store_file_open_sealed(f);
    statements_append(store, 1, count);
    store_close(store);
    store_file_sql(f, change);
    return store_file_open_sealed(f);
}

/* After the change the record at position 2 of three cannot be read, which is said with its place,
 * and the others can. */
static void change_is_told(const struct store_file *f, const char *change, const char *told)
{
    struct arena *arena = arena_create(4096, 1 << 20);
    struct store_audit_entry e;
    struct err_text why = {.text = ""};
    size_t count = 0;
    struct store *store = open_changed(f, 3, change);
    enum err err = page_of_all(store, arena, &count, &why);
    if (err != ERR_IO || strstr(why.text, told) == NULL) {
        print_error("%s: %s, \"%s\"\n", change, err_name(err), why.text);
        fail();
    }
    assert_int_equal(store_audit_at(store, 1, arena, &e), OK);
    assert_int_equal(store_audit_at(store, 2, arena, &e), ERR_IO);
    assert_int_equal(store_audit_at(store, 3, arena, &e), OK);
    store_close(store);
    assert_int_equal(unlink(f->path), 0);
    arena_destroy(arena);
}

static void change_is_said(const struct store_file *f, const char *change)
{
    change_is_told(f, change, "position 2 was changed in the database");
}

static void test_changed_content_is_said_with_its_place(void **state)
{
    const struct store_file *f = *state;
    /* One's content in another's place. */
    change_is_said(f, "UPDATE audit_section SET content ="
                      " (SELECT content FROM audit_section WHERE batch = 1) WHERE batch = 2");
    change_is_said(f, "UPDATE audit_section SET content = x'' WHERE batch = 2");
    change_is_said(f, "UPDATE audit_section SET form = 0 WHERE batch = 2");
    change_is_said(f, "UPDATE audit_section SET form = 3 WHERE batch = 2");
    change_is_said(f, "UPDATE audit_batch SET hashes = zeroblob(32) WHERE position = 2");
    change_is_said(f, "UPDATE audit_batch SET hashes = x'' WHERE position = 2");
    change_is_said(f, "UPDATE audit_session SET session = 'another';"
                      "INSERT INTO audit_session SELECT 99, 'x', stream, identity, resource,"
                      " on_behalf_of, protocol, database, agent_address, opened_ns, closed_ns,"
                      " operations, state, close_reason, erased_ns FROM audit_session;"
                      "UPDATE audit_section SET session = 99 WHERE batch <> 2;"
                      "UPDATE audit_content_key SET session = 99");
    change_is_said(f, "UPDATE audit_section SET session = NULL WHERE batch = 2");
}

static void test_a_changed_head_is_said_with_its_place(void **state)
{
    const struct store_file *f = *state;
    change_is_said(f, "UPDATE audit_section SET head = x'' WHERE batch = 2");
    change_is_said(f, "UPDATE audit_section SET head = substr(head, 1, length(head) - 1)"
                      " WHERE batch = 2");
    change_is_said(f, "UPDATE audit_section SET head = CAST(head || x'00' AS BLOB)"
                      " WHERE batch = 2");
    /* Another place in the batch, where there is none: the place that it says is all there is. */
    change_is_told(f,
                   "UPDATE audit_section SET head = CAST(substr(head, 1, 13) || x'0001' ||"
                   " substr(head, 16) AS BLOB) WHERE batch = 2",
                   "was changed in the database");
    change_is_said(f, "UPDATE audit_section SET last_key = last_key + 1 WHERE batch = 2");
}

/* Content that is only hidden under that name: whoever asks sees it, and that nobody said so. */
static void test_content_that_was_hidden_is_told_as_erased(void **state)
{
    const struct store_file *f = *state;
    struct arena *arena = arena_create(4096, 1 << 20);
    struct store_audit_entry e;
    struct store *store =
        open_changed(f, 3, "UPDATE audit_section SET form = 2, content = x'' WHERE batch = 2");
    assert_int_equal(store_audit_at(store, 2, arena, &e), OK);
    assert_true(e.is_erased);
    assert_int_equal(e.erased_ns, 0);
    assert_int_equal(e.canonical.size, 0);
    store_close(store);
    arena_destroy(arena);
}

static void test_a_missing_batch_stops_the_log(void **state)
{
    const struct store_file *f = *state;
    struct arena *arena = arena_create(4096, 1 << 20);
    struct store_audit_entry e;
    uint8_t hashes[9][STORE_HASH_SIZE];
    size_t count = 0;
    struct store *store = open_changed(f, 5, "DELETE FROM audit_batch WHERE position = 3");
    assert_int_equal(store_log_read(store, 0, 9, hashes, &count), OK);
    assert_int_equal(count, 2); /* no later hash gets another leaf's number */
    assert_int_equal(store_log_read(store, 2, 9, hashes, &count), ERR_IO);
    assert_int_equal(store_audit_at(store, 3, arena, &e), ERR_NOT_FOUND);
    assert_int_equal(page_of_all(store, arena, &count, NULL), ERR_IO);
    store_close(store);
    arena_destroy(arena);
}

/* It is not passed over as one that never was. */
static void test_a_missing_section_is_said(void **state)
{
    const struct store_file *f = *state;
    struct arena *arena = arena_create(4096, 1 << 20);
    struct store_audit_entry e;
    struct followed followed;
    struct store *store = open_changed(f, 5, "DELETE FROM audit_section WHERE batch = 3");
    assert_int_equal(store_audit_at(store, 2, arena, &e), OK);
    assert_int_equal(store_audit_at(store, 3, arena, &e), ERR_IO);
    assert_int_equal(follow(store, 2, 10, &followed), ERR_IO);
    assert_non_null(strstr(followed.why.text, "position 3 "));
    store_close(store);
    arena_destroy(arena);
}

/* What came before it can be followed. No position is given twice: nothing is appended. */
static void test_the_end_of_the_log_that_was_changed_is_said(void **state)
{
    const struct store_file *f = *state;
    struct store_audit_record next = records_make(1, 6, STORE_INTENT, "s");
    struct store_audit_appended done;
    struct followed followed;
    struct store *store =
        open_changed(f, 5, "UPDATE audit_batch SET hashes = x'00' WHERE position = 5");
    assert_int_equal(follow(store, 0, 4, &followed), OK);
    assert_int_equal(followed.position, 4);
    assert_true(followed.more);
    assert_int_equal(follow(store, 4, 4, &followed), ERR_IO);
    assert_non_null(strstr(followed.why.text, "position 5 "));
    assert_int_equal(
        store_audit_append(store, "s1", &next, 1, records_received_ns, &done, NULL, NULL), ERR_IO);
    store_close(store);
    store_file_sql(f, "UPDATE audit_batch SET count = 0 WHERE position = 5");
    store = store_file_open_sealed(f);
    assert_int_equal(follow(store, 0, 4, &followed), ERR_IO);
    store_close(store);
}

/* What cannot be read goes all the same. */
static void test_what_was_changed_is_erased(void **state)
{
    const struct store_file *f = *state;
    static const char *const changes[] = {
        "UPDATE audit_section SET content = x'00' WHERE session = 1",
        "UPDATE audit_section SET head = x'00' WHERE session = 1",
        "UPDATE audit_batch SET hashes = zeroblob(length(hashes))",
        "DELETE FROM audit_batch",
        "DELETE FROM audit_content_key WHERE session = 1",
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct store *store = store_file_open_sealed(f);
        statements_append_words(store);
        store_close(store);
        store_file_sql(f, changes[i]);
        store = store_file_open_sealed(f);
        assert_int_equal(statements_erase(store, "db1"), 1);
        store_close(store);
        store_file_sql(f, "CREATE TABLE proof (ok INTEGER CHECK (ok));"
                          "INSERT INTO proof SELECT min(form) = 2 AND max(length(content)) = 0"
                          " FROM audit_section WHERE session = 1;"
                          "INSERT INTO proof SELECT min(length(content)) > 0"
                          " FROM audit_section WHERE session = 2;"
                          "INSERT INTO proof SELECT count(*) = 0 FROM audit_mark m"
                          " JOIN audit_section s ON s.key = m.key WHERE s.session = 1");
        assert_int_equal(unlink(f->path), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_FILE_TEST(test_changed_content_is_said_with_its_place),
        STORE_FILE_TEST(test_a_changed_head_is_said_with_its_place),
        STORE_FILE_TEST(test_content_that_was_hidden_is_told_as_erased),
        STORE_FILE_TEST(test_a_missing_batch_stops_the_log),
        STORE_FILE_TEST(test_a_missing_section_is_said),
        STORE_FILE_TEST(test_the_end_of_the_log_that_was_changed_is_said),
        STORE_FILE_TEST(test_what_was_changed_is_erased),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

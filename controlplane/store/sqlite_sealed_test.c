/* Content at rest: what a copy of the files tells, before it is erased and after. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "controlplane/store/content.h"
#include "controlplane/store/store_file.h"
#include "controlplane/store/store_statements.h"

static void test_content_is_not_readable_in_the_file(void **state)
{
    const struct store_file *f = *state;
    struct store *store = store_file_open_sealed(f);
    statements_append_words(store);
    store_close(store);
    assert_false(store_file_has_word(f, "from wombat where"));
    /* The index of words is not encrypted. */
    assert_true(store_file_has_word(f, "numbatx"));
    store = store_file_open_sealed(f);
    assert_int_equal(statements_count(store, "quokka15"), 1);
    assert_int_equal(statements_count(store, "numbatx"), 150);
    store_close(store);
}

/* The first `size` bytes of the last row that is asked for of a session (?1); how many rows there
 * are. */
static size_t rows_read(const struct store_file *f, const char *query, const char *session,
                        uint8_t *out, size_t size)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *get = NULL;
    size_t count = 0;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, query, -1, &get, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_bind_text(get, 1, session, -1, SQLITE_STATIC), SQLITE_OK);
    for (; sqlite3_step(get) == SQLITE_ROW; count++) {
        assert_true((size_t)sqlite3_column_bytes(get, 0) >= size);
        if (size > 0) {
            memcpy(out, sqlite3_column_blob(get, 0), size);
        }
    }
    assert_int_equal(sqlite3_finalize(get), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return count;
}

/* What a session's key was encrypted to. */
static void wrapped_read(const struct store_file *f, const char *session,
                         uint8_t out[CONTENT_WRAPPED_SIZE])
{
    static const char query[] = "SELECT wrapped FROM audit_content_key WHERE session ="
                                " (SELECT id FROM audit_session WHERE session = ?1)";
    assert_int_equal(rows_read(f, query, session, out, CONTENT_WRAPPED_SIZE), 1);
    assert_int_equal(store_file_number(f, "SELECT max(length(wrapped)) FROM audit_content_key"),
                     CONTENT_WRAPPED_SIZE);
}

/* Of the marks of a session's sections, how many there are; the bytes of one. */
static size_t marks_read(const struct store_file *f, const char *session, uint8_t *out, size_t size)
{
    static const char query[] = "SELECT m.marks FROM audit_mark m"
                                " JOIN audit_section s ON s.key = m.key WHERE s.session ="
                                " (SELECT id FROM audit_session WHERE session = ?1)";
    return rows_read(f, query, session, out, size);
}

static void test_neither_key_nor_words_are_left_after_erasing(void **state)
{
    const struct store_file *f = *state;
    uint8_t key[CONTENT_WRAPPED_SIZE], other[CONTENT_WRAPPED_SIZE];
    struct store *store = store_file_open_sealed(f);
    statements_append_words(store);
    wrapped_read(f, "x", key);
    wrapped_read(f, "y", other);
    uint8_t marks[40];
    assert_true(marks_read(f, "x", marks, sizeof(marks)) > 0);
    assert_true(store_file_has(f, key, sizeof(key)));
    assert_true(store_file_has(f, marks, sizeof(marks)));
    assert_int_equal(statements_erase(store, "db1"), 1);
    /* Still open: what a copy of the files would have now. */
    assert_false(store_file_has(f, key, sizeof(key)));
    assert_false(store_file_has(f, marks, sizeof(marks)));
    assert_int_equal(marks_read(f, "x", NULL, 0), 0);
    assert_true(marks_read(f, "y", NULL, 0) > 0);
    assert_false(store_file_has_word(f, "numbatx"));
    assert_true(store_file_has(f, other, sizeof(other)));
    assert_true(store_file_has_word(f, "numbaty"));
    assert_int_equal(statements_count(store, "numbatx"), 0);
    assert_int_equal(statements_count(store, "numbaty"), 149);
    statements_append(store, 301, 1);
    store_close(store);
    assert_false(store_file_has(f, key, sizeof(key)));
    assert_false(store_file_has_word(f, "numbatx"));
    store = store_file_open_sealed(f);
    assert_int_equal(statements_count(store, "numbaty"), 149);
    store_close(store);
}

/* Plain records, as they were written before there were keys. */
static void test_records_of_before_are_erased_too(void **state)
{
    const struct store_file *f = *state;
    store_file_script(f, "schema_v8.sql");
    /* intent { text: "select dugong" } */
    store_file_sql(f,
                   "UPDATE audit_record SET form = 0, canonical ="
                   " x'5a0f4a0d73656c65637420647567756e67' WHERE position = 6;"
                   "UPDATE audit_record SET form = 0, canonical ="
                   " x'5a0f4a0d73656c656374206475676f6e67' WHERE position = 8;"
                   "UPDATE audit_record SET form = 0, canonical = x'' WHERE position IN (5, 7, 16);"
                   "DELETE FROM audit_record WHERE position = 14;"
                   "DELETE FROM audit_content_key WHERE session = 2");
    struct store *store = store_file_open_sealed(f);
    assert_int_equal(statements_count(store, "dugong"), 1);
    assert_int_equal(statements_count(store, "dugung"), 1);
    assert_true(store_file_has_word(f, "dugong"));
    assert_int_equal(statements_erase(store, "db2"), 1);
    assert_int_equal(statements_count(store, "dugong"), 0);
    assert_int_equal(statements_count(store, "dugung"), 0);
    assert_false(store_file_has_word(f, "dugong"));
    assert_false(store_file_has_word(f, "dugung"));
    store_close(store);
    /* Only the other session's tables are known. */
    store_file_sql(f, "CREATE TABLE proof (ok INTEGER CHECK (ok));"
                      "INSERT INTO proof SELECT count(*) > 0 FROM audit_tag WHERE kind = 4;"
                      "INSERT INTO proof SELECT count(*) = 0 FROM audit_tag t JOIN audit_section s"
                      " ON s.key = t.key WHERE t.kind = 4 AND s.session = 2;"
                      "INSERT INTO audit_words (audit_words) VALUES ('integrity-check')");
}

static void test_another_key_is_refused(void **state)
{
    const struct store_file *f = *state;
    struct store *store = store_file_open_sealed(f);
    statements_append(store, 1, 1);
    store_close(store);
    store_file_refuse(f->path, ERR_INVALID, "another key");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_FILE_TEST(test_content_is_not_readable_in_the_file),
        STORE_FILE_TEST(test_neither_key_nor_words_are_left_after_erasing),
        STORE_FILE_TEST(test_records_of_before_are_erased_too),
        STORE_FILE_TEST(test_another_key_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

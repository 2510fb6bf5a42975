/* A database that an older version made, and the steps that bring it up to date. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "controlplane/store/sqlite.h"
#include "controlplane/store/store_file.h"
#include "controlplane/store/store_statements.h"

static void old_rows_check(struct store *store)
{
    struct arena *arena = arena_create(4096, 1 << 20);
    struct store_policy policy;
    struct store_sidecar sidecar;
    struct store_audit_entry *items = NULL;
    struct store_session *sessions = NULL;
    const struct store_audit_filter all = {.kinds = STORE_KINDS_ALL};
    size_t count = 0;
    bool more = false;
    assert_int_equal(store_policy_latest(store, arena, &policy), OK);
    assert_int_equal(policy.revision, 1);
    assert_string_equal(policy.source, "version: 1");
    assert_string_equal(policy.message, "");
    assert_int_equal(store_sidecar_get(store, "s1", arena, &sidecar), OK);
    assert_string_equal(sidecar.policy_state, "active");
    assert_int_equal(
        store_audit_page(store, &all, INT64_MIN, 10, SIZE_MAX, arena, &items, &count, &more, NULL),
        OK);
    assert_int_equal(count, 1);
    assert_string_equal(items[0].identity, "alice");
    assert_true(bytes_equal_string(items[0].canonical, "any"));
    assert_int_equal(store_session_list(store, false, 10, arena, &sessions, &count), OK);
    assert_int_equal(count, 1);
    assert_string_equal(sessions[0].session, "A");
    arena_destroy(arena);
}

/* It is read as it was, and goes on: the stream, a tail over it, the next policy. */
static void test_a_database_of_version_1_goes_on(void **state)
{
    const struct store_file *f = *state;
    static const char *const files[] = {"schema_v1_first.sql", "schema_v1.sql"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        store_file_script(f, files[i]);
        struct store *store = store_file_open(f, NULL);
        struct arena *arena = arena_create(4096, 1 << 20);
        const struct store_audit_filter all = {.kinds = STORE_KINDS_ALL};
        struct store_audit_entry *items = NULL;
        size_t count = 0;
        uint64_t position = 0;
        bool more = false;
        old_rows_check(store);
        assert_int_equal(statements_append_one(store, 3), ERR_INVALID); /* a gap */
        assert_int_equal(statements_append_one(store, 2), OK);
        assert_int_equal(store_audit_follow(store, &all, 1, 10, SIZE_MAX, arena, &items, &count,
                                            &position, &more, NULL),
                         OK);
        assert_int_equal(count, 1);
        assert_int_equal(items[0].sequence, 2);
        const struct store_policy next = {.revision = 2,
                                          .hash = "def",
                                          .document = bytes_of_string("{}"),
                                          .signature = bytes_of_string("s"),
                                          .public_key = bytes_of_string("k"),
                                          .source = "",
                                          .created_by = "ann",
                                          .message = "why"};
        assert_int_equal(store_policy_add(store, &next), OK);
        const struct store_block block = {.id = "b", .everything = true, .created_ns = 1};
        assert_int_equal(store_block_add(store, &block), OK);
        store_close(store);
        store_close(store_file_open(f, NULL));
        assert_int_equal(unlink(f->path), 0);
        arena_destroy(arena);
    }
}

/* What people approved for later before it could be revoked stands, and can be. */
static void test_what_stood_before_stands_and_is_revoked(void **state)
{
    const struct store_file *f = *state;
    static const uint8_t key[STORE_HASH_SIZE] = {7};
    const struct store_standing revoked = {.id = "st", .revoked_ns = 50, .revoked_by = "ann"};
    struct store_standing found;
    struct store_standing_item got;
    struct arena *arena = arena_create(4096, 1 << 20);
    store_file_script(f, "schema_v8.sql");
    store_file_sql(f, "INSERT INTO approval VALUES ('a', 2, 2, 's1', 'x', 'iss', 'bot', 'orders',"
                      " zeroblob(32), 1, 0, 0, '', 1, 100, 5, x'00');"
                      "INSERT INTO standing_approval VALUES ('st',"
                      " CAST(x'07' || zeroblob(31) AS BLOB), 'a', 1, 100, 5, 2)");
    struct store *store = store_file_open_sealed(f);
    assert_int_equal(store_standing_find(store, key, 50, arena, &found), OK);
    assert_int_equal(found.uses, 2);
    assert_int_equal(found.revoked_ns, 0);
    assert_int_equal(store_standing_revoke(store, &revoked, NULL), OK);
    assert_int_equal(store_standing_find(store, key, 50, arena, &found), ERR_NOT_FOUND);
    assert_int_equal(store_standing_get(store, "st", arena, &got), OK);
    assert_string_equal(got.standing.revoked_by, "ann");
    store_close(store);
    arena_destroy(arena);
}

static enum err migrate(const char *path, const struct db_migration *migrations, size_t count,
                        struct err_text *why)
{
    struct db db = {0};
    assert_int_equal(sqlite3_open(path, &db.handle), SQLITE_OK);
    enum err err = db_migrate(&db, migrations, count, why);
    assert_int_equal(sqlite3_close(db.handle), SQLITE_OK);
    return err;
}

static void test_migrations_go_forward_each_once(void **state)
{
    const struct store_file *f = *state;
    struct err_text why;
    const struct db_migration released[] = {
        {1, "CREATE TABLE a (x)"},
        {2, "INSERT INTO a VALUES (2)"},
        {3, "INSERT INTO a SELECT x + 1 FROM a; CREATE TABLE b (y)"},
    };
    const struct db_migration broken[] = {
        released[0],
        released[1],
        released[2],
        {4, "INSERT INTO a VALUES (99); INSERT INTO missing VALUES (1)"},
    };
    assert_int_equal(migrate(f->path, released, 1, &why), OK);
    assert_int_equal(migrate(f->path, released, 3, &why), OK);
    assert_int_equal(migrate(f->path, released, 3, &why), OK);
    assert_int_equal(migrate(f->path, released, 2, &why), ERR_INVALID);
    assert_int_equal(migrate(f->path, broken, 4, &why), ERR_INTERNAL);
    assert_non_null(strstr(why.text, "missing"));
    /* The step that failed left nothing; those before it are there, once. */
    store_file_sql(f, "CREATE TABLE proof (ok INTEGER CHECK (ok));"
                      "INSERT INTO proof SELECT group_concat(x) = '2,3' FROM a;"
                      "INSERT INTO proof SELECT max(version) = 3 FROM schema_version");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_FILE_TEST(test_migrations_go_forward_each_once),
        STORE_FILE_TEST(test_a_database_of_version_1_goes_on),
        STORE_FILE_TEST(test_what_stood_before_stands_and_is_revoked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

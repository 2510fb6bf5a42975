/* The contract on SQLite, and what only a file can suffer. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "controlplane/store/sqlite_content.h"
#include "controlplane/store/store_contract.h"
#include "controlplane/store/store_records.h"

/* A fresh directory for each store, and the file in it. */
struct place {
    char directory[256];
    char path[300];
};

static void place_make(struct place *p)
{
    const char *parent = getenv("TEST_TMPDIR");
    (void)snprintf(p->directory, sizeof(p->directory), "%s/store-XXXXXX",
                   parent == NULL ? "/tmp" : parent);
    assert_non_null(mkdtemp(p->directory));
    (void)snprintf(p->path, sizeof(p->path), "%s/store.db", p->directory);
}

static void place_remove(const struct place *p)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++) {
        char path[320];
        (void)snprintf(path, sizeof(path), "%s%s", p->path, suffixes[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(p->directory), 0);
}

static struct store *open_at(const char *path, const struct store_sqlite_options *options)
{
    struct store *store = NULL;
    struct err_text why = {.text = ""};
    enum err err = store_open_sqlite(path, options, &store, &why);
    if (err != OK) {
        print_error("%s\n", why.text);
    }
    assert_int_equal(err, OK);
    return store;
}

static struct store *contract_open(void *context)
{
    place_make(context);
    return open_at(((struct place *)context)->path, NULL);
}

static struct store *contract_reopen(void *context, struct store *store)
{
    store_close(store);
    return open_at(((struct place *)context)->path, NULL);
}

static void contract_close(void *context, struct store *store)
{
    store_close(store);
    place_remove(context);
}

/* ---- the file ----------------------------------------------------------------------------------
 */

static int place_setup(void **state)
{
    struct place *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    place_make(p);
    *state = p;
    return 0;
}

static int place_teardown(void **state)
{
    place_remove(*state);
    free(*state);
    return 0;
}

static void mode_check(const struct place *p, const char *suffix)
{
    char path[320];
    struct stat status;
    (void)snprintf(path, sizeof(path), "%s%s", p->path, suffix);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

static void test_nobody_else_may_read_the_file(void **state)
{
    const struct place *p = *state;
    int fd = open(p->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644); /* as an unaware admin made it */
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, 0644), 0);
    assert_int_equal(close(fd), 0);
    struct store *store = open_at(p->path, NULL);
    mode_check(p, "");
    mode_check(p, "-wal");
    mode_check(p, "-shm");
    store_close(store);
}

static void refuse(const char *path, enum err expected, const char *sentence)
{
    struct store *store = NULL;
    struct err_text why = {.text = ""};
    assert_int_equal(store_open_sqlite(path, NULL, &store, &why), expected);
    assert_null(store);
    if (strstr(why.text, sentence) == NULL) {
        print_error("\"%s\" is not in \"%s\"\n", sentence, why.text);
    }
    assert_non_null(strstr(why.text, sentence));
}

static void file_write(const char *path, long at, const void *data, size_t size)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, size, at), size);
    assert_int_equal(close(fd), 0);
}

static void sql(const char *path, const char *text)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_what_is_no_store_is_refused(void **state)
{
    const struct place *p = *state;
    char text[8192];
    memset(text, 'x', sizeof(text));
    refuse(p->directory, ERR_IO, "cannot open");
    file_write(p->path, 0, text, sizeof(text));
    refuse(p->path, ERR_INVALID, "not a database");
    assert_int_equal(unlink(p->path), 0);
    sql(p->path, "CREATE TABLE recipe (name TEXT)");
    refuse(p->path, ERR_INVALID, "another program");
    sql(p->path, "INSERT INTO recipe VALUES ('untouched'); DROP TABLE recipe;"
                 "CREATE TABLE schema_version (version INTEGER)");
    refuse(p->path, ERR_INVALID, "another program");
}

static void test_a_newer_schema_is_refused(void **state)
{
    const struct place *p = *state;
    store_close(open_at(p->path, NULL));
    sql(p->path, "INSERT INTO schema_version VALUES (99, 0)");
    refuse(p->path, ERR_INVALID, "newer version of this program");
    sql(p->path, "DELETE FROM schema_version WHERE version = 99");
    store_close(open_at(p->path, NULL));
}

static enum err append_one(struct store *store, uint64_t sequence)
{
    static const char zeros[2000];
    struct store_audit_record r = records_make(1, sequence, STORE_INTENT, "x");
    struct store_audit_appended done;
    r.canonical = bytes_of(zeros, sizeof(zeros));
    r.index.text = bytes_of_string("select something");
    return store_audit_append(store, "s1", &r, 1, records_received_ns, &done, NULL, NULL);
}

static void append(struct store *store, uint64_t first, uint64_t count)
{
    for (uint64_t i = first; i < first + count; i++) {
        assert_int_equal(append_one(store, i), OK);
    }
}

static void test_a_damaged_file_is_refused(void **state)
{
    const struct place *p = *state;
    struct stat status;
    char noise[4096];
    struct store *store = open_at(p->path, NULL);
    append(store, 1, 100);
    store_close(store);
    assert_int_equal(stat(p->path, &status), 0);
    memset(noise, 0xa5, sizeof(noise));
    file_write(p->path, (long)(status.st_size / 4096 / 2 * 4096), noise, sizeof(noise));
    refuse(p->path, ERR_INVALID, "damaged");
    assert_int_equal(truncate(p->path, status.st_size / 2), 0);
    refuse(p->path, ERR_IO, "damaged");
}

/* ---- migrations ---- */

/* Makes the database that the file describes. */
static void make_old(const char *path, const char *name)
{
    char file[128], *text = NULL;
    size_t size = 0;
    (void)snprintf(file, sizeof(file), "controlplane/store/testdata/%s", name);
    FILE *in = fopen(file, "r");
    assert_non_null(in);
    assert_true(getdelim(&text, &size, '\0', in) > 0);
    assert_int_equal(fclose(in), 0);
    sql(path, text);
    free(text);
}

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
    const struct place *p = *state;
    static const char *const files[] = {"schema_v1_first.sql", "schema_v1.sql"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        make_old(p->path, files[i]);
        struct store *store = open_at(p->path, NULL);
        struct arena *arena = arena_create(4096, 1 << 20);
        const struct store_audit_filter all = {.kinds = STORE_KINDS_ALL};
        struct store_audit_entry *items = NULL;
        size_t count = 0;
        uint64_t position = 0;
        bool more = false;
        old_rows_check(store);
        assert_int_equal(append_one(store, 3), ERR_INVALID); /* a gap */
        assert_int_equal(append_one(store, 2), OK);
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
        store_close(open_at(p->path, NULL));
        assert_int_equal(unlink(p->path), 0);
        arena_destroy(arena);
    }
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
    const struct place *p = *state;
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
    assert_int_equal(migrate(p->path, released, 1, &why), OK);
    assert_int_equal(migrate(p->path, released, 3, &why), OK);
    assert_int_equal(migrate(p->path, released, 3, &why), OK);
    assert_int_equal(migrate(p->path, released, 2, &why), ERR_INVALID);
    assert_int_equal(migrate(p->path, broken, 4, &why), ERR_INTERNAL);
    assert_non_null(strstr(why.text, "missing"));
    /* The step that failed left nothing; those before it are there, once. */
    sql(p->path, "CREATE TABLE proof (ok INTEGER CHECK (ok));"
                 "INSERT INTO proof SELECT group_concat(x) = '2,3' FROM a;"
                 "INSERT INTO proof SELECT max(version) = 3 FROM schema_version");
}

/* ---- content at rest ---------------------------------------------------------------------------
 */

static bool file_has(const char *path, const void *what, size_t size)
{
    char *text = NULL;
    FILE *in = fopen(path, "r");
    if (in == NULL) {
        return false;
    }
    assert_int_equal(fseek(in, 0, SEEK_END), 0);
    long length = ftell(in);
    rewind(in);
    text = calloc(1, (size_t)length + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)length, in), length);
    bool has = memmem(text, (size_t)length, what, size) != NULL;
    assert_int_equal(fclose(in), 0);
    free(text);
    return has;
}

/* In the database or its journal. */
static bool is_kept(const struct place *p, const void *what, size_t size)
{
    char wal[320];
    (void)snprintf(wal, sizeof(wal), "%s-wal", p->path);
    return file_has(p->path, what, size) || file_has(wal, what, size);
}

#define KEPT(p, word) is_kept((p), (word), sizeof(word) - 1)

static const uint8_t master[CONTENT_KEY_SIZE] = {7, 7, 7};

static struct store *open_sealed(const struct place *p)
{
    const struct store_sqlite_options options = {.content_master =
                                                     bytes_of(master, sizeof(master))};
    return open_at(p->path, &options);
}

/* Many statements with a word each of a session "x" that ends, on db1, and of "y" that does not.
 * The first come close together, the others are far apart. */
static void secrets_fill(struct store *store)
{
    enum { RECORDS = 300 };
    static char texts[RECORDS][128];
    static struct store_audit_record records[RECORDS];
    const struct store_audit_opened opened = {.identity = bytes_of_string("alice"),
                                              .resource = bytes_of_string("db1")};
    struct store_audit_appended done;
    for (uint64_t i = 0; i < RECORDS; i++) {
        struct store_audit_record *r = &records[i];
        const char *session = i % 2 == 0 ? "x" : "y";
        *r = records_make(1, i + 1, i < 2 ? STORE_SESSION_OPENED : STORE_INTENT, session);
        r->index.time_ns = i < 200 ? records_start_ns + (int64_t)i * 1000 : r->index.time_ns;
        int size =
            snprintf(texts[i], sizeof(texts[i]), "select quokka%d from wombat where a = 'numbat%s'",
                     (int)i + 1, session);
        r->index.text = bytes_of(texts[i], (size_t)size);
        r->canonical = r->index.text;
        r->index.opened = i < 2 ? &opened : NULL;
    }
    records[RECORDS - 1] = records_make(1, RECORDS, STORE_SESSION_CLOSED, "x");
    assert_int_equal(
        store_audit_append(store, "s1", records, RECORDS, records_received_ns, &done, NULL, NULL),
        OK);
}

static size_t erase_all(struct store *store, const char *resource)
{
    const struct store_erase what = {
        .resource = resource, .closed_before_ns = records_received_ns, .max = 10};
    struct arena *arena = arena_create(4096, 1 << 20);
    const char **sessions = NULL;
    size_t count = 0, total = 0;
    do {
        assert_int_equal(
            store_audit_erase(store, &what, records_received_ns, arena, &sessions, &count), OK);
        total += count;
    } while (count > 0);
    arena_destroy(arena);
    return total;
}

static size_t count_words(struct store *store, const char *text)
{
    struct arena *arena = arena_create(4096, 16 << 20);
    const struct store_audit_filter filter = {.text = text};
    struct store_audit_entry *items = NULL;
    size_t count = 0;
    bool more = false;
    assert_int_equal(store_audit_page(store, &filter, INT64_MIN, 1000, SIZE_MAX, arena, &items,
                                      &count, &more, NULL),
                     OK);
    arena_destroy(arena);
    return count;
}

static void test_content_is_not_readable_in_the_file(void **state)
{
    const struct place *p = *state;
    struct store *store = open_sealed(p);
    secrets_fill(store);
    store_close(store);
    assert_false(KEPT(p, "from wombat where"));
    /* The index of words is not encrypted. */
    assert_true(KEPT(p, "numbatx"));
    store = open_sealed(p);
    assert_int_equal(count_words(store, "quokka15"), 1);
    assert_int_equal(count_words(store, "numbatx"), 150);
    store_close(store);
}

/* What `key` was encrypted to for a session. */
static void wrapped_read(const char *path, const char *session, uint8_t out[CONTENT_WRAPPED_SIZE])
{
    sqlite3 *db = NULL;
    sqlite3_stmt *get = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT wrapped FROM audit_content_key WHERE session ="
                                        " (SELECT id FROM audit_session WHERE session = ?1)",
                                        -1, &get, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_bind_text(get, 1, session, -1, SQLITE_STATIC), SQLITE_OK);
    assert_int_equal(sqlite3_step(get), SQLITE_ROW);
    assert_int_equal(sqlite3_column_bytes(get, 0), CONTENT_WRAPPED_SIZE);
    memcpy(out, sqlite3_column_blob(get, 0), CONTENT_WRAPPED_SIZE);
    assert_int_equal(sqlite3_finalize(get), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Of the marks of a session's sections, how many there are; the bytes of one. */
static size_t marks_read(const char *path, const char *session, uint8_t *out, size_t size)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *get = NULL;
    size_t count = 0;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT m.marks FROM audit_mark m"
                                        " JOIN audit_section s ON s.key = m.key WHERE s.session ="
                                        " (SELECT id FROM audit_session WHERE session = ?1)",
                                        -1, &get, NULL),
                     SQLITE_OK);
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

static void test_neither_key_nor_words_are_left_after_erasing(void **state)
{
    const struct place *p = *state;
    uint8_t key[CONTENT_WRAPPED_SIZE], other[CONTENT_WRAPPED_SIZE];
    struct store *store = open_sealed(p);
    secrets_fill(store);
    wrapped_read(p->path, "x", key);
    wrapped_read(p->path, "y", other);
    uint8_t marks[40];
    assert_true(marks_read(p->path, "x", marks, sizeof(marks)) > 0);
    assert_true(is_kept(p, key, sizeof(key)));
    assert_true(is_kept(p, marks, sizeof(marks)));
    assert_int_equal(erase_all(store, "db1"), 1);
    /* Still open: what a copy of the files would have now. */
    assert_false(is_kept(p, key, sizeof(key)));
    assert_false(is_kept(p, marks, sizeof(marks)));
    assert_int_equal(marks_read(p->path, "x", NULL, 0), 0);
    assert_true(marks_read(p->path, "y", NULL, 0) > 0);
    assert_false(KEPT(p, "numbatx"));
    assert_true(is_kept(p, other, sizeof(other)));
    assert_true(KEPT(p, "numbaty"));
    assert_int_equal(count_words(store, "numbatx"), 0);
    assert_int_equal(count_words(store, "numbaty"), 149);
    append(store, 301, 1);
    store_close(store);
    assert_false(is_kept(p, key, sizeof(key)));
    assert_false(KEPT(p, "numbatx"));
    store = open_sealed(p);
    assert_int_equal(count_words(store, "numbaty"), 149);
    store_close(store);
}

/* Plain records, as they were written before there were keys. */
static void test_records_of_before_are_erased_too(void **state)
{
    const struct place *p = *state;
    make_old(p->path, "schema_v8.sql");
    /* intent { text: "select dugong" } */
    sql(p->path, "UPDATE audit_record SET form = 0, canonical ="
                 " x'5a0f4a0d73656c65637420647567756e67' WHERE position = 6;"
                 "UPDATE audit_record SET form = 0, canonical ="
                 " x'5a0f4a0d73656c656374206475676f6e67' WHERE position = 8;"
                 "UPDATE audit_record SET form = 0, canonical = x'' WHERE position IN (5, 7, 16);"
                 "DELETE FROM audit_record WHERE position = 14;"
                 "DELETE FROM audit_content_key WHERE session = 2");
    struct store *store = open_sealed(p);
    assert_int_equal(count_words(store, "dugong"), 1);
    assert_int_equal(count_words(store, "dugung"), 1);
    assert_true(KEPT(p, "dugong"));
    assert_int_equal(erase_all(store, "db2"), 1);
    assert_int_equal(count_words(store, "dugong"), 0);
    assert_int_equal(count_words(store, "dugung"), 0);
    assert_false(KEPT(p, "dugong"));
    assert_false(KEPT(p, "dugung"));
    store_close(store);
    /* Only the other session's tables are known. */
    sql(p->path, "CREATE TABLE proof (ok INTEGER CHECK (ok));"
                 "INSERT INTO proof SELECT count(*) > 0 FROM audit_tag WHERE kind = 4;"
                 "INSERT INTO proof SELECT count(*) = 0 FROM audit_tag t JOIN audit_section s"
                 " ON s.key = t.key WHERE t.kind = 4 AND s.session = 2;"
                 "INSERT INTO audit_words (audit_words) VALUES ('integrity-check')");
}

static void test_another_key_is_refused(void **state)
{
    const struct place *p = *state;
    struct store *store = open_sealed(p);
    append(store, 1, 1);
    store_close(store);
    refuse(p->path, ERR_INVALID, "another key");
}

/* ---- a database that somebody changed ---------------------------------------------------------
 *
 * Each append of one record is a batch, and a section in it. */

static enum err page_of_all(struct store *store, struct arena *arena, size_t *out_count,
                            struct err_text *why)
{
    static const struct store_audit_filter all = {.kinds = STORE_KINDS_ALL};
    struct store_audit_entry *items = NULL;
    bool more = false;
    return store_audit_page(store, &all, INT64_MIN, 10, SIZE_MAX, arena, &items, out_count, &more,
                            why);
}

/* After the change the record at position 2 of three cannot be read, which is said with its place,
 * and the others can. */
static void change_is_told(const struct place *p, const char *change, const char *told)
{
    struct arena *arena = arena_create(4096, 1 << 20);
    struct store_audit_entry e;
    struct err_text why = {.text = ""};
    size_t count = 0;
    struct store *store = open_sealed(p);
    append(store, 1, 3);
    store_close(store);
    sql(p->path, change);
    store = open_sealed(p);
    enum err err = page_of_all(store, arena, &count, &why);
    if (err != ERR_IO || strstr(why.text, told) == NULL) {
        print_error("%s: %s, \"%s\"\n", change, err_name(err), why.text);
        fail();
    }
    assert_int_equal(store_audit_at(store, 1, arena, &e), OK);
    assert_int_equal(store_audit_at(store, 2, arena, &e), ERR_IO);
    assert_int_equal(store_audit_at(store, 3, arena, &e), OK);
    store_close(store);
    assert_int_equal(unlink(p->path), 0);
    arena_destroy(arena);
}

static void change_is_said(const struct place *p, const char *change)
{
    change_is_told(p, change, "position 2 was changed in the database");
}

static void test_changed_content_is_said_with_its_place(void **state)
{
    const struct place *p = *state;
    /* One's content in another's place. */
    change_is_said(p, "UPDATE audit_section SET content ="
                      " (SELECT content FROM audit_section WHERE batch = 1) WHERE batch = 2");
    change_is_said(p, "UPDATE audit_section SET content = x'' WHERE batch = 2");
    change_is_said(p, "UPDATE audit_section SET form = 0 WHERE batch = 2");
    change_is_said(p, "UPDATE audit_section SET form = 3 WHERE batch = 2");
    change_is_said(p, "UPDATE audit_batch SET hashes = zeroblob(32) WHERE position = 2");
    change_is_said(p, "UPDATE audit_batch SET hashes = x'' WHERE position = 2");
    change_is_said(p, "UPDATE audit_session SET session = 'another';"
                      "INSERT INTO audit_session SELECT 99, 'x', stream, identity, resource,"
                      " on_behalf_of, protocol, database, agent_address, opened_ns, closed_ns,"
                      " operations, state, close_reason, erased_ns FROM audit_session;"
                      "UPDATE audit_section SET session = 99 WHERE batch <> 2;"
                      "UPDATE audit_content_key SET session = 99");
    change_is_said(p, "UPDATE audit_section SET session = NULL WHERE batch = 2");
}

static void test_a_changed_head_is_said_with_its_place(void **state)
{
    const struct place *p = *state;
    change_is_said(p, "UPDATE audit_section SET head = x'' WHERE batch = 2");
    change_is_said(p, "UPDATE audit_section SET head = substr(head, 1, length(head) - 1)"
                      " WHERE batch = 2");
    change_is_said(p, "UPDATE audit_section SET head = CAST(head || x'00' AS BLOB)"
                      " WHERE batch = 2");
    /* Another place in the batch, where there is none: the place that it says is all there is. */
    change_is_told(p,
                   "UPDATE audit_section SET head = CAST(substr(head, 1, 13) || x'0001' ||"
                   " substr(head, 16) AS BLOB) WHERE batch = 2",
                   "was changed in the database");
    change_is_said(p, "UPDATE audit_section SET last_key = last_key + 1 WHERE batch = 2");
}

/* Content that is only hidden under that name: whoever asks sees it, and that nobody said so. */
static void test_content_that_was_hidden_is_told_as_erased(void **state)
{
    const struct place *p = *state;
    struct arena *arena = arena_create(4096, 1 << 20);
    struct store_audit_entry e;
    struct store *store = open_sealed(p);
    append(store, 1, 3);
    store_close(store);
    sql(p->path, "UPDATE audit_section SET form = 2, content = x'' WHERE batch = 2");
    store = open_sealed(p);
    assert_int_equal(store_audit_at(store, 2, arena, &e), OK);
    assert_true(e.is_erased);
    assert_int_equal(e.erased_ns, 0);
    assert_int_equal(e.canonical.size, 0);
    store_close(store);
    arena_destroy(arena);
}

static void test_a_missing_batch_stops_the_log(void **state)
{
    const struct place *p = *state;
    struct arena *arena = arena_create(4096, 1 << 20);
    struct store_audit_entry e;
    uint8_t hashes[9][STORE_HASH_SIZE];
    size_t count = 0;
    struct store *store = open_sealed(p);
    append(store, 1, 5);
    store_close(store);
    sql(p->path, "DELETE FROM audit_batch WHERE position = 3");
    store = open_sealed(p);
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
    const struct place *p = *state;
    static const struct store_audit_filter all = {.kinds = STORE_KINDS_ALL};
    struct arena *arena = arena_create(4096, 1 << 20);
    struct store_audit_entry e, *items = NULL;
    struct err_text why = {.text = ""};
    size_t count = 0;
    uint64_t position = 0;
    bool more = false;
    struct store *store = open_sealed(p);
    append(store, 1, 5);
    store_close(store);
    sql(p->path, "DELETE FROM audit_section WHERE batch = 3");
    store = open_sealed(p);
    assert_int_equal(store_audit_at(store, 2, arena, &e), OK);
    assert_int_equal(store_audit_at(store, 3, arena, &e), ERR_IO);
    assert_int_equal(store_audit_follow(store, &all, 2, 10, SIZE_MAX, arena, &items, &count,
                                        &position, &more, &why),
                     ERR_IO);
    assert_non_null(strstr(why.text, "position 3 "));
    store_close(store);
    arena_destroy(arena);
}

/* What came before it can be followed. No position is given twice: nothing is appended. */
static void test_the_end_of_the_log_that_was_changed_is_said(void **state)
{
    const struct place *p = *state;
    static const struct store_audit_filter all = {.kinds = STORE_KINDS_ALL};
    struct arena *arena = arena_create(4096, 1 << 20);
    struct store_audit_entry *items = NULL;
    struct store_audit_record next = records_make(1, 6, STORE_INTENT, "s");
    struct store_audit_appended done;
    struct err_text why = {.text = ""};
    size_t count = 0;
    uint64_t position = 0;
    bool more = false;
    struct store *store = open_sealed(p);
    append(store, 1, 5);
    store_close(store);
    sql(p->path, "UPDATE audit_batch SET hashes = x'00' WHERE position = 5");
    store = open_sealed(p);
    assert_int_equal(store_audit_follow(store, &all, 0, 4, SIZE_MAX, arena, &items, &count,
                                        &position, &more, &why),
                     OK);
    assert_int_equal(position, 4);
    assert_true(more);
    assert_int_equal(store_audit_follow(store, &all, 4, 4, SIZE_MAX, arena, &items, &count,
                                        &position, &more, &why),
                     ERR_IO);
    assert_non_null(strstr(why.text, "position 5 "));
    assert_int_equal(
        store_audit_append(store, "s1", &next, 1, records_received_ns, &done, NULL, NULL), ERR_IO);
    store_close(store);
    sql(p->path, "UPDATE audit_batch SET count = 0 WHERE position = 5");
    store = open_sealed(p);
    assert_int_equal(store_audit_follow(store, &all, 0, 4, SIZE_MAX, arena, &items, &count,
                                        &position, &more, &why),
                     ERR_IO);
    store_close(store);
    arena_destroy(arena);
}

/* What cannot be read goes all the same. */
static void test_what_was_changed_is_erased(void **state)
{
    const struct place *p = *state;
    static const char *const changes[] = {
        "UPDATE audit_section SET content = x'00' WHERE session = 1",
        "UPDATE audit_section SET head = x'00' WHERE session = 1",
        "UPDATE audit_batch SET hashes = zeroblob(length(hashes))",
        "DELETE FROM audit_batch",
        "DELETE FROM audit_content_key WHERE session = 1",
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct store *store = open_sealed(p);
        secrets_fill(store);
        store_close(store);
        sql(p->path, changes[i]);
        store = open_sealed(p);
        assert_int_equal(erase_all(store, "db1"), 1);
        store_close(store);
        sql(p->path, "CREATE TABLE proof (ok INTEGER CHECK (ok));"
                     "INSERT INTO proof SELECT min(form) = 2 AND max(length(content)) = 0"
                     " FROM audit_section WHERE session = 1;"
                     "INSERT INTO proof SELECT min(length(content)) > 0"
                     " FROM audit_section WHERE session = 2;"
                     "INSERT INTO proof SELECT count(*) = 0 FROM audit_mark m"
                     " JOIN audit_section s ON s.key = m.key WHERE s.session = 1");
        assert_int_equal(unlink(p->path), 0);
    }
}

/* ---- faults -------------------------------------------------------------------------------------
 */

static void test_a_full_disk_is_said_and_survived(void **state)
{
    const struct place *p = *state;
    const struct store_sqlite_options small = {.page_count_max = 120};
    struct store_audit_last last;
    struct store *store = open_at(p->path, &small);
    uint64_t sequence = 1;
    enum err err = OK;
    while (err == OK && sequence < 1000) {
        err = append_one(store, sequence);
        sequence += err == OK;
    }
    assert_int_equal(err, ERR_FULL);
    assert_true(sequence > 1);
    /* What was acknowledged is there, what was not is not; room makes it go on. */
    assert_int_equal(store_audit_last(store, "s1", &last), OK);
    assert_int_equal(last.sequence, sequence - 1);
    store_close(store);
    store = open_at(p->path, NULL);
    append(store, sequence, 50);
    assert_int_equal(store_audit_last(store, "s1", &last), OK);
    assert_int_equal(last.sequence, sequence + 49);
    store_close(store);
}

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
    const struct place *p = *state;
    const struct store_audit_filter all = {0}, words = {.text = "something"};
    for (int i = 0; i < KILLS; i++) {
        struct store_audit_last last;
        uint64_t acknowledged = run_and_kill(p->path, 1 + i % 5, (useconds_t)(i * 137 % 3000));
        struct store *store = open_at(p->path, NULL);
        assert_int_equal(store_audit_last(store, "s1", &last), OK);
        assert_true(last.sequence >= acknowledged);
        assert_int_equal(last.sequence % 10, 0); /* whole batches only */
        assert_int_equal(sequences_check(store, &all), last.sequence);
        assert_int_equal(sequences_check(store, &words), last.sequence);
        store_close(store);
    }
}

/* Erases until it is killed. */
static void erase_and_kill(const struct place *p, useconds_t after_us)
{
    int ends[2];
    uint8_t ready = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct store *store = open_sealed(p);
        if (write(ends[1], &ready, 1) != 1) {
            _exit(1);
        }
        (void)erase_all(store, "db1");
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
    const struct place *p = *state;
    for (int i = 0; i < KILLS; i++) {
        struct store *store = open_sealed(p);
        secrets_fill(store);
        store_close(store);
        erase_and_kill(p, (useconds_t)(i * 1103 % 7000));
        store = open_sealed(p);
        size_t erased = count_erased(store);
        assert_true(erased <= RECORDS);
        assert_int_equal(count_words(store, "numbatx"), erased == 0 ? RECORDS - 1 : 0);
        assert_true(erase_all(store, "db1") <= 1);
        assert_int_equal(count_erased(store), RECORDS);
        assert_false(KEPT(p, "numbatx"));
        assert_int_equal(count_words(store, "numbaty"), 149);
        store_close(store);
        assert_int_equal(unlink(p->path), 0);
    }
}

#define TEST(name)                                                                                 \
    {                                                                                              \
#name, name, place_setup, place_teardown, NULL                                             \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nobody_else_may_read_the_file),
        TEST(test_what_is_no_store_is_refused),
        TEST(test_a_newer_schema_is_refused),
        TEST(test_a_damaged_file_is_refused),
        TEST(test_migrations_go_forward_each_once),
        TEST(test_a_database_of_version_1_goes_on),
        TEST(test_content_is_not_readable_in_the_file),
        TEST(test_neither_key_nor_words_are_left_after_erasing),
        TEST(test_records_of_before_are_erased_too),
        TEST(test_another_key_is_refused),
        TEST(test_changed_content_is_said_with_its_place),
        TEST(test_a_changed_head_is_said_with_its_place),
        TEST(test_content_that_was_hidden_is_told_as_erased),
        TEST(test_a_missing_batch_stops_the_log),
        TEST(test_a_missing_section_is_said),
        TEST(test_the_end_of_the_log_that_was_changed_is_said),
        TEST(test_what_was_changed_is_erased),
        TEST(test_a_full_disk_is_said_and_survived),
        TEST(test_what_was_acknowledged_survives_kill_9),
        TEST(test_an_erasing_that_was_killed_is_ended_by_the_next),
    };
    struct place place;
    const struct store_contract contract = {
        .open_empty = contract_open,
        .reopen = contract_reopen,
        .close = contract_close,
        .context = &place,
    };
    int failed = store_contract_run(&contract);
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}

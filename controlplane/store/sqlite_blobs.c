/* What is known of blobs: which of them a row names. */
#include "controlplane/store/sqlite.h"

/* Runs `sql` for each name, with a number as its second parameter, in one transaction. */
static enum err names_write(struct store *store, const char *sql,
                            const uint8_t (*names)[STORE_HASH_SIZE], size_t count, int64_t number)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    enum err err = sqlite_write_begin(s, &db);
    if (err != OK) {
        return err;
    }
    for (size_t i = 0; err == OK && i < count; i++) {
        sqlite3_stmt *write = NULL;
        err = db_statement(db, sql, &write);
        if (err == OK) {
            db_bind_blob(write, 1, bytes_of(names[i], STORE_HASH_SIZE));
            db_bind_number(write, 2, number);
            err = db_run(db, write);
        }
    }
    return sqlite_write_end(s, err, NULL);
}

enum err sqlite_blob_add(struct store *store, const uint8_t (*names)[STORE_HASH_SIZE], size_t count,
                         int64_t now_ns)
{
    return names_write(store,
                       "INSERT INTO audit_blob (name, session, state, since_ns)"
                       " VALUES (?1, NULL, 0, ?2)",
                       names, count, now_ns);
}

enum err sqlite_blob_drop(struct store *store, const uint8_t (*names)[STORE_HASH_SIZE],
                          size_t count)
{
    return names_write(store, "UPDATE audit_blob SET state = ?2 WHERE name = ?1 AND state = 0",
                       names, count, SQLITE_BLOB_DROPPED);
}

enum err sqlite_blob_forget(struct store *store, const uint8_t (*names)[STORE_HASH_SIZE],
                            size_t count)
{
    return names_write(store, "DELETE FROM audit_blob WHERE name = ?1 AND state = ?2", names, count,
                       SQLITE_BLOB_DROPPED);
}

enum err sqlite_blob_use(struct db *db, const uint8_t *name, int64_t session)
{
    sqlite3_stmt *use = NULL;
    enum err err = db_statement(
        db, "UPDATE audit_blob SET state = 1, session = ?2 WHERE name = ?1 AND state = 0", &use);
    if (err == OK) {
        db_bind_blob(use, 1, bytes_of(name, STORE_HASH_SIZE));
        db_bind_number(use, 2, session);
        err = db_run_one(db, use);
    }
    return err == ERR_NOT_FOUND ? ERR_UNAVAILABLE : err;
}

enum err sqlite_blobs_drop_session(struct db *db, int64_t session)
{
    sqlite3_stmt *drop = NULL;
    enum err err = db_statement(
        db, "UPDATE audit_blob SET state = 2, session = NULL WHERE session = ?1", &drop);
    if (err == OK) {
        db_bind_number(drop, 1, session);
        err = db_run(db, drop);
    }
    return err;
}

struct name {
    uint8_t bytes[STORE_HASH_SIZE];
};

static bool name_read(sqlite3_stmt *row, struct arena *arena, void *out_item)
{
    struct name *name = out_item;
    (void)arena;
    return db_column_hash(row, 0, name->bytes);
}

static enum err waiting_drop(struct sqlite_store *s, int64_t before_ns)
{
    struct db *db = NULL;
    sqlite3_stmt *drop = NULL;
    enum err err = sqlite_write_one(
        s, "UPDATE audit_blob SET state = 2 WHERE state = 0 AND since_ns < ?1", &db, &drop);
    if (err != OK) {
        return err;
    }
    db_bind_number(drop, 1, before_ns);
    return sqlite_write_end(s, db_run(db, drop), NULL);
}

static enum err waiting_exist(struct sqlite_store *s, int64_t before_ns, bool *out)
{
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *find = NULL;
    bool row = false;
    enum err err = db_statement(
        db, "SELECT 1 FROM audit_blob WHERE state = 0 AND since_ns < ?1 LIMIT 1", &find);
    if (err == OK) {
        db_bind_number(find, 1, before_ns);
        err = db_step(db, find, &row);
    }
    if (find != NULL) {
        (void)sqlite3_reset(find);
    }
    sqlite_read_end(s, db);
    if (err == OK) {
        *out = row;
    }
    return err;
}

enum err sqlite_blob_claim(struct store *store, int64_t before_ns, size_t max, struct arena *arena,
                           uint8_t (**out_names)[STORE_HASH_SIZE], size_t *out_count)
{
    struct sqlite_store *s = sqlite_of(store);
    sqlite3_stmt *list = NULL;
    void *items = NULL;
    bool any = false;
    /* Mostly there are none: looking costs no write. */
    enum err err = waiting_exist(s, before_ns, &any);
    if (err == OK && any) {
        err = waiting_drop(s, before_ns);
    }
    if (err != OK) {
        return err;
    }
    struct db *db = sqlite_read_begin(s);
    err = db_statement(db, "SELECT name FROM audit_blob WHERE state = 2 LIMIT ?1", &list);
    if (err == OK) {
        db_bind_number(list, 1, (int64_t)max);
        err = db_read_all(db, list, sizeof(struct name), name_read, arena, &items, out_count);
    }
    sqlite_read_end(s, db);
    if (err == OK) {
        *out_names = items;
    }
    return err;
}

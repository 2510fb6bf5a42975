#include <string.h>

#include "controlplane/store/sqlite.h"

static enum err result_meaning(int result)
{
    switch (result & 0xff) {
    case SQLITE_NOMEM: return ERR_NO_MEMORY;
    case SQLITE_FULL: return ERR_FULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return ERR_UNAVAILABLE;
    case SQLITE_CONSTRAINT: return ERR_EXISTS;
    case SQLITE_TOOBIG: return ERR_LIMIT;
    case SQLITE_NOTADB: return ERR_INVALID;
    case SQLITE_ERROR:
    case SQLITE_MISUSE:
    case SQLITE_RANGE: return ERR_INTERNAL;
    default: return ERR_IO;
    }
}

enum err db_explain(struct db *db, enum err err, struct err_text *why)
{
    if ((sqlite3_extended_errcode(db->handle) & 0xff) == SQLITE_CORRUPT) {
        return err_set(why, err, "the database is damaged (%s): restore it from a backup",
                       sqlite3_errmsg(db->handle));
    }
    return err_set(why, err, "the database says: %s", sqlite3_errmsg(db->handle));
}

enum err db_failed(struct db *db, struct err_text *why)
{
    return db_explain(db, result_meaning(sqlite3_extended_errcode(db->handle)), why);
}

enum err db_execute(struct db *db, const char *sql, struct err_text *why)
{
    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? OK : db_failed(db, why);
}

enum err db_statement(struct db *db, const char *sql, sqlite3_stmt **out)
{
    for (size_t i = 0; i < db->kept_count; i++) {
        if (db->kept[i].sql == sql) {
            (void)sqlite3_reset(db->kept[i].statement);
            *out = db->kept[i].statement;
            return OK;
        }
    }
    if (db->kept_count == DB_STATEMENTS_MAX) {
        return ERR_INTERNAL;
    }
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) !=
        SQLITE_OK) {
        return db_failed(db, NULL);
    }
    db->kept[db->kept_count].sql = sql;
    db->kept[db->kept_count].statement = statement;
    db->kept_count++;
    *out = statement;
    return OK;
}

enum err db_step(struct db *db, sqlite3_stmt *statement, bool *out_row)
{
    int result = sqlite3_step(statement);
    if (result == SQLITE_ROW) {
        *out_row = true;
        return OK;
    }
    enum err err = result == SQLITE_DONE ? OK : db_failed(db, NULL);
    (void)sqlite3_reset(statement);
    if (err == OK) {
        *out_row = false;
    }
    return err;
}

enum err db_run(struct db *db, sqlite3_stmt *statement)
{
    bool row = false;
    enum err err = db_step(db, statement, &row);
    if (err == OK && row) {
        (void)sqlite3_reset(statement);
        return ERR_INTERNAL;
    }
    return err;
}

enum err db_run_one(struct db *db, sqlite3_stmt *statement)
{
    enum err err = db_run(db, statement);
    return err == OK && sqlite3_changes(db->handle) == 0 ? ERR_NOT_FOUND : err;
}

/* A failed binding leaves NULL, which the NOT NULL columns refuse: nothing wrong is stored. */
void db_bind_number(sqlite3_stmt *statement, int at, int64_t value)
{
    (void)sqlite3_bind_int64(statement, at, value);
}

void db_bind_text(sqlite3_stmt *statement, int at, struct bytes value)
{
    (void)sqlite3_bind_text64(statement, at, value.size == 0 ? "" : (const char *)value.data,
                              value.size, SQLITE_STATIC, SQLITE_UTF8);
}

void db_bind_string(sqlite3_stmt *statement, int at, const char *value)
{
    db_bind_text(statement, at, bytes_of_string(value));
}

void db_bind_blob(sqlite3_stmt *statement, int at, struct bytes value)
{
    (void)sqlite3_bind_blob64(statement, at, value.size == 0 ? (const void *)"" : value.data,
                              value.size, SQLITE_STATIC);
}

void db_bind_reference(sqlite3_stmt *statement, int at, int64_t id)
{
    if (id == 0) {
        (void)sqlite3_bind_null(statement, at);
    } else {
        (void)sqlite3_bind_int64(statement, at, id);
    }
}

struct bytes db_column_bytes(sqlite3_stmt *statement, int at)
{
    const void *data = sqlite3_column_blob(statement, at);
    return bytes_of(data, data == NULL ? 0 : (size_t)sqlite3_column_bytes(statement, at));
}

const char *db_column_string(sqlite3_stmt *statement, int at, struct arena *arena, bool *failed)
{
    struct bytes value = db_column_bytes(statement, at);
    const char *copy = value.size == 0 ? "" : arena_copy_string(arena, value);
    *failed = *failed || copy == NULL;
    return copy;
}

struct bytes db_column_blob(sqlite3_stmt *statement, int at, struct arena *arena, bool *failed)
{
    struct bytes value = db_column_bytes(statement, at);
    if (value.size == 0) {
        return (struct bytes){0};
    }
    void *copy = arena_alloc(arena, value.size);
    if (copy == NULL) {
        *failed = true;
        return (struct bytes){0};
    }
    memcpy(copy, value.data, value.size);
    return bytes_of(copy, value.size);
}

bool db_column_hash(sqlite3_stmt *statement, int at, uint8_t out[STORE_HASH_SIZE])
{
    struct bytes value = db_column_bytes(statement, at);
    if (value.size != STORE_HASH_SIZE) {
        return false;
    }
    memcpy(out, value.data, STORE_HASH_SIZE);
    return true;
}

enum err db_read_one(struct db *db, sqlite3_stmt *statement, size_t item_size, db_row_fn *read,
                     struct arena *arena, void *out_item)
{
    bool row = false;
    enum err err = db_step(db, statement, &row);
    if (err != OK) {
        return err;
    }
    if (!row) {
        return ERR_NOT_FOUND;
    }
    void *item = arena_alloc(arena, item_size);
    if (item == NULL || !read(statement, arena, item)) {
        err = ERR_NO_MEMORY;
    } else {
        memcpy(out_item, item, item_size);
    }
    (void)sqlite3_reset(statement);
    return err;
}

enum err db_read_all(struct db *db, sqlite3_stmt *statement, size_t item_size, db_row_fn *read,
                     struct arena *arena, void **out_items, size_t *out_count)
{
    uint8_t *items = NULL;
    size_t count = 0, room = 0;
    enum err err = OK;
    for (bool row = true;;) {
        err = db_step(db, statement, &row);
        if (err != OK || !row) {
            break;
        }
        if (count == room) {
            size_t more = room == 0 ? 16 : 2 * room;
            uint8_t *grown = arena_alloc(arena, more * item_size);
            if (grown == NULL) {
                err = ERR_NO_MEMORY;
                break;
            }
            if (count > 0) {
                memcpy(grown, items, count * item_size);
            }
            items = grown;
            room = more;
        }
        if (!read(statement, arena, items + count * item_size)) {
            err = ERR_NO_MEMORY;
            break;
        }
        count++;
    }
    (void)sqlite3_reset(statement);
    if (err == OK) {
        *out_items = items;
        *out_count = count;
    }
    return err;
}

/* The dictionary of names: identities, resources, tables. */
#include "controlplane/store/sqlite.h"

enum err sqlite_name_find(struct db *db, struct bytes name, int64_t *out)
{
    sqlite3_stmt *find = NULL;
    bool row = false;
    int64_t id = 0;
    enum err err = OK;
    if (name.size > 0) {
        err = db_statement(db, "SELECT id FROM audit_name WHERE name = ?1", &find);
    }
    if (err == OK && find != NULL) {
        db_bind_text(find, 1, name);
        err = db_step(db, find, &row);
    }
    if (err == OK && row) {
        id = sqlite3_column_int64(find, 0);
        (void)sqlite3_reset(find);
    }
    if (err == OK) {
        *out = id;
    }
    return err;
}

enum err sqlite_name_id(struct db *db, struct bytes name, int64_t *out)
{
    int64_t id = 0;
    sqlite3_stmt *add = NULL;
    enum err err = sqlite_name_find(db, name, &id);
    if (err == OK && id == 0 && name.size > 0) {
        err = db_statement(db, "INSERT INTO audit_name (name) VALUES (?1)", &add);
        if (err == OK) {
            db_bind_text(add, 1, name);
            err = db_run(db, add);
        }
        id = sqlite3_last_insert_rowid(db->handle);
    }
    if (err == OK) {
        *out = id;
    }
    return err;
}

enum err sqlite_table_id(struct db *db, const struct store_audit_table *table, int64_t *out_name,
                         int64_t *out_full)
{
    sqlite3_stmt *find = NULL, *add = NULL;
    bool row = false;
    int64_t name = 0;
    enum err err = db_statement(db, "SELECT id, name FROM audit_table WHERE full_name = ?1", &find);
    if (err == OK) {
        db_bind_text(find, 1, table->full);
        err = db_step(db, find, &row);
    }
    if (err != OK) {
        return err;
    }
    if (row) {
        *out_full = sqlite3_column_int64(find, 0);
        *out_name = sqlite3_column_int64(find, 1);
        (void)sqlite3_reset(find);
        return OK;
    }
    err = sqlite_name_id(db, table->name, &name);
    if (err == OK) {
        err = db_statement(db, "INSERT INTO audit_table (name, full_name) VALUES (?1, ?2)", &add);
    }
    if (err == OK) {
        db_bind_number(add, 1, name);
        db_bind_text(add, 2, table->full);
        err = db_run(db, add);
    }
    if (err == OK) {
        *out_name = name;
        *out_full = sqlite3_last_insert_rowid(db->handle);
    }
    return err;
}

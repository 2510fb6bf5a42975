#include <stdlib.h>

#include "controlplane/store/sqlite.h"
#include "controlplane/store/store_documents.h"

/* `updated_ns` moves only when the text changes: it answers "since when is this so". */
static const char document_upsert[] =
    "INSERT INTO document (kind, name, json, updated_ns) VALUES (?1, ?2, ?3, ?4)"
    " ON CONFLICT (kind, name) DO UPDATE SET json = excluded.json,"
    " updated_ns = excluded.updated_ns WHERE json <> excluded.json";

static enum err document_write(struct db *db, const struct store_document *d, int64_t now_ns)
{
    sqlite3_stmt *put = NULL;
    enum err err = db_statement(db, document_upsert, &put);
    if (err != OK) {
        return err;
    }
    db_bind_number(put, 1, (int64_t)d->kind);
    db_bind_string(put, 2, d->name);
    db_bind_string(put, 3, d->json);
    db_bind_number(put, 4, now_ns);
    return db_run(db, put);
}

enum err sqlite_document_put(struct store *store, const struct store_document *document,
                             int64_t now_ns)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    enum err err = sqlite_write_begin(s, &db);
    if (err != OK) {
        return err;
    }
    return sqlite_write_end(s, document_write(db, document, now_ns), NULL);
}

/* Deletes what is in the table and not among the sorted ones. */
static enum err documents_delete_others(struct db *db, const struct store_document **sorted,
                                        size_t count)
{
    sqlite3_stmt *each = NULL, *remove = NULL;
    enum err err = db_statement(db, "SELECT kind, name FROM document", &each);
    if (err == OK) {
        err = db_statement(db, "DELETE FROM document WHERE kind = ?1 AND name = ?2", &remove);
    }
    bool row = false;
    while (err == OK && (err = db_step(db, each, &row)) == OK && row) {
        struct store_document key = {
            .kind = (enum store_document_kind)sqlite3_column_int(each, 0),
            .name = (const char *)sqlite3_column_text(each, 1),
        };
        if (key.name != NULL && store_documents_has(sorted, count, &key)) {
            continue;
        }
        db_bind_number(remove, 1, (int64_t)key.kind);
        db_bind_string(remove, 2, key.name);
        err = db_run(db, remove);
    }
    if (each != NULL) {
        (void)sqlite3_reset(each);
    }
    return err;
}

enum err sqlite_documents_replace(struct store *store, const struct store_document *documents,
                                  size_t count, int64_t now_ns, struct err_text *why)
{
    struct sqlite_store *s = sqlite_of(store);
    const struct store_document **sorted = NULL;
    struct db *db = NULL;
    enum err err = store_documents_sort(documents, count, &sorted, why);
    if (err == OK) {
        err = sqlite_write_begin(s, &db);
    }
    if (err != OK) {
        goto out;
    }
    err = documents_delete_others(db, sorted, count);
    for (size_t i = 0; err == OK && i < count; i++) {
        err = document_write(db, &documents[i], now_ns);
    }
    if (err != OK) {
        err = db_explain(db, err, why);
    }
    err = sqlite_write_end(s, err, why);
out:
    free(sorted);
    return err;
}

static bool document_read(sqlite3_stmt *row, struct arena *arena, void *out_item)
{
    struct store_document *d = out_item;
    bool failed = false;
    d->kind = (enum store_document_kind)sqlite3_column_int(row, 0);
    d->name = db_column_string(row, 1, arena, &failed);
    d->json = db_column_string(row, 2, arena, &failed);
    d->updated_ns = sqlite3_column_int64(row, 3);
    return !failed;
}

enum err sqlite_document_get(struct store *store, enum store_document_kind kind, const char *name,
                             struct arena *arena, struct store_document *out)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *get = NULL;
    enum err err = db_statement(
        db, "SELECT kind, name, json, updated_ns FROM document WHERE kind = ?1 AND name = ?2",
        &get);
    if (err == OK) {
        db_bind_number(get, 1, (int64_t)kind);
        db_bind_string(get, 2, name);
        err = db_read_one(db, get, sizeof(*out), document_read, arena, out);
    }
    sqlite_read_end(s, db);
    return err;
}

enum err sqlite_document_list(struct store *store, enum store_document_kind kind,
                              struct arena *arena, struct store_document **out_items,
                              size_t *out_count)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *list = NULL;
    void *items = NULL;
    enum err err = db_statement(
        db, "SELECT kind, name, json, updated_ns FROM document WHERE kind = ?1 ORDER BY name",
        &list);
    if (err == OK) {
        db_bind_number(list, 1, (int64_t)kind);
        err = db_read_all(db, list, sizeof(struct store_document), document_read, arena, &items,
                          out_count);
    }
    if (err == OK) {
        *out_items = items;
    }
    sqlite_read_end(s, db);
    return err;
}

/* ---- secrets ------------------------------------------------------------------------------ */

enum err sqlite_secret_put(struct store *store, const char *name, struct bytes sealed,
                           int64_t now_ns)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    sqlite3_stmt *put = NULL;
    enum err err =
        sqlite_write_one(s, "INSERT OR REPLACE INTO secret VALUES (?1, ?2, ?3)", &db, &put);
    if (err != OK) {
        return err;
    }
    db_bind_string(put, 1, name);
    db_bind_blob(put, 2, sealed);
    db_bind_number(put, 3, now_ns);
    return sqlite_write_end(s, db_run(db, put), NULL);
}

static bool secret_read(sqlite3_stmt *row, struct arena *arena, void *out_item)
{
    struct store_secret *secret = out_item;
    bool failed = false;
    secret->name = db_column_string(row, 0, arena, &failed);
    secret->sealed = db_column_blob(row, 1, arena, &failed);
    secret->updated_ns = sqlite3_column_int64(row, 2);
    return !failed;
}

enum err sqlite_secret_get(struct store *store, const char *name, struct arena *arena,
                           struct store_secret *out)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *get = NULL;
    enum err err =
        db_statement(db, "SELECT name, sealed, updated_ns FROM secret WHERE name = ?1", &get);
    if (err == OK) {
        db_bind_string(get, 1, name);
        err = db_read_one(db, get, sizeof(*out), secret_read, arena, out);
    }
    sqlite_read_end(s, db);
    return err;
}

enum err sqlite_secret_list(struct store *store, struct arena *arena,
                            struct store_secret **out_items, size_t *out_count)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *list = NULL;
    void *items = NULL;
    enum err err =
        db_statement(db, "SELECT name, sealed, updated_ns FROM secret ORDER BY name", &list);
    if (err == OK) {
        err = db_read_all(db, list, sizeof(struct store_secret), secret_read, arena, &items,
                          out_count);
    }
    if (err == OK) {
        *out_items = items;
    }
    sqlite_read_end(s, db);
    return err;
}

enum err sqlite_secret_delete(struct store *store, const char *name)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    sqlite3_stmt *remove = NULL;
    enum err err = sqlite_write_one(s, "DELETE FROM secret WHERE name = ?1", &db, &remove);
    if (err != OK) {
        return err;
    }
    db_bind_string(remove, 1, name);
    return sqlite_write_end(s, db_run_one(db, remove), NULL);
}

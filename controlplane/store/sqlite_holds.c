/* Legal holds, and the resources that a retention may be about. */
#include "controlplane/store/sqlite.h"

#define HOLD_COLUMNS                                                                               \
    "id, resource, identity, session, reason, created_by, created_ns, lifted_ns, lifted_by"

enum err sqlite_legal_hold_add(struct store *store, const struct store_legal_hold *hold)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    sqlite3_stmt *add = NULL;
    enum err err = sqlite_write_one(s,
                                    "INSERT INTO legal_hold (" HOLD_COLUMNS ")"
                                    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, '')",
                                    &db, &add);
    if (err != OK) {
        return err;
    }
    db_bind_string(add, 1, hold->id);
    db_bind_string(add, 2, hold->resource);
    db_bind_string(add, 3, hold->identity);
    db_bind_string(add, 4, hold->session);
    db_bind_string(add, 5, hold->reason);
    db_bind_string(add, 6, hold->created_by);
    db_bind_number(add, 7, hold->created_ns);
    return sqlite_write_end(s, db_run(db, add), NULL);
}

enum err sqlite_legal_hold_lift(struct store *store, const char *id, const char *lifted_by,
                                int64_t now_ns)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    sqlite3_stmt *lift = NULL;
    enum err err = sqlite_write_one(s,
                                    "UPDATE legal_hold SET lifted_ns = ?2, lifted_by = ?3"
                                    " WHERE id = ?1 AND lifted_ns = 0",
                                    &db, &lift);
    if (err != OK) {
        return err;
    }
    db_bind_string(lift, 1, id);
    db_bind_number(lift, 2, now_ns);
    db_bind_string(lift, 3, lifted_by);
    return sqlite_write_end(s, db_run_one(db, lift), NULL);
}

static bool hold_read(sqlite3_stmt *row, struct arena *arena, void *out_item)
{
    struct store_legal_hold *hold = out_item;
    bool failed = false;
    hold->id = db_column_string(row, 0, arena, &failed);
    hold->resource = db_column_string(row, 1, arena, &failed);
    hold->identity = db_column_string(row, 2, arena, &failed);
    hold->session = db_column_string(row, 3, arena, &failed);
    hold->reason = db_column_string(row, 4, arena, &failed);
    hold->created_by = db_column_string(row, 5, arena, &failed);
    hold->created_ns = sqlite3_column_int64(row, 6);
    hold->lifted_ns = sqlite3_column_int64(row, 7);
    hold->lifted_by = db_column_string(row, 8, arena, &failed);
    return !failed;
}

enum err sqlite_legal_hold_list(struct store *store, bool include_lifted, struct arena *arena,
                                struct store_legal_hold **out_items, size_t *out_count)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *list = NULL;
    void *items = NULL;
    enum err err = db_statement(db,
                                "SELECT " HOLD_COLUMNS " FROM legal_hold"
                                " WHERE ?1 OR lifted_ns = 0 ORDER BY created_ns, id",
                                &list);
    if (err == OK) {
        db_bind_number(list, 1, include_lifted);
        err = db_read_all(db, list, sizeof(struct store_legal_hold), hold_read, arena, &items,
                          out_count);
    }
    if (err == OK) {
        *out_items = items;
    }
    sqlite_read_end(s, db);
    return err;
}

static bool name_read(sqlite3_stmt *row, struct arena *arena, void *out_item)
{
    const char **name = out_item;
    bool failed = false;
    *name = db_column_string(row, 0, arena, &failed);
    return !failed;
}

enum err sqlite_audit_resources(struct store *store, struct arena *arena, const char ***out_names,
                                size_t *out_count)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *list = NULL;
    void *items = NULL;
    /* Each one only once, by jumping in the index from one to the next. */
    enum err err = db_statement(
        db,
        "WITH RECURSIVE r(id) AS ("
        " SELECT (SELECT min(resource) FROM audit_session INDEXED BY audit_session_resource"
        "  WHERE resource IS NOT NULL AND state <> 'about')"
        " UNION ALL"
        " SELECT (SELECT min(resource) FROM audit_session INDEXED BY audit_session_resource"
        "  WHERE resource IS NOT NULL AND state <> 'about' AND resource > r.id)"
        " FROM r WHERE r.id IS NOT NULL)"
        " SELECT n.name FROM r JOIN audit_name n ON n.id = r.id ORDER BY n.name",
        &list);
    if (err == OK) {
        err = db_read_all(db, list, sizeof(const char *), name_read, arena, &items, out_count);
    }
    if (err == OK) {
        *out_names = items;
    }
    sqlite_read_end(s, db);
    return err;
}

/* Held operations: what changes them. */
#include "controlplane/store/sqlite.h"

/* ---- parts of a change: inside of its transaction -------------------------------------------- */

static void approval_bind(sqlite3_stmt *statement, const struct store_approval *a)
{
    db_bind_string(statement, 1, a->id);
    db_bind_number(statement, 2, (int64_t)a->state);
    db_bind_number(statement, 3, (int64_t)a->version);
    db_bind_string(statement, 4, a->sidecar);
    db_bind_string(statement, 5, a->session);
    db_bind_string(statement, 6, a->issuer);
    db_bind_string(statement, 7, a->identity);
    db_bind_string(statement, 8, a->resource);
    db_bind_blob(statement, 9, bytes_of(a->digest, STORE_HASH_SIZE));
    db_bind_number(statement, 10, a->requested_ns);
    db_bind_number(statement, 11, a->due_ns);
    db_bind_number(statement, 12, a->ended_ns);
    db_bind_string(statement, 13, a->used_by);
    db_bind_number(statement, 14, (int64_t)a->standing_votes);
    db_bind_number(statement, 15, a->standing_until_ns);
    db_bind_number(statement, 16, (int64_t)a->standing_uses);
    db_bind_blob(statement, 17, a->held);
}

/* ERR_CLOSED: its sidecar was revoked. */
static enum err approval_insert(struct db *db, const struct store_approval *a)
{
    sqlite3_stmt *add = NULL;
    enum err err = db_statement(db,
                                "INSERT INTO approval (id, state, version, sidecar, session,"
                                " issuer, identity, resource, digest, requested_ns, due_ns,"
                                " ended_ns, used_by, standing_votes, standing_until_ns,"
                                " standing_uses, held) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
                                " ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17 WHERE NOT EXISTS"
                                " (SELECT 1 FROM sidecar WHERE id = ?4 AND revoked_ns <> 0)",
                                &add);
    if (err == OK) {
        approval_bind(add, a);
        err = db_run_one(db, add);
    }
    return err == ERR_NOT_FOUND ? ERR_CLOSED : err;
}

static enum err approval_update(struct db *db, const struct store_approval *a)
{
    sqlite3_stmt *set = NULL;
    enum err err = db_statement(db,
                                "UPDATE approval SET state = ?2, version = ?3, sidecar = ?4,"
                                " session = ?5, issuer = ?6, identity = ?7, resource = ?8,"
                                " digest = ?9, requested_ns = ?10, due_ns = ?11, ended_ns = ?12,"
                                " used_by = ?13, standing_votes = ?14, standing_until_ns = ?15,"
                                " standing_uses = ?16, held = ?17"
                                " WHERE id = ?1 AND version = ?3 - 1",
                                &set);
    if (err == OK) {
        approval_bind(set, a);
        err = db_run_one(db, set);
    }
    return err == ERR_NOT_FOUND ? ERR_EXISTS : err;
}

static enum err event_add(struct db *db, const char *approval, uint64_t *out_cursor)
{
    sqlite3_stmt *add = NULL;
    enum err err = db_statement(db, "INSERT INTO approval_event (approval) VALUES (?1)", &add);
    if (err == OK) {
        db_bind_string(add, 1, approval);
        err = db_run(db, add);
    }
    if (err == OK) {
        *out_cursor = (uint64_t)sqlite3_last_insert_rowid(db->handle);
    }
    return err;
}

static enum err number_read(struct db *db, sqlite3_stmt *statement, uint64_t *out)
{
    bool row = false;
    enum err err = db_step(db, statement, &row);
    if (err == OK && row) {
        *out = (uint64_t)sqlite3_column_int64(statement, 0);
        (void)sqlite3_reset(statement);
    }
    return err;
}

/* After the new one was added, which counts. */
static enum err limits_check(struct db *db, const char *session,
                             const struct store_approval_limits *limits)
{
    sqlite3_stmt *all = NULL, *one = NULL;
    uint64_t waiting = 0, of_session = 0;
    enum err err = db_statement(db, "SELECT count(*) FROM approval WHERE state = 1", &all);
    if (err == OK) {
        err = number_read(db, all, &waiting);
    }
    if (err == OK) {
        err = db_statement(db, "SELECT count(*) FROM approval WHERE state = 1 AND session = ?1",
                           &one);
    }
    if (err == OK) {
        db_bind_string(one, 1, session);
        err = number_read(db, one, &of_session);
    }
    if (err == OK && (waiting > limits->waiting_max || of_session > limits->session_max)) {
        err = ERR_LIMIT;
    }
    return err;
}

static enum err standing_use(struct db *db, const char *id, int64_t now_ns)
{
    sqlite3_stmt *use = NULL;
    enum err err = db_statement(db,
                                "UPDATE standing_approval SET uses = uses + 1 WHERE id = ?1"
                                " AND until_ns > ?2 AND revoked_ns = 0"
                                " AND (uses_max = 0 OR uses < uses_max)",
                                &use);
    if (err == OK) {
        db_bind_string(use, 1, id);
        db_bind_number(use, 2, now_ns);
        err = db_run_one(db, use);
    }
    return err == ERR_NOT_FOUND ? ERR_DENIED : err;
}

static enum err standing_add(struct db *db, const struct store_standing *standing)
{
    sqlite3_stmt *add = NULL;
    enum err err =
        db_statement(db,
                     "INSERT INTO standing_approval (id, key, approval, created_ns, until_ns,"
                     " uses_max, uses) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)",
                     &add);
    if (err == OK) {
        db_bind_string(add, 1, standing->id);
        db_bind_blob(add, 2, bytes_of(standing->key, STORE_HASH_SIZE));
        db_bind_string(add, 3, standing->approval);
        db_bind_number(add, 4, standing->created_ns);
        db_bind_number(add, 5, standing->until_ns);
        db_bind_number(add, 6, (int64_t)standing->uses_max);
        err = db_run(db, add);
    }
    return err;
}

static enum err decision_add(struct db *db, const struct store_approval *a,
                             const struct store_decision *decision)
{
    sqlite3_stmt *add = NULL;
    enum err err = db_statement(db,
                                "INSERT INTO approval_decision"
                                " (approval, issuer, subject, key, time_ns, answer)"
                                " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                                &add);
    if (err == OK) {
        db_bind_string(add, 1, a->id);
        db_bind_string(add, 2, decision->issuer);
        db_bind_string(add, 3, decision->subject);
        db_bind_string(add, 4, decision->key);
        db_bind_number(add, 5, decision->time_ns);
        db_bind_blob(add, 6, a->held);
        err = db_run(db, add);
    }
    return err;
}

/* ---- the changes ------------------------------------------------------------------------------
 */

enum err sqlite_approval_add(struct store *store, const struct store_approval *approval,
                             const struct store_approval_limits *limits, const char *standing,
                             const struct store_audit_write *audit, uint64_t *out_cursor)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    uint64_t cursor = 0;
    enum err err = sqlite_write_begin(s, &db);
    if (err != OK) {
        return err;
    }
    err = approval_insert(db, approval);
    if (err == OK && approval->state == STORE_APPROVAL_WAITING) {
        err = limits_check(db, approval->session, limits);
    }
    if (err == OK && standing != NULL) {
        err = standing_use(db, standing, approval->requested_ns);
    }
    if (err == OK && audit != NULL) {
        err = sqlite_audit_append_in(s, db, audit);
    }
    if (err == OK) {
        err = event_add(db, approval->id, &cursor);
    }
    err = sqlite_write_end(s, err, NULL);
    if (err == OK) {
        *out_cursor = cursor;
    }
    return err;
}

enum err sqlite_approval_change(struct store *store, const struct store_approval_change *change,
                                uint64_t *out_cursor)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    uint64_t cursor = 0;
    enum err err = sqlite_write_begin(s, &db);
    if (err != OK) {
        return err;
    }
    err = approval_update(db, change->approval);
    if (err == OK && change->decision != NULL) {
        err = decision_add(db, change->approval, change->decision);
    }
    if (err == OK && change->standing != NULL) {
        err = standing_add(db, change->standing);
    }
    if (err == OK && change->audit != NULL) {
        err = sqlite_audit_append_in(s, db, change->audit);
    }
    if (err == OK) {
        err = event_add(db, change->approval->id, &cursor);
    }
    err = sqlite_write_end(s, err, NULL);
    if (err == OK) {
        *out_cursor = cursor;
    }
    return err;
}

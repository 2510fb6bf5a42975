/* Sidecars, the tokens they join with, and the policies they get. */
#include "controlplane/store/sqlite.h"

#define SIDECAR_COLUMNS                                                                            \
    "id, name, version, key_hash, certificate_serial, certificate_not_after_ns, enrolled_ns,"      \
    " last_seen_ns, policy_revision, policy_state, enrolled_by, revoked_ns, revoked_by,"           \
    " revoked_reason"

enum err sqlite_sidecar_add(struct store *store, const struct store_sidecar *sidecar)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    sqlite3_stmt *add = NULL;
    enum err err = sqlite_write_one(s,
                                    "INSERT INTO sidecar (" SIDECAR_COLUMNS ")"
                                    " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0, '',"
                                    " '' WHERE NOT EXISTS (SELECT 1 FROM sidecar"
                                    " WHERE key_hash = ?4 AND revoked_ns <> 0)",
                                    &db, &add);
    if (err != OK) {
        return err;
    }
    db_bind_string(add, 1, sidecar->id);
    db_bind_string(add, 2, sidecar->name);
    db_bind_string(add, 3, sidecar->version);
    db_bind_blob(add, 4, bytes_of(sidecar->key_hash, STORE_HASH_SIZE));
    db_bind_string(add, 5, sidecar->certificate_serial);
    db_bind_number(add, 6, sidecar->certificate_not_after_ns);
    db_bind_number(add, 7, sidecar->enrolled_ns);
    db_bind_number(add, 8, sidecar->last_seen_ns);
    db_bind_number(add, 9, (int64_t)sidecar->policy_revision);
    db_bind_string(add, 10, sidecar->policy_state);
    db_bind_string(add, 11, sidecar->enrolled_by);
    err = db_run_one(db, add);
    return sqlite_write_end(s, err == ERR_NOT_FOUND ? ERR_DENIED : err, NULL);
}

enum err sqlite_sidecar_renew(struct store *store, const char *id, const char *certificate_serial,
                              int64_t not_after_ns, const char *name, const char *version)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    sqlite3_stmt *renew = NULL;
    enum err err = sqlite_write_begin(s, &db);
    if (err != OK) {
        return err;
    }
    err = db_statement(db,
                       "UPDATE sidecar SET certificate_serial = ?2, certificate_not_after_ns = ?3,"
                       " name = coalesce(?4, name), version = coalesce(?5, version)"
                       " WHERE id = ?1 AND revoked_ns = 0",
                       &renew);
    if (err == OK) {
        db_bind_string(renew, 1, id);
        db_bind_string(renew, 2, certificate_serial);
        db_bind_number(renew, 3, not_after_ns);
        (void)sqlite3_bind_text(renew, 4, name, -1, SQLITE_STATIC); /* NULL binds NULL */
        (void)sqlite3_bind_text(renew, 5, version, -1, SQLITE_STATIC);
        err = db_run_one(db, renew);
    }
    return sqlite_write_end(s, err, NULL);
}

static enum err news_write(struct db *db, const struct store_sidecar_news *one)
{
    sqlite3_stmt *set = NULL;
    enum err err = db_statement(db,
                                "UPDATE sidecar SET last_seen_ns = max(last_seen_ns, ?2),"
                                " policy_revision = iif(?4 IS NULL, policy_revision, ?3),"
                                " policy_state = coalesce(?4, policy_state) WHERE id = ?1",
                                &set);
    if (err == OK) {
        db_bind_string(set, 1, one->sidecar);
        db_bind_number(set, 2, one->seen_ns);
        db_bind_number(set, 3, (int64_t)one->policy_revision);
        (void)sqlite3_bind_text(set, 4, one->policy_state, -1, SQLITE_STATIC); /* or NULL */
        err = db_run(db, set);
    }
    return err;
}

enum err sqlite_sidecar_news(struct store *store, const struct store_sidecar_news *news,
                             size_t count)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    enum err err = sqlite_write_begin(s, &db);
    if (err != OK) {
        return err;
    }
    for (size_t i = 0; err == OK && i < count; i++) {
        err = news_write(db, &news[i]);
    }
    return sqlite_write_end(s, err, NULL);
}

static bool sidecar_read(sqlite3_stmt *row, struct arena *arena, void *out_item)
{
    struct store_sidecar *sidecar = out_item;
    bool failed = false;
    sidecar->id = db_column_string(row, 0, arena, &failed);
    sidecar->name = db_column_string(row, 1, arena, &failed);
    sidecar->version = db_column_string(row, 2, arena, &failed);
    (void)db_column_hash(row, 3, sidecar->key_hash);
    sidecar->certificate_serial = db_column_string(row, 4, arena, &failed);
    sidecar->certificate_not_after_ns = sqlite3_column_int64(row, 5);
    sidecar->enrolled_ns = sqlite3_column_int64(row, 6);
    sidecar->last_seen_ns = sqlite3_column_int64(row, 7);
    sidecar->policy_revision = (uint64_t)sqlite3_column_int64(row, 8);
    sidecar->policy_state = db_column_string(row, 9, arena, &failed);
    sidecar->enrolled_by = db_column_string(row, 10, arena, &failed);
    sidecar->revoked_ns = sqlite3_column_int64(row, 11);
    sidecar->revoked_by = db_column_string(row, 12, arena, &failed);
    sidecar->revoked_reason = db_column_string(row, 13, arena, &failed);
    return !failed;
}

enum err sqlite_sidecar_get(struct store *store, const char *id, struct arena *arena,
                            struct store_sidecar *out)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *get = NULL;
    enum err err = db_statement(db, "SELECT " SIDECAR_COLUMNS " FROM sidecar WHERE id = ?1", &get);
    if (err == OK) {
        db_bind_string(get, 1, id);
        err = db_read_one(db, get, sizeof(*out), sidecar_read, arena, out);
    }
    sqlite_read_end(s, db);
    return err;
}

enum err sqlite_sidecar_list(struct store *store, struct arena *arena,
                             struct store_sidecar **out_items, size_t *out_count)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *list = NULL;
    void *items = NULL;
    enum err err = db_statement(
        db, "SELECT " SIDECAR_COLUMNS " FROM sidecar ORDER BY last_seen_ns DESC, id", &list);
    if (err == OK) {
        err = db_read_all(db, list, sizeof(struct store_sidecar), sidecar_read, arena, &items,
                          out_count);
    }
    if (err == OK) {
        *out_items = items;
    }
    sqlite_read_end(s, db);
    return err;
}

enum err sqlite_sidecar_find_revoked(struct store *store, const uint8_t key_hash[STORE_HASH_SIZE],
                                     struct arena *arena, struct store_sidecar *out)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *get = NULL;
    enum err err = db_statement(db,
                                "SELECT " SIDECAR_COLUMNS " FROM sidecar"
                                " WHERE key_hash = ?1 AND revoked_ns <> 0 ORDER BY id LIMIT 1",
                                &get);
    if (err == OK) {
        db_bind_blob(get, 1, bytes_of(key_hash, STORE_HASH_SIZE));
        err = db_read_one(db, get, sizeof(*out), sidecar_read, arena, out);
    }
    sqlite_read_end(s, db);
    return err;
}

/* ---- revoking ------------------------------------------------------------------------------ */

static enum err sidecar_set_revoked(struct db *db, const struct store_revocation *r)
{
    sqlite3_stmt *get = NULL, *set = NULL;
    bool row = false, was = false;
    enum err err = db_statement(db, "SELECT revoked_ns FROM sidecar WHERE id = ?1", &get);
    if (err == OK) {
        db_bind_string(get, 1, r->sidecar);
        err = db_step(db, get, &row);
    }
    if (err != OK) {
        return err;
    }
    if (!row) {
        return ERR_NOT_FOUND;
    }
    was = sqlite3_column_int64(get, 0) != 0;
    (void)sqlite3_reset(get);
    if (was) {
        return ERR_DENIED;
    }
    err = db_statement(db,
                       "UPDATE sidecar SET revoked_ns = ?2, revoked_by = ?3, revoked_reason = ?4"
                       " WHERE id = ?1",
                       &set);
    if (err == OK) {
        db_bind_string(set, 1, r->sidecar);
        db_bind_number(set, 2, r->now_ns);
        db_bind_string(set, 3, r->by);
        db_bind_string(set, 4, r->reason);
        err = db_run_one(db, set);
    }
    return err;
}

/* Also of one that never sent anything: nothing may begin it. */
static enum err stream_set_revoked(struct db *db, const struct store_revocation *r)
{
    sqlite3_stmt *add = NULL, *set = NULL, *get = NULL;
    bool row = false;
    enum err err = db_statement(db,
                                "INSERT INTO audit_stream (sidecar, last_sequence, last_key,"
                                " last_hash) VALUES (?1, 0, 0, zeroblob(32))"
                                " ON CONFLICT (sidecar) DO NOTHING",
                                &add);
    if (err == OK) {
        db_bind_string(add, 1, r->sidecar);
        err = db_run(db, add);
    }
    if (err == OK) {
        err = db_statement(db,
                           "UPDATE audit_stream SET revoked_ns = ?3 WHERE sidecar = ?1"
                           " AND last_sequence = ?2",
                           &set);
    }
    if (err == OK) {
        db_bind_string(set, 1, r->sidecar);
        db_bind_number(set, 2, (int64_t)r->last_sequence);
        db_bind_number(set, 3, r->now_ns);
        err = db_run_one(db, set);
        err = err == ERR_NOT_FOUND ? ERR_EXISTS : err;
    }
    if (err == OK) {
        err = db_statement(db, "SELECT id FROM audit_stream WHERE sidecar = ?1", &get);
    }
    if (err == OK) {
        db_bind_string(get, 1, r->sidecar);
        err = db_step(db, get, &row);
    }
    if (err != OK || !row) {
        return err == OK ? ERR_IO : err;
    }
    int64_t stream = sqlite3_column_int64(get, 0);
    (void)sqlite3_reset(get);
    return sqlite_sessions_end(db, stream, r->now_ns, "revoked");
}

enum err sqlite_sidecar_revoke(struct store *store, const struct store_revocation *revocation)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    enum err err = sqlite_write_begin(s, &db);
    if (err != OK) {
        return err;
    }
    err = sidecar_set_revoked(db, revocation);
    if (err == OK) {
        err = stream_set_revoked(db, revocation);
    }
    if (err == OK) {
        err = sqlite_audit_append_in(s, db, revocation->audit);
    }
    return sqlite_write_end(s, err, NULL);
}

/* ---- join tokens -------------------------------------------------------------------------- */

enum err sqlite_join_token_add(struct store *store, const struct store_join_token *token)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    sqlite3_stmt *add = NULL;
    enum err err =
        sqlite_write_one(s, "INSERT INTO join_token VALUES (?1, ?2, ?3, ?4, ?5, 0)", &db, &add);
    if (err != OK) {
        return err;
    }
    db_bind_blob(add, 1, bytes_of(token->hash, STORE_HASH_SIZE));
    db_bind_string(add, 2, token->name);
    db_bind_string(add, 3, token->created_by);
    db_bind_number(add, 4, token->created_ns);
    db_bind_number(add, 5, token->expires_ns);
    return sqlite_write_end(s, db_run(db, add), NULL);
}

static bool join_token_read(sqlite3_stmt *row, struct arena *arena, void *out_item)
{
    struct store_join_token *token = out_item;
    bool failed = false;
    (void)db_column_hash(row, 0, token->hash);
    token->name = db_column_string(row, 1, arena, &failed);
    token->created_by = db_column_string(row, 2, arena, &failed);
    token->created_ns = sqlite3_column_int64(row, 3);
    token->expires_ns = sqlite3_column_int64(row, 4);
    token->used_ns = sqlite3_column_int64(row, 5);
    return !failed;
}

static enum err join_token_take(struct db *db, struct bytes hash, int64_t now_ns,
                                struct arena *arena, struct store_join_token *out)
{
    sqlite3_stmt *get = NULL, *use = NULL;
    struct store_join_token token;
    enum err err = db_statement(db,
                                "SELECT hash, name, created_by, created_ns, expires_ns, used_ns"
                                " FROM join_token WHERE hash = ?1",
                                &get);
    if (err == OK) {
        db_bind_blob(get, 1, hash);
        err = db_read_one(db, get, sizeof(token), join_token_read, arena, &token);
    }
    if (err == OK && token.used_ns != 0) {
        err = ERR_EXISTS;
    }
    if (err == OK && now_ns >= token.expires_ns) {
        err = ERR_TIMEOUT;
    }
    if (err == OK) {
        err = db_statement(db, "UPDATE join_token SET used_ns = ?2 WHERE hash = ?1", &use);
    }
    if (err != OK) {
        return err;
    }
    token.used_ns = now_ns;
    db_bind_blob(use, 1, hash);
    db_bind_number(use, 2, now_ns);
    err = db_run_one(db, use);
    if (err == OK) {
        *out = token;
    }
    return err;
}

/* One transaction of the one writer, begun as IMMEDIATE: nobody uses it in between. */
enum err sqlite_join_token_use(struct store *store, const uint8_t hash[STORE_HASH_SIZE],
                               int64_t now_ns, struct arena *arena, struct store_join_token *out)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    struct store_join_token token;
    enum err err = sqlite_write_begin(s, &db);
    if (err != OK) {
        return err;
    }
    err = join_token_take(db, bytes_of(hash, STORE_HASH_SIZE), now_ns, arena, &token);
    err = sqlite_write_end(s, err, NULL);
    if (err == OK) {
        *out = token;
    }
    return err;
}

/* ---- policies ----------------------------------------------------------------------------- */

#define POLICY_COLUMNS                                                                             \
    "revision, hash, document, signature, public_key, source, created_by, created_ns, message"

enum err sqlite_policy_add(struct store *store, const struct store_policy *policy)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    sqlite3_stmt *add = NULL;
    enum err err = sqlite_write_one(s,
                                    "INSERT INTO policy (" POLICY_COLUMNS ")"
                                    " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9"
                                    " WHERE ?1 > (SELECT coalesce(max(revision), 0) FROM policy)",
                                    &db, &add);
    if (err != OK) {
        return err;
    }
    db_bind_number(add, 1, (int64_t)policy->revision);
    db_bind_string(add, 2, policy->hash);
    db_bind_blob(add, 3, policy->document);
    db_bind_blob(add, 4, policy->signature);
    db_bind_blob(add, 5, policy->public_key);
    db_bind_string(add, 6, policy->source);
    db_bind_string(add, 7, policy->created_by);
    db_bind_number(add, 8, policy->created_ns);
    db_bind_string(add, 9, policy->message);
    err = db_run_one(db, add);
    return sqlite_write_end(s, err == ERR_NOT_FOUND ? ERR_EXISTS : err, NULL);
}

static bool policy_read(sqlite3_stmt *row, struct arena *arena, void *out_item)
{
    struct store_policy *policy = out_item;
    bool failed = false;
    policy->revision = (uint64_t)sqlite3_column_int64(row, 0);
    policy->hash = db_column_string(row, 1, arena, &failed);
    policy->document = db_column_blob(row, 2, arena, &failed);
    policy->signature = db_column_blob(row, 3, arena, &failed);
    policy->public_key = db_column_blob(row, 4, arena, &failed);
    policy->source = db_column_string(row, 5, arena, &failed);
    policy->created_by = db_column_string(row, 6, arena, &failed);
    policy->created_ns = sqlite3_column_int64(row, 7);
    policy->message = db_column_string(row, 8, arena, &failed);
    return !failed;
}

enum err sqlite_policy_get(struct store *store, uint64_t revision, struct arena *arena,
                           struct store_policy *out)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *get = NULL;
    enum err err = db_statement(db,
                                "SELECT " POLICY_COLUMNS " FROM policy WHERE revision ="
                                " iif(?1 = 0, (SELECT max(revision) FROM policy), ?1)",
                                &get);
    if (err == OK) {
        db_bind_number(get, 1, (int64_t)revision);
        err = db_read_one(db, get, sizeof(*out), policy_read, arena, out);
    }
    sqlite_read_end(s, db);
    return err;
}

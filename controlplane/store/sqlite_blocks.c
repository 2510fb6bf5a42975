/* The kill switch, and chat accounts of people. */
#include "controlplane/store/sqlite.h"

/* ---- blocks -------------------------------------------------------------------------------- */

#define BLOCK_COLUMNS                                                                              \
    "id, identity, resource, everything, reason, created_by, created_ns, lifted_ns, lifted_by,"    \
    " is_order, session"

enum err sqlite_block_add(struct store *store, const struct store_block *block)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    sqlite3_stmt *add = NULL;
    enum err err = sqlite_write_one(s,
                                    "INSERT INTO block (" BLOCK_COLUMNS ")"
                                    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, '', ?8, ?9)",
                                    &db, &add);
    if (err != OK) {
        return err;
    }
    db_bind_string(add, 1, block->id);
    db_bind_string(add, 2, block->identity);
    db_bind_string(add, 3, block->resource);
    db_bind_number(add, 4, block->everything);
    db_bind_string(add, 5, block->reason);
    db_bind_string(add, 6, block->created_by);
    db_bind_number(add, 7, block->created_ns);
    db_bind_number(add, 8, block->is_order);
    db_bind_string(add, 9, block->session);
    return sqlite_write_end(s, db_run(db, add), NULL);
}

static bool block_read(sqlite3_stmt *row, struct arena *arena, void *out_item)
{
    struct store_block *block = out_item;
    bool failed = false;
    block->id = db_column_string(row, 0, arena, &failed);
    block->identity = db_column_string(row, 1, arena, &failed);
    block->resource = db_column_string(row, 2, arena, &failed);
    block->everything = sqlite3_column_int(row, 3) != 0;
    block->reason = db_column_string(row, 4, arena, &failed);
    block->created_by = db_column_string(row, 5, arena, &failed);
    block->created_ns = sqlite3_column_int64(row, 6);
    block->lifted_ns = sqlite3_column_int64(row, 7);
    block->lifted_by = db_column_string(row, 8, arena, &failed);
    block->is_order = sqlite3_column_int(row, 9) != 0;
    block->session = db_column_string(row, 10, arena, &failed);
    return !failed;
}

enum err sqlite_block_lift(struct store *store, const struct store_block_what *what,
                           const char *lifted_by, int64_t now_ns, struct arena *arena,
                           struct store_block **out_items, size_t *out_count)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    sqlite3_stmt *lift = NULL;
    void *items = NULL;
    size_t count = 0;
    enum err err = sqlite_write_begin(s, &db);
    if (err != OK) {
        return err;
    }
    err = db_statement(db,
                       "UPDATE block SET lifted_ns = ?5, lifted_by = ?6 WHERE lifted_ns = 0"
                       " AND iif(?1 <> '', id = ?1,"
                       " identity = ?2 AND resource = ?3 AND everything = ?4 AND is_order = 0)"
                       " RETURNING " BLOCK_COLUMNS,
                       &lift);
    if (err == OK) {
        db_bind_string(lift, 1, what->id);
        db_bind_string(lift, 2, what->identity);
        db_bind_string(lift, 3, what->resource);
        db_bind_number(lift, 4, what->everything);
        db_bind_number(lift, 5, now_ns);
        db_bind_string(lift, 6, lifted_by);
        err = db_read_all(db, lift, sizeof(struct store_block), block_read, arena, &items, &count);
    }
    err = sqlite_write_end(s, err, NULL);
    if (err == OK) {
        *out_items = items;
        *out_count = count;
    }
    return err;
}

enum err sqlite_block_list(struct store *store, struct arena *arena, struct store_block **out_items,
                           size_t *out_count)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *list = NULL;
    void *items = NULL;
    enum err err = db_statement(db,
                                "SELECT " BLOCK_COLUMNS " FROM block WHERE lifted_ns = 0"
                                " ORDER BY created_ns, id",
                                &list);
    if (err == OK) {
        err =
            db_read_all(db, list, sizeof(struct store_block), block_read, arena, &items, out_count);
    }
    if (err == OK) {
        *out_items = items;
    }
    sqlite_read_end(s, db);
    return err;
}

/* ---- links --------------------------------------------------------------------------------- */

#define LINK_COLUMNS "provider, account, issuer, subject, name, groups, created_ns, expires_ns"

enum err sqlite_link_code_add(struct store *store, const uint8_t hash[STORE_HASH_SIZE],
                              const char *provider, const char *account, int64_t now_ns,
                              int64_t expires_ns)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    sqlite3_stmt *drop = NULL, *add = NULL;
    enum err err = sqlite_write_begin(s, &db);
    if (err != OK) {
        return err;
    }
    /* Of one account the newest code counts, and what has ended goes. */
    err = db_statement(db,
                       "DELETE FROM link_code WHERE expires_ns <= ?1"
                       " OR (provider = ?2 AND account = ?3 AND used_ns = 0)",
                       &drop);
    if (err == OK) {
        db_bind_number(drop, 1, now_ns);
        db_bind_string(drop, 2, provider);
        db_bind_string(drop, 3, account);
        err = db_run(db, drop);
    }
    if (err == OK) {
        err = db_statement(db, "INSERT INTO link_code VALUES (?1, ?2, ?3, ?4, 0)", &add);
    }
    if (err == OK) {
        db_bind_blob(add, 1, bytes_of(hash, STORE_HASH_SIZE));
        db_bind_string(add, 2, provider);
        db_bind_string(add, 3, account);
        db_bind_number(add, 4, expires_ns);
        err = db_run(db, add);
    }
    return sqlite_write_end(s, err, NULL);
}

static enum err code_take(struct db *db, const uint8_t hash[STORE_HASH_SIZE], int64_t now_ns,
                          struct arena *arena, struct store_link *link)
{
    sqlite3_stmt *find = NULL, *use = NULL;
    bool row = false, failed = false;
    enum err err = db_statement(
        db, "SELECT provider, account, expires_ns, used_ns FROM link_code WHERE hash = ?1", &find);
    if (err == OK) {
        db_bind_blob(find, 1, bytes_of(hash, STORE_HASH_SIZE));
        err = db_step(db, find, &row);
    }
    if (err != OK || !row) {
        return err == OK ? ERR_NOT_FOUND : err;
    }
    link->provider = db_column_string(find, 0, arena, &failed);
    link->account = db_column_string(find, 1, arena, &failed);
    int64_t expires_ns = sqlite3_column_int64(find, 2), used_ns = sqlite3_column_int64(find, 3);
    (void)sqlite3_reset(find);
    if (failed || used_ns != 0 || expires_ns <= now_ns) {
        return failed ? ERR_NO_MEMORY : used_ns != 0 ? ERR_EXISTS : ERR_TIMEOUT;
    }
    err = db_statement(db, "UPDATE link_code SET used_ns = ?2 WHERE hash = ?1", &use);
    if (err == OK) {
        db_bind_blob(use, 1, bytes_of(hash, STORE_HASH_SIZE));
        db_bind_number(use, 2, now_ns);
        err = db_run_one(db, use);
    }
    return err;
}

static enum err link_put(struct db *db, const struct store_link *link)
{
    sqlite3_stmt *put = NULL;
    enum err err = db_statement(db,
                                "INSERT OR REPLACE INTO chat_link (" LINK_COLUMNS ")"
                                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                                &put);
    if (err == OK) {
        db_bind_string(put, 1, link->provider);
        db_bind_string(put, 2, link->account);
        db_bind_string(put, 3, link->issuer);
        db_bind_string(put, 4, link->subject);
        db_bind_string(put, 5, link->name);
        db_bind_string(put, 6, link->groups);
        db_bind_number(put, 7, link->created_ns);
        db_bind_number(put, 8, link->expires_ns);
        err = db_run(db, put);
    }
    return err;
}

enum err sqlite_link_confirm(struct store *store, const uint8_t hash[STORE_HASH_SIZE],
                             const struct store_link *link, struct arena *arena,
                             struct store_link *out)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    struct store_link linked = *link;
    enum err err = sqlite_write_begin(s, &db);
    if (err != OK) {
        return err;
    }
    err = code_take(db, hash, link->created_ns, arena, &linked);
    if (err == OK) {
        err = link_put(db, &linked);
    }
    err = sqlite_write_end(s, err, NULL);
    if (err == OK) {
        *out = linked;
    }
    return err;
}

static bool link_read(sqlite3_stmt *row, struct arena *arena, void *out_item)
{
    struct store_link *link = out_item;
    bool failed = false;
    link->provider = db_column_string(row, 0, arena, &failed);
    link->account = db_column_string(row, 1, arena, &failed);
    link->issuer = db_column_string(row, 2, arena, &failed);
    link->subject = db_column_string(row, 3, arena, &failed);
    link->name = db_column_string(row, 4, arena, &failed);
    link->groups = db_column_string(row, 5, arena, &failed);
    link->created_ns = sqlite3_column_int64(row, 6);
    link->expires_ns = sqlite3_column_int64(row, 7);
    return !failed;
}

enum err sqlite_link_get(struct store *store, const char *provider, const char *account,
                         struct arena *arena, struct store_link *out)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *get = NULL;
    enum err err = db_statement(
        db, "SELECT " LINK_COLUMNS " FROM chat_link WHERE provider = ?1 AND account = ?2", &get);
    if (err == OK) {
        db_bind_string(get, 1, provider);
        db_bind_string(get, 2, account);
        err = db_read_one(db, get, sizeof(*out), link_read, arena, out);
    }
    sqlite_read_end(s, db);
    return err;
}

enum err sqlite_link_remove(struct store *store, const char *provider, const char *account)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    sqlite3_stmt *drop = NULL;
    enum err err = sqlite_write_one(s, "DELETE FROM chat_link WHERE provider = ?1 AND account = ?2",
                                    &db, &drop);
    if (err != OK) {
        return err;
    }
    db_bind_string(drop, 1, provider);
    db_bind_string(drop, 2, account);
    return sqlite_write_end(s, db_run_one(db, drop), NULL);
}

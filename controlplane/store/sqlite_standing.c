/* Standing approvals: what finds them, and their revocation. */
#include "controlplane/store/sqlite.h"

#define STANDING_COLUMNS                                                                           \
    "s.id, s.key, s.approval, s.created_ns, s.until_ns, s.uses_max, s.uses, s.revoked_ns,"         \
    " s.revoked_by, s.revoked_because"
enum { COLUMN_HELD = 10 };

#define STANDS_AT(moment)                                                                          \
    " s.until_ns > " moment " AND s.revoked_ns = 0 AND (s.uses_max = 0 OR s.uses < s.uses_max)"

static bool standing_read(sqlite3_stmt *row, struct arena *arena, void *out_item)
{
    struct store_standing *standing = out_item;
    bool failed = false;
    standing->id = db_column_string(row, 0, arena, &failed);
    failed = !db_column_hash(row, 1, standing->key) || failed;
    standing->approval = db_column_string(row, 2, arena, &failed);
    standing->created_ns = sqlite3_column_int64(row, 3);
    standing->until_ns = sqlite3_column_int64(row, 4);
    standing->uses_max = (uint64_t)sqlite3_column_int64(row, 5);
    standing->uses = (uint64_t)sqlite3_column_int64(row, 6);
    standing->revoked_ns = sqlite3_column_int64(row, 7);
    standing->revoked_by = db_column_string(row, 8, arena, &failed);
    standing->revoked_because = db_column_string(row, 9, arena, &failed);
    return !failed;
}

enum err sqlite_standing_find(struct store *store, const uint8_t key[STORE_HASH_SIZE],
                              int64_t now_ns, struct arena *arena, struct store_standing *out)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *get = NULL;
    enum err err =
        db_statement(db,
                     "SELECT " STANDING_COLUMNS " FROM standing_approval s"
                     " WHERE s.key = ?1 AND" STANDS_AT("?2") " ORDER BY s.until_ns DESC LIMIT 1",
                     &get);
    if (err == OK) {
        db_bind_blob(get, 1, bytes_of(key, STORE_HASH_SIZE));
        db_bind_number(get, 2, now_ns);
        err = db_read_one(db, get, sizeof(*out), standing_read, arena, out);
    }
    sqlite_read_end(s, db);
    return err;
}

/* ---- with what they came from ---------------------------------------------------------------- */

static bool item_read(sqlite3_stmt *row, struct arena *arena, struct store_standing_item *out)
{
    bool failed = false;
    out->held = db_column_blob(row, COLUMN_HELD, arena, &failed);
    return standing_read(row, arena, &out->standing) && !failed;
}

/* All rows until there are `max_bytes` of them. */
static enum err items_read(struct db *db, sqlite3_stmt *list, size_t max, size_t max_bytes,
                           struct arena *arena, struct store_standing_item **out_items,
                           size_t *out_count)
{
    size_t count = 0, bytes = 0;
    struct store_standing_item *items = arena_alloc(arena, max * sizeof(*items));
    enum err err = items == NULL ? ERR_NO_MEMORY : OK;
    while (err == OK && count < max && bytes < max_bytes) {
        bool row = false;
        err = db_step(db, list, &row);
        if (err != OK || !row) {
            break;
        }
        if (!item_read(list, arena, &items[count])) {
            err = ERR_NO_MEMORY;
        } else {
            bytes += items[count++].held.size;
        }
    }
    (void)sqlite3_reset(list);
    if (err == OK) {
        *out_items = items;
        *out_count = count;
    }
    return err;
}

enum err sqlite_standing_get(struct store *store, const char *id, struct arena *arena,
                             struct store_standing_item *out)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    struct store_standing_item *items = NULL;
    sqlite3_stmt *get = NULL;
    size_t count = 0;
    /* Every id that begins so: '~' is behind all that a UUID has. */
    enum err err = db_statement(db,
                                "SELECT " STANDING_COLUMNS ", a.held FROM standing_approval s"
                                " JOIN approval a ON a.id = s.approval"
                                " WHERE s.id >= ?1 AND s.id < ?1 || '~' ORDER BY s.id LIMIT 2",
                                &get);
    if (err == OK) {
        db_bind_string(get, 1, id);
        err = items_read(db, get, 2, SIZE_MAX, arena, &items, &count);
    }
    sqlite_read_end(s, db);
    if (err != OK || count == 0) {
        return err == OK ? ERR_NOT_FOUND : err;
    }
    if (count > 1 && strcmp(items[0].standing.id, id) != 0) {
        return ERR_EXISTS;
    }
    *out = items[0];
    return OK;
}

enum err sqlite_standing_list(struct store *store, const struct store_standing_filter *filter,
                              struct arena *arena, struct store_standing_item **out_items,
                              size_t *out_count)
{
#define LIST_WHERE(condition)                                                                      \
    "SELECT " STANDING_COLUMNS ", a.held FROM standing_approval s"                                 \
    " JOIN approval a ON a.id = s.approval"                                                        \
    " WHERE" condition " AND (?2 = '' OR a.resource = ?2) AND (?3 = '' OR a.identity = ?3)"        \
    " AND (?4 = '' OR s.id < ?4) ORDER BY s.id DESC LIMIT ?5"
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *list = NULL;
    enum err err = filter->include_ended ? db_statement(db, LIST_WHERE(" ?1 = ?1"), &list)
                                         : db_statement(db, LIST_WHERE(STANDS_AT("?1")), &list);
    if (err == OK) {
        db_bind_number(list, 1, filter->now_ns);
        db_bind_string(list, 2, filter->resource);
        db_bind_string(list, 3, filter->identity);
        db_bind_string(list, 4, filter->before);
        db_bind_number(list, 5, (int64_t)filter->limit);
        err = items_read(db, list, filter->limit, filter->max_bytes, arena, out_items, out_count);
    }
    sqlite_read_end(s, db);
    return err;
}

/* ---- the revocation -------------------------------------------------------------------------- */

static enum err revoke(struct db *db, const struct store_standing *standing)
{
    sqlite3_stmt *set = NULL;
    enum err err = db_statement(db,
                                "UPDATE standing_approval AS s SET revoked_ns = ?2,"
                                " revoked_by = ?3, revoked_because = ?4"
                                " WHERE s.id = ?1 AND" STANDS_AT("?2"),
                                &set);
    if (err == OK) {
        db_bind_string(set, 1, standing->id);
        db_bind_number(set, 2, standing->revoked_ns);
        db_bind_string(set, 3, standing->revoked_by);
        db_bind_string(set, 4, standing->revoked_because);
        err = db_run_one(db, set);
    }
    return err;
}

enum err sqlite_standing_revoke(struct store *store, const struct store_standing *standing,
                                const struct store_audit_write *audit)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    enum err err = sqlite_write_begin(s, &db);
    if (err != OK) {
        return err;
    }
    err = revoke(db, standing);
    if (err == OK && audit != NULL) {
        err = sqlite_audit_append_in(s, db, audit);
    }
    return sqlite_write_end(s, err, NULL);
}

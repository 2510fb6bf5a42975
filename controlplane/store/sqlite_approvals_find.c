/* Held operations: what finds them. */
#include "controlplane/store/sqlite.h"

#define APPROVAL_COLUMNS                                                                           \
    "a.id, a.state, a.version, a.sidecar, a.session, a.issuer, a.identity, a.resource, a.digest,"  \
    " a.requested_ns, a.due_ns, a.ended_ns, a.used_by, a.standing_votes, a.standing_until_ns,"     \
    " a.standing_uses, a.held"
enum { COLUMN_CURSOR = 17 };

static bool approval_read(sqlite3_stmt *row, struct arena *arena, void *out_item)
{
    struct store_approval *a = out_item;
    bool failed = false;
    a->id = db_column_string(row, 0, arena, &failed);
    a->state = (enum store_approval_state)sqlite3_column_int(row, 1);
    a->version = (uint64_t)sqlite3_column_int64(row, 2);
    a->sidecar = db_column_string(row, 3, arena, &failed);
    a->session = db_column_string(row, 4, arena, &failed);
    a->issuer = db_column_string(row, 5, arena, &failed);
    a->identity = db_column_string(row, 6, arena, &failed);
    a->resource = db_column_string(row, 7, arena, &failed);
    failed = !db_column_hash(row, 8, a->digest) || failed;
    a->requested_ns = sqlite3_column_int64(row, 9);
    a->due_ns = sqlite3_column_int64(row, 10);
    a->ended_ns = sqlite3_column_int64(row, 11);
    a->used_by = db_column_string(row, 12, arena, &failed);
    a->standing_votes = (uint64_t)sqlite3_column_int64(row, 13);
    a->standing_until_ns = sqlite3_column_int64(row, 14);
    a->standing_uses = (uint64_t)sqlite3_column_int64(row, 15);
    a->held = db_column_blob(row, 16, arena, &failed);
    a->cursor = sqlite3_column_count(row) > COLUMN_CURSOR
                    ? (uint64_t)sqlite3_column_int64(row, COLUMN_CURSOR)
                    : 0;
    return !failed;
}

/* All rows until there are `max_bytes` of them: db_read_all has no such end. */
static enum err approvals_read(struct db *db, sqlite3_stmt *list, size_t max, size_t max_bytes,
                               struct arena *arena, struct store_approval **out_items,
                               size_t *out_count)
{
    size_t count = 0, bytes = 0;
    struct store_approval *items = arena_alloc(arena, (max + 1) * sizeof(*items));
    enum err err = items == NULL ? ERR_NO_MEMORY : OK;
    while (err == OK && count < max && bytes < max_bytes) {
        bool row = false;
        err = db_step(db, list, &row);
        if (err != OK || !row) {
            break;
        }
        if (!approval_read(list, arena, &items[count])) {
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

/* With bound statement `get`, which is one row. */
static enum err one_read(struct sqlite_store *s, struct db *db, sqlite3_stmt *get, enum err err,
                         struct arena *arena, struct store_approval *out)
{
    if (err == OK) {
        err = db_read_one(db, get, sizeof(*out), approval_read, arena, out);
    }
    sqlite_read_end(s, db);
    return err;
}

enum err sqlite_approval_get(struct store *store, const char *id, struct arena *arena,
                             struct store_approval *out)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    struct store_approval *items = NULL;
    sqlite3_stmt *get = NULL;
    size_t count = 0;
    /* Every id that begins so: '~' is behind all that a UUID has. */
    enum err err = db_statement(db,
                                "SELECT " APPROVAL_COLUMNS " FROM approval a"
                                " WHERE a.id >= ?1 AND a.id < ?1 || '~' ORDER BY a.id LIMIT 2",
                                &get);
    if (err == OK) {
        db_bind_string(get, 1, id);
        err = approvals_read(db, get, 2, SIZE_MAX, arena, &items, &count);
    }
    sqlite_read_end(s, db);
    if (err != OK || count == 0) {
        return err == OK ? ERR_NOT_FOUND : err;
    }
    if (count > 1 && strcmp(items[0].id, id) != 0) {
        return ERR_EXISTS;
    }
    *out = items[0];
    return OK;
}

enum err sqlite_approval_used_by(struct store *store, const char *request, struct arena *arena,
                                 struct store_approval *out)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *get = NULL;
    enum err err = db_statement(db,
                                "SELECT " APPROVAL_COLUMNS " FROM approval a"
                                " WHERE a.used_by = ?1 AND a.used_by <> ''",
                                &get);
    if (err == OK) {
        db_bind_string(get, 1, request);
    }
    return one_read(s, db, get, err, arena, out);
}

enum err sqlite_approval_same(struct store *store, const uint8_t digest[STORE_HASH_SIZE],
                              const char *issuer, const char *identity, const char *resource,
                              struct arena *arena, struct store_approval *out)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *get = NULL;
    enum err err = db_statement(db,
                                "SELECT " APPROVAL_COLUMNS " FROM approval a"
                                " WHERE a.digest = ?1 AND a.issuer = ?2 AND a.identity = ?3"
                                " AND a.resource = ?4 AND a.state IN (1, 2, 3)"
                                " ORDER BY a.requested_ns DESC, a.id DESC LIMIT 1",
                                &get);
    if (err == OK) {
        db_bind_blob(get, 1, bytes_of(digest, STORE_HASH_SIZE));
        db_bind_string(get, 2, issuer);
        db_bind_string(get, 3, identity);
        db_bind_string(get, 4, resource);
    }
    return one_read(s, db, get, err, arena, out);
}

static bool blob_read(sqlite3_stmt *row, struct arena *arena, void *out_item)
{
    bool failed = false;
    *(struct bytes *)out_item = db_column_blob(row, 0, arena, &failed);
    return !failed;
}

enum err sqlite_approval_answer(struct store *store, const char *approval,
                                const struct store_decision *decision, struct arena *arena,
                                struct bytes *out)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *get = NULL;
    enum err err = db_statement(db,
                                "SELECT answer FROM approval_decision WHERE approval = ?1"
                                " AND issuer = ?2 AND subject = ?3 AND key = ?4 AND key <> ''",
                                &get);
    if (err == OK) {
        db_bind_string(get, 1, approval);
        db_bind_string(get, 2, decision->issuer);
        db_bind_string(get, 3, decision->subject);
        db_bind_string(get, 4, decision->key);
        err = db_read_one(db, get, sizeof(*out), blob_read, arena, out);
    }
    sqlite_read_end(s, db);
    return err;
}

enum err sqlite_approval_list(struct store *store, const struct store_approval_filter *filter,
                              struct arena *arena, struct store_approval **out_items,
                              size_t *out_count)
{
#define MATCHES                                                                                    \
    " (?1 = '' OR a.resource = ?1) AND (?2 = '' OR a.identity = ?2)"                               \
    " AND (?4 = '' OR a.sidecar = ?4)"                                                             \
    " ORDER BY a.requested_ns DESC, a.id DESC LIMIT ?3"
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *list = NULL;
    enum err err =
        filter->include_ended
            ? db_statement(db, "SELECT " APPROVAL_COLUMNS " FROM approval a WHERE" MATCHES, &list)
            : db_statement(db,
                           "SELECT " APPROVAL_COLUMNS
                           " FROM approval a WHERE a.ended_ns = 0 AND" MATCHES,
                           &list);
    if (err == OK) {
        db_bind_string(list, 1, filter->resource);
        db_bind_string(list, 2, filter->identity);
        db_bind_number(list, 3, (int64_t)filter->limit);
        db_bind_string(list, 4, filter->sidecar);
        err =
            approvals_read(db, list, filter->limit, filter->max_bytes, arena, out_items, out_count);
    }
    sqlite_read_end(s, db);
    return err;
}

enum err sqlite_approval_list_due(struct store *store, int64_t now_ns, size_t max,
                                  struct arena *arena, struct store_approval **out_items,
                                  size_t *out_count)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *list = NULL;
    enum err err = db_statement(db,
                                "SELECT " APPROVAL_COLUMNS " FROM approval a"
                                " WHERE a.due_ns > 0 AND a.due_ns <= ?1 ORDER BY a.due_ns",
                                &list);
    if (err == OK) {
        db_bind_number(list, 1, now_ns);
        err = approvals_read(db, list, max, SIZE_MAX, arena, out_items, out_count);
    }
    sqlite_read_end(s, db);
    return err;
}

static bool number_read(sqlite3_stmt *row, struct arena *arena, void *out_item)
{
    (void)arena;
    *(int64_t *)out_item = sqlite3_column_int64(row, 0);
    return true;
}

/* The one number that a query without bindings gives. */
static enum err number_ask(struct store *store, const char *sql, int64_t *out)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    struct arena *arena = arena_create(256, 4096);
    sqlite3_stmt *get = NULL;
    enum err err = arena == NULL ? ERR_NO_MEMORY : db_statement(db, sql, &get);
    if (err == OK) {
        err = db_read_one(db, get, sizeof(*out), number_read, arena, out);
    }
    sqlite_read_end(s, db);
    arena_destroy(arena);
    return err;
}

enum err sqlite_approval_next_due(struct store *store, int64_t *out_ns)
{
    static const char sql[] =
        "SELECT due_ns FROM approval WHERE due_ns > 0 ORDER BY due_ns LIMIT 1";
    return number_ask(store, sql, out_ns);
}

enum err sqlite_approval_cursor(struct store *store, uint64_t *out)
{
    static const char sql[] = "SELECT coalesce(max(cursor), 0) FROM approval_event";
    int64_t cursor = 0;
    enum err err = number_ask(store, sql, &cursor);
    if (err == OK) {
        *out = (uint64_t)cursor;
    }
    return err;
}

enum err sqlite_approval_events(struct store *store, uint64_t after, size_t max, size_t max_bytes,
                                struct arena *arena, struct store_approval **out_items,
                                size_t *out_count)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *list = NULL;
    enum err err = db_statement(db,
                                "SELECT " APPROVAL_COLUMNS ", e.cursor"
                                " FROM approval_event e JOIN approval a ON a.id = e.approval"
                                " WHERE e.cursor > ?1 ORDER BY e.cursor",
                                &list);
    if (err == OK) {
        db_bind_number(list, 1, (int64_t)after);
        err = approvals_read(db, list, max, max_bytes, arena, out_items, out_count);
    }
    sqlite_read_end(s, db);
    return err;
}

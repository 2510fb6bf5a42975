/* What the records say about their sessions. */
#include "controlplane/store/sqlite.h"
#include "controlplane/store/sqlite_content.h"

/* ---- the cache of sessions ----------------------------------------------------------------- */

static size_t cache_place(int64_t stream, struct bytes session)
{
    /* Eight bytes at a time, each step as in SplitMix64. A collision costs a look-up in the table
     * and nothing else. */
    uint64_t hash = (uint64_t)stream ^ session.size;
    for (size_t i = 0; i < session.size; i += sizeof(uint64_t)) {
        uint64_t block = 0;
        const size_t left = session.size - i;
        memcpy(&block, session.data + i, left < sizeof(block) ? left : sizeof(block));
        hash = (hash ^ block) * UINT64_C(0xbf58476d1ce4e5b9);
        hash ^= hash >> 29;
    }
    return (size_t)(hash % DB_SESSION_CACHE_SIZE);
}

static enum err operations_write(struct db *db, struct session_cached *cached)
{
    sqlite3_stmt *count = NULL;
    enum err err = db_statement(
        db, "UPDATE audit_session SET operations = operations + ?2 WHERE id = ?1", &count);
    if (err == OK) {
        db_bind_number(count, 1, cached->id);
        db_bind_number(count, 2, cached->operations);
        err = db_run_one(db, count);
    }
    if (err == OK) {
        cached->operations = 0;
    }
    return err;
}

enum err sqlite_sessions_flush(struct sqlite_store *s)
{
    enum err err = OK;
    for (size_t i = 0; err == OK && i < DB_SESSION_CACHE_SIZE; i++) {
        if (s->sessions[i].operations > 0) {
            err = operations_write(&s->writer, &s->sessions[i]);
        }
    }
    return err;
}

static enum err session_find(struct db *db, struct bytes session, struct session_cached *entry)
{
    sqlite3_stmt *find = NULL;
    bool row = false;
    enum err err = db_statement(db,
                                "SELECT id, identity, resource FROM audit_session"
                                " WHERE session = ?1 AND stream = ?2",
                                &find);
    if (err != OK) {
        return err;
    }
    db_bind_text(find, 1, session);
    db_bind_number(find, 2, entry->stream);
    err = db_step(db, find, &row);
    if (err != OK) {
        return err;
    }
    if (!row) {
        return ERR_NOT_FOUND;
    }
    entry->id = sqlite3_column_int64(find, 0);
    entry->identity = sqlite3_column_int64(find, 1); /* NULL reads as 0 */
    entry->resource = sqlite3_column_int64(find, 2);
    (void)sqlite3_reset(find);
    return OK;
}

static enum err session_add(struct db *db, struct bytes session, int64_t key,
                            struct session_cached *entry)
{
    sqlite3_stmt *add = NULL;
    enum err err = db_statement(db,
                                "INSERT INTO audit_session (session, stream, on_behalf_of,"
                                " protocol, database, agent_address, opened_ns, closed_ns,"
                                " operations, state, close_reason)"
                                " VALUES (?1, ?2, '', '', '', '', ?3, 0, 0, 'open', '')",
                                &add);
    if (err == OK) {
        db_bind_text(add, 1, session);
        db_bind_number(add, 2, entry->stream);
        db_bind_number(add, 3, key);
        err = db_run(db, add);
    }
    if (err == OK) {
        entry->id = sqlite3_last_insert_rowid(db->handle);
    }
    return err;
}

/* A session whose records are in another stream, which also lists it; here it is only a name. */
#define STATE_ABOUT "about"

static enum err session_open(struct db *db, const struct store_audit_opened *opened, int64_t key,
                             const char *state, struct session_cached *entry)
{
    sqlite3_stmt *set = NULL;
    enum err err = sqlite_name_id(db, opened->identity, &entry->identity);
    if (err == OK) {
        err = sqlite_name_id(db, opened->resource, &entry->resource);
    }
    if (err == OK) {
        err = db_statement(db,
                           "UPDATE audit_session SET identity = ?2, resource = ?3,"
                           " on_behalf_of = ?4, protocol = ?5, database = ?6, agent_address = ?7,"
                           " opened_ns = ?8, closed_ns = ?9, state = ?10 WHERE id = ?1",
                           &set);
    }
    if (err != OK) {
        return err;
    }
    db_bind_number(set, 1, entry->id);
    db_bind_reference(set, 2, entry->identity);
    db_bind_reference(set, 3, entry->resource);
    db_bind_text(set, 4, opened->on_behalf_of);
    db_bind_text(set, 5, opened->protocol);
    db_bind_text(set, 6, opened->database);
    db_bind_text(set, 7, opened->agent_address);
    db_bind_number(set, 8, key);
    db_bind_number(set, 9, strcmp(state, "open") == 0 ? 0 : key);
    db_bind_string(set, 10, state);
    return db_run_one(db, set);
}

static enum err session_end(struct db *db, struct bytes reason, int64_t key, int64_t id)
{
    sqlite3_stmt *set = NULL;
    enum err err = db_statement(db,
                                "UPDATE audit_session SET closed_ns = ?2, close_reason = ?3,"
                                " state = iif(state = 'refused', state, 'closed') WHERE id = ?1",
                                &set);
    if (err == OK) {
        db_bind_number(set, 1, id);
        db_bind_number(set, 2, key);
        db_bind_text(set, 3, reason);
        err = db_run_one(db, set);
    }
    return err;
}

enum err sqlite_sessions_end(struct db *db, int64_t stream, int64_t key, const char *reason)
{
    sqlite3_stmt *set = NULL;
    enum err err = db_statement(db,
                                "UPDATE audit_session SET closed_ns = ?2, close_reason = ?3,"
                                " state = 'closed' WHERE stream = ?1 AND closed_ns = 0",
                                &set);
    if (err == OK) {
        db_bind_number(set, 1, stream);
        db_bind_number(set, 2, key);
        db_bind_string(set, 3, reason);
        err = db_run(db, set);
    }
    return err;
}

/* The entry of the cache for this session: as it is there, or made room for and read. */
static enum err session_lookup(struct sqlite_store *s, int64_t stream,
                               const struct store_audit_index *index, int64_t key,
                               struct session_cached **out)
{
    struct bytes session = index->session;
    const struct store_audit_opened *about = index->about;
    struct session_cached *entry = &s->sessions[cache_place(stream, session)];
    if (entry->id != 0 && entry->stream == stream &&
        bytes_equal(bytes_of(entry->session, entry->session_size), session)) {
        *out = entry;
        return OK;
    }
    enum err err = entry->operations > 0 ? operations_write(&s->writer, entry) : OK;
    if (err != OK) {
        return err;
    }
    struct session_cached fresh = {.stream = stream, .session_size = session.size};
    memcpy(fresh.session, session.data, session.size);
    err = session_find(&s->writer, session, &fresh);
    if (err == ERR_NOT_FOUND) {
        err = session_add(&s->writer, session, key, &fresh);
        if (err == OK && about != NULL) {
            err = session_open(&s->writer, about, key, STATE_ABOUT, &fresh);
        }
    }
    /* What the control plane says about another stream's session is not that session's content. */
    if (err == OK && about == NULL) {
        err = sqlite_content_key(&s->writer, fresh.id, session, fresh.key);
        fresh.has_key = err == OK;
    }
    if (err == OK) {
        *entry = fresh;
        *out = entry;
    }
    bytes_wipe(fresh.key, sizeof(fresh.key));
    return err;
}

enum err sqlite_session_of(struct sqlite_store *s, int64_t stream,
                           const struct store_audit_record *record, int64_t key,
                           struct session_cached **out)
{
    const struct store_audit_index *index = &record->index;
    struct session_cached *entry = NULL;
    enum err err = session_lookup(s, stream, index, key, &entry);
    if (err == OK && index->kind == STORE_SESSION_OPENED && index->opened != NULL) {
        err = session_open(&s->writer, index->opened, key,
                           index->opened->refused ? "refused" : "open", entry);
    } else if (err == OK && index->kind == STORE_SESSION_CLOSED) {
        err = session_end(&s->writer, index->close_reason, key, entry->id);
    }
    if (err == OK && index->kind == STORE_INTENT) {
        entry->operations++;
    }
    if (err == OK) {
        *out = entry;
    }
    return err;
}

/* ---- reading --------------------------------------------------------------------------------- */

#define SESSION_SELECT                                                                             \
    "SELECT s.session, t.sidecar, i.name, s.on_behalf_of, r.name, s.protocol, s.database,"         \
    " s.agent_address, s.opened_ns, s.closed_ns, s.operations, s.state, s.close_reason"            \
    " FROM audit_session s JOIN audit_stream t ON t.id = s.stream"                                 \
    " LEFT JOIN audit_name i ON i.id = s.identity LEFT JOIN audit_name r ON r.id = s.resource"

static bool session_read(sqlite3_stmt *row, struct arena *arena, void *out_item)
{
    struct store_session *session = out_item;
    bool failed = false;
    session->session = db_column_string(row, 0, arena, &failed);
    session->sidecar = db_column_string(row, 1, arena, &failed);
    session->identity = db_column_string(row, 2, arena, &failed);
    session->on_behalf_of = db_column_string(row, 3, arena, &failed);
    session->resource = db_column_string(row, 4, arena, &failed);
    session->protocol = db_column_string(row, 5, arena, &failed);
    session->database = db_column_string(row, 6, arena, &failed);
    session->agent_address = db_column_string(row, 7, arena, &failed);
    session->opened_ns = sqlite3_column_int64(row, 8);
    session->closed_ns = sqlite3_column_int64(row, 9);
    session->operations = (uint64_t)sqlite3_column_int64(row, 10);
    session->state = db_column_string(row, 11, arena, &failed);
    session->close_reason = db_column_string(row, 12, arena, &failed);
    return !failed;
}

enum err sqlite_session_list(struct store *store, bool include_closed, size_t limit,
                             struct arena *arena, struct store_session **out_items,
                             size_t *out_count)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *list = NULL;
    void *items = NULL;
    enum err err =
        include_closed
            ? db_statement(db,
                           SESSION_SELECT " WHERE s.state <> '" STATE_ABOUT "'"
                                          " ORDER BY s.opened_ns DESC, s.id DESC LIMIT ?1",
                           &list)
            : db_statement(db,
                           SESSION_SELECT " WHERE s.closed_ns = 0"
                                          " ORDER BY s.opened_ns DESC, s.id DESC LIMIT ?1",
                           &list);
    if (err == OK) {
        db_bind_number(list, 1, limit == 0 || limit > INT64_MAX ? -1 : (int64_t)limit);
        err = db_read_all(db, list, sizeof(struct store_session), session_read, arena, &items,
                          out_count);
    }
    if (err == OK) {
        *out_items = items;
    }
    sqlite_read_end(s, db);
    return err;
}

static bool open_read(sqlite3_stmt *row, struct arena *arena, void *out_item)
{
    struct store_open_sessions *open = out_item;
    bool failed = false;
    open->sidecar = db_column_string(row, 0, arena, &failed);
    open->count = (uint64_t)sqlite3_column_int64(row, 1);
    return !failed;
}

enum err sqlite_session_count_open(struct store *store, struct arena *arena,
                                   struct store_open_sessions **out_items, size_t *out_count)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *list = NULL;
    void *items = NULL;
    enum err err = db_statement(db,
                                "SELECT t.sidecar, n.sessions FROM (SELECT stream,"
                                " count(*) AS sessions FROM audit_session WHERE closed_ns = 0"
                                " GROUP BY stream) n JOIN audit_stream t ON t.id = n.stream"
                                " ORDER BY t.sidecar",
                                &list);
    if (err == OK) {
        err = db_read_all(db, list, sizeof(struct store_open_sessions), open_read, arena, &items,
                          out_count);
    }
    if (err == OK) {
        *out_items = items;
    }
    sqlite_read_end(s, db);
    return err;
}

static bool id_read(sqlite3_stmt *row, struct arena *arena, void *out_item)
{
    const char **id = out_item;
    bool failed = false;
    *id = db_column_string(row, 0, arena, &failed);
    return !failed;
}

enum err sqlite_session_list_open(struct store *store, const char *sidecar, size_t limit,
                                  struct arena *arena, const char ***out_ids, size_t *out_count)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *list = NULL;
    void *ids = NULL;
    enum err err = db_statement(db,
                                "SELECT session FROM audit_session WHERE closed_ns = 0 AND stream ="
                                " (SELECT id FROM audit_stream WHERE sidecar = ?1)"
                                " ORDER BY opened_ns DESC, id DESC LIMIT ?2",
                                &list);
    if (err == OK) {
        db_bind_string(list, 1, sidecar);
        db_bind_number(list, 2, (int64_t)limit);
        err = db_read_all(db, list, sizeof(const char *), id_read, arena, &ids, out_count);
    }
    if (err == OK) {
        *out_ids = ids;
    }
    sqlite_read_end(s, db);
    return err;
}

enum err sqlite_session_get(struct store *store, const char *session, struct arena *arena,
                            struct store_session *out)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *get = NULL;
    enum err err =
        db_statement(db,
                     SESSION_SELECT " WHERE s.session = ?1"
                                    " AND s.state <> '" STATE_ABOUT "' ORDER BY s.id LIMIT 1",
                     &get);
    if (err == OK) {
        db_bind_string(get, 1, session);
        err = db_read_one(db, get, sizeof(*out), session_read, arena, out);
    }
    sqlite_read_end(s, db);
    return err;
}

/* What records say about their sessions. */
#include "controlplane/store/postgres/pg_sessions.h"
#include "controlplane/store/postgres/pg_write.h"

static size_t cache_place(int64_t stream, struct bytes session)
{
    uint64_t hash = UINT64_C(14695981039346656037) ^ (uint64_t)stream;
    for (size_t i = 0; i < session.size; i++) {
        hash = (hash ^ session.data[i]) * UINT64_C(1099511628211);
    }
    return (size_t)((hash ^ hash >> 32) % CACHE_SESSIONS);
}

static enum err operations_write(struct pg *db, struct write_session_cached *cached)
{
    struct pg_parameters p = {.count = 0};
    pg_put_number(&p, cached->id);
    pg_put_number(&p, cached->operations);
    enum err err =
        pg_run_one(db, "UPDATE audit_session SET operations = operations + $2 WHERE id = $1", &p);
    if (err == OK) {
        cached->operations = 0;
    }
    return err;
}

enum err write_sessions_flush(struct pg *db, struct write_cache *cache)
{
    enum err err = OK;
    for (size_t i = 0; err == OK && i < CACHE_SESSIONS; i++) {
        if (cache->sessions[i].operations > 0) {
            err = operations_write(db, &cache->sessions[i]);
        }
    }
    return err;
}

void write_erasures_check(struct write_cache *cache, int64_t erasures)
{
    if (cache->erasures != erasures) {
        bytes_wipe(cache->sessions, sizeof(cache->sessions));
        cache->erasures = erasures;
    }
}

void write_stream_check(struct write_cache *cache, int64_t stream, uint64_t last_sequence)
{
    size_t at = (size_t)stream % CACHE_STREAMS;
    if (cache->streams[at].id == stream && cache->streams[at].last_sequence == last_sequence) {
        return;
    }
    for (size_t i = 0; i < CACHE_SESSIONS; i++) {
        if (cache->sessions[i].stream == stream) {
            bytes_wipe(&cache->sessions[i], sizeof(cache->sessions[i]));
        }
    }
}

void write_stream_set(struct write_cache *cache, int64_t stream, uint64_t last_sequence)
{
    size_t at = (size_t)stream % CACHE_STREAMS;
    cache->streams[at].id = stream;
    cache->streams[at].last_sequence = last_sequence;
}

/* ---- one session --------------------------------------------------------------------------- */

static enum err key_add(struct pg *db, struct write_cache *cache, struct bytes session,
                        struct write_session_cached *entry)
{
    struct pg_parameters p = {.count = 0};
    uint8_t wrapped[CONTENT_WRAPPED_SIZE];
    enum err err = content_key_make(cache->content, session, entry->content_key, wrapped);
    pg_put_number(&p, entry->id);
    pg_put_bytes(&p, bytes_of(wrapped, sizeof(wrapped)));
    return err == OK ? pg_run(db, "INSERT INTO audit_content_key VALUES ($1, $2)", &p) : err;
}

/* A session that was erased, and of which something comes late, has content again. */
static enum err key_renew(struct pg *db, struct write_cache *cache, struct bytes session,
                          struct write_session_cached *entry)
{
    struct pg_parameters p = {.count = 0};
    pg_put_number(&p, entry->id);
    enum err err = key_add(db, cache, session, entry);
    return err == OK ? pg_run(db, "UPDATE audit_session SET erased_ns = 0 WHERE id = $1", &p) : err;
}

static enum err session_find(struct pg *db, struct write_cache *cache, struct bytes session,
                             struct write_session_cached *entry)
{
    struct pg_parameters p = {.count = 0};
    PGresult *result = NULL;
    pg_put_bytes(&p, session);
    pg_put_number(&p, entry->stream);
    enum err err = pg_query(db,
                            "SELECT s.id, s.identity, s.resource, k.wrapped FROM audit_session s"
                            " LEFT JOIN audit_content_key k ON k.session = s.id"
                            " WHERE s.session = $1 AND s.stream = $2",
                            &p, &result);
    if (err == OK && PQntuples(result) == 0) {
        err = ERR_NOT_FOUND;
    }
    if (err == OK) {
        entry->id = pg_number(result, 0, 0);
        entry->identity = pg_number(result, 0, 1); /* NULL reads as 0 */
        entry->resource = pg_number(result, 0, 2);
        struct bytes wrapped = pg_bytes(result, 0, 3);
        err = wrapped.size == 0
                  ? key_renew(db, cache, session, entry)
                  : content_key_open(cache->content, session, wrapped, entry->content_key);
        err = err == ERR_DENIED ? ERR_INTERNAL : err;
    }
    PQclear(result);
    return err;
}

static enum err session_add(struct pg *db, struct write_cache *cache, struct bytes session,
                            int64_t key, struct write_session_cached *entry)
{
    struct pg_parameters p = {.count = 0};
    pg_put_bytes(&p, session);
    pg_put_number(&p, entry->stream);
    pg_put_number(&p, key);
    pg_put_number(&p, SESSION_OPEN);
    enum err err = pg_ask_number(db,
                                 "INSERT INTO audit_session (session, stream, on_behalf_of,"
                                 " protocol, database, agent_address, opened_ns, closed_ns,"
                                 " operations, state, close_reason)"
                                 " VALUES ($1, $2, '', '', '', '', $3, 0, 0, $4, '') RETURNING id",
                                 &p, &entry->id);
    return err == OK ? key_add(db, cache, session, entry) : err;
}

static enum err session_open(struct pg *db, struct write_cache *cache,
                             const struct store_audit_opened *opened, int64_t key,
                             enum session_state state, struct write_session_cached *entry)
{
    struct pg_parameters p = {.count = 0};
    enum err err = write_name_id(db, cache, opened->identity, &entry->identity);
    if (err == OK) {
        err = write_name_id(db, cache, opened->resource, &entry->resource);
    }
    if (err != OK) {
        return err;
    }
    pg_put_number(&p, entry->id);
    pg_put_number(&p, entry->identity);
    pg_put_number(&p, entry->resource);
    pg_put_bytes(&p, opened->on_behalf_of);
    pg_put_bytes(&p, opened->protocol);
    pg_put_bytes(&p, opened->database);
    pg_put_bytes(&p, opened->agent_address);
    pg_put_number(&p, key);
    pg_put_number(&p, state == SESSION_OPEN ? 0 : key);
    pg_put_number(&p, state);
    return pg_run_one(db,
                      "UPDATE audit_session SET identity = nullif($2, 0),"
                      " resource = nullif($3, 0), on_behalf_of = $4, protocol = $5,"
                      " database = $6, agent_address = $7, opened_ns = $8, closed_ns = $9,"
                      " state = $10 WHERE id = $1",
                      &p);
}

static enum err session_end(struct pg *db, struct bytes reason, int64_t key, int64_t id)
{
    struct pg_parameters p = {.count = 0};
    pg_put_number(&p, id);
    pg_put_number(&p, key);
    pg_put_bytes(&p, reason);
    pg_put_number(&p, SESSION_REFUSED);
    pg_put_number(&p, SESSION_CLOSED);
    return pg_run_one(db,
                      "UPDATE audit_session SET closed_ns = $2, close_reason = $3,"
                      " state = CASE WHEN state = $4 THEN state ELSE $5 END WHERE id = $1",
                      &p);
}

enum err write_sessions_end(struct pg *db, int64_t stream, int64_t key, const char *reason)
{
    struct pg_parameters p = {.count = 0};
    pg_put_number(&p, stream);
    pg_put_number(&p, key);
    pg_put_number(&p, SESSION_CLOSED);
    pg_put_string(&p, reason);
    return pg_run(db,
                  "UPDATE audit_session SET closed_ns = $2, close_reason = $4,"
                  " state = $3 WHERE stream = $1 AND closed_ns = 0",
                  &p);
}

/* The entry of the cache for this session: as it is there, or made room for and read. */
static enum err session_lookup(struct pg *db, struct write_cache *cache,
                               const struct write_item *item, struct write_session_cached **out)
{
    struct bytes session = item->record->index.session;
    const struct store_audit_opened *about = item->record->index.about;
    int64_t stream = item->batch->stream;
    struct write_session_cached *entry = &cache->sessions[cache_place(stream, session)];
    if (entry->id != 0 && entry->stream == stream &&
        bytes_equal(bytes_of(entry->session, entry->session_size), session)) {
        *out = entry;
        return OK;
    }
    enum err err = entry->operations > 0 ? operations_write(db, entry) : OK;
    if (err != OK) {
        return err;
    }
    struct write_session_cached fresh = {.stream = stream, .session_size = session.size};
    memcpy(fresh.session, session.data, session.size);
    err = session_find(db, cache, session, &fresh);
    if (err == ERR_NOT_FOUND) {
        err = session_add(db, cache, session, item->key, &fresh);
        if (err == OK && about != NULL) {
            err = session_open(db, cache, about, item->key, SESSION_ABOUT, &fresh);
        }
    }
    if (err == OK) {
        *entry = fresh;
        *out = entry;
    }
    bytes_wipe(&fresh, sizeof(fresh));
    return err;
}

enum err write_session(struct pg *db, struct write_cache *cache, struct write_item *item)
{
    const struct store_audit_index *index = &item->record->index;
    struct write_session_cached *entry = NULL;
    if (index->session.size == 0) {
        return index->has_no_sessions
                   ? write_sessions_end(db, item->batch->stream, item->key, "lost")
                   : OK;
    }
    enum err err = session_lookup(db, cache, item, &entry);
    if (err == OK && index->kind == STORE_SESSION_OPENED && index->opened != NULL) {
        err = session_open(db, cache, index->opened, item->key,
                           index->opened->refused ? SESSION_REFUSED : SESSION_OPEN, entry);
    } else if (err == OK && index->kind == STORE_SESSION_CLOSED) {
        err = session_end(db, index->close_reason, item->key, entry->id);
    }
    if (err != OK) {
        return err;
    }
    entry->operations += index->kind == STORE_INTENT;
    item->session = entry->id;
    item->identity = entry->identity;
    item->resource = entry->resource;
    item->form = item->record->blob == NULL ? FORM_SEALED : FORM_BLOB;
    memcpy(item->content_key, entry->content_key, sizeof(item->content_key));
    return OK;
}

#include "controlplane/store/postgres/pg_write.h"

#include <stdlib.h>

#include "controlplane/store/postgres/pg_keys.h"

enum { TEXTS_MAX = 512 << 20 };

/* ---- a batch ------------------------------------------------------------------------------------
 */

static enum err text_prepare(struct write_batch *b, struct words *words, size_t at)
{
    struct write_text *text = &b->texts[at];
    text->spoken_at = buffer_size(&b->spoken);
    text->lexemes_at = buffer_size(&b->lexemes);
    enum err err = words_speak(words, b->records[at].index.text, &b->spoken);
    if (err != OK) {
        return err;
    }
    text->spoken_size = buffer_size(&b->spoken) - text->spoken_at;
    if (text->spoken_size > 0) {
        struct bytes spoken =
            bytes_of(buffer_bytes(&b->spoken).data + text->spoken_at, text->spoken_size);
        err = words_lexemes(spoken, &b->lexemes, &text->lexeme_count);
    }
    text->lexemes_size = buffer_size(&b->lexemes) - text->lexemes_at;
    return err;
}

enum err write_batch_init(struct write_batch *b, struct words *words, const char *sidecar,
                          const struct store_audit_record *records, size_t count,
                          int64_t received_ns)
{
    *b = (struct write_batch){
        .sidecar = sidecar, .records = records, .count = count, .received_ns = received_ns};
    buffer_init(&b->spoken, TEXTS_MAX);
    buffer_init(&b->lexemes, TEXTS_MAX);
    b->texts = calloc(count + 1, sizeof(*b->texts));
    enum err err = b->texts == NULL ? ERR_NO_MEMORY : OK;
    for (size_t i = 0; err == OK && i < count; i++) {
        if (records[i].index.text.size > 0) {
            err = text_prepare(b, words, i);
        }
    }
    if (err != OK) {
        write_batch_finish(b);
    }
    return err;
}

void write_batch_finish(struct write_batch *b)
{
    free(b->texts);
    b->texts = NULL;
    buffer_finish(&b->spoken);
    buffer_finish(&b->lexemes);
}

/* ---- is it the next one?
 * -------------------------------------------------------------------------
 */

static enum err refuse(struct write_batch *b, const struct store_audit_record *r, enum err err,
                       const char *what)
{
    b->refused = r->sequence;
    return err_set(&b->why, err, "record %llu: %s", (unsigned long long)r->sequence, what);
}

static enum err known_read(struct pg *db, const struct write_batch *b, uint64_t sequence,
                           uint8_t out[STORE_HASH_SIZE])
{
    struct pg_parameters p = {.count = 0};
    PGresult *result = NULL;
    pg_put_number(&p, b->stream);
    pg_put_number(&p, (int64_t)sequence);
    enum err err = pg_query(db, "SELECT hash FROM audit_record WHERE stream = $1 AND sequence = $2",
                            &p, &result);
    if (err == OK && (PQntuples(result) != 1 || !pg_hash(result, 0, 0, out))) {
        memset(out, 0, STORE_HASH_SIZE); /* no record's: it is refused */
    }
    PQclear(result);
    return err;
}

/* A record that is there already is passed over when it is the same: in the database, or among
 * `items`, the new ones of this batch. */
static enum err known_check(struct pg *db, struct write_batch *b, const struct write_item *items,
                            const struct store_audit_record *r)
{
    uint8_t hash[STORE_HASH_SIZE];
    enum err err = OK;
    if (r->sequence > b->before.sequence) {
        memcpy(hash, items[r->sequence - b->before.sequence - 1].record->hash, sizeof(hash));
    } else {
        err = known_read(db, b, r->sequence, hash);
    }
    if (err == OK && memcmp(hash, r->hash, sizeof(hash)) != 0) {
        err = refuse(b, r, ERR_EXISTS,
                     "another record is known under this sequence: the stream was rewritten");
    }
    return err;
}

static enum err next_check(struct write_batch *b, const struct store_audit_record *r)
{
    const struct store_audit_last *last = &b->appended.last;
    if (r->sequence != last->sequence + 1) {
        b->refused = r->sequence;
        return err_set(&b->why, ERR_INVALID, "record %llu: a gap, expected %llu",
                       (unsigned long long)r->sequence, (unsigned long long)last->sequence + 1);
    }
    if (memcmp(r->previous, last->hash, STORE_HASH_SIZE) != 0) {
        return refuse(b, r, ERR_INVALID,
                      "its previous hash is not the hash of the record before it");
    }
    return OK;
}

static enum err stream_read(struct pg *db, struct write_batch *b)
{
    struct pg_parameters p = {.count = 0};
    PGresult *result = NULL;
    pg_put_string(&p, b->sidecar);
    enum err err = pg_query(db,
                            "SELECT id, last_sequence, last_key, last_hash, revoked_ns"
                            " FROM audit_stream"
                            " WHERE sidecar = $1 FOR UPDATE",
                            &p, &result);
    if (err == OK && PQntuples(result) > 0) {
        b->stream = pg_number(result, 0, 0);
        b->before.sequence = (uint64_t)pg_number(result, 0, 1);
        b->last_key = pg_number(result, 0, 2);
        err = pg_hash(result, 0, 3, b->before.hash) ? OK : ERR_IO;
        b->is_revoked = pg_number(result, 0, 4) != 0;
    }
    PQclear(result);
    b->appended = (struct store_audit_appended){.last = b->before};
    return err;
}

static enum err stream_add(struct pg *db, struct write_batch *b)
{
    struct pg_parameters p = {.count = 0};
    pg_put_string(&p, b->sidecar);
    pg_put_bytes(&p, bytes_of(b->before.hash, STORE_HASH_SIZE));
    return pg_ask_number(db,
                         "INSERT INTO audit_stream (sidecar, last_sequence, last_key, last_hash)"
                         " VALUES ($1, 0, 0, $2) RETURNING id",
                         &p, &b->stream);
}

/* Which of a batch's records are new: `b->err` when it is refused. */
static enum err batch_check(struct pg *db, struct write_batch *b, struct write_group *g,
                            int64_t *position)
{
    size_t first_item = g->count;
    enum err err = stream_read(db, b);
    if (err == OK && b->is_revoked && b->count > 0) {
        err =
            refuse(b, &b->records[0], ERR_DENIED, "the sidecar was revoked, its stream has ended");
    }
    for (size_t i = 0; err == OK && i < b->count; i++) {
        const struct store_audit_record *r = &b->records[i];
        if (r->sequence <= b->appended.last.sequence) {
            err = known_check(db, b, g->items + first_item, r);
            continue;
        }
        err = next_check(b, r);
        if (err == OK) {
            b->appended.added++;
            b->appended.last.sequence = r->sequence;
            memcpy(b->appended.last.hash, r->hash, STORE_HASH_SIZE);
            g->items[g->count++] = (struct write_item){
                .record = r,
                .batch = b,
                .text = &b->texts[i],
                .position = *position + (int64_t)b->appended.added,
            };
        }
    }
    if (b->refused != 0) {
        b->err = err;
        g->count = first_item;
        return OK;
    }
    if (err == OK && b->appended.added > 0) {
        b->appended.first_position = (uint64_t)*position + 1;
        *position += (int64_t)b->appended.added;
        b->appended.last_position = (uint64_t)*position;
        err = b->stream == 0 ? stream_add(db, b) : OK;
    }
    return err;
}

/* ---- the group
 * ----------------------------------------------------------------------------------- */

static enum err tables_resolve(struct pg *db, struct write_cache *cache, struct write_group *g)
{
    size_t count = 0;
    enum err err = OK;
    for (size_t i = 0; i < g->count; i++) {
        count += g->items[i].record->index.table_count;
    }
    g->tables = calloc(count + 1, sizeof(*g->tables));
    if (g->tables == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; err == OK && i < g->count; i++) {
        struct write_item *item = &g->items[i];
        item->tables_at = g->table_count;
        err = write_tables(db, cache, &item->record->index, g->tables + g->table_count,
                           &item->table_count);
        g->table_count += item->table_count;
    }
    return err;
}

static enum err streams_write(struct pg *db, const struct write_group *g)
{
    enum err err = OK;
    for (size_t i = 0; err == OK && i < g->count; i++) {
        const struct write_batch *b = g->items[i].batch;
        if (i + 1 < g->count && g->items[i + 1].batch == b) {
            continue; /* its last one counts */
        }
        struct pg_parameters p = {.count = 0};
        pg_put_number(&p, b->stream);
        pg_put_number(&p, (int64_t)b->appended.last.sequence);
        pg_put_number(&p, g->items[i].key);
        pg_put_bytes(&p, bytes_of(b->appended.last.hash, STORE_HASH_SIZE));
        err = pg_run_one(db,
                         "UPDATE audit_stream SET last_sequence = $2, last_key = $3,"
                         " last_hash = $4 WHERE id = $1",
                         &p);
    }
    return err;
}

static enum err counter_write(struct pg *db, int64_t position, int64_t max_key)
{
    struct pg_parameters p = {.count = 0};
    pg_put_number(&p, position);
    pg_put_number(&p, max_key);
    return pg_run_one(db, "UPDATE counter SET value = $1, extra = $2 WHERE id = 1", &p);
}

static enum err items_write(struct postgres_store *s, struct pg *db, struct write_cache *cache,
                            struct write_group *g, int64_t position, int64_t max_key)
{
    for (size_t i = 0; i < g->batch_count; i++) {
        write_stream_check(cache, g->batches[i]->stream, g->batches[i]->before.sequence);
    }
    enum err err = postgres_keys_assign(db, g, &max_key);
    for (size_t i = 0; err == OK && i < g->count; i++) {
        err = write_session(db, cache, &g->items[i]);
    }
    if (err == OK) {
        err = tables_resolve(db, cache, g);
    }
    if (err == OK) {
        err = write_rows(db, cache, g);
    }
    if (err == OK) {
        err = streams_write(db, g);
    }
    if (err == OK) {
        err = write_sessions_flush(db, cache);
    }
    if (err == OK) {
        err = counter_write(db, position, max_key);
    }
    return err == OK ? postgres_news_send(s, db, STORE_NEWS_RECORDS) : err;
}

static enum err counter_lock(struct pg *db, struct write_cache *cache, int64_t *out_position,
                             int64_t *out_max_key)
{
    PGresult *result = NULL;
    enum err err = pg_query(
        db, "SELECT value, extra, erasures FROM counter WHERE id = 1 FOR UPDATE", NULL, &result);
    if (err == OK && PQntuples(result) == 1) {
        *out_position = pg_number(result, 0, 0);
        *out_max_key = pg_number(result, 0, 1);
        write_erasures_check(cache, pg_number(result, 0, 2));
    } else if (err == OK) {
        err = ERR_IO;
    }
    PQclear(result);
    return err;
}

static void group_finish(struct write_group *g)
{
    if (g->items != NULL) {
        bytes_wipe(g->items, g->count * sizeof(*g->items)); /* keys */
    }
    free(g->items);
    free(g->tables);
}

enum err write_group(struct postgres_store *s, struct pg *db, struct write_cache *cache,
                     struct write_batch **batches, size_t count)
{
    struct write_group g = {.batches = batches, .batch_count = count};
    int64_t position = 0, max_key = 0;
    size_t records = 0;
    for (size_t i = 0; i < count; i++) {
        records += batches[i]->count;
        batches[i]->err = OK;
        batches[i]->refused = 0;
        batches[i]->stream = 0;
        batches[i]->last_key = 0;
        batches[i]->before = (struct store_audit_last){.sequence = 0};
    }
    g.items = calloc(records + 1, sizeof(*g.items));
    enum err err = g.items == NULL ? ERR_NO_MEMORY : counter_lock(db, cache, &position, &max_key);
    for (size_t i = 0; err == OK && i < count; i++) {
        err = batch_check(db, batches[i], &g, &position);
    }
    if (err == OK && g.count > 0) {
        err = items_write(s, db, cache, &g, position, max_key);
    }
    for (size_t i = 0; err == OK && i < count; i++) {
        if (batches[i]->err == OK && batches[i]->stream != 0) {
            write_stream_set(cache, batches[i]->stream, batches[i]->appended.last.sequence);
        }
    }
    group_finish(&g);
    return err;
}

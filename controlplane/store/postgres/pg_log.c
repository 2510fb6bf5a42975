/* The transparency log, and what the jobs beside it keep: hashes, checkpoints, cursors, keys of
 * issuers. */
#include "controlplane/store/postgres/pg_store.h"

/* A position that is not the next one: somebody took a row out. Everything behind it would get
 * another leaf's number, so it is not given. */
static enum err hashes_read(const PGresult *result, uint64_t after, uint8_t (*out)[STORE_HASH_SIZE],
                            size_t *out_count)
{
    size_t rows = (size_t)PQntuples(result), count = 0;
    while (count < rows && (uint64_t)pg_number(result, (int)count, 0) == after + count + 1 &&
           pg_hash(result, (int)count, 1, out[count])) {
        count++;
    }
    if (count == 0 && rows > 0) {
        return ERR_IO;
    }
    *out_count = count;
    return OK;
}

static enum err log_read(struct store *store, uint64_t after, size_t max,
                         uint8_t (*out)[STORE_HASH_SIZE], size_t *out_count)
{
    enum { ROWS_MAX = 1 << 16 }; /* of one answer, which is in memory whole */
    struct postgres_store *s = postgres_of(store);
    struct pg *db = NULL;
    size_t count = 0, got = 1;
    enum err err = postgres_begin_read(s, &db);
    if (err != OK) {
        return err;
    }
    while (err == OK && got > 0 && count < max) {
        struct pg_parameters p = {.count = 0};
        PGresult *result = NULL;
        size_t left = max - count;
        got = 0;
        pg_put_number(&p, (int64_t)(after + count));
        pg_put_number(&p, (int64_t)(left > ROWS_MAX ? ROWS_MAX : left));
        err = pg_query(db,
                       "SELECT position, hash FROM audit_log WHERE position > $1"
                       " ORDER BY position LIMIT $2",
                       &p, &result);
        if (err == OK) {
            err = hashes_read(result, after + count, out + count, &got);
            err = count > 0 ? OK : err; /* what came before the hole is given */
        }
        PQclear(result);
        count += got;
    }
    postgres_end_read(s, db);
    if (err == OK) {
        *out_count = count;
    }
    return err;
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

static enum err checkpoint_set_note(struct store *store, uint64_t size, struct bytes note)
{
    struct pg_parameters p = {.count = 0};
    pg_put_number(&p, (int64_t)size);
    pg_put_bytes(&p, note);
    return postgres_write_one(postgres_of(store),
                              "UPDATE log_checkpoint SET note = $2 WHERE size = $1", &p, true,
                              STORE_NEWS_CHECKPOINT);
}

static bool checkpoint_read(const PGresult *result, int row, struct arena *arena, void *out_item)
{
    struct store_checkpoint *c = out_item;
    bool failed = false;
    c->size = (uint64_t)pg_number(result, row, 0);
    failed = !pg_hash(result, row, 1, c->root);
    c->time_ns = pg_number(result, row, 2);
    c->note = pg_copy_bytes(result, row, 3, arena, &failed);
    return !failed;
}

static enum err checkpoint_from(struct store *store, uint64_t size, struct arena *arena,
                                struct store_checkpoint *out)
{
    struct pg_parameters p = {.count = 0};
    pg_put_number(&p, (int64_t)size);
    return postgres_read_one(postgres_of(store),
                             "SELECT size, root, time_ns, note FROM log_checkpoint"
                             " WHERE size >= $1 ORDER BY size LIMIT 1",
                             &p, sizeof(*out), checkpoint_read, arena, out);
}

static enum err checkpoint_latest(struct store *store, struct arena *arena,
                                  struct store_checkpoint *out)
{
    return postgres_read_one(postgres_of(store),
                             "SELECT size, root, time_ns, note FROM log_checkpoint"
                             " ORDER BY size DESC LIMIT 1",
                             NULL, sizeof(*out), checkpoint_read, arena, out);
}

/* ---- cursors --------------------------------------------------------------------------------- */

static enum err cursor_get(struct store *store, const char *name, uint64_t *out)
{
    struct postgres_store *s = postgres_of(store);
    struct pg_parameters p = {.count = 0};
    struct pg *db = NULL;
    int64_t position = 0;
    enum err err = postgres_begin_read(s, &db);
    if (err != OK) {
        return err;
    }
    pg_put_string(&p, name);
    err = pg_ask_number(db, "SELECT position FROM cursor WHERE name = $1", &p, &position);
    postgres_end_read(s, db);
    if (err == OK) {
        *out = (uint64_t)position;
    }
    return err;
}

static enum err cursor_set(struct store *store, const char *name, uint64_t position, int64_t now_ns)
{
    struct pg_parameters p = {.count = 0};
    pg_put_string(&p, name);
    pg_put_number(&p, (int64_t)position);
    pg_put_number(&p, now_ns);
    return postgres_write_one(postgres_of(store),
                              "INSERT INTO cursor (name, position, updated_ns) VALUES ($1, $2, $3)"
                              " ON CONFLICT (name) DO UPDATE SET position = $2, updated_ns = $3",
                              &p, false, 0);
}

/* ---- keys of issuers ------------------------------------------------------------------------- */

static enum err issuer_key_seen(struct store *store, const char *issuer, const char *key_id,
                                const char *jwk, int64_t now_ns)
{
    struct pg_parameters p = {.count = 0};
    pg_put_string(&p, issuer);
    pg_put_string(&p, key_id);
    pg_put_string(&p, jwk);
    pg_put_number(&p, now_ns);
    return postgres_write_one(postgres_of(store),
                              "INSERT INTO issuer_key AS k VALUES ($1, $2, $3, $4, $4)"
                              " ON CONFLICT (sha256(issuer), sha256(key_id), sha256(jwk))"
                              " DO UPDATE SET last_seen_ns = greatest(k.last_seen_ns, $4)",
                              &p, false, 0);
}

static bool issuer_key_read(const PGresult *result, int row, struct arena *arena, void *out_item)
{
    struct store_issuer_key *key = out_item;
    bool failed = false;
    key->issuer = pg_copy_string(result, row, 0, arena, &failed);
    key->key_id = pg_copy_string(result, row, 1, arena, &failed);
    key->jwk = pg_copy_string(result, row, 2, arena, &failed);
    key->first_seen_ns = pg_number(result, row, 3);
    key->last_seen_ns = pg_number(result, row, 4);
    return !failed;
}

static enum err issuer_key_list(struct store *store, struct arena *arena,
                                struct store_issuer_key **out_items, size_t *out_count)
{
    void *items = NULL;
    enum err err = postgres_read_all(postgres_of(store),
                                     "SELECT issuer, key_id, jwk, first_seen_ns, last_seen_ns"
                                     " FROM issuer_key ORDER BY issuer, first_seen_ns, key_id, jwk",
                                     NULL, sizeof(struct store_issuer_key), issuer_key_read, arena,
                                     &items, out_count);
    if (err == OK) {
        *out_items = items;
    }
    return err;
}

void postgres_log_fill(struct store_backend *b)
{
    b->log_read = log_read;
    b->checkpoint_set_note = checkpoint_set_note;
    b->checkpoint_from = checkpoint_from;
    b->checkpoint_latest = checkpoint_latest;
    b->cursor_get = cursor_get;
    b->cursor_set = cursor_set;
    b->issuer_key_seen = issuer_key_seen;
    b->issuer_key_list = issuer_key_list;
}

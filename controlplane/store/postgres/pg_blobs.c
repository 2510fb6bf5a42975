/* What is known of blobs: which of them a row names. */
#include "controlplane/store/postgres/pg_store.h"

/* Runs `sql`, a literal, for each name with a number as its second parameter, in one transaction.
 */
static enum err names_write(struct store *store, const char *sql,
                            const uint8_t (*names)[STORE_HASH_SIZE], size_t count, int64_t number)
{
    struct postgres_store *s = postgres_of(store);
    struct pg *db = NULL;
    enum err err = postgres_begin(s, &db);
    if (err != OK) {
        return err;
    }
    for (size_t i = 0; err == OK && i < count; i++) {
        struct pg_parameters p = {.count = 0};
        pg_put_bytes(&p, bytes_of(names[i], STORE_HASH_SIZE));
        pg_put_number(&p, number);
        err = pg_run(db, sql, &p);
    }
    return postgres_end(s, db, err);
}

static enum err blob_add(struct store *store, const uint8_t (*names)[STORE_HASH_SIZE], size_t count,
                         int64_t now_ns)
{
    return names_write(store,
                       "INSERT INTO audit_blob (name, session, state, since_ns)"
                       " VALUES ($1, NULL, 0, $2)",
                       names, count, now_ns);
}

static enum err blob_drop(struct store *store, const uint8_t (*names)[STORE_HASH_SIZE],
                          size_t count)
{
    return names_write(store, "UPDATE audit_blob SET state = $2 WHERE name = $1 AND state = 0",
                       names, count, PG_BLOB_DROPPED);
}

static enum err blob_forget(struct store *store, const uint8_t (*names)[STORE_HASH_SIZE],
                            size_t count)
{
    return names_write(store, "DELETE FROM audit_blob WHERE name = $1 AND state = $2", names, count,
                       PG_BLOB_DROPPED);
}

enum err postgres_blob_use(struct pg *db, const uint8_t *name, int64_t session)
{
    struct pg_parameters p = {.count = 0};
    pg_put_bytes(&p, bytes_of(name, STORE_HASH_SIZE));
    pg_put_number(&p, session);
    enum err err = pg_run_one(
        db, "UPDATE audit_blob SET state = 1, session = $2 WHERE name = $1 AND state = 0", &p);
    return err == ERR_NOT_FOUND ? ERR_UNAVAILABLE : err;
}

enum err postgres_blobs_drop_session(struct pg *db, int64_t session)
{
    struct pg_parameters p = {.count = 0};
    pg_put_number(&p, session);
    return pg_run(db, "UPDATE audit_blob SET state = 2, session = NULL WHERE session = $1", &p);
}

struct name {
    uint8_t bytes[STORE_HASH_SIZE];
};

static bool name_read(const PGresult *result, int row, struct arena *arena, void *out_item)
{
    struct name *name = out_item;
    (void)arena;
    return pg_hash(result, row, 0, name->bytes);
}

static enum err blob_claim(struct store *store, int64_t before_ns, size_t max, struct arena *arena,
                           uint8_t (**out_names)[STORE_HASH_SIZE], size_t *out_count)
{
    struct postgres_store *s = postgres_of(store);
    struct pg_parameters before = {.count = 0}, limit = {.count = 0};
    void *items = NULL;
    pg_put_number(&before, before_ns);
    pg_put_number(&limit, (int64_t)max);
    enum err err = postgres_write_one(
        s, "UPDATE audit_blob SET state = 2 WHERE state = 0 AND since_ns < $1", &before, false, 0);
    if (err == OK) {
        err = postgres_read_all(s, "SELECT name FROM audit_blob WHERE state = 2 LIMIT $1", &limit,
                                sizeof(struct name), name_read, arena, &items, out_count);
    }
    if (err == OK) {
        *out_names = items;
    }
    return err;
}

void postgres_blobs_fill(struct store_backend *b)
{
    b->blob_add = blob_add;
    b->blob_drop = blob_drop;
    b->blob_claim = blob_claim;
    b->blob_forget = blob_forget;
}

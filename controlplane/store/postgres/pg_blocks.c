/* The kill switch, and chat accounts of people. */
#include "controlplane/store/postgres/pg_store.h"

/* ---- blocks ------------------------------------------------------------------------------------
 */

#define BLOCK_COLUMNS                                                                              \
    "id, identity, resource, everything, reason, created_by, created_ns, lifted_ns, lifted_by,"    \
    " is_order, session"

static enum err block_add(struct store *store, const struct store_block *block)
{
    struct pg_parameters p = {.count = 0};
    pg_put_string(&p, block->id);
    pg_put_string(&p, block->identity);
    pg_put_string(&p, block->resource);
    pg_put_number(&p, block->everything);
    pg_put_string(&p, block->reason);
    pg_put_string(&p, block->created_by);
    pg_put_number(&p, block->created_ns);
    pg_put_number(&p, block->is_order);
    pg_put_string(&p, block->session);
    return postgres_write_one(postgres_of(store),
                              "INSERT INTO block (" BLOCK_COLUMNS ")"
                              " VALUES ($1, $2, $3, $4, $5, $6, $7, 0, '', $8, $9)",
                              &p, false, STORE_NEWS_BLOCKS);
}

static bool block_read(const PGresult *result, int row, struct arena *arena, void *out_item)
{
    struct store_block *block = out_item;
    bool failed = false;
    block->id = pg_copy_string(result, row, 0, arena, &failed);
    block->identity = pg_copy_string(result, row, 1, arena, &failed);
    block->resource = pg_copy_string(result, row, 2, arena, &failed);
    block->everything = pg_number(result, row, 3) != 0;
    block->reason = pg_copy_string(result, row, 4, arena, &failed);
    block->created_by = pg_copy_string(result, row, 5, arena, &failed);
    block->created_ns = pg_number(result, row, 6);
    block->lifted_ns = pg_number(result, row, 7);
    block->lifted_by = pg_copy_string(result, row, 8, arena, &failed);
    block->is_order = pg_number(result, row, 9) != 0;
    block->session = pg_copy_string(result, row, 10, arena, &failed);
    return !failed;
}

static enum err block_lift(struct store *store, const struct store_block_what *what,
                           const char *lifted_by, int64_t now_ns, struct arena *arena,
                           struct store_block **out_items, size_t *out_count)
{
    struct postgres_store *s = postgres_of(store);
    struct pg_parameters p = {.count = 0};
    struct pg *db = NULL;
    void *items = NULL;
    size_t count = 0;
    pg_put_string(&p, what->id);
    pg_put_string(&p, what->identity);
    pg_put_string(&p, what->resource);
    pg_put_number(&p, what->everything);
    pg_put_number(&p, now_ns);
    pg_put_string(&p, lifted_by);
    enum err err = postgres_begin(s, &db);
    if (err != OK) {
        return err;
    }
    err = pg_read_all(db,
                      "UPDATE block SET lifted_ns = $5, lifted_by = $6 WHERE lifted_ns = 0"
                      " AND CASE WHEN $1 <> '' THEN id = $1"
                      " ELSE identity = $2 AND resource = $3 AND everything = $4"
                      " AND is_order = 0 END"
                      " RETURNING " BLOCK_COLUMNS,
                      &p, sizeof(struct store_block), block_read, arena, &items, &count);
    err = postgres_end_news(s, db, err, STORE_NEWS_BLOCKS);
    if (err == OK) {
        *out_items = items;
        *out_count = count;
    }
    return err;
}

static enum err block_list(struct store *store, struct arena *arena, struct store_block **out_items,
                           size_t *out_count)
{
    void *items = NULL;
    enum err err = postgres_read_all(
        postgres_of(store),
        "SELECT " BLOCK_COLUMNS " FROM block WHERE lifted_ns = 0 ORDER BY created_ns, id", NULL,
        sizeof(struct store_block), block_read, arena, &items, out_count);
    if (err == OK) {
        *out_items = items;
    }
    return err;
}

/* ---- links -------------------------------------------------------------------------------------
 */

#define LINK_COLUMNS "provider, account, issuer, subject, name, groups, created_ns, expires_ns"

static enum err link_code_add(struct store *store, const uint8_t hash[STORE_HASH_SIZE],
                              const char *provider, const char *account, int64_t now_ns,
                              int64_t expires_ns)
{
    struct postgres_store *s = postgres_of(store);
    struct pg_parameters drop = {.count = 0}, add = {.count = 0};
    struct pg *db = NULL;
    pg_put_number(&drop, now_ns);
    pg_put_string(&drop, provider);
    pg_put_string(&drop, account);
    pg_put_bytes(&add, bytes_of(hash, STORE_HASH_SIZE));
    pg_put_string(&add, provider);
    pg_put_string(&add, account);
    pg_put_number(&add, expires_ns);
    enum err err = postgres_begin(s, &db);
    if (err != OK) {
        return err;
    }
    /* Of one account the newest code counts, and what has ended goes. */
    err = pg_run(db,
                 "DELETE FROM link_code WHERE expires_ns <= $1"
                 " OR (provider = $2 AND account = $3 AND used_ns = 0)",
                 &drop);
    if (err == OK) {
        err = pg_run(db, "INSERT INTO link_code VALUES ($1, $2, $3, $4, 0)", &add);
    }
    return postgres_end(s, db, err);
}

struct link_code {
    const char *provider, *account;
    int64_t expires_ns, used_ns;
};

static bool link_code_read(const PGresult *result, int row, struct arena *arena, void *out_item)
{
    struct link_code *code = out_item;
    bool failed = false;
    code->provider = pg_copy_string(result, row, 0, arena, &failed);
    code->account = pg_copy_string(result, row, 1, arena, &failed);
    code->expires_ns = pg_number(result, row, 2);
    code->used_ns = pg_number(result, row, 3);
    return !failed;
}

static enum err code_take(struct pg *db, const uint8_t hash[STORE_HASH_SIZE], int64_t now_ns,
                          struct arena *arena, struct store_link *link)
{
    struct pg_parameters p = {.count = 0};
    struct link_code code;
    pg_put_bytes(&p, bytes_of(hash, STORE_HASH_SIZE));
    enum err err = pg_read_one(db,
                               "SELECT provider, account, expires_ns, used_ns FROM link_code"
                               " WHERE hash = $1 FOR UPDATE",
                               &p, sizeof(code), link_code_read, arena, &code);
    if (err == OK && code.used_ns != 0) {
        err = ERR_EXISTS;
    }
    if (err == OK && code.expires_ns <= now_ns) {
        err = ERR_TIMEOUT;
    }
    if (err != OK) {
        return err;
    }
    link->provider = code.provider;
    link->account = code.account;
    pg_put_number(&p, now_ns);
    return pg_run_one(db, "UPDATE link_code SET used_ns = $2 WHERE hash = $1", &p);
}

static enum err link_put(struct pg *db, const struct store_link *link)
{
    struct pg_parameters p = {.count = 0};
    pg_put_string(&p, link->provider);
    pg_put_string(&p, link->account);
    pg_put_string(&p, link->issuer);
    pg_put_string(&p, link->subject);
    pg_put_string(&p, link->name);
    pg_put_string(&p, link->groups);
    pg_put_number(&p, link->created_ns);
    pg_put_number(&p, link->expires_ns);
    return pg_run(db,
                  "INSERT INTO chat_link (" LINK_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
                  " ON CONFLICT (provider, account) DO UPDATE SET issuer = $3, subject = $4,"
                  " name = $5, groups = $6, created_ns = $7, expires_ns = $8",
                  &p);
}

static enum err link_confirm(struct store *store, const uint8_t hash[STORE_HASH_SIZE],
                             const struct store_link *link, struct arena *arena,
                             struct store_link *out)
{
    struct postgres_store *s = postgres_of(store);
    struct store_link linked = *link;
    struct pg *db = NULL;
    enum err err = postgres_begin(s, &db);
    if (err != OK) {
        return err;
    }
    err = code_take(db, hash, link->created_ns, arena, &linked);
    if (err == OK) {
        err = link_put(db, &linked);
    }
    err = postgres_end(s, db, err);
    if (err == OK) {
        *out = linked;
    }
    return err;
}

static bool link_read(const PGresult *result, int row, struct arena *arena, void *out_item)
{
    struct store_link *link = out_item;
    bool failed = false;
    link->provider = pg_copy_string(result, row, 0, arena, &failed);
    link->account = pg_copy_string(result, row, 1, arena, &failed);
    link->issuer = pg_copy_string(result, row, 2, arena, &failed);
    link->subject = pg_copy_string(result, row, 3, arena, &failed);
    link->name = pg_copy_string(result, row, 4, arena, &failed);
    link->groups = pg_copy_string(result, row, 5, arena, &failed);
    link->created_ns = pg_number(result, row, 6);
    link->expires_ns = pg_number(result, row, 7);
    return !failed;
}

static enum err link_get(struct store *store, const char *provider, const char *account,
                         struct arena *arena, struct store_link *out)
{
    struct pg_parameters p = {.count = 0};
    pg_put_string(&p, provider);
    pg_put_string(&p, account);
    return postgres_read_one(postgres_of(store),
                             "SELECT " LINK_COLUMNS
                             " FROM chat_link WHERE provider = $1 AND account = $2",
                             &p, sizeof(*out), link_read, arena, out);
}

static enum err link_remove(struct store *store, const char *provider, const char *account)
{
    struct pg_parameters p = {.count = 0};
    pg_put_string(&p, provider);
    pg_put_string(&p, account);
    return postgres_write_one(postgres_of(store),
                              "DELETE FROM chat_link WHERE provider = $1 AND account = $2", &p,
                              true, 0);
}

void postgres_blocks_fill(struct store_backend *b)
{
    b->block_add = block_add;
    b->block_lift = block_lift;
    b->block_list = block_list;
    b->link_code_add = link_code_add;
    b->link_confirm = link_confirm;
    b->link_get = link_get;
    b->link_remove = link_remove;
}

/* Standing approvals: what finds them, and their revocation. */
#include "controlplane/store/postgres/pg_store.h"

#define STANDING_COLUMNS                                                                           \
    "s.id, s.key, s.approval, s.created_ns, s.until_ns, s.uses_max, s.uses, s.revoked_ns,"         \
    " s.revoked_by, s.revoked_because"
enum { COLUMN_HELD = 10 };

#define STANDS_AT(moment)                                                                          \
    " s.until_ns > " moment " AND s.revoked_ns = 0 AND (s.uses_max = 0 OR s.uses < s.uses_max)"

static bool standing_read(const PGresult *result, int row, struct arena *arena, void *out_item)
{
    struct store_standing *standing = out_item;
    bool failed = false;
    standing->id = pg_copy_string(result, row, 0, arena, &failed);
    failed = !pg_hash(result, row, 1, standing->key) || failed;
    standing->approval = pg_copy_string(result, row, 2, arena, &failed);
    standing->created_ns = pg_number(result, row, 3);
    standing->until_ns = pg_number(result, row, 4);
    standing->uses_max = (uint64_t)pg_number(result, row, 5);
    standing->uses = (uint64_t)pg_number(result, row, 6);
    standing->revoked_ns = pg_number(result, row, 7);
    standing->revoked_by = pg_copy_string(result, row, 8, arena, &failed);
    standing->revoked_because = pg_copy_string(result, row, 9, arena, &failed);
    return !failed;
}

static enum err standing_find(struct store *store, const uint8_t key[STORE_HASH_SIZE],
                              int64_t now_ns, struct arena *arena, struct store_standing *out)
{
    struct pg_parameters p = {.count = 0};
    pg_put_bytes(&p, bytes_of(key, STORE_HASH_SIZE));
    pg_put_number(&p, now_ns);
    return postgres_read_one(
        postgres_of(store),
        "SELECT " STANDING_COLUMNS " FROM standing_approval s"
        " WHERE s.key = $1 AND" STANDS_AT("$2") " ORDER BY s.until_ns DESC LIMIT 1",
        &p, sizeof(*out), standing_read, arena, out);
}

/* ---- with what they came from ---------------------------------------------------------------- */

static bool item_read(const PGresult *result, int row, struct arena *arena, void *out_item)
{
    struct store_standing_item *item = out_item;
    bool failed = false;
    item->held = pg_copy_bytes(result, row, COLUMN_HELD, arena, &failed);
    return standing_read(result, row, arena, &item->standing) && !failed;
}

static enum err items_read(struct store *store, const char *sql, const struct pg_parameters *p,
                           struct arena *arena, struct store_standing_item **out_items,
                           size_t *out_count)
{
    void *items = NULL;
    enum err err = postgres_read_all(postgres_of(store), sql, p, sizeof(struct store_standing_item),
                                     item_read, arena, &items, out_count);
    if (err == OK) {
        *out_items = items;
    }
    return err;
}

static enum err standing_get(struct store *store, const char *id, struct arena *arena,
                             struct store_standing_item *out)
{
    struct pg_parameters p = {.count = 0};
    struct store_standing_item *items = NULL;
    size_t count = 0;
    pg_put_string(&p, id);
    /* Every id that begins so: '~' is behind all that a UUID has. */
    enum err err = items_read(store,
                              "SELECT " STANDING_COLUMNS ", a.held FROM standing_approval s"
                              " JOIN approval a ON a.id = s.approval"
                              " WHERE s.id >= $1 AND s.id < $1 || '~'::bytea ORDER BY s.id LIMIT 2",
                              &p, arena, &items, &count);
    if (err != OK || count == 0) {
        return err == OK ? ERR_NOT_FOUND : err;
    }
    if (count > 1 && strcmp(items[0].standing.id, id) != 0) {
        return ERR_EXISTS;
    }
    *out = items[0];
    return OK;
}

static enum err standing_list(struct store *store, const struct store_standing_filter *filter,
                              struct arena *arena, struct store_standing_item **out_items,
                              size_t *out_count)
{
/* Ends behind the row with which it has so many bytes, decided by the server: no more is fetched.
 */
#define LIST_WHERE(condition)                                                                      \
    "WITH found AS MATERIALIZED (SELECT s.id, octet_length(a.held) AS size"                        \
    " FROM standing_approval s JOIN approval a ON a.id = s.approval WHERE" condition               \
    " AND ($2 = '' OR a.resource = $2) AND ($3 = '' OR a.identity = $3)"                           \
    " AND ($4 = '' OR s.id < $4) ORDER BY s.id DESC LIMIT $5),"                                    \
    " page AS (SELECT id, sum(size) OVER (ORDER BY id DESC) - size AS before FROM found)"          \
    " SELECT " STANDING_COLUMNS ", a.held FROM page JOIN standing_approval s ON s.id = page.id"    \
    " JOIN approval a ON a.id = s.approval WHERE page.before < $6 ORDER BY s.id DESC"
    struct pg_parameters p = {.count = 0};
    pg_put_number(&p, filter->now_ns);
    pg_put_string(&p, filter->resource);
    pg_put_string(&p, filter->identity);
    pg_put_string(&p, filter->before);
    pg_put_number(&p, (int64_t)filter->limit);
    pg_put_number(&p, filter->max_bytes > INT64_MAX ? INT64_MAX : (int64_t)filter->max_bytes);
    return filter->include_ended
               ? items_read(store, LIST_WHERE(" $1 = $1"), &p, arena, out_items, out_count)
               : items_read(store, LIST_WHERE(STANDS_AT("$1")), &p, arena, out_items, out_count);
}

/* ---- the revocation -------------------------------------------------------------------------- */

static enum err standing_revoke(struct store *store, const struct store_standing *standing,
                                const struct store_audit_write *audit)
{
    struct postgres_store *s = postgres_of(store);
    struct pg_parameters p = {.count = 0};
    struct pg *db = NULL;
    enum err err = postgres_append_prepare(s, audit);
    if (err == OK) {
        err = postgres_begin(s, &db);
    }
    if (err != OK) {
        return err;
    }
    pg_put_string(&p, standing->id);
    pg_put_number(&p, standing->revoked_ns);
    pg_put_string(&p, standing->revoked_by);
    pg_put_string(&p, standing->revoked_because);
    /* Whoever is about to use it waits for this row, and looks again at what it says then. */
    err = pg_run_one(db,
                     "UPDATE standing_approval AS s SET revoked_ns = $2, revoked_by = $3,"
                     " revoked_because = $4 WHERE s.id = $1 AND" STANDS_AT("$2"),
                     &p);
    if (err == OK && audit != NULL) {
        err = postgres_append_in(s, db, audit);
    }
    return postgres_end(s, db, err);
}

void postgres_standing_fill(struct store_backend *b)
{
    b->standing_find = standing_find;
    b->standing_get = standing_get;
    b->standing_list = standing_list;
    b->standing_revoke = standing_revoke;
}

/* Legal holds, and the resources that a retention may be about. */
#include "controlplane/store/postgres/pg_store.h"

#define HOLD_COLUMNS                                                                               \
    "id, resource, identity, session, reason, created_by, created_ns, lifted_ns, lifted_by"

static enum err legal_hold_add(struct store *store, const struct store_legal_hold *hold)
{
    struct pg_parameters p = {.count = 0};
    pg_put_string(&p, hold->id);
    pg_put_string(&p, hold->resource);
    pg_put_string(&p, hold->identity);
    pg_put_string(&p, hold->session);
    pg_put_string(&p, hold->reason);
    pg_put_string(&p, hold->created_by);
    pg_put_number(&p, hold->created_ns);
    return postgres_write_one(postgres_of(store),
                              "INSERT INTO legal_hold (" HOLD_COLUMNS ")"
                              " VALUES ($1, $2, $3, $4, $5, $6, $7, 0, '')",
                              &p, false, 0);
}

static enum err legal_hold_lift(struct store *store, const char *id, const char *lifted_by,
                                int64_t now_ns)
{
    struct pg_parameters p = {.count = 0};
    pg_put_string(&p, id);
    pg_put_number(&p, now_ns);
    pg_put_string(&p, lifted_by);
    return postgres_write_one(postgres_of(store),
                              "UPDATE legal_hold SET lifted_ns = $2, lifted_by = $3"
                              " WHERE id = $1 AND lifted_ns = 0",
                              &p, true, 0);
}

static bool hold_read(const PGresult *result, int row, struct arena *arena, void *out_item)
{
    struct store_legal_hold *hold = out_item;
    bool failed = false;
    hold->id = pg_copy_string(result, row, 0, arena, &failed);
    hold->resource = pg_copy_string(result, row, 1, arena, &failed);
    hold->identity = pg_copy_string(result, row, 2, arena, &failed);
    hold->session = pg_copy_string(result, row, 3, arena, &failed);
    hold->reason = pg_copy_string(result, row, 4, arena, &failed);
    hold->created_by = pg_copy_string(result, row, 5, arena, &failed);
    hold->created_ns = pg_number(result, row, 6);
    hold->lifted_ns = pg_number(result, row, 7);
    hold->lifted_by = pg_copy_string(result, row, 8, arena, &failed);
    return !failed;
}

static enum err legal_hold_list(struct store *store, bool include_lifted, struct arena *arena,
                                struct store_legal_hold **out_items, size_t *out_count)
{
    struct pg_parameters p = {.count = 0};
    void *items = NULL;
    pg_put_number(&p, include_lifted);
    enum err err =
        postgres_read_all(postgres_of(store),
                          "SELECT " HOLD_COLUMNS " FROM legal_hold"
                          " WHERE $1 <> 0 OR lifted_ns = 0 ORDER BY created_ns, id",
                          &p, sizeof(struct store_legal_hold), hold_read, arena, &items, out_count);
    if (err == OK) {
        *out_items = items;
    }
    return err;
}

static bool name_read(const PGresult *result, int row, struct arena *arena, void *out_item)
{
    const char **name = out_item;
    bool failed = false;
    *name = pg_copy_string(result, row, 0, arena, &failed);
    return !failed;
}

static enum err audit_resources(struct store *store, struct arena *arena, const char ***out_names,
                                size_t *out_count)
{
    void *items = NULL;
    /* Each one only once, by jumping in the index from one to the next. */
    enum err err = postgres_read_all(
        postgres_of(store),
        "WITH RECURSIVE r (id) AS ("
        " SELECT (SELECT min(resource) FROM audit_session"
        "  WHERE resource IS NOT NULL AND state <> 4)"
        " UNION ALL"
        " SELECT (SELECT min(resource) FROM audit_session WHERE resource > r.id AND state <> 4)"
        " FROM r WHERE r.id IS NOT NULL)"
        " SELECT n.name FROM r JOIN audit_name n ON n.id = r.id ORDER BY n.name",
        NULL, sizeof(const char *), name_read, arena, &items, out_count);
    if (err == OK) {
        *out_names = items;
    }
    return err;
}

void postgres_holds_fill(struct store_backend *b)
{
    b->legal_hold_add = legal_hold_add;
    b->legal_hold_lift = legal_hold_lift;
    b->legal_hold_list = legal_hold_list;
    b->audit_resources = audit_resources;
}

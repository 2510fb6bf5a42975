/* Held operations: what finds them. */
#include "controlplane/store/postgres/pg_store.h"

#define APPROVAL_COLUMNS                                                                           \
    "a.id, a.state, a.version, a.sidecar, a.session, a.issuer, a.identity, a.resource, a.digest,"  \
    " a.requested_ns, a.due_ns, a.ended_ns, a.used_by, a.standing_votes, a.standing_until_ns,"     \
    " a.standing_uses, a.held"
enum { COLUMN_HELD_SIZE = 16, COLUMN_CURSOR = 17 };

static bool approval_read(const PGresult *result, int row, struct arena *arena, void *out_item)
{
    struct store_approval *a = out_item;
    bool failed = false;
    a->id = pg_copy_string(result, row, 0, arena, &failed);
    a->state = (enum store_approval_state)pg_number(result, row, 1);
    a->version = (uint64_t)pg_number(result, row, 2);
    a->sidecar = pg_copy_string(result, row, 3, arena, &failed);
    a->session = pg_copy_string(result, row, 4, arena, &failed);
    a->issuer = pg_copy_string(result, row, 5, arena, &failed);
    a->identity = pg_copy_string(result, row, 6, arena, &failed);
    a->resource = pg_copy_string(result, row, 7, arena, &failed);
    failed = !pg_hash(result, row, 8, a->digest) || failed;
    a->requested_ns = pg_number(result, row, 9);
    a->due_ns = pg_number(result, row, 10);
    a->ended_ns = pg_number(result, row, 11);
    a->used_by = pg_copy_string(result, row, 12, arena, &failed);
    a->standing_votes = (uint64_t)pg_number(result, row, 13);
    a->standing_until_ns = pg_number(result, row, 14);
    a->standing_uses = (uint64_t)pg_number(result, row, 15);
    a->held = pg_copy_bytes(result, row, COLUMN_HELD_SIZE, arena, &failed);
    a->cursor =
        PQnfields(result) > COLUMN_CURSOR ? (uint64_t)pg_number(result, row, COLUMN_CURSOR) : 0;
    return !failed;
}

static enum err one_read(struct store *store, const char *sql, const struct pg_parameters *p,
                         struct arena *arena, struct store_approval *out)
{
    return postgres_read_one(postgres_of(store), sql, p, sizeof(*out), approval_read, arena, out);
}

static enum err many_read(struct store *store, const char *sql, const struct pg_parameters *p,
                          struct arena *arena, struct store_approval **out_items, size_t *out_count)
{
    void *items = NULL;
    enum err err = postgres_read_all(postgres_of(store), sql, p, sizeof(struct store_approval),
                                     approval_read, arena, &items, out_count);
    if (err == OK) {
        *out_items = items;
    }
    return err;
}

/* A page ends behind the row with which it has `max_bytes`: decided by the server, so that no more
 * is fetched. "found" gives (id, n, size), in the order n; the rest is $1 and $2. */
#define PAGE_WITH(found)                                                                           \
    "WITH found AS MATERIALIZED (" found "),"                                                      \
    " page AS (SELECT id, n, sum(size) OVER (ORDER BY n) - size AS before FROM found)"

static int64_t capped(size_t n)
{
    return n > INT64_MAX ? INT64_MAX : (int64_t)n;
}

static enum err approval_get(struct store *store, const char *id, struct arena *arena,
                             struct store_approval *out)
{
    struct pg_parameters p = {.count = 0};
    struct store_approval *items = NULL;
    size_t count = 0;
    pg_put_string(&p, id);
    /* Every id that begins so: '~' is behind all that a UUID has. */
    enum err err = many_read(store,
                             "SELECT " APPROVAL_COLUMNS " FROM approval a"
                             " WHERE a.id >= $1 AND a.id < $1 || '~'::bytea ORDER BY a.id LIMIT 2",
                             &p, arena, &items, &count);
    if (err != OK || count == 0) {
        return err == OK ? ERR_NOT_FOUND : err;
    }
    if (count > 1 && strcmp(items[0].id, id) != 0) {
        return ERR_EXISTS;
    }
    *out = items[0];
    return OK;
}

static enum err approval_used_by(struct store *store, const char *request, struct arena *arena,
                                 struct store_approval *out)
{
    struct pg_parameters p = {.count = 0};
    pg_put_string(&p, request);
    return one_read(store,
                    "SELECT " APPROVAL_COLUMNS " FROM approval a"
                    " WHERE a.used_by = $1 AND a.used_by <> ''",
                    &p, arena, out);
}

static enum err approval_same(struct store *store, const uint8_t digest[STORE_HASH_SIZE],
                              const char *issuer, const char *identity, const char *resource,
                              struct arena *arena, struct store_approval *out)
{
    struct pg_parameters p = {.count = 0};
    pg_put_bytes(&p, bytes_of(digest, STORE_HASH_SIZE));
    pg_put_string(&p, issuer);
    pg_put_string(&p, identity);
    pg_put_string(&p, resource);
    return one_read(store,
                    "SELECT " APPROVAL_COLUMNS " FROM approval a"
                    " WHERE a.digest = $1 AND a.issuer = $2 AND a.identity = $3"
                    " AND a.resource = $4 AND a.state IN (1, 2, 3)"
                    " ORDER BY a.requested_ns DESC, a.id DESC LIMIT 1",
                    &p, arena, out);
}

static bool blob_read(const PGresult *result, int row, struct arena *arena, void *out_item)
{
    bool failed = false;
    *(struct bytes *)out_item = pg_copy_bytes(result, row, 0, arena, &failed);
    return !failed;
}

static enum err approval_answer(struct store *store, const char *approval,
                                const struct store_decision *decision, struct arena *arena,
                                struct bytes *out)
{
    struct pg_parameters p = {.count = 0};
    pg_put_string(&p, approval);
    pg_put_string(&p, decision->issuer);
    pg_put_string(&p, decision->subject);
    pg_put_string(&p, decision->key);
    return postgres_read_one(postgres_of(store),
                             "SELECT answer FROM approval_decision WHERE approval = $1"
                             " AND issuer = $2 AND subject = $3 AND key = $4 AND key <> ''",
                             &p, sizeof(*out), blob_read, arena, out);
}

static enum err approval_list(struct store *store, const struct store_approval_filter *filter,
                              struct arena *arena, struct store_approval **out_items,
                              size_t *out_count)
{
#define LIST(condition)                                                                            \
    PAGE_WITH("SELECT a.id, row_number() OVER (ORDER BY a.requested_ns DESC, a.id DESC) AS n,"     \
              " octet_length(a.held) AS size FROM approval a WHERE " condition                     \
              " ($3 = '' OR a.resource = $3) AND ($4 = '' OR a.identity = $4)"                     \
              " AND ($5 = '' OR a.sidecar = $5) ORDER BY n LIMIT $1")                              \
    " SELECT " APPROVAL_COLUMNS " FROM page JOIN approval a ON a.id = page.id"                     \
    " WHERE page.before < $2 ORDER BY page.n"
    struct pg_parameters p = {.count = 0};
    pg_put_number(&p, capped(filter->limit));
    pg_put_number(&p, capped(filter->max_bytes));
    pg_put_string(&p, filter->resource);
    pg_put_string(&p, filter->identity);
    pg_put_string(&p, filter->sidecar);
    return filter->include_ended
               ? many_read(store, LIST(""), &p, arena, out_items, out_count)
               : many_read(store, LIST("a.ended_ns = 0 AND"), &p, arena, out_items, out_count);
#undef LIST
}

static enum err approval_list_due(struct store *store, int64_t now_ns, size_t max,
                                  struct arena *arena, struct store_approval **out_items,
                                  size_t *out_count)
{
    struct pg_parameters p = {.count = 0};
    pg_put_number(&p, now_ns);
    pg_put_number(&p, capped(max));
    return many_read(store,
                     "SELECT " APPROVAL_COLUMNS " FROM approval a"
                     " WHERE a.due_ns > 0 AND a.due_ns <= $1 ORDER BY a.due_ns LIMIT $2",
                     &p, arena, out_items, out_count);
}

/* The one number that a query without parameters gives. */
static enum err number_ask(struct store *store, const char *sql, int64_t *out)
{
    struct postgres_store *s = postgres_of(store);
    struct pg *db = NULL;
    enum err err = postgres_begin_read(s, &db);
    if (err == OK) {
        err = pg_ask_number(db, sql, NULL, out);
        postgres_end_read(s, db);
    }
    return err;
}

static enum err approval_next_due(struct store *store, int64_t *out_ns)
{
    static const char sql[] =
        "SELECT due_ns FROM approval WHERE due_ns > 0 ORDER BY due_ns LIMIT 1";
    return number_ask(store, sql, out_ns);
}

static enum err approval_cursor(struct store *store, uint64_t *out)
{
    static const char sql[] = "SELECT value FROM counter WHERE id = 2";
    int64_t cursor = 0;
    enum err err = number_ask(store, sql, &cursor);
    if (err == OK) {
        *out = (uint64_t)cursor;
    }
    return err;
}

static enum err approval_events(struct store *store, uint64_t after, size_t max, size_t max_bytes,
                                struct arena *arena, struct store_approval **out_items,
                                size_t *out_count)
{
    struct pg_parameters p = {.count = 0};
    pg_put_number(&p, capped(max));
    pg_put_number(&p, capped(max_bytes));
    pg_put_number(&p, (int64_t)after);
    return many_read(
        store,
        PAGE_WITH("SELECT e.approval AS id, e.cursor AS n, octet_length(a.held) AS size"
                  " FROM approval_event e JOIN approval a ON a.id = e.approval"
                  " WHERE e.cursor > $3 ORDER BY e.cursor LIMIT $1") " SELECT " APPROVAL_COLUMNS
                                                                     ", page.n FROM page JOIN "
                                                                     "approval a ON a.id = page.id"
                                                                     " WHERE page.before < $2 "
                                                                     "ORDER BY page.n",
        &p, arena, out_items, out_count);
}

void postgres_approvals_find_fill(struct store_backend *b)
{
    b->approval_get = approval_get;
    b->approval_used_by = approval_used_by;
    b->approval_same = approval_same;
    b->approval_answer = approval_answer;
    b->approval_list = approval_list;
    b->approval_list_due = approval_list_due;
    b->approval_next_due = approval_next_due;
    b->approval_cursor = approval_cursor;
    b->approval_events = approval_events;
}

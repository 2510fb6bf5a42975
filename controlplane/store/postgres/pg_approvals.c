/* Held operations: what changes them.
 *
 * Every change begins with the counter of events locked: changes are one after the other, their
 * events are seen in their order, and what is counted does not move meanwhile. */
#include "controlplane/store/postgres/pg_store.h"

static void approval_put(struct pg_parameters *p, const struct store_approval *a)
{
    pg_put_string(p, a->id);
    pg_put_number(p, (int64_t)a->state);
    pg_put_number(p, (int64_t)a->version);
    pg_put_string(p, a->sidecar);
    pg_put_string(p, a->session);
    pg_put_string(p, a->issuer);
    pg_put_string(p, a->identity);
    pg_put_string(p, a->resource);
    pg_put_bytes(p, bytes_of(a->digest, STORE_HASH_SIZE));
    pg_put_number(p, a->requested_ns);
    pg_put_number(p, a->due_ns);
    pg_put_number(p, a->ended_ns);
    pg_put_string(p, a->used_by);
    pg_put_number(p, (int64_t)a->standing_votes);
    pg_put_number(p, a->standing_until_ns);
    pg_put_number(p, (int64_t)a->standing_uses);
    pg_put_bytes(p, a->held);
}

/* ERR_CLOSED: its sidecar was revoked, which locks the counter of events, too. */
static enum err approval_insert(struct pg *db, const struct store_approval *a)
{
    struct pg_parameters p = {.count = 0};
    approval_put(&p, a);
    enum err err = pg_run_one(db,
                              "INSERT INTO approval (id, state, version, sidecar, session,"
                              " issuer, identity, resource, digest, requested_ns, due_ns,"
                              " ended_ns, used_by, standing_votes, standing_until_ns,"
                              " standing_uses, held) SELECT $1, $2, $3, $4, $5, $6, $7, $8,"
                              " $9, $10, $11, $12, $13, $14, $15, $16, $17 WHERE NOT EXISTS"
                              " (SELECT FROM sidecar WHERE id = $4 AND revoked_ns <> 0)",
                              &p);
    return err == ERR_NOT_FOUND ? ERR_CLOSED : err;
}

static enum err approval_update(struct pg *db, const struct store_approval *a)
{
    struct pg_parameters p = {.count = 0};
    approval_put(&p, a);
    enum err err = pg_run_one(db,
                              "UPDATE approval SET state = $2, version = $3, sidecar = $4,"
                              " session = $5, issuer = $6, identity = $7, resource = $8,"
                              " digest = $9, requested_ns = $10, due_ns = $11, ended_ns = $12,"
                              " used_by = $13, standing_votes = $14, standing_until_ns = $15,"
                              " standing_uses = $16, held = $17"
                              " WHERE id = $1 AND version = $3 - 1",
                              &p);
    return err == ERR_NOT_FOUND ? ERR_EXISTS : err;
}

static enum err event_add(struct pg *db, const char *approval, uint64_t *out_cursor)
{
    struct pg_parameters p = {.count = 0};
    int64_t cursor = 0;
    pg_put_string(&p, approval);
    enum err err = pg_ask_number(db,
                                 "WITH c AS (UPDATE counter SET value = value + 1 WHERE id = 2"
                                 " RETURNING value)"
                                 " INSERT INTO approval_event SELECT value, $1 FROM c"
                                 " RETURNING cursor",
                                 &p, &cursor);
    if (err == OK) {
        *out_cursor = (uint64_t)cursor;
    }
    return err == ERR_NOT_FOUND ? ERR_IO : err;
}

/* After the new one was added, which counts. */
static enum err limits_check(struct pg *db, const char *session,
                             const struct store_approval_limits *limits)
{
    struct pg_parameters p = {.count = 0};
    int64_t waiting = 0, of_session = 0;
    pg_put_string(&p, session);
    enum err err =
        pg_ask_number(db, "SELECT count(*) FROM approval WHERE state = 1", NULL, &waiting);
    if (err == OK) {
        err = pg_ask_number(db, "SELECT count(*) FROM approval WHERE state = 1 AND session = $1",
                            &p, &of_session);
    }
    if (err == OK &&
        ((uint64_t)waiting > limits->waiting_max || (uint64_t)of_session > limits->session_max)) {
        err = ERR_LIMIT;
    }
    return err;
}

static enum err standing_use(struct pg *db, const char *id, int64_t now_ns)
{
    struct pg_parameters p = {.count = 0};
    pg_put_string(&p, id);
    pg_put_number(&p, now_ns);
    enum err err = pg_run_one(db,
                              "UPDATE standing_approval SET uses = uses + 1 WHERE id = $1"
                              " AND until_ns > $2 AND revoked_ns = 0"
                              " AND (uses_max = 0 OR uses < uses_max)",
                              &p);
    return err == ERR_NOT_FOUND ? ERR_DENIED : err;
}

static enum err standing_add(struct pg *db, const struct store_standing *standing)
{
    struct pg_parameters p = {.count = 0};
    pg_put_string(&p, standing->id);
    pg_put_bytes(&p, bytes_of(standing->key, STORE_HASH_SIZE));
    pg_put_string(&p, standing->approval);
    pg_put_number(&p, standing->created_ns);
    pg_put_number(&p, standing->until_ns);
    pg_put_number(&p, (int64_t)standing->uses_max);
    return pg_run(db,
                  "INSERT INTO standing_approval (id, key, approval, created_ns, until_ns,"
                  " uses_max, uses) VALUES ($1, $2, $3, $4, $5, $6, 0)",
                  &p);
}

static enum err decision_add(struct pg *db, const struct store_approval *a,
                             const struct store_decision *decision)
{
    struct pg_parameters p = {.count = 0};
    pg_put_string(&p, a->id);
    pg_put_string(&p, decision->issuer);
    pg_put_string(&p, decision->subject);
    pg_put_string(&p, decision->key);
    pg_put_number(&p, decision->time_ns);
    pg_put_bytes(&p, a->held);
    return pg_run(db,
                  "INSERT INTO approval_decision (approval, issuer, subject, key, time_ns, answer)"
                  " VALUES ($1, $2, $3, $4, $5, $6)",
                  &p);
}

static enum err change_begin(struct postgres_store *s, const struct store_audit_write *audit,
                             struct pg **out)
{
    struct pg *db = NULL;
    enum err err = postgres_append_prepare(s, audit);
    if (err == OK) {
        err = postgres_begin(s, &db);
    }
    if (err != OK) {
        return err;
    }
    err = pg_run_one(db, "SELECT FROM counter WHERE id = 2 FOR UPDATE", NULL);
    if (err != OK) {
        return postgres_end(s, db, err);
    }
    *out = db;
    return OK;
}

static enum err approval_add(struct store *store, const struct store_approval *approval,
                             const struct store_approval_limits *limits, const char *standing,
                             const struct store_audit_write *audit, uint64_t *out_cursor)
{
    struct postgres_store *s = postgres_of(store);
    struct pg *db = NULL;
    uint64_t cursor = 0;
    enum err err = change_begin(s, audit, &db);
    if (err != OK) {
        return err;
    }
    err = approval_insert(db, approval);
    if (err == OK && approval->state == STORE_APPROVAL_WAITING) {
        err = limits_check(db, approval->session, limits);
    }
    if (err == OK && standing != NULL) {
        err = standing_use(db, standing, approval->requested_ns);
    }
    if (err == OK && audit != NULL) {
        err = postgres_append_in(s, db, audit);
    }
    if (err == OK) {
        err = event_add(db, approval->id, &cursor);
    }
    err = postgres_end_news(s, db, err, STORE_NEWS_APPROVALS);
    if (err == OK) {
        *out_cursor = cursor;
    }
    return err;
}

static enum err approval_change(struct store *store, const struct store_approval_change *change,
                                uint64_t *out_cursor)
{
    struct postgres_store *s = postgres_of(store);
    struct pg *db = NULL;
    uint64_t cursor = 0;
    enum err err = change_begin(s, change->audit, &db);
    if (err != OK) {
        return err;
    }
    err = approval_update(db, change->approval);
    if (err == OK && change->decision != NULL) {
        err = decision_add(db, change->approval, change->decision);
    }
    if (err == OK && change->standing != NULL) {
        err = standing_add(db, change->standing);
    }
    if (err == OK && change->audit != NULL) {
        err = postgres_append_in(s, db, change->audit);
    }
    if (err == OK) {
        err = event_add(db, change->approval->id, &cursor);
    }
    err = postgres_end_news(s, db, err, STORE_NEWS_APPROVALS);
    if (err == OK) {
        *out_cursor = cursor;
    }
    return err;
}

void postgres_approvals_fill(struct store_backend *b)
{
    b->approval_add = approval_add;
    b->approval_change = approval_change;
}

/* Retention: the content of sessions goes, their place in the log stays.
 *
 * A session is erased in steps that are short enough for others to write between them: first what
 * the index has of its records and the records themselves, last its key. A step that is not done
 * any more (a crash) is done by the next run: the session counts as erased only with its key gone.
 */
#include <stdlib.h>
#include <time.h>

#include "controlplane/store/postgres/pg_store.h"
#include "controlplane/store/redact.h"

enum {
    STEP_ARENA_CAP = 256 << 20,
    HELD_CAP = 2 * STORE_HELD_SIZE_MAX,
    WAIT_STEP_MS = 50,
};

/* ---- which -------------------------------------------------------------------------------------
 */

/* Of resource $1, that ended before $2, that no hold is about, and with nothing that still waits
 * for a person; with an id as $3 (or 0) only that one. */
#define ERASABLE                                                                                   \
    "SELECT s.id, s.session, s.closed_ns FROM audit_session s"                                     \
    " WHERE s.resource = (SELECT id FROM audit_name WHERE sha256(name) = sha256($1))"              \
    " AND s.closed_ns <> 0 AND s.closed_ns < $2 AND s.erased_ns = 0 AND s.state <> 4"              \
    " AND ($3 = 0 OR s.id = $3)"                                                                   \
    " AND NOT EXISTS (SELECT FROM legal_hold h WHERE h.lifted_ns = 0 AND ("                        \
    "  (h.resource <> '' AND h.resource = $1)"                                                     \
    "  OR (h.session <> '' AND h.session = s.session)"                                             \
    "  OR (h.identity <> '' AND (h.identity = (SELECT name FROM audit_name WHERE id = s.identity)" \
    "   OR position(', '::bytea || h.identity || ', '::bytea"                                      \
    "    IN ', '::bytea || s.on_behalf_of || ', '::bytea) > 0))))"                                 \
    " AND NOT EXISTS (SELECT FROM approval a"                                                      \
    "  WHERE a.session <> '' AND a.session = s.session AND a.ended_ns = 0)"

struct chosen {
    int64_t id;
    const char *session; /* in the arena */
    int64_t closed_ns;
};

static bool chosen_read(const PGresult *result, int row, struct arena *arena, void *out_item)
{
    struct chosen *c = out_item;
    bool failed = false;
    c->id = pg_number(result, row, 0);
    c->session = pg_copy_string(result, row, 1, arena, &failed);
    c->closed_ns = pg_number(result, row, 2);
    return !failed;
}

static void erasable_put(struct pg_parameters *p, const struct store_erase *what, int64_t id)
{
    pg_put_string(p, what->resource);
    pg_put_number(p, what->closed_before_ns);
    pg_put_number(p, id);
}

static int chosen_compare(const void *a, const void *b)
{
    const struct chosen *x = a, *y = b;
    return x->closed_ns != y->closed_ns ? (x->closed_ns < y->closed_ns ? -1 : 1)
                                        : (x->id > y->id) - (x->id < y->id);
}

/* With `only`, one by one: they are few, and the rest may be many. */
static enum err chosen_list(struct pg *db, const struct store_erase *what, struct arena *arena,
                            struct chosen **out, size_t *out_count)
{
    struct pg_parameters p = {.count = 0};
    void *items = NULL;
    erasable_put(&p, what, 0);
    pg_put_number(&p, (int64_t)what->max);
    if (what->only == NULL) {
        enum err err = pg_read_all(db, ERASABLE " ORDER BY s.closed_ns, s.id LIMIT $4", &p,
                                   sizeof(struct chosen), chosen_read, arena, &items, out_count);
        *out = err == OK ? items : *out;
        return err;
    }
    struct chosen *found = arena_alloc(arena, (what->max + 1) * sizeof(*found));
    size_t count = 0;
    enum err err = found == NULL ? ERR_NO_MEMORY : OK;
    for (size_t i = 0; err == OK && i < what->only_count && count < what->max; i++) {
        struct pg_parameters one = p;
        size_t n = 0;
        pg_put_string(&one, what->only[i]);
        err = pg_read_all(db, ERASABLE " AND s.session = $5 ORDER BY s.id LIMIT $4", &one,
                          sizeof(struct chosen), chosen_read, arena, &items, &n);
        for (size_t k = 0; err == OK && k < n && count < what->max; k++) {
            found[count++] = ((const struct chosen *)items)[k];
        }
    }
    if (err == OK) {
        qsort(found, count, sizeof(*found), chosen_compare);
        *out = found;
        *out_count = count;
    }
    return err;
}

/* ---- held operations ----------------------------------------------------------------------------
 */

struct held {
    struct bytes id, held;
};

static bool held_read(const PGresult *result, int row, struct arena *arena, void *out_item)
{
    struct held *h = out_item;
    bool failed = false;
    h->id = pg_copy_bytes(result, row, 0, arena, &failed);
    h->held = pg_copy_bytes(result, row, 1, arena, &failed);
    return !failed;
}

/* `set_sql` takes what `list_sql` gives as an id, in bytes. */
static enum err held_erase(struct pg *db, const char *session, const char *list_sql,
                           const char *set_sql, struct arena *arena)
{
    struct pg_parameters p = {.count = 0};
    struct buffer kept;
    void *items = NULL;
    size_t count = 0;
    buffer_init(&kept, HELD_CAP);
    pg_put_string(&p, session);
    enum err err =
        pg_read_all(db, list_sql, &p, sizeof(struct held), held_read, arena, &items, &count);
    for (size_t i = 0; err == OK && i < count; i++) {
        const struct held *h = (const struct held *)items + i;
        struct pg_parameters set = {.count = 0};
        err = redact_held(h->held, &kept);
        if (err == OK) {
            pg_put_bytes(&set, h->id);
            pg_put_bytes(&set, buffer_bytes(&kept));
            err = pg_run_one(db, set_sql, &set);
        }
    }
    buffer_finish(&kept);
    return err;
}

static enum err approvals_erase(struct pg *db, const char *session)
{
    struct arena *arena = arena_create(1 << 16, STEP_ARENA_CAP);
    enum err err = arena == NULL ? ERR_NO_MEMORY : OK;
    if (err == OK) {
        err = held_erase(db, session,
                         "SELECT id, held FROM approval WHERE session <> '' AND session = $1",
                         "UPDATE approval SET held = $2 WHERE id = $1", arena);
    }
    if (err == OK) {
        err = held_erase(db, session,
                         "SELECT int8send(d.id), d.answer FROM approval a"
                         " JOIN approval_decision d ON d.approval = a.id"
                         " WHERE a.session <> '' AND a.session = $1",
                         "UPDATE approval_decision SET answer = $2 WHERE int8send(id) = $1", arena);
    }
    arena_destroy(arena);
    return err;
}

/* ---- a step of a session ------------------------------------------------------------------------
 */

enum step { STEP_MORE, STEP_ERASED, STEP_SPARED };

/* Some records of the session: their number. */
static enum err records_erase(struct pg *db, int64_t session, int64_t *out)
{
    struct pg_parameters p = {.count = 0};
    pg_put_number(&p, session);
    return pg_ask_number(
        db,
        "WITH k AS MATERIALIZED (SELECT key, tables FROM audit_record"
        "  WHERE session = $1 AND form <> 2 ORDER BY key LIMIT 2000),"
        " t AS (DELETE FROM audit_text USING k WHERE audit_text.key = k.key),"
        " kt AS MATERIALIZED (SELECT key, unnest(tables) AS name FROM k),"
        " rt AS (DELETE FROM audit_record_table USING kt"
        "  WHERE audit_record_table.name = kt.name AND audit_record_table.key = kt.key),"
        " r AS (UPDATE audit_record SET form = 2, content = '', tables = NULL FROM k"
        "  WHERE audit_record.key = k.key RETURNING 1)"
        " SELECT count(*) FROM r",
        &p, out);
}

/* The last step. Nobody appends meanwhile: who has the key in memory looks again after it, because
 * the counter says so. */
static enum err session_end(struct pg *db, const struct chosen *c, int64_t now_ns)
{
    struct pg_parameters p = {.count = 0}, key = {.count = 0};
    pg_put_number(&key, c->id);
    pg_put_number(&p, c->id);
    pg_put_number(&p, now_ns);
    enum err err = approvals_erase(db, c->session);
    if (err == OK) {
        err = pg_run(db, "DELETE FROM audit_content_key WHERE session = $1", &key);
    }
    if (err == OK) {
        err = postgres_blobs_drop_session(db, c->id);
    }
    return err == OK ? pg_run_one(db, "UPDATE audit_session SET erased_ns = $2 WHERE id = $1", &p)
                     : err;
}

static enum err step_do(struct pg *db, const struct store_erase *what, const struct chosen *c,
                        int64_t now_ns, bool is_last, enum step *out)
{
    struct pg_parameters p = {.count = 0};
    int64_t id = 0, count = 0;
    erasable_put(&p, what, c->id);
    enum err err =
        is_last ? pg_run_one(db, "SELECT FROM counter WHERE id = 2 FOR UPDATE", NULL) : OK;
    if (err == OK && is_last) {
        err = pg_run_one(db, "UPDATE counter SET erasures = erasures + 1 WHERE id = 1", NULL);
    }
    if (err == OK) { /* a hold may have come, and none may come meanwhile */
        err = pg_run(db, "LOCK TABLE legal_hold IN SHARE MODE", NULL);
    }
    if (err == OK) {
        err = pg_ask_number(db, ERASABLE, &p, &id);
    }
    if (err != OK) {
        *out = STEP_SPARED;
        return err == ERR_NOT_FOUND ? OK : err;
    }
    err = records_erase(db, c->id, &count);
    if (err == OK) {
        err = pg_run(db, "INSERT INTO audit_scrub VALUES (pg_current_xact_id()::text::int8)", NULL);
    }
    if (err == OK && is_last && count == 0) {
        err = session_end(db, c, now_ns);
    }
    *out = is_last && count == 0 ? STEP_ERASED : count == 0 ? STEP_SPARED : STEP_MORE;
    return err;
}

static enum err session_erase(struct postgres_store *s, const struct store_erase *what,
                              const struct chosen *c, int64_t now_ns, enum step *out)
{
    enum step step = STEP_MORE;
    bool is_last = false, is_over = false;
    enum err err = OK;
    while (err == OK && !is_over) {
        struct pg *db = NULL;
        err = postgres_begin(s, &db);
        if (err == OK) {
            err = postgres_end(s, db, step_do(db, what, c, now_ns, is_last, &step));
        }
        /* Without a record left, or for one that is spared, the last step decides. */
        is_over = is_last && step != STEP_MORE;
        is_last = step != STEP_MORE;
    }
    *out = step;
    return err;
}

/* ---- old rows
 * ------------------------------------------------------------------------------------ */

/* Until nobody has a snapshot in which something is not erased yet: what such a one may still see,
 * VACUUM leaves. */
static enum err snapshots_wait(struct pg *db, int64_t erased_xid)
{
    const struct timespec moment = {.tv_nsec = WAIT_STEP_MS * INT64_C(1000000)};
    struct pg_parameters p = {.count = 0};
    int64_t old = 1;
    enum err err = OK;
    pg_put_number(&p, erased_xid);
    for (int waited = 0; err == OK && old > 0 && waited < STORE_BUSY_MS; waited += WAIT_STEP_MS) {
        err = pg_ask_number(db,
                            "SELECT count(*) FROM pg_stat_activity"
                            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                            " AND backend_type <> 'autovacuum worker' AND backend_xmin IS NOT NULL"
                            " AND age(backend_xmin) >="
                            " pg_snapshot_xmax(pg_current_snapshot())::text::int8 - $1",
                            &p, &old);
        if (err == OK && old > 0) {
            (void)nanosleep(&moment, NULL);
        }
    }
    return err == OK && old > 0 ? ERR_UNAVAILABLE : err;
}

/* The keys' table is written anew: its old file is gone then. Of the others, deleted rows become
 * free space. On a connection without a limit of time. */
static enum err scrub(struct postgres_store *s, struct pg *db)
{
    static const char *const statements[] = {
        "SET lock_timeout = 0",     "VACUUM (FULL) audit_content_key",
        "VACUUM audit_text",        "VACUUM audit_record_table",
        "VACUUM audit_record",      "VACUUM approval",
        "VACUUM approval_decision",
    };
    struct pg_parameters p = {.count = 0};
    int64_t last = 0;
    enum err err = pg_connect(db, s->url, 0, NULL);
    if (err == OK) {
        err = pg_ask_number(db, "SELECT coalesce(max(xid), 0) FROM audit_scrub", NULL, &last);
    }
    if (err != OK || last == 0) {
        return err;
    }
    err = snapshots_wait(db, last);
    for (size_t i = 0; err == OK && i < sizeof(statements) / sizeof(statements[0]); i++) {
        err = pg_execute(db, statements[i]);
    }
    pg_put_number(&p, last);
    return err == OK ? pg_run(db, "DELETE FROM audit_scrub WHERE xid <= $1", &p) : err;
}

static enum err chosen_find(struct postgres_store *s, const struct store_erase *what,
                            struct arena *arena, struct chosen **out, size_t *out_count)
{
    struct pg *db = NULL;
    enum err err = postgres_begin_read(s, &db);
    if (err == OK) {
        err = chosen_list(db, what, arena, out, out_count);
        postgres_end_read(s, db);
    }
    return err;
}

static enum err audit_erase(struct store *store, const struct store_erase *what, int64_t now_ns,
                            struct arena *arena, const char ***out_sessions, size_t *out_count)
{
    struct postgres_store *s = postgres_of(store);
    struct chosen *chosen = NULL;
    const char **sessions = NULL;
    size_t found = 0, count = 0;
    enum err err = chosen_find(s, what, arena, &chosen, &found);
    if (err == OK) {
        sessions = arena_alloc(arena, (found + 1) * sizeof(*sessions));
        err = sessions == NULL ? ERR_NO_MEMORY : OK;
    }
    for (size_t i = 0; err == OK && i < found; i++) {
        enum step step = STEP_ERASED;
        if (!what->is_preview) {
            err = session_erase(s, what, &chosen[i], now_ns, &step);
        }
        if (err == OK && step == STEP_ERASED) {
            sessions[count++] = chosen[i].session;
        }
    }
    if (err == OK && !what->is_preview && found == 0) {
        struct pg db = {.handle = NULL};
        err = scrub(s, &db);
        pg_disconnect(&db);
    }
    if (err == OK) {
        *out_sessions = sessions;
        *out_count = count;
    }
    return err;
}

void postgres_erase_fill(struct store_backend *b)
{
    b->audit_erase = audit_erase;
}

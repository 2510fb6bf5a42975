/* Retention: the content of sessions goes, their place in the log stays.
 *
 * A session is erased in steps that are short enough for others to write between them: first what
 * the index has of its sections and their content, last its key. A step that is not done any more
 * (a crash) is done by the next run: the session counts as erased only with its key gone.
 */
#include <sched.h>

#include "controlplane/store/redact.h"
#include "controlplane/store/sqlite_erase_sections.h"

enum {
    STEP_ARENA_CAP = 256 << 20,
    HELD_CAP = 2 * STORE_HELD_SIZE_MAX,
    MERGE_PAGES = 256, /* of the index of words, in one step */
    MERGE_STEPS_MAX = 1 << 20,
};

/* ---- which ------------------------------------------------------------------------------------
 */

/* Of resource ?1, that ended before ?2, that no hold is about, and with nothing that still waits
 * for a person. */
#define ERASABLE_WHERE                                                                             \
    " WHERE s.resource = (SELECT id FROM audit_name WHERE name = ?1)"                              \
    " AND s.closed_ns <> 0 AND s.closed_ns < ?2 AND s.erased_ns = 0 AND s.state <> 'about'"        \
    " AND NOT EXISTS (SELECT 1 FROM legal_hold h WHERE h.lifted_ns = 0 AND ("                      \
    "  (h.resource <> '' AND h.resource = ?1)"                                                     \
    "  OR (h.session <> '' AND h.session = s.session)"                                             \
    "  OR (h.identity <> '' AND (h.identity = (SELECT name FROM audit_name WHERE id = s.identity)" \
    "   OR instr(', ' || s.on_behalf_of || ', ', ', ' || h.identity || ', ') > 0))))"              \
    " AND NOT EXISTS (SELECT 1 FROM approval a"                                                    \
    "  WHERE a.session <> '' AND a.session = s.session AND a.ended_ns = 0)"

struct chosen {
    int64_t id;
    const char *session; /* in the arena */
};

/* All of them, or with an id only that one. */
static enum err erasable_find(struct db *db, const struct store_erase *what, int64_t id,
                              sqlite3_stmt **out)
{
    enum err err =
        id == 0 ? db_statement(db,
                               "SELECT s.id, s.session FROM audit_session s"
                               " INDEXED BY audit_session_erasable" ERASABLE_WHERE
                               " ORDER BY s.closed_ns, s.id",
                               out)
                : db_statement(
                      db, "SELECT s.id FROM audit_session s" ERASABLE_WHERE " AND s.id = ?3", out);
    if (err == OK) {
        db_bind_string(*out, 1, what->resource);
        db_bind_number(*out, 2, what->closed_before_ns);
    }
    if (err == OK && id != 0) {
        db_bind_number(*out, 3, id);
    }
    return err;
}

static bool is_wanted(const struct store_erase *what, const char *session)
{
    for (size_t i = 0; what->only != NULL && i < what->only_count; i++) {
        if (strcmp(what->only[i], session) == 0) {
            return true;
        }
    }
    return what->only == NULL;
}

static enum err chosen_list(struct db *db, const struct store_erase *what, struct arena *arena,
                            struct chosen **out, size_t *out_count)
{
    sqlite3_stmt *list = NULL;
    struct chosen *items = arena_alloc(arena, what->max * sizeof(*items));
    size_t count = 0;
    enum err err = items == NULL ? ERR_NO_MEMORY : erasable_find(db, what, 0, &list);
    while (err == OK && count < what->max) {
        bool row = false, failed = false;
        err = db_step(db, list, &row);
        if (err != OK || !row) {
            break;
        }
        items[count].id = sqlite3_column_int64(list, 0);
        items[count].session = db_column_string(list, 1, arena, &failed);
        err = failed ? ERR_NO_MEMORY : OK;
        count += err == OK && is_wanted(what, items[count].session);
    }
    if (list != NULL) {
        (void)sqlite3_reset(list);
    }
    if (err == OK) {
        *out = items;
        *out_count = count;
    }
    return err;
}

/* ---- a step of a session ---------------------------------------------------------------------
 */

static enum err scrub_mark(struct db *db, int64_t now_ns)
{
    sqlite3_stmt *mark = NULL;
    enum err err = db_statement(db, "INSERT OR IGNORE INTO audit_scrub VALUES (?1)", &mark);
    if (err == OK) {
        db_bind_number(mark, 1, now_ns);
        err = db_run(db, mark);
    }
    return err;
}

struct held {
    int64_t rowid;
    struct bytes held;
};

static bool held_read(sqlite3_stmt *row, struct arena *arena, void *out_item)
{
    struct held *h = out_item;
    bool failed = false;
    h->rowid = sqlite3_column_int64(row, 0);
    h->held = db_column_blob(row, 1, arena, &failed);
    return !failed;
}

static enum err held_erase(struct db *db, const char *session, const char *list_sql,
                           const char *set_sql, struct arena *arena)
{
    sqlite3_stmt *list = NULL, *set = NULL;
    void *items = NULL;
    size_t count = 0;
    struct buffer kept;
    buffer_init(&kept, HELD_CAP);
    enum err err = db_statement(db, list_sql, &list);
    if (err == OK) {
        db_bind_string(list, 1, session);
        err = db_read_all(db, list, sizeof(struct held), held_read, arena, &items, &count);
    }
    for (size_t i = 0; err == OK && i < count; i++) {
        const struct held *h = (const struct held *)items + i;
        err = redact_held(h->held, &kept);
        if (err == OK) {
            err = db_statement(db, set_sql, &set);
        }
        if (err == OK) {
            db_bind_number(set, 1, h->rowid);
            db_bind_blob(set, 2, buffer_bytes(&kept));
            err = db_run_one(db, set);
        }
    }
    buffer_finish(&kept);
    return err;
}

static enum err approvals_erase(struct db *db, const char *session, struct arena *arena)
{
    enum err err = held_erase(db, session,
                              "SELECT rowid, held FROM approval"
                              " WHERE session <> '' AND session = ?1",
                              "UPDATE approval SET held = ?2 WHERE rowid = ?1", arena);
    if (err == OK) {
        err = held_erase(db, session,
                         "SELECT d.id, d.answer FROM approval a"
                         " JOIN approval_decision d ON d.approval = a.id"
                         " WHERE a.session <> '' AND a.session = ?1",
                         "UPDATE approval_decision SET answer = ?2 WHERE id = ?1", arena);
    }
    return err;
}

static enum err session_end(struct db *db, const struct chosen *c, int64_t now_ns,
                            struct arena *arena)
{
    sqlite3_stmt *drop = NULL, *set = NULL;
    enum err err = approvals_erase(db, c->session, arena);
    if (err == OK) {
        err = db_statement(db, "DELETE FROM audit_content_key WHERE session = ?1", &drop);
    }
    if (err == OK) {
        db_bind_number(drop, 1, c->id);
        err = db_run(db, drop);
    }
    if (err == OK) {
        err = sqlite_blobs_drop_session(db, c->id);
    }
    if (err == OK) {
        err = db_statement(db, "UPDATE audit_session SET erased_ns = ?2 WHERE id = ?1", &set);
    }
    if (err == OK) {
        db_bind_number(set, 1, c->id);
        db_bind_number(set, 2, now_ns);
        err = db_run_one(db, set);
    }
    return err;
}

/* Whether it may still be erased: a hold may have come. */
static enum err still_erasable(struct db *db, const struct store_erase *what, int64_t id, bool *out)
{
    sqlite3_stmt *check = NULL;
    bool row = false;
    enum err err = erasable_find(db, what, id, &check);
    if (err == OK) {
        err = db_step(db, check, &row);
    }
    if (check != NULL) {
        (void)sqlite3_reset(check);
    }
    if (err == OK) {
        *out = row;
    }
    return err;
}

enum step { STEP_MORE, STEP_ERASED, STEP_SPARED };

/* It has ended when a step from the first section on finds none: some may have come behind it. */
static enum err step_do(struct db *db, const struct store_erase *what, const struct chosen *c,
                        int64_t now_ns, struct arena *arena, int64_t *from, enum step *out)
{
    size_t count = 0;
    bool may = false, is_first = *from == INT64_MIN;
    enum err err = still_erasable(db, what, c->id, &may);
    if (err != OK || !may) {
        *out = STEP_SPARED;
        return err;
    }
    err = sqlite_sections_erase(db, c->id, from, arena, &count);
    if (err == OK) {
        err = scrub_mark(db, now_ns);
    }
    if (err == OK && count == 0 && is_first) {
        err = session_end(db, c, now_ns, arena);
    }
    if (count == 0) {
        *from = INT64_MIN;
    }
    *out = count == 0 && is_first ? STEP_ERASED : STEP_MORE;
    return err;
}

static enum err session_erase(struct sqlite_store *s, const struct store_erase *what,
                              const struct chosen *c, int64_t now_ns, enum step *out)
{
    struct arena *arena = arena_create(1 << 20, STEP_ARENA_CAP);
    enum step step = STEP_MORE;
    int64_t from = INT64_MIN;
    enum err err = arena == NULL ? ERR_NO_MEMORY : OK;
    while (err == OK && step == STEP_MORE) {
        struct db *db = NULL;
        arena_reset(arena);
        err = sqlite_write_begin(s, &db);
        if (err == OK) {
            err = sqlite_write_end(s, step_do(db, what, c, now_ns, arena, &from, &step), NULL);
        }
        (void)sched_yield();
    }
    arena_destroy(arena);
    *out = step;
    return err;
}

/* ---- old pages -------------------------------------------------------------------------------
 */

/* One step of bringing the index of words together: words that were deleted are in it until the
 * segments that have them are written anew. `first`: all segments, from the beginning. */
static enum err words_merge(struct sqlite_store *s, bool first, bool *out_more)
{
    struct db *db = NULL;
    sqlite3_stmt *merge = NULL;
    int64_t before = 0;
    enum err err = sqlite_write_begin(s, &db);
    if (err != OK) {
        return err;
    }
    before = sqlite3_total_changes64(db->handle);
    err = db_statement(db, "INSERT INTO audit_words (audit_words, rank) VALUES ('merge', ?1)",
                       &merge);
    if (err == OK) {
        db_bind_number(merge, 1, first ? -MERGE_PAGES : MERGE_PAGES);
        err = db_run(db, merge);
    }
    /* SQLite's documentation: a step that changed fewer than two rows had nothing to do. */
    bool more = first || sqlite3_total_changes64(db->handle) - before >= 2;
    err = sqlite_write_end(s, err, NULL);
    if (err == OK) {
        *out_more = more;
    }
    return err;
}

static enum err scrub_is_due(struct sqlite_store *s, bool *out)
{
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *get = NULL;
    bool row = false;
    enum err err = db_statement(db, "SELECT 1 FROM audit_scrub LIMIT 1", &get);
    if (err == OK) {
        err = db_step(db, get, &row);
    }
    if (get != NULL) {
        (void)sqlite3_reset(get);
    }
    sqlite_read_end(s, db);
    if (err == OK) {
        *out = row;
    }
    return err;
}

/* The journal has old pages too: all of it goes into the file, and is cut to nothing. */
static enum err journal_cut(struct sqlite_store *s)
{
    (void)pthread_mutex_lock(&s->write_mutex);
    int result =
        sqlite3_wal_checkpoint_v2(s->writer.handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    enum err err = result == SQLITE_OK ? OK : db_failed(&s->writer, NULL);
    (void)pthread_mutex_unlock(&s->write_mutex);
    return err;
}

static enum err scrub(struct sqlite_store *s)
{
    struct db *db = NULL;
    sqlite3_stmt *done = NULL;
    bool due = false, more = true;
    enum err err = scrub_is_due(s, &due);
    if (err != OK || !due) {
        return err;
    }
    for (int i = 0; err == OK && more && i < MERGE_STEPS_MAX; i++) {
        err = words_merge(s, i == 0, &more);
        (void)sched_yield();
    }
    if (err == OK) {
        err = journal_cut(s);
    }
    if (err == OK) {
        err = sqlite_write_begin(s, &db);
    }
    if (err != OK) {
        return err;
    }
    err = db_statement(db, "DELETE FROM audit_scrub", &done);
    if (err == OK) {
        err = db_run(db, done);
    }
    return sqlite_write_end(s, err, NULL);
}

/* ---- from outside ----------------------------------------------------------------------------
 */

static enum err chosen_read(struct sqlite_store *s, const struct store_erase *what,
                            struct arena *arena, struct chosen **out, size_t *out_count)
{
    struct db *db = sqlite_read_begin(s);
    enum err err = chosen_list(db, what, arena, out, out_count);
    sqlite_read_end(s, db);
    return err;
}

enum err sqlite_audit_erase(struct store *store, const struct store_erase *what, int64_t now_ns,
                            struct arena *arena, const char ***out_sessions, size_t *out_count)
{
    struct sqlite_store *s = sqlite_of(store);
    struct chosen *chosen = NULL;
    const char **sessions = NULL;
    size_t found = 0, count = 0;
    enum err err = chosen_read(s, what, arena, &chosen, &found);
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
    if (!what->is_preview && found > 0) {
        sqlite_keys_forget(s);
    } else if (!what->is_preview && err == OK) {
        err = scrub(s);
    }
    if (err == OK) {
        *out_sessions = sessions;
        *out_count = count;
    }
    return err;
}

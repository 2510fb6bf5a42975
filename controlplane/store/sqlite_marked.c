#include "controlplane/store/sqlite_marked.h"

/* Marks of other sections that are read on the way to the next one, before it is looked up. */
enum { STEPS_MAX = 4 };

void marked_init(struct marked *marked, struct db *db, bool is_newest_first)
{
    *marked = (struct marked){.db = db, .is_newest_first = is_newest_first};
    buffer_init(&marked->marks, MARKS_SIZE_MAX + 1);
}

void marked_finish(struct marked *marked)
{
    if (marked->rows != NULL) {
        (void)sqlite3_reset(marked->rows);
        marked->rows = NULL;
    }
    buffer_wipe(&marked->marks);
}

static enum err step(struct marked *m)
{
    enum err err = db_step(m->db, m->rows, &m->has_row);
    if (err == OK && m->has_row) {
        m->key = sqlite3_column_int64(m->rows, 0);
    }
    return err;
}

static enum err find(struct marked *m, int64_t key)
{
    enum err err = m->is_newest_first
                       ? db_statement(m->db,
                                      "SELECT key, marks FROM audit_mark WHERE key <= ?1"
                                      " ORDER BY key DESC",
                                      &m->rows)
                       : db_statement(m->db,
                                      "SELECT key, marks FROM audit_mark WHERE key >= ?1"
                                      " ORDER BY key",
                                      &m->rows);
    if (err == OK) {
        db_bind_number(m->rows, 1, key);
        err = step(m);
    }
    return err;
}

static bool is_before(const struct marked *m, int64_t key)
{
    return m->has_row && (m->is_newest_first ? m->key > key : m->key < key);
}

static enum err go_to(struct marked *m, int64_t key)
{
    enum err err = m->rows == NULL ? find(m, key) : OK;
    for (int steps = 0; err == OK && is_before(m, key); steps++) {
        err = steps < STEPS_MAX ? step(m) : find(m, key);
    }
    return err;
}

enum err marked_may_have(struct marked *marked, const struct marks_query *query, int64_t key,
                         bool *out)
{
    enum err err = go_to(marked, key);
    *out = true;
    if (err != OK || !marked->has_row || marked->key != key) {
        return err;
    }
    err = content_open_marks(marked->db->content, key, db_column_bytes(marked->rows, 1),
                             &marked->marks);
    if (err == OK) {
        *out = marks_may_have(query, buffer_bytes(&marked->marks));
    }
    return err == ERR_DENIED ? OK : err;
}

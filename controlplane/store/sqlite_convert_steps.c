#include "controlplane/store/sqlite_convert_steps.h"

static enum err step_run(const struct convert_work *work, size_t *out_count, struct err_text *why)
{
    enum err err = db_execute(work->db, "BEGIN IMMEDIATE", why);
    if (err != OK) {
        return err;
    }
    err = work->step(work->context, out_count, why);
    if (err == OK) {
        err = db_execute(work->db, "COMMIT", why);
    }
    if (err != OK && sqlite3_get_autocommit(work->db->handle) == 0) {
        (void)sqlite3_exec(work->db->handle, "ROLLBACK", NULL, NULL, NULL);
    }
    return err;
}

enum err convert_run(const struct convert_work *work, const struct store_progress *progress,
                     struct err_text *why)
{
    enum err err = OK;
    uint64_t done = 0;
    for (size_t count = 1; err == OK && count > 0;) {
        err = step_run(work, &count, why);
        if (err == OK && count > 0 && progress != NULL) {
            done += count;
            progress->on_step(progress->context, work->what, done, work->all);
        }
    }
    return err;
}

enum err convert_find_table(struct db *db, const char *name)
{
    sqlite3_stmt *find = NULL;
    int64_t one = 0;
    enum err err =
        db_statement(db, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1", &find);
    if (err == OK) {
        db_bind_string(find, 1, name);
        err = convert_number(db, find, &one);
    }
    return err;
}

enum err convert_number(struct db *db, sqlite3_stmt *get, int64_t *out)
{
    bool row = false;
    enum err err = db_step(db, get, &row);
    if (err == OK && row) {
        *out = sqlite3_column_int64(get, 0);
        (void)sqlite3_reset(get);
    }
    return err == OK && !row ? ERR_NOT_FOUND : err;
}

/* Inside of sqlite_convert: work on all that a database has, in transactions of a bounded size. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_CONVERT_STEPS_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_CONVERT_STEPS_H

#include "controlplane/store/sqlite_convert.h"

struct convert_work {
    struct db *db;
    /* In a transaction, which an error ends: does the next `out_count`. 0: that was all, and
     * nothing of the work is left to find. */
    enum err (*step)(void *context, size_t *out_count, struct err_text *why);
    void *context;
    const char *what; /* "records" */
    uint64_t all;
};
/* Steps until nothing is left; says after each how far it is. */
enum err convert_run(const struct convert_work *work, const struct store_progress *progress,
                     struct err_text *why) MUST_USE;

/* ERR_NOT_FOUND: there is no such table. `name` is a literal. */
enum err convert_find_table(struct db *db, const char *name) MUST_USE;
/* The first column of a statement's first row. ERR_NOT_FOUND: it has none. */
enum err convert_number(struct db *db, sqlite3_stmt *get, int64_t *out) MUST_USE;

#endif

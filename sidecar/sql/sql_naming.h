/* What a text does with the named things of its session: prepared statements and cursors. With it a
 * caller follows PREPARE and DECLARE, and decides an EXECUTE or FETCH by what it really runs.
 *
 * Pure. Names are folded as the server folds them. */
#ifndef CHAPERONE_SIDECAR_SQL_NAMING_H
#define CHAPERONE_SIDECAR_SQL_NAMING_H

#include "base/bytes.h"
#include "sidecar/sql/sql.h"

enum sql_naming_kind {
    SQL_NAMING_PREPARE,
    SQL_NAMING_EXECUTE,
    SQL_NAMING_DEALLOCATE, /* name NULL: all */
    SQL_NAMING_DECLARE,
    SQL_NAMING_FETCH, /* also MOVE */
    SQL_NAMING_CLOSE, /* name NULL: all */
    SQL_NAMING_DISCARD_ALL,
};

struct sql_naming {
    enum sql_naming_kind kind;
    size_t statement;   /* which one of the text, from 0 */
    const char *name;   /* NULL: all */
    struct bytes query; /* of PREPARE and DECLARE: what will run; borrows the text */
    bool is_held;       /* of DECLARE: WITH HOLD */
};

enum { SQL_NAMINGS_MAX = 256 };

struct sql_namings {
    struct sql_naming *items;
    size_t count;
};

/* Whether a statement of the analysis does any of it: a few comparisons, no parsing. */
bool sql_has_namings(const struct sql_analysis *a);
/* The text is one that was analysed. `*out` is owned: sql_namings_finish. ERR_INVALID: not SQL, or
 * not understood; ERR_LIMIT: more than SQL_NAMINGS_MAX. Also those within EXPLAIN and CREATE TABLE
 * ... AS EXECUTE. */
enum err sql_namings_read(struct bytes text, struct sql_namings *out) MUST_USE;
void sql_namings_finish(struct sql_namings *n);

#endif

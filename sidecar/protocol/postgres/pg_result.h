/* The columns of a result that is being masked: what is done with each, its type and format, and
 * its name for the receipt. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_RESULT_H
#define CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_RESULT_H

#include "sidecar/lineage/lineage.h"
#include "sidecar/protocol/postgres/pg_plan.h"
#include "sidecar/protocol/postgres/pg_wire.h"

enum { PG_RESULT_NAME_SIZE = 64 }; /* NAMEDATALEN of the server */

struct pg_result {
    bool masks; /* something of it has to be masked; else only detectors look at it */
    size_t count;
    struct masker_column *columns;      /* owned */
    char (*names)[PG_RESULT_NAME_SIZE]; /* owned */
};

/* From a RowDescription and the plan of its statement (NULL: unknown, everything is masked as
 * `masks` says). What the server says of a column's origin counts beside the plan: a column that it
 * names as a masked one is masked in any case. `marks` may be NULL. `is_outdated`: the catalog may
 * have changed since the plan was made; nothing is taken as clean. Returns owned; NULL: no memory
 * or malformed. */
struct pg_result *pg_result_create(struct bytes row_description, const struct pg_masks *masks,
                                   const struct pg_plan_rows *plan,
                                   const struct lineage_marks *marks, bool is_outdated) MUST_USE;
/* Of COPY: so many columns, without types. NULL also when the plan has another number of them. */
struct pg_result *pg_result_create_copy(size_t count, bool is_binary, const struct pg_masks *masks,
                                        const struct pg_plan_rows *plan, bool is_outdated) MUST_USE;
void pg_result_destroy(struct pg_result *r); /* takes NULL */

#endif

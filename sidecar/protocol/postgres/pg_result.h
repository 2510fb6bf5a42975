/* The columns of a result that is being masked: what is done with each, its type and format, and
 * its name for the receipt. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_RESULT_H
#define CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_RESULT_H

#include "sidecar/lineage/lineage.h"
#include "sidecar/protocol/postgres/pg_plan.h"
#include "sidecar/protocol/postgres/pg_wire.h"

enum { PG_RESULT_NAME_SIZE = 64 }; /* NAMEDATALEN of the server */

struct pg_result {
    bool masks;             /* something of it has to be masked; else only detectors look at it */
    size_t count, capacity; /* columns, and how many there is room for */
    struct masker_column *columns; /* behind the struct, in one piece of memory with it */
    char (*names)[PG_RESULT_NAME_SIZE];
};

/* From a RowDescription and the plan of its statement (NULL: unknown, everything is masked as
 * `masks` says). What the server says of a column's origin counts beside the plan: a column that it
 * names as a masked one is masked in any case. `marks` may be NULL. `is_outdated`: the catalog may
 * have changed since the plan was made; nothing is taken as clean. Returns owned; NULL: no memory
 * or malformed. `io_spare` (may be NULL) holds one that is not needed any more, or NULL: its memory
 * is taken when it has the room. */
struct pg_result *pg_result_create(struct bytes row_description, const struct pg_masks *masks,
                                   const struct pg_plan_rows *plan,
                                   const struct lineage_marks *marks, bool is_outdated,
                                   struct pg_result **io_spare) MUST_USE;
/* Of COPY: so many columns, without types. NULL also when the plan has another number of them. */
struct pg_result *pg_result_create_copy(size_t count, bool is_binary, const struct pg_masks *masks,
                                        const struct pg_plan_rows *plan, bool is_outdated) MUST_USE;
void pg_result_destroy(struct pg_result *r); /* takes NULL */
/* Takes `r`, or NULL: a small one becomes the spare where there is none. */
void pg_result_recycle(struct pg_result *r, struct pg_result **io_spare);

#endif

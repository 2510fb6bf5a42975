/* From a filter to the statement that finds its records.
 *
 * Words have no index in the order of keys: where they are common, the records next to the bound
 * are looked through (`near`); where that does not find enough they are rare, and all that the
 * index of words gives is sorted. The planner is not left to guess which of both it is: a wrong
 * guess reads everything. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_POSTGRES_PG_QUERY_H
#define CHAPERONE_CONTROLPLANE_STORE_POSTGRES_PG_QUERY_H

#include "controlplane/store/postgres/pg_store.h"
#include "controlplane/store/postgres/pg_words.h"

struct query_range {
    int64_t key_from, key_to; /* both included */
    /* By arrival: only positions in here, both included; in their order. 0: by key. */
    int64_t position_from, position_to;
    bool newest_first;
    int64_t near; /* with words, by key: only so many texts, those that come first; 0: all */
};

struct query {
    struct buffer from; /* " FROM ... WHERE ..." */
    struct pg_parameters parameters;
    const char *order; /* the column that orders */
    bool nothing;      /* there can be none: a name is in no record */

    /* What the filter names, looked up. */
    int64_t identity, resource, table;
    struct buffer sessions, tables; /* int8[] */
    size_t session_count, table_count;
    struct buffer words;  /* a tsquery */
    struct buffer spoken; /* the phrases, one after the other */
};

/* After it, also when it failed: finish. ERR_INVALID: there is no word in the text, or no name of
 * a table. */
enum err query_start(struct query *q, struct pg *db, struct words *words,
                     const struct store_audit_filter *filter, const struct query_range *range,
                     struct err_text *why) MUST_USE;
void query_finish(struct query *q);

#endif

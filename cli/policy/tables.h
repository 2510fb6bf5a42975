/* A target's tables as people write them down, to try a policy without the target:
 *
 *   catalog:
 *     public.customers: {id: int4, ssn: text, notes: "text[]"}
 *     public.orders: {id: int4, customer: int4}
 *
 * Names are as the catalog has them, without quotes; types are PostgreSQL's own. There is nothing
 * else in it: no views, no functions of anybody's own, not even PostgreSQL's own tables. */
#ifndef CHAPERONE_CLI_POLICY_TABLES_H
#define CHAPERONE_CLI_POLICY_TABLES_H

#include "base/conf/conf.h"
#include "sidecar/catalog/catalog.h"

enum {
    TABLES_MAX = 1000,
    TABLES_COLUMNS_MAX = 4032, /* of all tables: followed by 63 at a time */
};

/* One reference is the caller's. ERR_INVALID, ERR_LIMIT with the place of the mistake. */
enum err tables_read(const struct conf_node *map, struct catalog **out,
                     struct err_text *error) MUST_USE;
/* From a file: its key `catalog`, as in golden cases, or the whole of it. */
enum err tables_load(const char *path, struct catalog **out, struct err_text *error) MUST_USE;

#endif

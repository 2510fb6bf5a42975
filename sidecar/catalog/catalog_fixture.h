/* Rows made by hand, as a server would answer the catalog's queries. */
#ifndef CHAPERONE_SIDECAR_CATALOG_CATALOG_FIXTURE_H
#define CHAPERONE_SIDECAR_CATALOG_CATALOG_FIXTURE_H

#include "sidecar/catalog/catalog.h"

#define FINGERPRINT CATALOG_QUERY_FINGERPRINT
#define PATH CATALOG_QUERY_PATH
#define RELATIONS CATALOG_QUERY_RELATIONS
#define COLUMNS CATALOG_QUERY_COLUMNS
#define VIEWS CATALOG_QUERY_VIEWS
#define PARENTS CATALOG_QUERY_PARENTS
#define NAMES CATALOG_QUERY_NAMES

struct catalog_row {
    enum catalog_query query;
    /* The first NULL that is followed by nothing else ends it; "NULL" is SQL's. */
    const char *values[CATALOG_VALUES_MAX];
};

/* A session with a temporary schema, and its search path: itself, pg_catalog, a, public. */
enum { CATALOG_ROWS = 44 };
extern const struct catalog_row catalog_rows[CATALOG_ROWS];

enum err catalog_feed(struct catalog_loader *l, const struct catalog_row *row) MUST_USE;
/* Those rows without number `left_out`, and one more at the end, if any. */
enum err catalog_load(size_t left_out, const struct catalog_row *more,
                      struct catalog **out) MUST_USE;

#endif

/* The store on PostgreSQL (libpq), for several control planes at the same time.
 *
 * Everything of store.h holds. Appends are grouped: batches that wait for each other become one
 * transaction. Audit records are partitioned by time. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_POSTGRES_POSTGRES_H
#define CHAPERONE_CONTROLPLANE_STORE_POSTGRES_POSTGRES_H

#include "controlplane/store/store.h"

struct store_postgres_options {
    int connections;             /* that work at the same time; 0: 8 */
    struct bytes content_master; /* as of store_sqlite_options */
};

/* Opens a database of ours, or makes an empty one ours, and brings its schema up to date. `url` is
 * libpq's connection string; it may hold a password and is kept in memory only. `options` may be
 * NULL. ERR_INVALID: another program's, or written by a newer version of this one;
 * ERR_UNAVAILABLE: it cannot be reached. */
enum err store_open_postgres(const char *url, const struct store_postgres_options *options,
                             struct store **out, struct err_text *why) MUST_USE;

#endif

/* Keys for records that are about to be written (store.h says what a key is). */
#ifndef CHAPERONE_CONTROLPLANE_STORE_POSTGRES_PG_KEYS_H
#define CHAPERONE_CONTROLPLANE_STORE_POSTGRES_PG_KEYS_H

#include "controlplane/store/postgres/pg_write.h"

/* Gives every item its key, and `*max_key` the greatest one there is then. The counter of the log
 * is locked: nobody else writes records meanwhile. */
enum err postgres_keys_assign(struct pg *db, struct write_group *group, int64_t *max_key) MUST_USE;

#endif

/* The partitions of the audit: one for each month of the key (UTC), made before the first record
 * of that month is written. Thread-safe. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_POSTGRES_PG_MONTHS_H
#define CHAPERONE_CONTROLPLANE_STORE_POSTGRES_PG_MONTHS_H

#include "controlplane/store/postgres/pg_store.h"

/* Makes the partitions of this month and of the next. Returns owned. */
enum err postgres_months_create(struct postgres_store *s, struct postgres_months **out,
                                struct err_text *why) MUST_USE;
void postgres_months_destroy(struct postgres_months *months); /* takes NULL */

/* Sees to it that a record with this key has its partition, and one a month later. On a connection
 * of its own: not to be called inside of a transaction that others wait for. */
enum err postgres_months_need(struct postgres_store *s, int64_t key) MUST_USE;

/* Months since January 2020 of a key; -1: before. The first key of a month. */
int postgres_month_of(int64_t key);
int64_t postgres_month_start(int month);

#endif

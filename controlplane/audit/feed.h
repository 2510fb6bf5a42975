/* Says that records have arrived: the ingest publishes, tails listen.
 *
 * Only the position of the newest record is told; who wants the records reads them from the
 * store, so that a slow listener costs no memory and misses nothing. Thread-safe. */
#ifndef CHAPERONE_CONTROLPLANE_AUDIT_FEED_H
#define CHAPERONE_CONTROLPLANE_AUDIT_FEED_H

#include <stdint.h>

#include "base/err.h"

struct audit_feed;
struct audit_subscription;

/* Returns owned; NULL when memory is short. */
struct audit_feed *audit_feed_create(void) MUST_USE;
/* Takes NULL. Every subscription must have ended. */
void audit_feed_destroy(struct audit_feed *feed);

/* Called on the publisher's thread, one call at a time for a subscription; must return soon. May
 * neither subscribe nor unsubscribe. Positions may come out of order: two batches are
 * committed one after the other but told at the same time. */
typedef void audit_arrived_fn(void *context, uint64_t position);

enum err audit_subscribe(struct audit_feed *feed, audit_arrived_fn *on_arrived, void *context,
                         struct audit_subscription **out) MUST_USE;
/* Takes NULL. After it returned the callback runs no more. */
void audit_unsubscribe(struct audit_subscription *subscription);

void audit_feed_publish(struct audit_feed *feed, uint64_t position);

#endif

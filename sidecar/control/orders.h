/* The orders to end sessions that came lately, for grants that were given before an order and
 * arrive after it: their sessions are not open yet when the order comes, and nothing would end
 * them.
 *
 * A grant notes orders_mark when it is asked for; when it arrives, orders_find looks at what came
 * since. Only the newest ORDERS_KEPT are kept: with more than that in the seconds that a grant
 * takes, every grant that is under way counts as meant. */
#ifndef CHAPERONE_SIDECAR_CONTROL_ORDERS_H
#define CHAPERONE_SIDECAR_CONTROL_ORDERS_H

#include <stdint.h>

#include "sidecar/control/control.h"

enum { ORDERS_KEPT = 64 };

struct orders {
    Chaperone__V1__KillSession *kept[ORDERS_KEPT]; /* owned; the n-th at n modulo ORDERS_KEPT */
    uint64_t count;
};

/* Takes the order. Those that name a session need not be kept. */
void orders_add(struct orders *orders, Chaperone__V1__KillSession *order);
void orders_finish(struct orders *orders);

static inline uint64_t orders_mark(const struct orders *orders)
{
    return orders->count;
}

/* Whether an order since `mark` is about the session that this grant would open; says why in
 * `why`. */
bool orders_find(const struct orders *orders, uint64_t mark, const char *resource,
                 const Chaperone__V1__OpenSessionResponse *grant, struct err_text *why) MUST_USE;

#endif

/* Which refused calls are recorded: the first of a peer at once, what follows as a count each
 * minute, so that a flood of bad tokens does not fill the log.
 *
 * A peer is an address without its port; somebody who was identified is a peer of his own, so that
 * strangers at the same address do not hide him. Strangers and identified ones have REFUSALS_PEERS
 * places each, and all who find no place share one more. Thread-safe, constant memory. */
#ifndef CHAPERONE_CONTROLPLANE_RPC_REFUSALS_H
#define CHAPERONE_CONTROLPLANE_RPC_REFUSALS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum {
    REFUSALS_PEERS = 128,
    REFUSALS_METHODS = 8, /* that a count names */
    REFUSALS_METHOD_SIZE = 64,
    REFUSALS_NAME_SIZE = 256,
    REFUSALS_ERROR_SIZE = 256,
};

struct refusal {
    const char *from;             /* "ipv4:10.0.0.7:5312" */
    const char *issuer, *subject; /* NULL: nobody was identified */
    const char *method;           /* "Audit.Search" */
    const char *error;
};

/* What came after the first one. */
struct refusals_count {
    char
        from[REFUSALS_NAME_SIZE]; /* without a port; "several addresses" of those without a place */
    char issuer[REFUSALS_NAME_SIZE], subject[REFUSALS_NAME_SIZE]; /* "": not identified */
    char methods[REFUSALS_METHODS][REFUSALS_METHOD_SIZE];
    size_t method_count;
    char error[REFUSALS_ERROR_SIZE]; /* of the last one */
    uint64_t calls;
};

struct refusals;

struct refusals *refusals_create(void) MUST_USE;  /* returns owned; NULL: no memory */
void refusals_destroy(struct refusals *refusals); /* takes NULL */

/* True: it is the first one, and to be recorded now. */
bool refusals_add(struct refusals *refusals, const struct refusal *refusal,
                  int64_t now_ns) MUST_USE;
/* The next count whose minute is over (`all`: also the others); false: none is left. To be called
 * until then, once a minute. */
bool refusals_next(struct refusals *refusals, int64_t now_ns, bool all,
                   struct refusals_count *out) MUST_USE;

#endif

/* Address space that is kept back for small blocks.
 *
 * gRPC, libev and abseil end the process when a small allocation fails; our own code gives up one
 * statement or one session when a large one does. A process that links this library has a malloc()
 * and a calloc(), for all of its libraries too, that keep RESERVE_SIZE of address space from the
 * start: under RLIMIT_AS, when a block of at most RESERVE_BLOCK_MAX cannot be had, the reserve is
 * given up and the block is asked for again. From then on larger blocks fail, until twice the
 * reserve could be had and it is taken again. Nothing has to be called. It costs address space, no
 * memory: nothing is ever written there.
 *
 * Where memory is limited by a cgroup no allocation fails, and this has no effect: headroom.h.
 *
 * Under a sanitizer, which has a heap of its own, it does nothing. */
#ifndef CHAPERONE_SIDECAR_HEADROOM_RESERVE_H
#define CHAPERONE_SIDECAR_HEADROOM_RESERVE_H

#include <stdbool.h>

enum {
    /* What shipping and a few sessions take until their statements are refused. */
    RESERVE_SIZE = 8 << 20,
    /* Larger ones are texts, rows and parse trees, whose owners can do without. */
    RESERVE_BLOCK_MAX = 64 << 10,
};

/* Before anything failed: what maps memory without malloc(), for a thread's stack, say, has no
 * other way to it. */
void reserve_give_up(void);

/* Whether it is there, and not given up. Always false under a sanitizer. */
bool reserve_is_held(void);

#endif

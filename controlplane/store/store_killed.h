/* A process that writes into a store until it is killed, at any point: for the tests of both
 * backends. What fails, fails the test. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_STORE_KILLED_H
#define CHAPERONE_CONTROLPLANE_STORE_STORE_KILLED_H

#include "controlplane/store/store.h"

/* Runs `work` in a child, and kills it when it has said `count` numbers (killed_say) and
 * `then_ns` more have passed, or after its end. Returns the last number that it said. */
uint64_t killed_run(void (*work)(const void *context, int said_fd), const void *context, int count,
                    long then_ns);
/* In the child; ends it where nobody listens any more. */
void killed_say(int said_fd, uint64_t number);

/* In the child: appends to "s1", ten at a time, from its end on; says the sequence of each end that
 * the store acknowledged. Does not come back. */
void killed_append(struct store *store, int said_fd);
/* Afterwards: what was acknowledged is there, and whole batches only. Returns the last sequence. */
uint64_t killed_check(struct store *store, uint64_t acknowledged);

#endif

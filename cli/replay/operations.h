/* The operations of a recorded session, each with what became of it, and whether it can be executed
 * again: only what is recorded whole and is known to have been executed can. */
#ifndef CHAPERONE_CLI_REPLAY_OPERATIONS_H
#define CHAPERONE_CLI_REPLAY_OPERATIONS_H

#include "cli/replay/recording.h"

struct operation {
    const Chaperone__V1__Intent *intent;
    const Chaperone__V1__Outcome *outcome; /* NULL: none is recorded */
    const char *skipped;                   /* why it is not executed again; NULL: it is */
    /* It was refused within a transaction, which failed by that: so must the one of the replay. */
    bool fails_transaction;
};

/* In the order of their intents. `*out` is owned (free), its parts borrow from the recording. */
enum err operations_list(const struct recording *recording, struct operation **out,
                         size_t *out_count) MUST_USE;

#endif

/* What the thread and its state share. */
#ifndef CHAPERONE_CONTROLPLANE_WATCH_WATCH_INTERNAL_H
#define CHAPERONE_CONTROLPLANE_WATCH_WATCH_INTERNAL_H

#include "controlplane/watch/watch.h"

void watch_state_set_times(struct watch_state *state, int64_t silent_after_ns,
                           int64_t lost_after_ns);

#endif

/* Telling the control plane how approvals ended, until it has heard it: inside `struct control`.
 *
 * In the order of the ends, a few at a time; what could not be told because the control plane is
 * away is told again, with growing pauses and at once when it is back. */
#ifndef CHAPERONE_SIDECAR_CONTROL_APPROVALS_H
#define CHAPERONE_SIDECAR_CONTROL_APPROVALS_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "sidecar/control/backoff.h"

struct approval_end;
struct control;

struct approval_ends {
    struct approval_end *first, *last; /* to be told; owned */
    size_t count;                      /* with those that are being told */
    struct approval_end *telling;      /* under way; owned */
    size_t telling_count;
    ev_timer timer; /* until the next attempt */
    struct backoff backoff;
};

void approvals_init(struct control *control);
/* The control plane is there again: does not wait for the timer. */
void approvals_retry(struct control *control);
void approvals_stop(struct control *control);

#endif

/* How long to wait before the next attempt: doubles, with a fifth of chance in it so that a fleet
 * does not come back all at once. */
#ifndef CHAPERONE_SIDECAR_CONTROL_BACKOFF_H
#define CHAPERONE_SIDECAR_CONTROL_BACKOFF_H

#include <stdint.h>

struct backoff {
    int first_ms, most_ms;
    int next_ms; /* 0: first_ms */
};

int backoff_next_ms(struct backoff *backoff);

static inline void backoff_reset(struct backoff *backoff)
{
    backoff->next_ms = 0;
}

#endif

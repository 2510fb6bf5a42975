/* Asks a job's thread to end, also while it waits for its destination, and wakes it.
 *
 * Whatever a sink waits for, it waits for `fd` too, so that a stuck destination does not hold up a
 * shutdown. */
#ifndef CHAPERONE_CONTROLPLANE_EXPORT_STOP_H
#define CHAPERONE_CONTROLPLANE_EXPORT_STOP_H

#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/err.h"

struct export_stop {
    int fd; /* readable once it was asked for */
    atomic_bool asked;
};

enum err export_stop_init(struct export_stop *stop) MUST_USE;
void export_stop_finish(struct export_stop *stop);
void export_stop_ask(struct export_stop *stop); /* from any thread */
bool export_stop_asked(struct export_stop *stop);

/* Waits until `fd` (-1: none) has one of `events`, at most `ms`. What it has; 0: none, or it was
 * asked to stop. */
short export_stop_poll(struct export_stop *stop, int fd, short events, int ms);

#endif

/* Threads that take records in at a lower priority than everything else that happens on the
 * machine: recording yields to the agents' work, and catches up when there is room. A sidecar's
 * spool holds what waits meanwhile, so nothing is lost by it; what waits for the control plane
 * itself (the durability level `fleet`) waits longer on a machine without an idle processor.
 *
 * The priority of a thread is lowered once: without privileges it cannot be raised again. */
#ifndef CHAPERONE_CONTROLPLANE_AUDIT_INGEST_THREADS_H
#define CHAPERONE_CONTROLPLANE_AUDIT_INGEST_THREADS_H

#include <stddef.h>

#include "base/err.h"

enum {
    INGEST_NICENESS_MAX = 19,
    INGEST_THREADS = 8, /* as many appends at the same time; a database file takes one */
};

struct ingest_threads;

/* `niceness` is added to the process's own (setpriority(2)), 0 to INGEST_NICENESS_MAX. Where the
 * system refuses it, the threads work as usual. Returns owned. ERR_INVALID, ERR_NO_MEMORY. */
enum err ingest_threads_create(size_t count, int niceness, struct ingest_threads **out) MUST_USE;
/* Nobody is in ingest_threads_run any more. Takes NULL. */
void ingest_threads_destroy(struct ingest_threads *threads);

/* Calls `fn` on one of the threads, and returns when it has returned. Any thread but one of
 * these. */
void ingest_threads_run(struct ingest_threads *threads, void (*fn)(void *context), void *context);

#endif

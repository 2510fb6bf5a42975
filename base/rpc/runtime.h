/* Inside of base/rpc: the completion queue and the threads that poll it.
 *
 * Everything that is asked of gRPC carries the address of a `rpc_event` as its tag; a thread of
 * the runtime calls `done` when it has happened. Several threads poll, so two events of one
 * object may be done at the same time: streams put theirs in a row (stream.c). */
#ifndef CHAPERONE_BASE_RPC_RUNTIME_H
#define CHAPERONE_BASE_RPC_RUNTIME_H

#include <grpc/grpc.h>

#include "base/rpc/rpc.h"

struct rpc_event {
    /* `ok` is gRPC's word whether the operation succeeded. May free the event. */
    void (*done)(struct rpc_event *event, bool ok);
};

/* A client's call, known to the runtime so that destroy can cancel and await it. */
struct rpc_live {
    struct rpc_live *previous, *next;
    grpc_call *call;
};

/* Work that may block: the unary handlers of a server. */
struct rpc_job {
    struct rpc_job *next;
    void (*run)(struct rpc_job *job); /* may free the job */
};

/* Before anything else of gRPC, as often as one likes. gRPC is never shut down again: that waits
 * for a poller of gRPC's own that lives for ten seconds after a large write, which would hold up
 * the end of the process. Signals belong to the process's own loop: threads that gRPC or the
 * runtime starts take none. */
void rpc_runtime_init_grpc(void);

grpc_completion_queue *rpc_runtime_queue(struct rpc_runtime *runtime);
const struct log *rpc_runtime_log(const struct rpc_runtime *runtime);

/* From attach to detach a destroy cancels the call; until `left` it waits. */
void rpc_runtime_attach(struct rpc_runtime *runtime, struct rpc_live *live, grpc_call *call);
void rpc_runtime_detach(struct rpc_runtime *runtime, struct rpc_live *live);
void rpc_runtime_left(struct rpc_runtime *runtime);

/* Runs the job here, or later on another thread when as many jobs run as the runtime was given
 * threads: one more thread always polls, so a blocked handler holds up no other call. */
void rpc_runtime_run(struct rpc_runtime *runtime, struct rpc_job *job);

#endif

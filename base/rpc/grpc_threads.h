/* Inside of base/rpc: stacks for the threads that gRPC starts.
 *
 * gRPC 1.51 starts threads when it has much to do, and does not look whether that worked: it goes
 * on to queue work for a thread that never runs (Executor::Enqueue). A connection whose work waits
 * there stands still for ever, its calls have no end, and a shutdown that waits for them has none
 * either. What a thread lacks is nearly always address space for its stack (RLIMIT_AS).
 *
 * A process with a runtime has a pthread_create() of its own. Who cannot have a thread is told so,
 * as always; but when it is libgpr the thread gets one of the stacks kept here. Each is used once:
 * gRPC's threads stay, most of them. When none is left, or it was not the stack that lacked, the
 * process ends (SIGABRT): a supervisor starts one again that works, and nobody waits for one that
 * never will. Until they are used the stacks cost address space only.
 *
 * Under a sanitizer, which has a pthread_create() of its own, it does nothing. */
#ifndef CHAPERONE_BASE_RPC_GRPC_THREADS_H
#define CHAPERONE_BASE_RPC_GRPC_THREADS_H

#include <pthread.h>
#include <stddef.h>

enum { GRPC_THREADS_STACK_SIZE = 1 << 20 };

/* Before gRPC starts; as often as one likes. Without memory for them there are none. */
void grpc_threads_keep(void);

/* How many stacks there are still. Always 0 under a sanitizer. */
size_t grpc_threads_left(void);

/* As pthread_create, on one of the stacks; of `attributes` (may be NULL) only whether it is
 * detached counts. EAGAIN: none is left. */
int grpc_threads_create(pthread_t *out, const pthread_attr_t *attributes, void *(*fn)(void *),
                        void *context);

#endif

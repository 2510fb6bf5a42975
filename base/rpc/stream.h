/* Inside of base/rpc: how a server makes a stream of a call it has accepted. */
#ifndef CHAPERONE_BASE_RPC_STREAM_H
#define CHAPERONE_BASE_RPC_STREAM_H

#include <stdatomic.h>

#include "base/rpc/message.h"
#include "base/rpc/runtime.h"

/* Borrows `call` until `on_gone(owner)` was called, after on_end; sets `*out_cancelled` when the
 * client has gone. Until it is served or refused nothing is read, and what is sent waits. Returns
 * owned; NULL when memory is short. */
struct rpc_stream *rpc_stream_accept(grpc_call *call, const ProtobufCMethodDescriptor *method,
                                     const struct log *log, atomic_bool *out_cancelled,
                                     void (*on_gone)(void *owner), void *owner) MUST_USE;
/* The handler has taken the stream: it is now the handler's to release. */
void rpc_stream_serve(struct rpc_stream *stream, const struct rpc_stream_events *events,
                      void *context);
/* The handler has refused it: answers with the status; nobody else may touch it. */
void rpc_stream_refuse(struct rpc_stream *stream, const struct rpc_status *status);

#endif

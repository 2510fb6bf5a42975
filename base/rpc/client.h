/* Inside of base/rpc: what unary calls and streams of a client share. */
#ifndef CHAPERONE_BASE_RPC_CLIENT_H
#define CHAPERONE_BASE_RPC_CLIENT_H

#include "base/rpc/message.h"
#include "base/rpc/runtime.h"

/* Made by rpc_tls.c; one of the two is set. */
struct rpc_credentials {
    grpc_channel_credentials *client;
    grpc_server_credentials *server;
};

struct rpc_runtime *rpc_channel_runtime(struct rpc_channel *channel);
/* A channel lives as long as its user wants it or a call of it goes on. */
void rpc_channel_retain(struct rpc_channel *channel);
void rpc_channel_release(struct rpc_channel *channel);

/* Returns owned, for /service/method with the deadline of the options (may be NULL). */
enum err rpc_channel_call(struct rpc_channel *channel, const ProtobufCServiceDescriptor *service,
                          const ProtobufCMethodDescriptor *method,
                          const struct rpc_call_options *options, grpc_call **out) MUST_USE;
/* The operation that begins a call; `metadata` is borrowed until it is done. */
grpc_op rpc_channel_begin_op(const struct rpc_call_options *options, grpc_metadata *metadata);

#endif

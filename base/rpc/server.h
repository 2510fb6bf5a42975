/* Inside of base/rpc: what a server's calls need of their server. */
#ifndef CHAPERONE_BASE_RPC_SERVER_H
#define CHAPERONE_BASE_RPC_SERVER_H

#include "base/rpc/message.h"
#include "base/rpc/runtime.h"

enum { RPC_MAX_SERVICES = 32 };

/* What answers a path, "/package.Service/Method". */
struct rpc_target {
    const ProtobufCMethodDescriptor *method;
    const struct rpc_method *handler;
    void *context;
};

struct rpc_runtime *rpc_server_runtime(struct rpc_server *server);
/* The name of the i-th service; NULL behind the last. */
const char *rpc_server_service(const struct rpc_server *server, size_t i);
/* False when nothing answers it. */
bool rpc_server_find(const struct rpc_server *server, struct bytes path, struct rpc_target *out);

/* A call was accepted: the server waits for it at shutdown until it has left. False when the server
 * is being shut down: the call has to be refused. */
bool rpc_server_entered(struct rpc_server *server) MUST_USE;
void rpc_server_left(struct rpc_server *server);

/* Asks gRPC for the next call, and answers it when it comes; asks again by itself. The server
 * counts a slot until gRPC has said at shutdown that no call comes for it. */
enum err rpc_server_accept(struct rpc_server *server, grpc_server *core) MUST_USE;
void rpc_server_slot_closed(struct rpc_server *server);

#endif

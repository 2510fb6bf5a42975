/* Inside of base/rpc: gRPC server reflection, v1 and v1alpha (doc/server-reflection.md). */
#ifndef CHAPERONE_BASE_RPC_REFLECTION_H
#define CHAPERONE_BASE_RPC_REFLECTION_H

#include "base/rpc/rpc.h"

struct rpc_reflection;

/* `server` is borrowed. Knows the services of base/rpc itself. */
enum err rpc_reflection_create(struct rpc_server *server, struct rpc_reflection **out) MUST_USE;
void rpc_reflection_destroy(struct rpc_reflection *reflection); /* takes NULL */
enum err rpc_reflection_describe(struct rpc_reflection *reflection, struct bytes set) MUST_USE;
/* Adds the services. */
enum err rpc_reflection_serve(struct rpc_reflection *reflection) MUST_USE;

#endif

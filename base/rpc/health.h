/* Inside of base/rpc: grpc.health.v1, as gRPC's doc/health-checking.md specifies it. */
#ifndef CHAPERONE_BASE_RPC_HEALTH_H
#define CHAPERONE_BASE_RPC_HEALTH_H

#include "base/rpc/rpc.h"

struct rpc_health;

/* Returns owned; NULL when memory is short. */
struct rpc_health *rpc_health_create(void) MUST_USE;
void rpc_health_destroy(struct rpc_health *health); /* takes NULL; after the server's shutdown */

/* Adds the service. */
enum err rpc_health_serve(struct rpc_health *health, struct rpc_server *server) MUST_USE;
/* `service` is served, or not, from now on: whoever watches it is told. */
enum err rpc_health_set(struct rpc_health *health, const char *service, bool serving) MUST_USE;
/* Tells everybody NOT_SERVING and ends the watches, so that they do not hold up a shutdown. */
void rpc_health_stop(struct rpc_health *health);

#endif

/* The service of echo.proto, for the tests. */
#ifndef CHAPERONE_BASE_RPC_TESTING_ECHO_SERVICE_H
#define CHAPERONE_BASE_RPC_TESTING_ECHO_SERVICE_H

#include <stdatomic.h>

#include "base/rpc/rpc.h"
#include "base/rpc/testing/echo.pb-c.h"

struct echo_service {
    atomic_ullong cancelled, open;
};

/* A serialized google.rpc.Status: code 9, "static details". */
struct bytes echo_details(void);

/* `service` must outlive the server. */
enum err echo_service_add(struct echo_service *service, struct rpc_server *server) MUST_USE;

#endif

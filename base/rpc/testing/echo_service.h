/* The service of echo.proto, for the tests. */
#ifndef CHAPERONE_BASE_RPC_TESTING_ECHO_SERVICE_H
#define CHAPERONE_BASE_RPC_TESTING_ECHO_SERVICE_H

#include <stdatomic.h>

#include "base/rpc/rpc.h"
#include "base/rpc/testing/echo.pb-c.h"

struct echo_service {
    atomic_ullong cancelled; /* calls and streams that the client left before their end */
    atomic_ullong open;      /* streams that have not ended */
    atomic_ullong uploaded;  /* ClientStream: half-closed, that is, whole */
    atomic_ullong received;  /* ClientStream: messages */
    atomic_ullong blocked;   /* unary calls in their delay */
    atomic_ullong overflows; /* Bidi: ended because the client did not read */
    atomic_bool hold;        /* ClientStream and Bidi read no more */
};

/* A serialized google.rpc.Status: code 9, "static details". */
struct bytes echo_details(void);

/* `service` must outlive the server. */
enum err echo_service_add(struct echo_service *service, struct rpc_server *server) MUST_USE;

#endif

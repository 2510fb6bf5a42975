/* Simulated sidecars: each with its own key and certificate, its own connection over mutual TLS and
 * its own Watch stream, on which it acknowledges each policy that comes. Ends the process, with a
 * sentence, when anything goes wrong: it is a benchmark's. */
#ifndef CHAPERONE_E2E_BENCH_FLEET_FLEET_H
#define CHAPERONE_E2E_BENCH_FLEET_FLEET_H

#include "base/rpc/rpc.h"

struct fleet_options {
    const char *server; /* HOST:PORT */
    struct bytes ca_pem;
    const char *admin_token;
    size_t count;
};

struct fleet;

/* Enrols them all and opens their streams. Copies nothing of the options: they are borrowed. */
struct fleet *fleet_create(const struct fleet_options *options);
void fleet_destroy(struct fleet *f);

/* A call as the admin; the reply is owned. */
ProtobufCMessage *fleet_call(struct fleet *f, const ProtobufCServiceDescriptor *service,
                             const char *method, const ProtobufCMessage *request);

/* Waits until all have acknowledged this revision (or a later one); how long after
 * CLOCK_MONOTONIC's `since_ns` the last one did. */
int64_t fleet_await(struct fleet *f, uint64_t revision, int64_t since_ns);

__attribute__((noreturn)) void fleet_fail(const char *format, ...) PRINTF_LIKE(1, 2);
int64_t fleet_now_ns(void);

#endif

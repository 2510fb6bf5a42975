/* A connection to the control plane for one command.
 *
 * Calls block the caller, which can be interrupted: `interrupt_fd` becomes readable when it
 * should give up (a signalfd, whose signals are blocked in every thread). A stream's messages
 * are handed out on the thread of the runtime, one at a time, while the caller waits. */
#ifndef CHAPERONE_CLI_CLIENT_H
#define CHAPERONE_CLI_CLIENT_H

#include "base/rpc/rpc.h"

struct client;

struct client_options {
    const char *server;  /* "HOST:PORT", or several (servers.h) */
    const char *ca_file; /* NULL: the system's roots */
    const char *token;   /* copied and wiped */
    int interrupt_fd;    /* borrows */
};

/* Returns owned. No connection is made before the first call. */
enum err client_open(const struct client_options *options, struct client **out,
                     struct err_text *error) MUST_USE;
void client_close(struct client *c); /* takes NULL */

/* For later calls. */
enum err client_set_token(struct client *c, const char *token) MUST_USE;

struct client_end {
    bool interrupted;
    struct rpc_status status; /* CANCELLED when it was interrupted; without details */
};

struct client_wait {
    int deadline_ms; /* 0: none */
    bool for_server; /* keep trying to connect until the deadline */
};

/* `*out_reply` is owned when the status is RPC_OK, NULL otherwise; free it with
 * protobuf_c_message_free_unpacked. */
void client_call(struct client *c, const ProtobufCServiceDescriptor *service, const char *method,
                 const ProtobufCMessage *request, struct client_wait wait,
                 ProtobufCMessage **out_reply, struct client_end *out_end);

/* False ends the stream: as if it had been interrupted, with status OK. */
typedef bool client_message_fn(void *context, const ProtobufCMessage *message);

void client_stream(struct client *c, const ProtobufCServiceDescriptor *service, const char *method,
                   const ProtobufCMessage *request, client_message_fn *on_message, void *context,
                   struct client_end *out_end);

#endif

/* A unary call to the control plane whose reply arrives on the loop's thread.
 *
 * The loop's thread only. The reply comes once, never from inside call_start; after call_cancel,
 * or when the mailbox was closed, it does not come. */
#ifndef CHAPERONE_SIDECAR_CONTROL_CALL_H
#define CHAPERONE_SIDECAR_CONTROL_CALL_H

#include "sidecar/control/mail.h"
#include "sidecar/control/tunnel.h"

struct control_call;

/* `reply` is NULL unless the code is RPC_OK; both are borrowed and wiped when it returns. */
typedef void call_fn(void *context, const struct rpc_status *status, const ProtobufCMessage *reply);

struct call_options {
    struct mail *mail;
    struct tunnel *tunnel; /* NULL: answered with `refusal` */
    const char *refusal;
    const ProtobufCServiceDescriptor *service;
    const char *method;
    const ProtobufCMessage *request;
    int deadline_ms;
    bool wait_for_ready;
    call_fn *fn;
    const void *context;
    /* Not 0: the context is copied, at most CALL_CONTEXT_SIZE bytes, and lives as long as the call.
     */
    size_t context_size;
};

enum { CALL_CONTEXT_SIZE = 320 }; /* a resource's name and a few pointers */

/* `*out` is valid until the reply or call_cancel. */
enum err call_start(const struct call_options *options, struct control_call **out) MUST_USE;
void call_cancel(struct control_call *call); /* takes NULL */

#endif

#include "sidecar/control/call.h"

#include <stdalign.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

struct control_call {
    struct mail *mail;
    struct tunnel *tunnel;
    struct rpc_call *rpc;
    call_fn *fn; /* NULL: cancelled */
    void *context;
    alignas(max_align_t) uint8_t context_copy[CALL_CONTEXT_SIZE];
    struct rpc_status status;
    ProtobufCMessage *reply; /* owned; wiped */
};

/* Overwrites all bytes and strings of a message: a reply may hold a credential. */
static void wipe_message(ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &message->descriptor->fields[i];
        uint8_t *field = (uint8_t *)message + f->offset;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            continue; /* what is repeated in our replies is no secret */
        }
        if (f->type == PROTOBUF_C_TYPE_BYTES) {
            ProtobufCBinaryData *b = (ProtobufCBinaryData *)(void *)field;
            bytes_wipe(b->data, b->len);
        } else if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
            ProtobufCMessage *inner = *(ProtobufCMessage **)(void *)field;
            if (inner != NULL) {
                wipe_message(inner);
            }
        }
    }
}

static ProtobufCMessage *copy_message(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = malloc(size + 1);
    if (packed == NULL) {
        return NULL;
    }
    (void)protobuf_c_message_pack(message, packed);
    ProtobufCMessage *copy = protobuf_c_message_unpack(message->descriptor, NULL, size, packed);
    bytes_wipe(packed, size);
    free(packed);
    return copy;
}

static void call_free(void *letter)
{
    struct control_call *call = letter;
    if (call->reply != NULL) {
        wipe_message(call->reply);
        protobuf_c_message_free_unpacked(call->reply, NULL);
    }
    rpc_call_release(call->rpc);
    tunnel_release(call->tunnel);
    mail_release(call->mail);
    free(call);
}

static void deliver(void *owner, void *letter)
{
    (void)owner;
    struct control_call *call = letter;
    if (call->fn != NULL) {
        call->fn(call->context, &call->status, call->reply);
    }
}

static void post(struct control_call *call)
{
    enum err posted = mail_post(call->mail, deliver, call, call_free);
    (void)posted; /* without memory the caller's own deadline ends the wait */
}

/* On gRPC's thread. */
static void on_reply(void *context, const struct rpc_status *status, const ProtobufCMessage *reply)
{
    struct control_call *call = context;
    call->status = *status;
    call->status.details = bytes_of(NULL, 0);
    if (reply != NULL) {
        call->reply = copy_message(reply);
        /* It is freed as soon as this returns, and nobody else would overwrite it. */
        wipe_message((ProtobufCMessage *)(uintptr_t)reply);
        if (call->reply == NULL) {
            rpc_status_set(&call->status, RPC_RESOURCE_EXHAUSTED, "no memory for the reply");
        }
    }
    post(call);
}

enum err call_start(const struct call_options *o, struct control_call **out)
{
    if (o->context_size > CALL_CONTEXT_SIZE) {
        return ERR_INVALID;
    }
    struct control_call *call = calloc(1, sizeof(*call));
    if (call == NULL) {
        return ERR_NO_MEMORY;
    }
    call->mail = mail_retain(o->mail);
    call->fn = o->fn;
    call->context = (void *)(uintptr_t)o->context;
    if (o->context_size > 0) {
        memcpy(call->context_copy, o->context, o->context_size);
        call->context = call->context_copy;
    }
    *out = call;
    if (o->tunnel == NULL) {
        rpc_status_set(&call->status, RPC_UNAVAILABLE, "%s", o->refusal);
        post(call);
        return OK;
    }
    call->tunnel = tunnel_retain(o->tunnel);
    const struct rpc_call_options options = {.deadline_ms = o->deadline_ms,
                                             .wait_for_ready = o->wait_for_ready};
    enum err result = rpc_call_start(tunnel_channel(call->tunnel), o->service, o->method,
                                     o->request, &options, on_reply, call, &call->rpc);
    if (result != OK) {
        *out = NULL;
        call_free(call);
    }
    return result;
}

void call_cancel(struct control_call *call)
{
    if (call != NULL) {
        call->fn = NULL;
        if (call->rpc != NULL) {
            rpc_call_cancel(call->rpc);
        }
    }
}

/* Inside of base/rpc: what gRPC carries (byte buffers, metadata, statuses) from and to C. */
#ifndef CHAPERONE_BASE_RPC_MESSAGE_H
#define CHAPERONE_BASE_RPC_MESSAGE_H

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>

#include "base/rpc/rpc.h"

enum {
    RPC_DEFAULT_MAX_MESSAGE = 16 << 20,
    RPC_DEFAULT_KEEPALIVE_MS = 30 * 1000,
    /* A ping that is not answered for this long ends the connection. */
    RPC_KEEPALIVE_TIMEOUT_MS = 10 * 1000,
    /* What the other side may send ahead of the reader on one stream, fixed: gRPC's own estimate of
     * the network (bdp_probe) grew it to tens of megabytes for a reader that had stopped. Enough
     * for 10 MB/s at 100 ms. */
    RPC_STREAM_WINDOW = 1 << 20,
    /* OIDC tokens travel as metadata: gRPC's own 8 KiB are too few. */
    RPC_MAX_METADATA = 64 << 10,
    /* An unpacked message is larger than its bytes (two bytes of an empty submessage become a
     * struct), so a small message could fill the memory: at most this many bytes for each one
     * on the wire, and never more than the cap. */
    RPC_UNPACK_RATIO = 64,
    RPC_UNPACK_BASE = 64 << 10,
    RPC_UNPACK_CAP = 256 << 20,
};

#define RPC_STATUS_DETAILS "grpc-status-details-bin"

/* Returns owned; NULL when memory is short. */
grpc_byte_buffer *rpc_message_pack(const ProtobufCMessage *message) MUST_USE;
/* Takes nothing; returns owned (free with protobuf_c_message_free_unpacked and no allocator).
 * NULL: malformed, over the caps above, or no memory. */
ProtobufCMessage *rpc_message_unpack(const ProtobufCMessageDescriptor *type,
                                     grpc_byte_buffer *buffer) MUST_USE;

/* Overwrites a received message before it is destroyed: its bytes lie in a block that gRPC goes on
 * reading into, and would stay there. Takes NULL. */
void rpc_message_wipe(grpc_byte_buffer *buffer);

static inline struct bytes rpc_slice_bytes(const grpc_slice *slice)
{
    return bytes_of(GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
}

/* Copies. ERR_INVALID for a name or a value that HTTP/2 cannot carry. `*out` is NULL for none;
 * free with rpc_metadata_free. */
enum err rpc_metadata_to_core(const struct rpc_metadata *metadata, size_t count,
                              grpc_metadata **out) MUST_USE;
void rpc_metadata_free(grpc_metadata *metadata, size_t count);
/* Borrows the first value; no bytes when it is not there. */
struct bytes rpc_metadata_find(const grpc_metadata_array *metadata, const char *name);

/* The status that gRPC gave a client; `details` borrows from `trailing`. */
void rpc_status_from_core(grpc_status_code code, const grpc_slice *text,
                          const grpc_metadata_array *trailing, struct rpc_status *out);

/* INT_MAX when it does not fit, the default for 0. */
int rpc_option_size(size_t value, int fallback);
int rpc_option_ms(int value, int fallback);

static inline grpc_arg rpc_arg_number(const char *key, int value)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value};
}

static inline grpc_arg rpc_arg_text(const char *key, const char *value)
{
    return (grpc_arg){.type = GRPC_ARG_STRING, .key = (char *)key, .value.string = (char *)value};
}

#endif

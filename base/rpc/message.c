#include "base/rpc/message.h"

#include <grpc/byte_buffer_reader.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"

const char *rpc_code_name(enum rpc_code code)
{
    static const char *const names[] = {
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    };
    size_t i = (size_t)code;
    return i < sizeof(names) / sizeof(names[0]) ? names[i] : "UNKNOWN";
}

/* ---- protobuf ------------------------------------------------------------------------- */

grpc_byte_buffer *rpc_message_pack(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    /* Not grpc_slice_malloc: gRPC aborts the process when memory is short. */
    uint8_t *data = malloc(size == 0 ? 1 : size);
    if (data == NULL)
        return NULL;
    (void)protobuf_c_message_pack(message, data);
    grpc_slice slice = grpc_slice_new(data, size, free);
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

/* malloc and free with an account, so that what it gave can be freed without it. */
static void *budget_alloc(void *context, size_t size)
{
    size_t *left = context;
    if (size > *left)
        return NULL;
    *left -= size;
    return malloc(size);
}

static void budget_free(void *context, void *memory)
{
    (void)context;
    free(memory);
}

static ProtobufCMessage *unpack_bytes(const ProtobufCMessageDescriptor *type, struct bytes b)
{
    size_t left = b.size > RPC_UNPACK_CAP / RPC_UNPACK_RATIO
                      ? RPC_UNPACK_CAP
                      : RPC_UNPACK_BASE + b.size * RPC_UNPACK_RATIO;
    ProtobufCAllocator budget = {
        .alloc = budget_alloc, .free = budget_free, .allocator_data = &left};
    return protobuf_c_message_unpack(type, &budget, b.size, b.data);
}

/* Slices in a row, copied together. Returns owned; NULL when memory is short. */
static uint8_t *gather(grpc_byte_buffer_reader *reader, size_t size)
{
    uint8_t *data = malloc(size);
    size_t filled = 0;
    grpc_slice *slice;
    while (data != NULL && grpc_byte_buffer_reader_peek(reader, &slice)) {
        struct bytes part = rpc_slice_bytes(slice);
        if (part.size > size - filled)
            break; /* cannot be: size is the sum */
        memcpy(data + filled, part.data, part.size);
        filled += part.size;
    }
    return data;
}

ProtobufCMessage *rpc_message_unpack(const ProtobufCMessageDescriptor *type,
                                     grpc_byte_buffer *buffer)
{
    size_t size = grpc_byte_buffer_length(buffer);
    if (size == 0)
        return unpack_bytes(type, bytes_of("", 0));
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, buffer))
        return NULL;
    ProtobufCMessage *message = NULL;
    grpc_slice *first;
    if (buffer->data.raw.slice_buffer.count == 1 && grpc_byte_buffer_reader_peek(&reader, &first)) {
        message = unpack_bytes(type, rpc_slice_bytes(first));
    } else {
        uint8_t *data = gather(&reader, size);
        if (data != NULL)
            message = unpack_bytes(type, bytes_of(data, size));
        free(data);
    }
    grpc_byte_buffer_reader_destroy(&reader);
    return message;
}

void rpc_message_wipe(grpc_byte_buffer *buffer)
{
    grpc_slice_buffer *slices = buffer == NULL ? NULL : &buffer->data.raw.slice_buffer;
    for (size_t i = 0; slices != NULL && i < slices->count; i++)
        bytes_wipe(GRPC_SLICE_START_PTR(slices->slices[i]), GRPC_SLICE_LENGTH(slices->slices[i]));
}

ProtobufCMessage *rpc_reply_copy(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *data = malloc(size == 0 ? 1 : size);
    if (data == NULL)
        return NULL;
    (void)protobuf_c_message_pack(message, data);
    ProtobufCMessage *copy = protobuf_c_message_unpack(message->descriptor, NULL, size, data);
    free(data);
    return copy;
}

/* ---- metadata ------------------------------------------------------------------------- */

static grpc_slice copy_slice(struct bytes b)
{
    return grpc_slice_from_copied_buffer(b.size == 0 ? "" : (const char *)b.data, b.size);
}

static bool is_legal(const grpc_metadata *entry)
{
    return grpc_header_key_is_legal(entry->key) &&
           (grpc_is_binary_header(entry->key) || grpc_header_nonbin_value_is_legal(entry->value));
}

enum err rpc_metadata_to_core(const struct rpc_metadata *metadata, size_t count,
                              grpc_metadata **out)
{
    if (count == 0) {
        *out = NULL;
        return OK;
    }
    grpc_metadata *core = calloc(count, sizeof(*core));
    if (core == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        core[i].key = grpc_slice_from_copied_string(metadata[i].name);
        core[i].value = copy_slice(metadata[i].value);
        if (!is_legal(&core[i])) {
            rpc_metadata_free(core, i + 1);
            return ERR_INVALID;
        }
    }
    *out = core;
    return OK;
}

void rpc_metadata_free(grpc_metadata *metadata, size_t count)
{
    for (size_t i = 0; metadata != NULL && i < count; i++) {
        grpc_slice_unref(metadata[i].key);
        grpc_slice_unref(metadata[i].value);
    }
    free(metadata);
}

struct bytes rpc_metadata_find(const grpc_metadata_array *metadata, const char *name)
{
    for (size_t i = 0; i < metadata->count; i++) {
        if (bytes_equal_string(rpc_slice_bytes(&metadata->metadata[i].key), name))
            return rpc_slice_bytes(&metadata->metadata[i].value);
    }
    return bytes_of(NULL, 0);
}

/* ---- status --------------------------------------------------------------------------- */

/* Cuts what does not fit, never in the middle of a UTF-8 sequence: gRPC would have to send a
 * broken one to clients that check. */
static void set_text(struct rpc_status *status, struct bytes text)
{
    size_t size = text.size;
    if (size >= RPC_MESSAGE_SIZE) {
        size = RPC_MESSAGE_SIZE - 1;
        while (size > 0 && (text.data[size] & 0xC0) == 0x80)
            size--;
    }
    if (size > 0)
        memcpy(status->message, text.data, size);
    status->message[size] = '\0';
}

void rpc_status_set(struct rpc_status *status, enum rpc_code code, const char *format, ...)
{
    char text[RPC_MESSAGE_SIZE + 4]; /* one sequence more, so that set_text sees where to cut */
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    status->code = code;
    status->details = bytes_of(NULL, 0);
    set_text(status, size < 0 ? bytes_of(NULL, 0) : bytes_of_string(text));
}

void rpc_status_from_core(grpc_status_code code, const grpc_slice *text,
                          const grpc_metadata_array *trailing, struct rpc_status *out)
{
    out->code =
        (int)code < 0 || code > GRPC_STATUS_UNAUTHENTICATED ? RPC_UNKNOWN : (enum rpc_code)code;
    set_text(out, rpc_slice_bytes(text));
    utf8_repair(out->message); /* it goes into records and logs, and a peer may say anything */
    out->details = rpc_metadata_find(trailing, RPC_STATUS_DETAILS);
}

/* ---- options -------------------------------------------------------------------------- */

int rpc_option_size(size_t value, int fallback)
{
    if (value == 0)
        return fallback;
    return value > INT_MAX ? INT_MAX : (int)value;
}

int rpc_option_ms(int value, int fallback)
{
    return value <= 0 ? fallback : value;
}

#include "base/rpc/reflection.h"

#include <stdlib.h>

#include "base/rpc/descriptors.h"
#include "base/rpc/proto/reflection.pb-c.h"
#include "base/rpc/proto/rpc_health_descriptors.h"
#include "base/rpc/proto/rpc_reflection_descriptors.h"
#include "base/rpc/proto/rpc_reflection_v1alpha_descriptors.h"
#include "base/rpc/server.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest Request;
typedef Grpc__Reflection__V1__ServerReflectionResponse Response;

#define ASKS(what) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##what
#define ANSWERS(what) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##what

/* v1alpha is v1 under another name: the same messages on the wire. */
static const ProtobufCMethodDescriptor v1alpha_methods[] = {
    {.name = "ServerReflectionInfo",
     .input = &grpc__reflection__v1__server_reflection_request__descriptor,
     .output = &grpc__reflection__v1__server_reflection_response__descriptor},
};
static const unsigned v1alpha_order[] = {0};
static const ProtobufCServiceDescriptor v1alpha = {
    .magic = PROTOBUF_C__SERVICE_DESCRIPTOR_MAGIC,
    .name = "grpc.reflection.v1alpha.ServerReflection",
    .short_name = "ServerReflection",
    .c_name = "Grpc__Reflection__V1alpha__ServerReflection",
    .package = "grpc.reflection.v1alpha",
    .n_methods = 1,
    .methods = v1alpha_methods,
    .method_indices_by_name = v1alpha_order,
};

struct rpc_reflection {
    struct rpc_server *server;
    struct descriptors *descriptors;
};

void rpc_reflection_destroy(struct rpc_reflection *reflection)
{
    if (reflection == NULL)
        return;
    descriptors_destroy(reflection->descriptors);
    free(reflection);
}

enum err rpc_reflection_describe(struct rpc_reflection *reflection, struct bytes set)
{
    return descriptors_add(reflection->descriptors, set);
}

static enum err describe_own(struct rpc_reflection *reflection)
{
    const struct bytes sets[] = {
        bytes_of(rpc_health_descriptors, rpc_health_descriptors_size),
        bytes_of(rpc_reflection_descriptors, rpc_reflection_descriptors_size),
        bytes_of(rpc_reflection_v1alpha_descriptors, rpc_reflection_v1alpha_descriptors_size),
    };
    enum err e = OK;
    for (size_t i = 0; e == OK && i < sizeof(sets) / sizeof(sets[0]); i++)
        e = rpc_reflection_describe(reflection, sets[i]);
    return e;
}

enum err rpc_reflection_create(struct rpc_server *server, struct rpc_reflection **out)
{
    struct rpc_reflection *reflection = calloc(1, sizeof(*reflection));
    if (reflection == NULL)
        return ERR_NO_MEMORY;
    reflection->server = server;
    reflection->descriptors = descriptors_create();
    enum err e = reflection->descriptors == NULL ? ERR_NO_MEMORY : describe_own(reflection);
    if (e == OK)
        *out = reflection;
    else
        rpc_reflection_destroy(reflection);
    return e;
}

/* ---- answers -------------------------------------------------------------------------- */

/* Sends what the caller has put into it, and takes that out again: it is on the caller's stack.
 * A client that asks on and on without reading the answers is ended. */
static void send_response(struct rpc_stream *stream, Response *response)
{
    enum err e = rpc_stream_send(stream, &response->base);
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE__NOT_SET;
    response->error_response = NULL;
    if (e != OK && e != ERR_CLOSED)
        rpc_stream_finish(stream, RPC_RESOURCE_EXHAUSTED, "the answers are not read");
}

static void send_error(struct rpc_stream *stream, Response *response, enum rpc_code code,
                       char *text)
{
    Grpc__Reflection__V1__ErrorResponse error = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;
    error.error_code = (int32_t)code;
    error.error_message = text;
    response->message_response_case = ANSWERS(ERROR_RESPONSE);
    response->error_response = &error;
    send_response(stream, response);
}

static void send_files(const struct rpc_reflection *r, struct rpc_stream *stream,
                       Response *response, int file)
{
    if (file == DESCRIPTORS_NONE) {
        send_error(stream, response, RPC_NOT_FOUND, "not found");
        return;
    }
    size_t all = descriptors_file_count(r->descriptors);
    int *files = calloc(all, sizeof(*files));
    ProtobufCBinaryData *protos = calloc(all, sizeof(*protos));
    if (files == NULL || protos == NULL) {
        send_error(stream, response, RPC_RESOURCE_EXHAUSTED, "no memory");
    } else {
        Grpc__Reflection__V1__FileDescriptorResponse answer =
            GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
        answer.n_file_descriptor_proto = descriptors_closure(r->descriptors, file, files);
        answer.file_descriptor_proto = protos;
        for (size_t i = 0; i < answer.n_file_descriptor_proto; i++) {
            struct bytes b = descriptors_file(r->descriptors, files[i]);
            protos[i] = (ProtobufCBinaryData){.data = (uint8_t *)b.data, .len = b.size};
        }
        response->message_response_case = ANSWERS(FILE_DESCRIPTOR_RESPONSE);
        response->file_descriptor_response = &answer;
        send_response(stream, response);
    }
    free(protos);
    free(files);
}

static void send_services(const struct rpc_reflection *r, struct rpc_stream *stream,
                          Response *response)
{
    Grpc__Reflection__V1__ServiceResponse services[RPC_MAX_SERVICES];
    Grpc__Reflection__V1__ServiceResponse *pointers[RPC_MAX_SERVICES];
    Grpc__Reflection__V1__ListServiceResponse answer =
        GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
    const char *name;
    while ((name = rpc_server_service(r->server, answer.n_service)) != NULL) {
        size_t i = answer.n_service++;
        grpc__reflection__v1__service_response__init(&services[i]);
        services[i].name = (char *)name;
        pointers[i] = &services[i];
    }
    answer.service = pointers;
    response->message_response_case = ANSWERS(LIST_SERVICES_RESPONSE);
    response->list_services_response = &answer;
    send_response(stream, response);
}

static void send_numbers(const struct rpc_reflection *r, struct rpc_stream *stream,
                         Response *response, char *type)
{
    if (descriptors_find_symbol(r->descriptors, type) == DESCRIPTORS_NONE) {
        send_error(stream, response, RPC_NOT_FOUND, "not found");
        return;
    }
    size_t count = descriptors_extensions(r->descriptors, type, NULL, 0);
    int32_t *numbers = calloc(count + 1, sizeof(*numbers));
    if (numbers == NULL) {
        send_error(stream, response, RPC_RESOURCE_EXHAUSTED, "no memory");
        return;
    }
    Grpc__Reflection__V1__ExtensionNumberResponse answer =
        GRPC__REFLECTION__V1__EXTENSION_NUMBER_RESPONSE__INIT;
    answer.base_type_name = type;
    answer.n_extension_number = descriptors_extensions(r->descriptors, type, numbers, count);
    answer.extension_number = numbers;
    response->message_response_case = ANSWERS(ALL_EXTENSION_NUMBERS_RESPONSE);
    response->all_extension_numbers_response = &answer;
    send_response(stream, response);
    free(numbers);
}

static void on_request(void *context, struct rpc_stream *stream, const ProtobufCMessage *message)
{
    const struct rpc_reflection *r = context;
    const struct descriptors *d = r->descriptors;
    const Request *q = (const Request *)message;
    Response response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    response.valid_host = q->host;
    response.original_request = (Request *)q;
    switch (q->message_request_case) {
    case ASKS(FILE_BY_FILENAME):
        send_files(r, stream, &response, descriptors_find_file(d, q->file_by_filename));
        return;
    case ASKS(FILE_CONTAINING_SYMBOL):
        send_files(r, stream, &response, descriptors_find_symbol(d, q->file_containing_symbol));
        return;
    case ASKS(FILE_CONTAINING_EXTENSION):
        send_files(r, stream, &response,
                   descriptors_find_extension(d, q->file_containing_extension->containing_type,
                                              q->file_containing_extension->extension_number));
        return;
    case ASKS(ALL_EXTENSION_NUMBERS_OF_TYPE):
        send_numbers(r, stream, &response, q->all_extension_numbers_of_type);
        return;
    case ASKS(LIST_SERVICES): send_services(r, stream, &response); return;
    default:
        send_error(stream, &response, RPC_INVALID_ARGUMENT, "the request asks for nothing known");
        return;
    }
}

static void on_half_close(void *context, struct rpc_stream *stream)
{
    (void)context;
    rpc_stream_finish(stream, RPC_OK, "");
}

static void on_end(void *context, struct rpc_stream *stream, const struct rpc_status *status)
{
    (void)context;
    (void)status;
    rpc_stream_release(stream);
}

static void handle_info(void *context, const struct rpc_peer *peer, struct rpc_stream *stream,
                        struct rpc_stream_events *out_events, void **out_context,
                        struct rpc_status *out_status)
{
    (void)peer;
    (void)stream;
    *out_events = (struct rpc_stream_events){
        .on_message = on_request, .on_half_close = on_half_close, .on_end = on_end};
    *out_context = context;
    rpc_status_set(out_status, RPC_OK, "%s", "");
}

enum err rpc_reflection_serve(struct rpc_reflection *reflection)
{
    static const struct rpc_method methods[] = {
        {.name = "ServerReflectionInfo", .stream = handle_info},
        {.name = NULL},
    };
    enum err e =
        rpc_server_add(reflection->server, &grpc__reflection__v1__server_reflection__descriptor,
                       methods, reflection);
    return e == OK ? rpc_server_add(reflection->server, &v1alpha, methods, reflection) : e;
}

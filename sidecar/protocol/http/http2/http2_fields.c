#include "sidecar/protocol/http/http2/http2_fields.h"

#include <inttypes.h>
#include <stdio.h>

struct name {
    const char *text;
    size_t size;
};

#define NAME(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

/* Fields that HPACK may keep in its table. All others go as never-indexed literals (RFC 7541
 * section 7.1.3): a credential may be in a field of any name, because the operator names it, and
 * what is in the table can be guessed from the size of later heads. */
static const struct name indexed[] = {
    NAME("accept"),
    NAME("accept-encoding"),
    NAME("accept-language"),
    NAME("accept-ranges"),
    NAME("cache-control"),
    NAME("content-encoding"),
    NAME("content-type"),
    NAME("grpc-accept-encoding"),
    NAME("grpc-encoding"),
    NAME("grpc-status"),
    NAME("server"),
    NAME("strict-transport-security"),
    NAME("user-agent"),
    NAME("vary"),
    NAME("access-control-allow-origin"),
};

/* What is of one connection, or is said by the message's own members (http_message.h). */
static const struct name left_out[] = {
    NAME("connection"), NAME("content-length"),   NAME("host"), NAME("http2-settings"),
    NAME("keep-alive"), NAME("proxy-connection"), NAME("te"),   NAME("transfer-encoding"),
    NAME("upgrade"),
};

static bool is_in(struct bytes name, const struct name *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (name.size == list[i].size && memcmp(name.data, list[i].text, name.size) == 0) {
            return true;
        }
    }
    return false;
}

#define IS_IN(name, list) is_in((name), (list), sizeof(list) / sizeof((list)[0]))

static bool add(struct http2_pairs *p, struct bytes name, struct bytes value, uint8_t flags)
{
    if (p->count == HTTP2_PAIRS_MAX ||
        nghttp2_check_header_value_rfc9113(value.data, value.size) == 0) {
        return false;
    }
    /* nghttp2 does not write through these; it is its structure that has no const. */
    p->items[p->count++] = (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name.data,
        .namelen = name.size,
        .value = (uint8_t *)(uintptr_t)value.data,
        .valuelen = value.size,
        .flags = flags,
    };
    return true;
}

static bool add_named(struct http2_pairs *p, const char *name, struct bytes value)
{
    return add(p, bytes_of_string(name), value, NGHTTP2_NV_FLAG_NONE);
}

static bool add_fields(struct http2_pairs *p, const struct http_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        struct http_field f = fields->items[i];
        if (IS_IN(f.name, left_out)) {
            continue;
        }
        uint8_t flags = IS_IN(f.name, indexed) ? NGHTTP2_NV_FLAG_NONE : NGHTTP2_NV_FLAG_NO_INDEX;
        if (f.name.size == 0 || f.name.data[0] == ':' ||
            nghttp2_check_header_name(f.name.data, f.name.size) == 0 ||
            !add(p, f.name, f.value, flags)) {
            return false;
        }
    }
    return true;
}

static bool add_size(struct http2_pairs *p, int64_t size)
{
    (void)snprintf(p->size, sizeof(p->size), "%" PRId64, size);
    return add_named(p, "content-length", bytes_of_string(p->size));
}

/* gRPC's servers insist on it, and a TE of the agent's own connection does not come here. It is
 * true: trailers are forwarded. */
static bool add_te_of_grpc(struct http2_pairs *p, const struct http_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        struct http_field f = fields->items[i];
        if (bytes_equal_string(f.name, "content-type") && f.value.size >= 16 &&
            memcmp(f.value.data, "application/grpc", 16) == 0) {
            return add_named(p, "te", bytes_of_string("trailers"));
        }
    }
    return true;
}

bool http2_pairs_of_request(struct http2_pairs *p, const struct http_request *request,
                            bool has_body)
{
    p->count = 0;
    bool is_connect = bytes_equal_string(request->method, "CONNECT");
    if (request->is_websocket || request->method.size == 0 || request->authority.size == 0 ||
        (!is_connect && request->target.size == 0)) {
        return false;
    }
    struct bytes scheme = request->scheme.size > 0 ? request->scheme : bytes_of_string("https");
    return add_named(p, ":method", request->method) &&
           (is_connect || add_named(p, ":scheme", scheme)) &&
           add_named(p, ":authority", request->authority) &&
           (is_connect || add_named(p, ":path", request->target)) &&
           add_fields(p, &request->fields) && add_te_of_grpc(p, &request->fields) &&
           (!request->expects_continue ||
            add_named(p, "expect", bytes_of_string("100-continue"))) &&
           (is_connect || !has_body || request->body_size < 0 || add_size(p, request->body_size));
}

bool http2_pairs_of_response(struct http2_pairs *p, const struct http_response *response)
{
    p->count = 0;
    unsigned status = response->status;
    if (status < 100 || status > 599 || status == 101 || response->is_websocket) {
        return false;
    }
    (void)snprintf(p->status, sizeof(p->status), "%u", status % 1000);
    /* RFC 9110 section 8.6: never with 1xx and 204. */
    bool has_size = response->body_size >= 0 && status >= 200 && status != 204;
    return add_named(p, ":status", bytes_of_string(p->status)) &&
           add_fields(p, &response->fields) && (!has_size || add_size(p, response->body_size));
}

bool http2_pairs_of_trailers(struct http2_pairs *p, const struct http_fields *trailers)
{
    p->count = 0;
    return add_fields(p, trailers);
}

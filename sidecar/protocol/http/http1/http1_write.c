#include "sidecar/protocol/http/http1/http1_write.h"

#include "sidecar/protocol/http/http1/http1_fields.h"
#include "sidecar/protocol/http/http1/http1_filter.h"
#include "sidecar/protocol/http/http_rules.h"
#include "sidecar/protocol/http/http_status.h"

enum {
    FIELD_LINE = 4,   /* ": " and CR LF */
    LINES_SIZE = 192, /* what is added to the fields, without authority and target */
    /* Of a head: its parts are capped by whoever read them, so that this is never reached. */
    WRITTEN_MAX = 4 * HTTP_HEAD_MAX,
};

/* A pen that was given all the room it needs. */
struct pen {
    uint8_t *at;
};

static void put(struct pen *p, struct bytes b)
{
    if (b.size > 0) {
        memcpy(p->at, b.data, b.size);
        p->at += b.size;
    }
}

static void put_text(struct pen *p, const char *text)
{
    put(p, bytes_of_string(text));
}

static void put_number(struct pen *p, uint64_t number)
{
    uint8_t digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put(p, bytes_of(digits + at, sizeof(digits) - at));
}

static bool is_value(struct bytes b)
{
    for (size_t i = http_rules_skip_text(b, 0); i < b.size; i++) {
        if ((b.data[i] < ' ' && b.data[i] != '\t') || b.data[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

/* Of a start line or Host: nothing that ends a word. */
static bool is_word(struct bytes b)
{
    for (size_t i = 0; i < b.size; i++) {
        if (b.data[i] <= ' ' || b.data[i] >= 0x7f) {
            return false;
        }
    }
    return true;
}

static bool are_fields(const struct http_fields *fields, size_t *size)
{
    for (size_t i = 0; i < fields->count; i++) {
        const struct http_field *f = &fields->items[i];
        if (!http_rules_is_token(f->name) || !is_value(f->value)) {
            return false;
        }
        *size += f->name.size + f->value.size + FIELD_LINE;
    }
    return true;
}

static void put_field(struct pen *p, struct bytes name, struct bytes value)
{
    put(p, name);
    put(p, bytes_of(": ", 2));
    put(p, value);
    put(p, bytes_of("\r\n", 2));
}

static void put_fields(struct pen *p, const struct http_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        if (!http1_fields_is_own(fields->items[i].name)) {
            put_field(p, fields->items[i].name, fields->items[i].value);
        }
    }
}

static void put_lines(struct pen *p, const struct http1_head_lines *lines)
{
    if (lines->connection != NULL) {
        put_field(p, bytes_of_string("connection"), bytes_of_string(lines->connection));
    }
    if (lines->upgrades) {
        put_text(p, "upgrade: websocket\r\n");
    }
    if (lines->is_chunked) {
        put_text(p, "transfer-encoding: chunked\r\n");
    } else if (lines->says_length) {
        put_text(p, "content-length: ");
        put_number(p, lines->length > 0 ? (uint64_t)lines->length : 0);
        put_text(p, "\r\n");
    }
    put_text(p, "\r\n");
}

/* Room in one piece: growing in steps would leave copies of a credential behind. */
static enum err open_pen(struct buffer *out, size_t size, struct pen *pen)
{
    if (size > WRITTEN_MAX) {
        return ERR_LIMIT;
    }
    pen->at = buffer_reserve(out, size);
    return pen->at == NULL ? ERR_NO_MEMORY : OK;
}

static void close_pen(struct buffer *out, const struct pen *pen)
{
    buffer_commit(out, (size_t)(pen->at - (out->data + out->end)));
}

enum err http1_write_request(struct buffer *out, const struct http_request *request,
                             const struct http1_head_lines *lines)
{
    size_t size =
        LINES_SIZE + request->method.size + request->target.size + 2 * request->authority.size;
    bool is_connect = bytes_equal_string(request->method, "CONNECT");
    struct bytes target = is_connect ? request->authority : request->target;
    if (!http_rules_is_token(request->method) || target.size == 0 || !is_word(target) ||
        !is_word(request->authority) || !are_fields(&request->fields, &size)) {
        return ERR_INVALID;
    }
    struct pen p;
    enum err e = open_pen(out, size, &p);
    if (e != OK) {
        return e;
    }
    put(&p, request->method);
    put_text(&p, " ");
    put(&p, target);
    put_text(&p, " HTTP/1.1\r\n");
    put_field(&p, bytes_of_string("host"), request->authority);
    put_fields(&p, &request->fields);
    if (request->expects_continue) {
        put_text(&p, "expect: 100-continue\r\n");
    }
    put_lines(&p, lines);
    close_pen(out, &p);
    return OK;
}

enum err http1_write_response(struct buffer *out, const struct http_response *response,
                              const struct http1_head_lines *lines)
{
    size_t size = LINES_SIZE;
    if (response->status < 100 || response->status > 599 || !are_fields(&response->fields, &size)) {
        return ERR_INVALID;
    }
    struct pen p;
    enum err e = open_pen(out, size, &p);
    if (e != OK) {
        return e;
    }
    put_text(&p, "HTTP/1.1 ");
    put_number(&p, response->status);
    put_text(&p, " ");
    /* RFC 9112 section 4: nobody is to look at the reason; people do. */
    put_text(&p, http_status_reason(response->status));
    put_text(&p, "\r\n");
    put_fields(&p, &response->fields);
    put_lines(&p, lines);
    close_pen(out, &p);
    return OK;
}

enum err http1_write_trailers(struct buffer *out, const struct http_fields *trailers)
{
    static const struct http_fields none = {0};
    const struct http_fields *fields = trailers == NULL ? &none : trailers;
    size_t size = LINES_SIZE;
    if (!are_fields(fields, &size)) {
        return ERR_INVALID;
    }
    struct pen p;
    enum err e = open_pen(out, size, &p);
    if (e != OK) {
        return e;
    }
    put_text(&p, "0\r\n");
    for (size_t i = 0; i < fields->count; i++) {
        if (http1_fields_may_trail(fields->items[i].name)) {
            put_field(&p, fields->items[i].name, fields->items[i].value);
        }
    }
    put_text(&p, "\r\n");
    close_pen(out, &p);
    return OK;
}

#include "sidecar/protocol/http/http2/http2_testing.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cursor.h"

static void line(struct testing_side *side, const char *format, ...) PRINTF_LIKE(2, 3);
static void line(struct testing_side *side, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    const char *newline = side->last_data != 0 ? "\n" : "";
    side->last_data = 0;
    assert_int_equal(buffer_append_format(&side->log, "%s%s\n", newline, text), OK);
}

#define TEXT(b) (int)(b).size, (const char *)(b).data

static void fields(struct testing_side *side, const struct http_fields *f)
{
    for (size_t i = 0; i < f->count; i++) {
        line(side, "  %.*s: %.*s", TEXT(f->items[i].name), TEXT(f->items[i].value));
    }
}

static void on_write(void *context, struct bytes b)
{
    struct testing_side *side = context;
    assert_true(b.size > 0);
    side->writes++;
    assert_int_equal(buffer_append(&side->out, b), OK);
}

static void on_request(void *context, uint32_t stream, const struct http_request *r)
{
    struct testing_side *side = context;
    line(side, "request %u %.*s %.*s %.*s %.*s size=%lld%s", stream, TEXT(r->method),
         TEXT(r->scheme), TEXT(r->authority), TEXT(r->target), (long long)r->body_size,
         r->expects_continue ? " expects-continue" : "");
    fields(side, &r->fields);
    if (side->on_request != NULL) {
        side->on_request(side, stream);
    }
}

static void on_informational(void *context, uint32_t stream, const struct http_response *r)
{
    struct testing_side *side = context;
    line(side, "informational %u %u", stream, r->status);
    fields(side, &r->fields);
}

static void on_response(void *context, uint32_t stream, const struct http_response *r)
{
    struct testing_side *side = context;
    line(side, "response %u %u size=%lld%s", stream, r->status, (long long)r->body_size,
         r->has_body ? " body" : "");
    fields(side, &r->fields);
}

static void on_data(void *context, uint32_t stream, struct bytes data)
{
    struct testing_side *side = context;
    assert_true(data.size > 0);
    side->received += data.size;
    if (side->keeps_data) {
        return;
    }
    if (side->last_data != stream) {
        line(side, "data %u", stream);
        side->log.end--;
        assert_int_equal(buffer_append_string(&side->log, " "), OK);
        side->last_data = stream;
    }
    assert_int_equal(buffer_append(&side->log, data), OK);
    side->codec->ops->consumed(side->codec, stream, data.size);
}

static void on_trailers(void *context, uint32_t stream, const struct http_fields *trailers)
{
    line(context, "trailers %u", stream);
    fields(context, trailers);
}

static void on_end(void *context, uint32_t stream)
{
    struct testing_side *side = context;
    line(side, "end %u", stream);
    if (side->on_end != NULL) {
        side->on_end(side, stream);
    }
}

static void on_failed(void *context, uint32_t stream, enum http_problem problem, const char *why)
{
    static const char *const names[] = {
        [HTTP_PROBLEM_NONE] = "none",
        [HTTP_PROBLEM_MALFORMED] = "malformed",
        [HTTP_PROBLEM_TOO_LARGE] = "too-large",
        [HTTP_PROBLEM_TARGET_TOO_LONG] = "target-too-long",
        [HTTP_PROBLEM_UNSUPPORTED] = "unsupported",
        [HTTP_PROBLEM_CANCELLED] = "cancelled",
        [HTTP_PROBLEM_PROTOCOL] = "protocol",
        [HTTP_PROBLEM_ENDED] = "ended",
        [HTTP_PROBLEM_NO_MEMORY] = "no-memory",
    };
    assert_non_null(why);
    assert_true(strlen(why) > 1 && why[strlen(why) - 1] != '.');
    line(context, "failed %u %s", stream, names[problem]);
}

static void on_drained(void *context, uint32_t stream)
{
    struct testing_side *side = context;
    if (!side->hides_drained) {
        line(side, "drained %u", stream);
    }
    if (side->on_drained != NULL) {
        side->on_drained(side, stream);
    }
}

static void on_going_away(void *context, uint32_t last_stream)
{
    line(context, "away %u", last_stream);
}

static const struct http_codec_events events = {
    .write = on_write,
    .on_request = on_request,
    .on_informational = on_informational,
    .on_response = on_response,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_end = on_end,
    .on_failed = on_failed,
    .on_drained = on_drained,
    .on_going_away = on_going_away,
};

void testing_start(struct testing_side *side, bool is_server)
{
    *side = (struct testing_side){0};
    buffer_init(&side->log, 16 << 20);
    buffer_init(&side->out, 64 << 20);
    side->codec =
        is_server ? http2_server_create(&events, side) : http2_client_create(&events, side);
    assert_non_null(side->codec);
}

void testing_finish(struct testing_side *side)
{
    side->codec->ops->destroy(side->codec);
    buffer_finish(&side->log);
    buffer_finish(&side->out);
}

const char *testing_log(struct testing_side *side)
{
    uint8_t *room = buffer_reserve(&side->log, 1);
    assert_non_null(room);
    *room = '\0';
    return (const char *)buffer_bytes(&side->log).data;
}

void testing_forget(struct testing_side *side)
{
    buffer_clear(&side->log);
    side->last_data = 0;
}

void testing_feed(struct testing_side *side, struct bytes in, size_t piece)
{
    while (in.size > 0) {
        size_t n = in.size < piece ? in.size : piece;
        /* A copy of just this size: reading beyond it would be seen. */
        uint8_t *copy = malloc(n);
        assert_non_null(copy);
        memcpy(copy, in.data, n);
        assert_int_equal(side->codec->ops->feed(side->codec, bytes_of(copy, n)), n);
        free(copy);
        in = bytes_of(in.data + n, in.size - n);
    }
}

static bool give(struct testing_side *from, struct testing_side *to)
{
    if (buffer_size(&from->out) == 0) {
        return false;
    }
    struct buffer taken = from->out;
    buffer_init(&from->out, taken.cap);
    testing_feed(to, buffer_bytes(&taken), SIZE_MAX);
    buffer_finish(&taken);
    return true;
}

void testing_exchange(struct testing_side *a, struct testing_side *b)
{
    while (give(a, b) || give(b, a)) {
    }
}

static void put(struct buffer *out, uint32_t value, unsigned bytes)
{
    for (; bytes > 0; bytes--) {
        uint8_t byte = (uint8_t)(value >> (8 * (bytes - 1)));
        assert_int_equal(buffer_append(out, bytes_of(&byte, 1)), OK);
    }
}

/* "{name=value}"; returns what follows. */
static const char *put_field(struct buffer *out, const char *at)
{
    const char *name = at + 1, *end = strchr(at, '}');
    assert_non_null(end);
    const char *value = memchr(name, '=', (size_t)(end - name));
    assert_non_null(value);
    assert_true(value - name < 127 && end - value < 127);
    put(out, 0, 1);
    put(out, (uint32_t)(value - name), 1);
    assert_int_equal(buffer_append(out, bytes_of(name, (size_t)(value - name))), OK);
    put(out, (uint32_t)(end - value - 1), 1);
    assert_int_equal(buffer_append(out, bytes_of(value + 1, (size_t)(end - value - 1))), OK);
    return end + 1;
}

static uint32_t number(const char **at, int base)
{
    char *end = NULL;
    unsigned long value = strtoul(*at, &end, base);
    *at = end;
    return (uint32_t)value;
}

/* RFC 7541 appendix A: 2 and 3 are the methods, 4 the path "/", 7 https, 1 :authority. */
static const char *put_alias(struct buffer *out, const char *at)
{
    bool is_get = strncmp(at, "@get", 4) == 0;
    assert_true(is_get || strncmp(at, "@post", 5) == 0);
    put(out, is_get ? 0x82 : 0x83, 1);
    put(out, 0x878401, 3);
    put(out, 0x0161, 2);
    return at + (is_get ? 4 : 5);
}

static const char *put_payload(struct buffer *out, const char *at)
{
    while (*at != '\0' && *at != ' ') {
        if (*at == '@') {
            at = put_alias(out, at);
        } else if (*at == '{') {
            at = put_field(out, at);
        } else if (*at == '*') {
            at++;
            uint32_t count = number(&at, 10);
            at++;
            uint32_t byte = number(&at, 16);
            for (; count > 0; count--) {
                put(out, byte, 1);
            }
        } else {
            char digits[3] = {at[0], at[1], '\0'};
            assert_true(isxdigit(at[0]) && isxdigit(at[1]));
            put(out, (uint32_t)strtoul(digits, NULL, 16), 1);
            at += 2;
        }
    }
    return at;
}

static const char *const types[] = {"data", "headers", "priority", "rst",    "settings",
                                    "push", "ping",    "goaway",   "window", "continuation"};

static const char *put_frame(struct buffer *out, const char *at)
{
    const char *colon = strchr(at, ':');
    assert_non_null(colon);
    uint32_t type = 0;
    for (; type < sizeof(types) / sizeof(types[0]); type++) {
        if (strlen(types[type]) == (size_t)(colon - at) &&
            memcmp(types[type], at, strlen(types[type])) == 0) {
            break;
        }
    }
    /* "unknown": 10 and above have no meaning here. */
    at = colon + 1;
    type = type == sizeof(types) / sizeof(types[0]) ? 0x7f : type;
    uint32_t flags = number(&at, 16);
    at++;
    uint32_t stream = number(&at, 16);
    struct buffer payload;
    buffer_init(&payload, 1 << 20);
    bool has_length = *at == '+';
    at++;
    uint32_t length = has_length ? number(&at, 10) : 0;
    at += has_length ? 1 : 0;
    at = put_payload(&payload, at);
    put(out, has_length ? length : (uint32_t)buffer_size(&payload), 3);
    put(out, type, 1);
    put(out, flags, 1);
    put(out, stream, 4);
    assert_int_equal(buffer_append(out, buffer_bytes(&payload)), OK);
    buffer_finish(&payload);
    return at;
}

void testing_frames(struct buffer *out, const char *text)
{
    while (*text != '\0') {
        if (*text == ' ') {
            text++;
        } else if (strncmp(text, "preface", 7) == 0) {
            assert_int_equal(buffer_append_string(out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), OK);
            text += 7;
        } else if (strncmp(text, "garbage", 7) == 0) {
            assert_int_equal(buffer_append_string(out, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), OK);
            text += 7;
        } else {
            text = put_frame(out, text);
        }
    }
}

void testing_describe(struct bytes in, char *out, size_t size)
{
    struct cursor c = cursor_of(in);
    size_t at = 0;
    out[0] = '\0';
    if (in.size >= 24 && memcmp(in.data, "PRI ", 4) == 0) {
        (void)cursor_read_bytes(&c, 24);
    }
    while (c.remaining >= 9) {
        uint32_t length = (uint32_t)cursor_read_u8(&c) << 16;
        length |= cursor_read_u16(&c);
        uint8_t type = cursor_read_u8(&c), flags = cursor_read_u8(&c);
        uint32_t stream = cursor_read_u32(&c);
        struct cursor payload = cursor_of(cursor_read_bytes(&c, length));
        assert_false(c.failed);
        assert_true(type < sizeof(types) / sizeof(types[0]));
        char text[64] = "";
        if (type == 3) {
            (void)snprintf(text, sizeof(text), "rst:%u:%u", stream, cursor_read_u32(&payload));
        } else if (type == 7) {
            uint32_t last = cursor_read_u32(&payload);
            (void)snprintf(text, sizeof(text), "goaway:%u:%u", last, cursor_read_u32(&payload));
        } else if ((type == 4 || type == 6) && (flags & 1) != 0) {
            (void)snprintf(text, sizeof(text), "%s-ack", types[type]);
        } else if (type == 0 || type == 1) {
            (void)snprintf(text, sizeof(text), "%s:%u%s", types[type], stream,
                           (flags & 1) != 0 ? ":end" : "");
        } else if (type != 4 && type != 8) {
            (void)snprintf(text, sizeof(text), "%s", types[type]);
        }
        if (text[0] != '\0') {
            at += (size_t)snprintf(out + at, size - at, "%s%s", at > 0 ? " " : "", text);
            assert_true(at < size);
        }
    }
    assert_int_equal(c.remaining, 0);
}

struct http_fields testing_fields(const char *text, struct http_field *into)
{
    size_t count = 0;
    while (*text != '\0') {
        const char *value = strchr(text, '=');
        const char *end = text + strcspn(text, " ");
        assert_true(value != NULL && value < end && count < 8);
        into[count++] = (struct http_field){
            .name = bytes_of(text, (size_t)(value - text)),
            .value = bytes_of(value + 1, (size_t)(end - value - 1)),
        };
        text = *end == ' ' ? end + 1 : end;
    }
    return (struct http_fields){.items = into, .count = count};
}

struct http_request testing_request(const char *method, const char *target)
{
    return (struct http_request){
        .version = HTTP_2,
        .method = bytes_of_string(method),
        .scheme = bytes_of_string("https"),
        .authority = bytes_of_string("api.test"),
        .target = bytes_of_string(target),
        .body_size = HTTP_SIZE_UNKNOWN,
    };
}

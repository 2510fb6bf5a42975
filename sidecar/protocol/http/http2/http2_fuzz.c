/* The first byte chooses the side and how the rest is cut. Whatever a peer sends: heads are what
 * http_message.h says, the events of a stream come in their order, a body has the size that was
 * declared, and nothing comes after the end. */
#include <stdlib.h>

#include "sidecar/protocol/http/http_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEEN_MAX = 512 };

struct seen {
    uint32_t stream;
    enum { SEEN_NOTHING, SEEN_HEAD, SEEN_TRAILERS, SEEN_END, SEEN_FAILED } state;
    int64_t declared; /* of the body */
    int64_t got;
};

struct fuzz {
    struct http_codec *codec;
    bool is_server, is_dead;
    struct seen seen[SEEN_MAX];
    size_t count;
};

static void expect(bool holds)
{
    if (!holds) {
        abort();
    }
}

static struct seen *seen_of(struct fuzz *f, uint32_t stream)
{
    expect(stream != 0 && stream % 2 == 1 && !f->is_dead);
    for (size_t i = 0; i < f->count; i++) {
        if (f->seen[i].stream == stream) {
            return &f->seen[i];
        }
    }
    if (f->count == SEEN_MAX) { /* more than one input needs */
        f->count = 0;
    }
    f->seen[f->count] = (struct seen){.stream = stream};
    return &f->seen[f->count++];
}

static bool has(struct bytes b, uint8_t byte)
{
    return b.size > 0 && memchr(b.data, byte, b.size) != NULL;
}

static void expect_field(struct http_field f)
{
    static const char *const never[] = {
        "connection", "content-length",   "host",    "http2-settings",    "keep-alive",
        "te",         "proxy-connection", "upgrade", "transfer-encoding",
    };
    expect(f.name.size > 0 && f.name.data[0] != ':');
    for (size_t i = 0; i < f.name.size; i++) {
        uint8_t c = f.name.data[i];
        expect(c > ' ' && c < 0x7f && c != ':' && (c < 'A' || c > 'Z'));
    }
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
        expect(!bytes_equal_string(f.name, never[i]));
    }
    expect(!has(f.value, '\0') && !has(f.value, '\r') && !has(f.value, '\n'));
    expect(f.value.size == 0 ||
           (f.value.data[0] != ' ' && f.value.data[0] != '\t' &&
            f.value.data[f.value.size - 1] != ' ' && f.value.data[f.value.size - 1] != '\t'));
}

static void expect_fields(const struct http_fields *fields)
{
    size_t size = 0;
    expect(fields->count <= HTTP_FIELDS_MAX);
    for (size_t i = 0; i < fields->count; i++) {
        expect_field(fields->items[i]);
        size += fields->items[i].name.size + fields->items[i].value.size;
    }
    expect(size <= HTTP_HEAD_MAX);
}

static void on_write(void *context, struct bytes b)
{
    (void)context;
    /* Whether all of it is there is for the sanitizer to see. */
    uint8_t *copy = malloc(b.size);
    expect(b.size > 0 && copy != NULL);
    memcpy(copy, b.data, b.size);
    free(copy);
}

static void answer(struct fuzz *f, uint32_t stream, bool has_body)
{
    struct http_field field = {bytes_of_string("x-answer"), bytes_of_string("yes")};
    struct http_fields fields = {.items = &field, .count = 1};
    struct http_response r = {
        .version = HTTP_2,
        .status = 200,
        .fields = fields,
        .body_size = HTTP_SIZE_UNKNOWN,
        .has_body = has_body,
    };
    static uint8_t body[70000];
    f->codec->ops->send_response(f->codec, stream, &r);
    if (has_body) {
        f->codec->ops->send_data(f->codec, stream, bytes_of(body, sizeof(body)));
        f->codec->ops->send_end(f->codec, stream, stream % 3 == 0 ? &fields : NULL);
    }
}

static void on_request(void *context, uint32_t stream, const struct http_request *r)
{
    struct fuzz *f = context;
    struct seen *s = seen_of(f, stream);
    expect(f->is_server && s->state == SEEN_NOTHING);
    s->state = SEEN_HEAD;
    s->declared = r->body_size;
    bool is_connect = bytes_equal_string(r->method, "CONNECT");
    expect(r->version == HTTP_2 && r->method.size > 0 && r->authority.size > 0);
    expect(!has(r->authority, '@') && !has(r->authority, ' ') && !has(r->authority, '/'));
    expect(is_connect ? r->target.size == 0 : r->target.size > 0);
    expect(is_connect || r->target.data[0] == '/' || bytes_equal_string(r->target, "*"));
    expect(r->target.size <= HTTP_TARGET_MAX && !has(r->target, '#') && !has(r->target, ' '));
    expect(!r->is_websocket && !r->is_absolute);
    expect_fields(&r->fields);
    if (stream % 7 == 0) {
        f->codec->ops->reset(f->codec, stream, HTTP_PROBLEM_CANCELLED);
    } else if (stream % 5 == 0) {
        answer(f, stream, true);
    }
}

static void on_informational(void *context, uint32_t stream, const struct http_response *r)
{
    struct fuzz *f = context;
    expect(!f->is_server && seen_of(f, stream)->state == SEEN_NOTHING);
    expect(r->status >= 100 && r->status < 200 && r->status != 101 && !r->has_body);
    expect_fields(&r->fields);
}

static void on_response(void *context, uint32_t stream, const struct http_response *r)
{
    struct fuzz *f = context;
    struct seen *s = seen_of(f, stream);
    expect(!f->is_server && s->state == SEEN_NOTHING);
    expect(r->status >= 200 && r->status <= 599 && !r->is_websocket);
    s->state = SEEN_HEAD;
    /* Stream 3 was HEAD. */
    s->declared = r->has_body ? r->body_size : 0;
    expect_fields(&r->fields);
}

static void on_data(void *context, uint32_t stream, struct bytes data)
{
    struct fuzz *f = context;
    struct seen *s = seen_of(f, stream);
    expect(s->state == SEEN_HEAD && data.size > 0);
    s->got += (int64_t)data.size;
    expect(s->declared < 0 || s->got <= s->declared);
    if (stream % 4 != 3) {
        f->codec->ops->consumed(f->codec, stream, data.size);
    }
}

static void on_trailers(void *context, uint32_t stream, const struct http_fields *trailers)
{
    struct seen *s = seen_of(context, stream);
    expect(s->state == SEEN_HEAD && trailers->count > 0);
    s->state = SEEN_TRAILERS;
    expect_fields(trailers);
}

static void on_end(void *context, uint32_t stream)
{
    struct fuzz *f = context;
    struct seen *s = seen_of(f, stream);
    expect(s->state == SEEN_HEAD || s->state == SEEN_TRAILERS);
    expect(s->declared < 0 || s->got == s->declared);
    s->state = SEEN_END;
    if (f->is_server) {
        answer(f, stream, stream % 2 == 1);
    }
}

static void on_failed(void *context, uint32_t stream, enum http_problem problem, const char *why)
{
    struct fuzz *f = context;
    expect(problem != HTTP_PROBLEM_NONE && why != NULL && !f->is_dead);
    if (stream == 0) {
        f->is_dead = true;
        return;
    }
    struct seen *s = seen_of(f, stream);
    expect(s->state != SEEN_FAILED && (s->state != SEEN_END || f->is_server));
    if (s->state == SEEN_NOTHING && f->is_server) {
        answer(f, stream, true);
    }
    s->state = SEEN_FAILED;
}

static void on_stream(void *context, uint32_t stream)
{
    (void)context, (void)stream;
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
    .on_drained = on_stream,
    .on_going_away = on_stream,
};

static void request(struct fuzz *f, const char *method, bool has_body)
{
    struct http_request r = {
        .version = HTTP_2,
        .method = bytes_of_string(method),
        .scheme = bytes_of_string("https"),
        .authority = bytes_of_string("a"),
        .target = bytes_of_string("/"),
        .body_size = HTTP_SIZE_UNKNOWN,
    };
    static uint8_t body[70000];
    uint32_t id = f->codec->ops->send_request(f->codec, &r, has_body);
    if (has_body && id != 0) {
        f->codec->ops->send_data(f->codec, id, bytes_of(body, sizeof(body)));
    }
}

/* The input begins with the preface or SETTINGS; bit 1 of the choice gives it that. */
static void begin(struct fuzz *f, bool needs_preface)
{
    static const char magic[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    static const uint8_t settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    if (!f->is_server) {
        request(f, "GET", false);
        request(f, "HEAD", false);
        request(f, "POST", true);
    } else if (needs_preface) {
        (void)f->codec->ops->feed(f->codec, bytes_of_string(magic));
    }
    if (needs_preface) {
        (void)f->codec->ops->feed(f->codec, bytes_of(settings, sizeof(settings)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz f;
    if (size == 0) {
        return 0;
    }
    uint8_t choice = data[0];
    size_t piece = (choice & 0xfc) == 0 ? size : (size_t)(choice >> 2);
    f = (struct fuzz){.is_server = (choice & 1) == 0};
    f.codec = f.is_server ? http2_server_create(&events, &f) : http2_client_create(&events, &f);
    expect(f.codec != NULL);
    begin(&f, (choice & 2) == 0);
    for (size_t at = 1; at < size; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        expect(f.codec->ops->feed(f.codec, bytes_of(data + at, n)) == n);
    }
    f.codec->ops->feed_end(f.codec);
    f.codec->ops->destroy(f.codec);
    return 0;
}

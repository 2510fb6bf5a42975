#include "sidecar/protocol/postgres/pg_types.h"

#include "sidecar/protocol/postgres/pg_types_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

/* ---- the sink ----------------------------------------------------------------------------- */

/* The size of a prefix of at most `size` bytes that does not end within a character. */
static size_t utf8_floor(struct bytes text, size_t size)
{
    size_t at = size;
    while (at > 0 && size - at < 3 && (text.data[at] & 0xc0) == 0x80) {
        at--;
    }
    /* Only bytes that go on, further back than a character is long: this is not UTF-8. */
    return (text.data[at] & 0xc0) == 0x80 ? size : at;
}

void pg_sink_put(struct pg_sink *sink, struct bytes text)
{
    if (sink->is_full || sink->no_memory) {
        return;
    }
    if (text.size > sink->left) {
        text.size = utf8_floor(text, sink->left);
        sink->is_full = true;
    }
    if (buffer_append(sink->out, text) != OK) {
        sink->no_memory = true; /* the buffer's cap is not below `left` */
        return;
    }
    sink->left -= text.size;
}

void pg_sink_put_text(struct pg_sink *sink, const char *text)
{
    pg_sink_put(sink, bytes_of_string(text));
}

void pg_sink_put_format(struct pg_sink *sink, const char *format, ...)
{
    char text[64];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    pg_sink_put_text(sink, text);
}

/* ---- simple types --------------------------------------------------------------------------- */

static bool print_bool(struct bytes value, struct pg_sink *sink)
{
    pg_sink_put_text(sink, value.size == 1 && value.data[0] != 0 ? "t" : "f");
    return value.size == 1;
}

static bool print_int2(struct bytes value, struct pg_sink *sink)
{
    struct cursor c = cursor_of(value);
    pg_sink_put_format(sink, "%" PRId16, cursor_read_i16(&c));
    return cursor_is_complete(&c);
}

static bool print_int4(struct bytes value, struct pg_sink *sink)
{
    struct cursor c = cursor_of(value);
    pg_sink_put_format(sink, "%" PRId32, cursor_read_i32(&c));
    return cursor_is_complete(&c);
}

static bool print_int8(struct bytes value, struct pg_sink *sink)
{
    struct cursor c = cursor_of(value);
    pg_sink_put_format(sink, "%" PRId64, cursor_read_i64(&c));
    return cursor_is_complete(&c);
}

static bool print_uint4(struct bytes value, struct pg_sink *sink)
{
    struct cursor c = cursor_of(value);
    pg_sink_put_format(sink, "%" PRIu32, cursor_read_u32(&c));
    return cursor_is_complete(&c);
}

static bool print_uint8(struct bytes value, struct pg_sink *sink)
{
    struct cursor c = cursor_of(value);
    pg_sink_put_format(sink, "%" PRIu64, cursor_read_u64(&c));
    return cursor_is_complete(&c);
}

static bool print_text(struct bytes value, struct pg_sink *sink)
{
    pg_sink_put(sink, value);
    return true;
}

/* "char": one byte; zero prints as nothing, and (from version 16 on) a high one in octal. */
static bool print_char(struct bytes value, struct pg_sink *sink)
{
    if (value.size == 1 && value.data[0] >= 0x80) {
        pg_sink_put_format(sink, "\\%03o", (unsigned)value.data[0]);
    } else if (value.size == 1 && value.data[0] != 0) {
        pg_sink_put(sink, value);
    }
    return value.size == 1;
}

static void put_hex(struct pg_sink *sink, struct bytes value)
{
    static const char digits[] = "0123456789abcdef";
    char text[64];
    for (size_t at = 0; at < value.size && !sink->is_full && !sink->no_memory;) {
        size_t n = 0;
        for (; n < sizeof(text) && at < value.size; at++) {
            text[n++] = digits[value.data[at] >> 4];
            text[n++] = digits[value.data[at] & 15];
        }
        pg_sink_put(sink, bytes_of(text, n));
    }
}

static bool print_bytea(struct bytes value, struct pg_sink *sink)
{
    pg_sink_put_text(sink, "\\x");
    put_hex(sink, value);
    return true;
}

static bool print_uuid(struct bytes value, struct pg_sink *sink)
{
    static const size_t groups[] = {4, 2, 2, 2, 6};
    struct cursor c = cursor_of(value);
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        pg_sink_put_text(sink, i > 0 ? "-" : "");
        put_hex(sink, cursor_read_bytes(&c, groups[i]));
    }
    return cursor_is_complete(&c);
}

/* A version, which is 1, and the text. */
static bool print_jsonb(struct bytes value, struct pg_sink *sink)
{
    struct cursor c = cursor_of(value);
    uint8_t version = cursor_read_u8(&c);
    pg_sink_put(sink, cursor_read_bytes(&c, c.remaining));
    return version == 1;
}

/* ---- the table ------------------------------------------------------------------------------ */

typedef bool print_fn(struct bytes value, struct pg_sink *sink);

static const struct {
    uint32_t oid;
    print_fn *print;
} printers[] = {
    {16, print_bool},           {17, print_bytea},
    {18, print_char},           {19, print_text}, /* name */
    {20, print_int8},           {21, print_int2},
    {23, print_int4},           {25, print_text},
    {26, print_uint4}, /* oid */
    {28, print_uint4}, /* xid */
    {29, print_uint4}, /* cid */
    {114, print_text}, /* json */
    {142, print_text}, /* xml */
    {650, pg_print_cidr},       {700, pg_print_float4},
    {701, pg_print_float8},     {705, print_text},  /* unknown */
    {869, pg_print_inet},       {1042, print_text}, /* bpchar */
    {1043, print_text},                             /* varchar */
    {1082, pg_print_date},      {1083, pg_print_time},
    {1114, pg_print_timestamp}, {1184, pg_print_timestamptz},
    {1700, pg_print_numeric},   {2950, print_uuid},
    {3802, print_jsonb},        {5069, print_uint8}, /* xid8 */
};

static print_fn *find_printer(uint32_t oid)
{
    for (size_t i = 0; i < sizeof(printers) / sizeof(printers[0]); i++) {
        if (printers[i].oid == oid) {
            return printers[i].print;
        }
    }
    return NULL;
}

/* ---- arrays --------------------------------------------------------------------------------- */

bool pg_array_needs_quotes(struct bytes text)
{
    if (text.size == 0 ||
        (text.size == 4 && strncasecmp((const char *)text.data, "NULL", 4) == 0)) {
        return true;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != 0 && strchr("\"\\{}, \t\n\v\f\r", text.data[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static struct bytes appended_since(const struct pg_sink *sink, size_t start)
{
    const struct buffer *out = sink->out;
    return bytes_of(out->data + out->start + start, buffer_size(out) - start);
}

/* Puts quotes around what was appended since `start`, and escapes within it: from its end, so that
 * it needs no copy. */
static void quote_in_place(struct pg_sink *sink, size_t start)
{
    struct bytes text = appended_since(sink, start);
    size_t more = 2;
    for (size_t i = 0; i < text.size; i++) {
        more += text.data[i] == '"' || text.data[i] == '\\';
    }
    if (more > sink->left) {
        /* What does not fit any more is left out whole: half of it would read as another. */
        sink->out->end -= text.size;
        sink->left = 0;
        sink->is_full = true;
        return;
    }
    if (buffer_reserve(sink->out, more) == NULL) {
        sink->no_memory = true;
        return;
    }
    uint8_t *from = sink->out->data + sink->out->end;
    buffer_commit(sink->out, more);
    sink->left -= more;
    uint8_t *to = sink->out->data + sink->out->end;
    *--to = '"';
    for (size_t i = 0; i < text.size; i++) {
        *--to = *--from;
        if (*from == '"' || *from == '\\') {
            *--to = '\\';
        }
    }
    *--to = '"';
}

static bool print_element(struct cursor *c, print_fn *print, struct pg_sink *sink)
{
    uint32_t size = cursor_read_u32(c);
    if (size == UINT32_MAX) { /* -1 */
        pg_sink_put_text(sink, "NULL");
        return true;
    }
    struct bytes value = cursor_read_bytes(c, size);
    size_t start = buffer_size(sink->out);
    if (c->failed || !print(value, sink)) {
        return false;
    }
    if (!sink->is_full && !sink->no_memory && pg_array_needs_quotes(appended_since(sink, start))) {
        quote_in_place(sink, start);
    }
    return true;
}

/* array_recv: dimensions, a flag that there are NULLs, the element's type, for each dimension
 * its length and lower bound, then the elements. */
static bool print_array(struct bytes value, uint32_t element, struct pg_sink *sink)
{
    print_fn *print = find_printer(element);
    struct cursor c = cursor_of(value);
    uint32_t dimensions = cursor_read_u32(&c);
    uint32_t flags = cursor_read_u32(&c);
    uint32_t type = cursor_read_u32(&c);
    if (c.failed || print == NULL || dimensions > 1 || flags > 1 || type != element) {
        return false;
    }
    if (dimensions == 0) {
        pg_sink_put_text(sink, "{}");
        return cursor_is_complete(&c);
    }
    uint32_t length = cursor_read_u32(&c);
    int32_t lower = cursor_read_i32(&c);
    int64_t upper = (int64_t)lower + length - 1;
    if (c.failed || length > c.remaining / 4 || upper > INT32_MAX) {
        return false;
    }
    if (length > 0 && lower != 1) {
        pg_sink_put_format(sink, "[%" PRId32 ":%" PRId64 "]=", lower, upper);
    }
    pg_sink_put_text(sink, "{");
    for (uint32_t i = 0; i < length && !sink->is_full && !sink->no_memory; i++) {
        pg_sink_put_text(sink, i > 0 ? "," : "");
        if (!print_element(&c, print, sink)) {
            return false;
        }
    }
    pg_sink_put_text(sink, "}");
    return sink->is_full || sink->no_memory || cursor_is_complete(&c);
}

enum pg_text_result pg_types_to_text(uint32_t type, struct bytes value, size_t cap,
                                     struct buffer *out)
{
    size_t before = buffer_size(out);
    size_t room = before < out->cap ? out->cap - before : 0;
    struct pg_sink sink = {.out = out, .left = cap < room ? cap : room};
    print_fn *print = find_printer(type);
    uint32_t element = pg_type_element(type);
    bool ok = print != NULL  ? print(value, &sink)
              : element != 0 ? print_array(value, element, &sink)
                             : false;
    if (!ok || sink.no_memory) {
        out->end = out->start + before;
        return sink.no_memory ? PG_TEXT_NO_MEMORY : PG_TEXT_RAW;
    }
    return sink.is_full ? PG_TEXT_TRUNCATED : PG_TEXT_WHOLE;
}

/* The messages of both peers, for tests of the conversation: each is appended to a buffer, or found
 * in one. A failure is the test's. Include it behind cmocka.h. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_POSTGRES_MESSAGES_H
#define CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_POSTGRES_MESSAGES_H

#include "sidecar/protocol/postgres/pg_write.h"

static inline void ok(enum err e)
{
    assert_int_equal(e, OK);
}

static inline void query(struct buffer *b, const char *text)
{
    ok(pg_write_query(b, bytes_of_string(text)));
}

static inline void parse(struct buffer *b, const char *name, const char *text)
{
    ok(pg_write_parse(b, bytes_of_string(name), bytes_of_string(text), NULL, 0));
}

/* `values`: from the count of their formats to the formats of the results. */
static inline void bind_values(struct buffer *b, const char *portal, const char *name,
                               struct bytes values)
{
    struct buffer body;
    buffer_init(&body, 1 << 20);
    ok(buffer_append(&body, bytes_of(portal, strlen(portal) + 1)));
    ok(buffer_append(&body, bytes_of(name, strlen(name) + 1)));
    ok(buffer_append(&body, values));
    ok(pg_write_body(b, PG_FRONTEND_BIND, buffer_bytes(&body)));
    buffer_finish(&body);
}

static inline void bind(struct buffer *b, const char *portal, const char *name)
{
    bind_values(b, portal, name, bytes_of("\0\0\0\0\0\0", 6));
}

/* All rows of the unnamed portal. */
static inline void execute(struct buffer *b)
{
    ok(pg_write_execute(b, (struct bytes){0}, 0));
}

static inline void sequence(struct buffer *b, const char *text)
{
    parse(b, "", text);
    bind(b, "", "");
    execute(b);
    ok(pg_write_sync(b));
}

/* Answers without a body, a letter each: "12" ParseComplete and BindComplete. */
static inline void answers(struct buffer *b, const char *letters)
{
    for (; *letters != '\0'; letters++) {
        ok(pg_write_empty(b, (uint8_t)*letters));
    }
}

static inline void row(struct buffer *b, const char *value)
{
    const struct pg_value v = {.data = bytes_of_string(value)};
    ok(pg_write_row(b, &v, 1));
}

static inline void complete(struct buffer *b, const char *tag)
{
    ok(pg_write_command_complete(b, bytes_of_string(tag)));
}

/* `status`: 'I', 'T' or 'E'. */
static inline void ready(struct buffer *b, char status)
{
    ok(pg_write_ready(b, (uint8_t)status));
}

static inline void server_error(struct buffer *b, const char *code)
{
    const struct pg_message m = {.severity = "ERROR", .sqlstate = code, .message = "server's own"};
    ok(pg_write_error(b, &m));
}

/* The types of the messages in a buffer, "TDCZ". */
static inline const char *types(const struct buffer *b)
{
    static char out[256];
    struct bytes in = buffer_bytes(b);
    size_t n = 0;
    struct pg_header h;
    while (in.size > 0 && n < sizeof(out) - 1) {
        assert_int_equal(pg_wire_read_header(in, &h), WIRE_OK);
        assert_true(in.size >= PG_HEADER_SIZE + h.body_size);
        out[n++] = (char)h.type;
        in.data += PG_HEADER_SIZE + h.body_size;
        in.size -= PG_HEADER_SIZE + h.body_size;
    }
    out[n] = '\0';
    return out;
}

static inline bool holds_bytes(const struct buffer *b, struct bytes what)
{
    struct bytes in = buffer_bytes(b);
    return in.size > 0 && memmem(in.data, in.size, what.data, what.size) != NULL;
}

static inline bool holds(const struct buffer *b, const char *text)
{
    return holds_bytes(b, bytes_of_string(text));
}

#endif

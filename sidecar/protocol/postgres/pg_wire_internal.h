/* Parts of bodies that both sides' decoders read. For pg_wire*.c and pg_bind.c only. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_WIRE_INTERNAL_H
#define CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_WIRE_INTERNAL_H

#include "sidecar/protocol/postgres/pg_wire.h"

enum { PG_FORMAT_BINARY = 1 };

/* The length of a value that is NULL, -1, as read without its sign. */
#define PG_NULL_SIZE UINT32_MAX

static inline uint16_t pg_read_format(struct cursor *c)
{
    uint16_t code = cursor_read_u16(c);
    if (code > PG_FORMAT_BINARY) {
        c->failed = true;
    }
    return code;
}

/* A count of 16 bits and so many items of a fixed size. */
static inline struct bytes pg_read_counted(struct cursor *c, size_t item_size)
{
    size_t count = cursor_read_u16(c);
    return cursor_read_bytes(c, count * item_size);
}

static inline struct pg_formats pg_read_formats(struct cursor *c)
{
    struct pg_formats formats = {.codes = pg_read_counted(c, 2)};
    struct cursor codes = cursor_of(formats.codes);
    while (codes.remaining > 0 && !codes.failed) {
        (void)pg_read_format(&codes);
    }
    c->failed = c->failed || codes.failed;
    return formats;
}

static inline struct pg_value pg_read_value(struct cursor *c)
{
    uint32_t size = cursor_read_u32(c);
    if (size == PG_NULL_SIZE) {
        return (struct pg_value){.is_null = true};
    }
    /* Any other negative size is larger than what remains. */
    return (struct pg_value){.data = cursor_read_bytes(c, size)};
}

/* Walks over the values, so that the iterator need not check them again. */
static inline struct pg_values pg_read_values(struct cursor *c)
{
    uint16_t count = cursor_read_u16(c);
    struct pg_values values = {.count = count, .c = *c};
    for (uint16_t i = 0; i < count && !c->failed; i++) {
        (void)pg_read_value(c);
    }
    values.c.remaining -= c->remaining;
    return values;
}

#endif

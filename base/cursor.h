/* Reads wire bytes, and nothing else does.
 *
 * Every read checks `n > remaining` before it touches anything. A read beyond the end marks
 * the cursor as failed and gives zero; failure stays, so that a decoder may read a whole
 * structure and check once at its end. Network byte order. Pure: no allocation. */
#ifndef CHAPERONE_BASE_CURSOR_H
#define CHAPERONE_BASE_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct cursor {
    const uint8_t *at;
    size_t remaining;
    bool failed;
};

static inline struct cursor cursor_of(struct bytes b)
{
    return (struct cursor){.at = b.data, .remaining = b.size};
}

static inline struct bytes cursor_read_bytes(struct cursor *c, size_t n)
{
    if (c->failed || n > c->remaining) {
        c->failed = true;
        return (struct bytes){0};
    }
    struct bytes b = {.data = c->at, .size = n};
    if (n > 0) {
        c->at += n;
        c->remaining -= n;
    }
    return b;
}

static inline uint8_t cursor_read_u8(struct cursor *c)
{
    struct bytes b = cursor_read_bytes(c, 1);
    return b.size == 1 ? b.data[0] : 0;
}

static inline uint16_t cursor_read_u16(struct cursor *c)
{
    struct bytes b = cursor_read_bytes(c, 2);
    return (uint16_t)(b.size == 2 ? b.data[0] << 8 | b.data[1] : 0);
}

static inline uint32_t cursor_read_u32(struct cursor *c)
{
    struct bytes b = cursor_read_bytes(c, 4);
    return b.size == 4 ? (uint32_t)b.data[0] << 24 | (uint32_t)b.data[1] << 16 |
                             (uint32_t)b.data[2] << 8 | (uint32_t)b.data[3]
                       : 0;
}

static inline uint64_t cursor_read_u64(struct cursor *c)
{
    uint64_t high = cursor_read_u32(c);
    return high << 32 | cursor_read_u32(c);
}

static inline int16_t cursor_read_i16(struct cursor *c)
{
    return (int16_t)cursor_read_u16(c);
}

static inline int32_t cursor_read_i32(struct cursor *c)
{
    return (int32_t)cursor_read_u32(c);
}

static inline int64_t cursor_read_i64(struct cursor *c)
{
    return (int64_t)cursor_read_u64(c);
}

/* A NUL-terminated string without its terminator; a missing terminator fails. */
static inline struct bytes cursor_read_string(struct cursor *c)
{
    const uint8_t *nul = c->failed || c->remaining == 0 ? NULL : memchr(c->at, 0, c->remaining);
    if (nul == NULL) {
        c->failed = true;
        return (struct bytes){0};
    }
    struct bytes b = cursor_read_bytes(c, (size_t)(nul - c->at));
    (void)cursor_read_u8(c);
    return b;
}

/* True when everything was read and nothing was missing. */
static inline bool cursor_is_complete(const struct cursor *c)
{
    return !c->failed && c->remaining == 0;
}

#endif

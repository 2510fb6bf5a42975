/* A borrowed run of bytes, and a growable owned one with a hard cap.
 *
 * `struct bytes` is a plain value: it borrows; whoever hands one out says how long it is
 * valid. `struct buffer` owns its memory and never grows beyond the cap given at init. */
#ifndef CHAPERONE_BASE_BYTES_H
#define CHAPERONE_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"

struct bytes {
    const uint8_t *data; /* may be NULL when size is 0 */
    size_t size;
};

static inline struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){.data = data, .size = size};
}

/* Borrows a NUL-terminated string, without its terminator. NULL gives no bytes. */
static inline struct bytes bytes_of_string(const char *text)
{
    return (struct bytes){.data = (const uint8_t *)text, .size = text == NULL ? 0 : strlen(text)};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool bytes_equal_string(struct bytes a, const char *text)
{
    return bytes_equal(a, bytes_of_string(text));
}

/* Returns owned, NUL-terminated; free with free(). NULL when memory is short. */
char *bytes_to_string(struct bytes b) MUST_USE;

/* Overwrites memory that held a secret; the compiler cannot remove it. */
void bytes_wipe(void *data, size_t size);

/* 0    start     end        capacity        cap
 * |----|=========|----------|...............|
 *      bytes      room       may still grow        */
struct buffer {
    uint8_t *data;
    size_t start, end;
    size_t capacity;
    size_t cap;
};

void buffer_init(struct buffer *b, size_t cap);
void buffer_finish(struct buffer *b); /* frees; the buffer may be used again, with the same cap */
/* As finish, after overwriting what was in it. */
void buffer_wipe(struct buffer *b);

static inline size_t buffer_size(const struct buffer *b)
{
    return b->end - b->start;
}

/* Borrows; valid until the next call that changes the buffer. */
static inline struct bytes buffer_bytes(const struct buffer *b)
{
    return (struct bytes){.data = b->data == NULL ? NULL : b->data + b->start,
                          .size = b->end - b->start};
}

/* Appends a copy. ERR_LIMIT when it would hold more than its cap. */
enum err buffer_append(struct buffer *b, struct bytes more) MUST_USE;
enum err buffer_append_string(struct buffer *b, const char *text) MUST_USE;
enum err buffer_append_format(struct buffer *b, const char *format, ...) MUST_USE PRINTF_LIKE(2, 3);

/* Makes room for `size` bytes behind the end and returns it (NULL: no memory, or the cap);
 * `buffer_commit` says how many were written. */
uint8_t *buffer_reserve(struct buffer *b, size_t size) MUST_USE;
void buffer_commit(struct buffer *b, size_t size);

/* Drops bytes from the front; size must not be more than what is there. */
void buffer_consume(struct buffer *b, size_t size);
void buffer_clear(struct buffer *b);

/* For places in a cache of this process: quick, and nothing against those who look for collisions.
 */
static inline uint64_t bytes_hash(struct bytes b)
{
    uint64_t hash = b.size;
    while (b.size > 0) {
        uint64_t word = 0;
        size_t size = b.size < sizeof(word) ? b.size : sizeof(word);
        memcpy(&word, b.data, size);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
        b = bytes_of(b.data + size, b.size - size);
    }
    return hash;
}

#endif

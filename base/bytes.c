#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUFFER_FIRST_CAPACITY = 256 };

char *bytes_to_string(struct bytes b)
{
    char *text = malloc(b.size + 1);
    if (text == NULL) {
        return NULL;
    }
    if (b.size > 0) {
        memcpy(text, b.data, b.size);
    }
    text[b.size] = '\0';
    return text;
}

#if defined(__x86_64__)

/* memcpy() leaves the bytes that it moved in vector registers, and whatever saves these next writes
 * them to the stack: a signal, or the dynamic linker when a function is called for the first time.
 */
static void wipe_registers(void)
{
    if (__builtin_cpu_supports("avx512f")) {
        __asm__ volatile(".irp n, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n\t"
                         "vpxord %%zmm\\n, %%zmm\\n, %%zmm\\n\n\t"
                         ".endr" ::
                             : "memory");
    }
    if (__builtin_cpu_supports("avx")) {
        __asm__ volatile("vzeroall" ::
                             : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                               "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                               "xmm15");
    }
}

#else

static void wipe_registers(void)
{
}

#endif

void bytes_wipe(void *data, size_t size)
{
    if (size > 0) {
        explicit_bzero(data, size);
        wipe_registers();
    }
}

void buffer_init(struct buffer *b, size_t cap)
{
    *b = (struct buffer){.cap = cap};
}

void buffer_finish(struct buffer *b)
{
    free(b->data);
    buffer_init(b, b->cap);
}

void buffer_wipe(struct buffer *b)
{
    bytes_wipe(b->data, b->capacity);
    buffer_finish(b);
}

/* Moves the content to the front, so that the room behind it is all in one piece. */
static void buffer_compact(struct buffer *b)
{
    if (b->start > 0) {
        memmove(b->data, b->data + b->start, b->end - b->start);
        b->end -= b->start;
        b->start = 0;
    }
}

uint8_t *buffer_reserve(struct buffer *b, size_t size)
{
    size_t held = buffer_size(b);
    if (held > b->cap || size > b->cap - held) {
        return NULL;
    }
    if (b->capacity - b->end < size) {
        if (b->data != NULL) {
            buffer_compact(b);
        }
        if (b->capacity - b->end < size) {
            size_t wanted = held + size;
            size_t capacity = b->capacity == 0 ? BUFFER_FIRST_CAPACITY : b->capacity;
            while (capacity < wanted) {
                capacity *= 2;
            }
            if (capacity > b->cap) {
                capacity = b->cap;
            }
            uint8_t *data = realloc(b->data, capacity);
            if (data == NULL) {
                return NULL;
            }
            b->data = data;
            b->capacity = capacity;
        }
    }
    return b->data + b->end;
}

void buffer_commit(struct buffer *b, size_t size)
{
    b->end += size;
}

enum err buffer_append(struct buffer *b, struct bytes more)
{
    if (more.size == 0) {
        return OK;
    }
    uint8_t *room = buffer_reserve(b, more.size);
    if (room == NULL) {
        size_t held = buffer_size(b);
        return held > b->cap || more.size > b->cap - held ? ERR_LIMIT : ERR_NO_MEMORY;
    }
    memcpy(room, more.data, more.size);
    b->end += more.size;
    return OK;
}

enum err buffer_append_string(struct buffer *b, const char *text)
{
    return buffer_append(b, bytes_of_string(text));
}

enum err buffer_append_format(struct buffer *b, const char *format, ...)
{
    char small[512];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(small, sizeof(small), format, args);
    va_end(args);
    if (length < 0) {
        return ERR_INVALID;
    }
    if ((size_t)length < sizeof(small)) {
        return buffer_append(b, bytes_of(small, (size_t)length));
    }
    char *large = malloc((size_t)length + 1);
    if (large == NULL) {
        return ERR_NO_MEMORY;
    }
    va_start(args, format);
    (void)vsnprintf(large, (size_t)length + 1, format, args);
    va_end(args);
    enum err e = buffer_append(b, bytes_of(large, (size_t)length));
    free(large);
    return e;
}

void buffer_consume(struct buffer *b, size_t size)
{
    b->start += size;
    if (b->start == b->end) {
        b->start = 0;
        b->end = 0;
    }
}

void buffer_clear(struct buffer *b)
{
    b->start = 0;
    b->end = 0;
}

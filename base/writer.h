/* Writes wire bytes into a buffer, in network byte order.
 *
 * The mirror of the cursor: failure (no memory, the buffer's cap) stays, so that a message is
 * written whole and checked once, with `writer_finish`. On failure the buffer is as it was
 * at `writer_start`. */
#ifndef CHAPERONE_BASE_WRITER_H
#define CHAPERONE_BASE_WRITER_H

#include "base/bytes.h"

struct writer {
    struct buffer *buffer; /* borrows */
    size_t before;         /* the buffer's size at the start */
    enum err failed;
};

struct writer writer_start(struct buffer *buffer);
void writer_put_bytes(struct writer *w, struct bytes b);
void writer_put_u8(struct writer *w, uint8_t v);
void writer_put_u16(struct writer *w, uint16_t v);
void writer_put_u32(struct writer *w, uint32_t v);
void writer_put_string(struct writer *w, const char *text); /* with its terminator */

/* Reserves a 32-bit length to be filled in later; returns its place. */
size_t writer_open_length(struct writer *w);
/* Fills it with the number of bytes written since its own first byte (PostgreSQL's way). */
void writer_close_length(struct writer *w, size_t place);

enum err writer_finish(struct writer *w) MUST_USE;

#endif

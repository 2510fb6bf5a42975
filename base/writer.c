#include "base/writer.h"

struct writer writer_start(struct buffer *buffer)
{
    return (struct writer){.buffer = buffer, .before = buffer_size(buffer), .failed = OK};
}

void writer_put_bytes(struct writer *w, struct bytes b)
{
    if (w->failed == OK) {
        w->failed = buffer_append(w->buffer, b);
    }
}

void writer_put_u8(struct writer *w, uint8_t v)
{
    writer_put_bytes(w, bytes_of(&v, 1));
}

void writer_put_u16(struct writer *w, uint16_t v)
{
    const uint8_t raw[] = {(uint8_t)(v >> 8), (uint8_t)v};
    writer_put_bytes(w, bytes_of(raw, sizeof(raw)));
}

void writer_put_u32(struct writer *w, uint32_t v)
{
    const uint8_t raw[] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    writer_put_bytes(w, bytes_of(raw, sizeof(raw)));
}

void writer_put_string(struct writer *w, const char *text)
{
    writer_put_bytes(w, bytes_of(text, strlen(text) + 1));
}

size_t writer_open_length(struct writer *w)
{
    size_t place = buffer_size(w->buffer);
    writer_put_u32(w, 0);
    return place;
}

void writer_close_length(struct writer *w, size_t place)
{
    if (w->failed != OK) {
        return;
    }
    size_t length = buffer_size(w->buffer) - place;
    if (length > UINT32_MAX) {
        w->failed = ERR_LIMIT;
        return;
    }
    uint8_t *at = w->buffer->data + w->buffer->start + place;
    at[0] = (uint8_t)(length >> 24);
    at[1] = (uint8_t)(length >> 16);
    at[2] = (uint8_t)(length >> 8);
    at[3] = (uint8_t)length;
}

enum err writer_finish(struct writer *w)
{
    if (w->failed != OK) {
        w->buffer->end = w->buffer->start + w->before;
    }
    return w->failed;
}

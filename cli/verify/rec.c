#include "cli/verify/rec.h"

#include "base/cursor.h"

enum { HEAD_SIZE = 8 + 4 };

void rec_init(struct rec_reader *reader, rec_fn *on_item, void *context)
{
    *reader = (struct rec_reader){.on_item = on_item, .context = context};
    buffer_init(&reader->pending, HEAD_SIZE + REC_RECORD_MAX);
}

void rec_finish(struct rec_reader *reader)
{
    buffer_finish(&reader->pending);
}

/* The size of the record at the front, as far as `rest` says: what is needed to know more. */
static enum err measure(struct bytes rest, size_t *out)
{
    struct cursor c = cursor_of(rest);
    uint64_t high = cursor_read_u32(&c), low = cursor_read_u32(&c);
    uint32_t size = cursor_read_u32(&c);
    if (c.failed) {
        *out = HEAD_SIZE;
        return OK;
    }
    uint64_t position = high << 32 | low;
    if (position == 0 || position > INT64_MAX || size > REC_RECORD_MAX) {
        return ERR_INVALID;
    }
    *out = HEAD_SIZE + (size == 0 ? (size_t)REC_HASH_SIZE : (size_t)size);
    return OK;
}

/* `whole` is exactly one record. */
static enum err give(struct rec_reader *reader, struct bytes whole)
{
    struct cursor c = cursor_of(whole);
    uint64_t high = cursor_read_u32(&c), low = cursor_read_u32(&c);
    uint32_t size = cursor_read_u32(&c);
    struct rec_item item = {.position = high << 32 | low};
    struct bytes body = cursor_read_bytes(&c, c.remaining);
    if (size == 0) {
        item.hash = body;
    } else {
        item.canonical = body;
    }
    return reader->on_item(reader->context, &item);
}

/* Completes what waits from `more`; true when it was given out, or failed. */
static bool complete_pending(struct rec_reader *reader, struct bytes *more)
{
    for (;;) {
        size_t needed = 0, has = buffer_size(&reader->pending);
        reader->failed = measure(buffer_bytes(&reader->pending), &needed);
        if (reader->failed != OK) {
            return true;
        }
        if (has == needed && has > HEAD_SIZE) {
            reader->failed = give(reader, buffer_bytes(&reader->pending));
            buffer_clear(&reader->pending);
            return true;
        }
        size_t n = needed - has < more->size ? needed - has : more->size;
        reader->failed = buffer_append(&reader->pending, bytes_of(more->data, n));
        *more = bytes_of(more->data + n, more->size - n);
        if (reader->failed != OK || n == 0) {
            return reader->failed != OK;
        }
    }
}

enum err rec_feed(struct rec_reader *reader, struct bytes more)
{
    while (reader->failed == OK && more.size > 0) {
        if (buffer_size(&reader->pending) > 0) {
            if (!complete_pending(reader, &more)) {
                break;
            }
            continue;
        }
        size_t needed = 0;
        reader->failed = measure(more, &needed);
        if (reader->failed == OK && needed > more.size) {
            reader->failed = buffer_append(&reader->pending, more);
            break;
        }
        if (reader->failed == OK) {
            reader->failed = give(reader, bytes_of(more.data, needed));
            more = bytes_of(more.data + needed, more.size - needed);
        }
    }
    return reader->failed;
}

enum err rec_end(struct rec_reader *reader)
{
    if (reader->failed == OK && buffer_size(&reader->pending) > 0) {
        reader->failed = ERR_INVALID;
    }
    return reader->failed;
}

/* COPY's binary format: a head, rows of the same grammar as a DataRow's body, and an end of -1. */
#include "sidecar/masking/masker_copy_internal.h"

#include "base/cursor.h"

static const char signature[] = "PGCOPY\n\377\r\n"; /* with its terminator */

enum { HEAD_SIZE = sizeof(signature) + 8, END = 0xffff, END_SIZE = 2 };

static enum err find_row(struct masker_copy *c, struct bytes data, size_t *out_size)
{
    struct masker_copy_looked *looked = &c->looked;
    if (looked->at == 0) {
        struct cursor head = cursor_of(data);
        uint16_t count = cursor_read_u16(&head);
        if (head.failed) {
            return OK;
        }
        if (count == END || count != c->count) {
            *out_size = count == END ? END_SIZE : 0;
            return count == END ? OK : ERR_INVALID;
        }
        looked->at = 2;
    }
    while (looked->fields < c->count) {
        struct cursor field = cursor_of(bytes_of(data.data + looked->at, data.size - looked->at));
        uint32_t size = cursor_read_u32(&field);
        size = size == UINT32_MAX ? 0 : size; /* NULL */
        if (!field.failed && size > MASKER_ROW_MAX) {
            return size > INT32_MAX ? ERR_INVALID : ERR_LIMIT;
        }
        (void)cursor_read_bytes(&field, size);
        if (field.failed) {
            return OK;
        }
        looked->at += 4 + (size_t)size;
        looked->fields++;
    }
    *out_size = looked->at;
    return OK;
}

static enum err find(struct masker_copy *c, struct bytes data, size_t *out_size)
{
    *out_size = 0;
    if (c->state != COPY_HEADER) {
        return find_row(c, data, out_size);
    }
    *out_size = data.size < HEAD_SIZE ? 0 : HEAD_SIZE;
    return OK;
}

/* No flag is known that changes nothing, and no extension that may pass unmasked. */
static enum err put_head(struct masker_copy *c, struct bytes unit, struct buffer *out)
{
    struct cursor head = cursor_of(unit);
    struct bytes magic = cursor_read_bytes(&head, sizeof(signature));
    uint32_t flags = cursor_read_u32(&head), extension = cursor_read_u32(&head);
    if (!cursor_is_complete(&head) || !bytes_equal(magic, bytes_of(signature, sizeof(signature))) ||
        flags != 0 || extension != 0) {
        return ERR_INVALID;
    }
    c->state = COPY_ROWS;
    return buffer_append(out, unit);
}

static enum err put(struct masker_copy *c, struct bytes unit, struct buffer *out)
{
    if (c->state == COPY_HEADER) {
        return put_head(c, unit, out);
    }
    struct cursor row = cursor_of(unit);
    if (cursor_read_u16(&row) == END) {
        c->state = COPY_ENDED;
        return buffer_append(out, unit);
    }
    return masker_row(c->masker, c->columns, c->count, unit, out);
}

const struct masker_copy_codec masker_copy_binary = {.find = find, .put = put};

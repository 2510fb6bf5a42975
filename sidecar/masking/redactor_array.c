/* Arrays of one dimension, element by element (array_send, array_out). */
#include "sidecar/masking/redactor_internal.h"

#include "base/cursor.h"
#include "base/writer.h"
#include "sidecar/protocol/postgres/pg_types.h"

static const uint32_t null_size = UINT32_MAX; /* -1 */

/* ---- binary ------------------------------------------------------------------------------- */

static enum err binary_element(struct redactor *r, const struct value_type *type, struct cursor *c,
                               struct writer *w, bool *io_has_null)
{
    uint32_t size = cursor_read_u32(c);
    struct bytes in = cursor_read_bytes(c, size == null_size ? 0 : size);
    if (c->failed) {
        return ERR_INVALID;
    }
    buffer_clear(&r->piece);
    enum err e = size == null_size ? ERR_INVALID : redactor_apply_one(r, type, true, in, &r->piece);
    if (e == ERR_INVALID) {
        *io_has_null = true;
        writer_put_u32(w, null_size);
        return OK;
    }
    writer_put_u32(w, (uint32_t)buffer_size(&r->piece));
    writer_put_bytes(w, buffer_bytes(&r->piece));
    return e;
}

/* Dimensions, a flag that there are NULLs, the elements' type; length and lower bound; elements. */
static enum err binary_array(struct redactor *r, const struct value_type *type, struct bytes value,
                             struct buffer *out)
{
    struct cursor c = cursor_of(value);
    uint32_t dimensions = cursor_read_u32(&c), flags = cursor_read_u32(&c);
    uint32_t element = cursor_read_u32(&c);
    if (c.failed || dimensions > 1 || flags > 1 || element != type->oid) {
        return ERR_INVALID;
    }
    struct writer w = writer_start(out);
    size_t start = buffer_size(out);
    bool has_null = false;
    writer_put_u32(&w, dimensions);
    writer_put_u32(&w, 0);
    writer_put_u32(&w, element);
    if (dimensions == 1) {
        uint32_t length = cursor_read_u32(&c), lower = cursor_read_u32(&c);
        if (c.failed || length > c.remaining / 4) {
            return ERR_INVALID;
        }
        writer_put_u32(&w, length);
        writer_put_u32(&w, lower);
        for (uint32_t i = 0; i < length && w.failed == OK; i++) {
            enum err e = binary_element(r, type, &c, &w, &has_null);
            if (e != OK) {
                return e;
            }
        }
    }
    enum err e = writer_finish(&w);
    if (e == OK && !cursor_is_complete(&c)) {
        return ERR_INVALID;
    }
    if (e == OK) {
        out->data[out->start + start + 7] = has_null; /* the flag's last byte */
    }
    return e;
}

/* ---- text --------------------------------------------------------------------------------- */

enum err redactor_put_element(struct bytes text, struct buffer *out)
{
    if (!pg_array_needs_quotes(text)) {
        return buffer_append(out, text);
    }
    uint8_t *to = buffer_reserve(out, 2 * text.size + 2);
    size_t n = 0;
    if (to == NULL) {
        return ERR_LIMIT;
    }
    to[n++] = '"';
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\') {
            to[n++] = '\\';
        }
        to[n++] = text.data[i];
    }
    to[n++] = '"';
    buffer_commit(out, n);
    return OK;
}

/* Reads one element into r->element, without its quotes and escapes; the delimiter behind it
 * stays. ERR_INVALID for what array_out does not print, a further dimension among it. */
static enum err take_element(struct redactor *r, struct cursor *c, bool *out_is_null)
{
    buffer_clear(&r->element);
    uint8_t *to = buffer_reserve(&r->element, c->remaining + 1);
    size_t n = 0;
    if (to == NULL) {
        return ERR_LIMIT;
    }
    bool is_quoted = c->remaining > 0 && *c->at == '"';
    if (is_quoted) {
        (void)cursor_read_u8(c);
    }
    for (;;) {
        uint8_t byte = c->remaining > 0 ? *c->at : 0;
        if (c->remaining == 0 || (!is_quoted && strchr("\"{", byte) != NULL && byte != 0)) {
            return ERR_INVALID;
        }
        if (!is_quoted && (byte == ',' || byte == '}')) {
            break;
        }
        (void)cursor_read_u8(c);
        if (is_quoted && byte == '"') {
            break;
        }
        to[n++] = byte == '\\' ? cursor_read_u8(c) : byte;
        if (c->failed) {
            return ERR_INVALID;
        }
    }
    buffer_commit(&r->element, n);
    *out_is_null = !is_quoted && n == 4 && strncasecmp((const char *)to, "NULL", 4) == 0;
    return is_quoted || n > 0 ? OK : ERR_INVALID;
}

static enum err text_element(struct redactor *r, const struct value_type *type, struct cursor *c,
                             struct buffer *out)
{
    bool is_null = false;
    enum err e = take_element(r, c, &is_null);
    if (e != OK) {
        return e;
    }
    buffer_clear(&r->piece);
    e = is_null ? ERR_INVALID
                : redactor_apply_one(r, type, false, buffer_bytes(&r->element), &r->piece);
    if (e == ERR_INVALID) {
        return buffer_append_string(out, "NULL");
    }
    return e == OK ? redactor_put_element(buffer_bytes(&r->piece), out) : e;
}

/* "[0:1]=" in front of an array whose first index is not 1. */
static bool take_bounds(struct cursor *c, struct bytes *out)
{
    size_t n = 0;
    while (n < c->remaining && c->at[n] != 0 && strchr("[-0123456789:]=", c->at[n]) != NULL) {
        n++;
    }
    *out = cursor_read_bytes(c, n);
    return n <= 32; /* more would be a further dimension */
}

static enum err text_array(struct redactor *r, const struct value_type *type, struct bytes value,
                           struct buffer *out)
{
    struct cursor c = cursor_of(value);
    struct bytes bounds;
    if (!take_bounds(&c, &bounds) || cursor_read_u8(&c) != '{') {
        return ERR_INVALID;
    }
    enum err e = buffer_append(out, bounds);
    e = e == OK ? buffer_append_string(out, "{") : e;
    bool is_empty = c.remaining > 0 && *c.at == '}';
    uint8_t delimiter = is_empty ? cursor_read_u8(&c) : ',';
    while (e == OK && delimiter == ',') {
        e = text_element(r, type, &c, out);
        delimiter = cursor_read_u8(&c);
        if (e == OK && delimiter == ',') {
            e = buffer_append_string(out, ",");
        }
    }
    if (e == OK && (delimiter != '}' || !cursor_is_complete(&c))) {
        return ERR_INVALID;
    }
    return e == OK ? buffer_append_string(out, "}") : e;
}

enum err redactor_apply_array(struct redactor *r, const struct value_type *type, bool is_binary,
                              struct bytes value, struct buffer *out)
{
    return is_binary ? binary_array(r, type, value, out) : text_array(r, type, value, out);
}

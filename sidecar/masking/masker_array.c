/* Arrays through the detectors, element by element (array_out, array_send), of any dimensions. */
#include "sidecar/masking/masker_internal.h"

#include <strings.h>

#include "base/cursor.h"
#include "base/writer.h"
#include "sidecar/masking/redactor_internal.h"

struct array {
    struct masker *m;
    uint32_t type; /* of an element */
    struct buffer *out;
    bool is_changed;
    uint64_t rules;
};

static const uint32_t null_size = UINT32_MAX; /* -1 */

/* ---- text ----------------------------------------------------------------------------------- */

/* From behind its quote to behind the closing one; without the escapes into m->element. */
static enum err take_quoted(struct buffer *to, struct cursor *c)
{
    buffer_clear(to);
    uint8_t *at = buffer_reserve(to, c->remaining + 1);
    size_t n = 0;
    if (at == NULL) {
        return ERR_LIMIT;
    }
    for (;;) {
        uint8_t byte = cursor_read_u8(c);
        if (c->failed) {
            return ERR_INVALID;
        }
        if (byte == '"') {
            buffer_commit(to, n);
            return OK;
        }
        at[n++] = byte == '\\' ? cursor_read_u8(c) : byte;
    }
}

/* Up to the delimiter; array_out puts what has a quote or a backslash into quotes. */
static enum err take_bare(struct cursor *c, struct bytes *out)
{
    size_t n = 0;
    while (n < c->remaining && (c->at[n] == 0 || strchr(",{}\"\\", c->at[n]) == NULL)) {
        n++;
    }
    if (n == c->remaining || (c->at[n] != ',' && c->at[n] != '}')) {
        return ERR_INVALID;
    }
    *out = cursor_read_bytes(c, n);
    return OK;
}

static enum err text_element(struct array *a, struct cursor *c)
{
    struct masker *m = a->m;
    const uint8_t *start = c->at;
    struct bytes element = {0};
    bool is_quoted = *c->at == '"';
    if (is_quoted) {
        (void)cursor_read_u8(c);
    }
    enum err e = is_quoted ? take_quoted(&m->element, c) : take_bare(c, &element);
    if (e != OK) {
        return e;
    }
    element = is_quoted ? buffer_bytes(&m->element) : element;
    bool is_null =
        !is_quoted && element.size == 4 && strncasecmp((const char *)element.data, "NULL", 4) == 0;
    enum masker_outcome outcome = MASKER_SAME;
    if (!is_null) {
        e = masker_scan(m, a->type, false, element, &m->piece, &outcome, &a->rules);
    }
    if (e != OK || outcome == MASKER_SAME) {
        return e == OK ? buffer_append(a->out, bytes_of(start, (size_t)(c->at - start))) : e;
    }
    a->is_changed = true;
    return outcome == MASKER_TO_NULL ? buffer_append_string(a->out, "NULL")
                                     : redactor_put_element(buffer_bytes(&m->piece), a->out);
}

/* Bounds, braces and commas stay; all else is elements. */
static enum err text_array(struct array *a, struct bytes value)
{
    struct cursor c = cursor_of(value);
    size_t bounds = 0;
    while (bounds < c.remaining && c.at[bounds] != 0 &&
           strchr("[-0123456789:]=", c.at[bounds]) != NULL) {
        bounds++;
    }
    enum err e = buffer_append(a->out, cursor_read_bytes(&c, bounds));
    if (c.remaining == 0 || *c.at != '{') {
        return ERR_INVALID;
    }
    while (e == OK && c.remaining > 0) {
        if (*c.at == '{' || *c.at == '}' || *c.at == ',') {
            e = buffer_append(a->out, cursor_read_bytes(&c, 1));
        } else {
            e = text_element(a, &c);
        }
    }
    return e;
}

/* ---- binary --------------------------------------------------------------------------------- */

static enum err binary_element(struct array *a, struct cursor *c, struct writer *w,
                               bool *io_has_null)
{
    enum masker_outcome outcome = MASKER_SAME;
    uint32_t size = cursor_read_u32(c);
    struct bytes element = cursor_read_bytes(c, size == null_size ? 0 : size);
    if (c->failed) {
        return ERR_INVALID;
    }
    if (size != null_size) {
        enum err e = masker_scan(a->m, a->type, true, element, &a->m->piece, &outcome, &a->rules);
        if (e != OK) {
            return e;
        }
    }
    a->is_changed |= outcome != MASKER_SAME;
    if (size == null_size || outcome == MASKER_TO_NULL) {
        *io_has_null = true;
        writer_put_u32(w, null_size);
        return OK;
    }
    element = outcome == MASKER_CHANGED ? buffer_bytes(&a->m->piece) : element;
    writer_put_u32(w, (uint32_t)element.size);
    writer_put_bytes(w, element);
    return OK;
}

/* Dimensions, a flag that there are NULLs, the elements' type; of each dimension its length and
 * lower bound; the elements. */
static enum err binary_array(struct array *a, struct bytes value)
{
    enum { DIMENSIONS_MAX = 6 }; /* MAXDIM */
    struct cursor c = cursor_of(value);
    uint32_t dimensions = cursor_read_u32(&c), flags = cursor_read_u32(&c);
    uint32_t type = cursor_read_u32(&c);
    if (c.failed || dimensions > DIMENSIONS_MAX || flags > 1 || type != a->type) {
        return ERR_INVALID;
    }
    struct bytes sizes = cursor_read_bytes(&c, (size_t)dimensions * 8);
    struct writer w = writer_start(a->out);
    bool has_null = false;
    writer_put_u32(&w, dimensions);
    writer_put_u32(&w, 0);
    writer_put_u32(&w, type);
    writer_put_bytes(&w, sizes);
    while (w.failed == OK && c.remaining > 0 && !c.failed) {
        enum err e = binary_element(a, &c, &w, &has_null);
        if (e != OK) {
            return e;
        }
    }
    enum err e = writer_finish(&w);
    if (e == OK && c.failed) {
        return ERR_INVALID;
    }
    if (e == OK) {
        a->out->data[a->out->start + 7] = has_null; /* the flag's last byte */
    }
    return e;
}

enum err masker_scan_array(struct masker *m, uint32_t element_type, bool is_binary,
                           struct bytes value, struct buffer *out, enum masker_outcome *outcome,
                           uint64_t *io_rules)
{
    struct array a = {.m = m, .type = element_type, .out = out};
    buffer_clear(out);
    enum err e = is_binary ? binary_array(&a, value) : text_array(&a, value);
    if (e == OK) {
        *outcome = a.is_changed ? MASKER_CHANGED : MASKER_SAME;
        *io_rules |= a.rules;
    }
    return e;
}

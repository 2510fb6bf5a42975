/* COPY's csv format, as copyto.c writes it: quotes only where they are needed, or forced. */
#include "sidecar/masking/masker_copy_internal.h"

/* A line feed within quotes ends no row. */
static enum err find(struct masker_copy *c, struct bytes data, size_t *out_size)
{
    uint8_t quote = (uint8_t)c->quote, escape = (uint8_t)c->escape;
    for (size_t i = c->looked.at; i < data.size; i++) {
        uint8_t byte = data.data[i];
        switch (c->looked.quotes) {
        case CSV_OUTSIDE:
            if (byte == '\n') {
                *out_size = i + 1;
                return OK;
            }
            c->looked.quotes = byte == quote ? CSV_QUOTED : CSV_OUTSIDE;
            break;
        case CSV_QUOTED:
            /* Where both are the same a doubled quote ends and begins again: no difference. */
            c->looked.quotes = byte == quote    ? CSV_OUTSIDE
                               : byte == escape ? CSV_ESCAPED
                                                : CSV_QUOTED;
            break;
        case CSV_ESCAPED: c->looked.quotes = CSV_QUOTED; break;
        }
    }
    c->looked.at = data.size;
    *out_size = 0;
    return OK;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* From the opening quote to behind the closing one; the value into c->field. */
static enum err take_quoted(struct masker_copy *c, struct masker_copy_line *line)
{
    uint8_t quote = (uint8_t)c->quote, escape = (uint8_t)c->escape;
    struct bytes text = line->text;
    size_t at = line->at + 1, n = 0;
    buffer_clear(&c->field);
    uint8_t *to = buffer_reserve(&c->field, text.size - at + 1);
    if (to == NULL) {
        return ERR_LIMIT;
    }
    for (; at < text.size; at++) {
        uint8_t byte = text.data[at];
        uint8_t next = at + 1 < text.size ? text.data[at + 1] : 0;
        if (byte == escape && at + 1 < text.size && (next == quote || next == escape)) {
            to[n++] = next;
            at++;
        } else if (byte == quote) {
            buffer_commit(&c->field, n);
            line->at = at + 1;
            return OK;
        } else if (byte == escape) {
            return ERR_INVALID; /* the server would have escaped it */
        } else {
            to[n++] = byte;
        }
    }
    return ERR_INVALID;
}

static enum err take_bare(struct masker_copy *c, struct masker_copy_line *line, struct bytes *out)
{
    size_t at = line->at;
    for (; at < line->text.size && line->text.data[at] != (uint8_t)c->delimiter; at++) {
        if (line->text.data[at] == (uint8_t)c->quote || line->text.data[at] == '\r') {
            return ERR_INVALID; /* the server would have quoted it */
        }
    }
    *out = bytes_of(line->text.data + line->at, at - line->at);
    line->at = at;
    return OK;
}

/* ---- writing -------------------------------------------------------------------------------- */

static bool needs_quotes(const struct masker_copy *c, struct bytes value)
{
    if (bytes_equal(value, buffer_bytes(&c->null_text)) ||
        (c->count == 1 && bytes_equal_string(value, "\\."))) {
        return true;
    }
    for (size_t i = 0; i < value.size; i++) {
        uint8_t byte = value.data[i];
        if (byte == (uint8_t)c->delimiter || byte == (uint8_t)c->quote || byte == '\n' ||
            byte == '\r') {
            return true;
        }
    }
    return false;
}

static enum err put_value(const struct masker_copy *c, struct bytes value, bool is_forced,
                          struct buffer *out)
{
    if (!is_forced && !needs_quotes(c, value)) {
        return buffer_append(out, value);
    }
    uint8_t *to = buffer_reserve(out, 2 * value.size + 2);
    size_t n = 0;
    if (to == NULL) {
        return ERR_LIMIT;
    }
    to[n++] = (uint8_t)c->quote;
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] == (uint8_t)c->quote || value.data[i] == (uint8_t)c->escape) {
            to[n++] = (uint8_t)c->escape;
        }
        to[n++] = value.data[i];
    }
    to[n++] = (uint8_t)c->quote;
    buffer_commit(out, n);
    return OK;
}

/* ---- a row ---------------------------------------------------------------------------------- */

static enum err put_field(struct masker_copy *c, size_t index, struct masker_copy_line *line,
                          struct buffer *out)
{
    size_t start = line->at;
    bool is_quoted = start < line->text.size && line->text.data[start] == (uint8_t)c->quote;
    struct bytes value = {0};
    enum err e = is_quoted ? take_quoted(c, line) : take_bare(c, line, &value);
    if (e != OK) {
        return e;
    }
    value = is_quoted ? buffer_bytes(&c->field) : value;
    /* NULL is never quoted, and a value that looks like it always is. */
    bool is_null = !is_quoted && bytes_equal(value, buffer_bytes(&c->null_text));
    enum masker_outcome outcome = MASKER_SAME;
    if (c->state != COPY_HEADER && !is_null) {
        e = masker_apply(c->masker, &c->columns[index], index, value, &outcome);
    }
    if (e != OK || outcome == MASKER_SAME) {
        return e;
    }
    e = masker_copy_flush(line, start, out);
    if (e != OK) {
        return e;
    }
    return outcome == MASKER_TO_NULL
               ? buffer_append(out, buffer_bytes(&c->null_text))
               : put_value(c, buffer_bytes(&c->masker->value), is_quoted, out);
}

static enum err put(struct masker_copy *c, struct bytes unit, struct buffer *out)
{
    struct masker_copy_line line = {.text = bytes_of(unit.data, unit.size - 1)};
    enum err e = OK;
    for (size_t i = 0; e == OK && i < c->count; i++) {
        if (i > 0 &&
            (line.at == line.text.size || line.text.data[line.at++] != (uint8_t)c->delimiter)) {
            return ERR_INVALID; /* there are fewer, or something stands behind a quote */
        }
        e = put_field(c, i, &line, out);
    }
    if (e == OK && line.at != line.text.size) {
        return ERR_INVALID; /* there are more */
    }
    c->state = COPY_ROWS;
    return e == OK ? buffer_append(out, bytes_of(unit.data + line.run, unit.size - line.run)) : e;
}

const struct masker_copy_codec masker_copy_csv = {.find = find, .put = put};

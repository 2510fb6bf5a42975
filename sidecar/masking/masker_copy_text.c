/* COPY's text format, as copyto.c writes it: lines of fields, with backslashes before what would
 * be taken for something else. */
#include "sidecar/masking/masker_copy_internal.h"

/* The letter behind the backslash, and what it stands for. */
static const char letters[] = "bfnrtv", controls[] = "\b\f\n\r\t\v";

enum err masker_copy_read_text(struct bytes raw, char delimiter, struct buffer *out)
{
    buffer_clear(out);
    uint8_t *to = buffer_reserve(out, raw.size + 1);
    size_t n = 0;
    if (to == NULL) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < raw.size; i++) {
        uint8_t byte = raw.data[i];
        if (byte == '\\') {
            if (++i == raw.size || raw.data[i] == 0) {
                return ERR_INVALID;
            }
            const char *letter = strchr(letters, raw.data[i]);
            byte = letter != NULL ? (uint8_t)controls[letter - letters] : raw.data[i];
            if (letter == NULL && byte != '\\' && byte != (uint8_t)delimiter) {
                return ERR_INVALID;
            }
        }
        to[n++] = byte;
    }
    buffer_commit(out, n);
    return OK;
}

enum err masker_copy_put_text(struct bytes value, char delimiter, struct buffer *out)
{
    uint8_t *to = buffer_reserve(out, 2 * value.size + 1);
    size_t n = 0;
    if (to == NULL) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < value.size; i++) {
        uint8_t byte = value.data[i];
        const char *control = byte == 0 ? NULL : strchr(controls, byte);
        if (control != NULL || byte == '\\' || byte == (uint8_t)delimiter) {
            to[n++] = '\\';
        }
        to[n++] = control != NULL ? (uint8_t)letters[control - controls] : byte;
    }
    buffer_commit(out, n);
    return OK;
}

static enum err find(struct masker_copy *c, struct bytes data, size_t *out_size)
{
    const uint8_t *end = memchr(data.data + c->looked.at, '\n', data.size - c->looked.at);
    c->looked.at = data.size;
    *out_size = end == NULL ? 0 : (size_t)(end - data.data) + 1;
    return OK;
}

/* Where the field that begins at `at` ends: the delimiter or the line's end. */
static size_t find_end(const struct masker_copy *c, const struct masker_copy_line *line, size_t at)
{
    const uint8_t *text = line->text.data;
    size_t size = line->text.size;
    if (!line->has_backslash) { /* as most lines */
        const uint8_t *end = at == size ? NULL : memchr(text + at, c->delimiter, size - at);
        return end == NULL ? size : (size_t)(end - text);
    }
    for (; at < size && text[at] != (uint8_t)c->delimiter; at++) {
        if (text[at] == '\\') {
            at += at + 1 < size;
        }
    }
    return at;
}

static struct bytes take_field(const struct masker_copy *c, struct masker_copy_line *line,
                               bool *out_has_escapes)
{
    size_t start = line->at;
    line->at = find_end(c, line, start);
    struct bytes raw = bytes_of(line->text.data + start, line->at - start);
    *out_has_escapes =
        line->has_backslash && raw.size > 0 && memchr(raw.data, '\\', raw.size) != NULL;
    return raw;
}

static enum err put_field(struct masker_copy *c, size_t index, struct masker_copy_line *line,
                          struct buffer *out)
{
    bool has_escapes = false;
    size_t start = line->at;
    struct bytes raw = take_field(c, line, &has_escapes);
    const struct masker_column *column = &c->columns[index];
    if (c->state == COPY_HEADER || masker_is_plain(c->masker, column) ||
        bytes_equal(raw, buffer_bytes(&c->null_text))) {
        return OK;
    }
    struct bytes value = raw;
    enum err e = OK;
    if (has_escapes) {
        e = masker_copy_read_text(raw, c->delimiter, &c->field);
        value = buffer_bytes(&c->field);
    }
    enum masker_outcome outcome = MASKER_SAME;
    e = e == OK ? masker_apply(c->masker, column, index, value, &outcome) : e;
    if (e != OK || outcome == MASKER_SAME) {
        return e;
    }
    e = masker_copy_flush(line, start, out);
    if (e != OK) {
        return e;
    }
    return outcome == MASKER_TO_NULL
               ? buffer_append(out, buffer_bytes(&c->null_text))
               : masker_copy_put_text(buffer_bytes(&c->masker->value), c->delimiter, out);
}

static enum err put(struct masker_copy *c, struct bytes unit, struct buffer *out)
{
    struct masker_copy_line line = {.text = bytes_of(unit.data, unit.size - 1)};
    line.has_backslash = line.text.size > 0 && memchr(unit.data, '\\', line.text.size) != NULL;
    if (bytes_equal_string(line.text, "\\.")) {
        c->state = COPY_ENDED;
        return buffer_append(out, unit);
    }
    enum err e = OK;
    for (size_t i = 0; e == OK && i < c->count; i++) {
        if (i > 0 && line.at++ == line.text.size) {
            return ERR_INVALID; /* there are fewer */
        }
        e = put_field(c, i, &line, out);
    }
    if (e == OK && line.at != line.text.size) {
        return ERR_INVALID; /* there are more */
    }
    c->state = COPY_ROWS;
    return e == OK ? buffer_append(out, bytes_of(unit.data + line.run, unit.size - line.run)) : e;
}

const struct masker_copy_codec masker_copy_text = {.find = find, .put = put};

/* Forms, field by field (application/x-www-form-urlencoded, WHATWG URL section 5.1). */
#include <stdlib.h>

#include "base/hex.h"
#include "sidecar/masking/masker_body_internal.h"

struct masker_form {
    struct masker *m; /* borrows */
    bool is_strict;
    struct buffer field;       /* that is not complete, as it came */
    struct buffer name, value; /* decoded */
    struct buffer within;      /* what became of a value that is JSON */
    enum err failed;
};

enum err masker_form_create(struct masker *m, bool is_strict, struct masker_form **out)
{
    struct masker_form *f = calloc(1, sizeof(*f));
    if (f == NULL) {
        return ERR_NO_MEMORY;
    }
    f->m = m;
    f->is_strict = is_strict;
    buffer_init(&f->field, MASKER_BODY_VALUE_MAX);
    buffer_init(&f->name, MASKER_BODY_VALUE_MAX + 1);
    buffer_init(&f->value, MASKER_BODY_VALUE_MAX + 1);
    buffer_init(&f->within, 2 * MASKER_BODY_VALUE_MAX);
    *out = f;
    return OK;
}

void masker_form_destroy(struct masker_form *f)
{
    if (f != NULL) {
        buffer_wipe(&f->field);
        buffer_wipe(&f->name);
        buffer_wipe(&f->value);
        buffer_wipe(&f->within);
        free(f);
    }
}

/* ---- encoding ------------------------------------------------------------------------------- */

/* `plus`: what a plus sign is read as. */
static enum err decode(struct bytes text, uint8_t plus, bool is_strict, struct buffer *out)
{
    buffer_clear(out);
    uint8_t *to = buffer_reserve(out, text.size + 1);
    size_t n = 0;
    if (to == NULL) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c == '%') {
            int escaped = hex_escape(text, i);
            if (escaped >= 0) {
                c = (uint8_t)escaped;
                i += 2;
            } else if (is_strict) {
                return ERR_INVALID;
            }
        } else if (c == '+') {
            c = plus;
        }
        to[n++] = c;
    }
    buffer_commit(out, n);
    return OK;
}

static bool is_plain(uint8_t c)
{
    uint8_t low = c | 0x20;
    return (c >= '0' && c <= '9') || (low >= 'a' && low <= 'z') || c == '*' || c == '-' ||
           c == '.' || c == '_';
}

/* `with_plus`: a plus sign stays one. */
static enum err put_encoded(struct bytes text, bool with_plus, struct buffer *out)
{
    static const char digits[] = "0123456789ABCDEF";
    uint8_t *to = text.size > SIZE_MAX / 4 ? NULL : buffer_reserve(out, 3 * text.size + 1);
    size_t n = 0;
    if (to == NULL) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (is_plain(c) || c == ' ' || (c == '+' && with_plus)) {
            to[n++] = c == ' ' ? '+' : c;
        } else {
            to[n++] = '%';
            to[n++] = (uint8_t)digits[c >> 4];
            to[n++] = (uint8_t)digits[c & 15];
        }
    }
    buffer_commit(out, n);
    return OK;
}

/* ---- fields --------------------------------------------------------------------------------- */

static enum err put_made(struct masker_form *f, enum masker_made made, struct bytes raw,
                         bool with_plus, struct buffer *out)
{
    switch (made) {
    case MADE_SAME: return buffer_append(out, raw);
    case MADE_STRING: return put_encoded(buffer_bytes(&f->m->value), with_plus, out);
    default: return OK; /* nothing is left of it */
    }
}

static bool covers(const struct detector_span *spans, size_t count, struct detector_span wanted)
{
    for (size_t i = 0; i < count; i++) {
        if (spans[i].start <= wanted.start && spans[i].end >= wanted.end) {
            return true;
        }
    }
    return false;
}

/* Whether the first has something that the second does not cover. */
static bool has_more(const struct detector_span *a, size_t a_count, const struct detector_span *b,
                     size_t b_count)
{
    for (size_t i = 0; i < a_count; i++) {
        if (!covers(b, b_count, a[i])) {
            return true;
        }
    }
    return false;
}

enum reading { AS_SPACE, AS_PLUS, AS_NEITHER };

/* Many write a plus sign as it is, where it should be read as a space: both readings, which are of
 * one length, are searched. Where each finds something of its own, nothing is shown. */
static enum err choose(struct masker_form *f, struct bytes raw, struct buffer *decoded,
                       enum reading *out)
{
    struct detector_span plus[DETECTOR_SPANS_MAX];
    struct detector_result found = {0};
    enum err e = decode(raw, '+', f->is_strict, decoded);
    e = e == OK ? detector_scan(f->m->stream, buffer_bytes(decoded), false, &found) : e;
    size_t count = found.count;
    if (count > 0) {
        memcpy(plus, found.spans, count * sizeof(plus[0]));
    }
    bool is_overflowed = found.is_overflowed;
    e = e == OK ? decode(raw, ' ', f->is_strict, decoded) : e;
    e = e == OK ? detector_scan(f->m->stream, buffer_bytes(decoded), false, &found) : e;
    if (e == OK) {
        bool more = is_overflowed || has_more(plus, count, found.spans, found.count);
        bool less = has_more(found.spans, found.count, plus, count);
        *out = more && less ? AS_NEITHER : more ? AS_PLUS : AS_SPACE;
    }
    return e;
}

static enum err look(struct masker_form *f, struct bytes name, struct bytes raw,
                     struct buffer *decoded, struct buffer *out)
{
    enum masker_made made = MADE_SAME;
    enum reading reading = AS_SPACE;
    enum err e = OK;
    if (f->m->set != NULL && raw.size > 0 && memchr(raw.data, '+', raw.size) != NULL) {
        e = choose(f, raw, decoded, &reading);
    }
    e = e == OK ? decode(raw, reading == AS_PLUS ? '+' : ' ', f->is_strict, decoded) : e;
    e = e == OK ? masker_look(f->m, name, buffer_bytes(decoded), &made) : e;
    made = reading == AS_NEITHER ? MADE_NULL : made;
    return e == OK ? put_made(f, made, raw, reading == AS_PLUS, out) : e;
}

/* A value that no rule names; some are JSON. */
static enum err put_open_value(struct masker_form *f, struct bytes name, struct bytes raw,
                               struct buffer *out)
{
    bool is_within = false;
    buffer_clear(&f->within);
    enum err e = decode(raw, ' ', f->is_strict, &f->value);
    e = e == OK ? masker_json_look_within(f->m, 1, buffer_bytes(&f->value), &f->within, &is_within)
                : e;
    if (e == OK && is_within) {
        return put_encoded(buffer_bytes(&f->within), false, out);
    }
    return e == OK ? look(f, name, raw, &f->value, out) : e;
}

static enum err put_value(struct masker_form *f, uint64_t rules, struct bytes name,
                          struct bytes raw, struct buffer *out)
{
    enum masker_made made = MADE_SAME;
    if (rules == 0) {
        return put_open_value(f, name, raw, out);
    }
    enum err e = decode(raw, ' ', f->is_strict, &f->value);
    e = e == OK ? masker_make(f->m, rules, MASKER_STRING, buffer_bytes(&f->value), &made) : e;
    return e == OK ? put_made(f, made, raw, false, out) : e;
}

static enum err put_field(struct masker_form *f, struct bytes field, struct buffer *out)
{
    uint64_t rules = 0;
    const uint8_t *equals = field.size == 0 ? NULL : memchr(field.data, '=', field.size);
    size_t size = equals == NULL ? field.size : (size_t)(equals - field.data);
    struct bytes raw = bytes_of(field.data, size);
    enum err e = look(f, (struct bytes){0}, raw, &f->name, out);
    if (e != OK || equals == NULL) {
        return e;
    }
    e = decode(raw, ' ', f->is_strict, &f->name);
    e = e == OK ? masker_find_form_rules(f->m, buffer_bytes(&f->name), &rules) : e;
    e = e == OK ? buffer_append_string(out, "=") : e;
    return e == OK ? put_value(f, rules, buffer_bytes(&f->name),
                               bytes_of(equals + 1, field.size - size - 1), out)
                   : e;
}

/* Some servers take a semicolon for a separator, too: a name behind one is a name. */
static bool is_separator(uint8_t c)
{
    return c == '&' || c == ';';
}

static enum err feed(struct masker_form *f, struct bytes in, struct buffer *out)
{
    enum err e = OK;
    size_t start = 0;
    for (size_t i = 0; e == OK && i < in.size; i++) {
        if (is_separator(in.data[i])) {
            e = buffer_append(&f->field, bytes_of(in.data + start, i - start));
            e = e == OK ? put_field(f, buffer_bytes(&f->field), out) : e;
            e = e == OK ? buffer_append(out, bytes_of(in.data + i, 1)) : e;
            buffer_clear(&f->field);
            start = i + 1;
        }
    }
    return e == OK ? buffer_append(&f->field, bytes_of(in.data + start, in.size - start)) : e;
}

enum err masker_form_feed(struct masker_form *f, struct bytes in, struct buffer *out)
{
    if (f->failed == OK && in.size > 0) {
        f->failed = feed(f, in, out);
    }
    return f->failed;
}

enum err masker_form_finish(struct masker_form *f, struct buffer *out)
{
    if (f->failed == OK) {
        f->failed = put_field(f, buffer_bytes(&f->field), out);
        buffer_clear(&f->field);
    }
    return f->failed;
}

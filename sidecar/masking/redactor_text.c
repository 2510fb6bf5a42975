/* The partial form, and JSON strings. */
#include "sidecar/masking/redactor_internal.h"

static bool is_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The bytes of the character of UTF-8 at `at`; a byte that begins none is one by itself (a client
 * encoding of single bytes). */
static size_t character_size(struct bytes text, size_t at)
{
    uint8_t first = text.data[at];
    size_t size = first >= 0xf0 && first < 0xf8 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
    if (first >= 0xf8 || size > text.size - at) {
        return 1;
    }
    for (size_t i = 1; i < size; i++) {
        if ((text.data[at + i] & 0xc0) != 0x80) {
            return 1;
        }
    }
    return size;
}

static bool stays(const struct redactor *r, uint8_t first)
{
    return r->config.keep_separators && first < 0x80 && !is_alnum(first);
}

static size_t count_characters(const struct redactor *r, struct bytes text)
{
    size_t count = 0;
    for (size_t at = 0; at < text.size; at += character_size(text, at)) {
        count += !stays(r, text.data[at]);
    }
    return count;
}

enum err redactor_make_partial(struct redactor *r, struct value *v)
{
    if (v->type->kind != VALUE_TEXT) {
        return ERR_INVALID;
    }
    size_t count = count_characters(r, v->text), index = 0, made = 0;
    size_t first = r->config.keep_first, last = r->config.keep_last;
    if (first + last >= count) {
        first = last = 0; /* it would all be kept */
    }
    buffer_clear(&r->made);
    uint8_t *to = buffer_reserve(&r->made, v->text.size + 1);
    if (to == NULL) {
        return ERR_LIMIT;
    }
    for (size_t at = 0; at < v->text.size;) {
        size_t size = character_size(v->text, at);
        bool is_separator = stays(r, v->text.data[at]);
        if (is_separator || index < first || index >= count - last) {
            memcpy(to + made, v->text.data + at, size);
            made += size;
        } else {
            to[made++] = (uint8_t)r->config.mask;
        }
        index += !is_separator;
        at += size;
    }
    buffer_commit(&r->made, made);
    v->text = buffer_bytes(&r->made);
    return OK;
}

enum err redactor_put_json(struct bytes text, bool with_quotes, struct buffer *out)
{
    enum err e = with_quotes ? buffer_append_string(out, "\"") : OK;
    for (size_t i = 0; e == OK && i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c < 0x20) {
            e = buffer_append_format(out, "\\u%04x", (unsigned)c);
        } else {
            if (c == '"' || c == '\\') {
                e = buffer_append_string(out, "\\");
            }
            e = e == OK ? buffer_append(out, bytes_of(&c, 1)) : e;
        }
    }
    return e == OK && with_quotes ? buffer_append_string(out, "\"") : e;
}

/* The partial form, and JSON strings. */
#include "sidecar/masking/redactor_internal.h"

static bool is_alnum(uint8_t c)
{
    return (uint8_t)(c - '0') < 10 || (uint8_t)((c | 0x20) - 'a') < 26;
}

/* The bytes of the character of UTF-8 at `at`; a byte that begins none is one by itself (a client
 * encoding of single bytes). */
static size_t wide_character_size(struct bytes text, size_t at)
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

static inline size_t character_size(struct bytes text, size_t at)
{
    return text.data[at] < 0x80 ? 1 : wide_character_size(text, at);
}

static inline bool is_separator(uint8_t first)
{
    return first < 0x80 && !is_alnum(first);
}

static size_t count_characters(struct bytes text, bool keep_separators)
{
    size_t count = 0;
    for (size_t at = 0; at < text.size; at += character_size(text, at)) {
        count += !keep_separators || !is_separator(text.data[at]);
    }
    return count;
}

/* Writes `text` with the characters from `first` on, up to `end`, masked; separators only pass
 * uncounted when they are kept. Returns how many bytes it wrote. */
static size_t write_partial(const struct redactor *r, struct bytes text, size_t first, size_t end,
                            uint8_t *to)
{
    const uint8_t mask = (uint8_t)r->config.mask;
    const bool keep = r->config.keep_separators;
    size_t index = 0, made = 0;
    for (size_t at = 0; at < text.size;) {
        uint8_t byte = text.data[at];
        size_t size = character_size(text, at);
        bool passes = keep && is_separator(byte);
        if (!passes && index >= first && index < end) {
            to[made++] = mask;
        } else if (size == 1) {
            to[made++] = byte;
        } else {
            memcpy(to + made, text.data + at, size);
            made += size;
        }
        index += !passes;
        at += size;
    }
    return made;
}

enum err redactor_make_partial(struct redactor *r, struct value *v)
{
    if (v->type->kind != VALUE_TEXT) {
        return ERR_INVALID;
    }
    size_t count = count_characters(v->text, r->config.keep_separators);
    size_t first = r->config.keep_first, last = r->config.keep_last;
    if (first + last >= count) {
        first = last = 0; /* it would all be kept */
    }
    buffer_clear(&r->made);
    uint8_t *to = buffer_reserve(&r->made, v->text.size + 1);
    if (to == NULL) {
        return ERR_LIMIT;
    }
    buffer_commit(&r->made, write_partial(r, v->text, first, count - last, to));
    v->text = buffer_bytes(&r->made);
    return OK;
}

void redactor_prepare_partial(struct redactor *r)
{
    for (size_t c = 0; c < sizeof(r->counts) / sizeof(r->counts[0]); c++) {
        r->counts[c] = !r->config.keep_separators || !is_separator((uint8_t)c);
    }
}

bool redactor_make_partial_in_place(const struct redactor *r, uint8_t *text, size_t size)
{
    size_t first = r->config.keep_first, last = r->config.keep_last;
    size_t count = 0;
    uint8_t all = 0;
    for (size_t i = 0; i < size; i++) {
        all |= text[i];
        count += r->counts[text[i]];
    }
    if (all >= 0x80) {
        return false; /* a character may be of more bytes than its mask */
    }
    if (first + last >= count) {
        first = last = 0; /* it would all be kept */
    }
    const size_t end = count - last;
    const uint8_t mask = (uint8_t)r->config.mask;
    for (size_t i = 0, index = 0; i < size && index < end; i++) {
        const bool counted = r->counts[text[i]];
        if (counted && index >= first) {
            text[i] = mask;
        }
        index += counted;
    }
    return true;
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

#include "sidecar/protocol/http/body/http_needle.h"

#include <stdlib.h>

#include "base/hex.h"

enum {
    BASE64_BITS = 6,
    UTF8_MAX = 4,
    NESTED_MAX = 10, /* bytes of escapes of an escape: four levels of "%25", three of backslashes */
};

static const char STANDARD[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char URL[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* ---- the forms ----------------------------------------------------------------------------- */

static enum err allocate(struct http_needle *n, size_t count)
{
    n->units = calloc(count, sizeof(n->units[0]));
    n->count = n->units == NULL ? 0 : count;
    return n->units == NULL ? ERR_NO_MEMORY : OK;
}

static enum err init_plain(struct http_needle *n, struct bytes text)
{
    if (allocate(n, text.size) != OK) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        n->units[i] = (struct http_unit){c, c == ' ' ? '+' : c}; /* a form's way of a space */
    }
    return OK;
}

static enum err init_hex(struct http_needle *n, struct bytes text)
{
    static const char lower[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";
    if (allocate(n, 2 * text.size) != OK) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < n->count; i++) {
        unsigned c = text.data[i / 2], nibble = i % 2 == 0 ? c >> 4 : c & 15;
        n->units[i] = (struct http_unit){(uint8_t)lower[nibble], (uint8_t)upper[nibble]};
    }
    return OK;
}

/* Without the zero at either end, which tells the orders apart. */
static enum err init_wide(struct http_needle *n, struct bytes text)
{
    if (allocate(n, 2 * text.size - 1) != OK) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < text.size; i++) {
        n->units[2 * i] = (struct http_unit){text.data[i], text.data[i]};
    }
    n->percent_is_raw = true;
    n->backslash_is_raw = true;
    return OK;
}

/* Bit `at` of the stream that has `before` unknown bytes, the text, and unknown ones again. */
static bool read_bit(struct bytes text, size_t before, size_t at, bool *out_known)
{
    size_t byte = at / 8;
    *out_known = byte >= before && byte - before < text.size;
    return *out_known && (text.data[byte - before] >> (7 - at % 8) & 1) != 0;
}

/* The characters of base64 that have these bits where they are known. */
static struct http_byte_set base64_set(unsigned value, unsigned mask)
{
    struct http_byte_set set = {{0}};
    for (unsigned v = 0; v < 64; v++) {
        if ((v & mask) == value) {
            http_byte_set_add(&set, (uint8_t)STANDARD[v]);
            http_byte_set_add(&set, (uint8_t)URL[v]);
        }
    }
    return set;
}

static enum err init_base64(struct http_needle *n, struct bytes text, size_t before, bool is_whole)
{
    size_t first = 8 * before / BASE64_BITS;
    size_t end = (8 * (before + text.size) + BASE64_BITS - 1) / BASE64_BITS;
    if (allocate(n, end - first) != OK) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < n->count; i++) {
        unsigned value = 0, mask = 0;
        for (size_t bit = 0; bit < BASE64_BITS; bit++) {
            bool is_known = false;
            bool is_set = read_bit(text, before, (first + i) * BASE64_BITS + bit, &is_known);
            value = value << 1 | (is_set ? 1 : 0);
            mask = mask << 1 | (is_known || is_whole ? 1 : 0); /* padding has bits of zero */
        }
        if (mask == 63) {
            n->units[i] = (struct http_unit){(uint8_t)STANDARD[value], (uint8_t)URL[value]};
        } else if (i == 0) {
            n->has_first = true;
            n->first = base64_set(value, mask);
        } else {
            n->has_last = true;
            n->last = base64_set(value, mask);
        }
    }
    return OK;
}

enum err http_needle_init(struct http_needle *n, enum http_form form, struct bytes text)
{
    *n = (struct http_needle){0};
    switch (form) {
    case HTTP_FORM_PLAIN: return init_plain(n, text);
    case HTTP_FORM_BASE64_0: return init_base64(n, text, 0, false);
    case HTTP_FORM_BASE64_1: return init_base64(n, text, 1, false);
    case HTTP_FORM_BASE64_2: return init_base64(n, text, 2, false);
    case HTTP_FORM_BASE64_WHOLE: return init_base64(n, text, 0, true);
    case HTTP_FORM_HEX: return init_hex(n, text);
    case HTTP_FORM_WIDE: return init_wide(n, text);
    }
    return ERR_INVALID;
}

void http_needle_finish(struct http_needle *n)
{
    bytes_wipe(n->units, n->count * sizeof(n->units[0]));
    free(n->units);
    bytes_wipe(n, sizeof(*n));
}

struct http_byte_set http_needle_unit(const struct http_needle *n, size_t index)
{
    if (index == 0 && n->has_first) {
        return n->first;
    }
    if (index == n->count - 1 && n->has_last) {
        return n->last;
    }
    struct http_byte_set set = {{0}};
    http_byte_set_add(&set, n->units[index].a);
    http_byte_set_add(&set, n->units[index].b);
    return set;
}

/* ---- matching ------------------------------------------------------------------------------ */

static bool is_unit(const struct http_needle *n, size_t index, uint8_t c)
{
    if (index == 0 && n->has_first) {
        return http_byte_set_has(&n->first, c);
    }
    if (index == n->count - 1 && n->has_last) {
        return http_byte_set_has(&n->last, c);
    }
    return c == n->units[index].a || c == n->units[index].b;
}

/* What the text says at its beginning: some bytes, written as one. */
struct said {
    uint8_t bytes[UTF8_MAX];
    size_t count; /* 0: nothing that can be read */
    size_t size;  /* of the text */
    bool needs_more;
};

static const struct said NOTHING = {.count = 0}, NEEDS_MORE = {.needs_more = true};

static struct said said_byte(uint8_t c, size_t size)
{
    return (struct said){.bytes = {c}, .count = 1, .size = size};
}

/* `count` hexadecimal digits. */
static bool read_hex(struct bytes text, size_t at, size_t count, uint32_t *out, bool *out_more)
{
    uint32_t value = 0;
    for (size_t i = at; i < at + count; i++) {
        if (i >= text.size) {
            *out_more = true;
            return false;
        }
        int digit = hex_value(text.data[i]);
        if (digit < 0) {
            return false;
        }
        value = value << 4 | (uint32_t)digit;
    }
    *out = value;
    return true;
}

/* A URL within a URL is encoded again: "%252F" is '/', unless '%' itself is looked for. */
static struct said read_percent(struct bytes text, bool is_itself)
{
    uint32_t value = 0;
    bool more = false;
    for (size_t at = 1; at < NESTED_MAX; at += 2) {
        if (!read_hex(text, at, 2, &value, &more)) {
            return more ? NEEDS_MORE : NOTHING;
        }
        if (value != '%' || is_itself) {
            return said_byte((uint8_t)value, at + 2);
        }
    }
    return NOTHING;
}

static struct said said_code_point(uint32_t c, size_t size)
{
    struct said s = {.size = size};
    if (c < 0x80) {
        return said_byte((uint8_t)c, size);
    }
    if (c < 0x800) {
        s.bytes[s.count++] = (uint8_t)(0xc0 | c >> 6);
    } else if (c < 0x10000) {
        s.bytes[s.count++] = (uint8_t)(0xe0 | c >> 12);
        s.bytes[s.count++] = (uint8_t)(0x80 | (c >> 6 & 63));
    } else {
        s.bytes[s.count++] = (uint8_t)(0xf0 | c >> 18);
        s.bytes[s.count++] = (uint8_t)(0x80 | (c >> 12 & 63));
        s.bytes[s.count++] = (uint8_t)(0x80 | (c >> 6 & 63));
    }
    s.bytes[s.count++] = (uint8_t)(0x80 | (c & 63));
    return s;
}

static struct said read_unicode(struct bytes text)
{
    uint32_t high = 0, low = 0;
    bool more = false;
    if (!read_hex(text, 2, 4, &high, &more)) {
        return more ? NEEDS_MORE : NOTHING;
    }
    if (high < 0xd800 || high > 0xdfff) {
        return said_code_point(high, 6);
    }
    for (size_t i = 6; i < 8; i++) {
        if (text.size <= i) {
            return NEEDS_MORE;
        }
        if (text.data[i] != (i == 6 ? '\\' : 'u')) {
            return NOTHING;
        }
    }
    if (!read_hex(text, 8, 4, &low, &more)) {
        return more ? NEEDS_MORE : NOTHING;
    }
    if (high > 0xdbff || low < 0xdc00 || low > 0xdfff) {
        return NOTHING;
    }
    return said_code_point(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00), 12);
}

static struct said read_escape(struct bytes text)
{
    static const char letters[] = "bfnrt\"\\/", meanings[] = "\b\f\n\r\t\"\\/";
    if (text.size < 2) {
        return NEEDS_MORE;
    }
    if (text.data[1] == 'u') {
        return read_unicode(text);
    }
    const char *letter = text.data[1] == 0 ? NULL : strchr(letters, text.data[1]);
    return letter == NULL ? NOTHING : said_byte((uint8_t)meanings[letter - letters], 2);
}

/* JSON within a JSON string is escaped again: `\\\/` is '/', unless a backslash is looked for. */
static struct said read_backslash(struct bytes text, bool is_itself)
{
    size_t run = 1;
    while (!is_itself && run < NESTED_MAX && run < text.size && text.data[run] == '\\') {
        run++;
    }
    struct said s = read_escape(bytes_of(text.data + run - 1, text.size - (run - 1)));
    s.size += run - 1;
    return s;
}

enum http_needle_match http_needle_match(const struct http_needle *n, struct bytes text,
                                         size_t *out_size)
{
    size_t at = 0;
    for (size_t index = 0; index < n->count;) {
        if (at == text.size) {
            return HTTP_NEEDLE_PARTIAL;
        }
        uint8_t c = text.data[at];
        struct bytes rest = bytes_of(text.data + at, text.size - at);
        struct said s = c == '%' && !n->percent_is_raw ? read_percent(rest, is_unit(n, index, c))
                        : c == '\\' && !n->backslash_is_raw
                            ? read_backslash(rest, is_unit(n, index, c))
                            : said_byte(c, 1);
        if (s.needs_more) {
            return HTTP_NEEDLE_PARTIAL;
        }
        if (s.count == 0 || s.count > n->count - index) {
            return HTTP_NEEDLE_NONE;
        }
        for (size_t i = 0; i < s.count; i++) {
            if (!is_unit(n, index + i, s.bytes[i])) {
                return HTTP_NEEDLE_NONE;
            }
        }
        index += s.count;
        at += s.size;
    }
    *out_size = at;
    return HTTP_NEEDLE_FOUND;
}

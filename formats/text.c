#include "formats/text.h"

#include <stdlib.h>
#include <wchar.h>

static const uint32_t REPLACEMENT = 0xfffd;

/* RFC 3629 section 4: the length of the well-formed sequence at the front, 0 when there is none. */
static size_t decode(struct bytes b, uint32_t *out)
{
    uint8_t lead = b.data[0];
    if (lead < 0x80) {
        *out = lead;
        return 1;
    }
    size_t length = lead >= 0xf0 && lead <= 0xf4   ? 4
                    : lead >= 0xe0 && lead <= 0xef ? 3
                    : lead >= 0xc2 && lead <= 0xdf ? 2
                                                   : 0;
    if (length == 0 || length > b.size) {
        return 0;
    }
    uint32_t c = lead & (0xffU >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((b.data[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (b.data[i] & 0x3fU);
    }
    bool overlong = (length == 3 && c < 0x800) || (length == 4 && c < 0x10000);
    bool surrogate = c >= 0xd800 && c <= 0xdfff;
    if (overlong || surrogate || c > 0x10ffff) {
        return 0;
    }
    *out = c;
    return length;
}

size_t text_character_size(struct bytes text)
{
    uint32_t c = 0;
    return decode(text, &c);
}

static uint32_t take(struct bytes *rest)
{
    uint32_t c = REPLACEMENT;
    size_t length = decode(*rest, &c);
    if (length == 0) {
        c = REPLACEMENT;
        length = 1;
    }
    rest->data += length;
    rest->size -= length;
    return c;
}

static size_t encode(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* What a terminal obeys, or a reader does not see. */
static bool is_unsafe(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0xad || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

static bool is_space(uint32_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void escape(uint32_t c, struct text_unit *out)
{
    const char *format = c < 0x80 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x";
    if (c == '\n' || c == '\r' || c == '\t') {
        out->size = 2;
        memcpy(out->bytes, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t", out->size);
    } else {
        /* At most ten characters, "\U0010ffff": it always fits. */
        out->size = (size_t)snprintf(out->bytes, sizeof(out->bytes), format, (unsigned)c);
    }
    out->columns = out->size;
}

bool text_next(struct bytes *rest, enum text_spaces spaces, struct text_unit *out)
{
    if (rest->size == 0) {
        return false;
    }
    uint32_t c = take(rest);
    if (spaces == TEXT_SQUEEZED && is_space(c)) {
        while (rest->size > 0 && is_space(rest->data[0])) {
            (void)take(rest);
        }
        c = ' ';
    }
    bool kept = spaces == TEXT_LINES && (c == '\n' || c == '\t');
    if (is_unsafe(c) && !kept) {
        escape(c, out);
        return true;
    }
    out->size = encode(c, out->bytes);
    int columns = wcwidth((wchar_t)c);
    out->columns = columns < 0 ? 1 : (size_t)columns;
    return true;
}

/* The printable ASCII at the beginning, which is shown as it is: nearly all there ever is. */
static size_t shown_size(struct bytes text, enum text_spaces spaces)
{
    uint8_t first = spaces == TEXT_SQUEEZED ? '!' : ' ';
    size_t size = 0;
    while (size < text.size && text.data[size] >= first && text.data[size] < 0x7f) {
        size++;
    }
    return size;
}

void text_write(FILE *out, struct bytes text, enum text_spaces spaces)
{
    struct text_unit unit;
    while (text.size > 0) {
        size_t plain = shown_size(text, spaces);
        if (plain > 0) {
            (void)fwrite(text.data, 1, plain, out);
            text = bytes_of(text.data + plain, text.size - plain);
        } else if (text_next(&text, spaces, &unit)) {
            (void)fwrite(unit.bytes, 1, unit.size, out);
        }
    }
}

size_t text_columns(struct bytes text, enum text_spaces spaces)
{
    size_t columns = 0;
    struct text_unit unit;
    while (text_next(&text, spaces, &unit)) {
        columns += unit.columns;
    }
    return columns;
}

/* Stops as soon as it is known: a statement may be megabytes long. */
static bool fits(struct bytes text, enum text_spaces spaces, size_t columns)
{
    size_t used = 0;
    struct text_unit unit;
    while (text_next(&text, spaces, &unit)) {
        used += unit.columns;
        if (used > columns) {
            return false;
        }
    }
    return true;
}

size_t text_write_cut(FILE *out, struct bytes text, enum text_spaces spaces, size_t columns)
{
    bool whole = fits(text, spaces, columns);
    size_t limit = whole || columns == 0 ? columns : columns - 1;
    size_t used = 0;
    struct text_unit unit;
    while (text_next(&text, spaces, &unit) && used + unit.columns <= limit) {
        (void)fwrite(unit.bytes, 1, unit.size, out);
        used += unit.columns;
    }
    if (!whole && columns > 0) {
        (void)fputs("…", out);
        used++;
    }
    return used;
}

void text_write_indented(FILE *out, struct bytes text, size_t indent)
{
    while (text.size > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.size);
        size_t length = end == NULL ? text.size : (size_t)(end - text.data);
        struct bytes line = bytes_of(text.data, length);
        if (line.size > 0 && line.data[line.size - 1] == '\r') {
            line.size--;
        }
        (void)fprintf(out, "%*s", line.size > 0 ? (int)indent : 0, "");
        text_write(out, line, TEXT_LINES);
        (void)fputc('\n', out);
        size_t taken = end == NULL ? length : length + 1;
        text.data += taken;
        text.size -= taken;
    }
}

char *text_to_utf8(struct bytes text)
{
    /* A byte that is no UTF-8 becomes the three bytes of U+FFFD. */
    if (text.size > SIZE_MAX / 3 - 1) {
        return NULL;
    }
    char *out = malloc(text.size * 3 + 1);
    if (out == NULL) {
        return NULL;
    }
    size_t size = 0;
    while (text.size > 0) {
        uint32_t c = take(&text);
        size += encode(c == 0 ? REPLACEMENT : c, out + size);
    }
    out[size] = '\0';
    return out;
}

/* Nearly all of it needs no look at its characters: the ASCII ones that JSON leaves as they are. */
static size_t plain_size(struct bytes text)
{
    size_t size = 0;
    while (size < text.size && text.data[size] < 0x7f) {
        size++;
    }
    return size;
}

void text_write_json(FILE *out, const char *json)
{
    struct bytes rest = bytes_of_string(json);
    while (rest.size > 0) {
        size_t plain = plain_size(rest);
        if (plain > 0) {
            (void)fwrite(rest.data, 1, plain, out);
            rest = bytes_of(rest.data + plain, rest.size - plain);
            continue;
        }
        uint32_t c = take(&rest);
        char bytes[4];
        if (c >= 0x7f && c < 0x10000 && is_unsafe(c)) {
            (void)fprintf(out, "\\u%04x", (unsigned)c);
        } else if (c >= 0x10000 && is_unsafe(c)) {
            /* RFC 8259 section 7: beyond the basic plane, a surrogate pair. */
            uint32_t v = c - 0x10000;
            (void)fprintf(out, "\\u%04x\\u%04x", (unsigned)(0xd800 + (v >> 10)),
                          (unsigned)(0xdc00 + (v & 0x3ff)));
        } else {
            (void)fwrite(bytes, 1, encode(c, bytes), out);
        }
    }
}

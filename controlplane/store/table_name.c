#include "controlplane/store/table_name.h"

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static bool is_plain(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '$' || c >= 0x80;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Reads one part from the front of `in` into `part` (room for all of `in`): its size. A doubled
 * quote cannot be told from an end and a new beginning; both mean one quote here. */
static size_t part_read(struct bytes *in, uint8_t *part)
{
    size_t size = 0, at = 0;
    uint8_t quote = 0;
    for (; at < in->size; at++) {
        uint8_t c = in->data[at];
        if (quote != 0) {
            if (c == quote && at + 1 < in->size && in->data[at + 1] == quote) {
                part[size++] = c;
                at++;
            } else if (c == quote) {
                quote = 0;
            } else {
                part[size++] = lower(c);
            }
        } else if (c == '"' || c == '`') {
            quote = c;
        } else if (c == '.') {
            at++;
            break;
        } else if (!is_space(c)) {
            part[size++] = lower(c);
        }
    }
    in->data += at;
    in->size -= at;
    return size;
}

/* Writes a part in the one form; `out` has room for 2 * size + 2. */
static size_t part_write(const uint8_t *part, size_t size, uint8_t *out)
{
    bool plain = true;
    for (size_t i = 0; i < size; i++) {
        plain = plain && is_plain(part[i]);
    }
    if (plain) {
        memcpy(out, part, size);
        return size;
    }
    size_t n = 0;
    out[n++] = '"';
    for (size_t i = 0; i < size; i++) {
        if (part[i] == '"') {
            out[n++] = '"';
        }
        out[n++] = part[i];
    }
    out[n++] = '"';
    return n;
}

enum err table_name_parse(struct bytes written, struct arena *arena, struct table_name *out)
{
    if (written.size == 0 || written.size > SIZE_MAX / 8) {
        return ERR_INVALID;
    }
    /* At worst every byte is a part of its own that needs quotes: "?" and its dot. */
    uint8_t *full = arena_alloc(arena, 4 * written.size + 4);
    uint8_t *last = arena_alloc(arena, written.size);
    uint8_t *part = arena_alloc(arena, written.size);
    if (full == NULL || last == NULL || part == NULL) {
        return ERR_NO_MEMORY;
    }
    size_t full_size = 0, last_size = 0;
    while (written.size > 0) {
        size_t size = part_read(&written, part);
        if (size == 0) {
            continue; /* ".orders", "a..b": nothing there is a name */
        }
        if (full_size > 0) {
            full[full_size++] = '.';
        }
        full_size += part_write(part, size, full + full_size);
        memcpy(last, part, size);
        last_size = size;
    }
    if (full_size == 0) {
        return ERR_INVALID;
    }
    *out =
        (struct table_name){.full = bytes_of(full, full_size), .last = bytes_of(last, last_size)};
    return OK;
}

bool table_name_is_same(struct bytes a, struct bytes b)
{
    struct bytes longer = a.size >= b.size ? a : b;
    struct bytes shorter = a.size >= b.size ? b : a;
    size_t before = longer.size - shorter.size;
    if (shorter.size == 0 || memcmp(longer.data + before, shorter.data, shorter.size) != 0) {
        return false;
    }
    if (before == 0) {
        return true;
    }
    /* The tail must begin at a part: after a dot that no quotes enclose. */
    bool quoted = false;
    for (size_t i = 0; i < before; i++) {
        quoted ^= longer.data[i] == '"';
    }
    return !quoted && longer.data[before - 1] == '.';
}

#include "base/words.h"
#include "sidecar/masking/masker_json_internal.h"

static bool is_escaped(uint8_t c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

/* Returns behind it. */
static uint8_t *write_escape(uint8_t c, uint8_t *to)
{
    static const char named[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt", hex[] = "0123456789abcdef";
    const char *found = c == 0 ? NULL : strchr(named, c);
    *to++ = '\\';
    if (found != NULL) {
        *to++ = (uint8_t)names[found - named];
        return to;
    }
    const uint8_t code[] = {'u', '0', '0', (uint8_t)hex[c >> 4], (uint8_t)hex[c & 15]};
    memcpy(to, code, sizeof(code));
    return to + sizeof(code);
}

static bool has_escaped(uint64_t word)
{
    return (words_below(word, 0x20) | words_equal(word, '"') | words_equal(word, '\\')) != 0;
}

/* How many bytes at the front need no escape, eight at a time; at most seven too few. */
static size_t plain_size(struct bytes text)
{
    size_t at = 0;
    while (text.size - at >= WORDS_SIZE && !has_escaped(words_load(text.data + at))) {
        at += WORDS_SIZE;
    }
    bool is_end = at > 0 && text.size - at < WORDS_SIZE; /* the last eight tell of the rest */
    return is_end && !has_escaped(words_load(text.data + text.size - WORDS_SIZE)) ? text.size : at;
}

enum err masker_json_put_string(struct bytes text, const char *after, struct buffer *out)
{
    enum { ESCAPE_MAX = 6 };
    size_t escapes = 0, rest = strlen(after);
    for (size_t i = plain_size(text); i < text.size; i++) {
        escapes += is_escaped(text.data[i]);
    }
    uint8_t *begin = buffer_reserve(out, text.size + escapes * (ESCAPE_MAX - 1) + 2 + rest);
    if (begin == NULL) {
        return ERR_LIMIT;
    }
    uint8_t *to = begin;
    *to++ = '"';
    if (escapes == 0 && text.size > 0) {
        memcpy(to, text.data, text.size);
        to += text.size;
    }
    for (size_t i = 0; escapes > 0 && i < text.size; i++) {
        if (is_escaped(text.data[i])) {
            to = write_escape(text.data[i], to);
        } else {
            *to++ = text.data[i];
        }
    }
    *to++ = '"';
    memcpy(to, after, rest);
    buffer_commit(out, (size_t)(to - begin) + rest);
    return OK;
}

#include "base/tlog/text.h"

#include "base/crypto/crypto.h"

enum { NO_CHARACTER = 0x110000 };

static uint32_t utf8_fail(struct bytes *rest)
{
    rest->size = 0;
    return NO_CHARACTER;
}

/* Takes one character off `rest`, which is not empty. NO_CHARACTER, and nothing more to read, where
 * it is not UTF-8: overlong forms, surrogates and what is above U+10FFFF included. */
static uint32_t utf8_take(struct bytes *rest)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    uint8_t first = rest->data[0];
    size_t more = first < 0x80             ? 0
                  : (first & 0xe0) == 0xc0 ? 1
                  : (first & 0xf0) == 0xe0 ? 2
                  : (first & 0xf8) == 0xf0 ? 3
                                           : 4;
    if (more == 4 || more >= rest->size) {
        return utf8_fail(rest);
    }
    uint32_t c = more == 0 ? first : first & (0x3fU >> more);
    for (size_t i = 1; i <= more; i++) {
        if ((rest->data[i] & 0xc0) != 0x80) {
            return utf8_fail(rest);
        }
        c = c << 6 | (rest->data[i] & 0x3fU);
    }
    if (c < least[more] || (c >= 0xd800 && c <= 0xdfff) || c >= NO_CHARACTER) {
        return utf8_fail(rest);
    }
    *rest = bytes_of(rest->data + more + 1, rest->size - more - 1);
    return c;
}

bool text_is_clean(struct bytes text)
{
    while (text.size > 0) {
        uint32_t c = utf8_take(&text);
        if (c == NO_CHARACTER || (c < 0x20 && c != '\n')) {
            return false;
        }
    }
    return true;
}

/* The property White_Space of Unicode, without the ASCII control characters. */
static bool is_space(uint32_t c)
{
    return c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
           c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool text_is_name(struct bytes text, size_t most)
{
    if (text.size == 0 || text.size > most) {
        return false;
    }
    while (text.size > 0) {
        uint32_t c = utf8_take(&text);
        if (c == NO_CHARACTER || c < 0x20 || c == '+' || is_space(c)) {
            return false;
        }
    }
    return true;
}

bool text_has_prefix(struct bytes text, const char *prefix)
{
    size_t size = strlen(prefix);
    return text.size >= size && memcmp(text.data, prefix, size) == 0;
}

bool text_take_line(struct bytes *rest, struct bytes *out)
{
    const uint8_t *end = rest->size == 0 ? NULL : memchr(rest->data, '\n', rest->size);
    if (end == NULL) {
        return false;
    }
    size_t size = (size_t)(end - rest->data);
    *out = bytes_of(rest->data, size);
    *rest = bytes_of(end + 1, rest->size - size - 1);
    return true;
}

bool text_to_number(struct bytes text, uint64_t most, uint64_t *out)
{
    if (text.size == 0 || (text.data[0] == '0' && text.size > 1)) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (value > most / 10 || digit > most - value * 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

enum err text_to_bytes(struct bytes text, uint8_t *out, size_t size)
{
    if (text.size != (size + 2) / 3 * 4) {
        return ERR_INVALID;
    }
    struct buffer decoded;
    buffer_init(&decoded, size + 2); /* another padding than size needs: up to two bytes more */
    enum err e = crypto_base64_decode(text, &decoded);
    struct bytes value = buffer_bytes(&decoded);
    if (e == OK && (value.data == NULL || value.size != size)) {
        e = ERR_INVALID;
    }
    if (e == OK) {
        memcpy(out, value.data, size);
    }
    buffer_finish(&decoded);
    return e;
}

enum err text_to_hash(struct bytes text, struct tlog_hash *out)
{
    return text_to_bytes(text, out->bytes, TLOG_HASH_SIZE);
}

enum err text_take_proof(struct bytes *rest, const char *what, struct tlog_proof *out,
                         struct err_text *why)
{
    struct bytes line;
    out->count = 0;
    for (;;) {
        if (!text_take_line(rest, &line)) {
            return err_set(why, ERR_INVALID, "the %s ends before its checkpoint", what);
        }
        if (line.size == 0) {
            return OK;
        }
        if (out->count == TLOG_PROOF_MAX) {
            return err_set(why, ERR_LIMIT, "the proof has more than %d hashes",
                           (int)TLOG_PROOF_MAX);
        }
        enum err e = text_to_hash(line, &out->hashes[out->count]);
        if (e != OK) {
            return err_set(why, e, "hash %zu of the proof is not base64 of 32 bytes",
                           out->count + 1);
        }
        out->count++;
    }
}

enum err text_put_hash(struct buffer *out, const struct tlog_hash *hash)
{
    size_t before = buffer_size(out);
    enum err e = crypto_base64_encode(bytes_of(hash->bytes, TLOG_HASH_SIZE), out);
    if (e == OK && (e = buffer_append_string(out, "\n")) != OK) {
        text_take_back(out, before);
    }
    return e;
}

void text_take_back(struct buffer *out, size_t size)
{
    out->end = out->start + size;
}

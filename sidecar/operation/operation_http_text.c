#include "sidecar/operation/operation_http_text.h"

#include "base/hex.h"
#include "base/utf8.h"
#include "sidecar/operation/operation_http.h"

enum err operation_text_decode(struct arena *a, struct bytes text, bool plus_is_space,
                               const char **out)
{
    char *to = arena_alloc(a, text.size + 1);
    if (to == NULL) {
        return ERR_NO_MEMORY;
    }
    char *end = to;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c == '%') {
            int escaped = hex_escape(text, i);
            if (escaped < 0) {
                return ERR_INVALID;
            }
            c = (uint8_t)escaped;
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == '\0') {
            return ERR_INVALID;
        }
        *end++ = (char)c;
    }
    *out = to;
    return OK;
}

static enum err pair_read(struct arena *a, struct bytes text, struct policy_pair *out)
{
    const uint8_t *equals = memchr(text.data, '=', text.size);
    size_t name_size = equals == NULL ? text.size : (size_t)(equals - text.data);
    struct bytes value =
        equals == NULL ? bytes_of(NULL, 0) : bytes_of(equals + 1, text.size - name_size - 1);
    enum err e = operation_text_decode(a, bytes_of(text.data, name_size), true, &out->name);
    return e == OK ? operation_text_decode(a, value, true, &out->value) : e;
}

static size_t pairs_count(struct bytes text)
{
    size_t count = 1;
    for (size_t i = 0; i < text.size; i++) {
        count += text.data[i] == '&';
    }
    return count;
}

enum err operation_pairs_read(struct arena *a, struct bytes text, struct policy_pair **out,
                              size_t *out_count)
{
    size_t most = pairs_count(text), count = 0;
    if (most > OPERATION_HTTP_PAIRS_MAX) {
        return ERR_LIMIT;
    }
    struct policy_pair *pairs = arena_alloc(a, most * sizeof(*pairs));
    if (pairs == NULL) {
        return ERR_NO_MEMORY;
    }
    for (struct bytes rest = text; rest.size > 0;) {
        const uint8_t *end = memchr(rest.data, '&', rest.size);
        size_t size = end == NULL ? rest.size : (size_t)(end - rest.data);
        if (size > 0) {
            enum err e = pair_read(a, bytes_of(rest.data, size), &pairs[count++]);
            if (e != OK) {
                return e;
            }
        }
        size += end != NULL;
        rest = bytes_of(rest.data + size, rest.size - size);
    }
    *out = pairs;
    *out_count = count;
    return OK;
}

const char *operation_pointer_join(struct arena *a, const char *parent, const char *name)
{
    size_t parent_size = strlen(parent), size = parent_size + 2;
    for (const char *p = name; *p != '\0'; p++) {
        size += *p == '~' || *p == '/' ? 2 : 1;
    }
    char *text = arena_alloc(a, size);
    if (text == NULL) {
        return NULL;
    }
    memcpy(text, parent, parent_size);
    char *to = text + parent_size;
    *to++ = '/';
    for (const char *p = name; *p != '\0'; p++) {
        if (*p == '~' || *p == '/') {
            *to++ = '~';
            *to++ = *p == '~' ? '0' : '1';
        } else {
            *to++ = *p;
        }
    }
    return text;
}

bool operation_text_is_utf8(struct bytes text)
{
    for (size_t i = 0; i < text.size;) {
        size_t size = utf8_character_size(text.data + i, text.size - i);
        if (size == 0) {
            return false;
        }
        i += size;
    }
    return true;
}

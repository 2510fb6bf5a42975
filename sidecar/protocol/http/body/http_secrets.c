#include <stdlib.h>

#include "sidecar/protocol/http/body/http_filter.h"
#include "sidecar/protocol/http/body/http_needle.h"
#include "sidecar/protocol/http/body/http_secrets_internal.h"
#include "sidecar/protocol/http/body/http_secrets_stream.h"

enum {
    /* A text that is shorter has forms that are found by chance. */
    LONG_ENOUGH = 8,
    /* As it is: with '%' and '\' each as an escape or as itself; base64, hexadecimal, UTF-16. */
    NEEDLES_OF_TEXT_MAX = 4 + 3 + 1 + 1,
    NEEDLES_MAX = HTTP_BODY_SECRETS_MAX * NEEDLES_OF_TEXT_MAX,
    NEEDLE_WORDS = (NEEDLES_MAX + 63) / 64,
};

/* Some of the needles, by their indices. */
struct needle_set {
    uint64_t bits[NEEDLE_WORDS];
};

struct http_secrets {
    struct http_filter filter;
    bool has_number;
    size_t shortest; /* units: each of them takes a byte at least */
    size_t count;
    struct http_needle needles[NEEDLES_MAX];
    struct needle_set all, by_first[256]; /* by what the first unit may be */
};

static enum err add(struct http_secrets *s, enum http_form form, struct bytes text)
{
    enum err e = http_needle_init(&s->needles[s->count], form, text);
    s->count += e == OK ? 1 : 0;
    return e;
}

static enum err add_plain(struct http_secrets *s, struct bytes text)
{
    unsigned specials = (memchr(text.data, '%', text.size) != NULL ? 1 : 0) |
                        (memchr(text.data, '\\', text.size) != NULL ? 2 : 0);
    for (unsigned raw = 0; raw < 4; raw++) {
        if ((raw & specials) != raw) {
            continue;
        }
        if (add(s, HTTP_FORM_PLAIN, text) != OK) {
            return ERR_NO_MEMORY;
        }
        s->needles[s->count - 1].percent_is_raw = raw & 1;
        s->needles[s->count - 1].backslash_is_raw = raw & 2;
    }
    return OK;
}

static bool is_ascii(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

static enum err add_text(struct http_secrets *s, struct bytes text)
{
    static const enum http_form long_forms[] = {HTTP_FORM_BASE64_0, HTTP_FORM_BASE64_1,
                                                HTTP_FORM_BASE64_2, HTTP_FORM_HEX};
    enum err e = add_plain(s, text);
    if (text.size < LONG_ENOUGH) {
        return e == OK ? add(s, HTTP_FORM_BASE64_WHOLE, text) : e;
    }
    for (size_t i = 0; e == OK && i < sizeof(long_forms) / sizeof(long_forms[0]); i++) {
        e = add(s, long_forms[i], text);
    }
    return e == OK && is_ascii(text) ? add(s, HTTP_FORM_WIDE, text) : e;
}

/* Every unit may be a character of a number (RFC 8259 section 6). */
static bool is_number(const struct http_needle *n)
{
    for (size_t i = 0; i < n->count; i++) {
        struct http_byte_set unit = http_needle_unit(n, i);
        bool any = false;
        for (const char *c = "0123456789.eE+-"; *c != '\0' && !any; c++) {
            any = http_byte_set_has(&unit, (uint8_t)*c);
        }
        if (!any) {
            return false;
        }
    }
    return true;
}

static void add_to_sets(struct http_secrets *s, size_t index)
{
    struct http_byte_set first = http_needle_unit(&s->needles[index], 0);
    uint64_t bit = (uint64_t)1 << (index % 64);
    s->all.bits[index / 64] |= bit;
    for (unsigned c = 0; c < 256; c++) {
        if (http_byte_set_has(&first, (uint8_t)c)) {
            s->by_first[c].bits[index / 64] |= bit;
        }
    }
}

static void prepare(struct http_secrets *s)
{
    size_t shortest = SIZE_MAX;
    for (size_t i = 0; i < s->count; i++) {
        shortest = s->needles[i].count < shortest ? s->needles[i].count : shortest;
        s->has_number = s->has_number || is_number(&s->needles[i]);
    }
    s->shortest = shortest;
    http_filter_init(&s->filter, shortest);
    for (size_t i = 0; i < s->count; i++) {
        http_filter_add(&s->filter, &s->needles[i]);
        add_to_sets(s, i);
    }
}

struct http_secrets *http_secrets_create(const struct bytes *texts, size_t count)
{
    struct http_secrets *s = count > HTTP_BODY_SECRETS_MAX ? NULL : calloc(1, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        if (texts[i].size > 0 && add_text(s, texts[i]) != OK) {
            http_secrets_destroy(s);
            return NULL;
        }
    }
    if (s->count > 0) {
        prepare(s);
    }
    return s;
}

void http_secrets_destroy(struct http_secrets *s)
{
    if (s != NULL) {
        for (size_t i = 0; i < s->count; i++) {
            http_needle_finish(&s->needles[i]);
        }
        bytes_wipe(s, sizeof(*s)); /* the filter's pairs are of the secrets */
        free(s);
    }
}

bool http_secrets_are_any(const struct http_secrets *s)
{
    return s != NULL && s->count > 0;
}

bool http_secrets_have_number(const struct http_secrets *s)
{
    return s->has_number;
}

/* Those that may begin with this. */
static const struct needle_set *candidates(const struct http_secrets *s, struct bytes text)
{
    /* An escape may be any byte. */
    bool is_escape = text.data[0] == '%' || text.data[0] == '\\';
    return is_escape ? &s->all : &s->by_first[text.data[0]];
}

/* What begins exactly at `at`: the longest of them. */
static struct http_secrets_found match_at(const struct http_secrets *s, struct bytes text,
                                          size_t at, bool is_last)
{
    struct http_secrets_found found = {.what = HTTP_SECRETS_CLEAN, .start = at};
    struct bytes rest = bytes_of(text.data + at, text.size - at);
    const struct needle_set *set = candidates(s, rest);
    for (size_t word = 0; word < NEEDLE_WORDS; word++) {
        for (uint64_t bits = set->bits[word]; bits != 0; bits &= bits - 1) {
            size_t size = 0, index = word * 64 + (size_t)__builtin_ctzll(bits);
            enum http_needle_match m = http_needle_match(&s->needles[index], rest, &size);
            if (m == HTTP_NEEDLE_PARTIAL && !is_last) {
                return (struct http_secrets_found){.what = HTTP_SECRETS_PARTIAL, .start = at};
            }
            if (m == HTTP_NEEDLE_FOUND && size > found.size) {
                found.what = HTTP_SECRETS_FOUND;
                found.size = size;
            }
        }
    }
    return found;
}

/* Another one may begin within what was found, and go on behind it. */
static struct http_secrets_found extend(const struct http_secrets *s, struct bytes text,
                                        struct http_secrets_found found, bool is_last)
{
    for (size_t at = found.start + 1; at < found.start + found.size; at++) {
        struct http_secrets_found more = match_at(s, text, at, is_last);
        if (more.what == HTTP_SECRETS_PARTIAL) {
            more.start = found.start;
            return more;
        }
        if (more.what == HTTP_SECRETS_FOUND && at + more.size > found.start + found.size) {
            found.size = at + more.size - found.start;
        }
    }
    return found;
}

struct http_secrets_found http_secrets_find(const struct http_secrets *s, struct bytes text,
                                            size_t from, bool is_last)
{
    /* What is shorter than any of them cannot be one, where no more comes. */
    size_t least = is_last ? s->shortest : 1;
    for (size_t at = from; s->count > 0 && at < text.size && text.size - at >= least; at++) {
        at = http_filter_next(&s->filter, text, at);
        if (at >= text.size) {
            break;
        }
        if (!http_byte_set_has(&s->filter.first, text.data[at])) {
            continue;
        }
        struct http_secrets_found found = match_at(s, text, at, is_last);
        if (found.what == HTTP_SECRETS_FOUND) {
            return extend(s, text, found, is_last);
        }
        if (found.what == HTTP_SECRETS_PARTIAL) {
            return found;
        }
    }
    return (struct http_secrets_found){.what = HTTP_SECRETS_CLEAN, .start = text.size};
}

bool http_secrets_are_in(const struct http_secrets *s, struct bytes text)
{
    return http_secrets_find(s, text, 0, true).what == HTTP_SECRETS_FOUND;
}

enum err http_secrets_replace(const struct http_secrets *s, struct bytes text, struct buffer *out,
                              bool *out_found)
{
    struct http_secrets_stream *stream = http_secrets_stream_create(s, false);
    if (stream == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = http_secrets_stream_feed(stream, text, out, NULL);
    e = e == OK ? http_secrets_stream_finish(stream, out) : e;
    if (e == OK) {
        *out_found = http_secrets_stream_found(stream);
    }
    http_secrets_stream_destroy(stream);
    return e;
}

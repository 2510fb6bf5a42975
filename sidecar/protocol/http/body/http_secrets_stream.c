#include "sidecar/protocol/http/body/http_secrets_stream.h"

#include <stdlib.h>

#include "sidecar/protocol/http/body/http_secrets_internal.h"

enum {
    JOINED_FIRST = 256, /* new bytes behind those that are held: most often they tell */
    /* A secret is a header's value: HTTP_HEAD_MAX, in hexadecimal, each digit as \u0061; and what
     * overlaps with it. */
    HELD_MAX = 4 << 20,
};

struct http_secrets_stream {
    const struct http_secrets *secrets;
    struct buffer held;
    bool is_json;
    bool was_found;
    /* Of JSON, about what was given out. */
    bool is_escaped;   /* the next byte follows a backslash that escapes it */
    bool is_in_string; /* known only where a secret may be a number */
};

struct http_secrets_stream *http_secrets_stream_create(const struct http_secrets *s, bool is_json)
{
    struct http_secrets_stream *stream = calloc(1, sizeof(*stream));
    if (stream != NULL) {
        stream->secrets = s;
        stream->is_json = is_json;
        buffer_init(&stream->held, HELD_MAX);
    }
    return stream;
}

void http_secrets_stream_destroy(struct http_secrets_stream *s)
{
    if (s != NULL) {
        buffer_wipe(&s->held);
        free(s);
    }
}

bool http_secrets_stream_found(const struct http_secrets_stream *s)
{
    return s->was_found;
}

/* ---- what JSON needs ----------------------------------------------------------------------- */

/* Where the text's last byte leaves a reader of strings: after a backslash that escapes? */
static void follow_escapes(struct http_secrets_stream *s, struct bytes text)
{
    size_t run = 0;
    while (run < text.size && text.data[text.size - 1 - run] == '\\') {
        run++;
    }
    bool is_odd = run % 2 == 1;
    s->is_escaped = run == text.size ? is_odd != s->is_escaped : is_odd;
}

static void follow_strings(struct http_secrets_stream *s, struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (s->is_escaped) {
            s->is_escaped = false;
        } else if (c == '\\') {
            s->is_escaped = true;
        } else if (c == '"') {
            s->is_in_string = !s->is_in_string;
        }
    }
}

static void follow(struct http_secrets_stream *s, struct bytes text)
{
    if (!s->is_json || text.size == 0) {
        return;
    }
    if (http_secrets_have_number(s->secrets)) {
        follow_strings(s, text);
    } else {
        follow_escapes(s, text);
    }
}

static bool is_part_of_number(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == 0 || strchr("0123456789.eE+-", text.data[i]) == NULL) {
            return false;
        }
    }
    return true;
}

/* A number stays one, with another value: any other digit but 0 may stand wherever one does. */
static enum err put_number(struct bytes text, struct buffer *out)
{
    uint8_t digit = '2';
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] >= '0' && text.data[i] <= '9' && text.data[i] != '1') {
            digit = '1';
        }
    }
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i] >= '0' && text.data[i] <= '9' ? digit : text.data[i];
        enum err e = buffer_append(out, bytes_of(&c, 1));
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

static enum err put_masked(struct http_secrets_stream *s, struct bytes secret, struct buffer *out)
{
    s->was_found = true;
    if (s->is_json && http_secrets_have_number(s->secrets) && !s->is_in_string &&
        is_part_of_number(secret)) {
        return put_number(secret, out);
    }
    /* The backslash that was given out before needs an escape to follow: "\u005b" is '['. */
    const char *text = s->is_escaped ? "u005bmasked]" : "[masked]";
    s->is_escaped = false;
    return buffer_append_string(out, text);
}

/* ---- the stream ---------------------------------------------------------------------------- */

/* Appends what can be told of the text; `*out_rest`: where what cannot begins. `out_clean`, where
 * it is wanted, gets the last clean bytes before that in place of the buffer. */
static enum err search(struct http_secrets_stream *s, struct bytes text, bool is_last,
                       struct buffer *out, size_t *out_rest, struct bytes *out_clean)
{
    size_t at = 0;
    for (;;) {
        struct http_secrets_found found = http_secrets_find(s->secrets, text, at, is_last);
        struct bytes clean = bytes_of(text.data + at, found.start - at);
        bool is_end = found.what != HTTP_SECRETS_FOUND;
        enum err e = OK;
        follow(s, clean);
        if (is_end && out_clean != NULL) {
            *out_clean = clean;
        } else {
            e = buffer_append(out, clean);
        }
        if (e == OK && !is_end) {
            e = put_masked(s, bytes_of(text.data + found.start, found.size), out);
        }
        if (e != OK) {
            return e;
        }
        at = found.start + found.size;
        if (is_end) {
            *out_rest = at;
            return OK;
        }
    }
}

/* What is held, with as many new bytes as it takes to tell: the others are searched where they
 * stand. */
static enum err feed_held(struct http_secrets_stream *s, struct bytes *in, struct buffer *out)
{
    size_t held = buffer_size(&s->held); /* of it, what was there before */
    for (size_t step = JOINED_FIRST; held > 0 && in->size > 0; step *= 2) {
        size_t size = in->size < step ? in->size : step, rest = 0;
        enum err e = buffer_append(&s->held, bytes_of(in->data, size));
        e = e == OK ? search(s, buffer_bytes(&s->held), false, out, &rest, NULL) : e;
        if (e != OK) {
            return e;
        }
        *in = bytes_of(in->data + size, in->size - size);
        buffer_consume(&s->held, rest);
        if (rest < held) {
            held -= rest;
            continue;
        }
        size_t left = buffer_size(&s->held);
        *in = bytes_of(in->data - left, in->size + left);
        buffer_clear(&s->held);
        held = 0;
    }
    return OK;
}

enum err http_secrets_stream_feed(struct http_secrets_stream *s, struct bytes in,
                                  struct buffer *out, struct bytes *out_clean)
{
    size_t rest = 0;
    enum err e = feed_held(s, &in, out);
    if (e == OK && in.size > 0) {
        e = search(s, in, false, out, &rest, out_clean);
        e = e == OK ? buffer_append(&s->held, bytes_of(in.data + rest, in.size - rest)) : e;
    }
    return e;
}

enum err http_secrets_stream_finish(struct http_secrets_stream *s, struct buffer *out)
{
    size_t rest = 0;
    enum err e =
        buffer_size(&s->held) == 0 ? OK : search(s, buffer_bytes(&s->held), true, out, &rest, NULL);
    buffer_clear(&s->held);
    return e;
}

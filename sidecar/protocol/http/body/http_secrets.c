#include "sidecar/protocol/http/http_body.h"

#include <stdlib.h>

struct http_secrets {
    struct buffer texts[HTTP_BODY_SECRETS_MAX];
    size_t count;
};

struct http_secrets *http_secrets_create(const struct bytes *texts, size_t count)
{
    struct http_secrets *s = count > HTTP_BODY_SECRETS_MAX ? NULL : calloc(1, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        buffer_init(&s->texts[i], SIZE_MAX);
        s->count++;
        if (buffer_append(&s->texts[i], texts[i]) != OK) {
            http_secrets_destroy(s);
            return NULL;
        }
    }
    return s;
}

void http_secrets_destroy(struct http_secrets *s)
{
    if (s != NULL) {
        for (size_t i = 0; i < s->count; i++) {
            buffer_wipe(&s->texts[i]);
        }
        free(s);
    }
}

static const uint8_t *find(const struct http_secrets *s, struct bytes text, size_t *out_size)
{
    const uint8_t *first = NULL;
    for (size_t i = 0; i < s->count; i++) {
        struct bytes b = buffer_bytes(&s->texts[i]);
        const uint8_t *at =
            b.size == 0 || text.size == 0 ? NULL : memmem(text.data, text.size, b.data, b.size);
        if (at != NULL && (first == NULL || at < first)) {
            first = at;
            *out_size = b.size;
        }
    }
    return first;
}

bool http_secrets_are_in(const struct http_secrets *s, struct bytes text)
{
    size_t size = 0;
    return find(s, text, &size) != NULL;
}

enum err http_secrets_replace(const struct http_secrets *s, struct bytes text, struct buffer *out,
                              bool *out_found)
{
    bool found = false;
    size_t size = 0;
    for (const uint8_t *at; (at = find(s, text, &size)) != NULL; found = true) {
        size_t before = (size_t)(at - text.data);
        enum err e = buffer_append(out, bytes_of(text.data, before));
        e = e == OK ? buffer_append_string(out, "[masked]") : e;
        if (e != OK) {
            return e;
        }
        text = bytes_of(at + size, text.size - before - size);
    }
    enum err e = buffer_append(out, text);
    if (e == OK) {
        *out_found = found;
    }
    return e;
}

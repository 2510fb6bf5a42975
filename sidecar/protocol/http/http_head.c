#include <ctype.h>
#include <stdlib.h>

#include "sidecar/protocol/http/http_internal.h"

const char *http_version_name(enum http_version version)
{
    static const char *const names[] = {"1.0", "1.1", "2"};
    return names[version];
}

bool http_name_is(struct bytes name, const char *lower)
{
    return bytes_equal_string(name, lower);
}

struct bytes http_fields_find(const struct http_fields *fields, const char *name)
{
    for (size_t i = 0; i < fields->count; i++) {
        if (http_name_is(fields->items[i].name, name)) {
            return fields->items[i].value;
        }
    }
    return (struct bytes){0};
}

bool http_is_private(struct bytes name)
{
    static const char *const names[] = {"authorization", "proxy-authorization", "cookie",
                                        "set-cookie"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (http_name_is(name, names[i])) {
            return true;
        }
    }
    return false;
}

struct bytes http_after_scheme(struct bytes value, const char *scheme)
{
    size_t size = strlen(scheme);
    if (value.size <= size) {
        return (struct bytes){0};
    }
    for (size_t i = 0; i < size; i++) {
        if (tolower(value.data[i]) != scheme[i]) {
            return (struct bytes){0};
        }
    }
    while (size < value.size && value.data[size] == ' ') {
        size++;
    }
    return bytes_of(value.data + size, value.size - size);
}

size_t http_fields_count(const struct http_fields *fields, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < fields->count; i++) {
        count += http_name_is(fields->items[i].name, name) ? 1 : 0;
    }
    return count;
}

bool http_looks_through(const struct http_exchange *x)
{
    return x->http->secrets != NULL || (x->masks != NULL && x->masks->masker != NULL);
}

bool http_is_alike(struct bytes a, struct bytes b)
{
    bool is = a.size == b.size;
    for (size_t i = 0; is && i < a.size; i++) {
        is = a.data[i] == b.data[i] || (a.data[i] == '_' && b.data[i] == '-');
    }
    return is;
}

bool http_is_kept_back(const struct http_exchange *x, struct bytes name)
{
    const struct http *p = x->http;
    for (size_t i = 0; i < p->credential.count; i++) {
        if (http_is_alike(name, p->credential.items[i].name)) {
            return true;
        }
    }
    bool is_token = http_name_is(name, "authorization") && p->shared->token_in_band &&
                    !p->link->ops->is_proxy(p->link);
    return is_token || http_name_is(name, "proxy-authorization") ||
           http_name_is(name, "sec-websocket-extensions") ||
           (http_looks_through(x) &&
            (http_name_is(name, "range") || http_name_is(name, "if-range")));
}

/* ---- a request that outlives the call ------------------------------------------------------- */

static struct bytes put(uint8_t **at, struct bytes b)
{
    uint8_t *start = *at;
    if (b.size > 0) {
        memcpy(start, b.data, b.size);
    }
    *at += b.size;
    return bytes_of(start, b.size);
}

bool http_request_copy(const struct http_request *r, struct http_request *out, void **out_block)
{
    size_t size = r->fields.count * sizeof(struct http_field) + r->method.size + r->scheme.size +
                  r->authority.size + r->target.size;
    for (size_t i = 0; i < r->fields.count; i++) {
        size += r->fields.items[i].name.size + 1 + r->fields.items[i].value.size;
    }
    void *block = malloc(size + 1);
    if (block == NULL) {
        return false;
    }
    struct http_field *fields = block;
    uint8_t *at = (uint8_t *)(fields + r->fields.count);
    *out = *r;
    out->method = put(&at, r->method);
    out->scheme = put(&at, r->scheme);
    out->authority = put(&at, r->authority);
    out->target = put(&at, r->target);
    for (size_t i = 0; i < r->fields.count; i++) {
        fields[i].name = put(&at, r->fields.items[i].name);
        *at++ = '\0';
        fields[i].value = put(&at, r->fields.items[i].value);
    }
    out->fields = (struct http_fields){.items = fields, .count = r->fields.count};
    *out_block = block;
    return true;
}

/* ---- fields that are kept ------------------------------------------------------------------- */

enum { KEPT_STEP = 16, KEPT_BLOCK = 512 };

struct http_kept_block {
    struct http_kept_block *next;
    size_t size, used;
    uint8_t bytes[];
};

/* NULL: no memory. */
static uint8_t *room_for(struct http_kept *k, size_t size)
{
    struct http_kept_block *b = k->texts;
    if (b == NULL || size > b->size - b->used) {
        size_t room = size > KEPT_BLOCK ? size : KEPT_BLOCK;
        b = malloc(sizeof(*b) + room);
        if (b == NULL) {
            return NULL;
        }
        *b = (struct http_kept_block){.next = k->texts, .size = room};
        k->texts = b;
    }
    b->used += size;
    return b->bytes + b->used - size;
}

static bool grow(struct http_kept *k)
{
    if (k->count % KEPT_STEP != 0) {
        return true;
    }
    struct http_field *items = realloc(k->items, (k->count + KEPT_STEP) * sizeof(*items));
    if (items == NULL) {
        return false;
    }
    k->items = items;
    bool *masked = realloc(k->masked, (k->count + KEPT_STEP) * sizeof(*masked));
    if (masked == NULL) {
        return false;
    }
    k->masked = masked;
    return true;
}

bool http_kept_add(struct http_kept *k, struct bytes name, struct bytes value, bool masked)
{
    uint8_t *at = grow(k) ? room_for(k, name.size + 1 + value.size) : NULL;
    if (at == NULL) {
        return false;
    }
    struct bytes kept_name = put(&at, name);
    *at++ = '\0';
    k->items[k->count] = (struct http_field){.name = kept_name, .value = put(&at, value)};
    k->masked[k->count++] = masked;
    return true;
}

bool http_fields_keep(const struct http_fields *fields, struct http_kept *out)
{
    bool ok = true;
    for (size_t i = 0; ok && i < fields->count; i++) {
        ok = http_kept_add(out, fields->items[i].name, fields->items[i].value, false);
    }
    return ok;
}

void http_kept_free(struct http_kept *k)
{
    for (struct http_kept_block *b = k->texts; b != NULL;) {
        struct http_kept_block *next = b->next;
        bytes_wipe(b->bytes, b->used);
        free(b);
        b = next;
    }
    free(k->items);
    free(k->masked);
    *k = (struct http_kept){0};
}

void http_kept_take_back(struct http_exchange *x, struct http_kept *k)
{
    size_t kept = 0;
    for (size_t i = 0; i < k->count; i++) {
        if (!http_is_kept_back(x, k->items[i].name)) {
            k->items[kept] = k->items[i];
            k->masked[kept++] = k->masked[i];
        }
    }
    k->count = kept;
}

struct http_fields http_kept_fields(const struct http_kept *k)
{
    return (struct http_fields){.items = k->items, .count = k->count};
}

#include "sidecar/protocol/http/http2/http2_head.h"

/* Of a whole head and of the joined cookies, which are at most as long again. */
enum { TEXT_MAX = 2 * HTTP_HEAD_MAX };

void http2_head_init(struct http2_head *h)
{
    buffer_init(&h->text, TEXT_MAX);
    http2_head_start(h);
}

void http2_head_finish(struct http2_head *h)
{
    buffer_wipe(&h->text);
}

void http2_head_start(struct http2_head *h)
{
    buffer_clear(&h->text);
    h->count = 0;
    h->size = 0;
    h->problem = HTTP_PROBLEM_NONE;
    h->why = NULL;
}

void http2_head_fail(struct http2_head *h, enum http_problem problem, const char *why)
{
    if (h->problem == HTTP_PROBLEM_NONE) {
        h->problem = problem;
        h->why = why;
    }
}

static bool out_of_memory(struct http2_head *h)
{
    http2_head_fail(h, HTTP_PROBLEM_NO_MEMORY, "there is no memory for the head");
    return false;
}

/* Grows by itself: buffer_append would leave a copy of a credential behind. */
static bool text_reserve(struct http2_head *h, size_t size)
{
    struct buffer *text = &h->text;
    if (text->capacity - text->end >= size) {
        return true;
    }
    struct buffer larger;
    buffer_init(&larger, TEXT_MAX);
    size_t wanted = text->end + size;
    if (buffer_reserve(&larger, wanted < TEXT_MAX / 2 ? 2 * wanted : TEXT_MAX) == NULL ||
        buffer_append(&larger, buffer_bytes(text)) != OK) {
        buffer_finish(&larger);
        return false;
    }
    buffer_wipe(text);
    *text = larger;
    return true;
}

static bool text_append(struct http2_head *h, struct bytes more)
{
    return text_reserve(h, more.size) && buffer_append(&h->text, more) == OK;
}

bool http2_head_add(struct http2_head *h, struct bytes name, struct bytes value)
{
    h->size += name.size + value.size + 32;
    if (h->size > HTTP_HEAD_MAX || h->count == sizeof(h->pieces) / sizeof(h->pieces[0])) {
        http2_head_fail(h, HTTP_PROBLEM_TOO_LARGE, "the head of the message is too large");
        return h->size <= HTTP2_HEAD_DECODED_MAX;
    }
    size_t at = h->text.end;
    if (!text_append(h, name) || !text_append(h, value)) {
        (void)out_of_memory(h);
        return true;
    }
    h->pieces[h->count++] = (struct http2_piece){
        .name_at = (uint32_t)at,
        .name_size = (uint32_t)name.size,
        .value_at = (uint32_t)(at + name.size),
        .value_size = (uint32_t)value.size,
    };
    return true;
}

struct bytes http2_head_name(const struct http2_head *h, const struct http2_piece *p)
{
    return bytes_of(h->text.data + p->name_at, p->name_size);
}

struct bytes http2_head_value(const struct http2_head *h, const struct http2_piece *p)
{
    return bytes_of(h->text.data + p->value_at, p->value_size);
}

/* RFC 9113 section 8.2.3: a cookie may come in pieces, and is one field elsewhere. The pieces
 * behind the first are dropped, and the first one is made to hold all. */
bool http2_head_join_cookies(struct http2_head *h)
{
    struct http2_piece *first = NULL;
    size_t kept = 0;
    for (size_t i = 0; i < h->count; i++) {
        struct http2_piece p = h->pieces[i];
        if (!bytes_equal_string(http2_head_name(h, &p), "cookie")) {
            h->pieces[kept++] = p;
            continue;
        }
        if (first == NULL) {
            first = &h->pieces[kept];
            h->pieces[kept++] = p;
            continue;
        }
        /* "a=1; " would not be what a field's value may be. */
        if (first->value_size == 0 || p.value_size == 0) {
            http2_head_fail(h, HTTP_PROBLEM_MALFORMED,
                            "a cookie comes in pieces, and one of them is empty");
            return false;
        }
        /* Room for all first: the pieces are in the same buffer, which may not move then. */
        if (!text_reserve(h, (size_t)first->value_size + p.value_size + 2)) {
            return out_of_memory(h);
        }
        uint32_t at = (uint32_t)h->text.end;
        bool is_behind = first->value_at + first->value_size == at && first->value_at > p.value_at;
        if (is_behind) {
            at = first->value_at;
        } else if (!text_append(h, http2_head_value(h, first))) {
            return out_of_memory(h);
        }
        if (!text_append(h, bytes_of("; ", 2)) || !text_append(h, http2_head_value(h, &p))) {
            return out_of_memory(h);
        }
        first->value_at = at;
        first->value_size = (uint32_t)(h->text.end - at);
    }
    h->count = kept;
    return true;
}

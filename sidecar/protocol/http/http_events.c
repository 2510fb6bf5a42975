/* Server-sent events (WHATWG HTML section 9.2), event by event: each is looked through and recorded
 * when its blank line has come, and goes on then. */
#include <stdlib.h>

#include "sidecar/protocol/http/http_internal.h"

enum { EVENT_MAX = 1 << 20 };

struct http_events {
    struct buffer in; /* of an event that is not complete */
    size_t line;      /* where its last line begins */
    size_t seen;      /* up to here there is no end of that line */
    struct buffer data, shown, out;
    char name[64];
};

bool http_events_start(struct http_exchange *x)
{
    struct http_events *e = calloc(1, sizeof(*e));
    if (e == NULL) {
        return false;
    }
    buffer_init(&e->in, EVENT_MAX);
    buffer_init(&e->data, EVENT_MAX);
    buffer_init(&e->shown, EVENT_MAX * 4UL);
    buffer_init(&e->out, EVENT_MAX * 6UL);
    x->events = e;
    return true;
}

void http_events_free(struct http_events *e)
{
    if (e != NULL) {
        buffer_wipe(&e->in);
        buffer_wipe(&e->data);
        buffer_wipe(&e->shown);
        buffer_wipe(&e->out);
        free(e);
    }
}

/* The size of the line at the front, with its end in `*out_end`; false: it is not complete. */
static bool find_line(struct bytes in, bool is_last, size_t *out_size, size_t *out_end)
{
    for (size_t i = 0; i < in.size; i++) {
        if (in.data[i] == '\n') {
            *out_size = i;
            *out_end = i + 1;
            return true;
        }
        if (in.data[i] == '\r') {
            bool is_pair = i + 1 < in.size && in.data[i + 1] == '\n';
            *out_size = i;
            *out_end = i + (is_pair ? 2 : 1);
            return i + 1 < in.size || is_last;
        }
    }
    return false;
}

/* Where the event at the front ends; 0: it is not complete. Goes on where it stopped: an event may
 * come byte by byte. */
static size_t find_event(struct http_events *e, bool is_last)
{
    struct bytes in = buffer_bytes(&e->in);
    size_t size, end;
    while (find_line(bytes_of(in.data + e->seen, in.size - e->seen), is_last, &size, &end)) {
        bool is_empty = e->seen + size == e->line;
        size_t next = e->seen + end;
        e->line = e->seen = is_empty ? 0 : next;
        if (is_empty) {
            return next;
        }
    }
    bool is_half = in.size > e->seen && in.data[in.size - 1] == '\r';
    e->seen = in.size - (is_half ? 1 : 0);
    return 0;
}

static struct bytes value_of(struct bytes line, const char *field)
{
    size_t size = strlen(field);
    if (line.size < size || memcmp(line.data, field, size) != 0 ||
        (line.size > size && line.data[size] != ':')) {
        return (struct bytes){0};
    }
    size_t at = size + (line.size > size ? 1 : 0);
    at += at < line.size && line.data[at] == ' ' ? 1 : 0;
    return bytes_of(line.data + at, line.size - at);
}

static enum err add_line(struct buffer *out, const char *field, struct bytes value)
{
    enum err e = buffer_append_string(out, field);
    if (e == OK) {
        e = buffer_append(out, value);
    }
    return e == OK ? buffer_append_string(out, "\n") : e;
}

/* A name or a number, and no text that could have fields: it is looked through as a header is. */
static enum err show_line(struct http_exchange *x, const char *field, struct bytes value)
{
    struct http_events *e = x->events;
    const struct http_field f = {.name = bytes_of(field, strlen(field) - 2), .value = value};
    bool changed;
    buffer_clear(&e->shown);
    enum err result = http_field_show(x, &f, &e->shown, &changed);
    return result == OK ? add_line(&e->out, field, buffer_bytes(&e->shown)) : result;
}

/* As it is shown, for the record. */
static void keep_name(struct http_events *e, struct bytes shown)
{
    size_t n = shown.size < sizeof(e->name) - 1 ? shown.size : sizeof(e->name) - 1;
    if (n > 0) {
        memcpy(e->name, shown.data, n);
    }
    e->name[n] = '\0';
}

/* Comments keep the connection alive; what they say is not passed on. */
static enum err take_line(struct http_exchange *x, struct bytes line, bool *has_data)
{
    struct http_events *e = x->events;
    struct bytes name = value_of(line, "event");
    struct bytes data = value_of(line, "data");
    if (data.data != NULL) {
        enum err result = *has_data ? buffer_append_string(&e->data, "\n") : OK;
        *has_data = true;
        return result == OK ? buffer_append(&e->data, data) : result;
    }
    if (name.data != NULL) {
        enum err result = show_line(x, "event: ", name);
        keep_name(e, buffer_bytes(&e->shown));
        return result;
    }
    if (value_of(line, "id").data != NULL) {
        return show_line(x, "id: ", value_of(line, "id"));
    }
    if (value_of(line, "retry").data != NULL) {
        return show_line(x, "retry: ", value_of(line, "retry"));
    }
    return line.size > 0 && line.data[0] == ':' ? buffer_append_string(&e->out, ":\n") : OK;
}

static enum err add_data(struct http_exchange *x)
{
    struct http_events *e = x->events;
    buffer_clear(&e->shown);
    enum err result = http_piece_show(x, buffer_bytes(&e->data), true, true, &e->shown);
    struct bytes left = buffer_bytes(&e->shown);
    bool more = true;
    while (result == OK && more) {
        const uint8_t *end = left.size == 0 ? NULL : memchr(left.data, '\n', left.size);
        size_t size = end == NULL ? left.size : (size_t)(end - left.data);
        result = add_line(&e->out, "data: ", bytes_of(left.data, size));
        more = end != NULL;
        left = more ? bytes_of(end + 1, left.size - size - 1) : left;
    }
    return result;
}

static void take_event(struct http_exchange *x, struct bytes event)
{
    struct http_events *e = x->events;
    bool has_data = false;
    size_t at = 0, size, end;
    enum err result = OK;
    buffer_clear(&e->data);
    buffer_clear(&e->out);
    e->name[0] = '\0';
    while (result == OK &&
           find_line(bytes_of(event.data + at, event.size - at), true, &size, &end)) {
        result = take_line(x, bytes_of(event.data + at, size), &has_data);
        at += end;
    }
    if (result == OK && has_data) {
        result = add_data(x);
    }
    if (result == OK) {
        result = buffer_append_string(&e->out, "\n");
    }
    const struct http_piece piece = {.kind = "event",
                                     .name = e->name,
                                     .sent = buffer_bytes(&e->out),
                                     .shown = buffer_bytes(&e->shown)};
    uint64_t max = x->max_response;
    bool fits = max == 0 || x->bytes_out + buffer_size(&e->out) <= max;
    if (result != OK || !fits) {
        http_break_response(x, fits ? "withheld" : "answer_too_large",
                            fits ? "an event cannot be looked through"
                                 : "the answer is larger than the policy allows");
    } else if (!has_data || http_piece_record(x, &piece)) {
        http_give(x, buffer_bytes(&e->out));
    }
}

static void take_all(struct http_exchange *x, bool is_last)
{
    struct http_events *e = x->events;
    size_t size;
    while (!x->response_complete && (size = find_event(e, is_last)) > 0) {
        take_event(x, bytes_of(buffer_bytes(&e->in).data, size));
        buffer_consume(&e->in, size);
    }
}

void http_events_take(struct http_exchange *x, struct bytes data)
{
    if (buffer_append(&x->events->in, data) != OK) {
        http_break_response(x, "withheld", "an event is longer than can be looked through");
        return;
    }
    take_all(x, false);
}

/* An event without its blank line is none: clients throw it away, too. */
void http_events_end(struct http_exchange *x)
{
    take_all(x, true);
}

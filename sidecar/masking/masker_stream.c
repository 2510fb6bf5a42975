/* Texts without end: what detectors find in them is replaced as it becomes known. */
#include <stdlib.h>

#include "sidecar/masking/masker_body_internal.h"
#include "sidecar/masking/spans.h"

enum {
    /* Of a find that goes on (a private key, a token) nothing is shown before its end is known. */
    HELD_MAX = 256 << 10,
    STEP = 2048, /* between two looks at what was found: so much has less than OPEN_MAX finds */
    WAYS = 2,    /* as it stands, and with the escapes of JSON read */
    FOUND_MAX = WAYS * 2 * DETECTOR_OPEN_MAX,
};

struct masker_stream {
    struct masker *m;                      /* borrows */
    struct detector_stream *streams[WAYS]; /* owned; the second may be NULL */
    size_t safe[WAYS];
    bool has_begun;     /* anything but white space was there */
    struct buffer held; /* of the text, from `base` on: what was not yet given out */
    size_t base;
    struct detector_span found[FOUND_MAX]; /* beyond `base` */
    size_t found_count;
    struct detector_span taken[DETECTOR_OPEN_MAX];
    enum err failed;
};

enum err masker_stream_create(struct masker *m, struct masker_stream **out)
{
    struct masker_stream *s = calloc(1, sizeof(*s));
    enum err e = s == NULL ? ERR_NO_MEMORY : OK;
    if (e == OK) {
        s->m = m;
        buffer_init(&s->held, HELD_MAX);
    }
    for (size_t i = 0; e == OK && i < WAYS; i++) {
        e = detector_stream_create(masker_set_detector(m->set), &s->streams[i]);
        e = e == OK ? detector_stream_start_endless(s->streams[i], i > 0) : e;
    }
    if (e != OK) {
        masker_stream_destroy(s);
        return e;
    }
    *out = s;
    return OK;
}

void masker_stream_destroy(struct masker_stream *s)
{
    if (s != NULL) {
        for (size_t i = 0; i < WAYS; i++) {
            detector_stream_destroy(s->streams[i]);
        }
        buffer_wipe(&s->held);
        free(s);
    }
}

/* JSON under another name is looked through as JSON, too. */
static void begin(struct masker_stream *s, struct bytes in)
{
    for (size_t i = 0; !s->has_begun && i < in.size; i++) {
        s->has_begun = strchr(" \t\r\n", in.data[i]) == NULL || in.data[i] == 0;
        if (s->has_begun && !detector_looks_like_json(bytes_of(in.data + i, 1))) {
            detector_stream_destroy(s->streams[1]);
            s->streams[1] = NULL;
        }
    }
}

/* ---- what was found ------------------------------------------------------------------------- */

static enum err keep(struct masker_stream *s, const struct detector_span *spans, size_t count)
{
    if (count > FOUND_MAX - s->found_count) {
        return ERR_LIMIT;
    }
    memcpy(s->found + s->found_count, spans, count * sizeof(*spans));
    s->found_count += count;
    return OK;
}

/* Before this offset all is known, and nothing of it is within a find. */
static size_t find_safe(const struct masker_stream *s)
{
    size_t safe = s->safe[0];
    if (s->streams[1] != NULL && s->safe[1] < safe) {
        safe = s->safe[1];
    }
    for (size_t i = 0; i < s->found_count; i++) {
        if (s->found[i].start < safe && s->found[i].end > safe) {
            safe = s->found[i].start;
            i = SIZE_MAX; /* from the first one again */
        }
    }
    return safe;
}

static int by_start(const void *a, const void *b)
{
    const struct detector_span *x = a, *y = b;
    return x->start != y->start ? (x->start < y->start ? -1 : 1)
           : x->end != y->end   ? (x->end < y->end ? -1 : 1)
                                : (x->id > y->id) - (x->id < y->id);
}

/* Each way finds much of the same. */
static size_t drop_doubles(struct detector_span *spans, size_t count)
{
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        if (left == 0 || by_start(&spans[left - 1], &spans[i]) != 0) {
            spans[left++] = spans[i];
        }
    }
    return left;
}

/* Replaces what was found in the held text up to `size`, which are the first of `found`. */
static enum err redact(struct masker_stream *s, size_t count, size_t size, struct buffer *out)
{
    enum err e = OK;
    for (size_t i = 0; i < count; i++) {
        s->found[i].start -= s->base;
        s->found[i].end -= s->base;
    }
    const struct detector_result found = {.spans = s->found,
                                          .count = drop_doubles(s->found, count)};
    for (size_t i = 0; e == OK && i < found.count; i++) {
        e = masker_count_one(s->m, s->m->owners[found.spans[i].id], MASKER_BODY_COLUMN, true);
    }
    struct bytes text = bytes_of(buffer_bytes(&s->held).data, size);
    if (e == OK && spans_redact(s->m->by_detector, text, &found, false, out) != REDACTOR_VALUE) {
        e = ERR_LIMIT;
    }
    return e;
}

static enum err give_out(struct masker_stream *s, size_t safe, struct buffer *out)
{
    size_t count = 0, size = safe - s->base;
    if (size == 0) {
        return OK;
    }
    qsort(s->found, s->found_count, sizeof(s->found[0]), by_start);
    while (count < s->found_count && s->found[count].end <= safe) {
        count++; /* none lies across, so that all of the others begin behind it */
    }
    enum err e = redact(s, count, size, out);
    s->found_count -= count;
    memmove(s->found, s->found + count, s->found_count * sizeof(s->found[0]));
    buffer_consume(&s->held, size);
    s->base = safe;
    return e;
}

/* ---- pieces --------------------------------------------------------------------------------- */

static enum err step(struct masker_stream *s, struct bytes in, struct buffer *out)
{
    enum err e = buffer_append(&s->held, in);
    for (size_t i = 0; e == OK && i < WAYS && s->streams[i] != NULL; i++) {
        size_t count = 0;
        e = detector_stream_feed(s->streams[i], in);
        e = e == OK ? detector_stream_take(s->streams[i], s->taken, &count, &s->safe[i]) : e;
        e = e == OK ? keep(s, s->taken, count) : e;
    }
    return e == OK ? give_out(s, find_safe(s), out) : e;
}

enum err masker_stream_feed(struct masker_stream *s, struct bytes in, struct buffer *out)
{
    begin(s, in);
    while (s->failed == OK && in.size > 0) {
        size_t size = in.size < STEP ? in.size : STEP;
        s->failed = step(s, bytes_of(in.data, size), out);
        in = bytes_of(in.data + size, in.size - size);
    }
    return s->failed;
}

static enum err finish(struct masker_stream *s, struct buffer *out)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < WAYS && s->streams[i] != NULL; i++) {
        struct detector_result left;
        e = detector_stream_finish(s->streams[i], &left);
        if (e == OK) {
            e = left.is_overflowed ? ERR_LIMIT : keep(s, left.spans, left.count);
        }
    }
    return e == OK ? give_out(s, s->base + buffer_size(&s->held), out) : e;
}

enum err masker_stream_finish(struct masker_stream *s, struct buffer *out)
{
    if (s->failed == OK) {
        s->failed = finish(s, out);
    }
    return s->failed;
}

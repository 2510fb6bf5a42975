/* A value in pieces: a window over the text, of which the expressions see what has FIND_AHEAD bytes
 * behind it, so that a match can be judged at once and pieces make no difference. */
#include "sidecar/masking/detector_filter.h"
#include "sidecar/masking/detector_internal.h"
#include "sidecar/masking/json_unescape.h"

#include <stdlib.h>

enum {
    STEP = 4096,
    WINDOW = FIND_BACK + STEP + FIND_AHEAD,
    NONE = -1,
    PAGE = 4096,
    /* Hyperscan 5.4 reads up to a vector more than it is given (fat Teddy with AVX512VBMI). */
    READ_BEYOND = 64,
};

/* base        scanned          base + size
 * |-----------|................|
 *  FIND_BACK   not yet seen by the expressions          (offsets of the unescaped text) */
struct detector_stream {
    const struct detector *detector; /* borrows */
    const uint8_t *text; /* where `base` is: the window, or the value itself when it is there whole
                          */
    hs_stream_t *stream;
    hs_scratch_t *scratch;
    uint8_t window[WINDOW]; /* with READ_BEYOND readable bytes behind it, and more */
    size_t
        raw_ends[WINDOW + 1]; /* of JSON: where each byte ends in the text as given, from [1] on */
    size_t base, size, scanned;
    size_t raw;
    struct json_unescape json;
    bool is_json, is_overflowed;
    struct detector_span spans[DETECTOR_OPEN_MAX];
    size_t count, most; /* SPANS_MAX, or OPEN_MAX where they are taken */
    size_t key_start;   /* raw; SIZE_MAX: within no private key */
    int run;            /* the span of a token that may go on, or NONE */
    size_t run_at;      /* up to where it does */
};

enum err detector_stream_create(const struct detector *d, struct detector_stream **out)
{
    struct detector_stream *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    s->detector = d;
    if (d->database != NULL && (hs_alloc_scratch(d->database, &s->scratch) != HS_SUCCESS ||
                                hs_alloc_scratch(d->whole, &s->scratch) != HS_SUCCESS ||
                                hs_open_stream(d->database, 0, &s->stream) != HS_SUCCESS)) {
        detector_stream_destroy(s);
        return ERR_NO_MEMORY;
    }
    *out = s;
    return OK;
}

void detector_stream_destroy(struct detector_stream *s)
{
    if (s != NULL) {
        if (s->stream != NULL) {
            (void)hs_close_stream(s->stream, NULL, NULL, NULL);
        }
        (void)hs_free_scratch(s->scratch);
        bytes_wipe(s, sizeof(*s));
        free(s);
    }
}

static void clear(struct detector_stream *s, bool is_json)
{
    s->text = s->window;
    s->base = s->size = s->scanned = s->raw = s->count = 0;
    s->raw_ends[0] = 0;
    s->json = (struct json_unescape){.count = 0};
    s->is_json = is_json;
    s->is_overflowed = false;
    s->most = DETECTOR_SPANS_MAX;
    s->key_start = SIZE_MAX;
    s->run = NONE;
}

enum err detector_stream_start(struct detector_stream *s, bool is_json)
{
    clear(s, is_json);
    if (s->stream != NULL && hs_reset_stream(s->stream, 0, NULL, NULL, NULL) != HS_SUCCESS) {
        return ERR_INTERNAL;
    }
    return OK;
}

/* ---- spans ---------------------------------------------------------------------------------- */

/* An offset of the unescaped text, which lies in the window, in the text as given. */
static size_t to_raw(const struct detector_stream *s, size_t at)
{
    return s->is_json ? s->raw_ends[at - s->base] : at;
}

/* Returns its index; overlapping ones of one detector become one. */
static int add_span(struct detector_stream *s, unsigned id, size_t start, size_t end)
{
    for (size_t i = s->count; i > 0; i--) {
        struct detector_span *old = &s->spans[i - 1];
        if (old->id == id && start < old->end && end > old->start) {
            old->start = start < old->start ? start : old->start;
            old->end = end > old->end ? end : old->end;
            return (int)(i - 1);
        }
    }
    if (s->count == s->most) {
        s->is_overflowed = true;
        return NONE;
    }
    s->spans[s->count] = (struct detector_span){.start = start, .end = end, .id = id};
    return (int)s->count++;
}

static void extend_run(struct detector_stream *s)
{
    while (s->run != NONE && s->run_at < s->base + s->size) {
        uint8_t c = s->text[s->run_at - s->base];
        bool goes_on = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '-' || c == '_' || c == '.';
        if (!goes_on) {
            s->run = NONE;
            return;
        }
        s->run_at++;
        s->spans[s->run].end = to_raw(s, s->run_at);
    }
}

static void found(struct detector_stream *s, unsigned id, size_t start, size_t end)
{
    size_t raw_start = to_raw(s, start), raw_end = to_raw(s, end);
    if (id == DETECTOR_PRIVATE_KEY) {
        s->key_start = s->key_start == SIZE_MAX ? raw_start : s->key_start;
        return;
    }
    int at = add_span(s, id, raw_start, raw_end);
    if (id == DETECTOR_JWT && s->run == NONE) {
        s->run = at;
        s->run_at = end;
        extend_run(s);
    }
}

static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                    void *context)
{
    struct detector_stream *s = context;
    (void)flags;
    if (id >= EXPRESSION_CUSTOM) {
        /* Its width is bounded by less than the window keeps. */
        found(s, DETECTOR_BUILT_IN + id - EXPRESSION_CUSTOM, (size_t)from, (size_t)to);
    } else if (id == EXPRESSION_KEY_END) {
        if (s->key_start != SIZE_MAX) {
            (void)add_span(s, DETECTOR_PRIVATE_KEY, s->key_start, to_raw(s, (size_t)to));
            s->key_start = SIZE_MAX;
        }
    } else {
        const struct detector_pattern *p = &detector_patterns[id];
        size_t start = 0, end = 0;
        if (p->find(bytes_of(s->text, s->size), (size_t)to - s->base, p->match, &start, &end)) {
            found(s, p->id, s->base + start, s->base + end);
        }
    }
    return s->is_overflowed; /* the rest does not matter any more */
}

/* ---- the window ----------------------------------------------------------------------------- */

static enum err scan(struct detector_stream *s, size_t ahead)
{
    size_t end = s->base + s->size;
    if (end - s->scanned <= ahead) {
        return OK;
    }
    size_t size = end - ahead - s->scanned;
    const char *at = (const char *)s->window + (s->scanned - s->base);
    if (s->stream != NULL && !s->is_overflowed) {
        hs_error_t e = hs_scan_stream(s->stream, at, (unsigned)size, 0, s->scratch, on_match, s);
        if (e != HS_SUCCESS && e != HS_SCAN_TERMINATED) {
            return ERR_INTERNAL;
        }
    }
    s->scanned += size;
    return OK;
}

static void drop_old(struct detector_stream *s)
{
    size_t keep = s->base + FIND_BACK;
    if (s->scanned > keep) {
        size_t old = s->scanned - keep;
        memmove(s->window, s->window + old, s->size - old);
        if (s->is_json) {
            memmove(s->raw_ends, s->raw_ends + old, (s->size - old + 1) * sizeof(s->raw_ends[0]));
        }
        s->base += old;
        s->size -= old;
    }
}

static enum err make_room(struct detector_stream *s, size_t size)
{
    if (WINDOW - s->size >= size) {
        return OK;
    }
    extend_run(s);
    enum err e = scan(s, FIND_AHEAD);
    drop_old(s);
    return e;
}

static enum err put_json(struct detector_stream *s, uint8_t byte, bool is_end)
{
    uint8_t out[JSON_UNESCAPE_OUT_MAX], widths[JSON_UNESCAPE_OUT_MAX];
    enum err e = make_room(s, JSON_UNESCAPE_OUT_MAX);
    size_t count = json_unescape_push(&s->json, byte, is_end, out, widths);
    for (size_t i = 0; i < count; i++) {
        s->raw += widths[i];
        s->window[s->size++] = out[i];
        s->raw_ends[s->size] = s->raw;
    }
    return e;
}

enum err detector_stream_feed(struct detector_stream *s, struct bytes piece)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && s->is_json && i < piece.size; i++) {
        e = put_json(s, piece.data[i], false);
    }
    while (e == OK && !s->is_json && piece.size > 0) {
        e = make_room(s, 1);
        size_t room = WINDOW - s->size, size = piece.size < room ? piece.size : room;
        memcpy(s->window + s->size, piece.data, size);
        s->size += size;
        piece = bytes_of(piece.data + size, piece.size - size);
    }
    return e;
}

static int by_start(const void *a, const void *b)
{
    const struct detector_span *x = a, *y = b;
    return x->start != y->start ? (x->start < y->start ? -1 : 1)
           : x->end != y->end   ? (x->end < y->end ? -1 : 1)
                                : (x->id > y->id) - (x->id < y->id);
}

static void give_spans(struct detector_stream *s, struct detector_result *out)
{
    if (s->key_start != SIZE_MAX) { /* without its end: all that follows may be it */
        (void)add_span(s, DETECTOR_PRIVATE_KEY, s->key_start, to_raw(s, s->base + s->size));
    }
    if (s->count > 1) {
        qsort(s->spans, s->count, sizeof(s->spans[0]), by_start);
    }
    *out = (struct detector_result){
        .spans = s->spans, .count = s->count, .is_overflowed = s->is_overflowed};
}

/* What an expression says of the text's end (`$`) is known only there. */
static enum err end_stream(struct detector_stream *s)
{
    if (s->stream == NULL || s->is_overflowed) {
        return OK;
    }
    hs_error_t e = hs_reset_stream(s->stream, 0, s->scratch, on_match, s);
    return e == HS_SUCCESS || e == HS_SCAN_TERMINATED ? OK : ERR_INTERNAL;
}

enum err detector_stream_finish(struct detector_stream *s, struct detector_result *out)
{
    enum err e = s->is_json ? put_json(s, 0, true) : OK;
    extend_run(s);
    e = e == OK ? scan(s, 0) : e;
    e = e == OK ? end_stream(s) : e;
    if (e == OK) {
        give_spans(s, out);
    }
    return e;
}

/* ---- a text without end --------------------------------------------------------------------- */

enum err detector_stream_start_endless(struct detector_stream *s, bool is_json)
{
    enum err e = detector_stream_start(s, is_json);
    s->most = DETECTOR_OPEN_MAX;
    return e;
}

/* Behind the last line, of the unescaped text; 0: no line ends in the window. No expression of ours
 * matches an end of line, and none of what decides about a match looks beyond one. */
static size_t find_line(const struct detector_stream *s)
{
    const uint8_t *end =
        !s->detector->is_built_in || s->size == 0 ? NULL : memrchr(s->window, '\n', s->size);
    return end == NULL ? 0 : s->base + (size_t)(end - s->window) + 1;
}

/* Up to where no match that is still to come can reach back. */
static enum err find_safe(struct detector_stream *s, size_t *out)
{
    extend_run(s);
    size_t line = find_line(s);
    enum err e = scan(s, FIND_AHEAD);
    if (e == OK && line > s->scanned) {
        e = scan(s, s->base + s->size - line);
    }
    size_t reach = s->scanned > FIND_BACK ? s->scanned - FIND_BACK : 0;
    size_t safe = reach > line ? reach : line;
    *out = to_raw(s, safe > s->base ? safe : s->base);
    return e;
}

enum err detector_stream_take(struct detector_stream *s,
                              struct detector_span out[DETECTOR_OPEN_MAX], size_t *out_count,
                              size_t *out_safe)
{
    size_t safe = 0, count = 0, left = 0;
    enum err e = find_safe(s, &safe);
    if (e != OK || s->is_overflowed) {
        return e == OK ? ERR_LIMIT : e;
    }
    safe = s->key_start < safe ? s->key_start : safe;
    for (size_t i = 0; i < s->count; i++) {
        if (s->spans[i].start < safe && s->spans[i].end > safe) {
            safe = s->spans[i].start;
            i = SIZE_MAX; /* from the first one again: it may lie in another now */
        }
    }
    for (size_t i = 0; i < s->count; i++) {
        if (s->spans[i].end <= safe) {
            out[count++] = s->spans[i];
            s->run = s->run == (int)i ? NONE : s->run;
        } else {
            s->run = s->run == (int)i ? (int)left : s->run;
            s->spans[left++] = s->spans[i];
        }
    }
    s->count = left;
    *out_count = count;
    *out_safe = safe;
    return OK;
}

/* ---- a value that is there whole ------------------------------------------------------------ */

static enum err scan_whole(struct detector_stream *s, struct bytes value,
                           struct detector_result *out)
{
    const struct detector *d = s->detector;
    clear(s, false);
    if (d->whole != NULL && value.size > 0 && (!d->is_built_in || detector_filter(value))) {
        s->text = value.data;
        s->size = value.size;
        hs_error_t e = hs_scan(d->whole, (const char *)value.data, (unsigned)value.size, 0,
                               s->scratch, on_match, s);
        if (e != HS_SUCCESS && e != HS_SCAN_TERMINATED) {
            return ERR_INTERNAL;
        }
    }
    give_spans(s, out);
    s->text = s->window;
    return OK;
}

/* What is behind it in its page can be read; the next page may not be there. */
static bool ends_with_its_page(struct bytes value)
{
    return PAGE - ((uintptr_t)value.data + value.size - 1) % PAGE <= READ_BEYOND;
}

enum err detector_scan(struct detector_stream *s, struct bytes value, bool is_json,
                       struct detector_result *out)
{
    /* Without a backslash JSON is a text like any other: nothing in it is escaped. */
    bool is_plain = !is_json || value.size == 0 || memchr(value.data, '\\', value.size) == NULL;
    bool is_safe = value.size == 0 || !ends_with_its_page(value);
    if (is_plain && is_safe && value.size <= UINT32_MAX) {
        return scan_whole(s, value, out);
    }
    enum err e = detector_stream_start(s, is_json);
    e = e == OK ? detector_stream_feed(s, value) : e;
    return e == OK ? detector_stream_finish(s, out) : e;
}

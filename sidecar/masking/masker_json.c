/* JSON in pieces: given to the parser token by token. */
#include "sidecar/masking/masker_json_internal.h"

#include <stdlib.h>

enum {
    /* A string without its escapes, in a block that is doubled when it grows: both are there then.
     */
    HEAP_MAX = 4 * MASKER_BODY_VALUE_MAX,
    /* A surrogate's escape is as long as what it becomes. */
    HELD_MAX = MASKER_BODY_VALUE_MAX + MASKER_JSON_BARE_MAX,
    RECORD_SEPARATOR = 0x1e, /* RFC 7464 */
};

/* ---- creation ------------------------------------------------------------------------------- */

/* yajl allocates unasked, and does not look at what it got: both are the heap's. */
static enum err create_parser(struct masker_json *j)
{
    yajl_alloc_funcs functions = masker_json_heap_functions(&j->heap);
    if (setjmp(j->heap.failed) != 0) {
        return ERR_NO_MEMORY;
    }
    j->parser = yajl_alloc(&masker_json_callbacks, &functions, j);
    return yajl_config(j->parser, yajl_allow_multiple_values, 1) != 0 ? OK : ERR_INTERNAL;
}

enum err masker_json_create(struct masker *m, struct masker_json **out)
{
    struct masker_json *j = calloc(1, sizeof(*j));
    if (j == NULL) {
        return ERR_NO_MEMORY;
    }
    j->m = m;
    j->heap.most = HEAP_MAX;
    j->is_separated = true;
    buffer_init(&j->held, HELD_MAX);
    buffer_init(&j->paired, HELD_MAX);
    buffer_init(&j->path, MASKER_BODY_PATH_MAX);
    buffer_init(&j->key, MASKER_BODY_PATH_MAX);
    buffer_init(&j->within, 2 * MASKER_BODY_VALUE_MAX);
    enum err e = create_parser(j);
    if (e != OK) {
        masker_json_destroy(j);
        return e;
    }
    *out = j;
    return OK;
}

void masker_json_destroy(struct masker_json *j)
{
    if (j != NULL) {
        masker_json_heap_finish(&j->heap); /* the parser is in it */
        buffer_wipe(&j->held);
        buffer_wipe(&j->paired);
        buffer_wipe(&j->path);
        buffer_wipe(&j->key);
        buffer_wipe(&j->within);
        free(j->levels);
        free(j);
    }
}

/* ---- pieces --------------------------------------------------------------------------------- */

/* Within it nothing of ours allocates from the heap: only the parser is left by the jump. */
static yajl_status call_parser(struct masker_json *j, struct bytes piece, bool is_end)
{
    if (setjmp(j->heap.failed) != 0) {
        return masker_json_note(j, ERR_NO_MEMORY) ? yajl_status_ok : yajl_status_error;
    }
    return is_end ? yajl_complete_parse(j->parser) : yajl_parse(j->parser, piece.data, piece.size);
}

static enum err parse_plain(struct masker_json *j, struct bytes piece)
{
    if (piece.size == 0 || j->failed != OK) {
        return j->failed;
    }
    j->piece = piece;
    j->between = 0;
    if (call_parser(j, piece, false) != yajl_status_ok) {
        (void)masker_json_note(j, ERR_INVALID);
    } else if (j->depth == 0) {
        (void)masker_json_note(j, masker_json_put_line_ends(j));
    }
    j->piece = (struct bytes){0};
    return j->failed;
}

/* A record separator is no part of JSON: it stands where a line could end, and ends a number. */
static enum err parse_records(struct masker_json *j, struct bytes piece)
{
    const uint8_t *found = NULL;
    enum err e = OK;
    while (e == OK && piece.size > 0 &&
           (found = memchr(piece.data, RECORD_SEPARATOR, piece.size)) != NULL) {
        size_t size = (size_t)(found - piece.data);
        e = parse_plain(j, bytes_of(piece.data, size));
        e = e == OK ? parse_plain(j, bytes_of_string("\f")) : e;
        if (e == OK && j->depth > 0) {
            e = ERR_INVALID;
        }
        e = e == OK ? buffer_append(j->out, bytes_of(found, 1)) : e;
        j->is_separated = true;
        piece = bytes_of(found + 1, piece.size - size - 1);
    }
    return e == OK ? parse_plain(j, piece) : e;
}

/* A byte order mark is let go (RFC 8259 section 8.1). */
static struct bytes without_mark(struct bytes piece)
{
    bool has_mark = piece.size >= 3 && memcmp(piece.data, "\xef\xbb\xbf", 3) == 0;
    return has_mark ? bytes_of(piece.data + 3, piece.size - 3) : piece;
}

/* Of whole tokens. */
static enum err parse(struct masker_json *j, struct bytes piece)
{
    if (piece.size > 0 && !j->is_past_mark) {
        j->is_past_mark = true;
        piece = without_mark(piece);
    }
    for (size_t i = 0; !j->has_begun && i < piece.size; i++) {
        j->has_begun = !masker_json_is_space(piece.data[i]) && piece.data[i] != RECORD_SEPARATOR;
    }
    buffer_clear(&j->paired);
    enum err e = masker_json_pair(piece, &j->paired);
    struct bytes paired = buffer_bytes(&j->paired);
    return e == OK ? parse_records(j, paired.size > 0 ? paired : piece) : e;
}

static enum err feed(struct masker_json *j, struct bytes in)
{
    size_t first = 0, last = 0, from = 0;
    bool was_bare = j->cut.state == CUT_BARE;
    enum err e = masker_json_cut_next(&j->cut, in, MASKER_BODY_VALUE_MAX, &first, &last);
    if (e == OK && buffer_size(&j->held) > 0) {
        if (last < first) { /* it goes on beyond this piece */
            return buffer_append(&j->held, in);
        }
        /* The parser knows a number's end by what follows it. */
        from = was_bare && in.data[first] != '"' ? first + 1 : first;
        e = buffer_append(&j->held, bytes_of(in.data, from));
        e = e == OK ? parse(j, buffer_bytes(&j->held)) : e;
        buffer_clear(&j->held);
    }
    e = e == OK ? parse(j, bytes_of(in.data + from, last - from)) : e;
    return e == OK ? buffer_append(&j->held, bytes_of(in.data + last, in.size - last)) : e;
}

enum err masker_json_feed(struct masker_json *j, struct bytes in, struct buffer *out)
{
    enum { PIECE_MAX = 1 << 20 }; /* `paired` holds a piece */
    j->out = out;
    while (j->failed == OK && in.size > 0) {
        size_t size = in.size < PIECE_MAX ? in.size : PIECE_MAX;
        (void)masker_json_note(j, feed(j, bytes_of(in.data, size)));
        in = bytes_of(in.data + size, in.size - size);
    }
    return j->failed;
}

enum err masker_json_finish(struct masker_json *j, struct buffer *out)
{
    j->out = out;
    bool is_cut = j->cut.state == CUT_STRING || j->cut.state == CUT_ESCAPE;
    if (j->failed == OK) {
        (void)masker_json_note(j, is_cut ? ERR_INVALID : parse(j, buffer_bytes(&j->held)));
    }
    if (j->failed == OK && j->has_begun &&
        call_parser(j, (struct bytes){0}, true) != yajl_status_ok) {
        (void)masker_json_note(j, ERR_INVALID);
    }
    return j->failed;
}

/* ---- within strings ------------------------------------------------------------------------- */

static bool may_have_members(struct bytes text)
{
    size_t at = 0;
    while (at < text.size && masker_json_is_space(text.data[at])) {
        at++;
    }
    return at < text.size && (text.data[at] == '{' || text.data[at] == '[');
}

/* The counts of a text that turns out to be no JSON are taken back: nothing was masked in it. */
struct counts {
    struct masker_count list[2 * MASKER_RULES_MAX]; /* by name and by content, of the one column */
    size_t count;
};

static bool keep_counts(const struct masker *m, struct counts *out)
{
    if (m->count_count > sizeof(out->list) / sizeof(out->list[0])) {
        return false;
    }
    out->count = m->count_count;
    if (m->count_count > 0) {
        memcpy(out->list, m->counts, m->count_count * sizeof(out->list[0]));
    }
    return true;
}

static void take_back(struct masker *m, const struct counts *before)
{
    if (before->count > 0) {
        memcpy(m->counts, before->list, before->count * sizeof(before->list[0]));
    }
    m->count_count = before->count;
    m->count_next = 0;
}

enum err masker_json_look_within(struct masker *m, size_t nested, struct bytes text,
                                 struct buffer *out, bool *out_changed)
{
    struct masker_json *j = NULL;
    struct counts before_it;
    *out_changed = false;
    if (!may_have_members(text)) {
        return OK;
    }
    if (nested > MASKER_NESTED_MAX) {
        return ERR_LIMIT;
    }
    size_t before = buffer_size(out);
    enum err e = keep_counts(m, &before_it) ? masker_json_create(m, &j) : ERR_LIMIT;
    if (e == OK) {
        j->nested = nested;
        e = masker_json_feed(j, text, out);
        e = e == OK ? masker_json_finish(j, out) : e;
    }
    *out_changed = e == OK && j->is_changed;
    if (!*out_changed) {
        out->end = out->start + before;
    }
    masker_json_destroy(j);
    if (e == ERR_INVALID) {
        take_back(m, &before_it);
        return OK;
    }
    return e;
}

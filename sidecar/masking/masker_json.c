/* JSON, value by value: what the parser gives is masked and written anew. */
#include "sidecar/masking/masker_body_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include <yajl/yajl_parse.h>

#include "base/utf8.h"
#include "sidecar/masking/masker_json_cut.h"
#include "sidecar/masking/masker_json_heap.h"

enum {
    /* A string without its escapes, in a block that is doubled when it grows: both are there then.
     */
    HEAP_MAX = 4 * MASKER_BODY_VALUE_MAX,
    /* A surrogate's escape is as long as what it becomes. */
    HELD_MAX = MASKER_BODY_VALUE_MAX + MASKER_JSON_BARE_MAX,
    RECORD_SEPARATOR = 0x1e, /* RFC 7464 */
};

struct level {
    uint64_t rules;   /* that mask all of it */
    size_t path_size; /* of the path to it */
    uint64_t index;   /* of an array: of its next element */
    bool is_array, has_members;
};

struct masker_json {
    struct masker *m; /* borrows */
    struct masker_json_heap heap;
    yajl_handle parser; /* of the heap */
    struct masker_json_cut cut;
    struct buffer held;      /* the token that has begun */
    struct buffer paired;    /* a piece with its surrogates mended */
    struct buffer path, key; /* to the value, and the last step of it as it was */
    struct buffer *out;      /* borrows, within a call */
    struct bytes piece;      /* that the parser is given */
    size_t between;          /* in the piece: behind the last value on the top level */
    enum err failed;
    bool is_past_mark;  /* of byte order */
    bool has_begun;     /* anything but white space was there */
    bool is_separated;  /* a line has ended, or a record begun, behind the last value */
    bool was_container; /* that value was */
    uint64_t member_rules;
    size_t depth;
    struct level levels[MASKER_BODY_DEPTH_MAX];
};

/* ---- writing -------------------------------------------------------------------------------- */

static enum err put_escape(struct buffer *out, uint8_t c)
{
    static const char named[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    const char *found = c == 0 ? NULL : strchr(named, c);
    return found != NULL ? buffer_append_format(out, "\\%c", names[found - named])
                         : buffer_append_format(out, "\\u%04x", c);
}

static enum err put_string(struct buffer *out, struct bytes text)
{
    enum err e = buffer_append_string(out, "\"");
    size_t done = 0;
    for (size_t i = 0; e == OK && i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c < 0x20 || c == '"' || c == '\\') {
            e = buffer_append(out, bytes_of(text.data + done, i - done));
            e = e == OK ? put_escape(out, c) : e;
            done = i + 1;
        }
    }
    e = e == OK ? buffer_append(out, bytes_of(text.data + done, text.size - done)) : e;
    return e == OK ? buffer_append_string(out, "\"") : e;
}

static enum err put_made(struct masker_json *j, enum masker_made made)
{
    struct bytes value = buffer_bytes(&j->m->value);
    switch (made) {
    case MADE_STRING: return put_string(j->out, value);
    case MADE_NUMBER: return buffer_append(j->out, value);
    case MADE_TRUE: return buffer_append_string(j->out, "true");
    case MADE_FALSE: return buffer_append_string(j->out, "false");
    case MADE_NULL: return buffer_append_string(j->out, "null");
    case MADE_SAME: break;
    }
    return ERR_INTERNAL;
}

/* ---- the top level -------------------------------------------------------------------------- */

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The ends of lines between values stay, and go out when they come: they tell a reader that a value
 * is complete. */
static enum err put_line_ends(struct masker_json *j)
{
    enum err e = OK;
    for (; e == OK && j->between < j->piece.size && is_space(j->piece.data[j->between]);
         j->between++) {
        if (j->piece.data[j->between] == '\n') {
            j->is_separated = true;
            e = buffer_append_string(j->out, "\n");
        }
    }
    return e;
}

/* Values that touch are refused: a number with dashes in it is no sequence of numbers. Objects and
 * arrays may follow each other, as they do in some streams. */
static enum err begin_top(struct masker_json *j)
{
    enum err e = put_line_ends(j);
    if (e != OK || j->is_separated) {
        return e;
    }
    return j->was_container ? buffer_append_string(j->out, "\n") : ERR_INVALID;
}

static void end_top(struct masker_json *j, bool was_container)
{
    j->between = yajl_get_bytes_consumed(j->parser);
    j->is_separated = false;
    j->was_container = was_container;
}

/* ---- values --------------------------------------------------------------------------------- */

static int give(struct masker_json *j, enum err e)
{
    if (e != OK && j->failed == OK) {
        j->failed = e;
    }
    return e == OK;
}

static struct level *top(struct masker_json *j)
{
    return &j->levels[j->depth - 1];
}

static enum err put_path_step(struct masker_json *j, struct bytes step)
{
    j->path.end = j->path.start + top(j)->path_size;
    enum err e = masker_put_step(step, &j->path);
    return e == OK
               ? masker_find_rules(j->m, MASKER_POINTER, buffer_bytes(&j->path), &j->member_rules)
               : e;
}

static enum err begin_element(struct masker_json *j)
{
    struct level *l = top(j);
    enum err e = l->has_members ? buffer_append_string(j->out, ",") : OK;
    l->has_members = true;
    j->member_rules = l->rules;
    if (e == OK && j->m->http_rules != 0) {
        char index[24];
        int size = snprintf(index, sizeof(index), "%llu", (unsigned long long)l->index++);
        e = put_path_step(j, bytes_of(index, (size_t)size));
    }
    return e;
}

/* Before each value: what stands before it, and which rules mask it (in `member_rules`). */
static enum err begin_value(struct masker_json *j)
{
    if (j->depth > 0) {
        return top(j)->is_array ? begin_element(j) : OK; /* else its key was there */
    }
    j->member_rules = 0;
    buffer_clear(&j->path);
    buffer_clear(&j->key);
    enum err e = begin_top(j);
    return e == OK ? masker_find_rules(j->m, MASKER_POINTER, (struct bytes){0}, &j->member_rules)
                   : e;
}

static void end_scalar(struct masker_json *j)
{
    if (j->depth == 0) {
        end_top(j, false);
    }
}

static enum err put_scalar(struct masker_json *j, enum masker_sort sort, struct bytes text)
{
    enum masker_made made = MADE_SAME;
    enum err e = OK;
    if (j->member_rules != 0) {
        e = masker_make(j->m, j->member_rules, sort, text, &made);
    } else if (sort == MASKER_STRING) {
        e = masker_look(j->m, buffer_bytes(&j->key), text, &made);
    } else if (sort == MASKER_NUMBER) {
        e = masker_look_number(j->m, buffer_bytes(&j->key), text, &made);
    }
    if (e != OK) {
        return e;
    }
    if (made != MADE_SAME) {
        return put_made(j, made);
    }
    return sort == MASKER_STRING ? put_string(j->out, text) : buffer_append(j->out, text);
}

/* The parser takes overlong forms and surrogates for characters, as some readers do. */
static bool is_utf8(struct bytes text)
{
    for (size_t at = 0; at < text.size;) {
        size_t size =
            text.data[at] < 0x80 ? 1 : utf8_character_size(text.data + at, text.size - at);
        if (size == 0) {
            return false;
        }
        at += size;
    }
    return true;
}

static int on_scalar(struct masker_json *j, enum masker_sort sort, struct bytes text)
{
    enum err e = begin_value(j);
    e = e == OK ? put_scalar(j, sort, text) : e;
    end_scalar(j);
    return give(j, e);
}

static int on_null(void *context)
{
    struct masker_json *j = context;
    enum err e = begin_value(j);
    e = e == OK ? buffer_append_string(j->out, "null") : e;
    end_scalar(j);
    return give(j, e);
}

static int on_boolean(void *context, int value)
{
    return on_scalar(context, value ? MASKER_TRUE : MASKER_FALSE,
                     bytes_of_string(value ? "true" : "false"));
}

static int on_number(void *context, const char *text, size_t size)
{
    return on_scalar(context, MASKER_NUMBER, bytes_of(text, size));
}

static int on_string(void *context, const unsigned char *text, size_t size)
{
    struct masker_json *j = context;
    if (!is_utf8(bytes_of(text, size))) {
        return give(j, ERR_INVALID);
    }
    return on_scalar(j, MASKER_STRING, bytes_of(text, size));
}

/* ---- objects and arrays --------------------------------------------------------------------- */

static int begin_container(struct masker_json *j, bool is_array)
{
    enum err e = begin_value(j);
    if (e == OK && j->depth == MASKER_BODY_DEPTH_MAX) {
        e = ERR_LIMIT;
    }
    if (e == OK) {
        j->levels[j->depth++] = (struct level){
            .rules = j->member_rules, .path_size = buffer_size(&j->path), .is_array = is_array};
        e = buffer_append_string(j->out, is_array ? "[" : "{");
    }
    return give(j, e);
}

static int end_container(struct masker_json *j, const char *mark)
{
    j->depth--;
    buffer_clear(&j->key);
    if (j->depth == 0) {
        end_top(j, true);
    }
    return give(j, buffer_append_string(j->out, mark));
}

static int on_start_map(void *context)
{
    return begin_container(context, false);
}

static int on_start_array(void *context)
{
    return begin_container(context, true);
}

static int on_end_map(void *context)
{
    return end_container(context, "}");
}

static int on_end_array(void *context)
{
    return end_container(context, "]");
}

/* A name stays, unless something is found in it. */
static enum err put_name(struct masker_json *j, struct bytes name)
{
    enum masker_made made = MADE_SAME;
    enum err e = masker_look(j->m, (struct bytes){0}, name, &made);
    if (e != OK) {
        return e;
    }
    struct bytes shown = made == MADE_SAME     ? name
                         : made == MADE_STRING ? buffer_bytes(&j->m->value)
                                               : (struct bytes){0};
    e = put_string(j->out, shown);
    return e == OK ? buffer_append_string(j->out, ":") : e;
}

static enum err begin_member(struct masker_json *j, struct bytes name)
{
    struct level *l = top(j);
    enum err e = l->has_members ? buffer_append_string(j->out, ",") : OK;
    l->has_members = true;
    j->member_rules = l->rules;
    buffer_clear(&j->key);
    if (e == OK && name.size <= MASKER_BODY_PATH_MAX) {
        e = buffer_append(&j->key, name);
    }
    e = e == OK ? masker_find_rules(j->m, MASKER_FIELD, name, &j->member_rules) : e;
    if (e == OK && j->m->http_rules != 0) {
        e = put_path_step(j, name);
    }
    return e == OK ? put_name(j, name) : e;
}

static int on_key(void *context, const unsigned char *text, size_t size)
{
    struct masker_json *j = context;
    struct bytes name = bytes_of(text, size);
    return give(j, is_utf8(name) ? begin_member(j, name) : ERR_INVALID);
}

/* ---- creation ------------------------------------------------------------------------------- */

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_start_map,
    .yajl_map_key = on_key,
    .yajl_end_map = on_end_map,
    .yajl_start_array = on_start_array,
    .yajl_end_array = on_end_array,
};

/* yajl allocates unasked, and does not look at what it got: both are the heap's. */
static enum err create_parser(struct masker_json *j)
{
    yajl_alloc_funcs functions = masker_json_heap_functions(&j->heap);
    if (setjmp(j->heap.failed) != 0) {
        return ERR_NO_MEMORY;
    }
    j->parser = yajl_alloc(&callbacks, &functions, j);
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
        free(j);
    }
}

/* ---- pieces --------------------------------------------------------------------------------- */

/* Within it nothing of ours allocates from the heap: only the parser is left by the jump. */
static yajl_status call_parser(struct masker_json *j, struct bytes piece, bool is_end)
{
    if (setjmp(j->heap.failed) != 0) {
        return give(j, ERR_NO_MEMORY) ? yajl_status_ok : yajl_status_error;
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
        (void)give(j, ERR_INVALID);
    } else if (j->depth == 0) {
        (void)give(j, put_line_ends(j));
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
        j->has_begun = !is_space(piece.data[i]) && piece.data[i] != RECORD_SEPARATOR;
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
        (void)give(j, feed(j, bytes_of(in.data, size)));
        in = bytes_of(in.data + size, in.size - size);
    }
    return j->failed;
}

enum err masker_json_finish(struct masker_json *j, struct buffer *out)
{
    j->out = out;
    bool is_cut = j->cut.state == CUT_STRING || j->cut.state == CUT_ESCAPE;
    if (j->failed == OK) {
        (void)give(j, is_cut ? ERR_INVALID : parse(j, buffer_bytes(&j->held)));
    }
    if (j->failed == OK && j->has_begun &&
        call_parser(j, (struct bytes){0}, true) != yajl_status_ok) {
        (void)give(j, ERR_INVALID);
    }
    return j->failed;
}

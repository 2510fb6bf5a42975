/* The values of JSON: each as the parser gives it, masked and written anew. */
#include "sidecar/masking/masker_json_internal.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "base/words.h"

enum { LEVELS_FIRST = 16 }; /* doubled until MASKER_BODY_DEPTH_MAX, which is a power of two */

static enum err put_made(struct masker_json *j, enum masker_made made)
{
    struct bytes value = buffer_bytes(&j->m->value);
    j->is_changed = true;
    switch (made) {
    case MADE_STRING: return masker_json_put_string(value, "", j->out);
    case MADE_NUMBER: return buffer_append(j->out, value);
    case MADE_TRUE: return buffer_append_string(j->out, "true");
    case MADE_FALSE: return buffer_append_string(j->out, "false");
    case MADE_NULL: return buffer_append_string(j->out, "null");
    case MADE_SAME: break;
    }
    return ERR_INTERNAL;
}

/* ---- the top level -------------------------------------------------------------------------- */

/* The ends of lines between values stay, and go out when they come: they tell a reader that a value
 * is complete. */
enum err masker_json_put_line_ends(struct masker_json *j)
{
    enum err e = OK;
    for (; e == OK && j->between < j->piece.size && masker_json_is_space(j->piece.data[j->between]);
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
    enum err e = masker_json_put_line_ends(j);
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

int masker_json_note(struct masker_json *j, enum err e)
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

enum { INDEX_MAX = 20 /* digits of 2^64 */ };

static struct bytes write_index(uint64_t index, uint8_t *out)
{
    size_t at = INDEX_MAX;
    do {
        out[--at] = (uint8_t)('0' + index % 10);
        index /= 10;
    } while (index > 0);
    return bytes_of(out + at, INDEX_MAX - at);
}

static enum err begin_element(struct masker_json *j)
{
    struct level *l = top(j);
    enum err e = l->has_members ? buffer_append_string(j->out, ",") : OK;
    l->has_members = true;
    j->member_rules = l->rules;
    if (e == OK && j->m->field_rules != 0) {
        uint8_t index[INDEX_MAX];
        e = put_path_step(j, write_index(l->index++, index));
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
    bool is_within = false;
    enum err e = OK;
    if (j->member_rules != 0) {
        e = masker_make(j->m, j->member_rules, sort, text, &made);
    } else if (sort == MASKER_STRING) {
        buffer_clear(&j->within);
        e = masker_json_look_within(j->m, j->nested + 1, text, &j->within, &is_within);
        if (e == OK && is_within) {
            j->is_changed = true;
            return masker_json_put_string(buffer_bytes(&j->within), "", j->out);
        }
        e = e != OK ? e : masker_look(j->m, buffer_bytes(&j->key), text, &made);
    } else if (sort == MASKER_NUMBER) {
        e = masker_look_number(j->m, buffer_bytes(&j->key), text, &made);
    }
    if (e != OK) {
        return e;
    }
    if (made != MADE_SAME) {
        return put_made(j, made);
    }
    return sort == MASKER_STRING ? masker_json_put_string(text, "", j->out)
                                 : buffer_append(j->out, text);
}

/* The parser takes overlong forms and surrogates for characters, as some readers do. */
static bool is_utf8(struct bytes text)
{
    for (size_t at = 0; at < text.size;) {
        if (text.size - at >= WORDS_SIZE && words_high(words_load(text.data + at)) == 0) {
            at += WORDS_SIZE;
            continue;
        }
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
    return masker_json_note(j, e);
}

static int on_null(void *context)
{
    struct masker_json *j = context;
    enum err e = begin_value(j);
    e = e == OK ? buffer_append_string(j->out, "null") : e;
    end_scalar(j);
    return masker_json_note(j, e);
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
        return masker_json_note(j, ERR_INVALID);
    }
    return on_scalar(j, MASKER_STRING, bytes_of(text, size));
}

/* ---- objects and arrays --------------------------------------------------------------------- */

/* Room for one more level. */
static enum err make_level(struct masker_json *j)
{
    if (j->depth < j->level_room) {
        return OK;
    }
    if (j->depth == MASKER_BODY_DEPTH_MAX) {
        return ERR_LIMIT;
    }
    size_t room = j->level_room == 0 ? LEVELS_FIRST : 2 * j->level_room;
    struct level *levels = realloc(j->levels, room * sizeof(*levels));
    if (levels == NULL) {
        return ERR_NO_MEMORY;
    }
    j->levels = levels;
    j->level_room = room;
    return OK;
}

static int begin_container(struct masker_json *j, bool is_array)
{
    enum err e = begin_value(j);
    e = e == OK ? make_level(j) : e;
    if (e == OK) {
        j->levels[j->depth++] = (struct level){
            .rules = j->member_rules, .path_size = buffer_size(&j->path), .is_array = is_array};
        e = buffer_append_string(j->out, is_array ? "[" : "{");
    }
    return masker_json_note(j, e);
}

static int end_container(struct masker_json *j, const char *mark)
{
    j->depth--;
    buffer_clear(&j->key);
    if (j->depth == 0) {
        end_top(j, true);
    }
    return masker_json_note(j, buffer_append_string(j->out, mark));
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
    j->is_changed = j->is_changed || made != MADE_SAME;
    struct bytes shown = made == MADE_SAME     ? name
                         : made == MADE_STRING ? buffer_bytes(&j->m->value)
                                               : (struct bytes){0};
    return masker_json_put_string(shown, ":", j->out);
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
    if (e == OK && j->m->field_rules != 0) {
        e = put_path_step(j, name);
    }
    return e == OK ? put_name(j, name) : e;
}

static int on_key(void *context, const unsigned char *text, size_t size)
{
    struct masker_json *j = context;
    struct bytes name = bytes_of(text, size);
    return masker_json_note(j, is_utf8(name) ? begin_member(j, name) : ERR_INVALID);
}

/* ---- all of them ----------------------------------------------------------------------------- */

const yajl_callbacks masker_json_callbacks = {
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

#include "cli/output/wanted.h"

#include <ctype.h>

/* Takes the segment behind the slash at the front; false: there is none. */
static bool segment_next(struct bytes *rest, struct bytes *out)
{
    if (rest->size == 0 || rest->data[0] != '/') {
        return false;
    }
    struct bytes after = bytes_of(rest->data + 1, rest->size - 1);
    const uint8_t *slash = after.size == 0 ? NULL : memchr(after.data, '/', after.size);
    size_t size = slash == NULL ? after.size : (size_t)(slash - after.data);
    *out = bytes_of(after.data, size);
    *rest = bytes_of(after.data + size, after.size - size);
    return true;
}

static bool is_any(struct bytes segment)
{
    return bytes_equal_string(segment, "*") ||
           (segment.size >= 2 && segment.data[0] == '{' && segment.data[segment.size - 1] == '}');
}

static bool is_rest(struct bytes segment)
{
    return bytes_equal_string(segment, "**");
}

enum err wanted_check_path(const char *pattern)
{
    struct bytes rest = bytes_of_string(pattern), segment;
    if (pattern[0] != '/') {
        return ERR_INVALID;
    }
    while (segment_next(&rest, &segment)) {
        if (is_rest(segment) && rest.size > 0) {
            return ERR_INVALID;
        }
    }
    return OK;
}

bool wanted_path_matches(const char *pattern, struct bytes path)
{
    struct bytes rest = bytes_of_string(pattern), wanted, segment;
    while (segment_next(&rest, &wanted)) {
        if (is_rest(wanted)) {
            return true;
        }
        if (!segment_next(&path, &segment) ||
            (is_any(wanted) ? segment.size == 0 : !bytes_equal(wanted, segment))) {
            return false;
        }
    }
    return path.size == 0;
}

static bool is_word(struct bytes segment)
{
    for (size_t i = 0; i < segment.size; i++) {
        if (segment.data[i] >= 0x80 || !isalnum(segment.data[i])) {
            return false;
        }
    }
    return segment.size > 0;
}

enum err wanted_append_words(const char *pattern, struct buffer *out)
{
    struct bytes rest = bytes_of_string(pattern), segment;
    enum err e = OK;
    while (e == OK && segment_next(&rest, &segment)) {
        if (is_word(segment)) {
            e = buffer_append_string(out, buffer_size(out) > 0 ? " " : "");
            e = e == OK ? buffer_append(out, segment) : e;
        }
    }
    return e;
}

enum err wanted_parse_status(const char *text, struct wanted *out)
{
    bool is_class = strlen(text) == 3 && strcmp(text + 1, "xx") == 0;
    if (strlen(text) != 3 || text[0] < '1' || text[0] > '5' ||
        (!is_class && (!isdigit((unsigned char)text[1]) || !isdigit((unsigned char)text[2])))) {
        return ERR_INVALID;
    }
    unsigned hundred = 100 * (unsigned)(text[0] - '0');
    unsigned rest = is_class ? 0 : 10 * (unsigned)(text[1] - '0') + (unsigned)(text[2] - '0');
    out->status_min = hundred + rest;
    out->status_max = is_class ? hundred + 99 : hundred + rest;
    return OK;
}

/* As it was forwarded, or as the policy read it: without what percent-encoding hides. */
static bool has_path(const Chaperone__V1__Intent *intent, const char *pattern)
{
    if (intent->http == NULL) {
        return false;
    }
    const char *path = intent->http->path;
    bool matches = wanted_path_matches(pattern, bytes_of(path, strcspn(path, "?")));
    for (size_t i = 0; !matches && i < intent->n_objects; i++) {
        matches = strcmp(intent->objects[i]->kind, "path") == 0 &&
                  wanted_path_matches(pattern, bytes_of_string(intent->objects[i]->name));
    }
    return matches;
}

bool wanted_is(const struct wanted *w, const struct record_view *v)
{
    const Chaperone__V1__Record *r = v->record;
    bool is_intent = r->event_case == CHAPERONE__V1__RECORD__EVENT_INTENT;
    bool has_response =
        r->event_case == CHAPERONE__V1__RECORD__EVENT_OUTCOME && r->outcome->http != NULL;
    if (w->in_shadow && (!is_intent || r->intent->shadow_rule[0] == '\0')) {
        return false;
    }
    if (w->path != NULL && (!is_intent || !has_path(r->intent, w->path))) {
        return false;
    }
    if (w->status_min != 0 && (!has_response || r->outcome->http->status < w->status_min ||
                               r->outcome->http->status > w->status_max)) {
        return false;
    }
    return w->operation == 0 || (v->operation.known && v->operation.value == w->operation);
}

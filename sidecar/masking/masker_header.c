/* Header fields and queries: short, and there whole. */
#include "base/hex.h"
#include "sidecar/masking/masker_body_internal.h"
#include "sidecar/masking/spans.h"

#include <stdlib.h>
#include <strings.h>

/* ---- percent signs -------------------------------------------------------------------------- */

/* `places`: where in the text each byte of `to` begins, and its end. Returns how many. */
static size_t decode(struct bytes text, uint8_t *to, size_t *places)
{
    size_t n = 0;
    for (size_t i = 0; i < text.size; i++) {
        int escaped = hex_escape(text, i);
        places[n] = i;
        to[n++] = escaped < 0 ? text.data[i] : (uint8_t)escaped;
        i += escaped < 0 ? 0 : 2;
    }
    places[n] = text.size;
    return n;
}

/* What is found in the text without its escapes is replaced where it stands. */
static enum err put_without_finds(struct masker *m, struct bytes text, struct bytes plain,
                                  const size_t *places, struct buffer *out, bool *out_found)
{
    struct detector_span spans[DETECTOR_SPANS_MAX];
    struct detector_result found;
    enum err e = detector_scan(m->stream, plain, false, &found);
    for (size_t i = 0; e == OK && i < found.count; i++) {
        spans[i] = (struct detector_span){.start = places[found.spans[i].start],
                                          .end = places[found.spans[i].end],
                                          .id = found.spans[i].id};
        e = masker_count_one(m, m->owners[spans[i].id], MASKER_BODY_COLUMN, true);
    }
    if (e != OK || (found.count == 0 && !found.is_overflowed)) {
        return e;
    }
    *out_found = true;
    found.spans = spans;
    /* Of what cannot be masked in part nothing is left. */
    return spans_redact(m->by_detector, text, &found, false, out) == REDACTOR_FAILED ? ERR_LIMIT
                                                                                     : OK;
}

/* Addresses and cookies are often written with escapes, which no detector reads. */
static enum err look_unescaped(struct masker *m, struct bytes text, struct buffer *out,
                               bool *out_found)
{
    if (m->set == NULL || text.size == 0 || memchr(text.data, '%', text.size) == NULL) {
        return OK;
    }
    uint8_t *plain = malloc(text.size);
    size_t *places = calloc(text.size + 1, sizeof(*places));
    enum err e = ERR_NO_MEMORY;
    if (plain != NULL && places != NULL) {
        size_t size = decode(text, plain, places);
        e = put_without_finds(m, text, bytes_of(plain, size), places, out, out_found);
    }
    free(plain);
    free(places);
    return e;
}

/* ---- header fields -------------------------------------------------------------------------- */

/* A text of the policy's may have line breaks, which a field must not (RFC 9110 section 5.5). */
static void flatten(struct buffer *b, size_t from)
{
    for (size_t i = b->start + from; i < b->end; i++) {
        if (b->data[i] < ' ' && b->data[i] != '\t') {
            b->data[i] = ' ';
        }
    }
}

static enum err put_made(struct masker *m, enum masker_made made, struct bytes value,
                         struct buffer *out, bool *out_changed)
{
    size_t before = buffer_size(out);
    struct bytes shown = made == MADE_SAME     ? value
                         : made == MADE_STRING ? buffer_bytes(&m->value)
                                               : (struct bytes){0};
    enum err e = buffer_append(out, shown);
    if (e == OK && made != MADE_SAME) {
        flatten(out, before);
        *out_changed = true;
    }
    return e;
}

static enum err look(struct masker *m, struct bytes name, struct bytes value, struct buffer *out,
                     bool *out_changed)
{
    struct buffer plain;
    enum masker_made made = MADE_SAME;
    bool is_found = false;
    buffer_init(&plain, MASKER_BODY_VALUE_MAX);
    enum err e = look_unescaped(m, value, &plain, &is_found);
    struct bytes left = is_found ? buffer_bytes(&plain) : value;
    e = e == OK ? masker_look(m, name, left, &made) : e;
    e = e == OK ? put_made(m, made, left, out, out_changed) : e;
    *out_changed = *out_changed || is_found;
    buffer_wipe(&plain);
    return e;
}

static bool is_address(struct bytes name)
{
    static const char *const names[] = {"location", "content-location", "referer"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (name.size == strlen(names[i]) &&
            strncasecmp((const char *)name.data, names[i], name.size) == 0) {
            return true;
        }
    }
    return false;
}

/* An address has a query, whose fields have names (RFC 3986 section 3.4). */
static enum err look_in_address(struct masker *m, struct bytes name, struct bytes value,
                                struct buffer *out, bool *out_changed)
{
    const uint8_t *mark = value.size == 0 ? NULL : memchr(value.data, '?', value.size);
    if (m->field_rules == 0 || mark == NULL || !is_address(name)) {
        return look(m, name, value, out, out_changed);
    }
    size_t path = (size_t)(mark - value.data) + 1, left = value.size - path;
    const uint8_t *hash = left == 0 ? NULL : memchr(mark + 1, '#', left);
    size_t query = hash == NULL ? left : (size_t)(hash - mark) - 1;
    struct buffer made;
    bool is_changed = false;
    buffer_init(&made, MASKER_BODY_VALUE_MAX);
    enum err e = buffer_append(&made, bytes_of(value.data, path));
    e = e == OK ? masker_query(m, bytes_of(mark + 1, query), &made, &is_changed) : e;
    e = e == OK ? buffer_append(&made, bytes_of(mark + 1 + query, left - query)) : e;
    e = e == OK ? look(m, name, buffer_bytes(&made), out, out_changed) : e;
    *out_changed = *out_changed || is_changed;
    buffer_wipe(&made);
    return e;
}

enum err masker_header(struct masker *m, struct bytes name, struct bytes value, struct buffer *out,
                       bool *out_changed)
{
    uint64_t rules = 0;
    bool is_changed = false;
    enum masker_made made = MADE_SAME;
    enum err e = masker_find_rules(m, MASKER_HEADER, name, &rules);
    if (e == OK && rules != 0) {
        e = masker_make(m, rules, MASKER_STRING, value, &made);
        e = e == OK ? put_made(m, made, value, out, &is_changed) : e;
    } else if (e == OK) {
        e = look_in_address(m, name, value, out, &is_changed);
    }
    if (e == OK) {
        *out_changed = is_changed;
    }
    return e;
}

/* ---- queries -------------------------------------------------------------------------------- */

enum err masker_query(struct masker *m, struct bytes query, struct buffer *out, bool *out_changed)
{
    struct masker_form *form = NULL;
    size_t before = buffer_size(out);
    enum err e = masker_form_create(m, false, &form);
    e = e == OK ? masker_form_feed(form, query, out) : e;
    e = e == OK ? masker_form_finish(form, out) : e;
    masker_form_destroy(form);
    if (e != OK) {
        out->end = out->start + before;
        return e;
    }
    size_t size = buffer_size(out) - before;
    *out_changed = size != query.size ||
                   (size > 0 && memcmp(buffer_bytes(out).data + before, query.data, size) != 0);
    return OK;
}

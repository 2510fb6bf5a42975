/* What the detectors see of a value of each type, and what becomes of it when they find something.
 */
#include "sidecar/masking/masker_internal.h"

#include "sidecar/masking/spans.h"
#include "sidecar/masking/value.h"
#include "sidecar/protocol/postgres/pg_types.h"

/* ---- types ---------------------------------------------------------------------------------- */

enum kind {
    KIND_NONE,   /* holds nothing that a detector looks for */
    KIND_TEXT,   /* parts of it may be replaced */
    KIND_JSON,   /* likewise, as JSON */
    KIND_JSONB,  /* in binary behind a version byte */
    KIND_SMALL,  /* numbers of too few digits for any built-in detector */
    KIND_NUMBER, /* replaced whole, by a value of the type */
    KIND_BYTES,  /* likewise, scanned as the bytes that they are */
    KIND_ARRAY,
    KIND_OTHER, /* scanned as they come; NULL when something is found */
};

/* pg_type.dat. `*out_element` is that of an array. */
static enum kind kind_of(uint32_t type, uint32_t *out_element)
{
#define ARRAY(array, element)                                                                      \
    case array: *out_element = (element); return KIND_ARRAY
    switch (type) {
    case 16: /* bool */
    case 18: /* "char" */
    case 1082:
    case 1083:
    case 1114: /* date, time, timestamp */
    case 1184:
    case 1186:
    case 1266: /* timestamptz, interval, timetz */
    case 2950: /* uuid */
    case 1000:
    case 1002:
    case 1182:
    case 1183:
    case 1115:
    case 1185:
    case 1187:
    case 1270:
    case 2951: return KIND_NONE; /* and arrays of these */
    case 19:
    case 25:
    case 705: /* name, text, unknown */
    case 1042:
    case 1043:
    case 2275: /* bpchar, varchar, cstring */ return KIND_TEXT;
    case 114: return KIND_JSON;
    case 3802: return KIND_JSONB;
    case 21:
    case 23:
    case 26: return KIND_SMALL; /* int2, int4, oid */
    case 20:
    case 700:
    case 701:
    case 1700: return KIND_NUMBER;
    case 17:
        return KIND_BYTES;
        ARRAY(1003, 19);
        ARRAY(1009, 25);
        ARRAY(1014, 1042);
        ARRAY(1015, 1043);
        ARRAY(1263, 2275);
        ARRAY(199, 114);
        ARRAY(3807, 3802);
        ARRAY(1005, 21);
        ARRAY(1007, 23);
        ARRAY(1028, 26);
        ARRAY(1016, 20);
        ARRAY(1021, 700);
        ARRAY(1022, 701);
        ARRAY(1231, 1700);
        ARRAY(1001, 17);
    default: return KIND_OTHER;
    }
#undef ARRAY
}

/* ---- in parts ------------------------------------------------------------------------------- */

static bool is_found(const struct detector_result *r)
{
    return r->count > 0 || r->is_overflowed;
}

static void note_rules(const struct masker *m, const struct detector_result *r, uint64_t *io_rules)
{
    for (size_t i = 0; i < r->count; i++) {
        *io_rules |= UINT64_C(1) << m->owners[r->spans[i].id];
    }
}

/* Appends to `out` when something was found. */
static enum err replace_parts(struct masker *m, struct bytes text, bool is_json, struct buffer *out,
                              enum masker_outcome *outcome, uint64_t *io_rules)
{
    struct detector_result found;
    enum err e = detector_scan(m->stream, text, is_json, &found);
    if (e != OK || !is_found(&found)) {
        return e;
    }
    note_rules(m, &found, io_rules);
    switch (spans_redact(m->by_detector, text, &found, is_json, out)) {
    case REDACTOR_VALUE: *outcome = MASKER_CHANGED; return OK;
    case REDACTOR_FAILED: return ERR_LIMIT;
    default: *outcome = MASKER_TO_NULL; return OK;
    }
}

static bool has_escapes(struct bytes text)
{
    return text.size > 0 && memchr(text.data, '\\', text.size) != NULL;
}

/* JSON in a column of text is looked at a second time, with its escapes read. */
static enum err scan_text(struct masker *m, struct bytes text, struct buffer *out,
                          enum masker_outcome *outcome, uint64_t *io_rules)
{
    enum err e = replace_parts(m, text, false, out, outcome, io_rules);
    if (e != OK || *outcome == MASKER_TO_NULL) {
        return e;
    }
    struct bytes now = *outcome == MASKER_CHANGED ? buffer_bytes(out) : text;
    if (!has_escapes(now) || !detector_looks_like_json(now)) {
        return OK;
    }
    enum masker_outcome again = MASKER_SAME;
    buffer_clear(&m->json);
    e = replace_parts(m, now, true, &m->json, &again, io_rules);
    if (e == OK && again != MASKER_SAME) {
        *outcome = again;
        buffer_clear(out);
        e = buffer_append(out, buffer_bytes(&m->json));
    }
    return e;
}

static enum err scan_jsonb(struct masker *m, struct bytes value, struct buffer *out,
                           enum masker_outcome *outcome, uint64_t *io_rules)
{
    static const uint8_t version[] = {1}; /* jsonb_send */
    if (value.size == 0 || value.data[0] != version[0]) {
        *outcome = MASKER_TO_NULL;
        return OK;
    }
    enum err e = buffer_append(out, bytes_of(version, sizeof(version)));
    return e == OK ? replace_parts(m, bytes_of(value.data + 1, value.size - 1), true, out, outcome,
                                   io_rules)
                   : e;
}

/* ---- whole ---------------------------------------------------------------------------------- */

/* The one that all finds ask for; NULL: they do not agree. */
static struct redactor *common_redactor(const struct masker *m, const struct detector_result *r)
{
    struct redactor *first = r->is_overflowed ? NULL : m->by_detector[r->spans[0].id];
    for (size_t i = 1; i < r->count; i++) {
        first = m->by_detector[r->spans[i].id] == first ? first : NULL;
    }
    return first;
}

struct whole {
    uint32_t type;
    bool is_binary;
    struct bytes value;
};

/* When something is found in `seen`, which is a form of the value, that is replaced whole. */
static enum err replace_whole(struct masker *m, const struct whole *w, struct bytes seen,
                              bool is_json, struct buffer *out, enum masker_outcome *outcome,
                              uint64_t *io_rules)
{
    struct detector_result found;
    enum err e = detector_scan(m->stream, seen, is_json, &found);
    if (e != OK || !is_found(&found)) {
        return e;
    }
    note_rules(m, &found, io_rules);
    *outcome = MASKER_TO_NULL;
    struct redactor *r = common_redactor(m, &found);
    if (r != NULL) {
        switch (redactor_apply(r, w->type, w->is_binary, w->value, out)) {
        case REDACTOR_VALUE: *outcome = MASKER_CHANGED; break;
        case REDACTOR_FAILED: return ERR_LIMIT;
        default: break;
        }
    }
    return OK;
}

/* As text, where it has one; the bytes themselves where not. */
static enum err see_as_text(struct masker *m, const struct whole *w, struct bytes *out)
{
    *out = w->value;
    if (!w->is_binary) {
        return OK;
    }
    buffer_clear(&m->text);
    switch (pg_types_to_text(w->type, w->value, m->text.cap, &m->text)) {
    case PG_TEXT_WHOLE: *out = buffer_bytes(&m->text); return OK;
    case PG_TEXT_RAW: return OK;
    case PG_TEXT_TRUNCATED: return ERR_LIMIT;
    case PG_TEXT_NO_MEMORY: return ERR_NO_MEMORY;
    }
    return ERR_INTERNAL;
}

static enum err see_bytes(struct masker *m, const struct whole *w, struct bytes *out)
{
    bool is_array = false;
    struct value v = {.type = value_type_find(w->type, &is_array)};
    *out = w->value;
    if (w->is_binary) {
        return OK;
    }
    buffer_clear(&m->text);
    enum err e = value_read(v.type, false, w->value, &m->text, &v);
    if (e == OK) {
        *out = v.text;
    }
    return e == ERR_INVALID ? OK : e; /* not a bytea's text: seen as it is */
}

static enum err scan_whole(struct masker *m, const struct whole *w, bool is_bytes,
                           struct buffer *out, enum masker_outcome *outcome, uint64_t *io_rules)
{
    struct bytes seen = {0};
    enum err e = is_bytes ? see_bytes(m, w, &seen) : see_as_text(m, w, &seen);
    return e == OK ? replace_whole(m, w, seen, false, out, outcome, io_rules) : e;
}

/* Composite values, and much that is like them, double quotes and backslashes on each level
 * (record_out). `io_text` may be what is in `out`, which has room for it then: it only shrinks. */
static enum err undouble(struct bytes *io_text, struct buffer *out, bool *out_is_changed)
{
    struct bytes text = *io_text;
    size_t n = 0;
    buffer_clear(out);
    uint8_t *to = buffer_reserve(out, text.size);
    if (to == NULL) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        to[n++] = byte;
        i += (byte == '"' || byte == '\\') && i + 1 < text.size && text.data[i + 1] == byte;
    }
    buffer_commit(out, n);
    *io_text = buffer_bytes(out);
    *out_is_changed = n < text.size;
    return OK;
}

static enum err look(struct masker *m, const struct whole *w, struct bytes seen, struct buffer *out,
                     enum masker_outcome *outcome, uint64_t *io_rules)
{
    enum err e = replace_whole(m, w, seen, false, out, outcome, io_rules);
    if (e == OK && *outcome == MASKER_SAME && has_escapes(seen)) {
        return replace_whole(m, w, seen, true, out, outcome, io_rules);
    }
    return e;
}

/* What it is made of is not known: text may be in quotes and escaped in it. */
static enum err scan_other(struct masker *m, const struct whole *w, struct buffer *out,
                           enum masker_outcome *outcome, uint64_t *io_rules)
{
    enum { LEVELS_MAX = 4 };
    struct bytes seen = {0};
    enum err e = see_as_text(m, w, &seen);
    e = e == OK ? look(m, w, seen, out, outcome, io_rules) : e;
    bool goes_on = seen.size > 0 && (has_escapes(seen) || memchr(seen.data, '"', seen.size));
    for (int level = 0; e == OK && *outcome == MASKER_SAME && goes_on && level < LEVELS_MAX;
         level++) {
        e = undouble(&seen, &m->element, &goes_on);
        if (e == OK && goes_on) {
            e = look(m, w, seen, out, outcome, io_rules);
        }
    }
    return e;
}

/* ---- a value -------------------------------------------------------------------------------- */

static enum err scan_array(struct masker *m, const struct whole *w, uint32_t element,
                           struct buffer *out, enum masker_outcome *outcome, uint64_t *io_rules)
{
    uint32_t none = 0;
    enum kind kind = kind_of(element, &none);
    if (kind == KIND_SMALL && !m->has_custom) {
        return OK;
    }
    uint64_t rules = 0;
    enum err e = masker_scan_array(m, element, w->is_binary, w->value, out, outcome, &rules);
    if (e == ERR_INVALID) {
        buffer_clear(out);
        *outcome = MASKER_SAME;
        return scan_other(m, w, out, outcome, io_rules);
    }
    *io_rules |= rules;
    return e;
}

enum err masker_scan(struct masker *m, uint32_t type, bool is_binary, struct bytes value,
                     struct buffer *out, enum masker_outcome *outcome, uint64_t *io_rules)
{
    const struct whole w = {type, is_binary, value};
    uint32_t element = 0;
    *outcome = MASKER_SAME;
    buffer_clear(out);
    switch (kind_of(type, &element)) {
    case KIND_NONE: return OK;
    case KIND_TEXT: return scan_text(m, value, out, outcome, io_rules);
    case KIND_JSONB:
        if (is_binary) {
            return scan_jsonb(m, value, out, outcome, io_rules);
        }
        return replace_parts(m, value, true, out, outcome, io_rules);
    case KIND_JSON: return replace_parts(m, value, true, out, outcome, io_rules);
    case KIND_SMALL:
        if (!m->has_custom) {
            return OK;
        }
        return scan_whole(m, &w, false, out, outcome, io_rules);
    case KIND_NUMBER: return scan_whole(m, &w, false, out, outcome, io_rules);
    case KIND_BYTES: return scan_whole(m, &w, true, out, outcome, io_rules);
    case KIND_ARRAY: return scan_array(m, &w, element, out, outcome, io_rules);
    case KIND_OTHER: return scan_other(m, &w, out, outcome, io_rules);
    }
    return ERR_INTERNAL;
}

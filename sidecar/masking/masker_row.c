/* One value, and rows of them. */
#include "sidecar/masking/masker_internal.h"

#include "base/cursor.h"

/* ---- one value ------------------------------------------------------------------------------ */

static enum err redact(struct masker *m, const struct masker_column *c, struct bytes value,
                       enum masker_outcome *out)
{
    if (c->rule >= m->rule_count) {
        return ERR_INVALID;
    }
    *out = MASKER_TO_NULL;
    if (c->action == MASKER_REDACT) {
        buffer_clear(&m->value);
        switch (redactor_apply(m->redactors[c->rule], c->type, c->is_binary, value, &m->value)) {
        case REDACTOR_VALUE: *out = MASKER_CHANGED; break;
        case REDACTOR_NULL:
        case REDACTOR_NULL_INSTEAD: break;
        case REDACTOR_FAILED: return ERR_LIMIT;
        }
    }
    return OK;
}

static enum err count_content(struct masker *m, size_t index, uint64_t rules)
{
    enum err e = OK;
    for (uint8_t rule = 0; e == OK && rules != 0; rule++, rules >>= 1) {
        if (rules & 1) {
            e = masker_count_one(m, rule, index, true);
        }
    }
    return e;
}

enum err masker_apply(struct masker *m, const struct masker_column *column, size_t index,
                      struct bytes value, enum masker_outcome *out)
{
    if (column->action != MASKER_PASS) { /* also one that there is not: it fails for its rule */
        enum err e = redact(m, column, value, out);
        return e == OK ? masker_count_one(m, column->rule, index, false) : e;
    }
    *out = MASKER_SAME;
    if (m->set == NULL) {
        return OK;
    }
    uint64_t rules = 0;
    enum err e = masker_scan(m, column->type, column->is_binary, value, &m->value, out, &rules);
    return e == OK && rules != 0 ? count_content(m, index, rules) : e;
}

/* ---- a row ---------------------------------------------------------------------------------- */

static enum err put_value(struct buffer *out, const struct masker *m, enum masker_outcome outcome)
{
    struct bytes value = outcome == MASKER_TO_NULL ? (struct bytes){0} : buffer_bytes(&m->value);
    uint32_t size = outcome == MASKER_TO_NULL ? UINT32_MAX : (uint32_t)value.size;
    const uint8_t head[] = {(uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8),
                            (uint8_t)size};
    enum err e = buffer_append(out, bytes_of(head, sizeof(head)));
    return e == OK ? buffer_append(out, value) : e;
}

/* What stays is copied in runs: from the end of the last changed value to the next one. */
static enum err mask(struct masker *m, const struct masker_column *columns, size_t count,
                     struct bytes body, struct buffer *out)
{
    struct cursor c = cursor_of(body);
    const uint8_t *run = body.data;
    if (cursor_read_u16(&c) != count || c.failed) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < count; i++) {
        const uint8_t *head = c.at;
        uint32_t size = cursor_read_u32(&c);
        if (size == UINT32_MAX && !c.failed) {
            continue; /* NULL */
        }
        /* A negative length is more than any row has. */
        struct bytes value = cursor_read_bytes(&c, size);
        if (c.failed) {
            return ERR_INVALID;
        }
        if (masker_is_plain(m, &columns[i])) {
            continue;
        }
        enum masker_outcome outcome = MASKER_SAME;
        enum err e = masker_apply(m, &columns[i], i, value, &outcome);
        if (e == OK && outcome != MASKER_SAME) {
            e = buffer_append(out, bytes_of(run, (size_t)(head - run)));
            e = e == OK ? put_value(out, m, outcome) : e;
            run = c.at;
        }
        if (e != OK) {
            return e;
        }
    }
    return cursor_is_complete(&c) ? buffer_append(out, bytes_of(run, (size_t)(c.at - run)))
                                  : ERR_INVALID;
}

enum err masker_row(struct masker *m, const struct masker_column *columns, size_t count,
                    struct bytes body, struct buffer *out)
{
    if (body.size > MASKER_ROW_MAX) {
        return ERR_LIMIT;
    }
    size_t before = buffer_size(out);
    enum err e = count > MASKER_COLUMNS_MAX ? ERR_INVALID : mask(m, columns, count, body, out);
    if (e != OK) {
        out->end = out->start + before;
    }
    return e;
}

/* ---- a text --------------------------------------------------------------------------------- */

enum err masker_text(struct masker *m, struct bytes text, struct buffer *out)
{
    enum { TEXT_TYPE = 25 };
    enum masker_outcome outcome = MASKER_SAME;
    uint64_t rules = 0;
    if (text.size > MASKER_ROW_MAX) {
        return ERR_LIMIT;
    }
    enum err e = OK;
    if (m->set != NULL) {
        e = masker_scan(m, TEXT_TYPE, false, text, &m->value, &outcome, &rules);
    }
    if (e != OK || outcome == MASKER_TO_NULL) {
        return e; /* of what cannot be masked in part nothing is shown */
    }
    return buffer_append(out, outcome == MASKER_SAME ? text : buffer_bytes(&m->value));
}

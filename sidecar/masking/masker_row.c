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

/* A row on its way. What stays is copied in runs: from the end of the last value that could not
 * stay to the next one. A row in which all stay is not copied. */
struct row {
    uint8_t *place; /* the body, where it may be written to; else NULL */
    const uint8_t *begin, *run;
    struct buffer *out;
};

static enum err put_value(struct buffer *out, const struct masker *m, enum masker_outcome outcome)
{
    struct bytes value = outcome == MASKER_TO_NULL ? (struct bytes){0} : buffer_bytes(&m->value);
    uint32_t size = outcome == MASKER_TO_NULL ? UINT32_MAX : (uint32_t)value.size;
    const uint8_t head[] = {(uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8),
                            (uint8_t)size};
    enum err e = buffer_append(out, bytes_of(head, sizeof(head)));
    return e == OK ? buffer_append(out, value) : e;
}

/* Where the value may be written to. */
static uint8_t *place_of(const struct row *row, struct bytes value)
{
    return row->place + (value.data - row->begin);
}

static bool redact_in_place(struct masker *m, const struct masker_column *c, const struct row *row,
                            struct bytes value)
{
    return row->place != NULL && c->action == MASKER_REDACT && c->rule < m->rule_count &&
           value.size > 0 &&
           redactor_apply_in_place(m->redactors[c->rule], c->type, place_of(row, value),
                                   value.size);
}

/* `head`: the value's length, before it. */
static enum err mask_value(struct masker *m, const struct masker_column *column, size_t index,
                           const uint8_t *head, struct bytes value, struct row *row)
{
    enum masker_outcome outcome = MASKER_SAME;
    if (redact_in_place(m, column, row, value)) {
        return masker_count_one(m, column->rule, index, false);
    }
    enum err e = masker_apply(m, column, index, value, &outcome);
    if (e != OK || outcome == MASKER_SAME) {
        return e;
    }
    if (row->place != NULL && outcome == MASKER_CHANGED && buffer_size(&m->value) == value.size) {
        if (value.size > 0) {
            memcpy(place_of(row, value), buffer_bytes(&m->value).data, value.size);
        }
        return OK;
    }
    e = buffer_append(row->out, bytes_of(row->run, (size_t)(head - row->run)));
    row->run = value.data + value.size;
    return e == OK ? put_value(row->out, m, outcome) : e;
}

/* Past so many values, NULL or not. */
static bool skip_values(struct cursor *io, size_t count)
{
    struct cursor c = *io;
    for (; count > 0; count--) {
        uint32_t size = cursor_read_u32(&c);
        if (c.failed) {
            return false;
        }
        if (size == UINT32_MAX) {
            continue;
        }
        (void)cursor_read_bytes(&c, size); /* a negative length is more than any row has */
        if (c.failed) {
            return false;
        }
    }
    *io = c;
    return true;
}

/* How many columns from `at` on go through as they are. */
static size_t count_plain(const struct masker *m, const struct masker_column *columns, size_t at,
                          size_t count)
{
    size_t n = 0;
    while (at + n < count && masker_is_plain(m, &columns[at + n])) {
        n++;
    }
    return n;
}

static enum err mask(struct masker *m, const struct masker_column *columns, size_t count,
                     struct bytes body, struct row *row)
{
    struct cursor c = cursor_of(body);
    if (cursor_read_u16(&c) != count || c.failed) {
        return ERR_INVALID;
    }
    for (size_t i = 0;; i++) {
        size_t plain = count_plain(m, columns, i, count);
        i += plain;
        if (!skip_values(&c, plain)) {
            return ERR_INVALID;
        }
        if (i == count) {
            break;
        }
        const uint8_t *head = c.at;
        uint32_t size = cursor_read_u32(&c);
        if (size == UINT32_MAX && !c.failed) {
            continue; /* NULL */
        }
        struct bytes value = cursor_read_bytes(&c, size);
        enum err e = c.failed ? ERR_INVALID : mask_value(m, &columns[i], i, head, value, row);
        if (e != OK) {
            return e;
        }
    }
    return cursor_is_complete(&c) ? OK : ERR_INVALID;
}

static enum err mask_row(struct masker *m, const struct masker_column *columns, size_t count,
                         struct bytes body, struct row *row)
{
    if (body.size > MASKER_ROW_MAX) {
        return ERR_LIMIT;
    }
    row->begin = row->run = body.data;
    size_t before = buffer_size(row->out);
    enum err e = count > MASKER_COLUMNS_MAX ? ERR_INVALID : mask(m, columns, count, body, row);
    if (e == OK && (row->place == NULL || row->run != row->begin)) {
        e = buffer_append(row->out, bytes_of(row->run, (size_t)(body.data + body.size - row->run)));
    }
    if (e != OK) {
        row->out->end = row->out->start + before;
    }
    return e;
}

enum err masker_row(struct masker *m, const struct masker_column *columns, size_t count,
                    struct bytes body, struct buffer *out)
{
    struct row row = {.out = out};
    return mask_row(m, columns, count, body, &row);
}

enum err masker_row_in_place(struct masker *m, const struct masker_column *columns, size_t count,
                             uint8_t *body, size_t size, struct buffer *out, bool *out_moved)
{
    struct row row = {.place = body, .out = out};
    enum err e = mask_row(m, columns, count, bytes_of(body, size), &row);
    if (e == OK) {
        *out_moved = row.run != row.begin;
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

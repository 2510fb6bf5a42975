/* COPY TO STDOUT: pieces of data become units (header, rows, end), which the format's codec masks.
 */
#include "sidecar/masking/masker_copy_internal.h"

#include <stdlib.h>

enum { HELD_CAP = 4 * MASKER_ROW_MAX, FIELD_CAP = MASKER_ROW_MAX, NULL_TEXT_MAX = 1024 };

/* ---- creation ------------------------------------------------------------------------------- */

/* Whether a value could look like NULL, which the text format does not prevent (\N never does, for
 * a backslash is escaped). An agent that chooses NULL '123-45-6789' would learn from what is not
 * redacted which rows have it. */
static bool null_could_be_a_value(struct masker_copy *c)
{
    struct bytes null_text = buffer_bytes(&c->null_text);
    if (c->codec != &masker_copy_text || null_text.size == 0 ||
        masker_copy_read_text(null_text, c->delimiter, &c->field) != OK) {
        return false;
    }
    struct buffer again;
    buffer_init(&again, 2 * NULL_TEXT_MAX);
    bool is_same = masker_copy_put_text(buffer_bytes(&c->field), c->delimiter, &again) != OK ||
                   bytes_equal(buffer_bytes(&again), null_text);
    buffer_finish(&again);
    return is_same;
}

static enum err copy_columns(struct masker_copy *c, const struct masker_copy_options *o)
{
    enum { TEXT_TYPE = 25 };
    bool is_binary = o->format == MASKER_COPY_BINARY;
    c->columns = calloc(o->count > 0 ? o->count : 1, sizeof(*c->columns));
    if (c->columns == NULL) {
        return ERR_NO_MEMORY;
    }
    c->count = o->count;
    bool is_ambiguous = null_could_be_a_value(c);
    for (size_t i = 0; i < c->count; i++) {
        struct masker_column *column = &c->columns[i];
        *column = o->columns[i];
        column->is_binary = is_binary;
        column->type = column->type == 0 && !is_binary ? TEXT_TYPE : column->type;
        if (is_ambiguous && column->action == MASKER_REDACT) {
            column->action = MASKER_NULL;
        }
    }
    return OK;
}

struct masker_copy *masker_copy_create(struct masker *m, const struct masker_copy_options *o)
{
    static const struct masker_copy_codec *const codecs[] = {
        [MASKER_COPY_TEXT] = &masker_copy_text,
        [MASKER_COPY_CSV] = &masker_copy_csv,
        [MASKER_COPY_BINARY] = &masker_copy_binary,
    };
    struct masker_copy *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return NULL;
    }
    c->masker = m;
    c->codec = codecs[o->format];
    c->state = o->has_header || o->format == MASKER_COPY_BINARY ? COPY_HEADER : COPY_ROWS;
    c->delimiter = o->delimiter;
    c->quote = o->quote;
    c->escape = o->escape;
    buffer_init(&c->held, HELD_CAP);
    buffer_init(&c->field, FIELD_CAP);
    buffer_init(&c->null_text, NULL_TEXT_MAX);
    if (o->count > MASKER_COLUMNS_MAX || o->null_text.size > NULL_TEXT_MAX) {
        c->state = COPY_FAILED; /* no server does that */
        return c;
    }
    if (buffer_append(&c->null_text, o->null_text) != OK || copy_columns(c, o) != OK) {
        masker_copy_destroy(c);
        return NULL;
    }
    return c;
}

void masker_copy_destroy(struct masker_copy *c)
{
    if (c != NULL) {
        buffer_wipe(&c->held);
        buffer_wipe(&c->field);
        buffer_finish(&c->null_text);
        free(c->columns);
        free(c);
    }
}

/* ---- data ----------------------------------------------------------------------------------- */

enum err masker_copy_flush(struct masker_copy_line *line, size_t start, struct buffer *out)
{
    enum err e = buffer_append(out, bytes_of(line->text.data + line->run, start - line->run));
    line->run = line->at;
    return e;
}

/* All units that `data` has whole; `*out_done` bytes of it. */
static enum err put_units(struct masker_copy *c, struct bytes data, struct buffer *out,
                          size_t *out_done)
{
    size_t done = 0;
    enum err e = OK;
    while (e == OK && done < data.size) {
        size_t size = 0;
        struct bytes rest = bytes_of(data.data + done, data.size - done);
        e = c->state == COPY_ENDED ? ERR_INVALID : c->codec->find(c, rest, &size);
        if (e != OK || size == 0) {
            break;
        }
        e = size > MASKER_ROW_MAX ? ERR_LIMIT : c->codec->put(c, bytes_of(rest.data, size), out);
        done += size;
        c->looked = (struct masker_copy_looked){0};
    }
    *out_done = done;
    return e;
}

static enum err feed(struct masker_copy *c, struct bytes payload, struct buffer *out)
{
    size_t done = 0;
    bool is_held = buffer_size(&c->held) > 0;
    enum err e = is_held ? buffer_append(&c->held, payload) : OK;
    if (e == OK) {
        e = put_units(c, is_held ? buffer_bytes(&c->held) : payload, out, &done);
    }
    if (e != OK) {
        return e;
    }
    if (is_held) {
        buffer_consume(&c->held, done);
    } else {
        e = buffer_append(&c->held, bytes_of(payload.data + done, payload.size - done));
    }
    return e == OK && buffer_size(&c->held) > MASKER_ROW_MAX ? ERR_LIMIT : e;
}

enum err masker_copy_feed(struct masker_copy *c, struct bytes payload, struct buffer *out)
{
    if (c->state == COPY_FAILED) {
        return ERR_INVALID;
    }
    if (payload.size == 0) {
        return OK;
    }
    size_t before = buffer_size(out);
    enum err e = feed(c, payload, out);
    if (e != OK) {
        c->state = COPY_FAILED;
        out->end = out->start + before;
    }
    return e;
}

enum err masker_copy_finish(struct masker_copy *c)
{
    bool needs_end = c->codec == &masker_copy_binary;
    bool is_at_end = c->state == COPY_ENDED || (c->state == COPY_ROWS && !needs_end);
    return is_at_end && buffer_size(&c->held) == 0 ? OK : ERR_INVALID;
}

#include "sidecar/masking/spans.h"

#include "sidecar/masking/redactor_internal.h"

enum { TEXT_TYPE = 25 };

/* Where in a text of JSON: follows its strings. */
struct place {
    size_t at, strings; /* how many quotes were passed: odd within a string */
};

static void advance(struct place *p, struct bytes text, size_t to)
{
    while (p->at < to) {
        bool is_in_string = p->strings % 2 == 1;
        if (is_in_string && text.data[p->at] == '\\' && p->at + 1 < to) {
            p->at++;
        } else if (text.data[p->at] == '"') {
            p->strings++;
        }
        p->at++;
    }
}

/* A token outside of strings ends here: nothing of a number stands on. */
static bool is_edge(struct bytes text, size_t at)
{
    return at >= text.size ||
           (text.data[at] != 0 && strchr(" \t\r\n,:[]{}", text.data[at]) != NULL);
}

static enum err put_span(struct redactor *r, struct bytes piece, bool is_json, bool with_quotes,
                         struct buffer *out)
{
    struct buffer *made = &r->piece;
    buffer_clear(made);
    enum redactor_result result = redactor_apply(r, TEXT_TYPE, false, piece, made);
    if (result == REDACTOR_FAILED) {
        return ERR_LIMIT;
    }
    if (is_json) {
        return redactor_put_json(buffer_bytes(made), with_quotes, out);
    }
    return buffer_append(out, buffer_bytes(made));
}

static enum err put_json_span(struct redactor *r, struct bytes text, struct place *p, size_t start,
                              size_t end, struct buffer *out)
{
    advance(p, text, start);
    bool starts_well = p->at == start, is_in_string = p->strings % 2 == 1;
    size_t strings = p->strings;
    advance(p, text, end);
    if (!starts_well || p->strings != strings ||
        (!is_in_string && (!is_edge(text, end) || (start > 0 && !is_edge(text, start - 1))))) {
        return ERR_INVALID;
    }
    return put_span(r, bytes_of(text.data + start, end - start), true, !is_in_string, out);
}

static enum err redact(struct redactor *r, struct bytes text, const struct detector_result *found,
                       bool is_json, struct buffer *out)
{
    struct place p = {0, 0};
    enum err e = OK;
    size_t done = 0;
    for (size_t i = 0; e == OK && i < found->count;) {
        size_t start = found->spans[i].start, end = found->spans[i].end;
        for (i++; i < found->count && found->spans[i].start < end; i++) {
            end = found->spans[i].end > end ? found->spans[i].end : end;
        }
        if (start < done || end < start || end > text.size) {
            return ERR_INVALID;
        }
        e = buffer_append(out, bytes_of(text.data + done, start - done));
        if (e == OK) {
            e = is_json ? put_json_span(r, text, &p, start, end, out)
                        : put_span(r, bytes_of(text.data + start, end - start), false, false, out);
        }
        done = end;
    }
    return e == OK ? buffer_append(out, bytes_of(text.data + done, text.size - done)) : e;
}

enum redactor_result spans_redact(struct redactor *r, struct bytes text,
                                  const struct detector_result *found, bool is_json,
                                  struct buffer *out)
{
    if (found->is_overflowed) {
        return REDACTOR_NULL_INSTEAD;
    }
    size_t before = buffer_size(out);
    enum err e = redact(r, text, found, is_json, out);
    if (e != OK) {
        out->end = out->start + before;
    }
    return e == OK ? REDACTOR_VALUE : e == ERR_INVALID ? REDACTOR_NULL_INSTEAD : REDACTOR_FAILED;
}

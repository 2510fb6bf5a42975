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

/* Without a redactor: nothing, in JSON the empty string. */
static enum err put_span(struct redactor *r, struct bytes piece, bool is_json, bool with_quotes,
                         struct buffer *out)
{
    struct bytes made = {0};
    if (r != NULL) {
        buffer_clear(&r->piece);
        if (redactor_apply(r, TEXT_TYPE, false, piece, &r->piece) == REDACTOR_FAILED) {
            return ERR_LIMIT;
        }
        made = buffer_bytes(&r->piece);
    }
    return is_json ? redactor_put_json(made, with_quotes, out) : buffer_append(out, made);
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

/* One or more spans that overlap, as one. Returns the index of the next. */
static size_t take_span(struct redactor *const *by_detector, const struct detector_result *found,
                        size_t i, size_t *out_end, struct redactor **out_redactor)
{
    size_t end = found->spans[i].end;
    struct redactor *r = by_detector[found->spans[i].id];
    for (i++; i < found->count && found->spans[i].start < end; i++) {
        const struct detector_span *next = &found->spans[i];
        end = next->end > end ? next->end : end;
        r = by_detector[next->id] == r ? r : NULL;
    }
    *out_end = end;
    *out_redactor = r;
    return i;
}

static enum err redact(struct redactor *const *by_detector, struct bytes text,
                       const struct detector_result *found, bool is_json, struct buffer *out)
{
    struct place p = {0, 0};
    enum err e = OK;
    size_t done = 0;
    for (size_t i = 0; e == OK && i < found->count;) {
        size_t start = found->spans[i].start, end = 0;
        struct redactor *r = NULL;
        i = take_span(by_detector, found, i, &end, &r);
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

enum redactor_result spans_redact(struct redactor *const *by_detector, struct bytes text,
                                  const struct detector_result *found, bool is_json,
                                  struct buffer *out)
{
    if (found->is_overflowed) {
        return REDACTOR_NULL_INSTEAD;
    }
    size_t before = buffer_size(out);
    enum err e = redact(by_detector, text, found, is_json, out);
    if (e != OK) {
        out->end = out->start + before;
    }
    return e == OK ? REDACTOR_VALUE : e == ERR_INVALID ? REDACTOR_NULL_INSTEAD : REDACTOR_FAILED;
}

/* Bodies under masks: which of the ways is taken. */
#include "sidecar/masking/masker_body.h"

#include <stdlib.h>

#include "sidecar/masking/masker_body_internal.h"

struct masker_body {
    enum masker_body_kind kind;
    bool is_plain; /* nothing is masked in it */
    struct masker_json *json;
    struct masker_form *form;
    struct masker_stream *stream;
};

bool masker_masks_http(const struct masker *m)
{
    return m->http_rules != 0 || m->set != NULL;
}

/* Whether each of these rules says so. */
static bool allow_unknown(const struct masker *m, uint64_t rules)
{
    for (size_t i = 0; i < m->rule_count; i++) {
        if ((rules >> i & 1) != 0 && m->unknown_origins[i] != POLICY_UNKNOWN_ALLOW) {
            return false;
        }
    }
    return true;
}

bool masker_allows_unknown(const struct masker *m)
{
    return allow_unknown(m, m->field_rules | m->content_rules);
}

static enum err create_kind(struct masker *m, struct masker_body *b, struct err_text *why)
{
    enum err e = ERR_INVALID;
    switch (b->kind) {
    case MASKER_BODY_JSON: e = masker_json_create(m, &b->json); break;
    case MASKER_BODY_FORM: e = masker_form_create(m, true, &b->form); break;
    case MASKER_BODY_TEXT:
        if (!allow_unknown(m, m->field_rules)) { /* it has no names */
            return err_set(why, ERR_DENIED,
                           "fields are masked, and a body of this type names none of its parts");
        }
        b->is_plain = m->set == NULL;
        e = b->is_plain ? OK : masker_stream_create(m, &b->stream);
        break;
    }
    return e == OK ? OK : err_set(why, e, "no memory to mask a body");
}

enum err masker_body_create(struct masker *m, enum masker_body_kind kind, struct masker_body **out,
                            struct err_text *why)
{
    struct masker_body *b = calloc(1, sizeof(*b));
    if (b == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory to mask a body");
    }
    *b = (struct masker_body){.kind = kind, .is_plain = m->field_rules == 0 && m->set == NULL};
    enum err e = b->is_plain ? OK : create_kind(m, b, why);
    if (e != OK) {
        masker_body_destroy(b);
        return e;
    }
    *out = b;
    return OK;
}

void masker_body_destroy(struct masker_body *b)
{
    if (b != NULL) {
        masker_json_destroy(b->json);
        masker_form_destroy(b->form);
        masker_stream_destroy(b->stream);
        free(b);
    }
}

enum err masker_body_feed(struct masker_body *b, struct bytes in, struct buffer *out)
{
    if (b->is_plain) {
        return buffer_append(out, in);
    }
    switch (b->kind) {
    case MASKER_BODY_JSON: return masker_json_feed(b->json, in, out);
    case MASKER_BODY_FORM: return masker_form_feed(b->form, in, out);
    case MASKER_BODY_TEXT: return masker_stream_feed(b->stream, in, out);
    }
    return ERR_INTERNAL;
}

enum err masker_body_finish(struct masker_body *b, struct buffer *out)
{
    if (b->is_plain) {
        return OK;
    }
    switch (b->kind) {
    case MASKER_BODY_JSON: return masker_json_finish(b->json, out);
    case MASKER_BODY_FORM: return masker_form_finish(b->form, out);
    case MASKER_BODY_TEXT: return masker_stream_finish(b->stream, out);
    }
    return ERR_INTERNAL;
}

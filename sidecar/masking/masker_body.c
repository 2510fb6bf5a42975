/* Bodies under masks: which of the ways is taken. */
#include "sidecar/masking/masker_body.h"

#include <stdlib.h>

#include "sidecar/masking/masker_internal.h"

struct masker_body {
    struct masker *masker; /* borrows */
};

bool masker_masks_http(const struct masker *m)
{
    return m->rule_count > 0;
}

enum err masker_body_create(struct masker *m, enum masker_body_kind kind, struct masker_body **out,
                            struct err_text *why)
{
    (void)kind;
    if (m->rule_count > 0) {
        return err_set(why, ERR_DENIED, "such a body cannot be masked");
    }
    struct masker_body *b = calloc(1, sizeof(*b));
    if (b == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory to mask a body");
    }
    b->masker = m;
    *out = b;
    return OK;
}

void masker_body_destroy(struct masker_body *b)
{
    free(b);
}

enum err masker_body_feed(struct masker_body *b, struct bytes in, struct buffer *out)
{
    (void)b;
    return buffer_append(out, in);
}

enum err masker_body_finish(struct masker_body *b, struct buffer *out)
{
    (void)b;
    (void)out;
    return OK;
}

enum err masker_header(struct masker *m, struct bytes name, struct bytes value, struct buffer *out,
                       bool *out_changed)
{
    (void)name;
    if (m->rule_count > 0) {
        return ERR_DENIED;
    }
    enum err e = buffer_append(out, value);
    if (e == OK) {
        *out_changed = false;
    }
    return e;
}

enum err masker_query(struct masker *m, struct bytes query, struct buffer *out, bool *out_changed)
{
    return masker_header(m, (struct bytes){0}, query, out, out_changed);
}

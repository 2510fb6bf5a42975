#include "sidecar/protocol/http/http_body.h"

#include <stdlib.h>

#include "sidecar/masking/masker_body.h"
#include "sidecar/protocol/http/body/http_chain.h"
#include "sidecar/protocol/http/body/http_content.h"
#include "sidecar/protocol/http/body/http_secrets_stream.h"

enum {
    /* What one piece may become: a value of MASKER_BODY_VALUE_MAX that was held, as JSON writes
     * it; a piece of short secrets, each of them replaced. */
    STEP_MAX = 128 << 20,
    STEP_KEPT = 1 << 20, /* memory that is kept for the next piece */
};

enum body_state { BODY_OPEN, BODY_ENDED, BODY_FAILED };

struct http_body {
    enum body_state state;
    bool only_plain;
    enum http_content content;
    void (*on_plain)(void *context, struct bytes plain);
    void *context;
    /* The steps; NULL: left out. Without any the body is unchanged. */
    struct http_unchain *unchain;
    struct http_secrets_stream *secrets;
    struct masker_body *mask;
    struct http_rechain *rechain;
    struct masker *masker; /* borrows */
    bool has_fed, has_fed_mask;
    bool was_masked;
    bool refuses_binary;
    struct buffer searched; /* without secrets, not masked */
    struct buffer plain;    /* masked, not encoded */
    struct buffer *out;     /* borrows; during a call */
};

/* ---- creation ------------------------------------------------------------------------------ */

/* Whether these masks can look into it; `*io_masks` becomes false where they let it pass. */
static enum err choose_content(struct http_body *b, const struct http_body_options *o,
                               bool *io_masks, struct err_text *why)
{
    enum err e = http_content_parse(o->content_type, &b->content, why);
    if (e != OK) {
        return e;
    }
    bool allows_unknown = masker_allows_unknown(o->masker);
    if (b->content == HTTP_CONTENT_OPAQUE && !allows_unknown) {
        return err_set(why, ERR_DENIED, "a body of this Content-Type cannot be masked");
    }
    *io_masks = b->content != HTTP_CONTENT_OPAQUE;
    b->refuses_binary = !allows_unknown;
    return OK;
}

static enum err create_mask(struct http_body *b, struct masker *masker, struct err_text *why)
{
    enum masker_body_kind kind = b->content == HTTP_CONTENT_JSON   ? MASKER_BODY_JSON
                                 : b->content == HTTP_CONTENT_FORM ? MASKER_BODY_FORM
                                                                   : MASKER_BODY_TEXT;
    b->masker = masker;
    return masker_body_create(masker, kind, &b->mask, why);
}

static enum err create_steps(struct http_body *b, const struct http_body_options *o, bool masks,
                             bool searches, struct err_text *why)
{
    if (o->is_part && (masks || searches)) {
        return err_set(why, ERR_DENIED, "a part of a body cannot be masked");
    }
    enum http_coding codings[HTTP_CODINGS_MAX];
    size_t count = 0;
    enum err e = http_coding_parse(o->content_encoding, codings, &count, why);
    if (e == OK && masks) {
        e = create_mask(b, o->masker, why);
    }
    if (e == OK && searches) {
        b->secrets = http_secrets_stream_create(o->secrets, http_content_is_json(o->content_type));
        e = b->secrets == NULL ? ERR_NO_MEMORY : OK;
    }
    if (e == OK && count > 0) {
        e = http_unchain_create(codings, count, &b->unchain);
    }
    if (e == OK && count > 0 && !o->only_plain) {
        e = http_rechain_create(codings, count, &b->rechain);
    }
    return e == ERR_NO_MEMORY ? err_set(why, e, "no memory for a body") : e;
}

enum err http_body_create(const struct http_body_options *options, struct http_body **out,
                          struct err_text *why)
{
    struct http_body *b = calloc(1, sizeof(*b));
    if (b == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory for a body");
    }
    b->on_plain = options->on_plain;
    b->context = options->context;
    b->only_plain = options->only_plain;
    buffer_init(&b->searched, STEP_MAX);
    buffer_init(&b->plain, STEP_MAX);
    bool masks = options->masker != NULL && masker_masks_http(options->masker);
    bool searches = http_secrets_are_any(options->secrets);
    enum err e = masks ? choose_content(b, options, &masks, why) : OK;
    bool reads = options->only_plain && options->content_encoding.size > 0;
    if (e == OK && (masks || searches || reads)) {
        e = create_steps(b, options, masks, searches, why);
    }
    if (e != OK) {
        http_body_destroy(b);
        return e;
    }
    *out = b;
    return OK;
}

void http_body_destroy(struct http_body *b)
{
    if (b != NULL) {
        http_unchain_destroy(b->unchain);
        http_secrets_stream_destroy(b->secrets);
        masker_body_destroy(b->mask);
        http_rechain_destroy(b->rechain);
        buffer_wipe(&b->searched);
        buffer_finish(&b->plain);
        free(b);
    }
}

bool http_body_is_unchanged(const struct http_body *b)
{
    return b->secrets == NULL && b->mask == NULL && b->unchain == NULL;
}

bool http_body_was_masked(const struct http_body *b)
{
    return b->was_masked || http_body_had_secrets(b);
}

bool http_body_had_secrets(const struct http_body *b)
{
    return b->secrets != NULL && http_secrets_stream_found(b->secrets);
}

/* ---- the steps ----------------------------------------------------------------------------- */

static uint64_t count_masked(const struct masker *m)
{
    const struct masker_count *counts = NULL;
    size_t n = masker_counts(m, &counts);
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += counts[i].rows;
    }
    return sum;
}

/* The detectors would find nothing in UTF-16, nor the rules a name. */
static bool is_text(const struct http_body *b, struct bytes text)
{
    if (!b->refuses_binary || text.size == 0 || b->content == HTTP_CONTENT_JSON) {
        return true; /* a reader of JSON is strict itself */
    }
    return b->content == HTTP_CONTENT_UNTYPED ? !http_content_is_binary(text)
                                              : memchr(text.data, 0, text.size) == NULL;
}

static enum err mask(struct http_body *b, struct bytes in, bool is_last, struct buffer *to)
{
    if (!is_text(b, in)) {
        return ERR_INVALID;
    }
    uint64_t before = count_masked(b->masker);
    enum err e = OK;
    if (in.size > 0) {
        b->has_fed_mask = true;
        e = masker_body_feed(b->mask, in, to);
    }
    /* Of a body that is empty there is nothing to be complete. */
    if (e == OK && is_last && b->has_fed_mask) {
        e = masker_body_finish(b->mask, to);
    }
    b->was_masked = b->was_masked || count_masked(b->masker) != before;
    return e;
}

static enum err search(struct http_body *b, struct bytes in, bool is_last, struct buffer *to)
{
    enum err e = http_secrets_stream_feed(b->secrets, in, to, NULL);
    return e == OK && is_last ? http_secrets_stream_finish(b->secrets, to) : e;
}

static enum err search_and_mask(struct http_body *b, struct bytes in, bool is_last,
                                struct buffer *to)
{
    if (b->secrets == NULL && b->mask == NULL) { /* it is only read */
        return buffer_append(to, in);
    }
    if (b->secrets == NULL) {
        return mask(b, in, is_last, to);
    }
    if (b->mask == NULL) {
        return search(b, in, is_last, to);
    }
    enum err e = search(b, in, is_last, &b->searched);
    e = e == OK ? mask(b, buffer_bytes(&b->searched), is_last, to) : e;
    buffer_clear(&b->searched);
    return e;
}

static enum err encode(struct http_body *b, struct bytes plain, bool is_last)
{
    if (b->rechain == NULL || (plain.size == 0 && !is_last)) {
        return OK;
    }
    return http_rechain_feed(b->rechain, plain, is_last ? HTTP_ENCODER_FINISH : HTTP_ENCODER_FLUSH,
                             b->out);
}

/* From decoded bytes to those that may be shown. */
static enum err process(struct http_body *b, struct bytes in, bool is_last)
{
    bool is_direct = b->rechain == NULL && !b->only_plain;
    struct buffer *to = is_direct ? b->out : &b->plain;
    size_t before = buffer_size(to);
    enum err e = search_and_mask(b, in, is_last, to);
    if (e != OK) {
        to->end = to->start + before; /* what is shown is what on_plain was told of */
        return e;
    }
    struct bytes all = buffer_bytes(to);
    struct bytes plain =
        all.size == before ? (struct bytes){0} : bytes_of(all.data + before, all.size - before);
    if (plain.size > 0 && b->on_plain != NULL) {
        b->on_plain(b->context, plain);
    }
    if (!is_direct) {
        e = encode(b, plain, is_last);
        buffer_clear(&b->plain);
    }
    return e;
}

static enum err process_piece(void *context, struct bytes piece)
{
    return process(context, piece, false);
}

static void trim(struct buffer *step)
{
    if (step->capacity > STEP_KEPT) {
        buffer_wipe(step);
    }
}

static enum err end_call(struct http_body *b, enum err e)
{
    b->out = NULL;
    trim(&b->searched);
    trim(&b->plain);
    if (e != OK) {
        b->state = BODY_FAILED;
    }
    return e;
}

enum err http_body_feed(struct http_body *b, struct bytes in, struct buffer *out)
{
    if (b->state != BODY_OPEN) {
        return ERR_INVALID;
    }
    if (in.size == 0) {
        return OK;
    }
    b->has_fed = true;
    if (http_body_is_unchanged(b)) {
        if (b->on_plain != NULL) {
            b->on_plain(b->context, in);
        }
        return OK;
    }
    b->out = out;
    enum err e = b->unchain == NULL ? process(b, in, false)
                                    : http_unchain_feed(b->unchain, in, process_piece, b);
    return end_call(b, e);
}

/* The secrets are all that is to be taken out. */
static enum err search_in_place(struct http_body *b, struct bytes in, struct buffer *out,
                                struct bytes *out_rest)
{
    size_t before = buffer_size(out);
    struct bytes rest = {0};
    enum err e = http_secrets_stream_feed(b->secrets, in, out, &rest);
    if (e != OK) {
        out->end = out->start + before;
        b->state = BODY_FAILED;
        return e;
    }
    struct bytes all = buffer_bytes(out);
    if (b->on_plain != NULL && all.size > before) {
        b->on_plain(b->context, bytes_of(all.data + before, all.size - before));
    }
    if (b->on_plain != NULL && rest.size > 0) {
        b->on_plain(b->context, rest);
    }
    *out_rest = rest;
    return OK;
}

enum err http_body_feed_in_place(struct http_body *b, struct bytes in, struct buffer *out,
                                 struct bytes *out_rest)
{
    bool is_searched = b->unchain == NULL && b->mask == NULL && b->rechain == NULL &&
                       b->secrets != NULL && !b->only_plain;
    *out_rest = (struct bytes){0};
    if (b->state == BODY_OPEN && is_searched && in.size > 0) {
        b->has_fed = true;
        return search_in_place(b, in, out, out_rest);
    }
    enum err e = http_body_feed(b, in, out);
    if (e == OK && http_body_is_unchanged(b)) {
        *out_rest = in;
    }
    return e;
}

enum err http_body_finish(struct http_body *b, struct buffer *out)
{
    if (b->state != BODY_OPEN) {
        return ERR_INVALID;
    }
    b->state = BODY_ENDED;
    if (http_body_is_unchanged(b) || !b->has_fed) {
        return OK; /* a body that is empty stays so, also a coded one */
    }
    if (b->unchain != NULL && !http_unchain_is_complete(b->unchain)) {
        return end_call(b, ERR_INVALID);
    }
    b->out = out;
    return end_call(b, process(b, (struct bytes){0}, true));
}

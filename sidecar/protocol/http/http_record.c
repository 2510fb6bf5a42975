#include <stdio.h>
#include <stdlib.h>

#include "sidecar/protocol/http/http_internal.h"

enum { METHOD_MAX = 32, CODE_SIZE = 4, TAG_SIZE = METHOD_MAX + 1 + CODE_SIZE };

/* ---- masks ---------------------------------------------------------------------------------- */

static struct http_masks *make_masks(struct http *p, const struct protocol_masks *m,
                                     struct err_text *why)
{
    struct http_masks *masks = calloc(1, sizeof(*masks));
    enum err e = masks == NULL ? ERR_NO_MEMORY : OK;
    if (e == OK && m->count > 0) {
        e = masker_create_cached(p->shared->detectors, m->items, m->count,
                                 bytes_of(p->masking_key, sizeof(p->masking_key)), &masks->masker,
                                 why);
    }
    if (e != OK) {
        free(masks);
        return NULL;
    }
    if (masks->masker != NULL && !masker_masks_http(masks->masker)) {
        masker_destroy(masks->masker);
        masks->masker = NULL;
    }
    masks->version = m->version;
    masks->references = 1;
    masks->rule_count = m->count;
    for (size_t i = 0; i < m->count; i++) {
        (void)snprintf(masks->rules[i], sizeof(masks->rules[i]), "%s", m->items[i]->rule);
    }
    return masks;
}

struct http_masks *http_masks_take(struct http *p, struct err_text *why)
{
    const struct protocol_masks *m = p->link->ops->masks(p->link);
    if (!m->is_complete) {
        (void)err_set(why, ERR_LIMIT, "more masks hold than can be applied");
        return NULL;
    }
    if (p->masks == NULL || p->masks->version != m->version) {
        struct http_masks *fresh = make_masks(p, m, why);
        if (fresh == NULL) {
            return NULL;
        }
        http_masks_release(p->masks);
        p->masks = fresh;
    }
    p->masks->references++;
    return p->masks;
}

void http_masks_release(struct http_masks *m)
{
    if (m != NULL && --m->references == 0) {
        masker_destroy(m->masker);
        free(m);
    }
}

/* The masker counts for all exchanges: what it counted since the last time is this one's. */
void http_receipt_take(struct http_exchange *x)
{
    const struct masker_count *counts;
    struct masker *masker = x->masks == NULL ? NULL : x->masks->masker;
    size_t count = masker == NULL ? 0 : masker_counts(masker, &counts);
    if (count == 0) {
        return;
    }
    if (x->receipt == NULL) {
        x->receipt = calloc(1, sizeof(*x->receipt));
    }
    for (size_t i = 0; x->receipt != NULL && i < count; i++) {
        uint64_t *sum = counts[i].by_content ? x->receipt->by_content : x->receipt->by_name;
        sum[counts[i].rule] += counts[i].rows;
        x->receipt->any = true;
    }
    masker_counts_reset(masker);
}

/* ---- bodies --------------------------------------------------------------------------------- */

void http_recorded_add(struct http_recorded *r, struct bytes plain)
{
    if (r->is_left_out || plain.size == 0) {
        r->is_truncated = r->is_truncated || plain.size > 0;
        return;
    }
    size_t room = r->bytes.cap - buffer_size(&r->bytes);
    struct bytes part = bytes_of(plain.data, plain.size < room ? plain.size : room);
    if (part.size < plain.size || (part.size > 0 && buffer_append(&r->bytes, part) != OK)) {
        r->is_truncated = true;
    }
}

/* ---- the outcome ---------------------------------------------------------------------------- */

static void add_fields(struct arena *a, const struct http_kept *kept, size_t *out_count,
                       Chaperone__V1__HttpField ***out)
{
    Chaperone__V1__HttpField **list = arena_alloc(a, (kept->count + 1) * sizeof(*list));
    Chaperone__V1__HttpField *items = arena_alloc(a, (kept->count + 1) * sizeof(*items));
    for (size_t i = 0; list != NULL && items != NULL && i < kept->count; i++) {
        const struct http_field *f = &kept->items[i];
        bool is_private = http_is_private(f->name);
        items[i] = (Chaperone__V1__HttpField)CHAPERONE__V1__HTTP_FIELD__INIT;
        items[i].name = (char *)(uintptr_t)f->name.data;
        items[i].value = (ProtobufCBinaryData){is_private ? 0 : f->value.size,
                                               (uint8_t *)(uintptr_t)f->value.data};
        items[i].masked = kept->masked[i] || is_private;
        list[i] = &items[i];
        *out_count = i + 1;
    }
    *out = list;
}

/* Several masks of one rule are one entry. */
static Chaperone__V1__MaskingReceipt__Masked *
masked_of(struct arena *a, char *rule, bool by_content, Chaperone__V1__MaskingReceipt *m)
{
    for (size_t i = 0; i < m->n_masked; i++) {
        if (strcmp(m->masked[i]->rule, rule) == 0 && m->masked[i]->by_content == by_content) {
            return m->masked[i];
        }
    }
    Chaperone__V1__MaskingReceipt__Masked *masked = arena_alloc(a, sizeof(*masked));
    if (masked != NULL) {
        *masked =
            (Chaperone__V1__MaskingReceipt__Masked)CHAPERONE__V1__MASKING_RECEIPT__MASKED__INIT;
        masked->rule = rule;
        masked->by_content = by_content;
        m->masked[m->n_masked++] = masked;
    }
    return masked;
}

static void add_masked(struct arena *a, const struct http_exchange *x, const uint64_t *counts,
                       bool by_content, Chaperone__V1__MaskingReceipt *m)
{
    for (size_t i = 0; i < x->masks->rule_count; i++) {
        Chaperone__V1__MaskingReceipt__Masked *masked =
            counts[i] == 0 ? NULL : masked_of(a, x->masks->rules[i], by_content, m);
        if (masked != NULL) {
            masked->rows += counts[i];
        }
    }
}

static Chaperone__V1__MaskingReceipt *make_receipt(struct arena *a, const struct http_exchange *x)
{
    if (x->receipt == NULL || !x->receipt->any) {
        return NULL;
    }
    Chaperone__V1__MaskingReceipt *m = arena_alloc(a, sizeof(*m));
    Chaperone__V1__MaskingReceipt__Masked **list =
        arena_alloc(a, 2 * MASKER_RULES_MAX * sizeof(*list));
    if (m == NULL || list == NULL) {
        return NULL;
    }
    *m = (Chaperone__V1__MaskingReceipt)CHAPERONE__V1__MASKING_RECEIPT__INIT;
    m->masked = list;
    add_masked(a, x, x->receipt->by_name, false, m);
    add_masked(a, x, x->receipt->by_content, true, m);
    return m;
}

/* What cannot be masked is left out. */
static void show_request_trailers(struct http_exchange *x)
{
    struct buffer value;
    buffer_init(&value, HTTP_HEAD_MAX * 8);
    for (size_t i = 0; i < x->request_trailers.count; i++) {
        const struct http_field *f = &x->request_trailers.items[i];
        bool changed = false;
        buffer_clear(&value);
        if (http_field_show(x, f, &value, &changed) != OK ||
            !http_kept_add(&x->request_trailers_shown, f->name, buffer_bytes(&value), changed)) {
            break;
        }
    }
    buffer_wipe(&value);
}

static void add_request(struct arena *a, struct http_exchange *x, Chaperone__V1__Outcome *m)
{
    static uint8_t none;
    struct bytes body = buffer_bytes(&x->request_record.bytes);
    bool was_in_intent = x->bytes_in == 0;
    m->bytes_in = x->bytes_in;
    if (!was_in_intent) {
        uint8_t *digest = arena_alloc(a, CRYPTO_SHA256_SIZE);
        if (digest != NULL) {
            struct crypto_sha256 h = x->digest_in;
            crypto_sha256_finish(&h, digest);
            m->digest_in = (ProtobufCBinaryData){CRYPTO_SHA256_SIZE, digest};
        }
    }
    if (x->request_plain != NULL || x->is_streamed) {
        m->http->request_body = (ProtobufCBinaryData){
            body.size, body.size == 0 ? &none : (uint8_t *)(uintptr_t)body.data};
        bool is_whole = x->request_plain == NULL; /* else the agent did not say its end */
        m->http->request_body_truncated =
            x->request_record.is_truncated || x->request_record.is_left_out || !is_whole;
    }
    add_fields(a, &x->request_trailers_shown, &m->http->n_request_trailers,
               &m->http->request_trailers);
}

static void add_response(struct arena *a, struct http_exchange *x, Chaperone__V1__Outcome *m)
{
    struct bytes body = buffer_bytes(&x->record.bytes);
    m->http->status = x->status;
    m->http->version = (char *)(x->status == 0 ? "" : http_version_name(x->target_version));
    m->http->coding = x->coding;
    m->http->messages_from_agent = x->messages_from_agent;
    m->http->messages_to_agent = x->messages_to_agent;
    m->http->first_byte_us = x->head_ns == 0 ? 0 : (x->head_ns - x->started_ns) / 1000;
    add_fields(a, &x->response_fields, &m->http->n_fields, &m->http->fields);
    add_fields(a, &x->response_trailers, &m->http->n_trailers, &m->http->trailers);
    m->response_encoding = (char *)"http";
    m->response = (ProtobufCBinaryData){body.size, (uint8_t *)(uintptr_t)body.data};
    m->response_truncated = x->record.is_truncated;
    m->bytes = x->bytes_out;
}

/* "GET 200"; and the second word by itself. */
static char *put_tag(const struct http_exchange *x, char code[CODE_SIZE], char tag[TAG_SIZE])
{
    size_t method = x->request.method.size < METHOD_MAX ? x->request.method.size : METHOD_MAX;
    code[0] = (char)('0' + x->status / 100 % 10); /* the codecs let no other status through */
    code[1] = (char)('0' + x->status / 10 % 10);
    code[2] = (char)('0' + x->status % 10);
    code[3] = '\0';
    memcpy(tag, x->request.method.data, method);
    tag[method] = ' ';
    memcpy(tag + method + 1, code, CODE_SIZE);
    return tag;
}

bool http_record_outcome(struct http_exchange *x, Chaperone__V1__Status status)
{
    struct http *p = x->http;
    struct arena *a = p->shared->scratch;
    Chaperone__V1__Outcome m = CHAPERONE__V1__OUTCOME__INIT;
    Chaperone__V1__HttpResponse response = CHAPERONE__V1__HTTP_RESPONSE__INIT;
    uint8_t digest[CRYPTO_SHA256_SIZE];
    struct crypto_sha256 h = x->digest;
    char tag[TAG_SIZE], code[CODE_SIZE];
    if (x->operation == 0) {
        return true; /* it has its outcome, or needs none */
    }
    arena_reset(a);
    show_request_trailers(x);
    m.http = &response;
    crypto_sha256_finish(&h, digest);
    m.operation = x->operation;
    m.intent_sequence = x->intent_sequence;
    m.status = status;
    m.digest = (ProtobufCBinaryData){sizeof(digest), digest};
    m.duration_us = (p->link->ops->monotonic_ns(p->link) - x->started_ns) / 1000;
    m.command_tag = x->status == 0 ? (char *)"" : put_tag(x, code, tag);
    if (x->error_code[0] != '\0') {
        m.error_code = x->error_code;
        m.error = x->error;
    } else if (x->status >= 400) {
        m.error_code = code;
    }
    add_response(a, x, &m);
    add_request(a, x, &m);
    m.masking = make_receipt(a, x);
    x->operation = 0;
    return p->link->ops->outcome(p->link, &m);
}

/* What the policy is asked about a request, what of it is recorded, what an approval is bound to.
 */
#include "sidecar/operation/operation_http.h"
#include "sidecar/protocol/http/http_internal.h"

static char *copy(struct arena *a, struct bytes text)
{
    return arena_copy_string(a, text);
}

/* ---- as it is, for the policy --------------------------------------------------------------- */

static Chaperone__V1__HttpField **make_fields(struct arena *a, size_t count)
{
    Chaperone__V1__HttpField **list = arena_alloc(a, (count + 1) * sizeof(*list));
    Chaperone__V1__HttpField *items = arena_alloc(a, (count + 1) * sizeof(*items));
    for (size_t i = 0; list != NULL && items != NULL && i < count; i++) {
        items[i] = (Chaperone__V1__HttpField)CHAPERONE__V1__HTTP_FIELD__INIT;
        list[i] = &items[i];
    }
    return items == NULL ? NULL : list;
}

static bool fill_asked_fields(struct arena *a, struct http_exchange *x,
                              Chaperone__V1__HttpRequest *m)
{
    const struct http_fields *fields = &x->request.fields;
    m->fields = make_fields(a, fields->count);
    for (size_t i = 0; m->fields != NULL && i < fields->count; i++) {
        if (http_is_private(fields->items[i].name) || http_is_kept_back(x, fields->items[i].name)) {
            continue;
        }
        Chaperone__V1__HttpField *f = m->fields[m->n_fields];
        f->name = (char *)(uintptr_t)fields->items[i].name.data;
        f->value = (ProtobufCBinaryData){fields->items[i].value.size,
                                         (uint8_t *)(uintptr_t)fields->items[i].value.data};
        m->n_fields++;
    }
    return m->fields != NULL;
}

/* What both views have in common. */
static bool fill_head(struct arena *a, struct http_exchange *x, Chaperone__V1__HttpRequest *m)
{
    const struct http *p = x->http;
    m->method = copy(a, x->request.method);
    m->scheme = (char *)(p->target_is_secure ? "https" : "http");
    m->authority = p->authority;
    m->version = (char *)http_version_name(x->request.version);
    if (x->request.is_websocket) {
        m->upgrade = (char *)"websocket";
    }
    m->traceparent = copy(a, http_fields_find(&x->request.fields, "traceparent"));
    m->idempotency_key = copy(a, http_fields_find(&x->request.fields, "idempotency-key"));
    m->body_size = x->request_complete        ? buffer_size(&x->gathered)
                   : x->request.body_size > 0 ? (uint64_t)x->request.body_size
                                              : 0;
    m->body_follows = !x->request_complete && x->request.body_size != 0;
    return m->method != NULL && m->traceparent != NULL && m->idempotency_key != NULL;
}

static bool fill_asked(struct arena *a, struct http_exchange *x, bool with_body,
                       Chaperone__V1__HttpRequest *m)
{
    m->path = copy(a, x->target.forwarded);
    if (m->path == NULL || !fill_head(a, x, m) || !fill_asked_fields(a, x, m)) {
        return false;
    }
    struct bytes coding = http_fields_find(&x->request.fields, "content-encoding");
    struct bytes body = buffer_bytes(&x->gathered);
    if (with_body && x->request_complete && body.size > 0) {
        /* One that is coded is not looked into: to the policy it was not read. */
        m->body_truncated = coding.size > 0;
        m->body =
            (ProtobufCBinaryData){coding.size > 0 ? 0 : body.size, (uint8_t *)(uintptr_t)body.data};
    }
    return true;
}

/* ---- after masking, for the record ---------------------------------------------------------- */

static enum err masked_value(struct arena *a, struct masker *masker, const struct http_field *f,
                             struct buffer *room, struct bytes *out, bool *changed)
{
    buffer_clear(room);
    enum err e = masker_header(masker, f->name, f->value, room, changed);
    return e == OK ? arena_copy_bytes(a, buffer_bytes(room), out) : e;
}

static enum err fill_recorded_fields(struct arena *a, struct http_exchange *x,
                                     Chaperone__V1__HttpRequest *m)
{
    const struct http_fields *fields = &x->request.fields;
    struct buffer value;
    enum err e = OK;
    buffer_init(&value, HTTP_HEAD_MAX * 4);
    m->fields = make_fields(a, fields->count);
    e = m->fields == NULL ? ERR_NO_MEMORY : OK;
    for (size_t i = 0; e == OK && i < fields->count; i++) {
        if (http_is_kept_back(x, fields->items[i].name)) {
            continue;
        }
        Chaperone__V1__HttpField *f = m->fields[m->n_fields++];
        struct bytes shown = fields->items[i].value;
        bool changed = http_is_private(fields->items[i].name);
        if (changed) {
            shown.size = 0;
        } else if (x->masks->masker != NULL) {
            e = masked_value(a, x->masks->masker, &fields->items[i], &value, &shown, &changed);
        }
        f->name = (char *)(uintptr_t)fields->items[i].name.data;
        f->value = (ProtobufCBinaryData){shown.size, (uint8_t *)(uintptr_t)shown.data};
        f->masked = changed;
    }
    buffer_wipe(&value);
    return e;
}

/* The path as forwarded, and its query after masking. */
static enum err fill_recorded_path(struct arena *a, struct http_exchange *x,
                                   Chaperone__V1__HttpRequest *m)
{
    struct bytes whole = x->target.forwarded;
    struct masker *masker = x->masks->masker;
    if (masker == NULL || !x->target.has_query) {
        m->path = copy(a, whole);
        return m->path == NULL ? ERR_NO_MEMORY : OK;
    }
    struct buffer text;
    bool changed = false;
    buffer_init(&text, HTTP_TARGET_MAX * 8);
    enum err e = buffer_append(&text, bytes_of(whole.data, whole.size - x->target.query.size));
    if (e == OK) {
        e = masker_query(masker, x->target.query, &text, &changed);
    }
    m->path = e == OK ? copy(a, buffer_bytes(&text)) : NULL;
    buffer_wipe(&text);
    return e == OK && m->path == NULL ? ERR_NO_MEMORY : e;
}

static void on_plain(void *context, struct bytes plain)
{
    struct http_exchange *x = context;
    http_recorded_add(&x->request_record, plain);
}

/* Where the body cannot be shown under the masks, nothing of it is recorded; that it was there, is.
 */
static enum err start_request_record(struct http_exchange *x)
{
    const struct http_body_options options = {
        .content_type = http_fields_find(&x->request.fields, "content-type"),
        .content_encoding = http_fields_find(&x->request.fields, "content-encoding"),
        .masker = x->masks->masker,
        .only_plain = true,
        .on_plain = on_plain,
        .context = x,
    };
    struct err_text why;
    bool is_clear = http_fields_count(&x->request.fields, "content-encoding") <= 1;
    enum err e = is_clear ? http_body_create(&options, &x->request_plain, &why) : ERR_DENIED;
    if (e == ERR_DENIED || e == ERR_INVALID) {
        x->request_record.is_left_out = true;
        e = OK;
    }
    return e;
}

/* It may have been made before: of a request that was held, or had to wait. */
static void forget_request_record(struct http_exchange *x)
{
    http_body_destroy(x->request_plain);
    x->request_plain = NULL;
    buffer_clear(&x->request_record.bytes);
    x->request_record.is_truncated = false;
    x->request_record.is_left_out = false;
}

static enum err fill_recorded_body(struct http_exchange *x, Chaperone__V1__HttpRequest *m)
{
    struct http *p = x->http;
    forget_request_record(x);
    enum err e = x->request.body_size == 0 ? OK : start_request_record(x);
    if (e != OK || !x->request_complete || x->request.body_size == 0) {
        return e;
    }
    if (x->request_plain != NULL) {
        buffer_clear(&p->out);
        e = http_body_feed(x->request_plain, buffer_bytes(&x->gathered), &p->out);
        if (e == OK) {
            e = http_body_finish(x->request_plain, &p->out);
        }
        http_body_destroy(x->request_plain);
        x->request_plain = NULL;
        http_receipt_take(x);
    }
    if (e == ERR_INVALID || e == ERR_LIMIT) { /* not what it says it is: it cannot be masked */
        buffer_clear(&x->request_record.bytes);
        x->request_record.is_left_out = true;
        e = OK;
    }
    struct bytes body = buffer_bytes(&x->request_record.bytes);
    m->body = (ProtobufCBinaryData){body.size, (uint8_t *)(uintptr_t)body.data};
    m->body_truncated = x->request_record.is_truncated || x->request_record.is_left_out;
    return e;
}

static enum err fill_recorded(struct arena *a, struct http_exchange *x,
                              Chaperone__V1__HttpRequest *m)
{
    enum err e = fill_head(a, x, m) ? OK : ERR_NO_MEMORY;
    if (e == OK) {
        e = fill_recorded_path(a, x, m);
    }
    if (e == OK) {
        e = fill_recorded_fields(a, x, m);
    }
    return e == OK ? fill_recorded_body(x, m) : e;
}

/* ---- the operation -------------------------------------------------------------------------- */

static bool is_reading(struct bytes method)
{
    return bytes_equal_string(method, "GET") || bytes_equal_string(method, "HEAD") ||
           bytes_equal_string(method, "OPTIONS");
}

static bool fill_intent(struct arena *a, struct http_exchange *x, struct http_question *q)
{
    Chaperone__V1__Intent *m = &q->intent;
    Chaperone__V1__HttpRequest *r = &q->recorded;
    Chaperone__V1__Object *object = arena_alloc(a, sizeof(*object));
    Chaperone__V1__Object **objects = arena_alloc(a, sizeof(*objects));
    char **commands = arena_alloc(a, sizeof(*commands));
    size_t method = strlen(r->method), path = strlen(r->path), size = method + 1 + path;
    char *text = arena_alloc(a, size + 1);
    if (object == NULL || objects == NULL || commands == NULL || text == NULL) {
        return false;
    }
    *object = (Chaperone__V1__Object)CHAPERONE__V1__OBJECT__INIT;
    object->kind = (char *)"path";
    object->name = (char *)x->target.path;
    object->access = (char *)(is_reading(x->request.method) ? "read" : "write");
    objects[0] = object;
    commands[0] = r->method;
    memcpy(text, r->method, method);
    text[method] = ' ';
    memcpy(text + method + 1, r->path, path);
    m->verb = (char *)(x->request.is_websocket ? "websocket" : "request");
    m->n_commands = 1;
    m->commands = commands;
    m->n_objects = 1;
    m->objects = objects;
    m->text = (ProtobufCBinaryData){size, (uint8_t *)text};
    m->text_size = size;
    m->transaction = (char *)"";
    m->http = r;
    return true;
}

/* ---- approvals ------------------------------------------------------------------------------ */

static void hash_text(struct crypto_sha256 *h, struct bytes text)
{
    uint8_t size[8];
    for (size_t i = 0; i < sizeof(size); i++) {
        size[i] = (uint8_t)((uint64_t)text.size >> (56 - 8 * i));
    }
    crypto_sha256_update(h, bytes_of(size, sizeof(size)));
    crypto_sha256_update(h, text);
}

/* Differs whenever the same request is sent again, and says nothing to be decided about. */
static bool is_of_the_moment(struct bytes name)
{
    return http_name_is(name, "traceparent") || http_name_is(name, "tracestate") ||
           http_name_is(name, "x-request-id") || http_name_is(name, "date") ||
           http_is_private(name);
}

static void hash_fields(struct crypto_sha256 *h, const struct http_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        const struct http_field *f = &fields->items[i];
        if (!is_of_the_moment(f->name)) {
            hash_text(h, f->name);
            hash_text(h, f->value);
        }
    }
}

static bool make_binding(struct protocol_binding *out)
{
    struct http_question *q = (struct http_question *)out;
    struct http_exchange *x = q->exchange;
    struct crypto_sha256 h;
    crypto_sha256_init(&h);
    hash_text(&h, bytes_of_string("chaperone http operation v1"));
    hash_text(&h, x->request.method);
    hash_text(&h, bytes_of_string(x->http->authority));
    hash_text(&h, x->target.forwarded);
    hash_fields(&h, &x->request.fields);
    hash_text(&h, bytes_of_string(x->request.is_websocket ? "websocket" : ""));
    hash_text(&h, buffer_bytes(&x->gathered));
    struct http_fields trailers = http_kept_fields(&x->request_trailers);
    hash_fields(&h, &trailers);
    crypto_sha256_finish(&h, out->digest);

    uint8_t shape[CRYPTO_SHA256_SIZE];
    char *text = arena_alloc(x->http->shared->scratch, 2 * sizeof(shape) + 1);
    crypto_sha256_init(&h);
    hash_text(&h, x->request.method);
    hash_text(&h, bytes_of_string(x->http->authority));
    hash_text(&h, bytes_of_string(x->target.path));
    crypto_sha256_finish(&h, shape);
    if (text != NULL) {
        crypto_hex_encode(bytes_of(shape, sizeof(shape)), text);
    }
    out->shape = text;
    return text != NULL;
}

enum err http_question_fill(struct http_exchange *x, bool with_body, struct http_question *q,
                            struct err_text *why)
{
    struct arena *a = x->http->shared->scratch;
    *q = (struct http_question){
        .binding = {.make = make_binding},
        .exchange = x,
        .intent = CHAPERONE__V1__INTENT__INIT,
        .asked = CHAPERONE__V1__HTTP_REQUEST__INIT,
        .recorded = CHAPERONE__V1__HTTP_REQUEST__INIT,
    };
    if (!fill_asked(a, x, with_body, &q->asked)) {
        return ERR_NO_MEMORY;
    }
    enum err e = operation_http_fill(a, &q->asked, &q->policy);
    if (e != OK) {
        return err_set(why, e, "the request's path or query cannot be read in one way");
    }
    q->policy.is_websocket = x->request.is_websocket;
    if (!with_body) {
        q->recorded.method = q->asked.method;
        q->recorded.path = q->asked.path;
    } else {
        e = fill_recorded(a, x, &q->recorded);
    }
    return e == OK && !fill_intent(a, x, q) ? ERR_NO_MEMORY : e;
}

void http_record_malformed(struct http *p, const char *text, const char *why)
{
    Chaperone__V1__Intent m = CHAPERONE__V1__INTENT__INIT;
    struct protocol_verdict verdict;
    m.verb = (char *)"request";
    m.text = (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
    m.text_size = strlen(text);
    m.verdict = CHAPERONE__V1__VERDICT__DENY;
    m.rule = (char *)"protocol";
    m.error = (char *)why;
    (void)p->link->ops->decide(p->link, &m, NULL, &verdict);
    if (verdict.operation != 0) {
        Chaperone__V1__Outcome outcome = CHAPERONE__V1__OUTCOME__INIT;
        Chaperone__V1__HttpResponse nothing = CHAPERONE__V1__HTTP_RESPONSE__INIT;
        outcome.operation = verdict.operation;
        outcome.intent_sequence = verdict.intent_sequence;
        outcome.status = CHAPERONE__V1__STATUS__REFUSED;
        outcome.error_code = (char *)"malformed";
        outcome.error = (char *)why;
        outcome.http = &nothing;
        (void)p->link->ops->outcome(p->link, &outcome);
    }
}

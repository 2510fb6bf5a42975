#include "sidecar/protocol/http/http_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "sidecar/masking/masker.h"

static struct fixture *fixture_of(struct protocol_link *link)
{
    return (struct fixture *)link;
}

static void put(struct buffer *b, struct bytes bytes)
{
    if (buffer_append(b, bytes) != OK) {
        abort();
    }
}

static void copy(char *out, size_t size, const void *data, size_t count)
{
    size_t n = count < size - 1 ? count : size - 1;
    if (n > 0) {
        memcpy(out, data, n);
    }
    out[n] = '\0';
}

static void to_agent(struct protocol_link *link, struct bytes b)
{
    put(&fixture_of(link)->to_agent, b);
}

static void to_target(struct protocol_link *link, struct bytes b)
{
    put(&fixture_of(link)->to_target, b);
}

static void identify(struct protocol_link *link, const struct protocol_request *request)
{
    struct fixture *f = fixture_of(link);
    f->identified = true;
    copy(f->token, sizeof(f->token), request->token.data, request->token.size);
}

static void connect_target(struct protocol_link *link)
{
    struct fixture *f = fixture_of(link);
    f->connected = true;
    f->connections++;
}

static void leave_target(struct protocol_link *link)
{
    fixture_of(link)->connected = false;
}

static bool has_tls(struct protocol_link *link, enum protocol_side side)
{
    (void)link;
    (void)side;
    return false;
}

static struct bytes alpn(struct protocol_link *link, enum protocol_side side)
{
    (void)link;
    (void)side;
    return (struct bytes){0};
}

static bool is_proxy(struct protocol_link *link)
{
    return fixture_of(link)->is_proxy;
}

static bool choose(struct protocol_link *link, const char *host, uint16_t port, bool is_secure)
{
    struct fixture *f = fixture_of(link);
    (void)snprintf(f->chosen, sizeof(f->chosen), "%s:%u%s", host, port, is_secure ? " tls" : "");
    return strcmp(host, "api.internal") == 0;
}

static void note_intent(struct fixture *f, const Chaperone__V1__Intent *m, bool allowed)
{
    struct fixture_intent *i = &f->intents[f->intent_count++];
    if (f->intent_count == FIXTURE_MAX) {
        abort();
    }
    copy(i->verb, sizeof(i->verb), m->verb, strlen(m->verb));
    copy(i->rule, sizeof(i->rule), m->rule, strlen(m->rule));
    copy(i->text, sizeof(i->text), m->text.data, m->text.len);
    if (m->http != NULL) {
        copy(i->path, sizeof(i->path), m->http->path, strlen(m->http->path));
        copy(i->body, sizeof(i->body), m->http->body.data, m->http->body.len);
        i->body_follows = m->http->body_follows;
        i->body_truncated = m->http->body_truncated;
    }
    i->allowed = allowed;
    i->target_bytes = buffer_size(&f->to_target);
}

static bool decide(struct protocol_link *link, Chaperone__V1__Intent *m,
                   struct protocol_binding *binding, struct protocol_verdict *verdict)
{
    struct fixture *f = fixture_of(link);
    enum fixture_word word = m->verdict == CHAPERONE__V1__VERDICT__DENY ? FIXTURE_DENY : f->word;
    *verdict = (struct protocol_verdict){.rule = "test-rule",
                                         .message = "not this one",
                                         .max_request_bytes = f->max_request,
                                         .max_response_bytes = f->max_response};
    if (word == FIXTURE_UNRECORDED) {
        verdict->rule = "recorder";
        return false;
    }
    if (word == FIXTURE_HOLD && binding != NULL) {
        f->hold = (struct protocol_hold){.id = "approval-1", .is_new = !f->is_held, .who = "dba"};
        if (!f->is_held) {
            note_intent(f, m, false);
            f->held_operation = f->intent_count;
        }
        f->is_held = true;
        verdict->hold = &f->hold;
        bool is_made = binding->make(binding);
        memcpy(f->digest, binding->digest, sizeof(f->digest));
        return is_made && false;
    }
    if (!f->is_held) {
        note_intent(f, m, word == FIXTURE_ALLOW);
    }
    verdict->approval = f->is_held ? "approval-1" : NULL;
    verdict->operation = f->is_held ? f->held_operation : f->intent_count;
    verdict->intent_sequence = 100 + verdict->operation;
    verdict->allowed = word == FIXTURE_ALLOW;
    f->is_held = false;
    return verdict->allowed;
}

static bool needs_body(struct protocol_link *link, const Chaperone__V1__Intent *m)
{
    (void)m;
    return fixture_of(link)->needs_body;
}

static void ask(struct protocol_link *link, const Chaperone__V1__Prediction *prediction,
                char *const *locks, size_t lock_count)
{
    (void)prediction;
    (void)locks;
    (void)lock_count;
    fixture_of(link)->asked = true;
}

static bool withdraw(struct protocol_link *link, const char *why, bool forget)
{
    (void)why;
    (void)forget;
    fixture_of(link)->is_held = false;
    return true;
}

static bool is_held(struct protocol_link *link)
{
    struct fixture *f = fixture_of(link);
    return f->is_held && f->word == FIXTURE_HOLD;
}

static const struct protocol_masks *masks(struct protocol_link *link)
{
    return &fixture_of(link)->masks;
}

static bool outcome(struct protocol_link *link, Chaperone__V1__Outcome *m)
{
    struct fixture *f = fixture_of(link);
    struct fixture_outcome *o = &f->outcomes[f->outcome_count++];
    if (f->outcome_count == FIXTURE_MAX) {
        abort();
    }
    o->operation = m->operation;
    o->status = m->status;
    o->http_status = m->http->status;
    o->bytes = m->bytes;
    o->bytes_in = m->bytes_in;
    copy(o->error_code, sizeof(o->error_code), m->error_code, strlen(m->error_code));
    copy(o->response, sizeof(o->response), m->response.data, m->response.len);
    copy(o->request_body, sizeof(o->request_body), m->http->request_body.data,
         m->http->request_body.len);
    o->agent_bytes = buffer_size(&f->to_agent);
    return true;
}

static bool message(struct protocol_link *link, Chaperone__V1__Message *m)
{
    struct fixture *f = fixture_of(link);
    (void)snprintf(f->messages[f->message_count++], FIXTURE_TEXT, "%c %s%s%s %.*s",
                   m->from_agent ? '>' : '<', m->kind, m->name[0] == '\0' ? "" : ":", m->name,
                   (int)m->data.len, m->data.len == 0 ? "" : (const char *)m->data.data);
    if (f->message_count == FIXTURE_MAX) {
        abort();
    }
    return true;
}

static void opened(struct protocol_link *link)
{
    fixture_of(link)->opened = true;
}

static int64_t monotonic_ns(struct protocol_link *link)
{
    return fixture_of(link)->now_ns;
}

static bool random_bytes(struct protocol_link *link, uint8_t *out, size_t size)
{
    (void)link;
    memset(out, 7, size);
    return true;
}

static void set_end(struct protocol_link *link, const char *reason, const char *error)
{
    struct fixture *f = fixture_of(link);
    (void)error;
    if (f->end[0] == '\0') {
        copy(f->end, sizeof(f->end), reason, strlen(reason));
    }
}

static const struct protocol_link_ops ops = {
    .to_agent = to_agent,
    .to_target = to_target,
    .identify = identify,
    .connect_target = connect_target,
    .leave_target = leave_target,
    .has_tls = has_tls,
    .alpn = alpn,
    .is_proxy = is_proxy,
    .choose = choose,
    .decide = decide,
    .needs_body = needs_body,
    .ask = ask,
    .withdraw = withdraw,
    .is_held = is_held,
    .masks = masks,
    .outcome = outcome,
    .message = message,
    .opened = opened,
    .monotonic_ns = monotonic_ns,
    .random = random_bytes,
    .set_end = set_end,
};

/* ---- life ----------------------------------------------------------------------------------- */

enum { CAP = 64 << 20 };

void fixture_start(struct fixture *f)
{
    *f = (struct fixture){.link = {.ops = &ops},
                          .now_ns = 1,
                          .masks = {.version = 1, .is_complete = true},
                          .shared = {.statement_max = 64 << 10,
                                     .response_max = 64 << 10,
                                     .scratch = arena_create(4096, 4 << 20),
                                     .detectors = masker_cache_create(),
                                     .version = "test"}};
    buffer_init(&f->to_agent, CAP);
    buffer_init(&f->to_target, CAP);
    buffer_init(&f->agent_rest, CAP);
    buffer_init(&f->target_rest, CAP);
    f->protocol = protocol_http.create(&f->link, &f->shared);
    if (f->protocol == NULL || f->shared.scratch == NULL || f->shared.detectors == NULL) {
        abort();
    }
}

void fixture_stop(struct fixture *f)
{
    protocol_http.on_close(f->protocol);
    protocol_http.destroy(f->protocol);
    policy_destroy(f->policy);
    arena_destroy(f->shared.scratch);
    masker_cache_destroy(f->shared.detectors);
    buffer_finish(&f->to_agent);
    buffer_finish(&f->to_target);
    buffer_finish(&f->agent_rest);
    buffer_finish(&f->target_rest);
}

void fixture_mask(struct fixture *f, const char *masks)
{
    char document[1024];
    struct err_text why;
    const struct policy_request who = {.subject = "agent", .resource = "crm", .protocol = "http"};
    (void)snprintf(document, sizeof(document),
                   "{\"version\":1,\"rules\":[{\"name\":\"masks\",\"effect\":\"allow\","
                   "\"match\":{\"http\":{}},\"obligations\":{\"mask\":%s}}]}",
                   masks);
    if (policy_compile(bytes_of_string(document), 1, &f->policy, &why) != OK) {
        abort();
    }
    f->masks.count = policy_masks(f->policy, &who, f->mask_items, &f->masks.is_complete);
    f->masks.items = f->mask_items;
    f->masks.version++;
}

static void take_step(struct fixture *f, enum protocol_step step)
{
    f->step = step;
    f->is_closed = f->is_closed || step == PROTOCOL_CLOSE;
}

static void feed(struct fixture *f, struct buffer *rest, bool is_agent, struct bytes b)
{
    size_t used = 0;
    if (f->is_closed) {
        return;
    }
    put(rest, b);
    take_step(f, is_agent ? protocol_http.on_agent_bytes(f->protocol, buffer_bytes(rest), &used)
                          : protocol_http.on_target_bytes(f->protocol, buffer_bytes(rest), &used));
    buffer_consume(rest, used);
}

/* What happened on one side may be what the other one waited for. */
void fixture_agent(struct fixture *f, struct bytes b)
{
    feed(f, &f->agent_rest, true, b);
    if (buffer_size(&f->target_rest) > 0) {
        feed(f, &f->target_rest, false, (struct bytes){0});
    }
}

void fixture_target(struct fixture *f, struct bytes b)
{
    feed(f, &f->target_rest, false, b);
    if (buffer_size(&f->agent_rest) > 0) {
        feed(f, &f->agent_rest, true, (struct bytes){0});
    }
}

void fixture_target_ends(struct fixture *f)
{
    take_step(f, protocol_http.on_end(f->protocol, SIDE_TARGET));
}

void fixture_target_comes(struct fixture *f)
{
    buffer_clear(&f->target_rest); /* of the connection before */
    take_step(f, protocol_http.on_connected(f->protocol, SIDE_TARGET));
}

void fixture_agent_says(struct fixture *f, const char *text)
{
    fixture_agent(f, bytes_of_string(text));
}

void fixture_target_says(struct fixture *f, const char *text)
{
    fixture_target(f, bytes_of_string(text));
}

void fixture_grant(struct fixture *f)
{
    Chaperone__V1__OpenSessionResponse grant = CHAPERONE__V1__OPEN_SESSION_RESPONSE__INIT;
    Chaperone__V1__Target target = CHAPERONE__V1__TARGET__INIT;
    Chaperone__V1__Credential credential = CHAPERONE__V1__CREDENTIAL__INIT;
    Chaperone__V1__HttpField field = CHAPERONE__V1__HTTP_FIELD__INIT, *fields[1] = {&field};
    static uint8_t value[] = "Bearer " FIXTURE_SECRET;
    static uint8_t secret[] = FIXTURE_SECRET;
    ProtobufCBinaryData secrets[1] = {{sizeof(secret) - 1, secret}};
    target.host = (char *)"api.internal";
    target.authority = (char *)"api.internal";
    target.tls = CHAPERONE__V1__TLS_MODE__TLS_DISABLE;
    field.name = (char *)(uintptr_t)(f->credential == NULL ? "authorization" : f->credential);
    field.value = (ProtobufCBinaryData){sizeof(value) - 1, value};
    credential.n_fields = 1;
    credential.fields = fields;
    credential.n_secrets = 1;
    credential.secrets = secrets;
    credential.lifetime_ms = f->lifetime_ms;
    grant.target = &target;
    grant.credential = &credential;
    take_step(f, protocol_http.on_granted(f->protocol, &grant));
    if (f->connected) {
        fixture_target_comes(f);
        if (buffer_size(&f->agent_rest) > 0) {
            feed(f, &f->agent_rest, true, (struct bytes){0});
        }
    }
}

static const char *text_of(struct buffer *b)
{
    static char text[1 << 20];
    copy(text, sizeof(text), buffer_bytes(b).data, buffer_size(b));
    buffer_clear(b);
    return text;
}

const char *fixture_to_agent(struct fixture *f)
{
    return text_of(&f->to_agent);
}

const char *fixture_to_target(struct fixture *f)
{
    return text_of(&f->to_target);
}

#include "sidecar/protocol/postgres/postgres_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "sidecar/protocol/postgres/pg_startup.h"
#include "sidecar/protocol/postgres/pg_write.h"

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

static void to_agent(struct protocol_link *link, struct bytes b)
{
    put(&fixture_of(link)->to_agent, b);
}

static void to_target(struct protocol_link *link, struct bytes b)
{
    struct fixture *f = fixture_of(link);
    if (f->held == FIXTURE_HELD &&
        (b.size == 0 || memmem(b.data, b.size, "chaperone_", strlen("chaperone_")) == NULL)) {
        abort(); /* while people think the target gets questions of our own, nothing else */
    }
    put(&f->to_target, b);
}

static void to_second(struct protocol_link *link, struct bytes b)
{
    put(&fixture_of(link)->to_second, b);
}

static void identify(struct protocol_link *link, const struct protocol_request *request)
{
    (void)request;
    fixture_of(link)->identified = true;
}

static void connect_target(struct protocol_link *link)
{
    fixture_of(link)->connected = true;
}

static bool connect_second(struct protocol_link *link)
{
    struct fixture *f = fixture_of(link);
    bool first = !f->second;
    f->second = true;
    return first;
}

static bool no_tls(struct protocol_link *link, enum protocol_side side)
{
    (void)link;
    (void)side;
    return false;
}

static size_t no_hash(struct protocol_link *link, enum protocol_side side, uint8_t *out)
{
    (void)link;
    (void)side;
    (void)out;
    return 0;
}

static bool begins_with(struct bytes text, const char *beginning)
{
    return beginning != NULL && text.size >= strlen(beginning) &&
           memcmp(text.data, beginning, strlen(beginning)) == 0;
}

static void start_hold(struct fixture *f, const struct protocol_binding *binding,
                       struct protocol_verdict *verdict)
{
    f->hold_count++;
    f->held = FIXTURE_HELD;
    f->held_operation = verdict->operation;
    f->may_hold_locks = binding->may_hold_locks;
    f->is_withdrawn = false;
    memcpy(f->held_digest, binding->digest, sizeof(f->held_digest));
    f->hold_view = (struct protocol_hold){.id = "approval-1",
                                          .is_new = true,
                                          .tells = f->hold_tells,
                                          .who = "one of dba",
                                          .lifetime_s = 60,
                                          .explains = f->hold_explains,
                                          .runs_dry = f->hold_runs_dry};
    verdict->allowed = false;
    verdict->hold = &f->hold_view;
}

static bool continue_hold(struct fixture *f, struct protocol_verdict *verdict)
{
    enum fixture_held held = f->held;
    f->hold_view.is_new = false;
    *verdict = (struct protocol_verdict){.allowed = held == FIXTURE_APPROVED,
                                         .hold = held == FIXTURE_HELD ? &f->hold_view : NULL,
                                         .is_withdrawn = f->is_withdrawn,
                                         .approval = "approval-1",
                                         .operation = f->held_operation,
                                         .intent_sequence = 100 + f->held_operation,
                                         .rule = "test-rule",
                                         .message = "denied by somebody"};
    if (held != FIXTURE_HELD) {
        f->held = FIXTURE_NOT_HELD;
    }
    return verdict->allowed;
}

static void note_wait(struct fixture *f, char what)
{
    if (f->wait_count < FIXTURE_MAX) {
        f->waits[f->wait_count++] = what;
    }
}

static void settle(struct protocol_link *link)
{
    note_wait(fixture_of(link), 's');
}

static bool record(struct fixture *f, const Chaperone__V1__Intent *intent, bool denied,
                   struct protocol_verdict *verdict)
{
    if (f->recorder_fails) {
        *verdict = (struct protocol_verdict){.rule = "recorder", .message = "cannot be recorded"};
        return false;
    }
    if (f->intent_count < FIXTURE_MAX) {
        struct fixture_intent *i = &f->intents[f->intent_count];
        size_t size = intent->text.len > 100 ? 100 : intent->text.len;
        (void)snprintf(i->verb, sizeof(i->verb), "%s", intent->verb);
        (void)snprintf(i->text, sizeof(i->text), "%.*s", (int)size,
                       intent->text.data == NULL ? (const uint8_t *)"" : intent->text.data);
        i->allowed = !denied;
        i->parameter_count = intent->n_parameters;
    }
    f->intent_count++;
    *verdict = (struct protocol_verdict){.allowed = !denied,
                                         .operation = f->intent_count,
                                         .intent_sequence = 100 + f->intent_count,
                                         .rule = "test-rule",
                                         .message = denied ? "not this one" : NULL};
    return true;
}

static bool denies(struct protocol_link *link, const Chaperone__V1__Intent *intent)
{
    return begins_with(bytes_of(intent->text.data, intent->text.len), fixture_of(link)->deny);
}

static bool prepare(struct protocol_link *link, Chaperone__V1__Intent *intent,
                    struct protocol_verdict *verdict)
{
    bool denied = intent->verdict == CHAPERONE__V1__VERDICT__DENY || denies(link, intent);
    note_wait(fixture_of(link), 'w');
    return record(fixture_of(link), intent, denied, verdict) && !denied;
}

static bool decide(struct protocol_link *link, Chaperone__V1__Intent *intent,
                   struct protocol_binding *binding, struct protocol_verdict *verdict)
{
    struct fixture *f = fixture_of(link);
    bool may_hold = f->hold != NULL || f->held != FIXTURE_NOT_HELD;
    note_wait(f, link->is_provisional ? 'p' : 'w');
    if (binding != NULL && may_hold && !binding->make(binding)) {
        abort();
    }
    struct bytes text = bytes_of(intent->text.data, intent->text.len);
    bool holds = intent->verdict != CHAPERONE__V1__VERDICT__DENY && begins_with(text, f->hold);
    bool denied = intent->verdict == CHAPERONE__V1__VERDICT__DENY || begins_with(text, f->deny) ||
                  (holds && binding == NULL);
    if (f->held != FIXTURE_NOT_HELD && binding != NULL &&
        memcmp(binding->digest, f->held_digest, sizeof(f->held_digest)) == 0) {
        return continue_hold(f, verdict);
    }
    if (f->held != FIXTURE_NOT_HELD && intent->verdict != CHAPERONE__V1__VERDICT__ALLOW) {
        f->others++;
        f->held = FIXTURE_NOT_HELD;
    }
    if (!record(f, intent, denied, verdict)) {
        return false;
    }
    if (holds && !denied) {
        start_hold(f, binding, verdict);
    }
    return verdict->allowed;
}

static void ask(struct protocol_link *link, const Chaperone__V1__Prediction *m, char *const *locks,
                size_t lock_count)
{
    struct fixture *f = fixture_of(link);
    if (f->ask_count < FIXTURE_ASKS_MAX && f->held == FIXTURE_HELD) {
        struct fixture_ask *a = &f->asks[f->ask_count++];
        *a = (struct fixture_ask){
            .rows = m->estimated_rows, .has_exact = m->has_exact, .exact_rows = m->exact_rows};
        (void)snprintf(a->plan, sizeof(a->plan), "%.200s", m->plan);
        (void)snprintf(a->unavailable, sizeof(a->unavailable), "%s", m->unavailable);
        for (size_t i = 0; i < lock_count; i++) {
            size_t size = strlen(a->locks);
            (void)snprintf(a->locks + size, sizeof(a->locks) - size, "%s%s", i == 0 ? "" : "; ",
                           locks[i]);
        }
    }
}

static bool withdraw(struct protocol_link *link, const char *why, bool forget)
{
    struct fixture *f = fixture_of(link);
    if (f->held == FIXTURE_NOT_HELD) {
        return false;
    }
    (void)snprintf(f->why_withdrawn, sizeof(f->why_withdrawn), "%s", why);
    f->is_withdrawn = true;
    f->is_forgotten = forget;
    f->held = forget ? FIXTURE_NOT_HELD : FIXTURE_REFUSED;
    return true;
}

static bool is_held(struct protocol_link *link)
{
    return fixture_of(link)->held == FIXTURE_HELD;
}

static bool outcome(struct protocol_link *link, Chaperone__V1__Outcome *m)
{
    struct fixture *f = fixture_of(link);
    if (f->outcome_count < FIXTURE_MAX) {
        struct fixture_outcome *o = &f->outcomes[f->outcome_count];
        *o = (struct fixture_outcome){.operation = m->operation,
                                      .status = m->status,
                                      .rows = m->rows,
                                      .bytes_in = m->bytes_in};
        if (m->digest_in.len == sizeof(o->digest_in)) {
            memcpy(o->digest_in, m->digest_in.data, sizeof(o->digest_in));
        }
        (void)snprintf(o->tag, sizeof(o->tag), "%s", m->command_tag);
        (void)snprintf(o->error_code, sizeof(o->error_code), "%s", m->error_code);
    }
    f->outcome_count++;
    return true;
}

static const struct protocol_masks *masks(struct protocol_link *link)
{
    return &fixture_of(link)->masks;
}

static void opened(struct protocol_link *link)
{
    fixture_of(link)->opened = true;
}

static bool publish_key(struct protocol_link *link, struct bytes key)
{
    (void)link;
    return key.size > 0;
}

static bool signal_key(struct protocol_link *link, struct bytes key)
{
    (void)link;
    return key.size == 0;
}

static int64_t monotonic_ns(struct protocol_link *link)
{
    return ++fixture_of(link)->now;
}

static bool random_bytes(struct protocol_link *link, uint8_t *out, size_t size)
{
    (void)link;
    memset(out, 7, size);
    return true;
}

static void set_end(struct protocol_link *link, const char *reason, const char *error)
{
    (void)link;
    (void)reason;
    (void)error;
}

static const struct protocol_link_ops ops = {
    .to_agent = to_agent,
    .to_target = to_target,
    .to_second = to_second,
    .identify = identify,
    .connect_target = connect_target,
    .connect_second = connect_second,
    .has_tls = no_tls,
    .start_tls = no_tls,
    .end_point_hash = no_hash,
    .decide = decide,
    .prepare = prepare,
    .denies = denies,
    .ask = ask,
    .withdraw = withdraw,
    .is_held = is_held,
    .settle = settle,
    .masks = masks,
    .outcome = outcome,
    .opened = opened,
    .publish_key = publish_key,
    .signal_key = signal_key,
    .monotonic_ns = monotonic_ns,
    .random = random_bytes,
    .set_end = set_end,
};

void fixture_init(struct fixture *f)
{
    const struct sql_cache_options sql = {.max_bytes = 1 << 20, .seed = {1, 2}};
    *f = (struct fixture){
        .link = {.ops = &ops},
        .masks = {.version = 1, .is_complete = true},
        .shared = {.sql = sql_cache_create(&sql),
                   .scratch = arena_create(4096, 16 << 20),
                   .statement_max = 64 << 10,
                   .response_max = 4 << 10,
                   .parameter_max = 256,
                   .version = "test"},
    };
    struct buffer *buffers[] = {&f->to_agent, &f->to_target, &f->to_second, &f->agent_in,
                                &f->target_in};
    for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++) {
        buffer_init(buffers[i], 64 << 20);
    }
    f->protocol = protocol_postgres.create(&f->link, &f->shared);
    if (f->protocol == NULL || f->shared.sql == NULL || f->shared.scratch == NULL) {
        abort();
    }
}

void fixture_finish(struct fixture *f)
{
    protocol_postgres.on_close(f->protocol);
    protocol_postgres.destroy(f->protocol);
    sql_cache_destroy(f->shared.sql);
    arena_destroy(f->shared.scratch);
    buffer_finish(&f->to_agent);
    buffer_finish(&f->to_target);
    buffer_finish(&f->to_second);
    buffer_finish(&f->agent_in);
    buffer_finish(&f->target_in);
}

typedef enum protocol_step bytes_fn(void *p, struct bytes in, size_t *out_used);

static void offer(struct fixture *f, struct buffer *in, bytes_fn *fn)
{
    size_t used = 0;
    if (f->closed || buffer_size(in) == 0) {
        return;
    }
    enum protocol_step step = fn(f->protocol, buffer_bytes(in), &used);
    if (used > buffer_size(in)) {
        abort(); /* more was used than there is */
    }
    buffer_consume(in, used);
    f->closed = step == PROTOCOL_CLOSE;
}

void fixture_agent(struct fixture *f, struct bytes b)
{
    put(&f->agent_in, b);
    offer(f, &f->agent_in, protocol_postgres.on_agent_bytes);
}

void fixture_decide(struct fixture *f, enum fixture_held decision)
{
    if (f->held == FIXTURE_HELD) {
        f->held = decision;
    }
    offer(f, &f->agent_in, protocol_postgres.on_agent_bytes);
}

void fixture_target(struct fixture *f, struct bytes b)
{
    put(&f->target_in, b);
    offer(f, &f->target_in, protocol_postgres.on_target_bytes);
    offer(f, &f->agent_in, protocol_postgres.on_agent_bytes);
}

void fixture_login(struct fixture *f)
{
    static const uint8_t key[32] = {1};
    static const struct pg_setting settings[] = {
        {{(const uint8_t *)"user", 4}, {(const uint8_t *)"agent", 5}}};
    struct buffer b;
    buffer_init(&b, 4096);
    if (pg_write_startup(&b, PG_VERSION_3_0, settings, 1) != OK) {
        abort();
    }
    fixture_agent(f, buffer_bytes(&b));
    buffer_clear(&b);
    Chaperone__V1__OpenSessionResponse grant = CHAPERONE__V1__OPEN_SESSION_RESPONSE__INIT;
    Chaperone__V1__Target target = CHAPERONE__V1__TARGET__INIT;
    Chaperone__V1__Credential credential = CHAPERONE__V1__CREDENTIAL__INIT;
    target.host = (char *)"/tmp/.s.PGSQL.5432";
    target.database = (char *)"shop";
    credential.user = (char *)"app";
    grant.target = &target;
    grant.credential = &credential;
    grant.masking_key.data = (uint8_t *)key;
    grant.masking_key.len = sizeof(key);
    (void)protocol_postgres.on_granted(f->protocol, &grant);
    (void)protocol_postgres.on_connected(f->protocol, SIDE_TARGET);
    if (pg_write_authentication_ok(&b) != OK ||
        pg_write_parameter_status(&b, bytes_of_string("client_encoding"),
                                  bytes_of_string("UTF8")) != OK ||
        pg_write_parameter_status(&b, bytes_of_string("standard_conforming_strings"),
                                  bytes_of_string("on")) != OK ||
        pg_write_key_data(&b, 4711, bytes_of("abcd", 4)) != OK || pg_write_ready(&b, 'I') != OK) {
        abort();
    }
    fixture_target(f, buffer_bytes(&b));
    buffer_finish(&b);
    buffer_clear(&f->to_agent);
    buffer_clear(&f->to_target);
}

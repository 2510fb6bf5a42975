#include <stdio.h>

#include "sidecar/protocol/postgres/pg_bind.h"
#include "sidecar/protocol/postgres/pg_types.h"
#include "sidecar/protocol/postgres/postgres_internal.h"

enum {
    PARAMETERS_MAX = 1024,          /* more values than that are counted, not recorded */
    PARAMETERS_TEXT_MAX = 64 << 10, /* bytes recorded of all values of one operation */
};

/* What is recorded of one operation's values, in the scratch arena. */
struct values {
    struct postgres *p;
    Chaperone__V1__Parameter **list;
    size_t count, text_size;
};

static bool values_start(struct values *v, struct postgres *p, size_t count)
{
    *v = (struct values){.p = p};
    size_t room = count < PARAMETERS_MAX ? count : PARAMETERS_MAX;
    v->list = arena_alloc(p->shared->scratch, (room + 1) * sizeof(*v->list));
    return v->list != NULL;
}

/* The text of a value: decoded where its type is known, else the wire's bytes. */
static void value_text(struct values *v, Chaperone__V1__Parameter *m, uint32_t type,
                       struct bytes data, bool is_binary)
{
    struct arena *scratch = v->p->shared->scratch;
    size_t max = v->p->shared->parameter_max;
    size_t left = PARAMETERS_TEXT_MAX - v->text_size;
    max = max < left ? max : left;
    struct buffer text;
    buffer_init(&text, max);
    bool truncated = data.size > max;
    if (is_binary) {
        enum pg_text_result r = pg_types_to_text(type, data, max, &text);
        m->raw = r == PG_TEXT_RAW || r == PG_TEXT_NO_MEMORY;
        truncated = r == PG_TEXT_TRUNCATED || (m->raw && truncated);
    }
    struct bytes b = is_binary && !m->raw ? buffer_bytes(&text)
                                          : bytes_of(data.data, data.size < max ? data.size : max);
    m->value.data = (uint8_t *)arena_copy_string(scratch, b);
    m->value.len = m->value.data == NULL ? 0 : b.size;
    m->truncated = truncated;
    v->text_size += m->value.len;
    buffer_finish(&text);
}

/* `data` may be the beginning of a value of `size` bytes. */
static void values_add(struct values *v, uint32_t type, struct bytes data, size_t size,
                       bool is_null, bool is_binary)
{
    Chaperone__V1__Parameter *m =
        v->count >= PARAMETERS_MAX ? NULL : arena_alloc(v->p->shared->scratch, sizeof(*m));
    if (m == NULL) {
        return;
    }
    chaperone__v1__parameter__init(m);
    const char *name = pg_type_name(type);
    m->type = (char *)(name == NULL ? "" : name);
    m->is_null = is_null;
    m->size = size;
    if (!is_null) {
        value_text(v, m, type, data, is_binary);
        m->truncated = m->truncated || data.size < size;
    }
    v->list[v->count++] = m;
}

Chaperone__V1__Parameter **
postgres_arguments(struct postgres *p, const struct pg_function_call *call, size_t *out_count)
{
    struct values v;
    struct pg_function_call copy = *call;
    *out_count = 0;
    if (!values_start(&v, p, copy.arguments.count)) {
        return NULL;
    }
    struct pg_value value;
    for (size_t i = 0; pg_values_next(&copy.arguments, &value); i++) {
        values_add(&v, 0, value.data, value.data.size, value.is_null,
                   pg_formats_is_binary(&copy.formats, i));
    }
    *out_count = v.count;
    return v.list;
}

/* What was read of a Bind: names, and values as far as they are here. */
struct bound {
    struct bytes portal, statement_name;
    struct bytes rest;              /* of the body behind the names, where it is complete */
    size_t result_formats_size;     /* at its end */
    struct pg_statement *statement; /* borrows; NULL: there is none of that name */
    struct values values;
    bool is_complete;
};

/* False: malformed. */
static bool read_bind(struct postgres *p, struct pg_bind_reader *r, struct bytes body,
                      struct bound *out)
{
    struct bytes data = {0}, piece = {0};
    bool in_value = false;
    for (;;) {
        enum pg_bind_event event = pg_bind_next(r, &body, &piece);
        switch (event) {
        case PG_BIND_NAMES:
            out->portal = r->portal;
            out->statement_name = r->statement;
            out->statement = pg_names_find(p->statements, r->statement);
            if (!values_start(&out->values, p, r->value_count)) {
                return false;
            }
            break;
        case PG_BIND_VALUE:
            data = (struct bytes){0};
            in_value = true;
            break;
        case PG_BIND_DATA: data = piece; break; /* the input is one piece, so is the value */
        case PG_BIND_VALUE_END:
        case PG_BIND_NEED_MORE:
            if (in_value) {
                const struct pg_statement *s = out->statement;
                uint32_t type =
                    s != NULL && r->value_index < s->type_count ? s->types[r->value_index] : 0;
                values_add(&out->values, type, data, r->value_size, r->value_is_null,
                           r->value_is_binary);
            }
            in_value = false;
            if (event == PG_BIND_NEED_MORE) {
                return true;
            }
            break;
        case PG_BIND_END:
            out->is_complete = true;
            out->result_formats_size = 2 + 2 * (size_t)r->results.count;
            return body.size == 0;
        case PG_BIND_MALFORMED: return false;
        }
    }
}

static enum protocol_step refuse_bind(struct postgres *p, const struct pg_refusal *refusal,
                                      uint32_t rest)
{
    p->from_agent = (struct pg_stream){.type = PG_FRONTEND_BIND, .left = rest, .drop = true};
    bool takes_parse = postgres_parse_take_back(p);
    return postgres_refuse(p, takes_parse ? PG_FRONTEND_PARSE : PG_FRONTEND_BIND, refusal);
}

static enum protocol_step refuse_unknown(struct postgres *p, struct bytes name, uint32_t rest)
{
    char text[128];
    (void)snprintf(text, sizeof(text),
                   name.size == 0 ? "unnamed prepared statement does not exist"
                                  : "prepared statement \"%.*s\" does not exist",
                   (int)(name.size > 63 ? 63 : name.size), name.data);
    const struct pg_operation op = {
        .verb = "bind",
        .statement_name = name,
        .refused = {.sqlstate = PG_SQLSTATE_INVALID_STATEMENT_NAME, .message = text}};
    struct protocol_verdict verdict;
    struct pg_refusal refusal;
    (void)postgres_decide(p, &op, &verdict, &refusal);
    return refuse_bind(p, &refusal, rest);
}

static enum protocol_step send_bind(struct postgres *p, const struct bound *b,
                                    const struct protocol_verdict *verdict, struct bytes message,
                                    uint32_t rest)
{
    struct pg_portal *portal =
        postgres_parse_send(p) == PROTOCOL_MORE ? pg_portal_create(&p->spares, b->statement) : NULL;
    struct pg_sent *sent = portal == NULL ? NULL : pg_queue_push(&p->queue, PG_FRONTEND_BIND);
    void *previous = NULL;
    if (sent == NULL || pg_names_put(p->portals, b->portal, portal, &previous) != OK) {
        pg_portal_unref(portal);
        return PROTOCOL_CLOSE;
    }
    portal->sent = p->queue.pushed;
    portal->follows_names = p->has_followed;
    portal->names = postgres_name_changes(p);
    portal->policy = p->link->ops->masks(p->link)->version;
    portal->operation = verdict->operation;
    portal->intent_sequence = verdict->intent_sequence;
    portal->started_ns = p->link->ops->monotonic_ns(p->link);
    portal->max_rows = verdict->max_rows;
    portal->without_results = verdict->without_results;
    portal->changes_catalog = p->meaning.changes;
    portal->is_transactional = p->meaning.is_transactional;
    portal->plan = p->meaning.plan;
    portal->effects = p->meaning.effects;
    p->meaning = (struct pg_meaning){0};
    p->batch_open = true;
    postgres_reading_bound(p, portal);
    sent->portal = portal;
    sent->previous_portal = previous;
    sent->started_ns = portal->started_ns;
    sent->name = b->portal.size == 0 ? NULL : bytes_to_string(b->portal);
    p->link->ops->to_target(p->link, message);
    if (rest > 0) {
        crypto_sha256_init(&p->digest_in);
        p->bytes_in = message.size;
        crypto_sha256_update(&p->digest_in, message);
        p->from_agent = (struct pg_stream){.type = PG_FRONTEND_BIND, .left = rest, .hash = true};
    }
    return PROTOCOL_MORE;
}

enum protocol_step postgres_bind(struct postgres *p, struct bytes message, struct bytes body,
                                 uint32_t body_size)
{
    uint32_t rest = body_size - (uint32_t)body.size;
    arena_reset(p->shared->scratch);
    struct bound b = {0};
    struct pg_bind_reader r; /* 9 KB, and no more than one of them at a time */
    pg_bind_init(&r, body_size);
    enum protocol_step step;
    if (!read_bind(p, &r, body, &b) || b.values.list == NULL) {
        step = postgres_violation(p, "malformed Bind");
    } else if (b.statement != NULL && pg_queue_is_open(&p->queue, b.statement->sent)) {
        p->offers_again = true;
        step = PROTOCOL_WAIT;
    } else if (b.statement == NULL || p->queue.namings > 0) {
        /* What is under way in this batch may give the name another meaning. */
        step = refuse_unknown(p, b.statement_name, rest);
    } else {
        size_t names = b.portal.size + 1 + b.statement_name.size + 1;
        b.rest = bytes_of(body.data + names, body.size - names);
        const struct pg_operation op = {
            .verb = "execute",
            .text = bytes_of(b.statement->text, b.statement->text_size),
            .statement_name = b.statement_name,
            .portal = b.portal,
            .parameters = b.values.list,
            .parameter_count = b.values.count,
            .values = b.rest,
            .result_formats_size = b.result_formats_size,
            .types = b.statement->types,
            .type_count = b.statement->type_count,
            .declared = b.statement->declared,
            .declared_count = b.statement->declared_count,
            .cannot_wait = !b.is_complete,
        };
        struct protocol_verdict verdict;
        struct pg_refusal refusal;
        enum pg_decision decision = postgres_decide(p, &op, &verdict, &refusal);
        step = decision == PG_WAITS     ? PROTOCOL_WAIT
               : decision == PG_ALLOWED ? send_bind(p, &b, &verdict, message, rest)
                                        : refuse_bind(p, &refusal, rest);
    }
    return step;
}

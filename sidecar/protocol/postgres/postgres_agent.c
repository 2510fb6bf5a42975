#include <stdio.h>
#include <stdlib.h>

#include "sidecar/protocol/postgres/postgres_internal.h"

/* ---- bytes ---- */

static enum protocol_step on_message(struct postgres *p, uint8_t type, struct bytes message,
                                     struct bytes body);

/* COPY data, and what follows a refused or a very long message: passed on (or dropped) as it comes.
 */
static size_t stream(struct postgres *p, struct bytes in)
{
    struct pg_stream *s = &p->from_agent;
    size_t n = in.size < s->left ? in.size : s->left;
    struct bytes piece = bytes_of(in.data, n);
    if (s->hash) {
        crypto_sha256_update(&p->digest_in, piece);
        p->bytes_in += n;
    }
    if (!s->drop) {
        p->link->ops->to_target(p->link, piece);
    }
    s->left -= (uint32_t)n;
    return n;
}

static size_t drop(struct postgres *p, const struct pg_header *h, struct bytes in)
{
    p->from_agent =
        (struct pg_stream){.type = h->type, .left = h->body_size + PG_HEADER_SIZE, .drop = true};
    return stream(p, in);
}

enum protocol_step postgres_wait_for_answers(struct postgres *p)
{
    p->offers_again = true;
    if (!p->batch_open) {
        return PROTOCOL_WAIT;
    }
    enum protocol_step step =
        postgres_send(p, SIDE_TARGET, pg_write_empty(&p->out, PG_FRONTEND_FLUSH));
    return step == PROTOCOL_MORE ? PROTOCOL_WAIT : step;
}

const char postgres_amid_copy[] = "a message that belongs to no COPY was sent in the midst of one";

/* The target takes nothing but data now. */
static bool is_copying_in(const struct postgres *p)
{
    const struct pg_sent *head = pg_queue_head(&p->queue);
    return head != NULL && head->copying == PG_COPY_IN && !head->failed;
}

/* Whether the target has come to where it wants data, or ignores it. */
static bool takes_copy_data(const struct postgres *p)
{
    return p->queue.count == 0 || is_copying_in(p);
}

/* CopyData, one behind the other: all that is here goes on as one piece, of the last one also its
 * beginning. */
static size_t pass_copy_data(struct postgres *p, const struct pg_header *first, struct bytes in)
{
    struct pg_header h = *first;
    size_t end = 0;
    do {
        end += PG_HEADER_SIZE + h.body_size;
    } while (end < in.size &&
             pg_wire_read_header(bytes_of(in.data + end, in.size - end), &h) == WIRE_OK &&
             h.type == PG_FRONTEND_COPY_DATA);
    p->from_agent = (struct pg_stream){.type = PG_FRONTEND_COPY_DATA,
                                       .left = (uint32_t)end, /* PG_BODY_MAX and what was read */
                                       .hash = is_copying_in(p)};
    return stream(p, in);
}

/* How much of a body must be here before it is looked at. */
static size_t gather_size(const struct postgres *p, const struct pg_header *h)
{
    if (h->type == PG_FRONTEND_BIND && h->body_size > PG_BIND_GATHER) {
        return PG_BIND_GATHER;
    }
    return h->body_size > p->shared->statement_max ? 0 : h->body_size;
}

static enum protocol_step refuse_too_long(struct postgres *p, uint8_t type)
{
    char text[160];
    (void)snprintf(text, sizeof(text),
                   "the statement is longer than the %zu bytes that Chaperone takes",
                   p->shared->statement_max);
    const struct pg_operation op = {
        .verb = "query",
        .refused = {.sqlstate = PG_SQLSTATE_LIMIT_EXCEEDED,
                    .message = text,
                    .hint = "Use COPY or parameters for large values."}};
    struct protocol_verdict verdict;
    struct pg_refusal refusal;
    (void)postgres_decide(p, &op, &verdict, &refusal);
    return postgres_refuse(p, type, &refusal);
}

/* Messages that begin something; the others belong to what runs already. */
static bool is_prepared_for(uint8_t type)
{
    return type == PG_FRONTEND_QUERY || type == PG_FRONTEND_PARSE || type == PG_FRONTEND_BIND ||
           type == PG_FRONTEND_EXECUTE || type == PG_FRONTEND_FUNCTION_CALL ||
           type == PG_FRONTEND_DESCRIBE || type == PG_FRONTEND_CLOSE;
}

static bool is_of_copy(uint8_t type)
{
    return type == PG_FRONTEND_COPY_DATA || type == PG_FRONTEND_COPY_DONE ||
           type == PG_FRONTEND_COPY_FAIL;
}

/* One message; `*out_used` stays 0 when more bytes are needed. */
static enum protocol_step one_message(struct postgres *p, const struct pg_header *h,
                                      struct bytes in, size_t *out_used)
{
    p->offers_again = false;
    if (p->skipping && h->type != PG_FRONTEND_SYNC && h->type != PG_FRONTEND_TERMINATE) {
        postgres_hold_forget(p, "an earlier statement of the batch failed");
        *out_used = drop(p, h, in); /* as the server would */
        return PROTOCOL_MORE;
    }
    if (is_of_copy(h->type) && !takes_copy_data(p)) {
        return postgres_wait_for_answers(p);
    }
    if (h->type == PG_FRONTEND_COPY_DATA) {
        *out_used = pass_copy_data(p, h, in);
        return PROTOCOL_MORE;
    }
    size_t gather = gather_size(p, h);
    if (gather < h->body_size && h->type != PG_FRONTEND_BIND) {
        *out_used = drop(p, h, in);
        return refuse_too_long(p, h->type);
    }
    if (in.size - PG_HEADER_SIZE < gather) {
        return PROTOCOL_MORE;
    }
    size_t size = PG_HEADER_SIZE + gather;
    *out_used = size;
    struct bytes message = bytes_of(in.data, size);
    struct bytes body = bytes_of(in.data + PG_HEADER_SIZE, gather);
    bool is_amid_copy = is_copying_in(p) && is_prepared_for(h->type);
    enum protocol_step step =
        h->type == PG_FRONTEND_BIND ? postgres_bind(p, message, body, h->body_size)
        : h->type == PG_FRONTEND_PARSE
            ? postgres_parse(p, message, body, bytes_of(in.data + size, in.size - size))
            : on_message(p, h->type, message, body);
    if (p->offers_again) {
        *out_used = 0;
    } else if (is_amid_copy) {
        pg_queue_head(&p->queue)->copying = PG_COPY_BROKEN;
    }
    return step;
}

/* What the target would have to answer first comes to no end: the end of its COPY is behind. */
static enum protocol_step check_wait(struct postgres *p, uint8_t type, enum protocol_step step)
{
    bool is_stuck = step == PROTOCOL_WAIT && is_prepared_for(type) && is_copying_in(p);
    return is_stuck && !p->is_held ? postgres_violation(p, postgres_amid_copy) : step;
}

enum protocol_step postgres_agent_bytes(struct postgres *p, struct bytes in, size_t *out_used)
{
    size_t used = 0, parse = 0; /* where the last Parse begins */
    enum protocol_step step = PROTOCOL_MORE;
    while (step == PROTOCOL_MORE && used < in.size) {
        struct bytes rest = bytes_of(in.data + used, in.size - used);
        struct pg_header h;
        size_t n = 0;
        if (p->agent_ended || postgres_prediction_blocks(p)) {
            step =
                PROTOCOL_WAIT; /* nothing follows a Terminate; it was sent for an agent that left */
        } else if (p->from_agent.left > 0) {
            n = stream(p, rest);
        } else if (pg_queue_is_full(&p->queue)) {
            step = PROTOCOL_WAIT;
        } else {
            enum wire_result r = pg_wire_read_header(rest, &h);
            if (r == WIRE_NEED_MORE) {
                break;
            }
            if (is_prepared_for(h.type)) {
                step = check_wait(p, h.type, postgres_masking_prepare(p));
                if (step != PROTOCOL_MORE) {
                    break;
                }
            }
            const struct pg_kind *kind = r == WIRE_OK ? pg_wire_frontend_kind(h.type) : NULL;
            if (kind == NULL || h.type == PG_FRONTEND_PASSWORD) {
                step = postgres_violation(p, "invalid frontend message type");
            } else if (h.body_size > kind->max_body) {
                step = postgres_violation(p, "a message is longer than its type may be");
            } else {
                parse = h.type == PG_FRONTEND_PARSE ? used : parse;
                step = check_wait(p, h.type, one_message(p, &h, rest, &n));
            }
        }
        if (n == 0) {
            break;
        }
        used += n;
    }
    if (postgres_parse_take_back(p)) {
        used = parse; /* its Bind waits: they are looked at again together */
    }
    *out_used = used;
    return step;
}

/* ---- messages ---- */

static enum protocol_step forward(struct postgres *p, struct bytes message)
{
    p->link->ops->to_target(p->link, message);
    return PROTOCOL_MORE;
}

static enum protocol_step forward_in_batch(struct postgres *p, struct bytes message)
{
    p->batch_open = true;
    return forward(p, message);
}

static struct pg_sent *push(struct postgres *p, uint8_t type, struct bytes name)
{
    struct pg_sent *sent = pg_queue_push(&p->queue, type);
    if (sent != NULL && name.size > 0) {
        sent->name = bytes_to_string(name);
        if (sent->name == NULL) {
            return NULL;
        }
    }
    return sent;
}

/* Query and FunctionCall: an operation in one message, answered up to ReadyForQuery. */
static enum protocol_step send_operation(struct postgres *p, uint8_t type,
                                         const struct pg_operation *op, struct bytes message)
{
    struct protocol_verdict verdict;
    struct pg_refusal refusal;
    enum pg_decision decision = postgres_decide(p, op, &verdict, &refusal);
    if (decision != PG_ALLOWED) {
        return decision == PG_WAITS ? PROTOCOL_WAIT : postgres_refuse(p, type, &refusal);
    }
    struct pg_sent *sent = p->meaning.is_transactional ? pg_queue_push_within(&p->queue, type)
                                                       : pg_queue_push(&p->queue, type);
    if (sent == NULL) {
        return PROTOCOL_CLOSE;
    }
    sent->operation = verdict.operation;
    sent->intent_sequence = verdict.intent_sequence;
    sent->started_ns = p->link->ops->monotonic_ns(p->link);
    sent->max_rows = verdict.max_rows;
    sent->without_results = verdict.without_results;
    sent->plan = p->meaning.plan;
    pg_queue_set_effects(&p->queue, sent, p->meaning.effects);
    p->meaning = (struct pg_meaning){0};
    postgres_reading_changed(p);
    return forward(p, message);
}

static enum protocol_step on_query(struct postgres *p, struct bytes message, struct bytes body)
{
    struct pg_operation op = {.verb = "query"};
    bool waits = false;
    if (pg_wire_read_string(body, &op.text) != WIRE_OK) {
        return postgres_violation(p, "malformed Query");
    }
    if (postgres_reading_is_open(p, op.text, &waits)) {
        op.refused = postgres_reading_refusal;
    }
    if (waits) {
        p->offers_again = true;
        return PROTOCOL_WAIT;
    }
    return send_operation(p, PG_FRONTEND_QUERY, &op, message);
}

/* What the name stands for is known when the batch before has been answered. */
static enum protocol_step wait_for_name(struct postgres *p)
{
    p->offers_again = true;
    return PROTOCOL_WAIT;
}

static enum protocol_step on_describe(struct postgres *p, struct bytes message, struct bytes body)
{
    struct pg_target m;
    if (pg_wire_read_target(body, &m) != WIRE_OK) {
        return postgres_violation(p, "malformed Describe");
    }
    struct pg_statement *statement = m.kind == 'S' ? pg_names_find(p->statements, m.name) : NULL;
    struct pg_portal *portal = m.kind == 'P' ? pg_names_find(p->portals, m.name) : NULL;
    if ((statement != NULL && pg_queue_is_open(&p->queue, statement->sent)) ||
        (portal != NULL && pg_queue_is_open(&p->queue, portal->sent))) {
        return wait_for_name(p);
    }
    struct pg_sent *sent = pg_queue_push(&p->queue, PG_FRONTEND_DESCRIBE);
    if (sent == NULL) {
        return PROTOCOL_CLOSE;
    }
    if (m.kind == 'S') {
        sent->statement = pg_statement_ref(statement);
    } else {
        sent->portal = pg_portal_ref(portal);
        if (sent->portal != NULL) {
            sent->portal->is_described = true;
        }
    }
    return forward_in_batch(p, message);
}

static enum protocol_step on_close(struct postgres *p, struct bytes message, struct bytes body)
{
    struct pg_target m;
    if (pg_wire_read_target(body, &m) != WIRE_OK) {
        return postgres_violation(p, "malformed Close");
    }
    struct pg_sent *sent = push(p, PG_FRONTEND_CLOSE, m.name);
    void *previous = NULL;
    bool is_statement = m.kind == 'S';
    if (sent == NULL ||
        pg_names_put(is_statement ? p->statements : p->portals, m.name, NULL, &previous) != OK) {
        return PROTOCOL_CLOSE;
    }
    sent->close_kind = m.kind;
    if (is_statement) {
        sent->previous_statement = previous;
    } else {
        sent->previous_portal = previous;
    }
    return forward_in_batch(p, message);
}

static enum protocol_step refuse_portal(struct postgres *p, struct bytes name)
{
    char text[128];
    (void)snprintf(text, sizeof(text), "portal \"%.*s\" does not exist",
                   (int)(name.size > 63 ? 63 : name.size), name.data);
    const struct pg_operation op = {
        .verb = "execute",
        .portal = name,
        .refused = {.sqlstate = PG_SQLSTATE_INVALID_CURSOR_NAME, .message = text}};
    struct protocol_verdict verdict;
    struct pg_refusal refusal;
    (void)postgres_decide(p, &op, &verdict, &refusal);
    return postgres_refuse(p, PG_FRONTEND_EXECUTE, &refusal);
}

/* A portal's second run is an operation of its own: more rows of what was bound. They were chosen
 * then, so the plan of then is right for them, unless the masks are others now. */
static enum pg_decision decide_again(struct postgres *p, struct pg_portal *portal,
                                     struct bytes name, struct protocol_verdict *verdict,
                                     struct pg_refusal *refusal)
{
    const struct pg_operation op = {
        .verb = "execute",
        .text = bytes_of(portal->statement->text, portal->statement->text_size),
        .portal = name,
        .cannot_wait = true, /* its values are not here any more */
    };
    enum pg_decision decision = postgres_decide(p, &op, verdict, refusal);
    if (decision != PG_ALLOWED) {
        return decision;
    }
    portal->max_rows = verdict->max_rows;
    portal->without_results = verdict->without_results;
    if (portal->plan == NULL || portal->plan->masks != p->masking.masks) {
        pg_plan_unref(portal->plan);
        portal->plan = p->meaning.plan;
        p->meaning.plan = NULL;
        pg_result_destroy(portal->result); /* is asked for again */
        portal->result = NULL;
        portal->is_described = false;
    }
    postgres_meaning_finish(&p->meaning);
    return PG_ALLOWED;
}

/* To mask rows we must know their columns, whether the agent asked for them or not. */
static enum protocol_step describe_first(struct postgres *p, struct pg_portal *portal,
                                         struct bytes name)
{
    if (portal->plan == NULL || portal->is_described) {
        return PROTOCOL_MORE;
    }
    struct pg_sent *sent = pg_queue_push(&p->queue, PG_FRONTEND_DESCRIBE);
    if (sent == NULL) {
        return PROTOCOL_CLOSE;
    }
    sent->is_own = true;
    sent->portal = pg_portal_ref(portal);
    portal->is_described = true;
    return postgres_send(p, SIDE_TARGET, pg_write_target(&p->out, PG_FRONTEND_DESCRIBE, 'P', name));
}

/* Its intent is that of its Bind; what was decided between the two lasts by it, if it is a COMMIT.
 */
static struct pg_sent *push_execute(struct postgres *p, const struct pg_portal *portal)
{
    if (portal->is_transactional) {
        return pg_queue_push_within(&p->queue, PG_FRONTEND_EXECUTE);
    }
    p->link->ops->settle(p->link);
    return pg_queue_push(&p->queue, PG_FRONTEND_EXECUTE);
}

static const struct pg_refusal moved_names = {
    .sqlstate = PG_SQLSTATE_FEATURE_NOT_SUPPORTED,
    .message = "what was bound runs a name that may stand for something else now",
    .hint = "Bind it again."};

/* EXECUTE and FETCH look their name up when they are executed, and were decided when they were
 * bound. */
static bool runs_what_was_decided(const struct postgres *p, const struct pg_portal *portal)
{
    return !portal->follows_names || portal->names == postgres_name_changes(p);
}

/* A policy that came since the Bind decides anew: what was bound is not executed as it was. */
static void forget_other_policy(struct postgres *p, struct pg_portal *portal)
{
    if (portal->policy != p->link->ops->masks(p->link)->version) {
        postgres_drop_portal(p, portal);
    }
}

static enum protocol_step on_execute(struct postgres *p, struct bytes message, struct bytes body)
{
    struct pg_execute m;
    if (pg_wire_read_execute(body, &m) != WIRE_OK) {
        return postgres_violation(p, "malformed Execute");
    }
    struct pg_portal *portal = pg_names_find(p->portals, m.portal);
    if (portal != NULL && pg_queue_is_open(&p->queue, portal->sent)) {
        return wait_for_name(p);
    }
    bool may_be_named = m.portal.size > 0 || (portal != NULL && portal->follows_names);
    if (portal == NULL || (may_be_named && p->queue.namings > 0)) {
        return refuse_portal(p, m.portal);
    }
    forget_other_policy(p, portal);
    struct protocol_verdict verdict = {.operation = portal->operation,
                                       .intent_sequence = portal->intent_sequence};
    struct pg_refusal refusal;
    bool is_first = portal->operation != 0;
    bool is_same = !is_first || runs_what_was_decided(p, portal);
    refusal = is_same ? postgres_reading_refusal : moved_names;
    enum pg_decision decision = !is_same || !postgres_reading_is_same(p, portal) ? PG_REFUSED
                                : is_first                                       ? PG_ALLOWED
                                           : decide_again(p, portal, m.portal, &verdict, &refusal);
    if (decision != PG_ALLOWED) {
        return decision == PG_WAITS ? PROTOCOL_WAIT
                                    : postgres_refuse(p, PG_FRONTEND_EXECUTE, &refusal);
    }
    struct pg_sent *sent =
        describe_first(p, portal, m.portal) == PROTOCOL_MORE ? push_execute(p, portal) : NULL;
    if (sent == NULL) {
        return PROTOCOL_CLOSE;
    }
    sent->portal = pg_portal_ref(portal);
    sent->max_rows = portal->max_rows;
    sent->without_results = portal->without_results;
    pg_queue_set_effects(&p->queue, sent, portal->effects);
    portal->effects = NULL;
    sent->operation = verdict.operation;
    sent->intent_sequence = verdict.intent_sequence;
    sent->started_ns = is_first ? portal->started_ns : p->link->ops->monotonic_ns(p->link);
    portal->operation = 0; /* it is the Execute's now */
    portal->state = PG_PORTAL_RUNNING;
    postgres_reading_executed(p, portal);
    if (portal->changes_catalog) { /* it may have been asked since the Bind */
        postgres_masking_changed(p);
    }
    return forward_in_batch(p, message);
}

static enum protocol_step on_sync(struct postgres *p, struct bytes message)
{
    if (is_copying_in(p)) {
        return PROTOCOL_MORE; /* the target would ignore it: it has no answer (section 55.2.6) */
    }
    p->skipping = false;
    p->batch_open = false;
    if (pg_queue_push(&p->queue, PG_FRONTEND_SYNC) == NULL) {
        return PROTOCOL_CLOSE;
    }
    return forward(p, message);
}

static enum protocol_step on_copy_end(struct postgres *p, struct bytes message)
{
    if (is_copying_in(p)) {
        pg_queue_head(&p->queue)->copying = PG_COPY_ENDED;
    }
    return forward(p, message);
}

/* The fast path of old drivers, for large objects mostly. */
static enum protocol_step on_function_call(struct postgres *p, struct bytes message,
                                           struct bytes body)
{
    struct pg_function_call m;
    char function[16];
    if (pg_wire_read_function_call(body, &m) != WIRE_OK) {
        return postgres_violation(p, "malformed FunctionCall");
    }
    (void)snprintf(function, sizeof(function), "%u", m.function);
    struct pg_operation op = {.verb = "function_call", .function = function, .values = body};
    op.parameters = postgres_arguments(p, &m, &op.parameter_count);
    return send_operation(p, PG_FRONTEND_FUNCTION_CALL, &op, message);
}

static enum protocol_step on_message(struct postgres *p, uint8_t type, struct bytes message,
                                     struct bytes body)
{
    arena_reset(p->shared->scratch);
    switch (type) {
    case PG_FRONTEND_QUERY: return on_query(p, message, body);
    case PG_FRONTEND_DESCRIBE: return on_describe(p, message, body);
    case PG_FRONTEND_EXECUTE: return on_execute(p, message, body);
    case PG_FRONTEND_CLOSE: return on_close(p, message, body);
    case PG_FRONTEND_SYNC: return on_sync(p, message);
    case PG_FRONTEND_FUNCTION_CALL: return on_function_call(p, message, body);
    case PG_FRONTEND_FLUSH: return forward_in_batch(p, message);
    case PG_FRONTEND_COPY_DONE:
    case PG_FRONTEND_COPY_FAIL: return on_copy_end(p, message);
    case PG_FRONTEND_TERMINATE:
        p->terminated = true;
        p->agent_ended = true;
        (void)forward(p, message);
        return p->queue.count == 0 ? PROTOCOL_CLOSE : PROTOCOL_WAIT;
    default: return postgres_violation(p, "invalid frontend message type");
    }
}

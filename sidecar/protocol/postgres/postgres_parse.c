/* Parse. The server reads a statement's constants while it parses, and reading them may run code
 * (docs/adr/0004-intent-at-bind.md): so a Parse is an operation of its own, unless the Bind that
 * runs what it prepares comes next. Then it leaves together with that one, behind its intent. */
#include "base/cursor.h"
#include "sidecar/protocol/postgres/postgres_internal.h"

/* Takes nothing back: `p` has not changed yet. */
static enum protocol_step refuse(struct postgres *p, const struct pg_operation *op,
                                 const struct pg_refusal *why)
{
    struct pg_operation refused = *op;
    struct protocol_verdict verdict;
    struct pg_refusal refusal;
    refused.refused = *why;
    (void)postgres_prepare(p, &refused, &verdict, &refusal);
    return postgres_refuse(p, PG_FRONTEND_PARSE, &refusal);
}

/* As much of the Bind is here as postgres_bind looks at. */
static bool is_bound_next(const struct postgres *p, struct bytes name, struct bytes behind)
{
    struct pg_header h;
    if (pg_queue_room(&p->queue) < 2 || pg_wire_read_header(behind, &h) != WIRE_OK ||
        h.type != PG_FRONTEND_BIND) {
        return false;
    }
    size_t size = h.body_size < PG_BIND_GATHER ? h.body_size : PG_BIND_GATHER;
    if (behind.size - PG_HEADER_SIZE < size) {
        return false;
    }
    struct cursor c = cursor_of(bytes_of(behind.data + PG_HEADER_SIZE, size));
    (void)cursor_read_string(&c); /* the portal */
    struct bytes statement = cursor_read_string(&c);
    return !c.failed && bytes_equal(statement, name);
}

static void take_back(struct postgres *p, struct pg_sent *sent)
{
    postgres_take_back(p, sent, p->queue.count);
    pg_sent_finish(sent);
}

static enum protocol_step send(struct postgres *p, struct pg_sent *sent, struct bytes message)
{
    struct pg_sent *slot = pg_queue_push(&p->queue, PG_FRONTEND_PARSE);
    if (slot == NULL) {
        take_back(p, sent);
        return PROTOCOL_CLOSE;
    }
    *slot = *sent;
    *sent = (struct pg_sent){0};
    pg_queue_set_statement(&p->queue, slot, slot->statement);
    p->batch_open = true;
    postgres_reading_parsed(p, bytes_of(slot->statement->text, slot->statement->text_size));
    p->link->ops->to_target(p->link, message);
    return PROTOCOL_MORE;
}

/* The statement under its name, so that what follows finds it. False: no room. */
static bool name_it(struct postgres *p, const struct pg_parse *m, struct pg_plan *plan,
                    struct pg_sent *out)
{
    void *previous = NULL;
    *out = (struct pg_sent){.type = PG_FRONTEND_PARSE,
                            .statement = pg_statement_create(&p->spares, m->text, &m->types),
                            .plan = plan,
                            .name = m->name.size == 0 ? NULL : bytes_to_string(m->name)};
    if (out->statement == NULL || (out->name == NULL && m->name.size > 0) ||
        pg_names_put(p->statements, m->name, out->statement, &previous) != OK) {
        pg_sent_finish(out);
        return false;
    }
    out->previous_statement = previous;
    return true;
}

/* A name that is given again and again keeps each of its texts until that one is answered. */
static bool has_room(const struct postgres *p, const struct pg_parse *m)
{
    return p->queue.text_size == 0 || m->text.size + p->queue.text_size <= PG_NAMES_TEXT_MAX;
}

static const struct pg_refusal too_many = {.sqlstate = PG_SQLSTATE_INSUFFICIENT_RESOURCES,
                                           .message =
                                               "this session holds too many prepared statements",
                                           .hint = "Close or DEALLOCATE some."};

/* Understood, and nothing is in its way but the policy. */
static enum protocol_step prepare(struct postgres *p, const struct pg_operation *op,
                                  struct pg_sent *sent, struct bytes message)
{
    struct protocol_verdict verdict;
    struct pg_refusal refusal;
    if (postgres_prepare(p, op, &verdict, &refusal) != PG_ALLOWED) {
        take_back(p, sent);
        return postgres_refuse(p, PG_FRONTEND_PARSE, &refusal);
    }
    sent->operation = verdict.operation;
    sent->intent_sequence = verdict.intent_sequence;
    sent->started_ns = p->link->ops->monotonic_ns(p->link);
    return send(p, sent, message);
}

enum protocol_step postgres_parse(struct postgres *p, struct bytes message, struct bytes body,
                                  struct bytes behind)
{
    struct pg_parse m;
    struct pg_sent sent;
    struct pg_refusal refused = {0};
    bool waits = false, denied = false;
    arena_reset(p->shared->scratch);
    if (pg_wire_read_parse(body, &m) != WIRE_OK) {
        return postgres_violation(p, "malformed Parse");
    }
    const struct pg_operation op = {.verb = "prepare", .text = m.text, .statement_name = m.name};
    if (postgres_reading_is_open(p, m.text, &waits)) {
        refused = postgres_reading_refusal;
    } else if (!waits) {
        denied = postgres_denies(p, &op, &refused);
    }
    if (refused.message != NULL) {
        return refuse(p, &op, &refused);
    }
    if (!has_room(p, &m)) {
        return postgres_wait_for_answers(p);
    }
    if (waits || postgres_masking_looks_ahead(p, m.text)) {
        p->offers_again = true;
        return PROTOCOL_WAIT;
    }
    struct pg_plan *plan = postgres_masking_parse(p, m.text, &refused);
    if (refused.message != NULL) {
        return refuse(p, &op, &refused);
    }
    if (!name_it(p, &m, plan, &sent)) {
        return refuse(p, &op, &too_many);
    }
    if (denied || !is_bound_next(p, m.name, behind)) {
        return prepare(p, &op, &sent, message);
    }
    p->coming.message = message;
    p->coming.sent = sent;
    return PROTOCOL_MORE;
}

enum protocol_step postgres_parse_send(struct postgres *p)
{
    struct bytes message = p->coming.message;
    p->coming.message = (struct bytes){0};
    return message.size == 0 ? PROTOCOL_MORE : send(p, &p->coming.sent, message);
}

bool postgres_parse_take_back(struct postgres *p)
{
    bool is_there = p->coming.message.size > 0;
    if (is_there) {
        p->coming.message = (struct bytes){0};
        take_back(p, &p->coming.sent);
    }
    return is_there;
}

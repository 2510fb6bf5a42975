#include "sidecar/protocol/postgres/postgres_prediction.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "sidecar/operation/plan_rows.h"
#include "sidecar/protocol/postgres/postgres_internal.h"

static const char own_name[] = "chaperone_prediction";

enum { CLOSES = 4 }; /* of one question */

/* ---- asking --------------------------------------------------------------------------------- */

static const char *prefix_of(enum pg_question q)
{
    switch (q) {
    case PG_ASK_SAVEPOINT: return "SAVEPOINT chaperone_prediction";
    case PG_ASK_LOCKS:
        return "SELECT DISTINCT l.mode OPERATOR(pg_catalog.||) ' on ' OPERATOR(pg_catalog.||) "
               "pg_catalog.quote_ident(n.nspname::pg_catalog.text) OPERATOR(pg_catalog.||) '.' "
               "OPERATOR(pg_catalog.||) pg_catalog.quote_ident(c.relname::pg_catalog.text)"
               " FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c"
               " ON c.oid OPERATOR(pg_catalog.=) l.relation"
               " JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
               " WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()"
               " AND l.granted AND c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid"
               " AND c.relkind OPERATOR(pg_catalog.<>) 'i'::pg_catalog.\"char\" ORDER BY 1";
    case PG_ASK_PLAN: return "EXPLAIN ";
    case PG_ASK_PLAN_JSON: return "EXPLAIN (FORMAT JSON) ";
    /* The planner calls functions that say they are stable, and they may do anything. */
    case PG_ASK_READ_ONLY: return "SET LOCAL transaction_read_only TO on";
    case PG_ASK_BEGIN_READ_ONLY: return "BEGIN READ ONLY";
    case PG_ASK_BEGIN: return "BEGIN";
    case PG_ASK_RUN: return "";
    case PG_ASK_ROLLBACK: return "ROLLBACK";
    case PG_ASK_ROLLBACK_TO: return "ROLLBACK TO SAVEPOINT chaperone_prediction";
    case PG_ASK_RELEASE: return "RELEASE SAVEPOINT chaperone_prediction";
    }
    return "";
}

static bool has_statement(enum pg_question q)
{
    return q == PG_ASK_PLAN || q == PG_ASK_PLAN_JSON || q == PG_ASK_RUN;
}

static enum err write_closes(struct postgres *p)
{
    struct bytes name = bytes_of_string(own_name);
    enum err e = pg_write_target(&p->out, PG_FRONTEND_CLOSE, 'P', name);
    return e == OK ? pg_write_target(&p->out, PG_FRONTEND_CLOSE, 'S', name) : e;
}

/* Closed at its beginning, too: one that failed was not closed at its end, and its name would be
 * taken for the question that tidies up. */
static enum err write_question(struct postgres *p, enum pg_question q)
{
    struct pg_prediction *x = &p->prediction;
    struct bytes name = bytes_of_string(own_name);
    struct bytes values = has_statement(q) ? buffer_bytes(&x->values) : (struct bytes){0};
    size_t types = has_statement(q) && x->type_count <= UINT16_MAX ? x->type_count : 0;
    struct buffer text;
    buffer_init(&text, PG_OUTPUT_MAX);
    enum err e = buffer_append_string(&text, prefix_of(q));
    e = e == OK && has_statement(q) ? buffer_append(&text, buffer_bytes(&x->text)) : e;
    e = e == OK ? write_closes(p) : e;
    e = e == OK ? pg_write_parse(&p->out, name, buffer_bytes(&text), x->types, (uint16_t)types) : e;
    /* The values of the agent's own Bind. */
    e = e == OK ? pg_write_bind(&p->out, name, values) : e;
    e = e == OK ? pg_write_execute(&p->out, name, 0) : e;
    e = e == OK ? write_closes(p) : e;
    e = e == OK ? pg_write_empty(&p->out, x->in_batch ? PG_FRONTEND_FLUSH : PG_FRONTEND_SYNC) : e;
    buffer_finish(&text);
    return e;
}

static enum protocol_step ask(struct postgres *p)
{
    struct pg_prediction *x = &p->prediction;
    x->has_failed = false;
    x->closed = 0;
    if (pg_queue_push(&p->queue, PG_QUEUE_OWN) == NULL) {
        return PROTOCOL_CLOSE;
    }
    return postgres_send(p, SIDE_TARGET, write_question(p, x->questions[x->at]));
}

/* ---- the end -------------------------------------------------------------------------------- */

void postgres_prediction_finish(struct postgres *p)
{
    struct pg_prediction *x = &p->prediction;
    x->is_running = false;
    x->count = 0;
    x->at = 0;
    buffer_wipe(&x->text);
    buffer_wipe(&x->values);
    buffer_wipe(&x->plan);
    buffer_wipe(&x->json);
    free(x->types);
    x->types = NULL;
    x->type_count = 0;
    free(x->locks);
    x->locks = NULL;
    x->lock_count = 0;
}

static void tell_people(struct postgres *p)
{
    struct pg_prediction *x = &p->prediction;
    Chaperone__V1__Prediction m = CHAPERONE__V1__PREDICTION__INIT;
    char *locks[PG_PREDICTION_LOCKS_MAX];
    for (size_t i = 0; i < x->lock_count; i++) {
        locks[i] = x->locks[i];
        utf8_repair(locks[i]); /* client_encoding may be another */
    }
    char *plan = bytes_to_string(buffer_bytes(&x->plan));
    if (plan != NULL) {
        utf8_repair(plan);
        m.plan = plan;
    }
    if (buffer_size(&x->json) > 0 &&
        !plan_rows_estimate(buffer_bytes(&x->json), &m.estimated_rows)) {
        m.estimated_rows = -1;
    }
    m.has_exact = x->has_exact;
    m.exact_rows = x->exact_rows;
    m.unavailable = x->unavailable;
    p->link->ops->ask(p->link, &m, locks, x->lock_count);
    free(plan);
    postgres_prediction_finish(p);
}

/* ---- which questions ------------------------------------------------------------------------ */

static void add(struct pg_prediction *x, enum pg_question q)
{
    x->questions[x->count++] = q;
}

static void say_unavailable(struct pg_prediction *x, const char *why)
{
    if (x->unavailable[0] == '\0') {
        (void)snprintf(x->unavailable, sizeof(x->unavailable), "%s", why);
    }
}

/* EXPLAIN takes these; anything else has no plan. `*out_runs`: the text shows what is run. */
static bool has_plan(struct postgres *p, struct bytes text, bool *out_runs)
{
    static const char *const commands[] = {"SELECT", "INSERT", "UPDATE",
                                           "DELETE", "MERGE",  "EXECUTE"};
    const struct sql_analysis *a = NULL;
    struct sql_error error;
    if (sql_cache_analyse(p->shared->sql, text, &a, &error) != OK || a->statement_count != 1) {
        return false;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(a->statements[0].command, commands[i]) == 0) {
            *out_runs = strcmp(commands[i], "EXECUTE") != 0;
            return true;
        }
    }
    return false;
}

static void choose(struct postgres *p, bool has, bool runs, bool may_hold_locks,
                   const struct protocol_hold *hold)
{
    struct pg_prediction *x = &p->prediction;
    bool is_open = p->transaction == 'T';
    bool needs_savepoint = is_open && !x->in_batch;
    bool asks = has && (hold->explains || hold->runs_dry);
    bool needs_transaction = asks && !is_open && !x->in_batch;
    if (needs_savepoint) {
        add(x, PG_ASK_SAVEPOINT);
        add(x, PG_ASK_READ_ONLY);
    }
    if (is_open || may_hold_locks) {
        add(x, PG_ASK_LOCKS);
    }
    if (needs_transaction) {
        add(x, PG_ASK_BEGIN_READ_ONLY);
    }
    if (asks) {
        add(x, PG_ASK_PLAN);
        add(x, PG_ASK_PLAN_JSON);
    }
    if (needs_transaction) {
        add(x, PG_ASK_ROLLBACK);
    }
    if (has && hold->runs_dry) {
        if (!runs) {
            say_unavailable(x, "no dry run of what a name stands for");
        } else if (is_open || may_hold_locks || x->in_batch) {
            say_unavailable(x, "no dry run within a transaction or a batch of the agent's");
        } else {
            add(x, PG_ASK_BEGIN);
            add(x, PG_ASK_RUN);
            add(x, PG_ASK_ROLLBACK);
        }
    }
    if (needs_savepoint) {
        add(x, PG_ASK_ROLLBACK_TO);
        add(x, PG_ASK_RELEASE);
    }
}

static bool keep_statement(struct pg_prediction *x, const struct pg_operation *op)
{
    size_t values = op->values.size - op->result_formats_size;
    buffer_init(&x->text, PG_OUTPUT_MAX);
    buffer_init(&x->values, PG_OUTPUT_MAX);
    buffer_init(&x->plan, PG_PREDICTION_PLAN_MAX);
    buffer_init(&x->json, PG_PREDICTION_JSON_MAX);
    x->types = calloc(op->declared_count + 1, sizeof(*x->types));
    if (x->types == NULL || buffer_append(&x->text, op->text) != OK ||
        buffer_append(&x->values, bytes_of(op->values.data, values)) != OK) {
        return false;
    }
    for (size_t i = 0; i < op->declared_count; i++) {
        x->types[i] = op->declared[i];
    }
    x->type_count = op->declared_count;
    return true;
}

void postgres_prediction_start(struct postgres *p, const struct pg_operation *op,
                               bool may_hold_locks, const struct protocol_hold *hold)
{
    struct pg_prediction *x = &p->prediction;
    postgres_prediction_finish(p);
    x->has_exact = false;
    x->unavailable[0] = '\0';
    x->gives_up = false;
    x->in_batch = p->batch_open;
    x->is_unwanted = false;
    bool is_quiet = p->batch_open || p->queue.count == 0;
    bool runs = false;
    bool has = op->function == NULL && has_plan(p, op->text, &runs);
    if (!keep_statement(x, op)) {
        say_unavailable(x, "out of memory");
    } else if (!is_quiet || p->transaction == 'E') {
        say_unavailable(x, "other statements are under way");
    } else {
        if (!has) {
            say_unavailable(x, "a statement of this kind has no plan");
        }
        choose(p, has, runs, may_hold_locks, hold);
    }
    x->is_running = x->count > 0;
    if (!x->is_running) {
        tell_people(p);
    } else if (ask(p) != PROTOCOL_MORE) {
        say_unavailable(x, "the target cannot be asked");
        tell_people(p);
    }
}

bool postgres_prediction_is_running(const struct postgres *p)
{
    const struct pg_sent *head = pg_queue_head(&p->queue);
    return head != NULL && head->type == PG_QUEUE_OWN;
}

/* Nothing is sent behind a question of ours, so it is the last one. */
static bool is_asking(const struct postgres *p)
{
    size_t count = p->queue.count;
    return count > 0 && pg_queue_at(&p->queue, count - 1)->type == PG_QUEUE_OWN;
}

bool postgres_prediction_blocks(struct postgres *p)
{
    struct pg_prediction *x = &p->prediction;
    if (!is_asking(p)) {
        return false;
    }
    if (x->is_running && !x->is_unwanted && !p->link->ops->is_held(p->link)) {
        x->is_unwanted = true;
        if (!x->in_batch) { /* there the error would be the batch's, in place of the refusal */
            (void)p->link->ops->connect_second(p->link);
        }
    }
    return true;
}

void postgres_prediction_cancel(struct postgres *p)
{
    if (is_asking(p) && !p->prediction.is_unwanted) {
        p->prediction.is_unwanted = true;
        (void)p->link->ops->connect_second(p->link);
    }
}

/* ---- answers -------------------------------------------------------------------------------- */

static void take_lock(struct pg_prediction *x, struct bytes value)
{
    if (x->locks == NULL) { /* most sessions never ask: 12 KB that they need not have */
        x->locks = calloc(PG_PREDICTION_LOCKS_MAX, sizeof(*x->locks));
    }
    if (x->locks == NULL) {
        say_unavailable(x, "out of memory");
    } else if (x->lock_count < PG_PREDICTION_LOCKS_MAX) {
        postgres_copy_text(x->locks[x->lock_count++], PG_PREDICTION_LOCK_SIZE, value);
    }
}

static void take_row(struct pg_prediction *x, struct bytes body)
{
    struct pg_values row;
    struct pg_value value;
    if (pg_wire_read_row(body, &row) != WIRE_OK || !pg_values_next(&row, &value) || value.is_null) {
        return;
    }
    enum err e = OK;
    switch (x->questions[x->at]) {
    case PG_ASK_LOCKS: take_lock(x, value.data); break;
    case PG_ASK_PLAN:
        e = buffer_size(&x->plan) == 0 ? OK : buffer_append_string(&x->plan, "\n");
        e = e == OK ? buffer_append(&x->plan, value.data) : e;
        break;
    case PG_ASK_PLAN_JSON: e = buffer_append(&x->json, value.data); break;
    default: break;
    }
    if (e != OK) {
        say_unavailable(x, "the plan is longer than is shown");
    }
}

static void take_tag(struct pg_prediction *x, struct bytes body)
{
    struct bytes tag;
    uint64_t rows = 0;
    if (x->questions[x->at] == PG_ASK_RUN && pg_wire_read_string(body, &tag) == WIRE_OK &&
        pg_tag_rows(tag, &rows)) {
        x->has_exact = true;
        x->exact_rows = rows;
    }
}

static void note_error(struct pg_prediction *x, struct bytes body)
{
    struct pg_fields fields;
    x->has_failed = true;
    if (pg_wire_read_fields(body, &fields) == WIRE_OK) {
        char text[200];
        struct bytes code = pg_fields_find(&fields, 'C');
        (void)snprintf(text, sizeof(text), "the target says no to it (SQLSTATE %.*s)",
                       (int)code.size, code.data);
        utf8_repair(text);
        say_unavailable(x, text);
    }
}

static bool needs_cleanup(const struct postgres *p, enum pg_question q)
{
    return (q == PG_ASK_ROLLBACK && p->transaction != 'I') || q == PG_ASK_ROLLBACK_TO ||
           q == PG_ASK_RELEASE;
}

/* A question was answered: the next one. After one that failed only what tidies up. */
static enum protocol_step next(struct postgres *p)
{
    struct pg_prediction *x = &p->prediction;
    x->gives_up = x->gives_up || x->has_failed || x->is_unwanted;
    pg_queue_pop(&p->queue);
    if (!x->is_running || p->agent_ended) {
        return PROTOCOL_MORE; /* Terminate was sent: the server rolls back what is open */
    }
    x->at++;
    while (x->gives_up && x->at < x->count && !needs_cleanup(p, x->questions[x->at])) {
        x->at++;
    }
    if (x->at < x->count) {
        return ask(p);
    }
    tell_people(p);
    return PROTOCOL_MORE;
}

/* In the agent's own batch the error is the statement's: the server skips the rest of the batch. */
static enum protocol_step fail_batch(struct postgres *p, struct bytes message, struct bytes body)
{
    postgres_hold_forget(p, "the target refuses the statement");
    pg_queue_pop(&p->queue);
    p->skipping = true;
    return postgres_on_error(p, message, body);
}

enum protocol_step postgres_prediction_answer(struct postgres *p, uint8_t type,
                                              struct bytes message, struct bytes body)
{
    struct pg_prediction *x = &p->prediction;
    uint8_t status = 0;
    switch (type) {
    case PG_BACKEND_DATA_ROW:
        if (x->is_running) {
            take_row(x, body);
        }
        return PROTOCOL_MORE;
    case PG_BACKEND_COMMAND_COMPLETE:
        if (x->is_running) {
            take_tag(x, body);
        }
        return PROTOCOL_MORE;
    case PG_BACKEND_ERROR:
        if (x->in_batch) {
            return fail_batch(p, message, body);
        }
        note_error(x, body);
        return PROTOCOL_MORE;
    case PG_BACKEND_CLOSE_COMPLETE:
        x->closed++;
        return x->in_batch && x->closed == CLOSES ? next(p) : PROTOCOL_MORE;
    case PG_BACKEND_READY:
        if (pg_wire_read_ready(body, &status) != WIRE_OK) {
            return PROTOCOL_CLOSE;
        }
        p->transaction = status;
        return next(p);
    default: return PROTOCOL_MORE;
    }
}

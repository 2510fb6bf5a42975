/* What an operation is: its text understood, what the agent declares about it, the policy's word,
 * the intent and, when it is refused, its outcome. */
#include <stdio.h>

#include "sidecar/operation/statements.h"
#include "sidecar/protocol/postgres/postgres_internal.h"

static const char *transaction_name(const struct postgres *p)
{
    return p->transaction == 'T' ? "open" : p->transaction == 'E' ? "failed" : "idle";
}

/* A function of the fast path is known by its number only. */
static bool add_function(struct arena *scratch, const char *function, Chaperone__V1__Intent *m)
{
    Chaperone__V1__Object *o = arena_alloc(scratch, sizeof(*o));
    m->commands = arena_alloc(scratch, sizeof(*m->commands));
    m->objects = arena_alloc(scratch, sizeof(*m->objects));
    if (o == NULL || m->commands == NULL || m->objects == NULL) {
        return false;
    }
    chaperone__v1__object__init(o);
    o->kind = (char *)"function";
    o->name = (char *)function;
    o->access = (char *)"call";
    m->commands[m->n_commands++] = (char *)"FUNCTION CALL";
    m->objects[m->n_objects++] = o;
    return true;
}

static const struct pg_refusal out_of_memory = {.sqlstate = PG_SQLSTATE_OUT_OF_MEMORY,
                                                .message = "out of memory"};

void postgres_meaning_finish(struct pg_meaning *meaning)
{
    pg_plan_unref(meaning->plan);
    pg_effects_destroy(meaning->effects);
    *meaning = (struct pg_meaning){0};
}

static const struct pg_refusal bad_names = {
    .sqlstate = PG_SQLSTATE_FEATURE_NOT_SUPPORTED,
    .message = "Chaperone cannot follow what this text does with prepared statements and cursors"};

/* Whether it may change what the target's catalog says, or what names mean. */
static bool changes_catalog(const struct sql_analysis *a)
{
    const uint32_t changing = 1u << SQL_CREATE | 1u << SQL_ALTER | 1u << SQL_DROP |
                              1u << SQL_PROCEDURAL | 1u << SQL_PRIVILEGE | 1u << SQL_UNKNOWN;
    for (size_t i = 0; i < a->statement_count; i++) {
        if ((a->statements[i].accesses & changing) != 0) {
            return true;
        }
    }
    return false;
}

/* What the text means for its answer: what is masked, which names it moves. */
static void find_meaning(struct postgres *p, struct bytes text, const struct sql_analysis **a,
                         struct pg_meaning *meaning, struct pg_refusal *refused)
{
    const struct sql_analysis *outer = *a;
    bool has_names = sql_has_namings(outer);
    if (!postgres_follow_names(p, text, a, &meaning->effects)) {
        *refused = bad_names;
        return;
    }
    meaning->plan = postgres_masking_plan(p, text, outer, has_names, refused);
    meaning->changes =
        changes_catalog(*a) || (meaning->plan != NULL && meaning->plan->changes_catalog);
}

void postgres_understand(struct postgres *p, const struct pg_operation *op,
                         Chaperone__V1__Intent *m, struct pg_refusal *refused,
                         struct pg_meaning *meaning)
{
    if (op->function != NULL) {
        if (!add_function(p->shared->scratch, op->function, m)) {
            *refused = out_of_memory;
        } else if (meaning != NULL) {
            (void)postgres_masking_forbids_calls(p, refused);
        }
        return;
    }
    const char *ambiguous = postgres_reading_ambiguous(p, op->text);
    if (ambiguous != NULL) {
        *refused = (struct pg_refusal){.sqlstate = PG_SQLSTATE_FEATURE_NOT_SUPPORTED,
                                       .message = ambiguous};
        return;
    }
    const struct sql_analysis *a = NULL;
    struct sql_error error = {0};
    enum err e = sql_cache_analyse(p->shared->sql, op->text, &a, &error);
    if (e != OK) {
        char *message = arena_copy_string(p->shared->scratch, bytes_of_string(error.message));
        char *sqlstate = arena_copy_string(p->shared->scratch, bytes_of_string(error.sqlstate));
        *refused = (struct pg_refusal){
            .sqlstate =
                sqlstate == NULL || sqlstate[0] == '\0' ? PG_SQLSTATE_SYNTAX_ERROR : sqlstate,
            .message = message == NULL ? "the statement cannot be parsed" : message,
            .hint = "Chaperone passes on only what it can parse.",
            .position = error.position};
        return;
    }
    if (meaning != NULL) {
        /* What a name stands for is not looked at: EXECUTE is not transactional. */
        meaning->is_transactional = sql_is_transactional(a);
        meaning->is_provisional = meaning->is_transactional && postgres_is_provisional(p, a);
        find_meaning(p, op->text, &a, meaning, refused);
    }
    if (!statements_describe(p->shared->scratch, a, m)) {
        *refused = out_of_memory;
    }
}

static Chaperone__V1__Stated *new_stated(struct arena *scratch, const char *text,
                                         const char *source)
{
    Chaperone__V1__Stated *s = arena_alloc(scratch, sizeof(*s));
    if (s != NULL) {
        chaperone__v1__stated__init(s);
        s->text = (char *)text;
        s->assurance = CHAPERONE__V1__ASSURANCE__DECLARED;
        s->source = (char *)source;
    }
    return s;
}

static void add_notes(struct arena *scratch, const struct sql_note *notes, size_t count,
                      const char *source, Chaperone__V1__Intent *m)
{
    for (size_t i = 0; i < count; i++) {
        char *value = arena_copy_string(scratch, notes[i].value);
        if (value == NULL) {
            return;
        }
        if (notes[i].kind == SQL_NOTE_ON_BEHALF_OF) {
            Chaperone__V1__Delegate *d = arena_alloc(scratch, sizeof(*d));
            if (d != NULL) {
                chaperone__v1__delegate__init(d);
                d->subject = value;
                d->assurance = CHAPERONE__V1__ASSURANCE__DECLARED;
                d->source = (char *)source;
                m->on_behalf_of[m->n_on_behalf_of++] = d;
            }
            continue;
        }
        Chaperone__V1__Stated *s = new_stated(scratch, value, source);
        if (s != NULL) {
            m->reasons[m->n_reasons++] = s;
        }
    }
}

/* `/ * reason: ... * /`: what the agent says about itself, in this statement and in its name. */
static void add_declared(struct postgres *p, struct bytes text, Chaperone__V1__Intent *m)
{
    struct arena *scratch = p->shared->scratch;
    struct sql_note here[SQL_NOTES_MAX], named[SQL_NOTES_MAX];
    size_t here_count = sql_comments_read(text, here);
    size_t named_count = sql_notes_read(p->application_name, named);
    size_t count = here_count + named_count;
    if (count == 0) {
        return;
    }
    m->reasons = arena_alloc(scratch, count * sizeof(*m->reasons));
    m->on_behalf_of = arena_alloc(scratch, count * sizeof(*m->on_behalf_of));
    if (m->reasons != NULL && m->on_behalf_of != NULL) {
        add_notes(scratch, here, here_count, "sql_comment", m);
        add_notes(scratch, named, named_count, "application_name", m);
    }
}

static void set_text(struct postgres *p, struct bytes text, Chaperone__V1__Intent *m)
{
    m->text.data = (uint8_t *)text.data;
    m->text.len = text.size;
    m->text_size = text.size;
    m->text_truncated = text.size > p->shared->statement_max;
}

static char *name_of(struct postgres *p, struct bytes name)
{
    char *copy = name.size == 0 ? NULL : arena_copy_string(p->shared->scratch, name);
    return copy == NULL ? (char *)protobuf_c_empty_string : copy;
}

/* The words for the agent about a denial by policy. */
static void word_denial(struct postgres *p, const struct protocol_verdict *verdict,
                        struct pg_refusal *out)
{
    char text[400];
    bool is_recorder = verdict->intent_sequence == 0;
    (void)snprintf(text, sizeof(text), is_recorder ? "%s%s%s" : "denied by policy rule \"%s\"%s%s",
                   is_recorder ? "" : verdict->rule,
                   is_recorder || verdict->message == NULL || verdict->message[0] == '\0' ? ""
                                                                                          : ": ",
                   verdict->message == NULL ? "" : verdict->message);
    char *copy = arena_copy_string(p->shared->scratch, bytes_of_string(text));
    if (verdict->is_withdrawn) {
        copy = arena_copy_string(p->shared->scratch,
                                 bytes_of_string("canceling statement due to user request"));
    }
    *out = (struct pg_refusal){
        .sqlstate = is_recorder             ? PG_SQLSTATE_DISK_FULL
                    : verdict->is_withdrawn ? PG_SQLSTATE_QUERY_CANCELED
                                            : PG_SQLSTATE_INSUFFICIENT_PRIVILEGE,
        .message = copy == NULL ? "denied" : copy,
        .hint = is_recorder ? "Chaperone does nothing that it cannot record." : NULL};
    if (verdict->approval != NULL) {
        (void)snprintf(text, sizeof(text), "Approval %s.", verdict->approval);
        out->detail = arena_copy_string(p->shared->scratch, bytes_of_string(text));
    }
}

static const struct pg_refusal unknown_type = {
    .sqlstate = PG_SQLSTATE_INSUFFICIENT_PRIVILEGE,
    .message = "a parameter is of a type whose casts run code that is not PostgreSQL's own",
    .hint = "Leave the parameter's type to the server, or cast it where it is used."};

static enum pg_decision wait(struct postgres *p)
{
    postgres_meaning_finish(&p->meaning);
    p->offers_again = true;
    return PG_WAITS;
}

/* The record of what became of an operation that is refused. */
static void record_refusal(struct postgres *p, const struct protocol_verdict *verdict,
                           const struct pg_refusal *refused)
{
    Chaperone__V1__Outcome outcome = CHAPERONE__V1__OUTCOME__INIT;
    outcome.operation = verdict->operation;
    outcome.intent_sequence = verdict->intent_sequence;
    outcome.status = CHAPERONE__V1__STATUS__REFUSED;
    outcome.error_code = (char *)refused->sqlstate;
    outcome.error = (char *)refused->message;
    if (verdict->approval != NULL) {
        outcome.approval = (char *)verdict->approval;
    }
    (void)p->link->ops->outcome(p->link, &outcome);
}

/* All but what the text says. */
static void start_intent(struct postgres *p, const struct pg_operation *op,
                         Chaperone__V1__Intent *m)
{
    chaperone__v1__intent__init(m);
    m->verb = (char *)op->verb;
    m->transaction = (char *)transaction_name(p);
    m->statement_name = name_of(p, op->statement_name);
    m->portal = name_of(p, op->portal);
    m->parameters = op->parameters;
    m->n_parameters = op->parameter_count;
    set_text(p, op->text, m);
}

static void set_denied(const struct pg_refusal *refused, Chaperone__V1__Intent *m)
{
    m->verdict = CHAPERONE__V1__VERDICT__DENY;
    m->rule = (char *)(refused->rule == NULL ? "understanding" : refused->rule);
    m->error = (char *)refused->message;
}

/* `refused` is what was refused before the policy was asked, if anything was. */
static enum pg_decision refuse_as(struct postgres *p, const struct protocol_verdict *verdict,
                                  struct pg_refusal refused, struct pg_refusal *out_refusal)
{
    if (refused.message == NULL || verdict->intent_sequence == 0) {
        word_denial(p, verdict, &refused);
    }
    *out_refusal = refused;
    if (verdict->intent_sequence != 0) {
        record_refusal(p, verdict, &refused);
    }
    return PG_REFUSED;
}

bool postgres_denies(struct postgres *p, const struct pg_operation *op, struct pg_refusal *refused)
{
    Chaperone__V1__Intent m;
    start_intent(p, op, &m);
    postgres_understand(p, op, &m, refused, NULL);
    return refused->message == NULL && p->link->ops->denies(p->link, &m);
}

enum pg_decision postgres_prepare(struct postgres *p, const struct pg_operation *op,
                                  struct protocol_verdict *verdict, struct pg_refusal *out_refusal)
{
    Chaperone__V1__Intent m;
    struct pg_refusal refused = op->refused;
    start_intent(p, op, &m);
    if (refused.message == NULL) {
        postgres_understand(p, op, &m, &refused, NULL);
        add_declared(p, op->text, &m);
    }
    if (refused.message != NULL) {
        set_denied(&refused, &m);
    }
    return p->link->ops->prepare(p->link, &m, verdict)
               ? PG_ALLOWED
               : refuse_as(p, verdict, refused, out_refusal);
}

enum pg_decision postgres_decide(struct postgres *p, const struct pg_operation *op,
                                 struct protocol_verdict *verdict, struct pg_refusal *out_refusal)
{
    Chaperone__V1__Intent m;
    struct pg_refusal refused = op->refused;
    struct pg_binding binding;
    start_intent(p, op, &m);
    postgres_meaning_finish(&p->meaning);
    p->names_are_open = false;
    if (refused.message == NULL) {
        postgres_understand(p, op, &m, &refused, &p->meaning);
        add_declared(p, op->text, &m);
    }
    if (refused.message == NULL && !postgres_masking_knows_types(p, op->types, op->type_count)) {
        refused = unknown_type;
    }
    if (op->refused.message == NULL && p->names_are_open) {
        return wait(p);
    }
    if (refused.message == NULL && postgres_masking_looks_again(p)) {
        return wait(p);
    }
    p->masking.looks_again = false;
    if (refused.message != NULL) {
        set_denied(&refused, &m);
    }
    bool can_wait = refused.message == NULL && !op->cannot_wait;
    postgres_bind_approval(p, op, &binding);
    p->link->is_provisional = p->meaning.is_provisional;
    bool is_allowed = p->link->ops->decide(p->link, &m, can_wait ? &binding.base : NULL, verdict);
    p->link->is_provisional = false;
    if (verdict->hold != NULL) {
        postgres_hold(p, op, can_wait && binding.base.may_hold_locks, verdict->hold);
        return wait(p);
    }
    p->is_held = false;
    if (is_allowed) {
        if (p->meaning.changes) {
            postgres_masking_changed(p);
        }
        return PG_ALLOWED;
    }
    postgres_meaning_finish(&p->meaning);
    return refuse_as(p, verdict, refused, out_refusal);
}

#include "cli/policy/masking.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/policy/result_names.h"
#include "sidecar/lineage/lineage.h"
#include "sidecar/protocol/postgres/pg_plan.h"

struct masking {
    struct catalog *catalog;        /* a reference */
    struct masker_cache *detectors; /* owned; to compile them takes longer than all else */
};

struct masking *masking_create(struct catalog *catalog)
{
    struct masking *m = calloc(1, sizeof(*m));
    if (m == NULL || (m->detectors = masker_cache_create()) == NULL) {
        free(m);
        return NULL;
    }
    catalog_ref(catalog);
    m->catalog = catalog;
    return m;
}

void masking_destroy(struct masking *m)
{
    if (m != NULL) {
        masker_cache_destroy(m->detectors);
        catalog_unref(m->catalog);
        free(m);
    }
}

/* ---- marks --------------------------------------------------------------------------------- */

struct holding {
    const struct policy_mask *items[POLICY_MASKS_MAX];
    size_t count;
};

static uint64_t mark(void *context, const struct catalog_relation *r,
                     const struct catalog_column *c)
{
    const struct holding *h = context;
    uint64_t rules = 0;
    for (size_t i = 0; i < h->count; i++) {
        if (policy_mask_matches(h->items[i], r->schema, r->name, c->name, c->type_name)) {
            rules |= UINT64_C(1) << i;
        }
    }
    return rules;
}

/* A function is trusted where every rule that names columns says so. */
static bool trusts(void *context, const char *schema, const char *name)
{
    const struct holding *h = context;
    bool any = false;
    for (size_t i = 0; i < h->count; i++) {
        if (h->items[i]->names_columns) {
            any = true;
            if (!policy_mask_trusts(h->items[i], schema, name)) {
                return false;
            }
        }
    }
    return any;
}

/* ---- where a value comes from -------------------------------------------------------------- */

/* Each column of the catalog has a mark of its own, LINEAGE_RULES_MAX of them at a time. */
struct tracing {
    const struct catalog *catalog;
    size_t from; /* the column with the first mark */
};

static uint64_t trace_mark(void *context, const struct catalog_relation *r,
                           const struct catalog_column *c)
{
    struct tracing *t = context;
    size_t index = 0;
    for (size_t i = 0; i < catalog_relation_count(t->catalog); i++) {
        const struct catalog_relation *other = catalog_relation_at(t->catalog, i);
        if (other == r) {
            index += (size_t)(c - r->columns);
            break;
        }
        index += other->column_count;
    }
    bool is_in = index >= t->from && index - t->from < LINEAGE_RULES_MAX;
    return is_in ? UINT64_C(1) << (index - t->from) : 0;
}

static bool trust_none(void *context, const char *schema, const char *name)
{
    (void)context;
    (void)schema;
    (void)name;
    return false;
}

/* The column of the catalog with this number, "public.customers.ssn"; NULL: none, or no memory. */
static const char *column_text(const struct catalog *catalog, size_t index, struct arena *arena)
{
    char text[400];
    for (size_t i = 0; i < catalog_relation_count(catalog); i++) {
        const struct catalog_relation *r = catalog_relation_at(catalog, i);
        if (index < r->column_count) {
            (void)snprintf(text, sizeof(text), "%s.%s.%s", r->schema, r->name,
                           r->columns[index].name);
            return arena_copy_string(arena, bytes_of_string(text));
        }
        index -= r->column_count;
    }
    return NULL;
}

static size_t count_columns(const struct catalog *catalog)
{
    size_t count = 0;
    for (size_t i = 0; i < catalog_relation_count(catalog); i++) {
        count += catalog_relation_at(catalog, i)->column_count;
    }
    return count;
}

struct building {
    struct masking *m;
    const char *text;
    struct arena *arena;
    const struct pg_plan *plan;
    struct result_names *names;
    struct masking_column *columns;
    size_t count;
    enum err failed;
};

static void trace_outputs(struct building *b, const struct lineage *l, size_t from)
{
    for (size_t i = 0; i < b->count; i++) {
        struct masking_column *c = &b->columns[i];
        const struct lineage_statement *s = &l->statements[c->statement - 1];
        const struct lineage_output *o =
            c->number > 0 && c->number <= s->output_count ? &s->outputs[c->number - 1] : NULL;
        bool is_one = o != NULL && o->origin == LINEAGE_COLUMN && (o->rules & (o->rules - 1)) == 0;
        if (is_one && o->rules != 0 && (o->rules & LINEAGE_SENSITIVE) == 0) {
            c->origin =
                column_text(b->m->catalog, from + (size_t)__builtin_ctzll(o->rules), b->arena);
        }
    }
}

static enum err trace(struct building *b)
{
    size_t all = count_columns(b->m->catalog);
    enum err e = OK;
    for (size_t from = 0; e == OK && b->count > 0 && from < all; from += LINEAGE_RULES_MAX) {
        struct tracing t = {.catalog = b->m->catalog, .from = from};
        struct lineage *l = NULL;
        struct lineage_marks *marks =
            lineage_marks_create(b->m->catalog, trace_mark, trust_none, &t);
        e = marks == NULL ? ERR_NO_MEMORY : lineage_analyse(marks, bytes_of_string(b->text), &l);
        if (e == OK) {
            trace_outputs(b, l, from);
        }
        lineage_destroy(l);
        lineage_marks_destroy(marks);
    }
    return e;
}

/* ---- the columns --------------------------------------------------------------------------- */

static void name_columns(struct building *b, const struct lineage *l)
{
    for (size_t i = 0; i < b->count; i++) {
        struct masking_column *c = &b->columns[i];
        const char *dot = c->origin == NULL ? NULL : strrchr(c->origin, '.');
        const char *name = c->number == 0
                               ? "*"
                               : result_names_find(b->names, c->statement - 1, c->number - 1,
                                                   l->statements[c->statement - 1].output_count,
                                                   dot == NULL ? NULL : dot + 1);
        c->name = arena_copy_string(b->arena, bytes_of_string(name));
        b->failed = c->name == NULL ? ERR_NO_MEMORY : b->failed;
    }
}

static const char *rule_text(struct building *b, size_t rule)
{
    const struct pg_masks *masks = b->plan->masks;
    const char *name = rule < masks->rule_count ? masks->rules[rule].name : "";
    return arena_copy_string(b->arena, bytes_of_string(name));
}

static void add(struct building *b, size_t statement, size_t number, size_t rule, bool is_null)
{
    struct masking_column *c = &b->columns[b->count];
    *c = (struct masking_column){
        .statement = statement, .number = number, .rule = rule_text(b, rule), .is_null = is_null};
    b->failed = c->rule == NULL ? ERR_NO_MEMORY : b->failed;
    b->count++;
}

static void add_statement(struct building *b, size_t index)
{
    const struct pg_plan_rows *rows = &b->plan->rows[index];
    if (rows->masks && !rows->outputs_known) {
        add(b, index + 1, 0, rows->rule, true);
    }
    for (size_t i = 0; rows->outputs_known && i < rows->column_count; i++) {
        const struct masker_column *c = &rows->columns[i];
        if (c->action != MASKER_PASS) {
            add(b, index + 1, i + 1, c->rule, c->action == MASKER_NULL);
        }
    }
}

static enum err list_columns(struct building *b, const struct lineage *l)
{
    size_t room = 1;
    for (size_t i = 0; i < b->plan->count; i++) {
        room += b->plan->rows[i].column_count + 1;
    }
    b->columns = arena_alloc(b->arena, room * sizeof(*b->columns));
    if (b->columns == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < b->plan->count; i++) {
        add_statement(b, i);
    }
    enum err e = b->count == 0 ? OK : result_names_create(b->text, &b->names);
    e = e == OK ? trace(b) : e;
    if (e == OK) {
        name_columns(b, l);
    }
    result_names_destroy(b->names);
    return e == OK ? b->failed : e;
}

/* ---- the plan ------------------------------------------------------------------------------ */

/* Each text is alone here: what another one prepared or declared is not known. */
static const struct pg_plan_rows *follow(void *context, enum lineage_kind kind, const char *name)
{
    (void)context;
    (void)kind;
    (void)name;
    return NULL;
}

static enum err refuse(struct arena *arena, const char *rule, const char *why,
                       struct masking_result *out)
{
    *out = (struct masking_result){.refused_by = arena_copy_string(arena, bytes_of_string(rule)),
                                   .refusal = arena_copy_string(arena, bytes_of_string(why))};
    return out->refused_by == NULL || out->refusal == NULL ? ERR_NO_MEMORY : OK;
}

static enum err take_plan(struct building *b, const struct lineage *l, struct masking_result *out)
{
    const struct pg_plan *p = b->plan;
    if (p->refusal[0] != '\0') {
        size_t rule = p->refused_by;
        return refuse(b->arena, rule < p->masks->rule_count ? p->masks->rules[rule].name : "",
                      p->refusal, out);
    }
    enum err e = list_columns(b, l);
    if (e == OK) {
        *out = (struct masking_result){.columns = b->columns, .column_count = b->count};
    }
    return e;
}

static enum err plan_with(struct building *b, const struct lineage_marks *marks,
                          struct pg_masks *masks, const struct sql_analysis *a,
                          struct masking_result *out)
{
    struct lineage *l = NULL;
    bool *queries = arena_alloc(b->arena, (a->statement_count + 1) * sizeof(*queries));
    if (queries == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = lineage_analyse(marks, bytes_of_string(b->text), &l);
    if (e != OK) {
        return e == ERR_NO_MEMORY ? e
                                  : refuse(b->arena, masks->rules[masks->unknown_rule].name,
                                           "where its values come from cannot be known", out);
    }
    for (size_t i = 0; i < a->statement_count; i++) {
        queries[i] = sql_is_query(&a->statements[i]);
    }
    struct pg_plan *plan =
        pg_plan_create(masks, l, masks->by_column && !lineage_marks_are_empty(marks), queries,
                       a->statement_count, follow, NULL);
    b->plan = plan;
    e = plan == NULL ? ERR_NO_MEMORY : take_plan(b, l, out);
    pg_plan_unref(plan);
    lineage_destroy(l);
    return e;
}

enum err masking_plan(struct masking *m, const struct policy *policy,
                      const struct policy_request *who, const char *text,
                      const struct sql_analysis *analysis, struct arena *arena,
                      struct masking_result *out)
{
    static const uint8_t key[32]; /* nothing is hashed here */
    struct holding h;
    struct pg_masks *masks = NULL;
    struct err_text why = {0};
    bool is_complete = false;
    h.count = policy_masks(policy, who, h.items, &is_complete);
    if (!is_complete) {
        return refuse(arena, "default", "more masks apply than a session can hold", out);
    }
    if (h.count == 0 || sql_is_transaction_control(analysis)) {
        *out = (struct masking_result){0};
        return OK;
    }
    enum err e = pg_masks_create(h.items, h.count, 1, bytes_of(key, sizeof(key)), m->detectors,
                                 &masks, &why);
    if (e != OK) {
        return e == ERR_NO_MEMORY ? e : refuse(arena, h.items[0]->rule, why.text, out);
    }
    struct building b = {.m = m, .text = text, .arena = arena};
    struct lineage_marks *marks = lineage_marks_create(m->catalog, mark, trusts, &h);
    e = marks == NULL ? ERR_NO_MEMORY : plan_with(&b, marks, masks, analysis, out);
    lineage_marks_destroy(marks);
    pg_masks_unref(masks);
    return e;
}

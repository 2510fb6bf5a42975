#include "sidecar/protocol/postgres/pg_plan.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the masks ----------------------------------------------------------------------------- */

static void take_rule(struct pg_masks *m, const struct policy_mask *mask)
{
    struct pg_mask_rule *rule = &m->rules[m->rule_count];
    *rule = (struct pg_mask_rule){.names_columns = mask->names_columns,
                                  .computed_null = mask->computed_null,
                                  .predicates = mask->predicates,
                                  .unknown_origin = mask->unknown_origin};
    (void)snprintf(rule->name, sizeof(rule->name), "%s", mask->rule);
    if (mask->names_columns && (!m->by_column || mask->unknown_origin < m->unknown_origin)) {
        m->unknown_origin = mask->unknown_origin;
        m->unknown_rule = (uint8_t)m->rule_count;
    }
    m->by_column = m->by_column || mask->names_columns;
    m->by_content = m->by_content || mask->detector_count > 0;
    m->rule_count++;
}

enum err pg_masks_create(const struct policy_mask *const *items, size_t count, uint64_t version,
                         struct bytes key, struct masker_cache *detectors, struct pg_masks **out,
                         struct err_text *why)
{
    if (count > POLICY_MASKS_MAX) {
        return err_set(why, ERR_LIMIT, "too many masks apply to this session");
    }
    struct pg_masks *m = calloc(1, sizeof(*m) + count * sizeof(m->rules[0]));
    if (m == NULL) {
        return err_set(why, ERR_NO_MEMORY, "out of memory");
    }
    m->references = 1;
    m->version = version;
    for (size_t i = 0; i < count; i++) {
        take_rule(m, items[i]);
    }
    enum err e = masker_create_cached(detectors, items, count, key, &m->masker, why);
    if (e != OK) {
        free(m);
        return e;
    }
    *out = m;
    return OK;
}

struct pg_masks *pg_masks_ref(struct pg_masks *m)
{
    m->references++;
    return m;
}

void pg_masks_unref(struct pg_masks *m)
{
    if (m != NULL && --m->references == 0) {
        masker_destroy(m->masker);
        free(m);
    }
}

/* ---- refusals ------------------------------------------------------------------------------ */

static void refuse(struct pg_plan *p, size_t rule, const char *why, const char *what)
{
    if (p->refusal[0] == '\0') {
        p->refused_by = (uint8_t)rule;
        (void)snprintf(p->refusal, sizeof(p->refusal), "%s%s", why == NULL ? "" : why, what);
    }
}

/* The first rule of a set; the set is not empty. LINEAGE_SENSITIVE counts as unknown. */
static size_t first_rule(const struct pg_masks *m, uint64_t rules)
{
    rules &= ~LINEAGE_SENSITIVE;
    size_t i = rules == 0 ? m->unknown_rule : (size_t)__builtin_ctzll(rules);
    return i < m->rule_count ? i : m->unknown_rule;
}

/* The rules of a set of which `allows` is not true. */
static uint64_t without(const struct pg_masks *m, uint64_t rules, bool computed)
{
    uint64_t left = 0;
    for (size_t i = 0; i < LINEAGE_RULES_MAX; i++) {
        bool is_in = (rules >> i & 1) != 0;
        bool allowed =
            i < m->rule_count && (computed ? m->rules[i].computed_null : m->rules[i].predicates);
        left |= is_in && !allowed ? UINT64_C(1) << i : 0;
    }
    if ((rules & LINEAGE_SENSITIVE) != 0 && m->unknown_origin == POLICY_UNKNOWN_REFUSE) {
        left |= LINEAGE_SENSITIVE;
    }
    return left;
}

static void check_uses(struct pg_plan *p, const struct lineage_statement *s, bool is_query)
{
    const struct pg_masks *m = p->masks;
    uint64_t filtered = without(m, s->filtered, false);
    if (filtered != 0) {
        refuse(p, first_rule(m, filtered), s->filtered_why, "");
    }
    uint64_t stored = s->stored;
    if (m->unknown_origin == POLICY_UNKNOWN_ALLOW) {
        stored &= ~LINEAGE_SENSITIVE;
    }
    if (stored != 0) {
        refuse(p, first_rule(m, stored), s->stored_why, "");
    }
    if ((s->altered & ~LINEAGE_SENSITIVE) != 0) {
        refuse(p, first_rule(m, s->altered), s->altered_why, "");
    }
    bool may_go_on = m->unknown_origin == POLICY_UNKNOWN_ALLOW ||
                     (m->unknown_origin == POLICY_UNKNOWN_NULL && is_query);
    if (s->unknown && !may_go_on) {
        refuse(p, m->unknown_rule, s->unknown_why, ": where its values come from cannot be known");
    }
}

/* ---- outputs ------------------------------------------------------------------------------- */

static struct masker_column unknown_column(struct pg_plan *p)
{
    const struct pg_masks *m = p->masks;
    if (m->unknown_origin == POLICY_UNKNOWN_REFUSE) {
        refuse(p, m->unknown_rule, NULL, "where a value of the result comes from cannot be known");
    }
    return (struct masker_column){.action = m->unknown_origin == POLICY_UNKNOWN_ALLOW ? MASKER_PASS
                                                                                      : MASKER_NULL,
                                  .rule = m->unknown_rule};
}

static struct masker_column plan_column(struct pg_plan *p, const struct lineage_output *o,
                                        size_t number)
{
    const struct pg_masks *m = p->masks;
    if (o->origin == LINEAGE_CLEAN) {
        return (struct masker_column){.action = MASKER_PASS};
    }
    if (o->origin == LINEAGE_UNKNOWN || (o->rules & LINEAGE_SENSITIVE) != 0 || o->rules == 0) {
        return unknown_column(p);
    }
    uint8_t rule = (uint8_t)first_rule(m, o->rules);
    bool is_one = (o->rules & (o->rules - 1)) == 0;
    if (o->origin == LINEAGE_COLUMN) {
        /* Several rules for one column: what each would leave may add up to the value. */
        return (struct masker_column){.action = is_one ? MASKER_REDACT : MASKER_NULL, .rule = rule};
    }
    uint64_t refusing = without(m, o->rules, true);
    if (refusing != 0) {
        char why[96];
        (void)snprintf(why, sizeof(why), "column %zu of the result is computed from masked columns",
                       number + 1);
        refuse(p, first_rule(m, refusing), NULL, why);
    }
    return (struct masker_column){.action = MASKER_NULL, .rule = rule};
}

static bool plan_outputs(struct pg_plan *p, const struct lineage_statement *s,
                         struct pg_plan_rows *rows)
{
    rows->outputs_known = s->outputs_known;
    rows->rule = p->masks->unknown_rule;
    if (!s->outputs_known) {
        rows->masks = p->masks->unknown_origin != POLICY_UNKNOWN_ALLOW;
        if (p->masks->unknown_origin == POLICY_UNKNOWN_REFUSE) {
            refuse(p, p->masks->unknown_rule, NULL,
                   "where the values of the result come from cannot be known");
        }
        return true;
    }
    rows->columns = calloc(s->output_count + 1, sizeof(*rows->columns));
    if (rows->columns == NULL) {
        return false;
    }
    rows->column_count = s->output_count;
    for (size_t i = 0; i < s->output_count; i++) {
        rows->columns[i] = plan_column(p, &s->outputs[i], i);
        rows->masks = rows->masks || rows->columns[i].action != MASKER_PASS;
    }
    return true;
}

static bool rows_copy(struct pg_plan_rows *to, const struct pg_plan_rows *from)
{
    *to = *from;
    to->columns = calloc(from->column_count + 1, sizeof(*to->columns));
    if (to->columns == NULL) {
        to->column_count = 0;
        return false;
    }
    if (from->column_count > 0) {
        memcpy(to->columns, from->columns, from->column_count * sizeof(*to->columns));
    }
    return true;
}

static bool plan_statement(struct pg_plan *p, const struct lineage_statement *s, bool is_query,
                           struct pg_plan_rows *rows, pg_plan_follow_fn *follow, void *context)
{
    rows->is_copy = s->kind == LINEAGE_COPY_OUT;
    rows->copy = s->copy;
    rows->outputs_known = true;
    check_uses(p, s, is_query);
    if (s->clean) {
        rows->withholds = s->may_speak;
        return true;
    }
    if (s->kind == LINEAGE_FETCH || s->kind == LINEAGE_EXECUTE) {
        const struct pg_plan_rows *known = follow(context, s->kind, s->name);
        if (known != NULL) {
            return rows_copy(rows, known);
        }
        rows->masks = true;
        rows->outputs_known = false;
        rows->withholds = true;
        rows->rule = p->masks->unknown_rule;
        if (p->masks->unknown_origin == POLICY_UNKNOWN_REFUSE) {
            refuse(p, p->masks->unknown_rule, NULL,
                   s->kind == LINEAGE_FETCH ? "Chaperone does not know this cursor"
                                            : "Chaperone does not know this prepared statement");
        }
        return true;
    }
    rows->withholds = s->may_speak || s->unknown;
    return plan_outputs(p, s, rows);
}

/* ---- the plan ------------------------------------------------------------------------------ */

static struct pg_plan *plan_new(struct pg_masks *masks, size_t count)
{
    struct pg_plan *p = calloc(1, sizeof(*p) + count * sizeof(p->rows[0]));
    if (p != NULL) {
        p->references = 1;
        p->masks = pg_masks_ref(masks);
        p->count = count;
    }
    return p;
}

/* The binary format says nothing of its columns' types, and a number can hide in eight bytes. */
static void check_copy(struct pg_plan *p, const struct lineage_statement *s)
{
    if (p->masks->by_content && s->kind == LINEAGE_COPY_OUT &&
        s->copy.format == LINEAGE_COPY_AS_BINARY) {
        refuse(p, p->masks->unknown_rule, NULL,
               "COPY in binary cannot be searched for what is to be masked; use text or csv");
    }
}

static bool is_free_of_masks(const struct lineage_statement *s)
{
    return s->kind == LINEAGE_PLAIN && s->clean && !s->unknown && !s->changes_catalog &&
           !s->changes_path && (s->filtered | s->stored | s->altered) == 0;
}

static bool holds_for_shape(const struct lineage *lineage)
{
    return lineage->statement_count == 1 && !lineage->reads_constants && !lineage->reads_views &&
           is_free_of_masks(&lineage->statements[0]);
}

struct pg_plan *pg_plan_create(struct pg_masks *masks, const struct lineage *lineage,
                               bool by_column, const bool *is_query, size_t count,
                               pg_plan_follow_fn *follow, void *context)
{
    struct pg_plan *p = plan_new(masks, lineage->statement_count);
    if (p != NULL) {
        p->reads_views = by_column && lineage->reads_views;
        p->holds_for_shape = holds_for_shape(lineage);
    }
    for (size_t i = 0; p != NULL && i < p->count; i++) {
        const struct lineage_statement *s = &lineage->statements[i];
        p->changes_catalog = p->changes_catalog || s->changes_catalog || s->changes_path;
        check_copy(p, s);
        if (!by_column) {
            p->rows[i] = (struct pg_plan_rows){
                .outputs_known = true, .is_copy = s->kind == LINEAGE_COPY_OUT, .copy = s->copy};
        } else if (!plan_statement(p, s, i < count && is_query[i], &p->rows[i], follow, context)) {
            pg_plan_unref(p);
            return NULL;
        }
    }
    return p;
}

struct pg_plan *pg_plan_refused(struct pg_masks *masks, const char *why)
{
    struct pg_plan *p = plan_new(masks, 0);
    if (p != NULL) {
        refuse(p, masks->unknown_rule, NULL, why);
    }
    return p;
}

struct pg_plan *pg_plan_ref(struct pg_plan *p)
{
    if (p != NULL) {
        p->references++;
    }
    return p;
}

void pg_plan_unref(struct pg_plan *p)
{
    if (p != NULL && --p->references == 0) {
        for (size_t i = 0; i < p->count; i++) {
            free(p->rows[i].columns);
        }
        pg_masks_unref(p->masks);
        free(p);
    }
}

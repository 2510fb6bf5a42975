/* Calls of functions. */
#include <stdio.h>

#include "sidecar/lineage/lineage_internal.h"

struct value window_value(struct walk *w, const PgQuery__WindowDef *d)
{
    struct columns none = {0};
    struct value v = expr_values(w, d->n_partition_clause, d->partition_clause);
    for (size_t i = 0; i < d->n_order_clause && w->failed == OK; i++) {
        const PgQuery__Node *n = d->order_clause[i];
        if (n->node_case == PG_QUERY__NODE__NODE_SORT_BY) {
            v = value_mix(v, order_by(w, n, &none, "a window"));
        } else {
            v = value_mix(v, note_unknown(w, "a part of %s is not known", "a window"));
        }
    }
    if (d->start_offset != NULL) {
        v = value_mix(v, expr_value(w, d->start_offset));
    }
    if (d->end_offset != NULL) {
        v = value_mix(v, expr_value(w, d->end_offset));
    }
    note_filtered(w, v, "a window");
    return value_computed(v);
}

static const char *string_constant(struct walk *w, const PgQuery__Node *n)
{
    if (n->node_case != PG_QUERY__NODE__NODE_A_CONST ||
        n->a_const->val_case != PG_QUERY__A__CONST__VAL_SVAL) {
        return NULL;
    }
    w->reads_constants = true;
    return n->a_const->sval->sval;
}

/* Settings that change what names mean, or who asks. */
static void setting_check(struct walk *w, const PgQuery__FuncCall *f)
{
    const char *name = f->n_args == 0 ? NULL : string_constant(w, f->args[0]);
    if (name == NULL || setting_changes_path(name)) {
        w->effects->changes_path = true;
    }
}

/* The arguments' values: the first one's, the others', those at the places of keys, all. */
struct arguments {
    struct value first, rest, keys, all;
    bool is_rest_constant;
};

static struct arguments arguments_of(struct walk *w, const PgQuery__FuncCall *f)
{
    struct arguments a = {.is_rest_constant = true};
    for (size_t i = 0; i < f->n_args && w->failed == OK; i++) {
        struct value v = value_computed(expr_value(w, f->args[i]));
        a.all = value_mix(a.all, v);
        if (i == 0) {
            a.first = v;
        } else {
            a.rest = value_mix(a.rest, v);
            a.is_rest_constant = a.is_rest_constant && expr_is_constant(f->args[i]);
        }
        if (i % 2 == 0) {
            a.keys = value_mix(a.keys, v);
        }
    }
    return a;
}

static bool call_is_total(const PgQuery__FuncCall *f, const struct arguments *a, const char *name,
                          enum call_class class)
{
    if (strcmp(name, "json_build_object") == 0 || strcmp(name, "jsonb_build_object") == 0) {
        return a->keys.rules == 0 && !f->func_variadic; /* a NULL key is an error */
    }
    switch (class) {
    case CALL_TOTAL: return true;
    case CALL_TOTAL_FIRST: return a->rest.rules == 0 && !f->func_variadic;
    case CALL_TOTAL_SHORT: return a->is_rest_constant && !f->func_variadic;
    case CALL_TOTAL_ONE: return f->n_args == 1 && !f->func_variadic;
    default: return false;
    }
}

static void builtin_note(struct walk *w, const PgQuery__FuncCall *f, const struct arguments *a,
                         const char *name, struct value *v)
{
    enum call_class class = function_class(name);
    char where[96];
    (void)snprintf(where, sizeof(where), "the function %.63s", name);
    if (strcmp(name, "set_config") == 0) {
        setting_check(w, f);
    }
    if (class == CALL_READS) {
        *v = value_mix(*v, note_unknown(w, "what the function %s reads is not known", name));
    } else if (class == CALL_EFFECT) {
        note_stored(w, *v, where);
    } else if (v->rules != 0 && !call_is_total(f, a, name, class)) {
        note_filtered(w, *v, where);
    }
}

/* What chooses or orders an aggregate's rows. */
static struct value aggregate_value(struct walk *w, const PgQuery__FuncCall *f)
{
    struct columns none = {0};
    struct value v = {0};
    for (size_t i = 0; i < f->n_agg_order && w->failed == OK; i++) {
        const PgQuery__Node *n = f->agg_order[i];
        if (n->node_case != PG_QUERY__NODE__NODE_SORT_BY) {
            return note_unknown(w, "a part of %s is not known", "an aggregate");
        }
        v = value_mix(v, order_by(w, n, &none, "an aggregate's ORDER BY"));
    }
    if (f->agg_filter != NULL) {
        struct value filter = expr_value(w, f->agg_filter);
        note_filtered(w, filter, "FILTER");
        v = value_mix(v, filter);
    }
    if (f->over != NULL) {
        v = value_mix(v, window_value(w, f->over));
    }
    return v;
}

struct value call_value(struct walk *w, const PgQuery__FuncCall *f)
{
    const char *schema = NULL;
    const char *name = names_last(f->n_funcname, f->funcname, &schema);
    struct arguments a = arguments_of(w, f);
    struct value v = a.all;
    if (f->agg_distinct) {
        note_filtered(w, v, "DISTINCT");
    }
    if (name_is_builtin(w, NAME_OF_FUNCTION, schema, name)) {
        builtin_note(w, f, &a, name, &v);
    } else if (!marks_trusts(w->marks, schema, name)) {
        v = value_mix(v, note_unknown(w, "the function %s is not PostgreSQL's own", name));
    }
    return value_mix(v, aggregate_value(w, f));
}

struct value field_value_of(struct walk *w, const char *name, struct value v)
{
    v = value_computed(v);
    if (!name_is_builtin(w, NAME_OF_FUNCTION, NULL, name)) {
        if (!marks_trusts(w->marks, NULL, name)) {
            v = value_mix(v, note_unknown(w, "the function %s is not PostgreSQL's own", name));
        }
        return v;
    }
    switch (function_class(name)) {
    case CALL_READS:
        return value_mix(v, note_unknown(w, "what the function %s reads is not known", name));
    case CALL_EFFECT: note_stored(w, v, "a function"); return v;
    default: return v;
    }
}

struct value notation_value(struct walk *w, const char *name, struct value v)
{
    v = field_value_of(w, name, v);
    if (function_class(name) == CALL_OTHER && name_is_builtin(w, NAME_OF_FUNCTION, NULL, name)) {
        note_filtered(w, v, "a function that may fail on it");
    }
    return v;
}

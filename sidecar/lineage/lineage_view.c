/* Relations as a query reads them; views are read through. What a view's definition says is found
 * out when it is first read, and kept with the marks. */
#include "sidecar/lineage/lineage_marks.h"
#include "sidecar/sql/sql.h"

const struct catalog_relation *relation_find(struct walk *w, const char *schema, const char *name)
{
    if (w->is_stale) {
        (void)note_unknown(w, "%s may have changed earlier in the text", name);
        return NULL;
    }
    const struct catalog_relation *r =
        catalog_relation_find(w->marks->catalog, text_or_null(schema), name);
    if (r == NULL) {
        (void)note_unknown(w, "the relation %s is not known", name);
    }
    return r;
}

bool name_is_builtin(struct walk *w, enum name_class class, const char *schema, const char *name)
{
    const struct catalog *c = w->marks->catalog;
    if (w->is_stale && (schema == NULL || strcmp(schema, "pg_catalog") != 0)) {
        return false;
    }
    switch (class) {
    case NAME_OF_FUNCTION: return catalog_function_is_builtin(c, schema, name);
    case NAME_OF_OPERATOR: return catalog_operator_is_builtin(c, schema, name);
    case NAME_OF_TYPE: return catalog_type_is_builtin(c, schema, name);
    }
    return false;
}

/* ---- views -----------------------------------------------------------------------------------
 */

/* The definition comes from the server: the guards that the agent's text has passed are asked for
 * it as well, before the parser recurses into it. */
static const PgQuery__Node *definition_parse(struct walk *w, const char *definition)
{
    struct sql_analysis *guard = NULL;
    enum err e = sql_analyse(bytes_of_string(definition), SQL_TEXT_SIZE_DEFAULT, &guard, NULL);
    sql_analysis_destroy(guard);
    if (e != OK) {
        w->failed = e == ERR_NO_MEMORY && w->failed == OK ? e : w->failed;
        return NULL;
    }
    const PgQuery__ParseResult *tree = NULL;
    e = tree_parse(w->arena, definition, &tree);
    w->failed = e == ERR_NO_MEMORY ? e : w->failed;
    if (e != OK) {
        return NULL;
    }
    return tree->n_stmts == 1 ? tree->stmts[0]->stmt : NULL;
}

/* The definition's outputs, in an empty room: nothing of the statement around is visible. */
static void definition_walk(struct walk *w, const PgQuery__Node *n, struct effects *effects,
                            struct columns *out)
{
    struct walk saved = *w;
    w->effects = effects;
    w->level = NULL;
    w->ctes = NULL;
    w->view_depth++;
    query_any(w, n, out);
    w->effects = saved.effects;
    w->level = saved.level;
    w->ctes = saved.ctes;
    w->view_depth--;
}

static struct value view_value(struct value own, struct value defined)
{
    if (own.rules == 0) {
        return defined;
    }
    if (defined.origin == LINEAGE_CLEAN) {
        return own;
    }
    defined.rules |= own.rules;
    return defined;
}

static const char *cache_text(struct walk *w, const char *text)
{
    char *copy = text == NULL ? NULL : arena_copy_string(w->marks->arena, bytes_of_string(text));
    if (text != NULL && copy == NULL && w->failed == OK) {
        w->failed = ERR_NO_MEMORY;
    }
    return copy;
}

static void view_keep(struct walk *w, struct marked *m, const struct effects *effects,
                      const struct columns *defined)
{
    const struct catalog_relation *r = m->relation;
    bool is_whole = !defined->is_open && defined->count == r->column_count;
    for (size_t i = 0; i < r->column_count; i++) {
        struct value unknown = {.origin = LINEAGE_UNKNOWN, .rules = defined->rest.rules};
        m->values[i] = view_value(m->values[i], is_whole ? defined->items[i].value : unknown);
    }
    m->effects = *effects;
    if (!is_whole) {
        m->effects.unknown = true;
        m->effects.unknown_why = m->effects.unknown_why == NULL
                                     ? "the columns of a view are not known"
                                     : m->effects.unknown_why;
    }
    m->effects.filtered_why = cache_text(w, m->effects.filtered_why);
    m->effects.stored_why = cache_text(w, m->effects.stored_why);
    m->effects.altered_why = cache_text(w, m->effects.altered_why);
    m->effects.unknown_why = cache_text(w, m->effects.unknown_why);
    m->effects.reach |= m->own;
    m->state = w->failed == OK ? VIEW_DONE : VIEW_NEW;
}

static void view_evaluate(struct walk *w, struct marked *m)
{
    struct effects effects = {0};
    struct columns defined = {0};
    m->state = VIEW_BUSY;
    const char *definition = m->relation->definition;
    const PgQuery__Node *n = definition == NULL ? NULL : definition_parse(w, definition);
    if (w->failed != OK) {
        m->state = VIEW_NEW;
        return;
    }
    if (n == NULL) {
        struct effects *outer = w->effects;
        w->effects = &effects;
        (void)note_unknown(w, "the definition of the view %s is not known", m->relation->name);
        w->effects = outer;
        defined.is_open = true;
    } else {
        definition_walk(w, n, &effects, &defined);
    }
    if (w->failed != OK) {
        m->state = VIEW_NEW;
        return;
    }
    view_keep(w, m, &effects, &defined);
}

struct marked *view_read(struct walk *w, const struct catalog_relation *r)
{
    struct marked *m = marks_entry(w->marks, r);
    if (m == NULL) {
        w->failed = w->failed == OK ? ERR_NO_MEMORY : w->failed;
        return NULL;
    }
    if (m->state == VIEW_DONE) {
        return m;
    }
    if (m->state == VIEW_BUSY || w->view_depth >= LINEAGE_VIEW_DEPTH_MAX) {
        w->failed = ERR_LIMIT;
        return m;
    }
    if (walk_enter(w)) {
        view_evaluate(w, m);
        walk_leave(w);
    }
    return m;
}

/* ---- reading ---------------------------------------------------------------------------------
 */

static bool is_read_through(const struct catalog_relation *r)
{
    return (r->kind == CATALOG_VIEW || r->kind == CATALOG_MATERIALIZED_VIEW) && !r->is_system;
}

void relation_columns(struct walk *w, const struct catalog_relation *r, struct columns *out)
{
    const struct marked *m = is_read_through(r) ? view_read(w, r) : marks_find(w->marks, r->oid);
    if (r->kind == CATALOG_VIEW && !r->is_system) {
        w->effects->reads_views = true;
    }
    if (r->has_rules) {
        (void)note_unknown(w, "the relation %s has rules", r->name);
    }
    for (size_t i = 0; i < r->column_count && w->failed == OK; i++) {
        struct value v = m == NULL ? (struct value){0} : m->values[i];
        cast_check_column(w, &r->columns[i], &v);
        columns_add(w, out, r->columns[i].name, v);
    }
    if (m != NULL) {
        w->effects->reach |= m->own;
        effects_merge(w->effects, &m->effects);
    }
}

uint64_t lineage_marks_of(const struct lineage_marks *m, uint32_t relation, int16_t number,
                          bool *out_known)
{
    const struct catalog_relation *r = catalog_relation_by_oid(m->catalog, relation);
    *out_known = r != NULL;
    if (r == NULL) {
        return 0;
    }
    const struct marked *marked = marks_find(m, relation);
    if (is_read_through(r)) {
        struct effects effects = {0};
        struct walk w = {.marks = m, .effects = &effects};
        w.arena = arena_create(SCRATCH_BLOCK, SCRATCH_MAX);
        if (w.arena != NULL) {
            marked = view_read(&w, r);
        }
        *out_known = w.arena != NULL && w.failed == OK && marked != NULL;
        arena_destroy(w.arena);
    }
    for (size_t i = 0; i < r->column_count; i++) {
        if (r->columns[i].number == number) {
            struct value v = marked == NULL ? (struct value){0} : marked->values[i];
            *out_known = *out_known && v.origin != LINEAGE_UNKNOWN;
            return v.rules;
        }
    }
    *out_known = number < 0; /* ctid, xmin, ... */
    return 0;
}

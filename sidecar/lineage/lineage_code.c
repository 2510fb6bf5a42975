/* Code that runs without being named: functions of CREATE CAST, and what runs when rows are
 * written. What is not PostgreSQL's own, nor as good, may do anything, unless the policy says that
 * it does not. */
#include <stdio.h>

#include "sidecar/lineage/lineage_internal.h"

enum { WHAT_MAX = 320 };

/* A cast without a function has no name that a policy could trust. */
static bool code_is_trusted(const struct lineage_marks *m, const struct catalog_code *code)
{
    return code->name != NULL && marks_trusts(m, code->schema, code->name);
}

static struct value cast_note(struct walk *w, const struct catalog_cast *cast)
{
    char what[WHAT_MAX];
    (void)snprintf(what, sizeof(what), "%.63s, which casts values of %s%.63s,",
                   cast->code.name == NULL ? "behind CREATE CAST" : cast->code.name,
                   cast->type_name == NULL ? "any type" : "the type ",
                   cast->type_name == NULL ? "" : cast->type_name);
    return note_unknown(w, "the function %s is not PostgreSQL's own", what);
}

bool lineage_marks_know_type(const struct lineage_marks *m, uint32_t type)
{
    size_t count = 0;
    const struct catalog_cast *casts = catalog_casts(marks_catalog(m), &count);
    for (size_t i = 0; i < count; i++) {
        if ((casts[i].type == 0 || casts[i].type == type) && !code_is_trusted(m, &casts[i].code)) {
            return false;
        }
    }
    return true;
}

/* ---- casts ----------------------------------------------------------------------------------- */

void cast_check_anywhere(struct walk *w, struct value *v)
{
    size_t count = 0;
    const struct catalog_cast *casts = catalog_casts(marks_catalog(w->marks), &count);
    for (size_t i = 0; i < count && casts[i].type == 0; i++) {
        walk_step(w, 1);
        if (!code_is_trusted(w->marks, &casts[i].code)) {
            *v = value_mix(*v, cast_note(w, &casts[i]));
            return;
        }
    }
}

void cast_check_column(struct walk *w, const struct catalog_column *c, struct value *v)
{
    size_t count = 0;
    const struct catalog_cast *casts = catalog_casts(marks_catalog(w->marks), &count);
    for (size_t i = 0; i < count; i++) {
        walk_step(w, 1);
        bool is_it = casts[i].type == 0 || (casts[i].type == c->type && casts[i].type_name != NULL);
        if (is_it && !code_is_trusted(w->marks, &casts[i].code)) {
            *v = value_mix(*v, cast_note(w, &casts[i]));
            return;
        }
    }
}

/* By its name alone, in whatever schema: what has such a cast is rare. */
void cast_check_type(struct walk *w, const PgQuery__TypeName *t, struct value *v)
{
    size_t count = 0;
    const struct catalog_cast *casts = catalog_casts(marks_catalog(w->marks), &count);
    const char *schema = NULL;
    const char *name = t == NULL ? "" : names_last(t->n_names, t->names, &schema);
    for (size_t i = 0; i < count; i++) {
        walk_step(w, 1);
        bool is_it = casts[i].type == 0 ||
                     (casts[i].type_name != NULL && strcmp(casts[i].type_name, name) == 0);
        if (is_it && !code_is_trusted(w->marks, &casts[i].code)) {
            *v = value_mix(*v, cast_note(w, &casts[i]));
            return;
        }
    }
}

/* To an enumeration leads only its input function, or a function of CREATE CAST, which the catalog
 * tells (cast_check_type). */
bool type_is_foreign(struct walk *w, const char *schema, const char *name)
{
    return !name_is_builtin(w, NAME_OF_TYPE, schema, name) &&
           (w->is_stale || !catalog_type_is_enum(marks_catalog(w->marks), schema, name)) &&
           !marks_trusts(w->marks, schema, name);
}

void type_check_read(struct walk *w, const PgQuery__TypeName *t, struct value *v)
{
    const char *schema = NULL;
    if (t == NULL) {
        return;
    }
    const char *name = names_last(t->n_names, t->names, &schema);
    cast_check_type(w, t, v);
    if (type_is_foreign(w, schema, name)) {
        *v = value_mix(*v, note_unknown(w, "the type %s is not PostgreSQL's own", name));
    }
}

void cast_check_new_type(struct walk *w, const struct catalog_relation *r,
                         const PgQuery__TypeName *t)
{
    struct value ignored = {0};
    if (t == NULL) {
        return;
    }
    type_check_read(w, t, &ignored);
    for (size_t i = 0; r != NULL && i < r->column_count; i++) {
        cast_check_column(w, &r->columns[i], &ignored);
    }
}

/* ---- writing --------------------------------------------------------------------------------- */

bool writing_check(struct walk *w, const struct catalog_relation *r)
{
    for (size_t i = 0; i < r->writing_count; i++) {
        const struct catalog_code *code = &r->writing[i];
        walk_step(w, 1);
        if (code_is_trusted(w->marks, code)) {
            continue;
        }
        char what[WHAT_MAX];
        (void)snprintf(what, sizeof(what), "%.63s, which runs when %.63s.%.63s is written,",
                       code->name, r->schema, r->name);
        (void)note_unknown(w, "the function %s is not PostgreSQL's own", what);
        note_stored_unknown(w, "the function %s may store what is masked", what);
        return false;
    }
    return true;
}

/* Operations that last only when their transaction is committed (docs/adr/0014-commit.md). */
#include "sidecar/protocol/postgres/postgres_internal.h"

/* What the text cannot show, where the target's catalog is known. */
static bool is_plain(const struct postgres *p, const struct sql_object *o)
{
    const struct catalog *c = p->masking.catalog;
    if (o->kind == SQL_FUNCTION) {
        return catalog_function_is_builtin(c, o->schema, o->name);
    }
    const struct catalog_relation *r = catalog_relation_find(c, o->schema, o->name);
    if (r == NULL || r->has_rules || r->is_foreign) {
        return false;
    }
    bool is_table = r->kind == CATALOG_TABLE && (o->access == SQL_READ || r->writing_count == 0);
    return is_table || (r->is_system && o->access == SQL_READ);
}

static bool are_plain(const struct postgres *p, const struct sql_analysis *a)
{
    if (p->masking.masks == NULL) {
        return true; /* nothing is known: the catalog is read only where something is masked */
    }
    if (p->masking.catalog == NULL || postgres_masking_is_outdated(p)) {
        return false;
    }
    for (size_t i = 0; i < a->statement_count; i++) {
        const struct sql_statement *s = &a->statements[i];
        for (size_t j = 0; j < s->object_count; j++) {
            if (!is_plain(p, &s->objects[j])) {
                return false;
            }
        }
    }
    return true;
}

/* What the last ReadyForQuery said counts only where nothing was sent since then that may have
 * changed it: a pipelined COMMIT need not have been answered, and its answer says nothing of it. */
bool postgres_is_provisional(const struct postgres *p, const struct sql_analysis *a)
{
    return p->transaction == 'T' && pg_queue_is_settled(&p->queue) && are_plain(p, a);
}

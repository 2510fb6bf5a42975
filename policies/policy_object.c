#include "policies/policy_object.h"

#include <strings.h>

static enum kind_group kind_group(const char *kind)
{
    static const struct {
        const char *kind;
        enum kind_group group;
    } groups[] = {
        {"table", KIND_TABLE},     {"function", KIND_FUNCTION}, {"view", KIND_TABLE},
        {"index", KIND_TABLE},     {"sequence", KIND_TABLE},    {"procedure", KIND_FUNCTION},
        {"setting", KIND_SESSION}, {"channel", KIND_SESSION},   {"statement", KIND_SESSION},
        {"type", KIND_TYPE},       {"schema", KIND_SCHEMA},
    };
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        if (strcmp(groups[i].kind, kind) == 0) {
            return groups[i].group;
        }
    }
    return KIND_OTHER;
}

static bool moves_search_path(const struct policy_object *o, const struct target *t)
{
    /* A function with the access "session" is set_config, whose argument is not known. */
    return t->access == ACCESS_SESSION &&
           (t->group == KIND_FUNCTION ||
            (o->name != NULL && strcasecmp(o->name, "search_path") == 0));
}

void target_read(const struct policy_object *o, struct target *out)
{
    out->object = o;
    out->group = kind_group(o->kind == NULL ? "" : o->kind);
    out->access = access_parse(o->access == NULL ? "" : o->access);
    out->moves_search_path = moves_search_path(o, out);
    if (out->group <= KIND_SCHEMA) {
        plain_name_read(o->name == NULL ? "" : o->name, &out->name);
    }
}

/* --- columns --------------------------------------------------------------------------- */

static bool is_any(const struct column_pattern *p)
{
    return !p->column_is_literal && strcmp(p->column, "*") == 0;
}

static bool column_is_covered(const struct column_patterns *patterns,
                              const struct plain_name *table, const char *column)
{
    for (size_t i = 0; i < patterns->count; i++) {
        const struct column_pattern *p = &patterns->items[i];
        bool matches = strcmp(column, "*") == 0
                           ? is_any(p)
                           : part_matches(p->column, p->column_is_literal, column);
        if (matches && name_matches(&p->table, table, NAME_TABLE, false)) {
            return true;
        }
    }
    return false;
}

static bool columns_cover(const struct column_patterns *patterns, const struct target *t)
{
    for (size_t i = 0; i < t->object->column_count; i++) {
        if (!column_is_covered(patterns, &t->name, t->object->columns[i])) {
            return false;
        }
    }
    return t->object->column_count > 0;
}

static bool columns_may_be(const struct column_patterns *patterns, const struct target *t)
{
    for (size_t i = 0; i < patterns->count; i++) {
        const struct column_pattern *p = &patterns->items[i];
        if (!name_matches(&p->table, &t->name, NAME_TABLE, true)) {
            continue;
        }
        for (size_t j = 0; j < t->object->column_count; j++) {
            const char *column = t->object->columns[j];
            if (strcmp(column, "*") == 0 || part_matches(p->column, p->column_is_literal, column)) {
                return true;
            }
        }
    }
    return false;
}

/* --- rules that let through ------------------------------------------------------------ */

static bool table_is_covered(const struct rule *rule, const struct target *t)
{
    return rule->has_tables &&
           (rule->tables.count == 0 ||
            any_name_matches(&rule->tables, &t->name, NAME_TABLE, false)) &&
           (rule->schemas.count == 0 ||
            any_name_matches(&rule->schemas, &t->name, NAME_TABLE, false)) &&
           (rule->columns.count == 0 || columns_cover(&rule->columns, t));
}

static bool function_is_covered(const struct rule *rule, const struct target *t)
{
    if (rule->functions.count > 0) {
        return any_name_matches(&rule->functions, &t->name, NAME_FUNCTION, false);
    }
    /* Without a list, a statement calls what is found by its name alone, what PostgreSQL brings,
     * and what is in the listed schemas. */
    return rule->schemas.count == 0 || !t->name.has_schema ||
           strcmp(t->name.schema, "pg_catalog") == 0 ||
           any_name_matches(&rule->schemas, &t->name, NAME_FUNCTION, false);
}

static bool schema_is_listed(const struct rule *rule, const struct plain_name *n)
{
    for (size_t i = 0; i < rule->schemas.count; i++) {
        const struct name_pattern *p = &rule->schemas.items[i];
        if (n->is_too_long || part_matches(p->schema, p->schema_is_literal, n->name)) {
            return true;
        }
    }
    return false;
}

/* A rule that lists names says nothing about roles, files, programs. */
static bool names_cover(const struct rule *rule, const struct target *t)
{
    if (!rule->has_names) {
        return true;
    }
    if (t->moves_search_path) {
        return false; /* or `orders` would no longer be the table that it lists */
    }
    bool is_schemas_alone =
        rule->tables.count == 0 && rule->columns.count == 0 && rule->functions.count == 0;
    switch (t->group) {
    case KIND_TABLE: return table_is_covered(rule, t);
    case KIND_FUNCTION: return function_is_covered(rule, t);
    case KIND_TYPE:
        return is_schemas_alone && any_name_matches(&rule->schemas, &t->name, NAME_FUNCTION, false);
    case KIND_SCHEMA:
        return is_schemas_alone && !t->name.is_too_long && schema_is_listed(rule, &t->name);
    case KIND_SESSION: return true;
    case KIND_OTHER: break;
    }
    return false;
}

bool rule_covers(const struct rule *rule, const struct target *t)
{
    return (rule->covers & t->access & ~(uint32_t)ACCESS_UNKNOWN) != 0 && names_cover(rule, t);
}

bool rule_covers_beside(const struct rule *rule, const struct target *t, uint32_t beside)
{
    return (rule->covers & beside) != 0 && names_cover(rule, t);
}

/* --- rules that forbid ----------------------------------------------------------------- */

bool rule_names(const struct rule *rule, const struct target *t, bool all_accesses)
{
    if (!all_accesses && (rule->accesses & t->access) == 0) {
        return false;
    }
    switch (t->group) {
    case KIND_TABLE:
        return any_name_matches(&rule->tables, &t->name, NAME_TABLE, true) ||
               any_name_matches(&rule->schemas, &t->name, NAME_TABLE, true) ||
               columns_may_be(&rule->columns, t);
    case KIND_FUNCTION:
        return any_name_matches(&rule->functions, &t->name, NAME_FUNCTION, true) ||
               any_name_matches(&rule->schemas, &t->name, NAME_FUNCTION, true);
    case KIND_TYPE: return any_name_matches(&rule->schemas, &t->name, NAME_FUNCTION, true);
    case KIND_SCHEMA: return schema_is_listed(rule, &t->name);
    case KIND_SESSION:
    case KIND_OTHER: break;
    }
    return false;
}

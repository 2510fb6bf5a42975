/* Masks: which of them hold, and what they name. */
#include "policies/policy_internal.h"

struct gathering {
    const struct policy *policy;
    enum about other; /* rules that can never be about this session */
    const struct policy_mask **out;
    size_t count;
    bool is_complete;
};

static void gather(void *context, size_t index)
{
    struct gathering *g = context;
    const struct rule *rule = &g->policy->rules[index];
    if (rule->about != ABOUT_ANYTHING && rule->about == g->other) {
        return;
    }
    for (size_t i = 0; i < rule->mask_count && !rule->is_shadow; i++) {
        if (g->count == POLICY_MASKS_MAX) {
            g->is_complete = false;
            return;
        }
        g->out[g->count++] = &rule->masks[i];
    }
}

/* ABOUT_ANYTHING: it is not known, so all count. */
static enum about about_other(const char *protocol)
{
    bool is_sql = protocol != NULL && strcmp(protocol, "postgres") == 0;
    bool is_http = protocol != NULL && strcmp(protocol, "http") == 0;
    return is_sql ? ABOUT_HTTP : is_http ? ABOUT_SQL : ABOUT_ANYTHING;
}

size_t policy_masks(const struct policy *policy, const struct policy_request *who,
                    const struct policy_mask *out[POLICY_MASKS_MAX], bool *out_complete)
{
    struct gathering g = {
        .policy = policy, .other = about_other(who->protocol), .out = out, .is_complete = true};
    if (policy->has_masks) {
        rules_apply(policy, who, gather, &g);
    }
    *out_complete = g.is_complete;
    return g.count;
}

bool policy_has_masks(const struct policy *policy)
{
    return policy->has_masks;
}

static bool any_column_matches(const struct column_patterns *p, const char *schema,
                               const char *table, const char *column)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct column_pattern *c = &p->items[i];
        if (part_matches(c->table.schema, c->table.schema_is_literal, schema) &&
            part_matches(c->table.name, c->table.name_is_literal, table) &&
            part_matches(c->column, c->column_is_literal, column)) {
            return true;
        }
    }
    return false;
}

enum { TYPE_NAME_SIZE = 256 };

/* Whether the server prints its schema depends on the search path: "mood" and "public.mood". An
 * array of values of a type holds what is masked. */
static bool type_matches(const char *pattern, const char *type_name)
{
    char element[TYPE_NAME_SIZE];
    size_t size = strlen(type_name);
    if (glob_matches(pattern, type_name)) {
        return true;
    }
    if (size >= sizeof(element)) {
        return false;
    }
    memcpy(element, type_name, size + 1);
    while (size > 2 && strcmp(element + size - 2, "[]") == 0) {
        element[size -= 2] = '\0';
    }
    const char *dot = strrchr(element, '.');
    return glob_matches(pattern, element) || (dot != NULL && glob_matches(pattern, dot + 1));
}

bool policy_mask_matches(const struct policy_mask *mask, const char *schema, const char *table,
                         const char *column, const char *type_name)
{
    const struct policy_mask_names *names = mask->names;
    if (!mask->names_columns) {
        return false;
    }
    if (any_column_matches(&names->columns, schema, table, column)) {
        return true;
    }
    for (size_t i = 0; i < names->tag_count; i++) {
        if (any_column_matches(&names->tags[i], schema, table, column)) {
            return true;
        }
    }
    for (size_t i = 0; i < names->types.count && type_name != NULL; i++) {
        if (type_matches(names->types.items[i], type_name)) {
            return true;
        }
    }
    return false;
}

static bool part_copy(const char *text, char out[256])
{
    size_t size = strlen(text);
    if (size >= 256) {
        return false;
    }
    memcpy(out, text, size + 1);
    return true;
}

bool policy_mask_trusts(const struct policy_mask *mask, const char *schema, const char *function)
{
    struct plain_name name = {.has_schema = schema != NULL && schema[0] != '\0'};
    return mask->names != NULL && part_copy(function, name.name) &&
           (!name.has_schema || part_copy(schema, name.schema)) &&
           any_name_matches(&mask->names->trusted, &name, NAME_FUNCTION, false);
}

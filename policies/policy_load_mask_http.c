/* What an item of `mask` names: columns of SQL, fields of HTTP. */
#include "policies/policy_load.h"

static enum err headers_read(struct load *l, const struct conf_node *item, struct texts *out)
{
    const struct conf_node *list = NULL;
    enum err e = load_list(l, item, "headers", &list);
    if (e != OK || list == NULL) {
        return e;
    }
    const char **names = arena_alloc(l->arena, conf_count(list) * sizeof(const char *));
    if (names == NULL) {
        return load_no_memory(l);
    }
    size_t count = 0;
    for (const struct conf_node *n = conf_first(list); n != NULL && e == OK; n = conf_next(n)) {
        const char *text = "";
        e = conf_as_string(n, &text, l->why);
        e = e == OK ? load_field_name(l, n, text, &names[count++]) : e;
    }
    *out = (struct texts){.items = names, .count = count};
    return e;
}

/* Names that can never be meant by the rule. */
static enum err about_check(struct load *l, const struct conf_node *item, const struct rule *rule)
{
    static const char *const of_sql[] = {
        "columns", "tags", "types", "predicates", "computed", "trusted_functions", NULL};
    static const char *const of_http[] = {"fields", "json", "headers", NULL};
    const char *const *names = rule->about == ABOUT_HTTP  ? of_sql
                               : rule->about == ABOUT_SQL ? of_http
                                                          : NULL;
    for (; names != NULL && *names != NULL; names++) {
        if (conf_get(item, *names) != NULL) {
            return conf_fail(
                conf_get(item, *names), l->why,
                rule->about == ABOUT_HTTP
                    ? "it is about SQL, and the rule is about HTTP: expected `fields`, "
                      "`json`, `headers` or `detect`"
                    : "it is about HTTP, and the rule is about SQL: expected "
                      "`columns`, `tags`, `types` or `detect`");
        }
    }
    return OK;
}

enum err load_mask_http(struct load *l, const struct conf_node *item, const struct rule *rule,
                        struct policy_mask_names *names, struct policy_mask *mask)
{
    struct step_patterns *pointers = arena_alloc(l->arena, sizeof(*pointers));
    if (pointers == NULL) {
        return load_no_memory(l);
    }
    names->pointers = pointers;
    enum err e = about_check(l, item, rule);
    e = e == OK ? load_texts(l, item, "fields", &names->fields) : e;
    e = e == OK ? load_pointers(l, item, "json", pointers) : e;
    e = e == OK ? headers_read(l, item, &names->headers) : e;
    mask->names_http = names->fields.count + pointers->count + names->headers.count > 0;
    return e;
}

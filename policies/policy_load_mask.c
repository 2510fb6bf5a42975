/* Tags, and the items of a rule's `mask`. */
#include <stdlib.h>

#include "policies/policy_load.h"

/* --- tags ------------------------------------------------------------------------------ */

enum err load_tags(struct load *l, const struct conf_node *root)
{
    const struct conf_node *map = NULL;
    enum err e = conf_read_map(root, "tags", &map, l->why);
    if (e != OK || map == NULL) {
        return e;
    }
    struct tag *tags = arena_alloc(l->arena, (conf_count(map) + 1) * sizeof(*tags));
    if (tags == NULL) {
        return load_no_memory(l);
    }
    l->tags = tags;
    for (const struct conf_node *n = conf_first(map); n != NULL && e == OK; n = conf_next(n)) {
        struct tag *tag = &tags[l->tag_count++];
        e = load_check_name(l, n, conf_key(n));
        e = e == OK ? load_copy_text(l, conf_key(n), &tag->name) : e;
        e = e == OK ? load_columns(l, map, conf_key(n), &tag->columns) : e;
    }
    return e;
}

static enum err tag_find(struct load *l, const struct conf_node *n, size_t *out)
{
    const char *text = "";
    enum err e = conf_as_string(n, &text, l->why);
    if (e == OK && l->tag_count == 0) {
        return conf_fail(n, l->why, "the policy has no `tags`, found \"%.60s\"", text);
    }
    struct conf_choice *choices =
        e == OK ? calloc(l->tag_count + 1, sizeof(struct conf_choice)) : NULL;
    if (e == OK && choices == NULL) {
        return load_no_memory(l);
    }
    for (size_t i = 0; e == OK && i < l->tag_count; i++) {
        choices[i] = (struct conf_choice){.name = l->tags[i].name, .value = (int)i};
    }
    int index = 0;
    e = e == OK ? conf_as_choice(n, choices, &index, l->why) : e;
    free(choices);
    *out = (size_t)index;
    return e;
}

static enum err tags_read(struct load *l, const struct conf_node *item,
                          struct policy_mask_names *out)
{
    const struct conf_node *list = NULL;
    enum err e = load_list(l, item, "tags", &list);
    if (e != OK || list == NULL) {
        return e;
    }
    if (conf_count(list) > l->tag_count && l->tag_count > 0) {
        return conf_fail(list, l->why, "more tags than the policy has");
    }
    struct column_patterns *tags = arena_alloc(l->arena, conf_count(list) * sizeof(*tags));
    if (tags == NULL) {
        return load_no_memory(l);
    }
    for (const struct conf_node *n = conf_first(list); n != NULL && e == OK; n = conf_next(n)) {
        size_t index = 0;
        e = tag_find(l, n, &index);
        if (e == OK) {
            tags[out->tag_count++] = l->tags[index].columns;
        }
    }
    out->tags = tags;
    return e;
}

/* --- types ----------------------------------------------------------------------------- */

/* What people write for what format_type prints. */
static const char *type_alias(const char *name)
{
    static const struct {
        const char *alias, *name;
    } aliases[] = {
        {"varchar", "character varying"},
        {"char", "character"},
        {"int", "integer"},
        {"int2", "smallint"},
        {"int4", "integer"},
        {"int8", "bigint"},
        {"float4", "real"},
        {"float8", "double precision"},
        {"decimal", "numeric"},
        {"bool", "boolean"},
        {"varbit", "bit varying"},
        {"time", "time without time zone"},
        {"timetz", "time with time zone"},
        {"timestamp", "timestamp without time zone"},
        {"timestamptz", "timestamp with time zone"},
    };
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
        if (strcmp(aliases[i].alias, name) == 0) {
            return aliases[i].name;
        }
    }
    return name;
}

static enum err types_read(struct load *l, const struct conf_node *item, struct texts *out)
{
    const struct conf_node *list = NULL;
    enum err e = load_list(l, item, "types", &list);
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
        if (e == OK && strchr(text, '(') != NULL) {
            e = conf_fail(n, l->why, "expected a type without its length, found \"%.60s\"", text);
        }
        e = e == OK ? load_copy_text(l, type_alias(text), &names[count++]) : e;
    }
    *out = (struct texts){.items = names, .count = count};
    return e;
}

/* --- detectors ------------------------------------------------------------------------- */

/* Those of sidecar/masking/detector.h, which this folder may not depend on. */
static const struct conf_choice built_in[] = {
    {"email", 0},          {"card", 1},      {"iban", 2}, {"ssn", 3},   {"dni", 4},
    {"codice_fiscale", 5}, {"steuer_id", 6}, {"ahv", 7},  {"phone", 8}, {"private_key", 9},
    {"jwt", 10},           {"api_key", 11},  {NULL, 0},
};

static bool is_built_in(const char *name)
{
    for (const struct conf_choice *c = built_in; c->name != NULL; c++) {
        if (strcmp(c->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* One name stands for one expression, in whichever rules: it is what receipts say. */
static enum err custom_register(struct load *l, const struct conf_node *n,
                                const struct policy_detector *d)
{
    for (size_t i = 0; i < l->detector_count; i++) {
        const struct policy_detector *other = &l->detectors[i];
        if (strcmp(other->name, d->name) == 0) {
            bool same =
                strcmp(other->pattern, d->pattern) == 0 && other->is_caseless == d->is_caseless;
            return same ? OK : conf_fail(n, l->why, "\"%s\" has another pattern already", d->name);
        }
    }
    if (l->detector_count == POLICY_DETECTORS_MAX) {
        (void)conf_fail(n, l->why, "at most %d patterns are allowed in a policy",
                        POLICY_DETECTORS_MAX);
        return ERR_LIMIT;
    }
    l->detectors[l->detector_count++] = *d;
    return OK;
}

static enum err custom_read(struct load *l, const struct conf_node *n, struct policy_detector *out)
{
    static const char *const keys[] = {"name", "pattern", "caseless", NULL};
    const char *name = "", *pattern = "";
    enum err e = conf_check_keys(n, keys, l->why);
    e = e == OK ? conf_require(n, "name", l->why) : e;
    e = e == OK ? conf_require(n, "pattern", l->why) : e;
    e = e == OK ? conf_read_string(n, "name", &name, l->why) : e;
    e = e == OK ? load_check_name(l, conf_get(n, "name"), name) : e;
    e = e == OK ? conf_read_string(n, "pattern", &pattern, l->why) : e;
    e = e == OK ? conf_read_bool(n, "caseless", &out->is_caseless, l->why) : e;
    if (e == OK && is_built_in(name)) {
        return conf_fail(conf_get(n, "name"), l->why, "\"%s\" is a built-in detector", name);
    }
    if (e == OK && strlen(pattern) > POLICY_PATTERN_MAX) {
        return conf_fail(conf_get(n, "pattern"), l->why,
                         "expected a pattern of at most %d bytes, found %zu", POLICY_PATTERN_MAX,
                         strlen(pattern));
    }
    e = e == OK ? load_copy_text(l, name, &out->name) : e;
    e = e == OK ? load_copy_text(l, pattern, &out->pattern) : e;
    return e == OK ? custom_register(l, n, out) : e;
}

static enum err detector_read(struct load *l, const struct conf_node *n,
                              struct policy_detector *out)
{
    if (conf_kind(n) == CONF_MAP) {
        return custom_read(l, n, out);
    }
    int index = 0;
    enum err e = conf_as_choice(n, built_in, &index, l->why);
    out->name = built_in[index].name;
    return e;
}

static enum err detectors_read(struct load *l, const struct conf_node *item,
                               struct policy_mask *mask)
{
    const struct conf_node *list = NULL;
    enum err e = load_list(l, item, "detect", &list);
    if (e != OK || list == NULL) {
        return e;
    }
    if (conf_count(list) > POLICY_DETECTORS_MAX) {
        (void)conf_fail(list, l->why, "%zu detectors, at most %d are allowed", conf_count(list),
                        POLICY_DETECTORS_MAX);
        return ERR_LIMIT;
    }
    struct policy_detector *items = arena_alloc(l->arena, conf_count(list) * sizeof(*items));
    if (items == NULL) {
        return load_no_memory(l);
    }
    for (const struct conf_node *n = conf_first(list); n != NULL && e == OK; n = conf_next(n)) {
        struct policy_detector *d = &items[mask->detector_count];
        e = detector_read(l, n, d);
        for (size_t i = 0; e == OK && i < mask->detector_count; i++) {
            if (strcmp(items[i].name, d->name) == 0) {
                e = conf_fail(n, l->why, "\"%s\" is in this list already", d->name);
            }
        }
        mask->detector_count++;
    }
    mask->detectors = items;
    return e;
}

/* --- one item -------------------------------------------------------------------------- */

/* `null` without quotes is YAML's, and means the same. */
static enum err word_read(struct load *l, const struct conf_node *item, const char *key,
                          const struct conf_choice *words, int null_value, int *out)
{
    const struct conf_node *n = conf_get(item, key);
    if (n != NULL && conf_kind(n) == CONF_NULL && null_value >= 0) {
        *out = null_value;
        return OK;
    }
    return conf_read_choice(item, key, words, out, l->why);
}

static enum err origins_read(struct load *l, const struct conf_node *item, struct policy_mask *mask)
{
    static const struct conf_choice computed[] = {{"refuse", 0}, {"null", 1}, {NULL, 0}};
    static const struct conf_choice predicates[] = {{"refuse", 0}, {"allow", 1}, {NULL, 0}};
    static const struct conf_choice unknown[] = {{"refuse", POLICY_UNKNOWN_REFUSE},
                                                 {"null", POLICY_UNKNOWN_NULL},
                                                 {"allow", POLICY_UNKNOWN_ALLOW},
                                                 {NULL, 0}};
    int value = 0;
    enum err e = word_read(l, item, "computed", computed, 1, &value);
    mask->computed_null = value != 0;
    value = 0;
    e = e == OK ? word_read(l, item, "predicates", predicates, -1, &value) : e;
    mask->predicates = value != 0;
    value = POLICY_UNKNOWN_REFUSE;
    e = e == OK ? word_read(l, item, "unknown_origin", unknown, POLICY_UNKNOWN_NULL, &value) : e;
    mask->unknown_origin = (enum policy_unknown)value;
    return e;
}

/* What makes no sense together. */
static enum err item_check(struct load *l, const struct conf_node *item,
                           const struct policy_mask *mask)
{
    static const char *const by_origin[] = {"computed", "predicates", "unknown_origin",
                                            "trusted_functions"};
    if (!mask->names_columns && !mask->names_http && mask->detector_count == 0) {
        return conf_fail(item, l->why,
                         "it masks nothing: expected `columns`, `tags` or `types`, `fields`, "
                         "`json` or `headers`, or `detect`");
    }
    if (!mask->names_columns && mask->names_http && mask->unknown_origin == POLICY_UNKNOWN_NULL) {
        return conf_fail(conf_get(item, "unknown_origin"), l->why,
                         "what is no JSON and no form cannot become null: expected \"refuse\" or "
                         "\"allow\"");
    }
    for (size_t i = 0; !mask->names_columns && i < sizeof(by_origin) / sizeof(by_origin[0]); i++) {
        const struct conf_node *n = conf_get(item, by_origin[i]);
        bool is_of_http = mask->names_http && strcmp(by_origin[i], "unknown_origin") == 0;
        if (n != NULL && !is_of_http) {
            return conf_fail(n, l->why,
                             "it is about columns, but the item has no `columns`, `tags` or "
                             "`types`");
        }
    }
    if (mask->redaction == POLICY_REDACT_DATE && mask->detector_count > 0) {
        return conf_fail(conf_get(item, "with"), l->why,
                         "what `detect` finds is text, not a date; make two items of it");
    }
    return OK;
}

static enum err item_read(struct load *l, const struct conf_node *item, const struct rule *rule,
                          struct policy_mask *mask)
{
    static const char *const keys[] = {
        "columns",           "tags",   "types",  "with", "computed", "predicates", "unknown_origin",
        "trusted_functions", "detect", "fields", "json", "headers",  NULL};
    struct policy_mask_names *names = arena_alloc(l->arena, sizeof(*names));
    if (names == NULL) {
        return load_no_memory(l);
    }
    names->policy = l->policy;
    mask->names = names;
    enum err e = conf_check_keys(item, keys, l->why);
    e = e == OK ? load_columns(l, item, "columns", &names->columns) : e;
    e = e == OK ? tags_read(l, item, names) : e;
    e = e == OK ? types_read(l, item, &names->types) : e;
    mask->names_columns = names->columns.count + names->tag_count + names->types.count > 0;
    e = e == OK ? load_mask_http(l, item, rule, names, mask) : e;
    e = e == OK ? load_names(l, item, "trusted_functions", &names->trusted) : e;
    e = e == OK ? detectors_read(l, item, mask) : e;
    e = e == OK ? load_redaction(l, item, mask) : e;
    e = e == OK ? origins_read(l, item, mask) : e;
    return e == OK ? item_check(l, item, mask) : e;
}

enum err load_masks(struct load *l, const struct conf_node *obligations, struct rule *rule)
{
    const struct conf_node *list = NULL;
    enum err e = load_list(l, obligations, "mask", &list);
    if (e != OK || list == NULL) {
        return e;
    }
    if (conf_count(list) > POLICY_MASKS_MAX) {
        (void)conf_fail(list, l->why, "%zu masks, at most %d are allowed", conf_count(list),
                        POLICY_MASKS_MAX);
        return ERR_LIMIT;
    }
    struct policy_mask *masks = arena_alloc(l->arena, conf_count(list) * sizeof(*masks));
    if (masks == NULL) {
        return load_no_memory(l);
    }
    for (const struct conf_node *n = conf_first(list); n != NULL && e == OK; n = conf_next(n)) {
        struct policy_mask *mask = &masks[rule->mask_count++];
        mask->rule = rule->name;
        mask->message = rule->message;
        e = item_read(l, n, rule, mask);
        rule->trusts = rule->trusts || (e == OK && mask->names->trusted.count > 0);
    }
    rule->masks = masks;
    return e;
}

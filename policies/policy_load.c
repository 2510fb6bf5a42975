/* From a document to a compiled policy: every key is known, every word means something, or it is an
 * error that says where. */
#include <stdlib.h>

#include "base/arena.h"
#include "policies/policy_internal.h"

struct load {
    struct arena *arena;
    struct err_text *why;
};

static enum err no_memory(struct load *l)
{
    return err_set(l->why, ERR_NO_MEMORY, "memory is short for the policy");
}

static enum err text_copy(struct load *l, const char *text, const char **out)
{
    *out = arena_copy_string(l->arena, bytes_of_string(text));
    return *out == NULL ? no_memory(l) : OK;
}

/* --- lists ----------------------------------------------------------------------------- */

/* The list `key` of `map`; `*out` NULL when it is not there. An empty list would match nothing,
 * and a rule that never applies is a mistake. */
static enum err list_read(struct load *l, const struct conf_node *map, const char *key,
                          const struct conf_node **out)
{
    const struct conf_node *list = NULL;
    enum err e = conf_read_list(map, key, &list, l->why);
    if (e == OK && list != NULL && conf_count(list) == 0) {
        return conf_fail(list, l->why, "expected at least one item; leave `%s` out to match any",
                         key);
    }
    if (e == OK) {
        *out = list;
    }
    return e;
}

static enum err texts_read(struct load *l, const struct conf_node *map, const char *key,
                           struct texts *out)
{
    const struct conf_node *list = NULL;
    enum err e = list_read(l, map, key, &list);
    if (e != OK || list == NULL) {
        return e;
    }
    const char **items = arena_alloc(l->arena, conf_count(list) * sizeof(const char *));
    if (items == NULL) {
        return no_memory(l);
    }
    size_t count = 0;
    for (const struct conf_node *n = conf_first(list); n != NULL; n = conf_next(n)) {
        const char *text = NULL;
        e = conf_as_string(n, &text, l->why);
        e = e == OK ? text_copy(l, text, &items[count++]) : e;
        if (e != OK) {
            return e;
        }
    }
    *out = (struct texts){.items = items, .count = count};
    return OK;
}

static enum err name_read(struct load *l, const struct conf_node *n, struct name_pattern *out)
{
    const char *text = NULL;
    enum err e = conf_as_string(n, &text, l->why);
    if (e != OK) {
        return e;
    }
    char *schema = arena_alloc(l->arena, strlen(text) + 1);
    char *name = arena_alloc(l->arena, strlen(text) + 1);
    if (schema == NULL || name == NULL) {
        return no_memory(l);
    }
    if (!name_pattern_parse(text, schema, name, out)) {
        return conf_fail(n, l->why,
                         "expected a name such as public.orders, public.* or \"Sales\".\"Order "
                         "Lines\", found \"%.60s\"",
                         text);
    }
    return OK;
}

static enum err names_read(struct load *l, const struct conf_node *map, const char *key,
                           struct name_patterns *out)
{
    const struct conf_node *list = NULL;
    enum err e = list_read(l, map, key, &list);
    if (e != OK || list == NULL) {
        return e;
    }
    struct name_pattern *items = arena_alloc(l->arena, conf_count(list) * sizeof(*items));
    if (items == NULL) {
        return no_memory(l);
    }
    size_t count = 0;
    for (const struct conf_node *n = conf_first(list); n != NULL; n = conf_next(n)) {
        e = name_read(l, n, &items[count++]);
        if (e != OK) {
            return e;
        }
    }
    *out = (struct name_patterns){.items = items, .count = count};
    return OK;
}

/* --- one rule -------------------------------------------------------------------------- */

/* A class, or a command tag in any case. */
static enum err command_take(struct load *l, const struct conf_node *n, struct rule *rule,
                             const char **out_tag)
{
    const char *text = NULL;
    enum err e = conf_as_string(n, &text, l->why);
    if (e != OK) {
        return e;
    }
    *out_tag = NULL;
    uint32_t accesses = class_accesses(text);
    if (accesses != 0) {
        rule->classes |= accesses;
        rule->accesses |= accesses;
        return OK;
    }
    char *tag = arena_copy_string(l->arena, bytes_of_string(text));
    if (tag == NULL) {
        return no_memory(l);
    }
    for (char *p = tag; *p != '\0'; p++) {
        if (*p >= 'a' && *p <= 'z') {
            *p &= 0x5f;
        }
    }
    const struct command *c = command_find(tag);
    if (c->accesses == ACCESS_UNKNOWN) {
        return conf_fail(n, l->why,
                         "expected a class (%s) or a command such as SELECT or CREATE TABLE, found "
                         "\"%.40s\"",
                         class_names(), text);
    }
    rule->accesses |= rule->effect == POLICY_ALLOW ? command_granted(c) : command_forbidden(c);
    *out_tag = tag;
    return OK;
}

static enum err commands_read(struct load *l, const struct conf_node *sql, struct rule *rule)
{
    const struct conf_node *list = NULL;
    enum err e = list_read(l, sql, "commands", &list);
    if (e != OK || list == NULL) {
        return e;
    }
    const char **tags = arena_alloc(l->arena, conf_count(list) * sizeof(const char *));
    if (tags == NULL) {
        return no_memory(l);
    }
    size_t count = 0;
    for (const struct conf_node *n = conf_first(list); n != NULL; n = conf_next(n)) {
        e = command_take(l, n, rule, &tags[count]);
        if (e != OK) {
            return e;
        }
        count += tags[count] != NULL;
    }
    rule->tags = (struct texts){.items = tags, .count = count};
    rule->has_commands = true;
    return OK;
}

static enum err sql_read(struct load *l, const struct conf_node *match, struct rule *rule)
{
    static const char *const keys[] = {"commands", "tables", "functions", NULL};
    const struct conf_node *sql = NULL;
    enum err e = conf_read_map(match, "sql", &sql, l->why);
    if (e != OK || sql == NULL) {
        return e;
    }
    e = conf_check_keys(sql, keys, l->why);
    e = e == OK ? commands_read(l, sql, rule) : e;
    e = e == OK ? names_read(l, sql, "tables", &rule->tables) : e;
    return e == OK ? names_read(l, sql, "functions", &rule->functions) : e;
}

static enum err identities_read(struct load *l, const struct conf_node *match, struct rule *rule)
{
    static const char *const keys[] = {"subjects", "groups", "on_behalf_of", NULL};
    const struct conf_node *identities = NULL;
    enum err e = conf_read_map(match, "identities", &identities, l->why);
    if (e != OK || identities == NULL) {
        return e;
    }
    e = conf_check_keys(identities, keys, l->why);
    e = e == OK ? texts_read(l, identities, "subjects", &rule->subjects) : e;
    e = e == OK ? texts_read(l, identities, "groups", &rule->groups) : e;
    return e == OK ? texts_read(l, identities, "on_behalf_of", &rule->on_behalf_of) : e;
}

static enum err match_read(struct load *l, const struct conf_node *n, struct rule *rule)
{
    static const char *const keys[] = {"identities", "resources", "sql", NULL};
    const struct conf_node *match = NULL;
    enum err e = conf_read_map(n, "match", &match, l->why);
    if (e != OK || match == NULL) {
        return e;
    }
    e = conf_check_keys(match, keys, l->why);
    e = e == OK ? identities_read(l, match, rule) : e;
    e = e == OK ? texts_read(l, match, "resources", &rule->resources) : e;
    return e == OK ? sql_read(l, match, rule) : e;
}

static enum err obligations_read(struct load *l, const struct conf_node *n, struct rule *rule)
{
    static const char *const keys[] = {"durability", NULL};
    static const struct conf_choice levels[] = {
        {"process", POLICY_PROCESS}, {"host", POLICY_HOST}, {"fleet", POLICY_FLEET}, {NULL, 0}};
    const struct conf_node *obligations = NULL;
    enum err e = conf_read_map(n, "obligations", &obligations, l->why);
    if (e != OK || obligations == NULL) {
        return e;
    }
    if (rule->effect != POLICY_ALLOW) {
        return conf_fail(obligations, l->why, "only a rule with `effect: allow` has obligations");
    }
    int level = -1;
    e = conf_check_keys(obligations, keys, l->why);
    e = e == OK ? conf_read_choice(obligations, "durability", levels, &level, l->why) : e;
    if (e == OK && level >= 0) {
        rule->has_durability = true;
        rule->durability = (enum policy_durability)level;
    }
    return e;
}

static enum err name_check(struct load *l, const struct conf_node *n, const char *name)
{
    for (const char *p = name; *p != '\0'; p++) {
        bool good = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-' ||
                    *p == '_' || *p == '.';
        if (!good || p - name >= POLICY_NAME_SIZE_MAX) {
            return conf_fail(conf_get(n, "name"), l->why,
                             "expected a name of at most %d lower-case letters, digits and -_. , "
                             "found \"%.80s\"",
                             POLICY_NAME_SIZE_MAX, name);
        }
    }
    return strcmp(name, "default") == 0
               ? conf_fail(conf_get(n, "name"), l->why,
                           "\"default\" is the name of the refusal when no rule matches")
               : OK;
}

static enum err effect_read(struct load *l, const struct conf_node *n, struct rule *rule)
{
    static const struct conf_choice effects[] = {
        {"allow", POLICY_ALLOW}, {"deny", POLICY_DENY}, {"hold", POLICY_HOLD}, {NULL, 0}};
    int effect = POLICY_DENY;
    enum err e = conf_require(n, "effect", l->why);
    e = e == OK ? conf_read_choice(n, "effect", effects, &effect, l->why) : e;
    if (e == OK && effect == POLICY_HOLD) {
        return conf_fail(conf_get(n, "effect"), l->why,
                         "`hold` needs approvals, which this version does not have; use deny");
    }
    rule->effect = (enum policy_effect)effect;
    return e;
}

static enum err rule_read(struct load *l, const struct conf_node *n, struct rule *rule)
{
    static const char *const keys[] = {"name",        "effect",      "match", "message",
                                       "obligations", "description", NULL};
    const char *name = NULL, *message = NULL, *description = NULL;
    enum err e = conf_check_keys(n, keys, l->why);
    e = e == OK ? conf_require(n, "name", l->why) : e;
    e = e == OK ? conf_read_string(n, "name", &name, l->why) : e;
    e = e == OK ? name_check(l, n, name) : e;
    e = e == OK ? text_copy(l, name, &rule->name) : e;
    e = e == OK ? effect_read(l, n, rule) : e;
    e = e == OK ? conf_read_string(n, "description", &description, l->why) : e;
    e = e == OK ? conf_read_string(n, "message", &message, l->why) : e;
    if (e == OK && message != NULL && rule->effect == POLICY_ALLOW) {
        e = conf_fail(conf_get(n, "message"), l->why,
                      "a rule with `effect: allow` has nothing to say to the agent");
    }
    e = e == OK && message != NULL ? text_copy(l, message, &rule->message) : e;
    e = e == OK ? match_read(l, n, rule) : e;
    return e == OK ? obligations_read(l, n, rule) : e;
}

/* --- the document ---------------------------------------------------------------------- */

static int names_compare(const void *a, const void *b)
{
    const struct rule *const *left = a;
    const struct rule *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

static enum err names_check_unique(struct load *l, const struct conf_node *list,
                                   const struct rule *rules, size_t count)
{
    const struct rule **sorted = arena_alloc(l->arena, (count + 1) * sizeof(const struct rule *));
    if (sorted == NULL) {
        return no_memory(l);
    }
    for (size_t i = 0; i < count; i++) {
        sorted[i] = &rules[i];
    }
    qsort(sorted, count, sizeof(const struct rule *), names_compare);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0) {
            const struct rule *later = sorted[i] > sorted[i - 1] ? sorted[i] : sorted[i - 1];
            const struct conf_node *n = conf_first(list);
            for (const struct rule *r = rules; r < later; r++) {
                n = conf_next(n);
            }
            return conf_fail(conf_get(n, "name"), l->why,
                             "another rule has the name \"%s\" already", later->name);
        }
    }
    return OK;
}

static enum err rules_read(struct load *l, const struct conf_node *root, struct policy *p)
{
    const struct conf_node *list = NULL;
    enum err e = conf_require(root, "rules", l->why);
    e = e == OK ? conf_read_list(root, "rules", &list, l->why) : e;
    if (e != OK) {
        return e;
    }
    size_t count = conf_count(list);
    if (count > POLICY_RULES_MAX) {
        (void)conf_fail(list, l->why, "%zu rules, at most %d are allowed", count, POLICY_RULES_MAX);
        return ERR_LIMIT;
    }
    struct rule *rules = arena_alloc(l->arena, (count + 1) * sizeof(*rules));
    if (rules == NULL) {
        return no_memory(l);
    }
    size_t i = 0;
    for (const struct conf_node *n = conf_first(list); n != NULL && e == OK; n = conf_next(n)) {
        e = rule_read(l, n, &rules[i++]);
    }
    p->rules = rules;
    p->rule_count = count;
    return e == OK ? names_check_unique(l, list, rules, count) : e;
}

static enum err document_read(struct load *l, const struct conf_node *root, struct policy *p)
{
    static const char *const keys[] = {"version", "name", "description", "default", "rules", NULL};
    static const struct conf_choice defaults[] = {{"deny", POLICY_DENY}, {NULL, 0}};
    int64_t version = 0;
    int otherwise = POLICY_DENY;
    const char *text = NULL;
    enum err e = conf_check_keys(root, keys, l->why);
    e = e == OK ? conf_require(root, "version", l->why) : e;
    e = e == OK ? conf_read_integer(root, "version", "a version", 1, 1, &version, l->why) : e;
    e = e == OK ? conf_read_string(root, "name", &text, l->why) : e;
    e = e == OK ? conf_read_string(root, "description", &text, l->why) : e;
    e = e == OK ? conf_read_choice(root, "default", defaults, &otherwise, l->why) : e;
    return e == OK ? rules_read(l, root, p) : e;
}

enum err policy_compile_conf(const struct conf_node *root, uint64_t revision, struct policy **out,
                             struct err_text *why)
{
    struct policy *p = calloc(1, sizeof(*p));
    if (p == NULL || (p->arena = arena_create(4 << 10, (size_t)128 << 20)) == NULL) {
        policy_destroy(p);
        return err_set(why, ERR_NO_MEMORY, "memory is short for the policy");
    }
    p->revision = revision;
    struct load l = {.arena = p->arena, .why = why};
    enum err e = document_read(&l, root, p);
    if (e != OK) {
        policy_destroy(p);
        return e;
    }
    *out = p;
    return OK;
}

enum err policy_compile(struct bytes document, uint64_t revision, struct policy **out,
                        struct err_text *why)
{
    struct conf *c = NULL;
    enum err e = conf_load_text("policy", document, &c, why);
    if (e == OK) {
        e = policy_compile_conf(conf_root(c), revision, out, why);
    }
    conf_destroy(c);
    return e;
}

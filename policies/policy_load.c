/* From a document to a compiled policy: every key is known, every word means something, or it is an
 * error that says where. */
#include "policies/policy_load.h"

#include <stdlib.h>

static const struct conf_choice modes[] = {{"enforce", false}, {"shadow", true}, {NULL, 0}};

/* --- one rule -------------------------------------------------------------------------- */

static enum err name_read(struct load *l, const struct conf_node *n, struct rule *rule)
{
    const char *name = "";
    enum err e = conf_require(n, "name", l->why);
    e = e == OK ? conf_read_string(n, "name", &name, l->why) : e;
    e = e == OK ? load_check_name(l, conf_get(n, "name"), name) : e;
    if (e == OK && strcmp(name, "default") == 0) {
        e = conf_fail(conf_get(n, "name"), l->why,
                      "\"default\" is the name of the refusal when no rule matches");
    }
    if (e == OK && strcmp(name, "shadow") == 0) {
        e = conf_fail(conf_get(n, "name"), l->why,
                      "\"shadow\" is the name under which a policy in shadow allows");
    }
    return e == OK ? load_copy_text(l, name, &rule->name) : e;
}

static enum err effect_read(struct load *l, const struct conf_node *n, struct rule *rule)
{
    static const struct conf_choice effects[] = {
        {"allow", POLICY_ALLOW}, {"deny", POLICY_DENY}, {"hold", POLICY_HOLD}, {NULL, 0}};
    int effect = POLICY_DENY;
    enum err e = conf_require(n, "effect", l->why);
    e = e == OK ? conf_read_choice(n, "effect", effects, &effect, l->why) : e;
    rule->effect = (enum policy_effect)effect;
    return e;
}

static enum err texts_read(struct load *l, const struct conf_node *n, struct rule *rule)
{
    const char *message = NULL, *description = NULL;
    int mode = false;
    enum err e = conf_read_string(n, "description", &description, l->why);
    e = e == OK ? conf_read_string(n, "message", &message, l->why) : e;
    e = e == OK ? conf_read_choice(n, "mode", modes, &mode, l->why) : e;
    rule->is_shadow = mode != false;
    return e == OK && message != NULL ? load_copy_text(l, message, &rule->message) : e;
}

static enum err rule_read(struct load *l, const struct conf_node *n, struct rule *rule)
{
    static const char *const keys[] = {"name", "effect",      "mode",        "match", "message",
                                       "hold", "obligations", "description", NULL};
    enum err e = conf_check_keys(n, keys, l->why);
    e = e == OK ? name_read(l, n, rule) : e;
    e = e == OK ? effect_read(l, n, rule) : e;
    e = e == OK ? texts_read(l, n, rule) : e;
    e = e == OK ? load_match(l, n, rule) : e;
    e = e == OK ? load_hold(l, n, rule) : e;
    e = e == OK ? load_obligations(l, n, rule) : e;
    if (e == OK && rule->message != NULL && rule->effect == POLICY_ALLOW && rule->mask_count == 0) {
        e = conf_fail(conf_get(n, "message"), l->why,
                      "a rule with `effect: allow` and without `mask` has nothing to say to the "
                      "agent");
    }
    return e;
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
        return load_no_memory(l);
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
        return load_no_memory(l);
    }
    size_t i = 0;
    for (const struct conf_node *n = conf_first(list); n != NULL && e == OK; n = conf_next(n)) {
        struct rule *rule = &rules[i++];
        e = rule_read(l, n, rule);
        p->reads_bodies = p->reads_bodies || (rule->http != NULL && rule->http->body.count > 0);
        p->has_masks = p->has_masks || (rule->mask_count > 0 && !rule->is_shadow && !p->is_shadow);
    }
    p->rules = rules;
    p->rule_count = count;
    return e == OK ? names_check_unique(l, list, rules, count) : e;
}

static enum err document_read(struct load *l, const struct conf_node *root, struct policy *p)
{
    static const char *const keys[] = {"version", "name", "description", "default",
                                       "mode",    "tags", "rules",       NULL};
    static const struct conf_choice defaults[] = {{"deny", POLICY_DENY}, {NULL, 0}};
    int64_t version = 0;
    int otherwise = POLICY_DENY, mode = false;
    const char *text = NULL;
    enum err e = conf_check_keys(root, keys, l->why);
    e = e == OK ? conf_require(root, "version", l->why) : e;
    e = e == OK ? conf_read_integer(root, "version", "a version", 1, 1, &version, l->why) : e;
    e = e == OK ? conf_read_string(root, "name", &text, l->why) : e;
    e = e == OK ? conf_read_string(root, "description", &text, l->why) : e;
    e = e == OK ? conf_read_choice(root, "default", defaults, &otherwise, l->why) : e;
    e = e == OK ? conf_read_choice(root, "mode", modes, &mode, l->why) : e;
    p->is_shadow = mode != false;
    e = e == OK ? load_tags(l, root) : e;
    e = e == OK ? rules_read(l, root, p) : e;
    return e == OK && !rules_index(p) ? load_no_memory(l) : e;
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
    struct load l = {.policy = p, .arena = p->arena, .why = why};
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

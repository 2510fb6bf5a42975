#include "policies/policy.h"

#include <stdlib.h>
#include <strings.h>

#include "base/arena.h"
#include "policies/policy_internal.h"

enum kind_group { KIND_TABLE, KIND_FUNCTION, KIND_SESSION, KIND_OTHER };

/* An object of the request, read once. */
struct target {
    enum kind_group group;
    uint32_t access;
    bool moves_search_path; /* after it, names without a schema mean something else */
    struct plain_name name;
};

/* Which rules are about this identity and resource at all: one bit for each. */
struct applicable {
    uint32_t words[(POLICY_RULES_MAX + 31) / 32];
};

static bool applies_bit(const struct applicable *a, size_t i)
{
    return (a->words[i / 32] >> (i % 32) & 1u) != 0;
}

/* --- identity and resource ------------------------------------------------------------- */

static bool any_matches(const struct texts *patterns, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < patterns->count; j++) {
            if (texts[i] != NULL && glob_matches(patterns->items[j], texts[i])) {
                return true;
            }
        }
    }
    return false;
}

static bool rule_applies(const struct rule *rule, const struct policy_request *r)
{
    return (rule->subjects.count == 0 || any_matches(&rule->subjects, &r->subject, 1)) &&
           (rule->groups.count == 0 || any_matches(&rule->groups, r->groups, r->group_count)) &&
           (rule->on_behalf_of.count == 0 ||
            any_matches(&rule->on_behalf_of, r->on_behalf_of, r->on_behalf_of_count)) &&
           (rule->resources.count == 0 || any_matches(&rule->resources, &r->resource, 1));
}

/* --- commands and objects -------------------------------------------------------------- */

static enum kind_group kind_group(const char *kind)
{
    static const struct {
        const char *kind;
        enum kind_group group;
    } groups[] = {
        {"table", KIND_TABLE},     {"function", KIND_FUNCTION}, {"view", KIND_TABLE},
        {"index", KIND_TABLE},     {"sequence", KIND_TABLE},    {"procedure", KIND_FUNCTION},
        {"setting", KIND_SESSION}, {"channel", KIND_SESSION},   {"statement", KIND_SESSION},
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

static void target_read(const struct policy_object *o, struct target *out)
{
    out->group = kind_group(o->kind == NULL ? "" : o->kind);
    out->access = access_parse(o->access == NULL ? "" : o->access);
    out->moves_search_path = moves_search_path(o, out);
    if (out->group == KIND_TABLE || out->group == KIND_FUNCTION) {
        plain_name_read(o->name == NULL ? "" : o->name, &out->name);
    }
}

static bool any_name_matches(const struct name_patterns *p, const struct plain_name *n,
                             enum name_use use, bool forbids)
{
    for (size_t i = 0; i < p->count; i++) {
        if (name_matches(&p->items[i], n, use, forbids)) {
            return true;
        }
    }
    return false;
}

static bool tag_listed(const struct rule *rule, const char *command)
{
    for (size_t i = 0; i < rule->tags.count; i++) {
        if (command_matches(rule->tags.items[i], command)) {
            return true;
        }
    }
    return false;
}

/* A rule that lists tables says nothing about schemas, roles, files. */
static bool names_cover(const struct rule *rule, const struct target *t)
{
    if (t->moves_search_path && rule->tables.count > 0) {
        return false; /* or `orders` would no longer be the table that it lists */
    }
    switch (t->group) {
    case KIND_TABLE:
        return rule->tables.count == 0
                   ? rule->functions.count == 0
                   : any_name_matches(&rule->tables, &t->name, NAME_TABLE, false);
    case KIND_FUNCTION:
        return rule->functions.count == 0 ||
               any_name_matches(&rule->functions, &t->name, NAME_FUNCTION, false);
    case KIND_SESSION: return true;
    case KIND_OTHER: break;
    }
    return rule->tables.count == 0 && rule->functions.count == 0;
}

/* Whatever reads, writes or defines may call functions; what writes may lock the rows it writes. */
static uint32_t with_carried(uint32_t accesses)
{
    const uint32_t writes = ACCESS_INSERT | ACCESS_UPDATE | ACCESS_DELETE;
    const uint32_t calls =
        writes | ACCESS_READ | ACCESS_LOAD | ACCESS_CREATE | ACCESS_ALTER | ACCESS_PROCEDURAL;
    return accesses | ((accesses & calls) != 0 ? (uint32_t)ACCESS_CALL : 0) |
           ((accesses & writes) != 0 ? (uint32_t)ACCESS_LOCK : 0);
}

static bool covers_object(const struct rule *rule, const struct target *t)
{
    return (!rule->has_commands || (with_carried(rule->accesses) & t->access) != 0) &&
           names_cover(rule, t);
}

static bool covers_command(const struct rule *rule, const char *command)
{
    /* What could not be understood is covered by nothing, not even by "everything". */
    return strcmp(command, "UNKNOWN") != 0 &&
           (!rule->has_commands || tag_listed(rule, command) ||
            (rule->classes & command_find(command)->accesses) != 0);
}

static bool any_tag_listed(const struct rule *rule, const struct policy_request *r)
{
    for (size_t i = 0; i < r->command_count; i++) {
        if (tag_listed(rule, r->commands[i])) {
            return true;
        }
    }
    return false;
}

static bool forbids_object(const struct rule *rule, const struct policy_request *r,
                           const struct target *t)
{
    if (rule->has_commands && (rule->accesses & t->access) == 0 && !any_tag_listed(rule, r)) {
        return false;
    }
    if (t->group == KIND_TABLE && rule->tables.count > 0) {
        return any_name_matches(&rule->tables, &t->name, NAME_TABLE, true);
    }
    if (t->group == KIND_FUNCTION && rule->functions.count > 0) {
        return any_name_matches(&rule->functions, &t->name, NAME_FUNCTION, true);
    }
    return rule->tables.count == 0 && rule->functions.count == 0;
}

static bool forbids_command(const struct rule *rule, const char *command)
{
    if (rule->tables.count > 0 || rule->functions.count > 0) {
        return false; /* only with the objects that it names */
    }
    if (!rule->has_commands || tag_listed(rule, command)) {
        return true;
    }
    /* EXPLAIN and COPY may do several things; their objects say which. */
    return (command_find(command)->accesses & ~rule->classes) == 0;
}

/* --- the verdict ----------------------------------------------------------------------- */

static bool rule_forbids(const struct rule *rule, const struct policy_request *r)
{
    bool is_general = !rule->has_commands && rule->tables.count == 0 && rule->functions.count == 0;
    if (is_general) {
        return true;
    }
    for (size_t i = 0; i < r->command_count; i++) {
        if (forbids_command(rule, r->commands[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < r->object_count; i++) {
        struct target t;
        target_read(&r->objects[i], &t);
        if (forbids_object(rule, r, &t)) {
            return true;
        }
    }
    return false;
}

static bool find_forbidding(const struct policy *p, const struct policy_request *r,
                            const struct applicable *a, enum policy_effect effect,
                            struct policy_verdict *out)
{
    for (size_t i = 0; i < p->rule_count; i++) {
        const struct rule *rule = &p->rules[i];
        if (rule->effect == effect && applies_bit(a, i) && rule_forbids(rule, r)) {
            *out = (struct policy_verdict){
                .effect = effect, .rule = rule->name, .message = rule->message};
            return true;
        }
    }
    return false;
}

/* A rule that forbids `hr.*` holds only while names without a schema are not in hr. */
static bool search_path_is_fixed(const struct policy *p, const struct applicable *a)
{
    for (size_t i = 0; i < p->rule_count; i++) {
        if (p->rules[i].effect != POLICY_ALLOW && p->rules[i].tables.count > 0 &&
            applies_bit(a, i)) {
            return true;
        }
    }
    return false;
}

static bool find_search_path(const struct policy *p, const struct policy_request *r,
                             const struct applicable *a, struct policy_verdict *out)
{
    for (size_t i = 0; i < r->object_count; i++) {
        struct target t;
        target_read(&r->objects[i], &t);
        if (t.moves_search_path && search_path_is_fixed(p, a)) {
            *out = (struct policy_verdict){
                .effect = POLICY_DENY,
                .rule = "default",
                .message = "search_path cannot be changed where rules forbid tables by name"};
            return true;
        }
    }
    return false;
}

/* The answer so far: the strongest durability that was asked for, and the rule that asked. */
static void take_cover(const struct rule *rule, bool is_lasting, struct policy_verdict *v)
{
    enum policy_durability level = is_lasting ? POLICY_HOST : POLICY_PROCESS;
    if (rule->has_durability) {
        level = rule->durability;
    }
    if (v->rule == NULL || level > v->durability) {
        v->rule = rule->name;
        v->message = rule->message;
        v->durability = level;
    }
}

static bool cover_command(const struct policy *p, const struct applicable *a, const char *command,
                          struct policy_verdict *v)
{
    for (size_t i = 0; i < p->rule_count; i++) {
        const struct rule *rule = &p->rules[i];
        if (rule->effect == POLICY_ALLOW && applies_bit(a, i) && covers_command(rule, command)) {
            /* Of what EXPLAIN and COPY may do, the objects say what they do. */
            uint32_t accesses = command_find(command)->accesses;
            take_cover(rule, (accesses & ~(uint32_t)ACCESS_LASTING) == 0, v);
            return true;
        }
    }
    return false;
}

static bool cover_object(const struct policy *p, const struct applicable *a,
                         const struct policy_object *o, struct policy_verdict *v)
{
    struct target t;
    target_read(o, &t);
    for (size_t i = 0; i < p->rule_count; i++) {
        const struct rule *rule = &p->rules[i];
        if (rule->effect == POLICY_ALLOW && applies_bit(a, i) && covers_object(rule, &t)) {
            take_cover(rule, (t.access & ACCESS_LASTING) != 0, v);
            return true;
        }
    }
    return false;
}

/* Nothing is done, but somebody is here: any rule that lets them in covers it. */
static bool cover_presence(const struct policy *p, const struct applicable *a,
                           struct policy_verdict *v)
{
    for (size_t i = 0; i < p->rule_count; i++) {
        if (p->rules[i].effect == POLICY_ALLOW && applies_bit(a, i)) {
            take_cover(&p->rules[i], false, v);
            return true;
        }
    }
    return false;
}

/* NULL: everything is covered, and `v` says by what. Otherwise why not. */
static const char *cover_all(const struct policy *p, const struct policy_request *r,
                             const struct applicable *a, struct policy_verdict *v)
{
    for (size_t i = 0; i < r->command_count; i++) {
        if (!cover_command(p, a, r->commands[i], v)) {
            return "no rule allows this command";
        }
    }
    for (size_t i = 0; i < r->object_count; i++) {
        if (!cover_object(p, a, &r->objects[i], v)) {
            return "no rule allows this for one of the objects it touches";
        }
    }
    bool is_empty = r->command_count == 0 && r->object_count == 0;
    return is_empty && !cover_presence(p, a, v) ? "no rule is for this identity and resource"
                                                : NULL;
}

void policy_evaluate(const struct policy *p, const struct policy_request *r,
                     struct policy_verdict *out)
{
    struct applicable a = {{0}};
    for (size_t i = 0; i < p->rule_count; i++) {
        if (rule_applies(&p->rules[i], r)) {
            a.words[i / 32] |= 1u << (i % 32);
        }
    }
    if (find_forbidding(p, r, &a, POLICY_DENY, out) || find_search_path(p, r, &a, out) ||
        find_forbidding(p, r, &a, POLICY_HOLD, out)) {
        return;
    }
    struct policy_verdict allowed = {.effect = POLICY_ALLOW};
    const char *why = cover_all(p, r, &a, &allowed);
    *out = why == NULL
               ? allowed
               : (struct policy_verdict){.effect = POLICY_DENY, .rule = "default", .message = why};
}

/* --- the rest -------------------------------------------------------------------------- */

uint64_t policy_revision(const struct policy *policy)
{
    return policy->revision;
}

const char *policy_hash(const struct policy *policy)
{
    return policy->hash;
}

void policy_set_hash(struct policy *policy, const char *hex)
{
    size_t size = strlen(hex);
    size = size < sizeof(policy->hash) ? size : sizeof(policy->hash) - 1;
    memcpy(policy->hash, hex, size);
    policy->hash[size] = '\0';
}

void policy_destroy(struct policy *policy)
{
    if (policy != NULL) {
        arena_destroy(policy->arena);
        free(policy);
    }
}

const char *policy_allow_all(void)
{
    return "{\"rules\":[{\"effect\":\"allow\",\"name\":\"allow-all\"}],\"version\":1}";
}

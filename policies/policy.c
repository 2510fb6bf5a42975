#include "policies/policy.h"

#include <stdlib.h>

#include "base/arena.h"
#include "policies/policy_object.h"

/* The rules that are about this identity, resource and time, by what they do. */
struct applicable {
    const struct policy *policy;
    bool with_shadow;
    bool left_out; /* a rule in shadow applies, but was not taken */
    size_t cover_count, forbid_count;
    /* Those that let through, and those that stop. A hold rule is among the former only when it has
     * stopped this very operation: what it lets through is then held. */
    uint16_t cover[POLICY_RULES_MAX], forbid[POLICY_RULES_MAX];
    /* Of `forbid`. */
    bool is_whole[POLICY_RULES_MAX]; /* names a command of the text; all it touches counts */
    bool has_stopped[POLICY_RULES_MAX];
};

static void applicable_add(void *context, size_t index)
{
    struct applicable *a = context;
    const struct rule *rule = &a->policy->rules[index];
    if (rule->is_shadow && !a->with_shadow) {
        a->left_out = true;
    } else if (rule->effect == POLICY_ALLOW) {
        a->cover[a->cover_count++] = (uint16_t)index;
    } else {
        a->forbid[a->forbid_count++] = (uint16_t)index;
    }
}

static void applicable_find(const struct policy *p, const struct policy_request *r,
                            bool with_shadow, struct applicable *out)
{
    out->policy = p;
    out->with_shadow = with_shadow;
    out->left_out = false;
    out->cover_count = out->forbid_count = 0;
    rules_apply(p, r, applicable_add, out);
}

/* --- what is asked, as a whole --------------------------------------------------------- */

struct question {
    const struct policy_request *r;
    uint32_t accesses;       /* of everything */
    uint32_t without_object; /* those that no object shows */
    bool is_unknown;         /* something was not understood: nothing covers it */
    bool is_lasting;
};

static void question_read_command(struct question *q, const char *tag, uint32_t *implied)
{
    const struct command *c = command_find(tag);
    q->is_unknown = q->is_unknown || strcmp(tag, "UNKNOWN") == 0;
    /* Of what EXPLAIN and COPY may do, the objects say what they do. */
    q->is_lasting = q->is_lasting || (c->accesses & ~(uint32_t)ACCESS_LASTING) == 0;
    *implied |= command_implied(c);
}

static void question_read(const struct policy_request *r, struct question *q)
{
    uint32_t shown = 0, named = 0, implied = 0;
    *q = (struct question){.r = r};
    for (size_t i = 0; i < r->object_count; i++) {
        shown |= access_parse(r->objects[i].access == NULL ? "" : r->objects[i].access);
    }
    for (size_t i = 0; i < r->access_count; i++) {
        named |= access_parse(r->accesses[i] == NULL ? "" : r->accesses[i]);
    }
    for (size_t i = 0; i < r->command_count; i++) {
        question_read_command(q, r->commands[i], &implied);
    }
    q->accesses = shown | named;
    q->without_object = named & ~shown & ~implied;
    q->is_unknown = q->is_unknown || (q->accesses & ACCESS_UNKNOWN) != 0;
    q->is_lasting = q->is_lasting || (q->accesses & ACCESS_LASTING) != 0;
}

/* --- rules that forbid ----------------------------------------------------------------- */

static bool tag_listed(const struct rule *rule, const char *command)
{
    for (size_t i = 0; i < rule->tags.count; i++) {
        if (command_matches(rule->tags.items[i], command)) {
            return true;
        }
    }
    return false;
}

static bool any_tag_listed(const struct rule *rule, const struct policy_request *r)
{
    for (size_t i = 0; rule->tags.count > 0 && i < r->command_count; i++) {
        if (tag_listed(rule, r->commands[i])) {
            return true;
        }
    }
    return false;
}

/* Its conditions about the text as a whole. */
static bool conditions_hold(const struct rule *rule, const struct question *q)
{
    return (!rule->without_where || q->r->without_where) &&
           (!rule->multi_statement || q->r->command_count > 1) &&
           (rule->copies == 0 || (rule->copies & q->accesses) != 0);
}

/* Of a rule without names. */
static bool forbids_text(const struct rule *rule, const struct question *q)
{
    if (!rule->has_commands || (rule->accesses & q->accesses) != 0 || any_tag_listed(rule, q->r)) {
        return true;
    }
    for (size_t i = 0; i < q->r->command_count; i++) {
        /* EXPLAIN and COPY may do several things; their objects say which. */
        if ((command_find(q->r->commands[i])->accesses & ~rule->classes) == 0) {
            return true;
        }
    }
    return false;
}

struct forbidding {
    size_t deny, hold; /* the first such rule; SIZE_MAX: none */
    bool fixes_path;   /* names without a schema must stay what they are */
};

static void forbidding_add(struct forbidding *f, const struct policy *p, size_t rule)
{
    size_t *first = p->rules[rule].effect == POLICY_HOLD ? &f->hold : &f->deny;
    *first = rule < *first ? rule : *first;
}

/* What it holds it also lets through, once people agree. */
static void cover_held(struct applicable *a, uint16_t index)
{
    const struct rule *rule = &a->policy->rules[index];
    if (rule->effect == POLICY_HOLD && rule->covers != 0) {
        a->cover[a->cover_count++] = index;
    }
}

/* Decides the rules without names; those that have to see each object stay in the list. */
static void forbid_text(struct applicable *a, const struct question *q, struct forbidding *f)
{
    size_t kept = 0;
    for (size_t i = 0; i < a->forbid_count; i++) {
        const struct rule *rule = &a->policy->rules[a->forbid[i]];
        f->fixes_path = f->fixes_path || rule->has_tables || rule->trusts;
        if (!conditions_hold(rule, q)) {
            continue;
        }
        if (rule->has_names) {
            a->is_whole[kept] = !rule->without_where && any_tag_listed(rule, q->r);
            a->has_stopped[kept] = false;
            a->forbid[kept++] = a->forbid[i];
        } else if (forbids_text(rule, q)) {
            forbidding_add(f, a->policy, a->forbid[i]);
            cover_held(a, a->forbid[i]);
        }
    }
    a->forbid_count = kept;
}

static void forbid_object(struct applicable *a, const struct target *t, struct forbidding *f)
{
    for (size_t i = 0; i < a->forbid_count; i++) {
        if (rule_names(&a->policy->rules[a->forbid[i]], t, a->is_whole[i])) {
            forbidding_add(f, a->policy, a->forbid[i]);
            a->has_stopped[i] = true;
        }
    }
}

/* --- rules that let through ------------------------------------------------------------ */

/* What the rules that cover something ask for together: the same whatever their order. */
struct cover {
    size_t rule; /* the first that asks for the level; SIZE_MAX: nothing was covered */
    enum policy_durability level;
    enum policy_record record;
    uint64_t max_rows;
    bool is_held; /* hold rules count */
    const char *why_not;
};

static void cover_take(struct cover *c, const struct policy *p, size_t index, bool is_lasting)
{
    const struct rule *rule = &p->rules[index];
    enum policy_durability level = rule->has_durability ? rule->durability
                                   : is_lasting         ? POLICY_HOST
                                                        : POLICY_PROCESS;
    if (c->rule == SIZE_MAX || level > c->level || (level == c->level && index < c->rule)) {
        c->rule = index;
        c->level = level;
    }
    c->record = rule->record > c->record ? rule->record : c->record;
    if (rule->max_rows != 0 && (c->max_rows == 0 || rule->max_rows < c->max_rows)) {
        c->max_rows = rule->max_rows;
    }
}

/* What else is done to the same table: an UPDATE or DELETE with a condition reads it as well. */
static uint32_t accesses_beside(const struct question *q, const struct target *t)
{
    uint32_t accesses = 0;
    for (size_t i = 0; i < q->r->object_count; i++) {
        const struct policy_object *o = &q->r->objects[i];
        if (o->name != NULL && o->access != NULL && t->object->name != NULL &&
            strcmp(o->name, t->object->name) == 0) {
            accesses |= access_parse(o->access);
        }
    }
    return accesses & (ACCESS_INSERT | ACCESS_UPDATE | ACCESS_DELETE);
}

static void cover_object(const struct applicable *a, const struct question *q,
                         const struct target *t, struct cover *c)
{
    bool is_read = t->group == KIND_TABLE && t->access == ACCESS_READ;
    uint32_t beside = c->is_held && is_read ? accesses_beside(q, t) : 0;
    bool covered = false;
    for (size_t i = 0; i < a->cover_count; i++) {
        const struct rule *rule = &a->policy->rules[a->cover[i]];
        if (rule_covers(rule, t) ||
            (rule->effect == POLICY_HOLD && rule_covers_beside(rule, t, beside))) {
            cover_take(c, a->policy, a->cover[i], (t->access & ACCESS_LASTING) != 0);
            covered = true;
        }
    }
    if (!covered) {
        c->why_not = "no rule allows this for one of the objects it touches";
    }
}

static void cover_without_object(const struct applicable *a, const struct question *q,
                                 struct cover *c)
{
    /* What a rule with names may do where no name is seen: nothing that could be elsewhere. */
    const uint32_t nowhere = ACCESS_READ | ACCESS_EXPORT | ACCESS_LOAD | ACCESS_CALL |
                             ACCESS_TRANSACTION | ACCESS_SESSION | ACCESS_LOCK;
    uint32_t rest = q->without_object;
    for (size_t i = 0; q->without_object != 0 && i < a->cover_count; i++) {
        const struct rule *rule = &a->policy->rules[a->cover[i]];
        uint32_t covered = q->without_object & rule->covers & (rule->has_names ? nowhere : ~0u);
        if (covered != 0) {
            cover_take(c, a->policy, a->cover[i], (covered & ACCESS_LASTING) != 0);
            rest &= ~covered;
        }
    }
    if (rest != 0) {
        c->why_not = "no rule allows all that this does";
    }
}

static bool covers_command(const struct rule *rule, const char *tag, const struct command *c)
{
    return rule->covers_any_command || (rule->covers_classes & c->accesses) != 0 ||
           tag_listed(rule, tag) || (rule->copies != 0 && strcmp(tag, "COPY") == 0);
}

static void cover_command(const struct applicable *a, const struct question *q, const char *tag,
                          struct cover *c)
{
    const struct command *command = command_find(tag);
    /* Where nothing else shows what it does, the rules for it are those that count. */
    bool counts = (command->accesses & q->accesses) == 0;
    bool covered = false;
    for (size_t i = 0; i < a->cover_count && (!covered || counts); i++) {
        if (covers_command(&a->policy->rules[a->cover[i]], tag, command)) {
            covered = true;
            if (counts) {
                cover_take(c, a->policy, a->cover[i],
                           (command->accesses & ~(uint32_t)ACCESS_LASTING) == 0);
            }
        }
    }
    if (!covered) {
        c->why_not = "no rule allows this command";
    }
}

static void cover_text(const struct applicable *a, const struct question *q, struct cover *c)
{
    cover_without_object(a, q, c);
    for (size_t i = 0; i < q->r->command_count; i++) {
        cover_command(a, q, q->r->commands[i], c);
    }
    if (q->is_unknown) {
        c->why_not = "what was not understood is not allowed";
    }
    /* Nothing is done, but somebody is here: any rule that lets them in covers it. */
    for (size_t i = 0; i < a->cover_count && c->rule == SIZE_MAX; i++) {
        cover_take(c, a->policy, a->cover[i], q->is_lasting);
    }
    if (c->rule == SIZE_MAX && c->why_not == NULL) {
        c->why_not = "no rule is for this identity and resource";
    }
}

/* --- the verdict ----------------------------------------------------------------------- */

static struct policy_verdict refusal(const char *why)
{
    return (struct policy_verdict){.effect = POLICY_DENY, .rule = "default", .message = why};
}

static struct policy_verdict forbidden(const struct policy *p, size_t rule)
{
    return (struct policy_verdict){
        .effect = POLICY_DENY, .rule = p->rules[rule].name, .message = p->rules[rule].message};
}

static struct policy_verdict allowed(const struct policy *p, const struct cover *c)
{
    return (struct policy_verdict){.effect = POLICY_ALLOW,
                                   .rule = p->rules[c->rule].name,
                                   .durability = c->level,
                                   .record = c->record,
                                   .max_rows = c->max_rows};
}

static bool trusts_names(const struct applicable *a)
{
    for (size_t i = 0; i < a->cover_count; i++) {
        if (a->policy->rules[a->cover[i]].trusts) {
            return true;
        }
    }
    return false;
}

/* The hold rules that have stopped it, and the rules that allow, must let all of it through
 * together: a hold never gives more than they name. */
static struct policy_verdict held(struct applicable *a, const struct question *q, size_t first)
{
    const struct rule *rule = &a->policy->rules[first];
    struct cover c = {.rule = SIZE_MAX, .is_held = true};
    for (size_t i = 0; i < a->forbid_count; i++) {
        if (a->has_stopped[i]) {
            cover_held(a, a->forbid[i]);
        }
    }
    for (size_t i = 0; i < q->r->object_count; i++) {
        struct target t;
        target_read(&q->r->objects[i], &t);
        cover_object(a, q, &t, &c);
    }
    cover_text(a, q, &c);
    if (c.why_not != NULL) {
        return refusal(c.why_not);
    }
    /* Its own obligations count whatever it covers itself. */
    cover_take(&c, a->policy, first, true);
    return (struct policy_verdict){.effect = POLICY_HOLD,
                                   .hold = rule->hold,
                                   .rule = rule->name,
                                   .message = rule->message,
                                   .durability = c.level < POLICY_HOST ? POLICY_HOST : c.level,
                                   .record = c.record,
                                   .max_rows = c.max_rows};
}

static struct policy_verdict decide(struct applicable *a, const struct question *q)
{
    struct forbidding f = {.deny = SIZE_MAX, .hold = SIZE_MAX};
    struct cover c = {.rule = SIZE_MAX};
    bool moves_path = false;
    forbid_text(a, q, &f);
    for (size_t i = 0; i < q->r->object_count; i++) {
        struct target t;
        target_read(&q->r->objects[i], &t);
        moves_path = moves_path || t.moves_search_path;
        forbid_object(a, &t, &f);
        cover_object(a, q, &t, &c);
    }
    if (f.deny != SIZE_MAX) {
        return forbidden(a->policy, f.deny);
    }
    if (moves_path && (f.fixes_path || trusts_names(a))) {
        return refusal("search_path cannot be changed where rules forbid tables by name");
    }
    if (f.hold != SIZE_MAX) {
        return held(a, q, f.hold);
    }
    cover_text(a, q, &c);
    return c.why_not != NULL ? refusal(c.why_not) : allowed(a->policy, &c);
}

static void shadow_put(struct policy_verdict *v, const struct policy_verdict *shadow)
{
    if (v->effect != shadow->effect || strcmp(v->rule, shadow->rule) != 0) {
        v->shadow_rule = shadow->rule;
        v->shadow_effect = shadow->effect;
    }
}

/* Nothing is enforced, but what was not understood is not let through. */
static struct policy_verdict decide_unenforced(const struct question *q,
                                               const struct policy_verdict *wanted)
{
    if (q->is_unknown) {
        return *wanted;
    }
    struct policy_verdict v = {.effect = POLICY_ALLOW,
                               .rule = "shadow",
                               .durability = q->is_lasting ? POLICY_HOST : POLICY_PROCESS};
    if (wanted->effect != POLICY_DENY && wanted->durability > v.durability) {
        v.durability = wanted->durability;
    }
    shadow_put(&v, wanted);
    return v;
}

void policy_evaluate(const struct policy *p, const struct policy_request *r,
                     struct policy_verdict *out)
{
    struct applicable a;
    struct question q;
    question_read(r, &q);
    applicable_find(p, r, false, &a);
    bool left_out = a.left_out;
    struct policy_verdict v = decide(&a, &q);
    if (p->is_shadow) {
        v = decide_unenforced(&q, &v);
    } else if (left_out) {
        applicable_find(p, r, true, &a);
        struct policy_verdict shadow = decide(&a, &q);
        shadow_put(&v, &shadow);
    }
    *out = v;
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

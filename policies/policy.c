#include "policies/policy.h"

#include <stdlib.h>

#include "base/arena.h"
#include "policies/policy_decide.h"

static void applicable_add(void *context, size_t index)
{
    struct applicable *a = context;
    const struct rule *rule = &a->policy->rules[index];
    if (rule->about == (a->is_http ? ABOUT_SQL : ABOUT_HTTP)) {
        return;
    }
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
    out->is_http = r->http != NULL;
    out->with_shadow = with_shadow;
    out->left_out = false;
    out->cover_count = out->forbid_count = 0;
    rules_apply(p, r, applicable_add, out);
}

/* --- what is asked, as a whole --------------------------------------------------------- */

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
    if (r->http != NULL) {
        question_read_http(r, q);
        return;
    }
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
    struct policy_verdict v = {.effect = POLICY_ALLOW,
                               .rule = p->rules[c->rule].name,
                               .durability = c->level,
                               .is_default_durability = c->level > c->asked,
                               .record = c->record,
                               .max_rows = c->max_rows};
    http_obligations_put(c, p, &v);
    return v;
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

static void cover_all(const struct applicable *a, const struct question *q, struct cover *c)
{
    if (a->is_http) {
        cover_http(a, q, c);
        return;
    }
    for (size_t i = 0; i < q->r->object_count; i++) {
        struct target t;
        target_read(&q->r->objects[i], &t);
        cover_object(a, q, &t, c);
    }
    cover_text(a, q, c);
}

/* The hold rules that have stopped it, and the rules that allow, must let all of it through
 * together: a hold never gives more than they name. */
static struct policy_verdict held(struct applicable *a, const struct question *q, size_t first)
{
    const struct rule *rule = &a->policy->rules[first];
    struct cover c = {.rule = SIZE_MAX, .is_held = true};
    forbid_cover_held(a);
    cover_all(a, q, &c);
    if (c.why_not == NULL) {
        /* Its own obligations count whatever it covers itself. */
        cover_take(&c, a->policy, first, true);
        cover_http_held(&c, a->policy, first);
    }
    if (c.why_not != NULL) {
        return refusal(c.why_not);
    }
    struct policy_verdict v = {.effect = POLICY_HOLD,
                               .hold = rule->hold,
                               .rule = rule->name,
                               .message = rule->message,
                               .durability = c.level < POLICY_HOST ? POLICY_HOST : c.level,
                               .record = c.record,
                               .max_rows = c.max_rows};
    http_obligations_put(&c, a->policy, &v);
    return v;
}

static struct policy_verdict decide_http(struct applicable *a, const struct question *q)
{
    struct forbidding f = {.deny = SIZE_MAX, .hold = SIZE_MAX};
    struct cover c = {.rule = SIZE_MAX};
    forbid_http(a, q, &f);
    if (f.deny != SIZE_MAX) {
        return forbidden(a->policy, f.deny);
    }
    if (f.hold != SIZE_MAX) {
        return held(a, q, f.hold);
    }
    cover_http(a, q, &c);
    return c.why_not != NULL ? refusal(c.why_not) : allowed(a->policy, &c);
}

static struct policy_verdict decide(struct applicable *a, const struct question *q)
{
    struct forbidding f = {.deny = SIZE_MAX, .hold = SIZE_MAX};
    struct cover c = {.rule = SIZE_MAX};
    bool moves_path = false;
    if (a->is_http) {
        return decide_http(a, q);
    }
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
                               .durability = q->is_lasting ? POLICY_HOST : POLICY_PROCESS,
                               .is_default_durability = q->is_lasting};
    if (wanted->effect != POLICY_DENY && wanted->durability >= v.durability) {
        v.durability = wanted->durability;
        v.is_default_durability = wanted->is_default_durability;
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
    if (policy != NULL && policy->holds-- == 0) {
        arena_destroy(policy->arena);
        free(policy);
    }
}

void policy_mask_hold(const struct policy_mask *mask)
{
    if (mask->names != NULL) {
        mask->names->policy->holds++;
    }
}

void policy_mask_release(const struct policy_mask *mask)
{
    if (mask->names != NULL) {
        policy_destroy(mask->names->policy);
    }
}

const char *policy_allow_all(void)
{
    return "{\"rules\":[{\"effect\":\"allow\",\"name\":\"allow-all\"}],\"version\":1}";
}

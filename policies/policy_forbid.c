/* Rules that stop an operation: those that deny, and those that hold. */
#include "policies/policy_decide.h"

bool tag_listed(const struct rule *rule, const char *command)
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

void forbidding_add(struct forbidding *f, const struct policy *p, size_t rule)
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

void forbid_text(struct applicable *a, const struct question *q, struct forbidding *f)
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

void forbid_object(struct applicable *a, const struct target *t, struct forbidding *f)
{
    for (size_t i = 0; i < a->forbid_count; i++) {
        if (rule_names(&a->policy->rules[a->forbid[i]], t, a->is_whole[i])) {
            forbidding_add(f, a->policy, a->forbid[i]);
            a->has_stopped[i] = true;
        }
    }
}

void forbid_cover_held(struct applicable *a)
{
    for (size_t i = 0; i < a->forbid_count; i++) {
        if (a->has_stopped[i]) {
            cover_held(a, a->forbid[i]);
        }
    }
}

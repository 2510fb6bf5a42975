/* Which rules are about somebody, somewhere, now. */
#include <stdlib.h>

#include "base/arena.h"
#include "policies/policy_internal.h"

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

static bool claim_matches(const struct claim_patterns *wanted, const struct policy_request *r)
{
    for (size_t i = 0; i < r->claim_count; i++) {
        const struct policy_claim *c = &r->claims[i];
        if (c->path != NULL && strcmp(c->path, wanted->path) == 0 &&
            any_matches(&wanted->values, &c->value, 1)) {
            return true;
        }
    }
    return false;
}

static bool claims_match(const struct rule *rule, const struct policy_request *r)
{
    for (size_t i = 0; i < rule->claim_count; i++) {
        if (!claim_matches(&rule->claims[i], r)) {
            return false;
        }
    }
    return true;
}

static bool rule_applies(const struct rule *rule, const struct policy_request *r)
{
    return (rule->subjects.count == 0 || any_matches(&rule->subjects, &r->subject, 1)) &&
           (rule->groups.count == 0 || any_matches(&rule->groups, r->groups, r->group_count)) &&
           (rule->on_behalf_of.count == 0 ||
            any_matches(&rule->on_behalf_of, r->on_behalf_of, r->on_behalf_of_count)) &&
           (rule->resources.count == 0 || any_matches(&rule->resources, &r->resource, 1)) &&
           claims_match(rule, r) && window_contains(&rule->when, r->now_unix_s);
}

/* --- the index ------------------------------------------------------------------------- */

struct candidates {
    uint32_t words[(POLICY_RULES_MAX + 31) / 32];
};

static void candidates_add(struct candidates *c, size_t rule)
{
    c->words[rule / 32] |= 1u << (rule % 32);
}

static void candidates_find(struct candidates *c, const struct rule_keys *keys, const char *text)
{
    if (text == NULL) {
        return;
    }
    size_t low = 0, high = keys->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(keys->items[middle].text, text) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < keys->count && strcmp(keys->items[low].text, text) == 0; low++) {
        candidates_add(c, keys->items[low].rule);
    }
}

void rules_apply(const struct policy *p, const struct policy_request *r, rule_visit *visit,
                 void *context)
{
    struct candidates c;
    size_t words = (p->rule_count + 31) / 32;
    memset(c.words, 0, words * sizeof(c.words[0]));
    for (size_t i = 0; i < p->general_count; i++) {
        candidates_add(&c, p->general[i]);
    }
    for (size_t i = 0; i < r->group_count; i++) {
        candidates_find(&c, &p->by_group, r->groups[i]);
    }
    candidates_find(&c, &p->by_subject, r->subject);
    for (size_t i = 0; i < words; i++) {
        for (uint32_t rest = c.words[i]; rest != 0; rest &= rest - 1) {
            size_t rule = i * 32 + (size_t)__builtin_ctz(rest);
            if (rule_applies(&p->rules[rule], r)) {
                visit(context, rule);
            }
        }
    }
}

static bool are_exact(const struct texts *patterns)
{
    for (size_t i = 0; i < patterns->count; i++) {
        if (strpbrk(patterns->items[i], "*?") != NULL) {
            return false;
        }
    }
    return patterns->count > 0;
}

static int keys_compare(const void *a, const void *b)
{
    const struct rule_key *left = a, *right = b;
    return strcmp(left->text, right->text);
}

static struct rule_key *keys_add(struct rule_key *to, const struct texts *texts, size_t rule)
{
    for (size_t i = 0; i < texts->count; i++) {
        *to++ = (struct rule_key){.text = texts->items[i], .rule = (uint16_t)rule};
    }
    return to;
}

static size_t texts_count(const struct policy *p)
{
    size_t count = 0;
    for (size_t i = 0; i < p->rule_count; i++) {
        count += p->rules[i].groups.count + p->rules[i].subjects.count;
    }
    return count;
}

bool rules_index(struct policy *p)
{
    size_t count = texts_count(p) + 1;
    struct rule_key *groups = arena_alloc(p->arena, count * sizeof(*groups));
    struct rule_key *subjects = arena_alloc(p->arena, count * sizeof(*subjects));
    uint16_t *general = arena_alloc(p->arena, (p->rule_count + 1) * sizeof(*general));
    if (groups == NULL || subjects == NULL || general == NULL) {
        return false;
    }
    struct rule_key *group = groups, *subject = subjects;
    for (size_t i = 0; i < p->rule_count; i++) {
        const struct rule *rule = &p->rules[i];
        if (are_exact(&rule->groups)) {
            group = keys_add(group, &rule->groups, i);
        } else if (are_exact(&rule->subjects)) {
            subject = keys_add(subject, &rule->subjects, i);
        } else {
            general[p->general_count++] = (uint16_t)i;
        }
    }
    p->by_group = (struct rule_keys){.items = groups, .count = (size_t)(group - groups)};
    p->by_subject = (struct rule_keys){.items = subjects, .count = (size_t)(subject - subjects)};
    p->general = general;
    qsort(groups, p->by_group.count, sizeof(*groups), keys_compare);
    qsort(subjects, p->by_subject.count, sizeof(*subjects), keys_compare);
    return true;
}

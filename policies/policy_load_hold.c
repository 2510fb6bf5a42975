/* `hold`: who decides about a held operation, and how. */
#include "policies/policy_load.h"

enum {
    NS_PER_S = 1000000000,
    DAY_S = 86400,
    GROUP_SIZE_MAX = 256,
    STANDING_USES_MAX = 1000000,
};

/* Terms are whole seconds. Left out: `*out` stays. */
static enum err seconds_read(struct load *l, const struct conf_node *map, const char *key,
                             int64_t min_s, int64_t max_s, int64_t *out)
{
    int64_t ns = *out * NS_PER_S;
    enum err e = conf_read_duration(map, key, min_s * NS_PER_S, max_s * NS_PER_S, &ns, l->why);
    if (e == OK && ns % NS_PER_S != 0) {
        e = conf_fail(conf_get(map, key), l->why, "expected whole seconds");
    }
    if (e == OK) {
        *out = ns / NS_PER_S;
    }
    return e;
}

/* --- approvers ------------------------------------------------------------------------- */

static enum err group_check(struct load *l, const struct conf_node *n, const struct texts *groups,
                            size_t index)
{
    const char *name = groups->items[index];
    if (strpbrk(name, "*?") != NULL) {
        return conf_fail(n, l->why,
                         "expected the name of a group, found the pattern \"%.60s\": who may "
                         "approve is said by name",
                         name);
    }
    if (strlen(name) > GROUP_SIZE_MAX) {
        return conf_fail(n, l->why, "expected a name of at most %d bytes", GROUP_SIZE_MAX);
    }
    for (size_t i = 0; i < index; i++) {
        if (strcmp(groups->items[i], name) == 0) {
            return conf_fail(n, l->why, "\"%.60s\" is in this list already", name);
        }
    }
    return OK;
}

static enum err approvers_read(struct load *l, const struct conf_node *hold,
                               struct policy_hold *out)
{
    static const char *const keys[] = {"groups", NULL};
    const struct conf_node *approvers = NULL, *list = NULL;
    struct texts groups = {0};
    size_t index = 0;
    enum err e = conf_require(hold, "approvers", l->why);
    e = e == OK ? conf_read_map(hold, "approvers", &approvers, l->why) : e;
    e = e == OK ? conf_check_keys(approvers, keys, l->why) : e;
    e = e == OK ? conf_require(approvers, "groups", l->why) : e;
    e = e == OK ? conf_read_list(approvers, "groups", &list, l->why) : e;
    if (e == OK && conf_count(list) == 0) {
        return conf_fail(list, l->why, "expected at least one group: somebody has to decide");
    }
    if (e == OK && conf_count(list) > POLICY_HOLD_GROUPS_MAX) {
        (void)conf_fail(list, l->why, "%zu groups, at most %d are allowed", conf_count(list),
                        POLICY_HOLD_GROUPS_MAX);
        return ERR_LIMIT;
    }
    e = e == OK ? load_texts_of(l, list, &groups) : e;
    for (const struct conf_node *n = e == OK ? conf_first(list) : NULL; e == OK && n != NULL;
         n = conf_next(n)) {
        e = group_check(l, n, &groups, index++);
    }
    out->groups = groups.items;
    out->group_count = groups.count;
    return e;
}

/* --- the other terms ------------------------------------------------------------------- */

static enum err times_read(struct load *l, const struct conf_node *hold, struct policy_hold *out)
{
    out->lifetime_s = 15 * 60;
    enum err e = seconds_read(l, hold, "expires", 10, 7 * DAY_S, &out->lifetime_s);
    /* Locks are held meanwhile. */
    out->in_transaction_s = out->lifetime_s < 60 ? out->lifetime_s : 60;
    return e == OK
               ? seconds_read(l, hold, "in_transaction", 1, out->lifetime_s, &out->in_transaction_s)
               : e;
}

static enum err transactions_leave_out(struct load *l, const struct conf_node *hold,
                                       struct policy_hold *out)
{
    const struct conf_node *n = conf_get(hold, "in_transaction");
    out->in_transaction_s = out->lifetime_s;
    return n == NULL ? OK : conf_fail(n, l->why, "HTTP has no transactions");
}

static enum err people_read(struct load *l, const struct conf_node *hold, struct policy_hold *out)
{
    static const struct conf_choice requester[] = {{"exclude", true}, {"allow", false}, {NULL, 0}};
    static const struct conf_choice reason[] = {{"optional", false}, {"required", true}, {NULL, 0}};
    static const struct conf_choice linked[] = {{"allow", false}, {"forbid", true}, {NULL, 0}};
    int64_t people = 1;
    int excludes = true, needs_reason = false, forbids_linked = false;
    enum err e = conf_read_integer(hold, "people", "a number of people", 1, POLICY_HOLD_PEOPLE_MAX,
                                   &people, l->why);
    e = e == OK ? conf_read_choice(hold, "requester", requester, &excludes, l->why) : e;
    e = e == OK ? conf_read_choice(hold, "reason", reason, &needs_reason, l->why) : e;
    e = e == OK ? conf_read_choice(hold, "linked_accounts", linked, &forbids_linked, l->why) : e;
    out->people = (uint32_t)people;
    out->excludes_requester = excludes != false;
    out->needs_reason = needs_reason != false;
    out->forbids_linked = forbids_linked != false;
    return e;
}

static enum err mode_read(struct load *l, const struct conf_node *hold, struct policy_hold *out)
{
    static const struct conf_choice modes[] = {{"wait", false}, {"retry", true}, {NULL, 0}};
    int is_retry = false;
    enum err e = conf_read_choice(hold, "mode", modes, &is_retry, l->why);
    out->is_retry = is_retry != false;
    if (e == OK && !out->is_retry && conf_get(hold, "retry_window") != NULL) {
        return conf_fail(conf_get(hold, "retry_window"), l->why,
                         "it is about `mode: retry`; in the mode `wait` what is approved goes at "
                         "once");
    }
    out->retry_window_s = 10 * 60;
    return e == OK ? seconds_read(l, hold, "retry_window", 10, 7 * DAY_S, &out->retry_window_s) : e;
}

static enum err standing_read(struct load *l, const struct conf_node *hold, struct policy_hold *out)
{
    static const char *const keys[] = {"for", "uses", NULL};
    const struct conf_node *standing = NULL;
    int64_t uses = 0;
    enum err e = conf_read_map(hold, "standing", &standing, l->why);
    if (e != OK || standing == NULL) {
        return e;
    }
    e = conf_check_keys(standing, keys, l->why);
    e = e == OK ? conf_require(standing, "for", l->why) : e;
    e = e == OK ? conf_require(standing, "uses", l->why) : e;
    e = e == OK ? seconds_read(l, standing, "for", 10, 30 * DAY_S, &out->standing_s_max) : e;
    e = e == OK ? conf_read_integer(standing, "uses", "a number of uses", 1, STANDING_USES_MAX,
                                    &uses, l->why)
                : e;
    out->has_standing = true;
    out->standing_uses_max = (uint32_t)uses;
    return e;
}

static enum err predict_read(struct load *l, const struct conf_node *hold, enum about about,
                             struct policy_hold *out)
{
    enum { NONE, PLAN, EXACT };
    static const struct conf_choice ways[] = {
        {"none", NONE}, {"plan", PLAN}, {"exact", EXACT}, {NULL, 0}};
    int way = about == ABOUT_HTTP ? NONE : PLAN;
    enum err e = conf_read_choice(hold, "predict", ways, &way, l->why);
    if (e == OK && about == ABOUT_HTTP && way != NONE) {
        e = conf_fail(conf_get(hold, "predict"), l->why,
                      "a request of HTTP has no plan that could be shown: expected \"none\"");
    }
    out->explains = way != NONE;
    out->runs_dry = way == EXACT;
    return e;
}

enum err load_hold(struct load *l, const struct conf_node *rule_node, struct rule *rule)
{
    static const char *const keys[] = {"approvers",       "people",   "expires", "in_transaction",
                                       "requester",       "reason",   "mode",    "retry_window",
                                       "linked_accounts", "standing", "predict", NULL};
    const struct conf_node *hold = NULL;
    if (rule->effect != POLICY_HOLD) {
        hold = conf_get(rule_node, "hold");
        return hold == NULL
                   ? OK
                   : conf_fail(hold, l->why, "only a rule with `effect: hold` has people to ask");
    }
    struct policy_hold *terms = arena_alloc(l->arena, sizeof(*terms));
    if (terms == NULL) {
        return load_no_memory(l);
    }
    enum err e = conf_require(rule_node, "hold", l->why);
    e = e == OK ? conf_read_map(rule_node, "hold", &hold, l->why) : e;
    e = e == OK ? conf_check_keys(hold, keys, l->why) : e;
    e = e == OK ? approvers_read(l, hold, terms) : e;
    e = e == OK ? people_read(l, hold, terms) : e;
    e = e == OK ? times_read(l, hold, terms) : e;
    if (e == OK && rule->about == ABOUT_HTTP) {
        e = transactions_leave_out(l, hold, terms);
    }
    e = e == OK ? mode_read(l, hold, terms) : e;
    e = e == OK ? standing_read(l, hold, terms) : e;
    e = e == OK ? predict_read(l, hold, rule->about, terms) : e;
    rule->hold = terms;
    return e;
}

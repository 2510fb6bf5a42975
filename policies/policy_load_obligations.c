/* `obligations`: what goes with what a rule lets through. */
#include "policies/policy_load.h"

enum { DAY_S = 86400, REQUESTS_MAX = 1000000000 };

static enum err durability_read(struct load *l, const struct conf_node *map, struct rule *rule)
{
    static const struct conf_choice levels[] = {
        {"process", POLICY_PROCESS}, {"host", POLICY_HOST}, {"fleet", POLICY_FLEET}, {NULL, 0}};
    int level = -1;
    enum err e = conf_read_choice(map, "durability", levels, &level, l->why);
    if (e == OK && level == POLICY_PROCESS && rule->effect == POLICY_HOLD) {
        /* Somebody waits for it, maybe for days: it must survive the host. */
        e = conf_fail(conf_get(map, "durability"), l->why,
                      "what is held is on disk at least: use \"host\" or \"fleet\"");
    }
    if (level >= 0) {
        rule->has_durability = true;
        rule->durability = (enum policy_durability)level;
    }
    return e;
}

static enum err record_read(struct load *l, const struct conf_node *map, struct rule *rule)
{
    static const struct conf_choice records[] = {{"full", POLICY_RECORD_FULL},
                                                 {"no_results", POLICY_RECORD_NO_RESULTS},
                                                 {"no_values", POLICY_RECORD_NO_VALUES},
                                                 {NULL, 0}};
    int record = POLICY_RECORD_FULL;
    enum err e = conf_read_choice(map, "record", records, &record, l->why);
    rule->record = (enum policy_record)record;
    return e;
}

static enum err rows_read(struct load *l, const struct conf_node *map, struct rule *rule)
{
    int64_t max_rows = 0;
    if (conf_get(map, "max_rows") != NULL && rule->about == ABOUT_HTTP) {
        return conf_fail(conf_get(map, "max_rows"), l->why,
                         "HTTP has no rows; use `max_response_bytes`");
    }
    enum err e = conf_read_integer(map, "max_rows", "a number of rows", 1, INT64_C(1000000000000),
                                   &max_rows, l->why);
    rule->max_rows = (uint64_t)max_rows;
    return e;
}

/* ---- of HTTP -------------------------------------------------------------------------- */

static enum err rate_read(struct load *l, const struct conf_node *map, struct rule *rule)
{
    static const char *const keys[] = {"requests", "per", NULL};
    const int64_t second_ns = 1000000000;
    const struct conf_node *rate = NULL;
    int64_t requests = 0, per_ns = 0;
    enum err e = conf_read_map(map, "rate", &rate, l->why);
    if (e != OK || rate == NULL) {
        return e;
    }
    e = conf_check_keys(rate, keys, l->why);
    e = e == OK ? conf_require(rate, "requests", l->why) : e;
    e = e == OK ? conf_require(rate, "per", l->why) : e;
    e = e == OK ? conf_read_integer(rate, "requests", "a number of requests", 1, REQUESTS_MAX,
                                    &requests, l->why)
                : e;
    e = e == OK
            ? conf_read_duration(rate, "per", second_ns, 30 * DAY_S * second_ns, &per_ns, l->why)
            : e;
    if (e == OK && per_ns % second_ns != 0) {
        e = conf_fail(conf_get(rate, "per"), l->why, "expected whole seconds");
    }
    rule->rate = (struct policy_rate){
        .rule = rule->name, .requests = (uint32_t)requests, .per_s = per_ns / second_ns};
    return e;
}

static enum err http_read(struct load *l, const struct conf_node *map, struct rule *rule)
{
    static const char *const names[] = {"rate", "max_request_bytes", "max_response_bytes"};
    const uint64_t most = UINT64_C(1) << 50;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && rule->about != ABOUT_HTTP; i++) {
        if (conf_get(map, names[i]) != NULL) {
            /* A limit that holds for one protocol only would look as if it held for all. */
            return conf_fail(conf_get(map, names[i]), l->why,
                             "it is about HTTP: the rule's `match` needs `http`, which may be {}");
        }
    }
    enum err e = rate_read(l, map, rule);
    e = e == OK
            ? conf_read_size(map, "max_request_bytes", 1, most, &rule->max_request_bytes, l->why)
            : e;
    return e == OK ? conf_read_size(map, "max_response_bytes", 1, most, &rule->max_response_bytes,
                                    l->why)
                   : e;
}

enum err load_obligations(struct load *l, const struct conf_node *rule_node, struct rule *rule)
{
    static const char *const keys[] = {
        "durability",         "record", "max_rows", "mask", "rate", "max_request_bytes",
        "max_response_bytes", NULL};
    const struct conf_node *map = NULL;
    enum err e = conf_read_map(rule_node, "obligations", &map, l->why);
    if (e != OK || map == NULL) {
        return e;
    }
    if (rule->effect == POLICY_DENY) {
        return conf_fail(map, l->why,
                         "a rule with `effect: deny` has no obligations: nothing is done");
    }
    e = conf_check_keys(map, keys, l->why);
    e = e == OK ? durability_read(l, map, rule) : e;
    e = e == OK ? record_read(l, map, rule) : e;
    e = e == OK ? rows_read(l, map, rule) : e;
    e = e == OK ? http_read(l, map, rule) : e;
    return e == OK ? load_masks(l, map, rule) : e;
}

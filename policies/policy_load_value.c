/* What a value of a request must be: one of some texts, or within limits. */
#include "policies/policy_load.h"

static enum err number_read(struct load *l, const struct conf_node *map, const char *key,
                            bool *out_given, struct decimal *out)
{
    const char *text = NULL;
    enum err e = conf_read_string(map, key, &text, l->why);
    if (e != OK || text == NULL) {
        return e;
    }
    if (!decimal_parse(text, out)) {
        return conf_fail(conf_get(map, key), l->why,
                         "expected a number such as 100 or 12.50, found \"%.40s\"", text);
    }
    *out_given = true;
    return OK;
}

static enum err lengths_read(struct load *l, const struct conf_node *map, struct value_pattern *out)
{
    const int64_t most = INT64_C(1) << 40;
    int64_t min = 0, max = most;
    enum err e =
        conf_read_integer(map, "min_length", "a number of characters", 0, most, &min, l->why);
    e = e == OK
            ? conf_read_integer(map, "max_length", "a number of characters", 0, most, &max, l->why)
            : e;
    if (e == OK && min > max) {
        e = conf_fail(conf_get(map, "max_length"), l->why, "it is less than `min_length`");
    }
    out->has_lengths = conf_get(map, "min_length") != NULL || conf_get(map, "max_length") != NULL;
    out->min_length = (uint64_t)min;
    out->max_length = (uint64_t)max;
    return e;
}

static enum err limits_read(struct load *l, const struct conf_node *map, struct value_pattern *out)
{
    static const char *const keys[] = {"min", "max", "min_length", "max_length", NULL};
    enum err e = conf_check_keys(map, keys, l->why);
    if (e == OK && conf_count(map) == 0) {
        return conf_fail(map, l->why, "expected min, max, min_length or max_length");
    }
    e = e == OK ? number_read(l, map, "min", &out->has_min, &out->min) : e;
    e = e == OK ? number_read(l, map, "max", &out->has_max, &out->max) : e;
    if (e == OK && out->has_min && out->has_max && decimal_compare(&out->min, &out->max) > 0) {
        return conf_fail(conf_get(map, "max"), l->why, "it is less than `min`");
    }
    return e == OK ? lengths_read(l, map, out) : e;
}

enum err load_value(struct load *l, const struct conf_node *n, struct value_pattern *out)
{
    if (conf_kind(n) == CONF_MAP) {
        return limits_read(l, n, out);
    }
    if (conf_kind(n) != CONF_LIST) {
        return conf_fail(n, l->why,
                         "expected a list of texts, or limits such as {min: 1, max: 100} or "
                         "{max_length: 20}");
    }
    if (conf_count(n) == 0) {
        return conf_fail(n, l->why, "expected at least one value; [\"*\"] is any");
    }
    return load_texts_of(l, n, &out->texts);
}

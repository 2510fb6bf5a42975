/* How long the content of sessions is kept. */
#include "controlplane/config_internal.h"

static const int64_t second_ns = 1000000000;
static const int64_t keep_max_ns = INT64_C(36500) * 86400 * 1000000000; /* a hundred years */

static enum err read_rule(struct config_reader *r, const struct conf_node *item,
                          struct config_retention *out)
{
    static const char *const keys[] = {"resource", "keep", NULL};
    enum err e = conf_check_keys(item, keys, r->why);
    if (e == OK) {
        e = conf_require(item, "resource", r->why);
    }
    if (e == OK) {
        e = conf_require(item, "keep", r->why);
    }
    if (e == OK) {
        e = conf_read_string(item, "resource", &out->resource, r->why);
    }
    return e == OK ? conf_read_duration(item, "keep", second_ns, keep_max_ns, &out->keep_ns, r->why)
                   : e;
}

enum err config_read_retention(struct config_reader *r, const struct conf_node *root)
{
    const struct conf_node *list = NULL;
    void *items = NULL;
    size_t count = 0;
    enum err e = config_read_items(r, root, "retention", sizeof(struct config_retention), &list,
                                   &items, &count);
    struct config_retention *rules = items;
    const struct conf_node *n = list == NULL ? NULL : conf_first(list);
    for (size_t i = 0; e == OK && n != NULL; i++, n = conf_next(n)) {
        e = read_rule(r, n, &rules[i]);
    }
    r->config->retention.items = rules;
    r->config->retention.count = count;
    return e;
}

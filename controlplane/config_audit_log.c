/* `audit_log`: how the records are signed, and who watches over it. */
#include "controlplane/config_internal.h"

static const int64_t millisecond_ns = 1000000, second_ns = 1000000000;
static const int64_t day_ns = INT64_C(86400) * 1000000000;

enum { WITNESSES_MAX = 32 };

static enum err read_required(struct config_reader *r, const struct conf_node *item,
                              const char *key, const char **out)
{
    enum err e = conf_require(item, key, r->why);
    return e == OK ? conf_read_string(item, key, out, r->why) : e;
}

static enum err read_witness(struct config_reader *r, const struct conf_node *item,
                             struct config_witness *out)
{
    static const char *const keys[] = {"url", "key", "ca_file", NULL};
    enum err e = conf_check_keys(item, keys, r->why);
    if (e == OK) {
        e = read_required(r, item, "url", &out->url);
    }
    if (e == OK) {
        e = read_required(r, item, "key", &out->key);
    }
    return e == OK ? config_read_file(r, item, "ca_file", &out->ca_file) : e;
}

static enum err read_witnesses(struct config_reader *r, const struct conf_node *map)
{
    const struct conf_node *list = NULL;
    void *items = NULL;
    size_t count = 0;
    int64_t quorum = 0;
    enum err e = config_read_items(r, map, "witnesses", sizeof(struct config_witness), &list,
                                   &items, &count);
    if (e == OK && count > WITNESSES_MAX) {
        e = conf_fail(list, r->why, "expected at most %d witnesses, found %zu", WITNESSES_MAX,
                      count);
    }
    const struct conf_node *n = list == NULL ? NULL : conf_first(list);
    for (size_t i = 0; e == OK && n != NULL; i++, n = conf_next(n)) {
        e = read_witness(r, n, (struct config_witness *)items + i);
    }
    if (e == OK) {
        e = conf_read_integer(map, "quorum", "a number of witnesses", 0, (int64_t)count, &quorum,
                              r->why);
    }
    r->config->audit_log.witnesses.items = items;
    r->config->audit_log.witnesses.count = count;
    r->config->audit_log.quorum = (size_t)quorum;
    return e;
}

enum err config_read_audit_log(struct config_reader *r, const struct conf_node *root)
{
    static const char *const keys[] = {
        "origin", "checkpoint_interval", "key_overlap", "witnesses", "quorum", NULL};
    const struct conf_node *map = NULL;
    r->config->audit_log.interval_ns = 2 * second_ns;
    r->config->audit_log.key_overlap_ns = 30 * day_ns;
    enum err e = conf_read_map(root, "audit_log", &map, r->why);
    if (e != OK || map == NULL) {
        return e;
    }
    e = conf_check_keys(map, keys, r->why);
    if (e == OK) {
        e = conf_read_string(map, "origin", &r->config->audit_log.origin, r->why);
    }
    if (e == OK) {
        e = conf_read_duration(map, "checkpoint_interval", 100 * millisecond_ns, 3600 * second_ns,
                               &r->config->audit_log.interval_ns, r->why);
    }
    if (e == OK) {
        e = conf_read_duration(map, "key_overlap", second_ns, 365 * day_ns,
                               &r->config->audit_log.key_overlap_ns, r->why);
    }
    return e == OK ? read_witnesses(r, map) : e;
}

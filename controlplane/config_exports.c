/* Exports and metrics. */
#include <ctype.h>

#include "controlplane/config_internal.h"

static const int64_t second_ns = 1000000000;
static const int64_t day_ns = INT64_C(86400) * 1000000000;

/* --- what is sent -------------------------------------------------------------------------------
 */

static enum err read_kinds(struct config_reader *r, const struct conf_node *map,
                           struct config_export *out)
{
    static const struct conf_choice kinds[] = {
        {"session_opened", 10}, {"intent", 11},    {"approval", 12}, {"outcome", 13},
        {"session_closed", 14}, {"heartbeat", 15}, {"loss", 16},     {"action", 17},
        {"finding", 18},        {"message", 19},   {NULL, 0}};
    const struct conf_node *n = conf_get(map, "kinds");
    enum err e = config_read_strings(r, map, "kinds", &out->filter.kinds);
    if (e != OK || n == NULL || conf_kind(n) == CONF_SCALAR) {
        int kind = 0;
        return e != OK || n == NULL ? e : conf_as_choice(n, kinds, &kind, r->why);
    }
    for (const struct conf_node *item = conf_first(n); e == OK && item != NULL;
         item = conf_next(item)) {
        int kind = 0;
        e = conf_as_choice(item, kinds, &kind, r->why);
    }
    return e;
}

static enum err read_filter(struct config_reader *r, const struct conf_node *item,
                            struct config_export *out)
{
    static const char *const keys[] = {"resource", "identity", "kinds", "verdict", NULL};
    static const struct conf_choice verdicts[] = {
        {"allow", 1}, {"deny", 2}, {"hold", 3}, {NULL, 0}};
    const struct conf_node *map = NULL;
    enum err e = conf_read_map(item, "filter", &map, r->why);
    if (e != OK || map == NULL) {
        return e;
    }
    e = conf_check_keys(map, keys, r->why);
    if (e == OK) {
        e = conf_read_string(map, "resource", &out->filter.resource, r->why);
    }
    if (e == OK) {
        e = conf_read_string(map, "identity", &out->filter.identity, r->why);
    }
    if (e == OK) {
        e = conf_read_choice(map, "verdict", verdicts, &out->filter.verdict, r->why);
    }
    return e == OK ? read_kinds(r, map, out) : e;
}

/* "02:30" -> nanoseconds since midnight. */
static enum err read_daily(struct config_reader *r, const struct conf_node *map,
                           struct config_export *out)
{
    const char *t = NULL;
    enum err e = conf_read_string(map, "daily", &t, r->why);
    if (e != OK || t == NULL) {
        return e;
    }
    bool is_time = strlen(t) == 5 && isdigit((unsigned char)t[0]) && isdigit((unsigned char)t[1]) &&
                   t[2] == ':' && isdigit((unsigned char)t[3]) && isdigit((unsigned char)t[4]);
    int hour = is_time ? (t[0] - '0') * 10 + (t[1] - '0') : 24;
    int minute = is_time ? (t[3] - '0') * 10 + (t[4] - '0') : 60;
    if (hour > 23 || minute > 59) {
        return conf_fail(conf_get(map, "daily"), r->why,
                         "expected a time of the day in UTC such as \"02:00\", found \"%.64s\"", t);
    }
    out->schedule.every_ns = day_ns;
    out->schedule.daily_ns = ((int64_t)hour * 60 + minute) * 60 * second_ns;
    return OK;
}

static enum err read_schedule(struct config_reader *r, const struct conf_node *item,
                              struct config_export *out)
{
    static const char *const keys[] = {"daily", "every", NULL};
    const struct conf_node *map = NULL;
    enum err e = conf_read_map(item, "schedule", &map, r->why);
    if (e != OK || map == NULL) {
        return e;
    }
    e = conf_check_keys(map, keys, r->why);
    if (e == OK && conf_count(map) != 1) {
        e = conf_fail(map, r->why, "expected one of `daily` and `every`, found %zu keys",
                      conf_count(map));
    }
    if (e == OK) {
        e = conf_read_duration(map, "every", second_ns, day_ns, &out->schedule.every_ns, r->why);
    }
    if (e == OK) {
        e = read_daily(r, map, out);
    }
    if (e == OK && out->kind != CONFIG_EXPORT_FILE) {
        e = conf_fail(map, r->why,
                      "expected a schedule with `file` only: others are sent to as "
                      "records arrive, found another destination");
    }
    return e;
}

/* --- where to -----------------------------------------------------------------------------------
 */

static enum err read_file(struct config_reader *r, const struct conf_node *map,
                          struct config_export *out)
{
    static const char *const keys[] = {"directory", "compress", "rotate_size", "rotate_every",
                                       NULL};
    static const struct conf_choice compressions[] = {{"none", CONFIG_COMPRESS_NONE},
                                                      {"gzip", CONFIG_COMPRESS_GZIP},
                                                      {"zstd", CONFIG_COMPRESS_ZSTD},
                                                      {NULL, 0}};
    int compress = CONFIG_COMPRESS_NONE;
    out->file.rotate_size = 64 << 20;
    out->file.rotate_every_ns = 3600 * second_ns;
    enum err e = conf_check_keys(map, keys, r->why);
    if (e == OK) {
        e = conf_require(map, "directory", r->why);
    }
    if (e == OK) {
        e = config_read_path(r, map, "directory", &out->file.directory);
    }
    if (e == OK) {
        e = conf_read_choice(map, "compress", compressions, &compress, r->why);
    }
    if (e == OK) {
        e = conf_read_size(map, "rotate_size", 4096, UINT64_C(1) << 40, &out->file.rotate_size,
                           r->why);
    }
    if (e == OK) {
        e = conf_read_duration(map, "rotate_every", second_ns, 31 * day_ns,
                               &out->file.rotate_every_ns, r->why);
    }
    out->file.compress = (enum config_compression)compress;
    return e;
}

/* --- a job --------------------------------------------------------------------------------------
 */

static enum err read_destination(struct config_reader *r, const struct conf_node *item,
                                 struct config_export *out)
{
    static const struct {
        const char *key;
        enum config_export_kind kind;
        enum err (*read)(struct config_reader *, const struct conf_node *, struct config_export *);
    } kinds[] = {{"file", CONFIG_EXPORT_FILE, read_file},
                 {"syslog", CONFIG_EXPORT_SYSLOG, config_read_export_syslog},
                 {"kafka", CONFIG_EXPORT_KAFKA, config_read_export_kafka}};
    int found = 0;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const struct conf_node *map = NULL;
        e = conf_read_map(item, kinds[i].key, &map, r->why);
        if (e == OK && map != NULL) {
            found++;
            out->kind = kinds[i].kind;
            e = kinds[i].read(r, map, out);
        }
    }
    return e == OK && found != 1
               ? conf_fail(item, r->why,
                           "expected one of `file`, `syslog` and `kafka`, found %d of them", found)
               : e;
}

static enum err check_name(const struct conf_node *item, const char *name, struct err_text *why)
{
    static const char others[] = "._-";
    bool fits = name[0] != '.' && strlen(name) <= 64;
    for (size_t i = 0; fits && name[i] != '\0'; i++) {
        fits = isalnum((unsigned char)name[i]) || strchr(others, name[i]) != NULL;
    }
    return fits ? OK
                : conf_fail(conf_get(item, "name"), why,
                            "expected at most 64 letters, digits, '.', '_' or '-' (it is part of "
                            "file names), found \"%.64s\"",
                            name);
}

static enum err read_export(struct config_reader *r, const struct conf_node *item,
                            struct config_export *all, size_t n)
{
    static const char *const keys[] = {"name", "format", "rows",  "from",     "filter",
                                       "file", "syslog", "kafka", "schedule", NULL};
    static const struct conf_choice formats[] = {
        {"json", CONFIG_EXPORT_JSON}, {"ocsf", CONFIG_EXPORT_OCSF}, {NULL, 0}};
    static const struct conf_choice froms[] = {{"now", 0}, {"beginning", 1}, {NULL, 0}};
    struct config_export *x = &all[n];
    int format = CONFIG_EXPORT_JSON, from = 0;
    enum err e = conf_check_keys(item, keys, r->why);
    if (e == OK) {
        e = config_read_name(r, item, all, sizeof(*all), n, &x->name);
    }
    if (e == OK) {
        e = check_name(item, x->name, r->why);
    }
    if (e == OK) {
        e = conf_read_choice(item, "format", formats, &format, r->why);
    }
    if (e == OK) {
        e = conf_read_bool(item, "rows", &x->rows, r->why);
    }
    if (e == OK) {
        e = conf_read_choice(item, "from", froms, &from, r->why);
    }
    if (e == OK) {
        e = read_filter(r, item, x);
    }
    if (e == OK) {
        e = read_destination(r, item, x);
    }
    x->format = (enum config_export_format)format;
    x->from_beginning = from == 1;
    return e == OK ? read_schedule(r, item, x) : e;
}

enum err config_read_exports(struct config_reader *r, const struct conf_node *root)
{
    const struct conf_node *list = NULL;
    void *items = NULL;
    size_t count = 0;
    enum err e =
        config_read_items(r, root, "exports", sizeof(struct config_export), &list, &items, &count);
    const struct conf_node *n = list == NULL ? NULL : conf_first(list);
    for (size_t i = 0; e == OK && n != NULL; i++, n = conf_next(n)) {
        e = read_export(r, n, items, i);
    }
    r->config->exports.items = items;
    r->config->exports.count = count;
    return e;
}

enum err config_read_metrics(struct config_reader *r, const struct conf_node *root)
{
    static const char *const keys[] = {"listen", NULL};
    const struct conf_node *map = NULL;
    const char *text = NULL;
    enum err e = conf_read_map(root, "metrics", &map, r->why);
    if (e != OK || map == NULL) {
        return e;
    }
    e = conf_check_keys(map, keys, r->why);
    if (e == OK) {
        e = conf_require(map, "listen", r->why);
    }
    if (e == OK) {
        e = conf_read_string(map, "listen", &text, r->why);
    }
    return e == OK ? config_split_address(r, conf_get(map, "listen"), text, 0,
                                          &r->config->metrics.host, &r->config->metrics.port)
                   : e;
}

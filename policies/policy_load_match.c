/* `match`: who, where, and what of SQL. */
#include "policies/policy_load.h"

/* --- SQL ------------------------------------------------------------------------------- */

/* Whatever reads, writes or defines may call functions; what writes may lock the rows it writes. */
static uint32_t with_carried(uint32_t accesses)
{
    const uint32_t writes = ACCESS_INSERT | ACCESS_UPDATE | ACCESS_DELETE;
    const uint32_t calls =
        writes | ACCESS_READ | ACCESS_LOAD | ACCESS_CREATE | ACCESS_ALTER | ACCESS_PROCEDURAL;
    return accesses | ((accesses & calls) != 0 ? (uint32_t)ACCESS_CALL : 0) |
           ((accesses & writes) != 0 ? (uint32_t)ACCESS_LOCK : 0);
}

static enum err unknown_command(struct load *l, const struct conf_node *n, const char *text,
                                const char *tag)
{
    const char *names[160];
    (void)class_and_command_names(names, sizeof(names) / sizeof(names[0]));
    const char *meant = conf_nearest(text, names);
    meant = meant == NULL ? conf_nearest(tag, names) : meant;
    return conf_fail(n, l->why,
                     "expected a class (%s) or a command such as SELECT or CREATE TABLE, found "
                     "\"%.40s\"%s%s%s",
                     class_names(), text, meant == NULL ? "" : "; did you mean \"",
                     meant == NULL ? "" : meant, meant == NULL ? "" : "\"?");
}

/* A class, or a command tag in any case. */
static enum err command_take(struct load *l, const struct conf_node *n, struct rule *rule,
                             const char **out_tag)
{
    const char *text = NULL;
    enum err e = conf_as_string(n, &text, l->why);
    if (e != OK) {
        return e;
    }
    *out_tag = NULL;
    uint32_t accesses = class_accesses(text);
    if (accesses != 0) {
        rule->classes |= accesses;
        rule->accesses |= accesses;
        rule->covers |= accesses;
        return OK;
    }
    char *tag = arena_copy_string(l->arena, bytes_of_string(text));
    if (tag == NULL) {
        return load_no_memory(l);
    }
    for (char *p = tag; *p != '\0'; p++) {
        if (*p >= 'a' && *p <= 'z') {
            *p &= 0x5f;
        }
    }
    const struct command *c = command_find(tag);
    if (c->accesses == ACCESS_UNKNOWN) {
        return unknown_command(l, n, text, tag);
    }
    rule->accesses |= rule->effect == POLICY_ALLOW ? command_granted(c) : command_forbidden(c);
    rule->covers |= command_granted(c);
    *out_tag = tag;
    return OK;
}

static enum err commands_read(struct load *l, const struct conf_node *sql, struct rule *rule)
{
    const struct conf_node *list = NULL;
    enum err e = load_list(l, sql, "commands", &list);
    if (e != OK || list == NULL) {
        return e;
    }
    const char **tags = arena_alloc(l->arena, conf_count(list) * sizeof(const char *));
    if (tags == NULL) {
        return load_no_memory(l);
    }
    size_t count = 0;
    for (const struct conf_node *n = conf_first(list); n != NULL; n = conf_next(n)) {
        e = command_take(l, n, rule, &tags[count]);
        if (e != OK) {
            return e;
        }
        count += tags[count] != NULL;
    }
    rule->tags = (struct texts){.items = tags, .count = count};
    rule->has_commands = true;
    return OK;
}

static enum err copy_read(struct load *l, const struct conf_node *sql, struct rule *rule)
{
    static const struct conf_choice ways[] = {
        {"in", ACCESS_LOAD}, {"out", ACCESS_EXPORT}, {NULL, 0}};
    const struct conf_node *list = NULL;
    enum err e = load_list(l, sql, "copy", &list);
    for (const struct conf_node *n = list == NULL ? NULL : conf_first(list); e == OK && n != NULL;
         n = conf_next(n)) {
        int way = 0;
        e = conf_as_choice(n, ways, &way, l->why);
        rule->copies |= (uint32_t)way;
    }
    return e;
}

/* What only a rule that forbids can ask for. */
static enum err condition_read(struct load *l, const struct conf_node *sql, const char *key,
                               const struct rule *rule, bool *out)
{
    enum err e = conf_read_bool(sql, key, out, l->why);
    if (e == OK && *out && rule->effect == POLICY_ALLOW) {
        e = conf_fail(conf_get(sql, key), l->why,
                      "a rule with `effect: allow` cannot ask for it; forbid it with a rule of its "
                      "own");
    }
    return e;
}

/* Which accesses the rule speaks of, when all of it was read. */
static enum err accesses_settle(struct load *l, const struct conf_node *sql, struct rule *rule)
{
    if (rule->effect == POLICY_ALLOW && rule->copies != 0) {
        rule->has_commands = true;
    }
    if (rule->effect == POLICY_ALLOW) {
        rule->accesses = rule->covers;
    } else if (!rule->has_commands) {
        rule->accesses = ACCESS_ALL;
    }
    if (rule->without_where) {
        rule->accesses &= ACCESS_UPDATE | ACCESS_DELETE;
        if (rule->accesses == 0) {
            return conf_fail(conf_get(sql, "without_where"), l->why,
                             "it is about UPDATE and DELETE, but `commands` has neither");
        }
    }
    return OK;
}

/* What a rule that allows or holds lets through. */
static void covers_settle(struct rule *rule)
{
    const uint32_t changes = ACCESS_UPDATE | ACCESS_DELETE;
    bool all = !rule->has_commands && rule->copies == 0;
    rule->covers_classes = rule->classes;
    if (rule->copies != 0) {
        rule->covers |=
            rule->copies | ((rule->copies & ACCESS_LOAD) != 0 ? (uint32_t)ACCESS_INSERT : 0);
    }
    if (rule->without_where) {
        rule->covers = all ? changes : rule->covers & changes;
        rule->covers_classes |= all ? changes : 0;
    }
    rule->covers_any_command = all && !rule->without_where;
    rule->covers = rule->covers_any_command ? (uint32_t)ACCESS_ALL : with_carried(rule->covers);
    if (rule->multi_statement) {
        /* It says how something is asked, not what: what nothing else lets through must not get
         * further for having another statement beside it. */
        rule->covers = rule->covers_classes = 0;
        rule->covers_any_command = false;
    }
}

static void settle_everything(struct rule *rule)
{
    rule->accesses = rule->covers = ACCESS_ALL;
    rule->covers_any_command = true;
}

enum err load_sql(struct load *l, const struct conf_node *match, struct rule *rule)
{
    static const char *const keys[] = {"commands",        "tables",    "schemas",
                                       "columns",         "functions", "without_where",
                                       "multi_statement", "copy",      NULL};
    const struct conf_node *sql = NULL;
    enum err e = conf_read_map(match, "sql", &sql, l->why);
    if (e != OK || sql == NULL) {
        settle_everything(rule);
        return e;
    }
    rule->about = ABOUT_SQL;
    e = conf_check_keys(sql, keys, l->why);
    e = e == OK ? commands_read(l, sql, rule) : e;
    e = e == OK ? load_names(l, sql, "tables", &rule->tables) : e;
    e = e == OK ? load_schemas(l, sql, "schemas", &rule->schemas) : e;
    e = e == OK ? load_columns(l, sql, "columns", &rule->columns) : e;
    e = e == OK ? load_names(l, sql, "functions", &rule->functions) : e;
    e = e == OK ? copy_read(l, sql, rule) : e;
    e = e == OK ? condition_read(l, sql, "without_where", rule, &rule->without_where) : e;
    e = e == OK ? condition_read(l, sql, "multi_statement", rule, &rule->multi_statement) : e;
    covers_settle(rule);
    e = e == OK ? accesses_settle(l, sql, rule) : e;
    rule->has_tables = rule->tables.count + rule->schemas.count + rule->columns.count > 0;
    rule->has_names = rule->has_tables || rule->functions.count > 0;
    return e;
}

/* --- who and where --------------------------------------------------------------------- */

static enum err claims_read(struct load *l, const struct conf_node *identities, struct rule *rule)
{
    const struct conf_node *map = NULL;
    enum err e = conf_read_map(identities, "claims", &map, l->why);
    if (e != OK || map == NULL) {
        return e;
    }
    if (conf_count(map) == 0) {
        return conf_fail(map, l->why,
                         "expected at least one claim; leave `claims` out to match any");
    }
    struct claim_patterns *claims = arena_alloc(l->arena, conf_count(map) * sizeof(*claims));
    if (claims == NULL) {
        return load_no_memory(l);
    }
    for (const struct conf_node *n = conf_first(map); n != NULL; n = conf_next(n)) {
        struct claim_patterns *c = &claims[rule->claim_count++];
        e = load_copy_text(l, conf_key(n), &c->path);
        e = e == OK ? load_texts(l, map, conf_key(n), &c->values) : e;
        if (e != OK) {
            return e;
        }
    }
    rule->claims = claims;
    return OK;
}

static enum err identities_read(struct load *l, const struct conf_node *match, struct rule *rule)
{
    static const char *const keys[] = {"subjects", "groups", "on_behalf_of", "claims", NULL};
    const struct conf_node *identities = NULL;
    enum err e = conf_read_map(match, "identities", &identities, l->why);
    if (e != OK || identities == NULL) {
        return e;
    }
    e = conf_check_keys(identities, keys, l->why);
    e = e == OK ? load_texts(l, identities, "subjects", &rule->subjects) : e;
    e = e == OK ? load_texts(l, identities, "groups", &rule->groups) : e;
    e = e == OK ? load_texts(l, identities, "on_behalf_of", &rule->on_behalf_of) : e;
    return e == OK ? claims_read(l, identities, rule) : e;
}

enum err load_match(struct load *l, const struct conf_node *rule_node, struct rule *rule)
{
    static const char *const keys[] = {"identities", "resources", "when", "sql", "http", NULL};
    const struct conf_node *match = NULL;
    enum err e = conf_read_map(rule_node, "match", &match, l->why);
    if (e != OK || match == NULL) {
        settle_everything(rule);
        return e;
    }
    e = conf_check_keys(match, keys, l->why);
    e = e == OK ? identities_read(l, match, rule) : e;
    e = e == OK ? load_texts(l, match, "resources", &rule->resources) : e;
    e = e == OK ? load_when(l, match, &rule->when) : e;
    e = e == OK ? load_sql(l, match, rule) : e;
    return e == OK ? load_http(l, match, rule) : e;
}

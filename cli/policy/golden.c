#include "cli/policy/golden.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/conf/conf.h"
#include "cli/policy/decision.h"

enum { PATH_SIZE = 4096, WORDS_SIZE = 512 };

struct golden {
    const char *path;
    struct policy *policy;
    golden_report *report;
    void *context;
};

struct golden_case {
    const char *name, *resource, *sql, *rule; /* rule NULL: any */
    int verdict;
    struct identity_option as;
};

static enum err load_policy(const struct conf_node *root, const char *path, struct policy **out,
                            struct err_text *error)
{
    const char *name = NULL;
    char full[PATH_SIZE];
    struct conf *c = NULL;
    enum err e = conf_require(root, "policy", error);
    e = e == OK ? conf_read_string(root, "policy", &name, error) : e;
    if (e != OK) {
        return e;
    }
    const char *slash = strrchr(path, '/');
    int directory = name[0] == '/' || slash == NULL ? 0 : (int)(slash - path + 1);
    int n = snprintf(full, sizeof(full), "%.*s%s", directory, path, name);
    if (n < 0 || (size_t)n >= sizeof(full)) {
        return conf_fail(conf_get(root, "policy"), error, "the path is too long");
    }
    e = conf_load_file(full, &c, error);
    e = e == OK ? policy_compile_conf(conf_root(c), 1, out, error) : e;
    conf_destroy(c);
    return e;
}

static enum err read_case(const struct conf_node *n, struct golden_case *out,
                          struct err_text *error)
{
    static const char *const keys[] = {"name", "as", "resource", "sql", "verdict", "rule", NULL};
    static const char *const required[] = {"as", "sql", "verdict"};
    static const struct conf_choice verdicts[] = {
        {"allow", POLICY_ALLOW}, {"deny", POLICY_DENY}, {"hold", POLICY_HOLD}, {NULL, 0}};
    const char *as = "";
    struct err_text why = {0};
    *out = (struct golden_case){.resource = "default"};
    enum err e = conf_check_keys(n, keys, error);
    for (size_t i = 0; e == OK && i < sizeof(required) / sizeof(required[0]); i++) {
        e = conf_require(n, required[i], error);
    }
    e = e == OK ? conf_read_string(n, "as", &as, error) : e;
    e = e == OK ? conf_read_string(n, "sql", &out->sql, error) : e;
    e = e == OK ? conf_read_string(n, "resource", &out->resource, error) : e;
    e = e == OK ? conf_read_string(n, "rule", &out->rule, error) : e;
    e = e == OK ? conf_read_choice(n, "verdict", verdicts, &out->verdict, error) : e;
    out->name = out->sql;
    e = e == OK ? conf_read_string(n, "name", &out->name, error) : e;
    if (e == OK && decision_parse_identity("an identity", as, &out->as, &why) != OK) {
        e = conf_fail(conf_get(n, "as"), error, "%.300s", why.text);
    }
    return e;
}

static void say(char out[WORDS_SIZE], const char *effect, const char *rule, const char *message)
{
    bool has_message = message != NULL && message[0] != '\0';
    (void)snprintf(out, WORDS_SIZE, "%s%s%.100s%s%.300s%s", effect, rule == NULL ? "" : " by ",
                   rule == NULL ? "" : rule, has_message ? " (" : "", has_message ? message : "",
                   has_message ? ")" : "");
}

static enum err run_case(const struct golden *g, const struct golden_case *c)
{
    struct decision *d = NULL;
    char expected[WORDS_SIZE], found[WORDS_SIZE];
    enum err e = decision_make(g->policy, &c->as, c->resource, bytes_of_string(c->sql), &d);
    if (e != OK) {
        return e;
    }
    const struct policy_verdict *v = decision_verdict(d);
    say(expected, decision_effect_name((enum policy_effect)c->verdict), c->rule, NULL);
    say(found, decision_effect_name(v->effect), v->rule, v->message);
    const struct golden_result result = {
        .file = g->path,
        .name = c->name,
        .passed = v->effect == (enum policy_effect)c->verdict &&
                  (c->rule == NULL || strcmp(c->rule, v->rule) == 0),
        .expected = expected,
        .found = found,
    };
    g->report(g->context, &result);
    decision_destroy(d);
    return OK;
}

static enum err run_cases(const struct golden *g, const struct conf_node *root,
                          struct err_text *error)
{
    const struct conf_node *list = NULL;
    enum err e = conf_require(root, "cases", error);
    e = e == OK ? conf_read_list(root, "cases", &list, error) : e;
    for (const struct conf_node *n = e == OK ? conf_first(list) : NULL; e == OK && n != NULL;
         n = conf_next(n)) {
        struct golden_case c;
        e = read_case(n, &c, error);
        e = e == OK ? run_case(g, &c) : e;
    }
    return e;
}

enum err golden_run(const char *path, golden_report *report, void *context, struct err_text *error)
{
    static const char *const keys[] = {"policy", "cases", NULL};
    struct golden g = {.path = path, .report = report, .context = context};
    struct conf *c = NULL;
    enum err e = conf_load_file(path, &c, error);
    e = e == OK ? conf_check_keys(conf_root(c), keys, error) : e;
    e = e == OK ? load_policy(conf_root(c), path, &g.policy, error) : e;
    e = e == OK ? run_cases(&g, conf_root(c), error) : e;
    policy_destroy(g.policy);
    conf_destroy(c);
    return e;
}

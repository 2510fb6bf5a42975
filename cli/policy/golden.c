#include "cli/policy/golden.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/conf/conf.h"
#include "cli/policy/decision_http.h"
#include "cli/policy/tables.h"

enum { PATH_SIZE = 4096, WORDS_MAX = 16 << 10 };

struct golden {
    const char *path;
    struct policy *policy;
    struct masking *masking; /* NULL: without a catalog */
    golden_report *report;
    void *context;
};

struct golden_case {
    const char *name, *resource, *sql, *rule; /* rule NULL: any */
    int verdict;
    const struct conf_node *masked, *groups; /* NULL: any */
    int64_t people;                          /* 0: any */
    struct identity_option as;
    struct decision_http http; /* in place of `sql`; request NULL: it is none */
    const char *path;          /* NULL: any */
};

/* ---- reading ------------------------------------------------------------------------------- */

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

static enum err load_catalog(const struct conf_node *root, struct masking **out,
                             struct err_text *error)
{
    const struct conf_node *map = NULL;
    struct catalog *catalog = NULL;
    enum err e = conf_read_map(root, "catalog", &map, error);
    if (e != OK || map == NULL) {
        return e;
    }
    e = tables_read(map, &catalog, error);
    if (e == OK) {
        *out = masking_create(catalog);
        e = *out == NULL ? ERR_NO_MEMORY : OK;
    }
    catalog_unref(catalog);
    return e;
}

/* Every item of a list or map is text. */
static enum err check_texts(const struct conf_node *list, struct err_text *error)
{
    enum err e = OK;
    for (const struct conf_node *n = list == NULL ? NULL : conf_first(list); e == OK && n != NULL;
         n = conf_next(n)) {
        const char *text = NULL;
        e = conf_as_string(n, &text, error);
    }
    return e;
}

/* What only some verdicts have. */
static enum err read_terms(const struct golden *g, const struct conf_node *n,
                           struct golden_case *out, struct err_text *error)
{
    static const char *const of_hold[] = {"groups", "people"};
    enum err e = conf_read_map(n, "masked", &out->masked, error);
    e = e == OK ? check_texts(out->masked, error) : e;
    e = e == OK ? conf_read_list(n, "groups", &out->groups, error) : e;
    e = e == OK ? check_texts(out->groups, error) : e;
    e = e == OK ? conf_read_integer(n, "people", "a number of people", 1, POLICY_HOLD_PEOPLE_MAX,
                                    &out->people, error)
                : e;
    for (size_t i = 0; e == OK && out->verdict != POLICY_HOLD && i < 2; i++) {
        if (conf_get(n, of_hold[i]) != NULL) {
            e = conf_fail(conf_get(n, of_hold[i]), error, "it is about `verdict: hold`");
        }
    }
    if (e == OK && out->masked != NULL && g->masking == NULL) {
        e = conf_fail(out->masked, error, "it needs a `catalog` beside `cases`");
    }
    if (e == OK && out->masked != NULL && out->verdict == POLICY_DENY) {
        e = conf_fail(out->masked, error, "what is refused has no result");
    }
    return e;
}

static enum err read_headers(const struct conf_node *n, struct decision_http *out,
                             struct err_text *error)
{
    const struct conf_node *list = NULL;
    enum err e = conf_read_list(n, "headers", &list, error);
    e = e == OK ? check_texts(list, error) : e;
    if (e == OK && list != NULL && conf_count(list) > DECISION_HTTP_HEADERS_MAX) {
        return conf_fail(list, error, "expected at most %d", DECISION_HTTP_HEADERS_MAX);
    }
    for (n = e == OK && list != NULL ? conf_first(list) : NULL; e == OK && n != NULL;
         n = conf_next(n)) {
        e = conf_as_string(n, &out->headers[out->header_count++], error);
    }
    return e;
}

/* What is asked: SQL or HTTP. */
static enum err read_question(const struct conf_node *n, struct golden_case *out,
                              struct err_text *error)
{
    static const char *const of_http[] = {"headers", "body", "websocket", "path"};
    const char *body = NULL;
    enum err e = conf_read_string(n, "http", &out->http.request, error);
    for (size_t i = 0; e == OK && out->http.request == NULL && i < 4; i++) {
        if (conf_get(n, of_http[i]) != NULL) {
            return conf_fail(conf_get(n, of_http[i]), error, "it is about `http`");
        }
    }
    if (e != OK || out->http.request == NULL) {
        e = e == OK ? conf_require(n, "sql", error) : e;
        return e == OK ? conf_read_string(n, "sql", &out->sql, error) : e;
    }
    if (conf_get(n, "sql") != NULL) {
        return conf_fail(conf_get(n, "sql"), error, "a case has `sql` or `http`; make two of it");
    }
    if (conf_get(n, "masked") != NULL) {
        return conf_fail(conf_get(n, "masked"), error, "it is about `sql`");
    }
    e = read_headers(n, &out->http, error);
    e = e == OK ? conf_read_string(n, "body", &body, error) : e;
    e = e == OK ? conf_read_bool(n, "websocket", &out->http.is_websocket, error) : e;
    e = e == OK ? conf_read_string(n, "path", &out->path, error) : e;
    out->http.body = bytes_of_string(body);
    return e;
}

static enum err read_case(const struct golden *g, const struct conf_node *n,
                          struct golden_case *out, struct err_text *error)
{
    static const char *const keys[] = {"name",    "as",     "resource",  "sql",    "verdict",
                                       "rule",    "masked", "groups",    "people", "http",
                                       "headers", "body",   "websocket", "path",   NULL};
    static const char *const required[] = {"as", "verdict"};
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
    e = e == OK ? read_question(n, out, error) : e;
    e = e == OK ? conf_read_string(n, "resource", &out->resource, error) : e;
    e = e == OK ? conf_read_string(n, "rule", &out->rule, error) : e;
    e = e == OK ? conf_read_choice(n, "verdict", verdicts, &out->verdict, error) : e;
    out->name = out->sql != NULL ? out->sql : out->http.request;
    e = e == OK ? conf_read_string(n, "name", &out->name, error) : e;
    if (e == OK && decision_parse_identity("an identity", as, &out->as, &why) != OK) {
        e = conf_fail(conf_get(n, "as"), error, "%.300s", why.text);
    }
    return e == OK ? read_terms(g, n, out, error) : e;
}

/* ---- comparing ----------------------------------------------------------------------------- */

static const char *text_of(const struct conf_node *n)
{
    const char *text = "";
    return conf_as_string(n, &text, NULL) == OK ? text : "";
}

static bool is_called(const struct masking_column *c, const char *key)
{
    char number[24];
    (void)snprintf(number, sizeof(number), "%zu", c->number);
    return strcmp(c->name, key) == 0 || (c->number > 0 && strcmp(number, key) == 0);
}

/* Each that is masked was expected, and the other way round. */
static bool masks_are(const struct masking_result *m, const struct conf_node *wanted)
{
    for (size_t i = 0; i < m->column_count; i++) {
        const struct conf_node *n = conf_first(wanted);
        while (n != NULL && !(is_called(&m->columns[i], conf_key(n)) &&
                              strcmp(m->columns[i].rule, text_of(n)) == 0)) {
            n = conf_next(n);
        }
        if (n == NULL) {
            return false;
        }
    }
    for (const struct conf_node *n = conf_first(wanted); n != NULL; n = conf_next(n)) {
        size_t i = 0;
        while (i < m->column_count && !is_called(&m->columns[i], conf_key(n))) {
            i++;
        }
        if (i == m->column_count) {
            return false;
        }
    }
    return true;
}

static bool groups_are(const struct policy_hold *h, const struct conf_node *wanted)
{
    for (const struct conf_node *n = conf_first(wanted); n != NULL; n = conf_next(n)) {
        size_t i = 0;
        while (i < h->group_count && strcmp(h->groups[i], text_of(n)) != 0) {
            i++;
        }
        if (i == h->group_count) {
            return false;
        }
    }
    return conf_count(wanted) == h->group_count;
}

static bool case_holds(const struct golden_case *c, const struct decision *d)
{
    const struct policy_verdict *v = decision_verdict(d);
    return v->effect == (enum policy_effect)c->verdict &&
           (c->rule == NULL || strcmp(c->rule, v->rule) == 0) &&
           (c->groups == NULL || (v->hold != NULL && groups_are(v->hold, c->groups))) &&
           (c->path == NULL || (v->path != NULL && strcmp(c->path, v->path) == 0)) &&
           (c->people == 0 || (v->hold != NULL && v->hold->people == c->people)) &&
           (c->masked == NULL || masks_are(decision_masking(d), c->masked));
}

/* ---- words --------------------------------------------------------------------------------- */

static enum err say_list(struct buffer *b, const char *lead, const char *item, size_t index)
{
    return buffer_append_format(b, "%s%.200s", index == 0 ? lead : "+", item);
}

static enum err say_expected(const struct golden_case *c, struct buffer *b)
{
    size_t index = 0;
    enum err e = buffer_append_string(b, decision_effect_name((enum policy_effect)c->verdict));
    if (e == OK && c->rule != NULL) {
        e = buffer_append_format(b, " by %.100s", c->rule);
    }
    for (const struct conf_node *n = c->groups == NULL ? NULL : conf_first(c->groups);
         e == OK && n != NULL; n = conf_next(n)) {
        e = say_list(b, ", for ", text_of(n), index++);
    }
    if (e == OK && c->people != 0) {
        e = buffer_append_format(b, ", %d people", (int)c->people);
    }
    if (e == OK && c->path != NULL) {
        e = buffer_append_format(b, ", path %.200s", c->path);
    }
    if (e == OK && c->masked != NULL) {
        e = buffer_append_string(b, ", masked:");
    }
    for (const struct conf_node *n = c->masked == NULL ? NULL : conf_first(c->masked);
         e == OK && n != NULL; n = conf_next(n)) {
        e = buffer_append_format(b, " %.160s by %.100s", conf_key(n), text_of(n));
    }
    return e;
}

static enum err say_found(const struct golden_case *c, const struct decision *d, struct buffer *b)
{
    const struct policy_verdict *v = decision_verdict(d);
    const struct masking_result *m = decision_masking(d);
    enum err e = buffer_append_format(b, "%s by %.100s", decision_effect_name(v->effect), v->rule);
    if (e == OK && v->message != NULL && v->message[0] != '\0') {
        e = buffer_append_format(b, " (%.300s)", v->message);
    }
    for (size_t i = 0; e == OK && v->hold != NULL && c->groups != NULL && i < v->hold->group_count;
         i++) {
        e = say_list(b, ", for ", v->hold->groups[i], i);
    }
    if (e == OK && v->hold != NULL && c->people != 0) {
        e = buffer_append_format(b, ", %u people", v->hold->people);
    }
    if (e == OK && c->path != NULL) {
        e = buffer_append_format(b, ", path %.200s", v->path == NULL ? "of none" : v->path);
    }
    if (e == OK && c->masked != NULL && v->effect != POLICY_DENY) {
        e = buffer_append_string(b, ", masked:");
        for (size_t i = 0; e == OK && i < m->column_count; i++) {
            e = buffer_append_format(b, " %.160s by %.100s", m->columns[i].name,
                                     m->columns[i].rule);
        }
    }
    return e;
}

/* Returns owned; what does not fit is left out. */
static char *finish_words(struct buffer *b, enum err e)
{
    char *text = e == OK || e == ERR_LIMIT ? bytes_to_string(buffer_bytes(b)) : NULL;
    buffer_finish(b);
    return text;
}

/* ---- running ------------------------------------------------------------------------------- */

static enum err report_case(const struct golden *g, const struct golden_case *c,
                            const struct decision *d)
{
    struct buffer words;
    buffer_init(&words, WORDS_MAX);
    char *expected = finish_words(&words, say_expected(c, &words));
    char *found = finish_words(&words, say_found(c, d, &words));
    enum err e = expected == NULL || found == NULL ? ERR_NO_MEMORY : OK;
    if (e == OK) {
        const struct golden_result result = {.file = g->path,
                                             .name = c->name,
                                             .passed = case_holds(c, d),
                                             .expected = expected,
                                             .found = found};
        g->report(g->context, &result);
    }
    free(expected);
    free(found);
    return e;
}

static enum err run_case(const struct golden *g, const struct conf_node *n,
                         const struct golden_case *c, struct err_text *error)
{
    struct decision *d = NULL;
    struct err_text why = {0};
    enum err e = c->http.request != NULL
                     ? decision_make_http(g->policy, &c->as, c->resource, &c->http, &d, &why)
                     : decision_make(g->policy, &c->as, c->resource, g->masking, c->sql, &d);
    if (e == ERR_INVALID) {
        return conf_fail(conf_get(n, "http"), error, "%s", why.text);
    }
    e = e == OK ? report_case(g, c, d) : e;
    decision_destroy(d);
    return e;
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
        e = read_case(g, n, &c, error);
        e = e == OK ? run_case(g, n, &c, error) : e;
    }
    return e;
}

enum err golden_run(const char *path, golden_report *report, void *context, struct err_text *error)
{
    static const char *const keys[] = {"policy", "catalog", "cases", NULL};
    struct golden g = {.path = path, .report = report, .context = context};
    struct conf *c = NULL;
    enum err e = conf_load_file(path, &c, error);
    e = e == OK ? conf_check_keys(conf_root(c), keys, error) : e;
    e = e == OK ? load_policy(conf_root(c), path, &g.policy, error) : e;
    e = e == OK ? load_catalog(conf_root(c), &g.masking, error) : e;
    e = e == OK ? run_cases(&g, conf_root(c), error) : e;
    masking_destroy(g.masking);
    policy_destroy(g.policy);
    conf_destroy(c);
    return e;
}

/* `http`: what a rule asks of requests of HTTP. */
#include <strings.h>

#include "policies/policy_load.h"

/* --- methods --------------------------------------------------------------------------- */

/* Those of IANA's registry that are about resources; others are taken where they cannot be a slip
 * of the pen. */
static const char *const known[] = {
    "read",          "write",    "GET",       "HEAD",   "OPTIONS",    "POST",       "PUT",
    "PATCH",         "DELETE",   "TRACE",     "ACL",    "BIND",       "CHECKIN",    "CHECKOUT",
    "COPY",          "LABEL",    "LINK",      "LOCK",   "MERGE",      "MOVE",       "MKCOL",
    "MKREDIRECTREF", "PROPFIND", "PROPPATCH", "QUERY",  "REBIND",     "REPORT",     "SEARCH",
    "UNBIND",        "UNLINK",   "UNLOCK",    "UPDATE", "MKACTIVITY", "MKCALENDAR", "MKWORKSPACE",
    "ORDERPATCH",    "PURGE",    NULL};

static enum err method_check(struct load *l, const struct conf_node *n, const char *text)
{
    size_t letters = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
    for (size_t i = 0; known[i] != NULL; i++) {
        if (strcmp(known[i], text) == 0) {
            return OK;
        }
    }
    if (strcmp(text, "CONNECT") == 0) {
        return conf_fail(n, l->why,
                         "CONNECT asks for a way, not for a resource: the requests that "
                         "come on it are decided");
    }
    const char *meant = conf_nearest(text, known);
    for (size_t i = 0; known[i] != NULL && letters < strlen(text); i++) {
        meant = strcasecmp(known[i], text) == 0 ? known[i] : meant;
    }
    if (text[letters] == '\0' && meant == NULL) {
        return OK;
    }
    return conf_fail(
        n, l->why, "expected a class (read, write) or a method such as GET, found \"%.40s\"%s%s%s",
        text, meant == NULL ? "" : "; did you mean \"", meant == NULL ? "" : meant,
        meant == NULL ? "" : "\"?");
}

/* Classes as the methods they stand for. */
static size_t methods_of(const char *text, const char *out[])
{
    const char *const *class = strcmp(text, "read") == 0    ? http_read_methods
                               : strcmp(text, "write") == 0 ? http_write_methods
                                                            : NULL;
    size_t count = 0;
    for (; class != NULL && class[count] != NULL; count++) {
        out[count] = class[count];
    }
    return count;
}

static enum err methods_read(struct load *l, const struct conf_node *http, struct texts *out)
{
    enum { CLASS_METHODS_MAX = 4 };
    const struct conf_node *list = NULL;
    enum err e = load_list(l, http, "methods", &list);
    if (e != OK || list == NULL) {
        return e;
    }
    const char **items =
        arena_alloc(l->arena, conf_count(list) * CLASS_METHODS_MAX * sizeof(const char *));
    if (items == NULL) {
        return load_no_memory(l);
    }
    size_t count = 0;
    for (const struct conf_node *n = conf_first(list); n != NULL && e == OK; n = conf_next(n)) {
        const char *text = "";
        e = conf_as_string(n, &text, l->why);
        e = e == OK ? method_check(l, n, text) : e;
        size_t of_class = e == OK ? methods_of(text, items + count) : 0;
        count += of_class;
        if (e == OK && of_class == 0) {
            e = load_copy_text(l, text, &items[count++]);
        }
    }
    *out = (struct texts){.items = items, .count = count};
    return e;
}

/* --- hosts and paths ------------------------------------------------------------------- */

static enum err hosts_read(struct load *l, const struct conf_node *http, struct texts *out)
{
    const struct conf_node *list = NULL;
    struct texts hosts = {0};
    enum err e = load_list(l, http, "hosts", &list);
    e = e == OK && list != NULL ? load_texts_of(l, list, &hosts) : e;
    size_t i = 0;
    for (const struct conf_node *n = list == NULL ? NULL : conf_first(list); e == OK && n != NULL;
         n = conf_next(n)) {
        char *host = (char *)hosts.items[i++]; /* the policy's own copy */
        size_t size = strlen(host);
        bool is_address = host[0] == '[' && host[size - 1] == ']';
        if (strpbrk(host, "/@ ") != NULL || (!is_address && strpbrk(host, ":[]") != NULL)) {
            e = conf_fail(n, l->why,
                          "expected a host such as api.internal or *.internal, without scheme and "
                          "port, found \"%.60s\"",
                          host);
        }
        if (is_address) {
            memmove(host, host + 1, size - 1);
            host[size - 2] = '\0';
        }
        for (char *p = host; *p != '\0'; p++) {
            *p = *p >= 'A' && *p <= 'Z' ? (char)(*p | 0x20) : *p;
        }
    }
    *out = hosts;
    return e;
}

static bool is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

/* "{id}" */
static bool is_parameter(const char *segment)
{
    size_t i = 1;
    while (segment[0] == '{' && is_name_character(segment[i])) {
        i++;
    }
    return i > 1 && segment[i] == '}' && segment[i + 1] == '\0';
}

static enum err segment_take(struct load *l, const struct conf_node *n, const char *segment,
                             bool is_last, struct step_pattern *p, const char **steps)
{
    if (strcmp(segment, "**") == 0 && is_last) {
        p->has_rest = true;
        return OK;
    }
    if (strcmp(segment, "*") == 0 || is_parameter(segment)) {
        steps[p->count++] = NULL;
        return OK;
    }
    if (strcmp(segment, "**") == 0) {
        return conf_fail(n, l->why, "`**` stands for any rest: only at the end of a path");
    }
    if (strcmp(segment, ".") == 0 || strcmp(segment, "..") == 0) {
        return conf_fail(n, l->why, "no path has the segment \"%s\"; it would never match",
                         segment);
    }
    if (strpbrk(segment, "*{}?#\\") != NULL) {
        return conf_fail(n, l->why, "expected a segment such as orders, {id} or *, found \"%.60s\"",
                         segment);
    }
    steps[p->count++] = segment;
    return OK;
}

static bool has_encoding(const char *text)
{
    static const char hex[] = "0123456789abcdefABCDEF";
    for (const char *at = strchr(text, '%'); at != NULL; at = strchr(at + 1, '%')) {
        if (at[1] != '\0' && strchr(hex, at[1]) != NULL && at[2] != '\0' &&
            strchr(hex, at[2]) != NULL) {
            return true;
        }
    }
    return false;
}

static size_t steps_count(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++) {
        count += *text == '/';
    }
    return count;
}

static enum err path_parse(struct load *l, const struct conf_node *n, struct step_pattern *out)
{
    const char *text = "";
    enum err e = conf_as_string(n, &text, l->why);
    if (e == OK && text[0] != '/') {
        return conf_fail(n, l->why,
                         "expected a path such as /customers/{id} or /orders/**, found \"%.60s\"",
                         text);
    }
    if (e == OK && has_encoding(text)) {
        return conf_fail(n, l->why, "paths are written as they are decoded: without %%XX");
    }
    char *rest = e == OK ? arena_copy_string(l->arena, bytes_of_string(text)) : NULL;
    const char **steps = arena_alloc(l->arena, (steps_count(text) + 1) * sizeof(const char *));
    e = e == OK ? load_copy_text(l, text, &out->text) : e;
    if (e == OK && (rest == NULL || steps == NULL)) {
        return load_no_memory(l);
    }
    for (char *at = e == OK ? rest + 1 : NULL; at != NULL && e == OK;) {
        char *slash = strchr(at, '/');
        if (slash != NULL) {
            *slash = '\0';
        }
        e = segment_take(l, n, at, slash == NULL, out, steps);
        at = slash == NULL ? NULL : slash + 1;
    }
    out->steps = steps;
    return e;
}

static enum err pointer_read(struct load *l, const struct conf_node *n, const char *text,
                             struct step_pattern *out)
{
    if (text[0] != '/') {
        return conf_fail(n, l->why,
                         "expected a JSON pointer such as /customer/email or \"/items/*/sku\", "
                         "found \"%.60s\"",
                         text);
    }
    char *rest = arena_copy_string(l->arena, bytes_of_string(text));
    const char **steps = arena_alloc(l->arena, (steps_count(text) + 1) * sizeof(const char *));
    if (rest == NULL || steps == NULL) {
        return load_no_memory(l);
    }
    for (char *tilde = strchr(rest, '~'); tilde != NULL; tilde = strchr(tilde + 1, '~')) {
        if (tilde[1] != '0' && tilde[1] != '1') {
            return conf_fail(n, l->why,
                             "in a JSON pointer `~` is written ~0, and `/` in a name ~1");
        }
    }
    for (char *at = rest + 1; at != NULL;) {
        char *slash = strchr(at, '/');
        if (slash != NULL) {
            *slash = '\0';
        }
        bool is_any = strcmp(at, "*") == 0;
        if (!is_any && strchr(at, '*') != NULL) {
            return conf_fail(n, l->why, "`*` stands for a whole step, found \"%.60s\"", at);
        }
        steps[out->count++] = is_any ? NULL : at;
        at = slash == NULL ? NULL : slash + 1;
    }
    out->steps = steps;
    return load_copy_text(l, text, &out->text);
}

static enum err patterns_read(struct load *l, const struct conf_node *map, const char *key,
                              bool are_pointers, struct step_patterns *out)
{
    const struct conf_node *list = NULL;
    enum err e = load_list(l, map, key, &list);
    if (e != OK || list == NULL) {
        return e;
    }
    struct step_pattern *items = arena_alloc(l->arena, conf_count(list) * sizeof(*items));
    if (items == NULL) {
        return load_no_memory(l);
    }
    size_t count = 0;
    for (const struct conf_node *n = conf_first(list); n != NULL && e == OK; n = conf_next(n)) {
        const char *text = "";
        struct step_pattern *p = &items[count++];
        e = conf_as_string(n, &text, l->why);
        e = e != OK ? e : are_pointers ? pointer_read(l, n, text, p) : path_parse(l, n, p);
    }
    *out = (struct step_patterns){.items = items, .count = count};
    return e;
}

enum err load_pointers(struct load *l, const struct conf_node *map, const char *key,
                       struct step_patterns *out)
{
    return patterns_read(l, map, key, true, out);
}

enum err load_field_name(struct load *l, const struct conf_node *n, const char *text,
                         const char **out)
{
    static const char token[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "!#$%&'*+-.^_`|~";
    if (text[0] == '\0' || text[strspn(text, token)] != '\0') {
        return conf_fail(n, l->why, "expected a header's name such as x-team, found \"%.60s\"",
                         text);
    }
    char *name = arena_copy_string(l->arena, bytes_of_string(text));
    if (name == NULL) {
        return load_no_memory(l);
    }
    for (char *p = name; *p != '\0'; p++) {
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p | 0x20) : *p;
    }
    *out = name;
    return OK;
}

/* --- conditions ------------------------------------------------------------------------ */

enum place { PLACE_QUERY, PLACE_HEADERS, PLACE_BODY };

static enum err condition_read(struct load *l, const struct conf_node *n, enum place place,
                               struct http_condition *out)
{
    const char *key = conf_key(n);
    enum err e = OK;
    switch (place) {
    case PLACE_QUERY: e = load_copy_text(l, key, &out->name); break;
    case PLACE_HEADERS: e = load_field_name(l, n, key, &out->name); break;
    case PLACE_BODY: e = pointer_read(l, n, key, &out->pointer); break;
    }
    return e == OK ? load_value(l, n, &out->value) : e;
}

static enum err conditions_read(struct load *l, const struct conf_node *http, const char *key,
                                enum place place, struct http_conditions *out)
{
    const struct conf_node *map = NULL;
    enum err e = conf_read_map(http, key, &map, l->why);
    if (e != OK || map == NULL) {
        return e;
    }
    if (conf_count(map) == 0) {
        return conf_fail(map, l->why, "expected at least one name; leave `%s` out to match any",
                         key);
    }
    struct http_condition *items = arena_alloc(l->arena, conf_count(map) * sizeof(*items));
    if (items == NULL) {
        return load_no_memory(l);
    }
    size_t count = 0;
    for (const struct conf_node *n = conf_first(map); n != NULL && e == OK; n = conf_next(n)) {
        e = condition_read(l, n, place, &items[count++]);
    }
    *out = (struct http_conditions){.items = items, .count = count};
    return e;
}

/* RFC 6455 section 4.1. */
static enum err websocket_check(struct load *l, const struct conf_node *http,
                                const struct http_match *m)
{
    bool has_get = m->methods.count == 0;
    for (size_t i = 0; i < m->methods.count; i++) {
        has_get = has_get || strcmp(m->methods.items[i], "GET") == 0;
    }
    return !m->websocket || has_get
               ? OK
               : conf_fail(conf_get(http, "websocket"), l->why,
                           "a WebSocket begins with GET, but `methods` does not have it");
}

enum err load_http(struct load *l, const struct conf_node *match, struct rule *rule)
{
    static const char *const keys[] = {"methods", "hosts", "paths",     "query",
                                       "headers", "body",  "websocket", NULL};
    const struct conf_node *http = NULL;
    enum err e = conf_read_map(match, "http", &http, l->why);
    if (e != OK || http == NULL) {
        return e;
    }
    if (conf_get(match, "sql") != NULL) {
        return conf_fail(http, l->why, "a rule is about `sql` or `http`; make two of it");
    }
    struct http_match *m = arena_alloc(l->arena, sizeof(*m));
    if (m == NULL) {
        return load_no_memory(l);
    }
    e = conf_check_keys(http, keys, l->why);
    e = e == OK ? methods_read(l, http, &m->methods) : e;
    e = e == OK ? hosts_read(l, http, &m->hosts) : e;
    e = e == OK ? patterns_read(l, http, "paths", false, &m->paths) : e;
    e = e == OK ? conditions_read(l, http, "query", PLACE_QUERY, &m->query) : e;
    e = e == OK ? conditions_read(l, http, "headers", PLACE_HEADERS, &m->headers) : e;
    e = e == OK ? conditions_read(l, http, "body", PLACE_BODY, &m->body) : e;
    e = e == OK ? conf_read_bool(http, "websocket", &m->websocket, l->why) : e;
    rule->about = ABOUT_HTTP;
    rule->http = m;
    return e == OK ? websocket_check(l, http, m) : e;
}

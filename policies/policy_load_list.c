/* The lists of a document: texts, names, columns. */
#include "policies/policy_load.h"

enum err load_no_memory(struct load *l)
{
    return err_set(l->why, ERR_NO_MEMORY, "memory is short for the policy");
}

enum err load_copy_text(struct load *l, const char *text, const char **out)
{
    *out = arena_copy_string(l->arena, bytes_of_string(text));
    return *out == NULL ? load_no_memory(l) : OK;
}

enum err load_check_name(struct load *l, const struct conf_node *n, const char *name)
{
    for (const char *p = name; *p != '\0'; p++) {
        bool good = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-' ||
                    *p == '_' || *p == '.';
        if (!good || p - name >= POLICY_NAME_SIZE_MAX) {
            return conf_fail(n, l->why,
                             "expected a name of at most %d lower-case letters, digits and -_. , "
                             "found \"%.80s\"",
                             POLICY_NAME_SIZE_MAX, name);
        }
    }
    return OK;
}

enum err load_list(struct load *l, const struct conf_node *map, const char *key,
                   const struct conf_node **out)
{
    const struct conf_node *list = NULL;
    enum err e = conf_read_list(map, key, &list, l->why);
    if (e == OK && list != NULL && conf_count(list) == 0) {
        return conf_fail(list, l->why, "expected at least one item; leave `%s` out to match any",
                         key);
    }
    if (e == OK && list != NULL) {
        *out = list;
    }
    return e;
}

enum err load_texts_of(struct load *l, const struct conf_node *list, struct texts *out)
{
    const char **items = arena_alloc(l->arena, conf_count(list) * sizeof(const char *));
    if (items == NULL) {
        return load_no_memory(l);
    }
    size_t count = 0;
    for (const struct conf_node *n = conf_first(list); n != NULL; n = conf_next(n)) {
        const char *text = NULL;
        enum err e = conf_as_string(n, &text, l->why);
        e = e == OK ? load_copy_text(l, text, &items[count++]) : e;
        if (e != OK) {
            return e;
        }
    }
    *out = (struct texts){.items = items, .count = count};
    return OK;
}

enum err load_texts(struct load *l, const struct conf_node *map, const char *key, struct texts *out)
{
    const struct conf_node *list = NULL;
    enum err e = load_list(l, map, key, &list);
    return e != OK || list == NULL ? e : load_texts_of(l, list, out);
}

/* --- patterns -------------------------------------------------------------------------- */

/* A text and the room that its parts need. */
static enum err pattern_text(struct load *l, const struct conf_node *n, const char **out_text,
                             char **out_room)
{
    enum err e = conf_as_string(n, out_text, l->why);
    if (e != OK) {
        return e;
    }
    *out_room = arena_alloc(l->arena, 3 * (strlen(*out_text) + 1));
    return *out_room == NULL ? load_no_memory(l) : OK;
}

typedef bool name_parse(const char *text, char *out_parts, struct name_pattern *out);

static enum err name_patterns_read(struct load *l, const struct conf_node *map, const char *key,
                                   name_parse *parse, const char *expected,
                                   struct name_patterns *out)
{
    const struct conf_node *list = NULL;
    enum err e = load_list(l, map, key, &list);
    if (e != OK || list == NULL) {
        return e;
    }
    struct name_pattern *items = arena_alloc(l->arena, conf_count(list) * sizeof(*items));
    if (items == NULL) {
        return load_no_memory(l);
    }
    size_t count = 0;
    for (const struct conf_node *n = conf_first(list); n != NULL; n = conf_next(n)) {
        const char *text = "";
        char *room = NULL;
        e = pattern_text(l, n, &text, &room);
        if (e == OK && !parse(text, room, &items[count++])) {
            e = conf_fail(n, l->why, "expected %s, found \"%.60s\"", expected, text);
        }
        if (e != OK) {
            return e;
        }
    }
    *out = (struct name_patterns){.items = items, .count = count};
    return OK;
}

enum err load_names(struct load *l, const struct conf_node *map, const char *key,
                    struct name_patterns *out)
{
    return name_patterns_read(l, map, key, name_pattern_parse,
                              "a name such as public.orders, public.* or \"Sales\".\"Order Lines\"",
                              out);
}

enum err load_schemas(struct load *l, const struct conf_node *map, const char *key,
                      struct name_patterns *out)
{
    return name_patterns_read(l, map, key, schema_pattern_parse,
                              "a schema such as public, hr_* or \"Sales\"", out);
}

enum err load_columns_of(struct load *l, const struct conf_node *list, struct column_patterns *out)
{
    struct column_pattern *items = arena_alloc(l->arena, conf_count(list) * sizeof(*items));
    if (items == NULL) {
        return load_no_memory(l);
    }
    size_t count = 0;
    for (const struct conf_node *n = conf_first(list); n != NULL; n = conf_next(n)) {
        const char *text = "";
        char *room = NULL;
        enum err e = pattern_text(l, n, &text, &room);
        if (e == OK && !column_pattern_parse(text, room, &items[count++])) {
            e = conf_fail(n, l->why,
                          "expected SCHEMA.TABLE.COLUMN such as public.customers.ssn, "
                          "public.customers.* or \"*.*.password\", found \"%.60s\"",
                          text);
        }
        if (e != OK) {
            return e;
        }
    }
    *out = (struct column_patterns){.items = items, .count = count};
    return OK;
}

enum err load_columns(struct load *l, const struct conf_node *map, const char *key,
                      struct column_patterns *out)
{
    const struct conf_node *list = NULL;
    enum err e = load_list(l, map, key, &list);
    return e != OK || list == NULL ? e : load_columns_of(l, list, out);
}

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "controlplane/config_internal.h"

static enum err no_memory(struct config_reader *r)
{
    return err_set(r->why, ERR_NO_MEMORY, "%s is too large to be read", r->config->file);
}

enum err config_read_strings(struct config_reader *r, const struct conf_node *map, const char *key,
                             struct config_strings *out)
{
    const struct conf_node *n = conf_get(map, key);
    if (n == NULL) {
        return OK;
    }
    bool single = conf_kind(n) == CONF_SCALAR;
    if (!single && conf_kind(n) != CONF_LIST) {
        return conf_fail(n, r->why, "expected a list of strings, found %s",
                         conf_kind(n) == CONF_MAP ? "a map" : "nothing");
    }
    size_t count = single ? 1 : conf_count(n), i = 0;
    const char **items = arena_alloc(r->arena, (count + 1) * sizeof(*items));
    if (items == NULL) {
        return no_memory(r);
    }
    for (const struct conf_node *item = single ? n : conf_first(n); i < count;
         item = conf_next(item)) {
        enum err e = conf_as_string(item, &items[i++], r->why);
        if (e != OK) {
            return e;
        }
    }
    *out = (struct config_strings){.items = items, .count = count};
    return OK;
}

enum err config_read_path(struct config_reader *r, const struct conf_node *map, const char *key,
                          const char **out)
{
    const char *text = NULL;
    enum err e = conf_read_string(map, key, &text, r->why);
    if (e != OK || text == NULL) {
        return e;
    }
    if (text[0] == '/') {
        *out = text;
        return OK;
    }
    size_t size = strlen(r->directory) + strlen(text) + 2;
    char *path = arena_alloc(r->arena, size);
    if (path == NULL) {
        return no_memory(r);
    }
    (void)snprintf(path, size, "%s/%s", r->directory, text);
    *out = path;
    return OK;
}

enum err config_read_file(struct config_reader *r, const struct conf_node *map, const char *key,
                          const char **out)
{
    const char *path = NULL;
    enum err e = config_read_path(r, map, key, &path);
    if (e != OK || path == NULL) {
        return e;
    }
    if (access(path, R_OK) != 0) {
        return conf_fail(conf_get(map, key), r->why,
                         "expected a file that can be read, found none at \"%s\"", path);
    }
    *out = path;
    return OK;
}

static bool is_provider(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->identity_providers.count; i++) {
        if (strcmp(c->identity_providers.items[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

enum err config_read_whom(struct config_reader *r, const struct conf_node *map,
                          struct config_whom *out)
{
    enum err e = config_read_strings(r, map, "subjects", &out->subjects);
    if (e == OK) {
        e = config_read_strings(r, map, "groups", &out->groups);
    }
    if (e == OK) {
        e = config_read_strings(r, map, "providers", &out->providers);
    }
    for (size_t i = 0; e == OK && i < out->providers.count; i++) {
        if (!is_provider(r->config, out->providers.items[i])) {
            e = conf_fail(conf_get(map, "providers"), r->why,
                          "expected names of identity_providers, found \"%s\"",
                          out->providers.items[i]);
        }
    }
    return e;
}

enum err config_split_address(struct config_reader *r, const struct conf_node *n, const char *text,
                              int64_t port_min, const char **out_host, uint16_t *out_port)
{
    const char *colon = strrchr(text, ':');
    bool bracketed = text[0] == '[' && colon != NULL && colon > text && colon[-1] == ']';
    const char *begin = bracketed ? text + 1 : text, *end = bracketed ? colon - 1 : colon;
    char *rest = NULL;
    long port = colon == NULL ? -1 : strtol(colon + 1, &rest, 10);
    if (colon == NULL || end <= begin || colon[1] < '0' || colon[1] > '9' || *rest != '\0' ||
        port < port_min || port > UINT16_MAX ||
        (!bracketed && memchr(begin, ':', (size_t)(end - begin)) != NULL)) {
        return conf_fail(n, r->why,
                         "expected HOST:PORT with a port between %d and 65535 (an IPv6 address "
                         "in brackets), found \"%.64s\"",
                         (int)port_min, text);
    }
    char *host = arena_copy_string(r->arena, bytes_of(begin, (size_t)(end - begin)));
    if (host == NULL) {
        return no_memory(r);
    }
    *out_host = host;
    *out_port = (uint16_t)port;
    return OK;
}

enum err config_read_items(struct config_reader *r, const struct conf_node *root, const char *key,
                           size_t item_size, const struct conf_node **out_list, void **out_items,
                           size_t *out_count)
{
    const struct conf_node *list = NULL;
    enum err e = conf_read_list(root, key, &list, r->why);
    if (e != OK || list == NULL) {
        return e;
    }
    size_t count = conf_count(list);
    void *items = arena_alloc(r->arena, (count + 1) * item_size);
    if (items == NULL) {
        return no_memory(r);
    }
    *out_list = list;
    *out_items = items;
    *out_count = count;
    return OK;
}

enum err config_read_name(struct config_reader *r, const struct conf_node *item, const void *items,
                          size_t item_size, size_t n, const char **out)
{
    const char *name = NULL;
    enum err e = conf_require(item, "name", r->why);
    if (e == OK) {
        e = conf_read_string(item, "name", &name, r->why);
    }
    if (e != OK) {
        return e;
    }
    if (strlen(name) > 128) {
        return conf_fail(conf_get(item, "name"), r->why,
                         "expected a name of at most 128 bytes, found %zu", strlen(name));
    }
    for (size_t i = 0; i < n; i++) {
        const char *const *other =
            (const char *const *)(const void *)((const char *)items + i * item_size);
        if (strcmp(*other, name) == 0) {
            return conf_fail(conf_get(item, "name"), r->why,
                             "expected a name that no other has, found \"%s\" twice", name);
        }
    }
    *out = name;
    return OK;
}

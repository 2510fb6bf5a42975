#include <stdarg.h>
#include <stdio.h>

#include "base/conf/conf_node.h"

const struct conf_node *conf_root(const struct conf *c)
{
    return c->root;
}

enum conf_kind conf_kind(const struct conf_node *n)
{
    return n->kind;
}

const struct conf_node *conf_get(const struct conf_node *map, const char *key)
{
    if (map->kind != CONF_MAP) {
        return NULL;
    }
    size_t low = 0, high = map->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(key, map->sorted[middle]->key);
        if (order == 0) {
            return map->sorted[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

const struct conf_node *conf_first(const struct conf_node *list_or_map)
{
    return list_or_map->first;
}

const struct conf_node *conf_next(const struct conf_node *member)
{
    return member->next;
}

size_t conf_count(const struct conf_node *list_or_map)
{
    return list_or_map->count;
}

const char *conf_key(const struct conf_node *member)
{
    return member->key;
}

const char *conf_file(const struct conf_node *n)
{
    return n->conf->name;
}

unsigned conf_line(const struct conf_node *n)
{
    return n->line;
}

unsigned conf_column(const struct conf_node *n)
{
    return n->column;
}

/* Written from its end: the last part says most, the front is what is given up. */
void conf_path(const struct conf_node *n, char out[CONF_PATH_SIZE])
{
    char path[CONF_PATH_SIZE];
    size_t at = sizeof(path) - 1;
    path[at] = '\0';
    bool cut = false;
    for (; n->parent != NULL && !cut; n = n->parent) {
        char part[CONF_PATH_SIZE];
        int size = n->key == NULL ? snprintf(part, sizeof(part), "[%u]", n->index)
                                  : snprintf(part, sizeof(part), "%s%s",
                                             n->parent->parent == NULL ? "" : ".", n->key);
        /* Room for the dots is kept until the root is reached. */
        if (size < 0 || (size_t)size > at - 3) {
            cut = true;
        } else {
            at -= (size_t)size;
            memcpy(path + at, part, (size_t)size);
        }
    }
    (void)snprintf(out, CONF_PATH_SIZE, "%s%s", cut ? "..." : "", path + at);
    for (char *p = out; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f) {
            *p = '?';
        }
    }
}

struct place {
    uint32_t line, column;
};

static enum err fail_write(struct place at, const struct conf_node *subject, struct err_text *error,
                           const char *format, va_list args)
{
    char path[CONF_PATH_SIZE], sentence[sizeof(error->text)];
    (void)vsnprintf(sentence, sizeof(sentence), format, args);
    conf_path(subject, path);
    return err_set(error, ERR_INVALID, "%s:%u:%u: %s%s%s", subject->conf->name, at.line, at.column,
                   path, path[0] == '\0' ? "" : ": ", sentence);
}

enum err conf_fail(const struct conf_node *n, struct err_text *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum err e = fail_write((struct place){n->line, n->column}, n, error, format, args);
    va_end(args);
    return e;
}

enum err conf_fail_at_key(const struct conf_node *member, const struct conf_node *subject,
                          struct err_text *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum err e = fail_write((struct place){member->key_line, member->key_column}, subject, error,
                            format, args);
    va_end(args);
    return e;
}

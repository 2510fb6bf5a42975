/* Names that are known, and the one that was probably meant. */
#include <stdio.h>

#include "base/conf/conf_node.h"

enum { NAME_MAX_SIZE = 64 };

/* Levenshtein's distance; names beyond the limit are far from everything. */
static size_t distance(const char *a, const char *b)
{
    size_t rows = strlen(a), columns = strlen(b);
    if (rows > NAME_MAX_SIZE || columns > NAME_MAX_SIZE) {
        return SIZE_MAX;
    }
    size_t line[NAME_MAX_SIZE + 1];
    for (size_t j = 0; j <= columns; j++) {
        line[j] = j;
    }
    for (size_t i = 1; i <= rows; i++) {
        size_t diagonal = line[0];
        line[0] = i;
        for (size_t j = 1; j <= columns; j++) {
            size_t changed = diagonal + (a[i - 1] != b[j - 1]);
            size_t removed = line[j] + 1, added = line[j - 1] + 1;
            diagonal = line[j];
            line[j] = removed < added ? removed : added;
            line[j] = changed < line[j] ? changed : line[j];
        }
    }
    return line[columns];
}

/* The nearer of the two candidates; `*best` is its distance so far. */
static const char *nearer(const char *name, const char *candidate, const char *current,
                          size_t *best)
{
    size_t d = distance(name, candidate);
    /* More than a third wrong is another word. */
    if (d > strlen(name) / 3 + 1 || d >= *best || d >= strlen(candidate)) {
        return current;
    }
    *best = d;
    return candidate;
}

const char *conf_nearest(const char *text, const char *const *names)
{
    const char *meant = NULL;
    size_t best = SIZE_MAX;
    for (; *names != NULL; names++) {
        meant = nearer(text, *names, meant, &best);
    }
    return meant;
}

enum err conf_check_keys(const struct conf_node *n, const char *const *keys, struct err_text *error)
{
    if (n->kind != CONF_MAP) {
        return conf_fail(n, error, "expected a map with the key `%s`%s", keys[0],
                         keys[1] == NULL ? "" : " and others");
    }
    for (const struct conf_node *m = n->first; m != NULL; m = m->next) {
        bool known = false;
        for (const char *const *key = keys; *key != NULL && !known; key++) {
            known = strcmp(*key, m->key) == 0;
        }
        const char *meant = known ? NULL : conf_nearest(m->key, keys);
        if (!known && meant != NULL) {
            return conf_fail_at_key(m, n, error, "unknown key `%s`; did you mean `%s`?", m->key,
                                    meant);
        }
        if (!known) {
            return conf_fail_at_key(m, n, error, "unknown key `%.64s`", m->key);
        }
    }
    return OK;
}

enum err conf_as_choice(const struct conf_node *n, const struct conf_choice *choices, int *out,
                        struct err_text *error)
{
    const char *text = "";
    enum err e = conf_as_string(n, &text, error);
    if (e != OK) {
        return e;
    }
    const char *meant = NULL;
    size_t best = SIZE_MAX;
    char list[256] = "";
    size_t size = 0;
    for (const struct conf_choice *c = choices; c->name != NULL; c++) {
        if (strcmp(c->name, text) == 0) {
            *out = c->value;
            return OK;
        }
        meant = nearer(text, c->name, meant, &best);
        int wrote =
            snprintf(list + size, sizeof(list) - size, "%s\"%s\"", size == 0 ? "" : ", ", c->name);
        size += wrote > 0 && (size_t)wrote < sizeof(list) - size ? (size_t)wrote : 0;
    }
    list[size] = '\0';
    return conf_fail(n, error, "expected one of %s, found \"%.40s\"%s%s%s", list, text,
                     meant == NULL ? "" : "; did you mean \"", meant == NULL ? "" : meant,
                     meant == NULL ? "" : "\"?");
}

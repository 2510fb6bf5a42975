#include "cli/policy/replay_table.h"

#include <search.h>
#include <stdlib.h>

/* `is` is the first member: what tsearch compares. */
struct change {
    struct replay_change is;
    char *shape, *identity, *resource, *was_rule, *last_session; /* owned */
};

struct replay_table {
    void *tree; /* tsearch: struct change */
    size_t count;
    const struct replay_change **sorted; /* owned */
    size_t sorted_count;
};

static int compare_change(const void *a, const void *b)
{
    const struct replay_change *x = a, *y = b;
    int order = strcmp(x->shape, y->shape);
    order = order != 0 ? order : strcmp(x->identity, y->identity);
    order = order != 0 ? order : strcmp(x->resource, y->resource);
    order = order != 0 ? order : (int)x->was - (int)y->was;
    order = order != 0 ? order : (int)x->would - (int)y->would;
    order = order != 0 ? order : strcmp(x->was_rule, y->was_rule);
    return order != 0 ? order : strcmp(x->rule, y->rule);
}

static void free_change(void *node)
{
    struct change *c = node;
    free(c->shape);
    free(c->identity);
    free(c->resource);
    free(c->was_rule);
    free(c->last_session);
    free(c);
}

static struct change *make_change(const struct replay_change *like)
{
    struct change *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return NULL;
    }
    c->is = *like;
    c->is.count = 0;
    c->is.last_session = NULL;
    c->is.shape = c->shape = strdup(like->shape);
    c->is.identity = c->identity = strdup(like->identity);
    c->is.resource = c->resource = strdup(like->resource);
    c->is.was_rule = c->was_rule = strdup(like->was_rule);
    if (c->shape == NULL || c->identity == NULL || c->resource == NULL || c->was_rule == NULL) {
        free_change(c);
        return NULL;
    }
    return c;
}

static enum err find_change(struct replay_table *t, const struct replay_change *like,
                            struct change **out)
{
    void *const *found = tfind(like, (void *const *)&t->tree, compare_change);
    if (found != NULL) {
        *out = *found;
        return OK;
    }
    if (t->count == REPLAY_CHANGES_MAX) {
        return ERR_LIMIT;
    }
    struct change *made = make_change(like);
    if (made == NULL || tsearch(made, &t->tree, compare_change) == NULL) {
        if (made != NULL) {
            free_change(made);
        }
        return ERR_NO_MEMORY;
    }
    t->count++;
    *out = made;
    return OK;
}

enum err replay_table_add(struct replay_table *t, const struct replay_change *like)
{
    struct change *c = NULL;
    enum err e = find_change(t, like, &c);
    if (e != OK) {
        return e;
    }
    c->is.count++;
    if (like->last_unix_ns >= c->is.last_unix_ns) {
        char *session = strdup(like->last_session);
        if (session == NULL) {
            return ERR_NO_MEMORY;
        }
        free(c->last_session);
        c->last_session = session;
        c->is.last_session = session;
        c->is.last_unix_ns = like->last_unix_ns;
        c->is.last_operation = like->last_operation;
    }
    return OK;
}

static int compare_frequency(const void *a, const void *b)
{
    const struct replay_change *x = *(const struct replay_change *const *)a;
    const struct replay_change *y = *(const struct replay_change *const *)b;
    if (x->count != y->count) {
        return x->count > y->count ? -1 : 1;
    }
    return compare_change(x, y);
}

static void collect(const void *node, VISIT visit, void *closure)
{
    struct replay_table *t = closure;
    if (visit == postorder || visit == leaf) {
        t->sorted[t->sorted_count++] = &(*(struct change *const *)node)->is;
    }
}

enum err replay_table_sort(struct replay_table *t, const struct replay_change *const **out,
                           size_t *out_count)
{
    free(t->sorted);
    t->sorted_count = 0;
    t->sorted = calloc(t->count + 1, sizeof(*t->sorted));
    if (t->sorted == NULL) {
        return ERR_NO_MEMORY;
    }
    twalk_r(t->tree, collect, t);
    qsort(t->sorted, t->sorted_count, sizeof(*t->sorted), compare_frequency);
    *out = t->sorted;
    *out_count = t->sorted_count;
    return OK;
}

struct replay_table *replay_table_create(void)
{
    return calloc(1, sizeof(struct replay_table));
}

void replay_table_destroy(struct replay_table *t)
{
    if (t != NULL) {
        tdestroy(t->tree, free_change);
        free(t->sorted);
        free(t);
    }
}

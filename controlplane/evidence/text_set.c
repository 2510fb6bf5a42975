#include "controlplane/evidence/text_set.h"

#include <search.h>

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

enum err text_set_add(struct text_set *set, const char *text)
{
    if (text[0] == '\0' || text_set_has(set, text)) {
        return OK;
    }
    const char *copy = arena_copy_string(set->arena, bytes_of_string(text));
    return copy == NULL || tsearch(copy, &set->root, compare) == NULL ? ERR_NO_MEMORY : OK;
}

bool text_set_has(const struct text_set *set, const char *text)
{
    return tfind(text, &set->root, compare) != NULL;
}

struct visiting {
    enum err (*visit)(void *context, const char *text);
    void *context;
    enum err failed;
};

static void on_node(const void *node, VISIT which, void *closure)
{
    struct visiting *v = closure;
    if ((which == postorder || which == leaf) && v->failed == OK) {
        v->failed = v->visit(v->context, *(const char *const *)node);
    }
}

enum err text_set_each(const struct text_set *set,
                       enum err (*visit)(void *context, const char *text), void *context)
{
    struct visiting v = {.visit = visit, .context = context};
    twalk_r(set->root, on_node, &v);
    return v.failed;
}

static void keep(void *text)
{
    (void)text; /* the arena's */
}

void text_set_finish(struct text_set *set)
{
    tdestroy(set->root, keep);
    set->root = NULL;
}

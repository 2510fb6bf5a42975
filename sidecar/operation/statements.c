#include "sidecar/operation/statements.h"

bool statements_describe(struct arena *arena, const struct sql_analysis *a,
                         Chaperone__V1__Intent *m)
{
    size_t total = 0;
    for (size_t i = 0; i < a->statement_count; i++) {
        total += a->statements[i].object_count;
    }
    m->commands = arena_alloc(arena, (a->statement_count + 1) * sizeof(*m->commands));
    m->objects = arena_alloc(arena, (total + 1) * sizeof(*m->objects));
    Chaperone__V1__Object *objects = arena_alloc(arena, (total + 1) * sizeof(*objects));
    if (m->commands == NULL || m->objects == NULL || objects == NULL) {
        return false;
    }
    for (size_t i = 0; i < a->statement_count; i++) {
        const struct sql_statement *s = &a->statements[i];
        m->commands[m->n_commands++] = (char *)s->command;
        for (size_t j = 0; j < s->object_count; j++) {
            Chaperone__V1__Object *o = &objects[m->n_objects];
            chaperone__v1__object__init(o);
            o->kind = (char *)sql_kind_name(s->objects[j].kind);
            o->name = (char *)s->objects[j].text;
            o->access = (char *)sql_access_name(s->objects[j].access);
            m->objects[m->n_objects++] = o;
        }
    }
    return true;
}

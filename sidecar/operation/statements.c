#include "sidecar/operation/statements.h"

static void describe_object(Chaperone__V1__Object *m, const struct sql_object *o)
{
    chaperone__v1__object__init(m);
    m->kind = (char *)sql_kind_name(o->kind);
    m->name = (char *)o->text;
    m->access = (char *)sql_access_name(o->access);
    m->columns = (char **)(void *)o->columns; /* protobuf-c knows no const */
    m->n_columns = o->column_count;
}

static bool describe_accesses(struct arena *arena, const struct sql_analysis *a,
                              Chaperone__V1__Intent *m)
{
    uint32_t accesses = 0;
    for (size_t i = 0; i < a->statement_count; i++) {
        accesses |= a->statements[i].accesses;
        m->without_where = m->without_where || a->statements[i].without_where;
    }
    m->accesses = arena_alloc(arena, SQL_ACCESS_COUNT * sizeof(*m->accesses));
    if (m->accesses == NULL) {
        return false;
    }
    for (int i = 0; i < SQL_ACCESS_COUNT; i++) {
        if ((accesses & 1u << i) != 0) {
            m->accesses[m->n_accesses++] = (char *)sql_access_name((enum sql_access)i);
        }
    }
    return true;
}

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
            describe_object(&objects[m->n_objects], &s->objects[j]);
            m->objects[m->n_objects] = &objects[m->n_objects];
            m->n_objects++;
        }
    }
    return describe_accesses(arena, a, m);
}

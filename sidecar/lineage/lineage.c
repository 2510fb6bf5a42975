#include "sidecar/lineage/lineage.h"

#include <pg_query.h>
#include <protobuf-c/protobuf-c.h>
#include <stdlib.h>

#include "sidecar/lineage/lineage_internal.h"

enum {
    RESULT_BLOCK = 1 << 10,
    RESULT_MAX = 64 << 20,
};

struct owned {
    struct lineage lineage; /* first: handed out, and found again from it */
    struct arena *arena;
};

/* ---- parsing --------------------------------------------------------------------------------- */

static void *scratch_alloc(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void scratch_free(void *arena, void *memory)
{
    (void)arena;
    (void)memory;
}

static enum err parse_error(const PgQueryError *error)
{
    bool is_memory = error->message != NULL && strncmp(error->message, "out of memory", 13) == 0;
    return is_memory ? ERR_NO_MEMORY : ERR_INVALID;
}

enum err tree_parse(struct arena *arena, const char *text, const PgQuery__ParseResult **out)
{
    enum err e = OK;
    PgQueryProtobufParseResult parsed = pg_query_parse_protobuf(text);
    if (parsed.error != NULL) {
        e = parse_error(parsed.error);
    } else {
        ProtobufCAllocator allocator = {
            .alloc = scratch_alloc, .free = scratch_free, .allocator_data = arena};
        const PgQuery__ParseResult *tree = pg_query__parse_result__unpack(
            &allocator, parsed.parse_tree.len, (const uint8_t *)parsed.parse_tree.data);
        if (tree == NULL) {
            e = ERR_NO_MEMORY;
        } else {
            *out = tree;
        }
    }
    pg_query_free_protobuf_parse_result(parsed);
    return e;
}

/* ---- the result ------------------------------------------------------------------------------ */

static bool text_keep(struct arena *arena, const char *text, const char **out)
{
    if (text == NULL) {
        return true;
    }
    *out = arena_copy_string(arena, bytes_of_string(text));
    return *out != NULL;
}

static bool outputs_keep(struct arena *arena, const struct columns *c, struct lineage_statement *s)
{
    struct lineage_output *outputs = arena_alloc(arena, (c->count + 1) * sizeof(*outputs));
    if (outputs == NULL) {
        return false;
    }
    s->outputs_known = !c->is_open;
    s->outputs = outputs;
    s->output_count = c->is_open ? 0 : c->count;
    for (size_t i = 0; i < s->output_count; i++) {
        outputs[i] = (struct lineage_output){.origin = c->items[i].value.origin,
                                             .rules = c->items[i].value.rules};
    }
    return true;
}

static bool statement_keep(struct arena *arena, const struct found *f, struct lineage_statement *s)
{
    const struct effects *e = &f->effects;
    s->kind = f->kind;
    s->copy = f->copy;
    s->filtered = e->filtered;
    s->stored = e->stored;
    s->altered = e->altered;
    s->unknown = e->unknown;
    /* What is not known may have changed either. */
    s->changes_catalog = e->changes_catalog || e->unknown;
    s->changes_path = e->changes_path || e->unknown;
    s->may_speak = e->may_speak || e->unknown || e->reach != 0;
    s->clean = !e->unknown && e->reach == 0 && e->altered == 0 && f->kind != LINEAGE_FETCH &&
               f->kind != LINEAGE_EXECUTE;
    return outputs_keep(arena, &f->outputs, s) && text_keep(arena, f->name, &s->name) &&
           text_keep(arena, e->filtered_why, &s->filtered_why) &&
           text_keep(arena, e->stored_why, &s->stored_why) &&
           text_keep(arena, e->altered_why, &s->altered_why) &&
           text_keep(arena, e->unknown_why, &s->unknown_why);
}

/* ---- the analysis ---------------------------------------------------------------------------- */

static enum err raw_analyse(struct walk *w, const PgQuery__RawStmt *raw, size_t text_size,
                            struct owned *into, struct lineage_statement *out)
{
    struct found f = {0};
    w->effects = &f.effects;
    w->level = NULL;
    w->ctes = NULL;
    lineage_statement_walk(w, raw->stmt, &f);
    out->start = (size_t)raw->stmt_location;
    out->size = raw->stmt_len > 0 ? (size_t)raw->stmt_len : text_size - out->start;
    if (w->failed == OK && !statement_keep(into->arena, &f, out)) {
        w->failed = ERR_NO_MEMORY;
    }
    into->lineage.reads_views = into->lineage.reads_views || f.effects.reads_views;
    w->is_stale = w->is_stale || out->changes_catalog || out->changes_path;
    return w->failed;
}

static enum err tree_analyse(const struct lineage_marks *marks, struct arena *scratch,
                             const PgQuery__ParseResult *tree, size_t text_size, struct owned *into)
{
    struct walk w = {.marks = marks, .arena = scratch};
    struct lineage_statement *statements =
        arena_alloc(into->arena, (tree->n_stmts + 1) * sizeof(*statements));
    size_t count = 0;
    if (statements == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < tree->n_stmts; i++) {
        if (tree->stmts[i]->stmt == NULL) {
            continue;
        }
        enum err e = raw_analyse(&w, tree->stmts[i], text_size, into, &statements[count]);
        if (e != OK) {
            return e;
        }
        count++;
    }
    into->lineage.reads_constants = w.reads_constants;
    into->lineage.statements = statements;
    into->lineage.statement_count = count;
    into->lineage.size = sizeof(*into) + arena_used(into->arena) + RESULT_BLOCK;
    return OK;
}

static struct owned *owned_create(void)
{
    struct owned *o = calloc(1, sizeof(*o));
    if (o != NULL && (o->arena = arena_create(RESULT_BLOCK, RESULT_MAX)) == NULL) {
        free(o);
        o = NULL;
    }
    return o;
}

enum err lineage_analyse(const struct lineage_marks *marks, struct bytes text, struct lineage **out)
{
    if (text.size > 0 && memchr(text.data, 0, text.size) != NULL) {
        return ERR_INVALID;
    }
    enum err e = ERR_NO_MEMORY;
    const PgQuery__ParseResult *tree = NULL;
    struct arena *scratch = arena_create(SCRATCH_BLOCK, SCRATCH_MAX);
    struct owned *made = owned_create();
    char *copy = bytes_to_string(text);
    if (scratch != NULL && made != NULL && copy != NULL) {
        e = tree_parse(scratch, copy, &tree);
    }
    if (e == OK) {
        e = tree_analyse(marks, scratch, tree, text.size, made);
    }
    if (e == OK) {
        *out = &made->lineage;
        made = NULL;
    }
    free(copy);
    arena_destroy(scratch);
    lineage_destroy(made == NULL ? NULL : &made->lineage);
    return e;
}

void lineage_destroy(struct lineage *l)
{
    if (l != NULL) {
        struct owned *o = (struct owned *)(void *)l;
        arena_destroy(o->arena);
        free(o);
    }
}

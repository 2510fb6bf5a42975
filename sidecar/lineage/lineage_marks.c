#include "sidecar/lineage/lineage_marks.h"

#include <stdlib.h>

enum {
    MARKS_BLOCK = 1 << 10, /* each session has its own: half a block is unused */
    SYSTEM_BLOCK = 16 << 10,
    /* Values of all columns of the largest catalog. */
    MARKS_MAX = 512 << 20,
};

/* ---- the table -------------------------------------------------------------------------------
 */

static size_t slot_of(const struct marked_table *t, uint32_t oid)
{
    size_t i = (oid * 2654435761u) & (t->capacity - 1);
    while (t->slots[i] != NULL && t->slots[i]->relation->oid != oid) {
        i = (i + 1) & (t->capacity - 1);
    }
    return i;
}

static struct marked *marked_find(const struct marked_table *t, uint32_t oid)
{
    return t->capacity == 0 ? NULL : t->slots[slot_of(t, oid)];
}

static bool marked_add(struct marked_table *t, struct marked *m)
{
    if (2 * (t->count + 1) > t->capacity) {
        struct marked_table more = {.capacity = t->capacity == 0 ? 16 : t->capacity * 2};
        more.slots = calloc(more.capacity, sizeof(struct marked *));
        if (more.slots == NULL) {
            return false;
        }
        for (size_t i = 0; i < t->capacity; i++) {
            if (t->slots[i] != NULL) {
                more.slots[slot_of(&more, t->slots[i]->relation->oid)] = t->slots[i];
            }
        }
        more.count = t->count;
        free(t->slots);
        *t = more;
    }
    t->slots[slot_of(t, m->relation->oid)] = m;
    t->count++;
    return true;
}

static struct marked *marked_create(struct marked_table *t, struct arena *arena,
                                    const struct catalog_relation *r)
{
    struct marked *marked = arena_alloc(arena, sizeof(*marked));
    struct value *values = arena_alloc(arena, (r->column_count + 1) * sizeof(*values));
    if (marked == NULL || values == NULL) {
        return NULL;
    }
    *marked = (struct marked){.relation = r, .values = values};
    return marked_add(t, marked) ? marked : NULL;
}

const struct marked *marks_find(const struct lineage_marks *m, uint32_t oid)
{
    const struct marked *own = marked_find(m->table, oid);
    return own != NULL ? own : marked_find(&m->system->table, oid);
}

struct marked *marks_entry(const struct lineage_marks *m, const struct catalog_relation *r)
{
    struct marked *own = marked_find(m->table, r->oid);
    if (own != NULL) {
        return own;
    }
    own = marked_create(m->table, m->arena, r);
    const struct marked *system = marked_find(&m->system->table, r->oid);
    if (own != NULL && system != NULL) {
        memcpy(own->values, system->values, r->column_count * sizeof(*own->values));
        own->own = system->own;
    }
    return own;
}

void marked_set(struct marked *marked, size_t column, uint64_t rules)
{
    const struct catalog_relation *r = marked->relation;
    marked->own |= rules;
    marked->values[column] = (struct value){
        .origin = LINEAGE_COLUMN, .rules = rules, .relation = r, .column = &r->columns[column]};
}

/* Who says which columns of a relation are marked, and by which rules at most. */
struct marker {
    lineage_mark_fn *mark;
    void *context;
    uint64_t rules;
};

static bool relation_mark(struct marked_table *t, struct arena *arena,
                          const struct catalog_relation *r, const struct marker *by)
{
    struct marked *marked = NULL;
    for (size_t i = 0; i < r->column_count; i++) {
        uint64_t rules = by->mark(by->context, r, &r->columns[i]) & by->rules;
        if (rules == 0) {
            continue;
        }
        if (marked == NULL && (marked = marked_create(t, arena, r)) == NULL) {
            return false;
        }
        marked_set(marked, i, rules);
    }
    return true;
}

/* ---- what the system marks ------------------------------------------------------------------- */

static bool schema_is_toast(const char *schema)
{
    return strncmp(schema, "pg_toast", 8) == 0; /* also pg_toast_temp_N */
}

/* Whether the policy says nothing of it. */
static bool is_of_system(const struct catalog_relation *r)
{
    return r->is_system || schema_is_toast(r->schema);
}

static uint64_t system_rules(void *context, const struct catalog_relation *r,
                             const struct catalog_column *c)
{
    (void)context;
    return schema_is_toast(r->schema) || column_is_sensitive(r->schema, r->name, c->name)
               ? LINEAGE_SENSITIVE
               : 0;
}

static void system_destroy(void *made)
{
    struct system_marks *s = made;
    arena_destroy(s->arena);
    free(s->table.slots);
    free(s);
}

static const struct system_marks *system_of(struct catalog *catalog)
{
    if (catalog_kept(catalog) != NULL) {
        return catalog_kept(catalog);
    }
    struct system_marks *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }
    s->arena = arena_create(SYSTEM_BLOCK, MARKS_MAX);
    bool done = s->arena != NULL;
    const struct marker system = {.mark = system_rules, .rules = LINEAGE_SENSITIVE};
    for (size_t i = 0; done && i < catalog_relation_count(catalog); i++) {
        const struct catalog_relation *r = catalog_relation_at(catalog, i);
        done = !is_of_system(r) || relation_mark(&s->table, s->arena, r, &system);
    }
    if (!done) {
        system_destroy(s);
        return NULL;
    }
    catalog_keep(catalog, s, system_destroy);
    return s;
}

/* ---- creation --------------------------------------------------------------------------------
 */

/* What the server computes from other columns of the row may come from any marked one. */
static void generated_mark(struct lineage_marks *m, struct marked *marked)
{
    const struct catalog_relation *r = marked->relation;
    struct value others = {0};
    for (size_t i = 0; i < r->column_count; i++) {
        if (!r->columns[i].is_generated) {
            others = value_mix(others, marked->values[i]);
        }
    }
    for (size_t i = 0; i < r->column_count && others.rules != 0; i++) {
        if (r->columns[i].is_generated) {
            marked->values[i] = value_mix(others, marked->values[i]);
        }
    }
    m->all |= marked->own & ~LINEAGE_SENSITIVE;
}

static bool marks_fill(struct lineage_marks *m, lineage_mark_fn *mark)
{
    const struct marker policy = {.mark = mark, .context = m->context, .rules = ~LINEAGE_SENSITIVE};
    size_t count = catalog_relation_count(m->catalog);
    for (size_t i = 0; i < count; i++) {
        const struct catalog_relation *r = catalog_relation_at(m->catalog, i);
        if (!is_of_system(r) && !relation_mark(m->table, m->arena, r, &policy)) {
            return false;
        }
    }
    if (m->table->count > 0 && !family_spread(m)) {
        return false;
    }
    for (size_t i = 0; i < m->table->capacity; i++) {
        if (m->table->slots[i] != NULL) {
            generated_mark(m, m->table->slots[i]);
        }
    }
    return true;
}

struct lineage_marks *lineage_marks_create(struct catalog *catalog, lineage_mark_fn *mark,
                                           lineage_trust_fn *trusts, void *context)
{
    struct lineage_marks *m = calloc(1, sizeof(*m));
    if (m == NULL) {
        return NULL;
    }
    m->trusts = trusts;
    m->context = context;
    m->catalog = catalog;
    catalog_ref(catalog);
    m->system = system_of(catalog);
    m->arena = arena_create(MARKS_BLOCK, MARKS_MAX);
    m->table = calloc(1, sizeof(*m->table));
    if (m->system == NULL || m->arena == NULL || m->table == NULL || !marks_fill(m, mark)) {
        lineage_marks_destroy(m);
        return NULL;
    }
    return m;
}

void lineage_marks_destroy(struct lineage_marks *m)
{
    if (m != NULL) {
        if (m->table != NULL) {
            free(m->table->slots);
        }
        free(m->table);
        arena_destroy(m->arena);
        catalog_unref(m->catalog);
        free(m);
    }
}

/* ---- questions -------------------------------------------------------------------------------
 */

bool lineage_marks_are_empty(const struct lineage_marks *m)
{
    return m->all == 0;
}

const struct catalog *marks_catalog(const struct lineage_marks *m)
{
    return m->catalog;
}

bool marks_trusts(const struct lineage_marks *m, const char *schema, const char *name)
{
    return m->trusts != NULL && m->trusts(m->context, schema, name);
}

uint64_t marks_all(const struct lineage_marks *m)
{
    return m->all;
}

static uint64_t table_marks_of_schema(const struct marked_table *t, const char *schema)
{
    uint64_t rules = 0;
    for (size_t i = 0; i < t->capacity; i++) {
        const struct marked *marked = t->slots[i];
        if (marked != NULL && strcmp(marked->relation->schema, schema) == 0) {
            rules |= marked->own;
        }
    }
    return rules;
}

uint64_t marks_of_schema(const struct lineage_marks *m, const char *schema)
{
    return table_marks_of_schema(m->table, schema) |
           table_marks_of_schema(&m->system->table, schema);
}

uint64_t marks_of_relation(const struct lineage_marks *m, const struct catalog_relation *r)
{
    const struct marked *marked = marks_find(m, r->oid);
    return marked == NULL ? 0 : marked->own;
}

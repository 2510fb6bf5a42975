/* Inheritance and partitions: a row of one member may be read through any other, so a mark on a
 * column holds for the columns of that name in the whole family, upwards and downwards. */
#include <stdlib.h>

#include "sidecar/lineage/lineage_marks.h"

struct mark {
    const char *name;
    struct value value;
};

struct families {
    const struct catalog *catalog;
    const struct catalog_relation **by_oid; /* sorted */
    size_t *root;                           /* of a relation's index in by_oid; union-find */
    size_t count;
    struct mark *marks; /* of the family at hand, each name once */
    size_t mark_count, mark_capacity;
};

static int compare_oid(const void *a, const void *b)
{
    const struct catalog_relation *x = *(const struct catalog_relation *const *)a;
    const struct catalog_relation *y = *(const struct catalog_relation *const *)b;
    return x->oid < y->oid ? -1 : x->oid > y->oid;
}

static bool index_find(const struct families *f, uint32_t oid, size_t *out)
{
    size_t low = 0, high = f->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (f->by_oid[middle]->oid < oid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *out = low;
    return low < f->count && f->by_oid[low]->oid == oid;
}

static size_t root_find(struct families *f, size_t i)
{
    while (f->root[i] != i) {
        f->root[i] = f->root[f->root[i]];
        i = f->root[i];
    }
    return i;
}

static void families_join(struct families *f)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct catalog_relation *r = f->by_oid[i];
        for (size_t p = 0; p < r->parent_count; p++) {
            size_t parent;
            if (index_find(f, r->parents[p], &parent)) {
                f->root[root_find(f, i)] = root_find(f, parent);
            }
        }
    }
}

static bool mark_collect(struct families *f, const char *name, struct value v)
{
    for (size_t i = 0; i < f->mark_count; i++) {
        if (strcmp(f->marks[i].name, name) == 0) {
            f->marks[i].value.rules |= v.rules;
            return true;
        }
    }
    if (f->mark_count == f->mark_capacity) {
        size_t capacity = f->mark_capacity == 0 ? 16 : f->mark_capacity * 2;
        struct mark *more = realloc(f->marks, capacity * sizeof(*more));
        if (more == NULL) {
            return false;
        }
        f->marks = more;
        f->mark_capacity = capacity;
    }
    f->marks[f->mark_count++] = (struct mark){.name = name, .value = v};
    return true;
}

static bool member_collect(struct families *f, const struct lineage_marks *m,
                           const struct catalog_relation *r)
{
    const struct marked *marked = marks_find(m, r->oid);
    for (size_t i = 0; marked != NULL && i < r->column_count; i++) {
        if (marked->values[i].rules != 0 &&
            !mark_collect(f, r->columns[i].name, marked->values[i])) {
            return false;
        }
    }
    return true;
}

static bool member_apply(const struct families *f, struct lineage_marks *m,
                         const struct catalog_relation *r)
{
    for (size_t k = 0; k < f->mark_count; k++) {
        const struct catalog_column *c = catalog_column_find(r, f->marks[k].name);
        if (c == NULL) {
            continue;
        }
        struct marked *marked = marks_entry(m, r);
        if (marked == NULL) {
            return false;
        }
        marked_set(marked, (size_t)(c - r->columns), f->marks[k].value.rules);
    }
    return true;
}

struct member {
    size_t root, index;
};

static int compare_member(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    return x->root < y->root ? -1 : x->root > y->root;
}

static bool families_apply(struct families *f, struct lineage_marks *m, struct member *members)
{
    for (size_t i = 0; i < f->count; i++) {
        members[i] = (struct member){.root = root_find(f, i), .index = i};
    }
    qsort(members, f->count, sizeof(*members), compare_member);
    for (size_t start = 0, end; start < f->count; start = end) {
        f->mark_count = 0;
        for (end = start; end < f->count && members[end].root == members[start].root; end++) {
            if (!member_collect(f, m, f->by_oid[members[end].index])) {
                return false;
            }
        }
        for (size_t i = start; i < end && end - start > 1; i++) {
            if (!member_apply(f, m, f->by_oid[members[i].index])) {
                return false;
            }
        }
    }
    return true;
}

bool family_spread(struct lineage_marks *m)
{
    struct families f = {.catalog = m->catalog, .count = catalog_relation_count(m->catalog)};
    f.by_oid = calloc(f.count + 1, sizeof(struct catalog_relation *));
    f.root = calloc(f.count + 1, sizeof(*f.root));
    struct member *members = calloc(f.count + 1, sizeof(*members));
    bool done = false;
    if (f.by_oid == NULL || f.root == NULL || members == NULL) {
        goto out;
    }
    for (size_t i = 0; i < f.count; i++) {
        f.by_oid[i] = catalog_relation_at(m->catalog, i);
        f.root[i] = i;
    }
    qsort(f.by_oid, f.count, sizeof(struct catalog_relation *), compare_oid);
    families_join(&f);
    done = families_apply(&f, m, members);
out:
    free(f.by_oid);
    free(f.root);
    free(f.marks);
    free(members);
    return done;
}

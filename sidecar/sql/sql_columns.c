#include "sidecar/sql/sql_columns.h"

enum { FIRST_NAMES = 64 };

void columns_init(struct columns *c, struct arena *scratch)
{
    *c = (struct columns){.scratch = scratch};
}

static uint32_t hash_name(const char *text)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (; *text != '\0'; text++) {
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    }
    return hash ^ hash >> 15;
}

/* Doubles an array of the scratch arena, whose old copy stays until the arena is reset. */
static void *grown(struct columns *c, const void *old, uint32_t count, uint32_t capacity,
                   size_t size)
{
    void *more = arena_alloc(c->scratch, capacity * size);
    if (more == NULL) {
        c->failed = true;
    } else if (count > 0) {
        memcpy(more, old, count * size);
    }
    return more;
}

/* --- names ----------------------------------------------------------------------------- */

static void slot_put(struct columns *c, uint32_t name)
{
    uint32_t mask = c->name_slot_count - 1;
    uint32_t at = c->names[name].hash & mask;
    while (c->name_slots[at] != 0) {
        at = (at + 1) & mask;
    }
    c->name_slots[at] = name;
}

static bool names_grow(struct columns *c)
{
    uint32_t capacity = c->name_capacity == 0 ? FIRST_NAMES : c->name_capacity * 2;
    struct column_name *names = grown(c, c->names, c->name_count, capacity, sizeof(*names));
    uint32_t *slots = arena_alloc(c->scratch, 2 * (size_t)capacity * sizeof(*slots));
    if (names == NULL || slots == NULL) {
        c->failed = true;
        return false;
    }
    c->names = names;
    c->name_capacity = capacity;
    c->name_slots = slots;
    c->name_slot_count = 2 * capacity;
    c->name_count = c->name_count == 0 ? 1 : c->name_count;
    for (uint32_t i = 1; i < c->name_count; i++) {
        slot_put(c, i);
    }
    return true;
}

uint32_t columns_intern(struct columns *c, const char *text)
{
    if (c->name_count == c->name_capacity && !names_grow(c)) {
        return 0;
    }
    uint32_t hash = hash_name(text);
    uint32_t mask = c->name_slot_count - 1;
    for (uint32_t at = hash & mask; c->name_slots[at] != 0; at = (at + 1) & mask) {
        const struct column_name *n = &c->names[c->name_slots[at]];
        if (n->hash == hash && strcmp(n->text, text) == 0) {
            return c->name_slots[at];
        }
    }
    c->names[c->name_count] = (struct column_name){.text = text, .hash = hash};
    slot_put(c, c->name_count);
    return c->name_count++;
}

/* --- sets ------------------------------------------------------------------------------ */

static uint32_t member_slot(const struct columns *c, uint64_t member)
{
    uint32_t mask = c->member_slot_count - 1;
    uint32_t at = (uint32_t)(member * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;
    while (c->members[at] != 0 && c->members[at] != member) {
        at = (at + 1) & mask;
    }
    return at;
}

static bool members_grow(struct columns *c)
{
    uint32_t old_count = c->member_slot_count;
    uint64_t *old = c->members;
    uint32_t capacity = c->link_capacity == 0 ? FIRST_NAMES : c->link_capacity * 2;
    struct column_link *links = grown(c, c->links, c->link_count, capacity, sizeof(*links));
    uint64_t *members = arena_alloc(c->scratch, 2 * (size_t)capacity * sizeof(*members));
    if (links == NULL || members == NULL) {
        c->failed = true;
        return false;
    }
    c->links = links;
    c->link_capacity = capacity;
    c->members = members;
    c->member_slot_count = 2 * capacity;
    for (uint32_t i = 0; i < old_count; i++) {
        if (old[i] != 0) {
            c->members[member_slot(c, old[i])] = old[i];
        }
    }
    return true;
}

void column_set_add(struct columns *c, struct column_set *set, uint32_t name)
{
    if (set->all || name == 0) {
        return;
    }
    if (c->link_count >= COLUMNS_MAX) {
        set->all = true;
        return;
    }
    if (c->link_count == c->link_capacity && !members_grow(c)) {
        return;
    }
    if (set->id == 0) {
        set->id = ++c->set_count;
    }
    uint64_t member = (uint64_t)set->id << 32 | name;
    uint32_t slot = member_slot(c, member);
    if (c->members[slot] == member) {
        return;
    }
    c->members[slot] = member;
    c->links[c->link_count] = (struct column_link){.name = name};
    if (set->count == 0) {
        set->first = c->link_count;
    } else {
        c->links[set->last].next = c->link_count;
    }
    set->last = c->link_count++;
    set->count++;
}

void column_set_add_text(struct columns *c, struct column_set *set, const char *text)
{
    if (!set->all) {
        column_set_add(c, set, columns_intern(c, text));
    }
}

void column_set_merge(struct columns *c, struct column_set *set, const struct column_set *more)
{
    set->all = set->all || more->all;
    uint32_t at = more->first;
    for (uint32_t i = 0; i < more->count && !set->all; i++) {
        column_set_add(c, set, c->links[at].name);
        at = c->links[at].next;
    }
}

bool columns_keep(struct columns *c, const struct column_set *set, struct arena *arena,
                  const char *const **out, size_t *out_count)
{
    static const char *const star[] = {"*"};
    if (set->all) {
        *out = star;
        *out_count = 1;
        return true;
    }
    if (set->count == 0) {
        return true;
    }
    const char **texts = arena_alloc(arena, set->count * sizeof(*texts));
    if (texts == NULL) {
        return false;
    }
    uint32_t at = set->first;
    for (uint32_t i = 0; i < set->count; i++, at = c->links[at].next) {
        struct column_name *n = &c->names[c->links[at].name];
        if (n->kept == NULL) {
            n->kept = arena_copy_string(arena, bytes_of_string(n->text));
        }
        if (n->kept == NULL) {
            return false;
        }
        texts[i] = n->kept;
    }
    *out = texts;
    *out_count = set->count;
    return true;
}

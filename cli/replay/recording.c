#include "cli/replay/recording.h"

#include <stdlib.h>

struct recorded {
    Chaperone__V1__Entry *entry;
    Chaperone__V1__Record *record;
};

struct recording {
    struct recorded *items;
    size_t count, capacity;
    size_t size;
};

struct recording *recording_create(void)
{
    return calloc(1, sizeof(struct recording));
}

void recording_destroy(struct recording *r)
{
    if (r == NULL) {
        return;
    }
    for (size_t i = 0; i < r->count; i++) {
        chaperone__v1__entry__free_unpacked(r->items[i].entry, NULL);
        chaperone__v1__record__free_unpacked(r->items[i].record, NULL);
    }
    free(r->items);
    free(r);
}

static enum err make_room(struct recording *r)
{
    if (r->count < r->capacity) {
        return OK;
    }
    size_t capacity = r->capacity == 0 ? 64 : r->capacity * 2;
    struct recorded *items = realloc(r->items, capacity * sizeof(*items));
    if (items == NULL) {
        return ERR_NO_MEMORY;
    }
    r->items = items;
    r->capacity = capacity;
    return OK;
}

/* Without the record's bytes, which are unpacked beside it. */
static Chaperone__V1__Entry *copy_entry(const Chaperone__V1__Entry *entry)
{
    Chaperone__V1__Entry bare = *entry;
    bare.record = (ProtobufCBinaryData){0};
    size_t size = chaperone__v1__entry__get_packed_size(&bare);
    uint8_t *packed = malloc(size == 0 ? 1 : size);
    Chaperone__V1__Entry *copy = NULL;
    if (packed != NULL) {
        (void)chaperone__v1__entry__pack(&bare, packed);
        copy = chaperone__v1__entry__unpack(NULL, size, packed);
    }
    free(packed);
    return copy;
}

enum err recording_add(struct recording *r, const Chaperone__V1__Entry *entry)
{
    size_t size = chaperone__v1__entry__get_packed_size(entry);
    if (size > RECORDING_SIZE_MAX - r->size) {
        return ERR_LIMIT;
    }
    if (make_room(r) != OK) {
        return ERR_NO_MEMORY;
    }
    Chaperone__V1__Record *record = record_unpack(entry);
    if (record == NULL) {
        return ERR_INVALID;
    }
    Chaperone__V1__Entry *copy = copy_entry(entry);
    if (copy == NULL) {
        chaperone__v1__record__free_unpacked(record, NULL);
        return ERR_NO_MEMORY;
    }
    r->items[r->count++] = (struct recorded){.entry = copy, .record = record};
    r->size += size;
    return OK;
}

size_t recording_count(const struct recording *r)
{
    return r->count;
}

void recording_view(const struct recording *r, size_t index, struct record_view *out)
{
    record_view_init(out, r->items[index].entry, r->items[index].record);
}

const Chaperone__V1__Record *recording_get(const struct recording *r, size_t index)
{
    return r->items[index].record;
}

/* Inside of the collection: its parts, and what is learned from an entry (collection_look.c). */
#ifndef CHAPERONE_CLI_EVIDENCE_COLLECTION_INTERNAL_H
#define CHAPERONE_CLI_EVIDENCE_COLLECTION_INTERNAL_H

#include "api/audit.pb-c.h"
#include "cli/evidence/catalogue.h"
#include "cli/evidence/collection.h"

struct numbers {
    uint32_t *items;
    size_t count, capacity;
};

struct items {
    struct spool_item *items;
    size_t count, capacity;
};

/* Where an entry is, and of which session: its number, or UINT32_MAX. */
struct place {
    uint64_t offset;
    uint32_t size;
    uint32_t session;
};

/* Arrays beside a table of names: the item of number n belongs to the name n. */
struct sessions {
    struct catalogue *names;
    struct collection_session *items;
    size_t capacity;
    uint32_t *order;  /* entries, by session; after collection_finish */
    uint32_t *starts; /* of each session in there, and the end */
};

struct maskings {
    struct catalogue *names;
    struct collection_masked *items;
    size_t capacity;
};

struct identities {
    struct catalogue *names;
    struct collection_identity *items;
    size_t capacity;
};

struct kinds {
    struct catalogue *names;
    uint64_t *counts;
    size_t capacity;
};

struct collection {
    struct collection_options with;
    struct arena *arena;
    struct catalogue *texts; /* each kept once: resources, subjects */
    struct spool *spool;
    struct tiles *tiles;
    struct sample *sample;
    Chaperone__V1__ExportHeader *header;
    struct place *places;
    size_t count, capacity;
    uint64_t erased;
    bool has_end;
    struct sessions sessions;
    struct maskings masked;
    struct identities identities;
    struct kinds kinds;
    struct numbers lists[COLLECTION_LISTS];
    struct items context[COLLECTION_KINDS];
};

/* Makes room for one more item in an array that doubles. */
enum err collection_grow(void **items, size_t count, size_t *capacity, size_t item_size) MUST_USE;

/* Learns what the entry with this number says; `*out_session` is its session or UINT32_MAX. */
enum err collection_look(struct collection *c, const Chaperone__V1__Entry *entry, uint32_t number,
                         uint32_t *out_session, struct err_text *why) MUST_USE;

#endif

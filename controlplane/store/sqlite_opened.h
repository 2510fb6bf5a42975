/* The sections that a search has open: those of sessions that work at the same time interleave, and
 * none of them is to be decrypted again for each of its records. For one read of a connection. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_OPENED_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_OPENED_H

#include "controlplane/store/sqlite_sections.h"

enum {
    OPENED_COUNT = 128,            /* sessions that work at one time, and some */
    OPENED_BYTES_MAX = 32 << 20,   /* of all but the one that was asked for last */
    OPENED_BLOCK_SIZE = 256 << 10, /* most sections are in one of them */
};

/* What an entry says of its session; valid as the caller's arena is. */
struct opened_names {
    const char *sidecar, *session, *identity, *on_behalf_of, *resource, *protocol;
    int64_t erased_ns;
};

struct opened {
    struct section_row row;
    struct section_content *contents; /* one for each record; NULL: not opened yet */
    struct opened_names names;
    bool is_there, is_named;
    uint64_t used; /* when: the smallest makes room */
    struct arena *arena;
};

struct opened_cache {
    struct section_reader reader;
    struct opened items[OPENED_COUNT];
    struct arena *once; /* owned: contents that are looked into once; NULL: none yet */
    uint64_t clock;
    int64_t damaged; /* the position of what ERR_DENIED was said of; 0: not known */
};

void opened_init(struct opened_cache *cache, struct db *db);
void opened_finish(struct opened_cache *cache);

/* The section with its head; valid until the next one is got. ERR_NOT_FOUND; ERR_DENIED: it was
 * changed in the database. */
enum err opened_get(struct opened_cache *cache, int64_t key, struct opened **out) MUST_USE;
/* Its contents, too. ERR_DENIED. */
enum err opened_open(struct opened_cache *cache, struct opened *section) MUST_USE;
/* It is not needed again soon. */
void opened_release(struct opened *section);

/* The n-th record, with what it needs of the section, in the arena. `is_last`: the section is not
 * needed again, and not valid after it. ERR_DENIED. */
enum err opened_entry(struct opened_cache *cache, struct opened *section, size_t n, bool is_last,
                      struct arena *arena, struct store_audit_entry *out) MUST_USE;

#endif

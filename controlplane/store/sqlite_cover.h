/* Which records of a batch have a section: that one was taken out of the database, or put into it,
 * must not be passed over. Pure. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_COVER_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_COVER_H

#include "controlplane/store/sqlite_batch.h"

struct cover {
    int64_t position;                    /* of the batch; 0: none yet */
    size_t count;                        /* of its records */
    uint8_t sections[BATCH_RECORDS_MAX]; /* that have the record: 0, 1, or 2 for more */
};

/* Begins another batch. False: none has so many records. */
static inline bool cover_begin(struct cover *cover, int64_t position, int64_t count)
{
    if (position < 1 || count < 1 || count > BATCH_RECORDS_MAX) {
        return false;
    }
    *cover = (struct cover){.position = position, .count = (size_t)count};
    return true;
}

static inline void cover_add(struct cover *cover, const struct section_record *records,
                             size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (records[i].at < cover->count) {
            uint8_t *sections = &cover->sections[records[i].at];
            *sections = (uint8_t)(*sections == 0 ? 1 : 2);
        }
    }
}

/* The first of them, from `from` on, that is not in one section; count: each is. */
static inline size_t cover_missing(const struct cover *cover, size_t from)
{
    while (from < cover->count && cover->sections[from] == 1) {
        from++;
    }
    return from;
}

#endif

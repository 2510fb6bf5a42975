#include "controlplane/store/sqlite_batch.h"

#include <stdlib.h>

#include "controlplane/store/sqlite_batch_parts.h"

enum {
    SESSIONS_FIRST = 8,
    TABLES_FIRST = 64,
    /* As many as the records of an append may name. */
    TABLES_MAX = 16 << 20,
};

/* ---- where a session is ------------------------------------------------------------------------
 */

/* Open addressing: place + 1, 0 where nothing is. More than twice as many as there are sessions. */
struct batch_places {
    size_t room; /* a power of two */
    uint32_t at[];
};

static size_t place_of(const struct batch_session *s, size_t room)
{
    uint64_t hash = batch_mix((uint64_t)s->id, (uint64_t)s->identity);
    return (size_t)(batch_mix(hash, (uint64_t)s->resource) & (room - 1));
}

static bool session_is_same(const struct batch_session *a, const struct batch_session *b)
{
    return a->id == b->id && a->form == b->form && a->identity == b->identity &&
           a->resource == b->resource;
}

/* Its slot: where it is, or where it is to be put. */
static uint32_t *places_slot(struct batch_places *places, const struct batch_session *sessions,
                             const struct batch_session *wanted)
{
    size_t i = place_of(wanted, places->room);
    while (places->at[i] != 0 && !session_is_same(&sessions[places->at[i] - 1], wanted)) {
        i = (i + 1) & (places->room - 1);
    }
    return &places->at[i];
}

static enum err places_make(struct batch *batch, size_t room)
{
    struct batch_places *places = calloc(1, sizeof(*places) + room * sizeof(places->at[0]));
    if (places == NULL) {
        return ERR_NO_MEMORY;
    }
    places->room = room;
    for (size_t i = 0; i < batch->session_count; i++) {
        *places_slot(places, batch->sessions, &batch->sessions[i]) = (uint32_t)i + 1;
    }
    free(batch->places);
    batch->places = places;
    return OK;
}

static void sessions_wipe(struct batch *batch)
{
    if (batch->sessions != NULL) {
        bytes_wipe(batch->sessions, batch->session_count * sizeof(*batch->sessions));
    }
}

/* They hold keys: not by realloc, which leaves the old ones where they were. */
static enum err sessions_grow(struct batch *batch)
{
    size_t room = batch->session_room == 0 ? SESSIONS_FIRST : 2 * batch->session_room;
    struct batch_session *grown = calloc(room, sizeof(*grown));
    if (grown == NULL) {
        return ERR_NO_MEMORY;
    }
    if (batch->session_count > 0) {
        memcpy(grown, batch->sessions, batch->session_count * sizeof(*grown));
    }
    sessions_wipe(batch);
    free(batch->sessions);
    batch->sessions = grown;
    batch->session_room = room;
    return places_make(batch, 4 * room);
}

enum err batch_add_session(struct batch *batch, const struct batch_session *session, size_t *out)
{
    if (batch->session_count == batch->session_room) {
        enum err err = sessions_grow(batch);
        if (err != OK) {
            return err;
        }
    }
    uint32_t *slot = places_slot(batch->places, batch->sessions, session);
    if (*slot == 0) {
        batch->sessions[batch->session_count++] = *session;
        *slot = (uint32_t)batch->session_count;
    }
    *out = *slot - 1;
    return OK;
}

/* ---- the batch --------------------------------------------------------------------------------
 */

enum err batch_init(struct batch *batch, size_t count)
{
    *batch = (struct batch){.room = count == 0 ? 1 : count};
    batch->rows = calloc(batch->room, sizeof(*batch->rows));
    if (batch->rows == NULL) {
        return ERR_NO_MEMORY;
    }
    return batch_sections_create(&batch->making);
}

void batch_clear(struct batch *batch)
{
    sessions_wipe(batch);
    if (batch->places != NULL && batch->session_count > 0) {
        memset(batch->places->at, 0, batch->places->room * sizeof(batch->places->at[0]));
    }
    batch->count = 0;
    batch->session_count = 0;
    batch->table_count = 0;
}

void batch_finish(struct batch *batch)
{
    sessions_wipe(batch);
    batch_sections_destroy(batch->making);
    free(batch->places);
    free(batch->sessions);
    free(batch->tables);
    free(batch->rows);
    *batch = (struct batch){0};
}

enum err batch_add_table(struct batch *batch, struct section_table table)
{
    if (batch->table_count == batch->table_room) {
        size_t room = batch->table_room == 0 ? TABLES_FIRST : 2 * batch->table_room;
        struct section_table *grown =
            room > TABLES_MAX ? NULL : realloc(batch->tables, room * sizeof(*grown));
        if (grown == NULL) {
            return room > TABLES_MAX ? ERR_LIMIT : ERR_NO_MEMORY;
        }
        batch->tables = grown;
        batch->table_room = room;
    }
    batch->tables[batch->table_count++] = table;
    return OK;
}

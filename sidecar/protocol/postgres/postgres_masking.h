/* The masking of one PostgreSQL session: which masks hold, what the target's catalog says, and the
 * plan for a text. For the files of postgres_internal.h.
 *
 * The catalog is asked over the session's own connection, between two of the agent's messages
 * (docs/adr/0006-catalog.md): the agent is not read while an inquiry is under way, and nothing of
 * its answers reaches the agent. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_POSTGRES_MASKING_H
#define CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_POSTGRES_MASKING_H

#include "sidecar/catalog/catalog_shelf.h"
#include "sidecar/protocol/postgres/pg_plan.h"

enum {
    PG_MASKING_KEY_SIZE = 32,
    PG_PLAN_GROUP = 8, /* plans of texts whose hash leads to the same place */
    PG_PLAN_GROUPS = 32,
    PG_PLAN_TEXT_MAX = 16 << 10, /* longer texts are planned each time */
    PG_FINGERPRINT_MAX = 8 << 10,
    /* The target is asked again after so long whether its catalog has changed by others. */
    PG_CATALOG_AGE_MAX_MS = 5000,
    /* What reads views goes by a catalog that was asked for it. A batch that is open cannot be
     * interrupted: then by one that is not older than this. */
    PG_CATALOG_BATCH_AGE_MAX_MS = 1000,
    /* To read a catalog that others change all the time. */
    PG_INQUIRY_ATTEMPTS = 5,
};

enum pg_inquiry_step {
    PG_INQUIRY_NONE,
    PG_INQUIRY_FINGERPRINT,
    PG_INQUIRY_LOAD, /* everything else, in one go */
};

struct pg_planned {
    char *text; /* owned; NULL: a free place */
    size_t size;
    uint64_t hash;
    bool is_shape;        /* the text is a shape: sql_cache_shape */
    struct pg_plan *plan; /* owned reference; NULL: nothing is masked */
};

struct pg_plan_group {
    struct pg_planned kept[PG_PLAN_GROUP];
    size_t next; /* counts on: whose turn it is to make room */
};

struct pg_masking {
    uint8_t key[PG_MASKING_KEY_SIZE]; /* the deployment's */
    size_t key_size;

    uint64_t version;       /* of the link's masks, as seen last */
    struct pg_masks *masks; /* owned reference; NULL: nothing is masked */
    char broken[200];       /* why the masks cannot be used: then nothing is shown */

    struct catalog_place *place; /* owned reference */
    struct catalog *catalog;     /* owned reference; NULL: not asked yet */
    struct lineage_marks *marks; /* owned; of `catalog` and `masks` */
    uint64_t changes_seen;       /* of the place, when the catalog was asked */
    int64_t checked_ns;
    bool is_changed;  /* by this session, in the transaction that is open */
    bool is_stale;    /* and not asked since */
    bool looks_again; /* for the text at hand, from `looked_ns` on */
    int64_t looked_ns;
    bool has_failed; /* the last inquiry: the message that it was for goes on without */

    enum pg_inquiry_step step;
    struct catalog_loader *loader; /* owned */
    size_t query;                  /* whose rows come in: which one of those that were asked */
    unsigned attempts;
    bool is_broken_answer;
    uint64_t changes_before;
    struct buffer fingerprint;

    struct pg_plan_group *plans[PG_PLAN_GROUPS]; /* owned; NULL: none yet */
};

#endif

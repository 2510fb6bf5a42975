/* What an evidence package is made of, out of the store and the transparency log, in the order of
 * ExportPart (api/log.proto). What is exported are the records of a checkpoint: what arrives
 * meanwhile is not in it. Memory does not grow with the number of records, but for one bit for
 * each 256 of them. */
#ifndef CHAPERONE_CONTROLPLANE_EVIDENCE_EXPORT_H
#define CHAPERONE_CONTROLPLANE_EVIDENCE_EXPORT_H

#include "api/log.pb-c.h"
#include "base/clock.h"
#include "base/tlog/tile.h"
#include "controlplane/store/store.h"

/* Where the transparency log is asked. */
struct export_log {
    /* A published checkpoint of at least `size` records, or the newest there is where none comes in
     * time; in the arena, with the keys. Blocks. ERR_NOT_FOUND: there is none at all. */
    enum err (*checkpoint)(void *context, uint64_t size, struct arena *arena,
                           Chaperone__V1__Checkpoint *out);
    /* Appends the hash tile as it is in the tree of `size` records. */
    enum err (*tile)(void *context, uint64_t size, const struct tlog_tile *tile,
                     struct buffer *out);
    void *context;
};

/* Valid until it returns. May block (backpressure). False stops. */
typedef bool export_part_fn(void *context, const Chaperone__V1__ExportPart *part);

/* All borrowed. */
struct export_options {
    struct store *store;
    struct export_log log;
    struct clock clock;
    const char *made_by, *version;
    export_part_fn *on_part;
    void *context;
};

/* ERR_CLOSED: on_part said stop. ERR_INVALID: a wrong request; `why` is for the one who asked.
 * ERR_NOT_FOUND: there is no checkpoint yet. Others: the store's and the log's. */
enum err export_run(const struct export_options *options,
                    const Chaperone__V1__ExportRequest *request, struct err_text *why) MUST_USE;

#endif

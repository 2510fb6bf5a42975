/* The next records of the log that match, as lines. */
#ifndef CHAPERONE_CONTROLPLANE_EXPORT_BATCH_H
#define CHAPERONE_CONTROLPLANE_EXPORT_BATCH_H

#include "base/log.h"
#include "controlplane/export/line.h"
#include "controlplane/export/sink.h"

enum {
    EXPORT_BATCH_MAX = 1024,      /* records */
    EXPORT_BATCH_BYTES = 1 << 20, /* of canonical bytes; the last one may go beyond it */
};

struct export_batch;

/* All borrowed. Returns owned; NULL when memory is short. */
struct export_batch *export_batch_create(const struct config_export *config, struct store *store,
                                         const struct log *log) MUST_USE;
void export_batch_destroy(struct export_batch *batch); /* takes NULL */

/* Reads on from `after`; position_max as in store_audit_filter. */
enum err export_batch_read(struct export_batch *batch, uint64_t after, uint64_t position_max,
                           struct err_text *why) MUST_USE;
/* Drops all lines from the first one on that arrived at `until_ns` or later; false: none did. */
bool export_batch_cut(struct export_batch *batch, int64_t until_ns);
/* Makes the lines, none longer than `line_max`. */
enum err export_batch_render(struct export_batch *batch, size_t line_max,
                             struct err_text *why) MUST_USE;
/* Makes the line another, for a record that its destination refuses. False: it is that other one
 * already. `render` comes after. */
bool export_batch_omit(struct export_batch *batch, size_t line);

/* Valid until the next read or render. */
const struct export_line *export_batch_lines(const struct export_batch *batch);
size_t export_batch_count(const struct export_batch *batch);
size_t export_batch_omitted(const struct export_batch *batch);
/* All up to here was looked at. */
uint64_t export_batch_position(const struct export_batch *batch);
/* There is more behind it. */
bool export_batch_has_more(const struct export_batch *batch);

#endif

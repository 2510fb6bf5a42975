/* What goes out of the control plane by itself: export jobs, and metrics.
 *
 * Used by the server's own thread; the jobs and the metrics have threads of their own. */
#ifndef CHAPERONE_CONTROLPLANE_OUTBOUND_H
#define CHAPERONE_CONTROLPLANE_OUTBOUND_H

#include "controlplane/export/export.h"

struct outbound;

/* All borrowed. */
struct outbound_options {
    struct exports_options exports;
    const char *version;
};

/* Returns owned; nothing runs yet. */
enum err outbound_create(const struct outbound_options *options, struct outbound **out) MUST_USE;
struct exports *outbound_exports(struct outbound *outbound); /* borrowed */

/* Starts what the configuration says. ERR_INVALID, ERR_UNAVAILABLE: the metrics' port. */
enum err outbound_start(struct outbound *outbound, const struct config *config,
                        struct err_text *why) MUST_USE;
/* Of another configuration: the jobs are exchanged where `exports` differs; the metrics' port stays
 * as it was. Both configurations are valid until it returns. */
enum err outbound_reload(struct outbound *outbound, const struct config *before,
                         const struct config *now) MUST_USE;
bool outbound_needs_restart(const struct config *before, const struct config *now);

/* Nothing goes out any more. May be called twice; takes NULL. */
void outbound_stop(struct outbound *outbound);
void outbound_destroy(struct outbound *outbound); /* stops; takes NULL */

#endif

/* Where a job sends its records: a file, a syslog receiver, Kafka.
 *
 * A sink belongs to one job and is used by its thread only. It never waits without its
 * `export_stop`. */
#ifndef CHAPERONE_CONTROLPLANE_EXPORT_SINK_H
#define CHAPERONE_CONTROLPLANE_EXPORT_SINK_H

#include "base/bytes.h"
#include "base/clock.h"
#include "controlplane/config.h"
#include "controlplane/credentials/vault.h"
#include "controlplane/export/stop.h"
#include "controlplane/store/store.h"

struct export_line {
    struct bytes text;                     /* one line without its end */
    const struct store_audit_entry *entry; /* that it is of */
};

struct export_sink;

struct export_sink_ops {
    /* Returns OK when the destination has taken all of them, as far as it says so. On any other
     * result some may have arrived: they are sent again. ERR_CLOSED: it was asked to stop.
     * ERR_LIMIT: the destination will never take the line `*out_refused`. */
    enum err (*send)(struct export_sink *sink, const struct export_line *lines, size_t count,
                     size_t *out_refused, struct err_text *why);
    /* Nothing is to be sent now: called at least each second. */
    enum err (*tend)(struct export_sink *sink, struct err_text *why);
    void (*destroy)(struct export_sink *sink);
};

struct export_sink {
    const struct export_sink_ops *ops;
    size_t line_max; /* bytes of one line's text */
    /* What was taken counts as arrived only so much later: 0 where the destination says that it
     * has it. */
    int64_t settle_ns;
};

/* All borrowed. */
struct export_sink_options {
    const struct config_export *config;
    struct store *store; /* for secrets */
    const struct vault *vault;
    struct clock clock;
    struct export_stop *stop;
};

#endif

/* All export jobs of a control plane: started, listed, exchanged for others, stopped.
 *
 * Of several control planes on one store, the one that holds STORE_DUTY_EXPORT does them. */
#ifndef CHAPERONE_CONTROLPLANE_EXPORT_EXPORT_H
#define CHAPERONE_CONTROLPLANE_EXPORT_EXPORT_H

#include "base/arena.h"
#include "controlplane/export/job.h"

struct exports;

/* All borrowed. */
struct exports_options {
    struct store *store;
    const struct vault *vault;
    struct audit_feed *feed;
    struct clock clock;
    const struct log *log;
};

/* Returns owned, without jobs. */
enum err exports_create(const struct exports_options *options, struct exports **out) MUST_USE;
/* Stops all jobs: within two seconds, whatever their destinations do; there are none any more.
 * Takes NULL. */
void exports_stop(struct exports *exports);
/* Stops, and frees. Takes NULL. */
void exports_destroy(struct exports *exports);

/* Ends the jobs there are and starts those of `config`, which is retained. Jobs that are the same
 * as before go on from where they were. */
enum err exports_configure(struct exports *exports, const struct config *config) MUST_USE;

/* What config_load cannot see: the options of Kafka's library. */
enum err exports_check(const struct config *config, struct err_text *why) MUST_USE;

struct exports_job {
    const char *name;
    const char *kind;        /* "file", "syslog", "kafka" */
    const char *destination; /* a directory, HOST:PORT, BROKERS TOPIC */
    struct export_status status;
    uint64_t behind;   /* records of the log that were not looked at, or not taken, yet */
    int64_t behind_ns; /* for how long the oldest of them has been there; 0: none */
};

/* In the order of the configuration; all in the arena. Errors are the store's. */
enum err exports_list(struct exports *exports, struct arena *arena, struct exports_job **out_items,
                      size_t *out_count) MUST_USE;

#endif

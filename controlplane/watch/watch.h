/* Looks for what is missing while nobody asks: sidecars that fall silent, sessions without an end,
 * operations without an outcome, records that a sidecar says it lost.
 *
 * A thread follows the records as they arrive, from where it (or another control plane on the same
 * store) was before; only the one that has STORE_DUTY_WATCH does. Sessions are looked at when
 * nothing of them can come any more: they ended, their stream says that it has none, or it has been
 * silent for long. What the ingest here has seen itself (audit/arrivals.h) is not read again: it
 * follows the same rules, and the records decide wherever it does not know. Each finding is
 * recorded once (findings.h). Memory: the streams, and the sessions that are open. */
#ifndef CHAPERONE_CONTROLPLANE_WATCH_WATCH_H
#define CHAPERONE_CONTROLPLANE_WATCH_WATCH_H

#include "controlplane/audit/arrivals.h"
#include "controlplane/watch/findings.h"

/* A sidecar writes a heartbeat every 10 s, or every 60 s when nothing happens. */
enum { WATCH_IDLE_SILENCE_MIN_S = 90 };

struct watch;

/* All borrowed. */
struct watch_options {
    struct store *store;
    struct findings *findings;
    struct clock clock;
    const struct log *log;
    int64_t silent_after_ns;   /* without a heartbeat, with work under way */
    struct arrivals *arrivals; /* of the ingest; may be NULL: all is read */
    int64_t lost_after_ns;     /* sessions of a silent sidecar are looked at then */
    /* Whether a sidecar has a connection here: then its idle heartbeats are expected, too. Any
     * thread; may be NULL. */
    bool (*is_connected)(void *context, const char *sidecar);
    void *context;
};

/* Returns owned. Starts the thread. */
enum err watch_create(const struct watch_options *options, struct watch **out) MUST_USE;
/* Waits for the thread, which leaves what it has not read yet to the next watch. Takes NULL. */
void watch_destroy(struct watch *watch);
/* From the next round on. */
void watch_set_times(struct watch *watch, int64_t silent_after_ns, int64_t lost_after_ns);

/* One round on the caller's thread, for tests; not while a thread runs. */
struct watch_state;
enum err watch_state_create(const struct watch_options *options, struct watch_state **out) MUST_USE;
void watch_state_destroy(struct watch_state *state); /* takes NULL */
enum err watch_state_round(struct watch_state *state) MUST_USE;
/* A round that runs on another thread ends with the record that it is at; later ones do nothing.
 * Where the next watch goes on, all that was read counts as read. */
void watch_state_stop(struct watch_state *state);

#endif

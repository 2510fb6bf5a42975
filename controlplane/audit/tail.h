/* Audit.Tail: a search, and then each new record that matches as it arrives.
 *
 * A tail is a thread of its own, so that a slow reader slows neither the ingest nor other tails;
 * while it waits for its reader it only falls behind, and catches up from the store. */
#ifndef CHAPERONE_CONTROLPLANE_AUDIT_TAIL_H
#define CHAPERONE_CONTROLPLANE_AUDIT_TAIL_H

#include "controlplane/audit/feed.h"
#include "controlplane/audit/search.h"

struct audit_tail;

struct audit_tail_events {
    /* As audit_entries_fn; false ends the tail. */
    audit_entries_fn *on_entries;
    /* The last callback, always called exactly once, on the tail's thread. OK: stopped, or
     * on_entries returned false. */
    void (*on_end)(void *context, enum err err, const struct err_text *why);
};

/* Copies `request`; borrows the rest until stop returned. */
enum err audit_tail_start(struct store *store, struct audit_feed *feed,
                          const Chaperone__V1__SearchRequest *request,
                          const struct audit_tail_events *events, void *context,
                          struct audit_tail **out) MUST_USE;
/* Asks it to end; returns at once, from any thread, also inside its callbacks. */
void audit_tail_cancel(struct audit_tail *tail);
/* Cancels, waits for on_end and frees. Not inside its callbacks. Takes NULL. */
void audit_tail_stop(struct audit_tail *tail);

#endif

/* The control plane's own audit stream: what people decide and order, and what is noticed of what
 * is missing, is recorded like what agents do.
 *
 * A stream among the others, of the sidecar id "controlplane" (no sidecar's: those are UUIDs),
 * sequence 1, 2, 3, ..., each record with the hash of the one before it. A restart goes on with it.
 * It has no heartbeats: it ends where the store ends. Thread-safe; several control planes may write
 * it on one store: who finds that another one was faster reads the stream's end and tries again. */
#ifndef CHAPERONE_CONTROLPLANE_AUDIT_JOURNAL_H
#define CHAPERONE_CONTROLPLANE_AUDIT_JOURNAL_H

#include "api/audit.pb-c.h"
#include "base/clock.h"
#include "controlplane/audit/feed.h"
#include "controlplane/store/store.h"

#define JOURNAL_STREAM "controlplane"

struct journal;

/* All borrowed; the feed may be NULL. */
struct journal_options {
    struct store *store;
    struct audit_feed *feed;
    struct clock clock;
};

/* Returns owned; NULL when memory is short. */
struct journal *journal_create(const struct journal_options *options) MUST_USE;
void journal_destroy(struct journal *journal); /* takes NULL */

/* What is to be recorded. Everything is borrowed. */
struct journal_entry {
    const char *session; /* that it is about; NULL or "": of none */
    /* What is known of that session (identity, resource, ...), so that the record is found by it;
     * may be NULL. */
    const struct store_audit_opened *about;
    /* Exactly one of the three. */
    const Chaperone__V1__Approval *approval;
    const Chaperone__V1__Action *action;
    const Chaperone__V1__Finding *finding;
};

/* Durable when it returns OK. ERR_INVALID, ERR_LIMIT: no such record can be; ERR_UNAVAILABLE: other
 * control planes write all the time; others: the store's. `why` may be NULL. */
enum err journal_append(struct journal *journal, const struct journal_entry *entry,
                        struct err_text *why) MUST_USE;

enum { JOURNAL_ENTRIES_MAX = 4 };

/* The same for some records, in the transaction of something else, which happens exactly when it is
 * recorded: `write` is called on this thread, gives the records on to the store, and changes
 * nothing unless it returns OK; what it returns is returned. It is called again, with other
 * numbers, only where another control plane wrote the stream meanwhile. It may not use the journal.
 */
typedef enum err journal_write_fn(void *context, const struct store_audit_write *write);
enum err journal_append_with(struct journal *journal, const struct journal_entry *entries,
                             size_t count, journal_write_fn *write, void *context,
                             struct err_text *why) MUST_USE;

#endif

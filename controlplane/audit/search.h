/* Answers the questions of api/operator.proto from the store: searches and lists of sessions.
 *
 * Order is that of time; within one sidecar's stream never against its sequence. How words and
 * tables are matched is in struct store_audit_filter. */
#ifndef CHAPERONE_CONTROLPLANE_AUDIT_SEARCH_H
#define CHAPERONE_CONTROLPLANE_AUDIT_SEARCH_H

#include "api/operator.pb-c.h"
#include "controlplane/store/store.h"

enum {
    AUDIT_SEARCH_PAGE = 256,           /* entries in one SearchResponse */
    AUDIT_SEARCH_PAGE_BYTES = 1 << 20, /* of records; the last one may go beyond it */
};

/* The next entries; valid until it returns. False stops. May block (backpressure): no lock of the
 * store is held meanwhile. */
typedef bool audit_entries_fn(void *context, const Chaperone__V1__SearchResponse *response);

/* The newest `limit` that match (0: all), oldest first; what arrives during the search is not in
 * it.
 * `*out_position` (may be NULL): all up to this position was searched, a tail goes on from here.
 * ERR_INVALID: an unknown kind, no word in the text, since after until, ...; `why` is for the one
 * who asked. */
enum err audit_search_run(struct store *store, const Chaperone__V1__SearchRequest *request,
                          audit_entries_fn *on_entries, void *context, uint64_t *out_position,
                          struct err_text *why) MUST_USE;

/* The same, of the first `position` records of the log. */
enum err audit_search_run_to(struct store *store, const Chaperone__V1__SearchRequest *request,
                             uint64_t position, audit_entries_fn *on_entries, void *context,
                             struct err_text *why) MUST_USE;

/* What matches and is beyond `*position`, in order of arrival; moves `*position`. The limit of the
 * request does not count. */
enum err audit_search_follow(struct store *store, const Chaperone__V1__SearchRequest *request,
                             audit_entries_fn *on_entries, void *context, uint64_t *position,
                             struct err_text *why) MUST_USE;

/* What a request asks for, as the store understands it; borrows the request. ERR_INVALID as of
 * audit_search_run. */
enum err audit_search_filter(const Chaperone__V1__SearchRequest *request,
                             struct store_audit_filter *out, struct err_text *why) MUST_USE;
/* An entry as a message, to be packed and never freed; borrows from `item`. */
void audit_search_entry(const struct store_audit_entry *item, Chaperone__V1__Entry *out);

/* Newest first, all in the arena. State is "open", "closed" or "refused"; the caller, who knows
 * which sidecars are connected, makes "lost" of "open" where its sidecar is away. */
enum err audit_sessions_list(struct store *store, const Chaperone__V1__ListSessionsRequest *request,
                             struct arena *arena, Chaperone__V1__SessionSummary ***out_items,
                             size_t *out_count) MUST_USE;

#endif

/* What the handlers of the services share. One file of handlers for each topic; services.c has the
 * table that binds them to methods. A handler runs only after access_check. */
#ifndef CHAPERONE_CONTROLPLANE_RPC_SERVICES_INTERNAL_H
#define CHAPERONE_CONTROLPLANE_RPC_SERVICES_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "api/log.pb-c.h"
#include "api/sidecar.pb-c.h"
#include "controlplane/approvals/approvals.h"
#include "controlplane/audit/ingest.h"
#include "controlplane/audit/ingest_threads.h"
#include "controlplane/audit/journal.h"
#include "controlplane/credentials/oauth2.h"
#include "controlplane/rpc/access.h"
#include "controlplane/rpc/logins.h"
#include "controlplane/rpc/news.h"
#include "controlplane/rpc/refusals.h"
#include "controlplane/rpc/replicas.h"
#include "controlplane/rpc/services.h"
#include "controlplane/rpc/streams.h"
#include "controlplane/rpc/watchers.h"
#include "controlplane/watch/watch.h"

struct services {
    struct services_options with; /* borrows what it names */
    struct audit_ingest ingest;
    struct ingest_threads *ingest_threads;
    struct arrivals *arrivals; /* of `ingest`, for `watch` */
    struct journal *journal;   /* what people decide and order is recorded here */
    struct logins *logins;
    struct oauth2 *oauth2; /* the tokens for targets */
    struct refusals *refusals;
    struct findings *findings;
    struct watch *watch;
    struct news *news;
    struct watchers *watchers;
    struct approvals *approvals;
    struct audit_feed *approvals_feed; /* of the cursors of their changes */
    struct replicas *replicas;         /* NULL where the store is not shared */
    atomic_int approval_watches;       /* under way */
    struct streams streams;
    atomic_int exports;    /* under way */
    atomic_int readings;   /* searches and tails under way */
    pthread_mutex_t mutex; /* guards `snapshot` */
    struct snapshot *snapshot;
};

/* One call, as its handler sees it. Borrowed: until a unary handler returns, until a stream's
 * returns its status. */
struct call {
    struct services *services;
    const struct snapshot *snapshot;
    const struct rpc_peer *peer;
    const struct access_caller *caller;
};

typedef void unary_handler(const struct call *call, const ProtobufCMessage *request,
                           ProtobufCMessage **out_reply, struct rpc_status *out_status);
typedef void stream_handler(const struct call *call, struct rpc_stream *stream,
                            struct rpc_stream_events *out_events, void **out_context,
                            struct rpc_status *out_status);

unary_handler enrolment_enrol, enrolment_renew; /* enrolment.c */
unary_handler session_open;                     /* session_open.c */
stream_handler watch_open;                      /* watch.c */
unary_handler ship_resume;                      /* ship.c */
stream_handler ship_open;
stream_handler reading_search, reading_tail;                                 /* reading.c */
unary_handler sessions_list, sessions_kill;                                  /* sessions.c */
unary_handler sessions_block, sessions_lift, sessions_list_blocks;           /* blocks.c */
unary_handler policies_push, policies_rollback, policies_list, policies_get; /* policies.c */
unary_handler approval_request, approval_end;                          /* approval_request.c */
unary_handler approvals_list, approvals_get_one, approvals_decide_one; /* approvals.c */
unary_handler standing_list, standing_revoke;                          /* approvals_standing.c */
stream_handler approvals_watch;                                        /* approval_watch.c */
unary_handler links_create_code, links_confirm, links_remove;          /* links.c */
unary_handler log_get_checkpoint, log_prove_inclusion, log_prove_consistency; /* log.c */
stream_handler log_read_tiles;                                                /* log_tiles.c */
stream_handler log_export;                                                    /* export.c */
unary_handler administration_list_export_jobs; /* administration_exports.c */
unary_handler administration_create_join_token, administration_status; /* administration.c */
unary_handler administration_revoke_sidecar;                           /* sidecars.c */
unary_handler retention_place_hold, retention_lift_hold;               /* retention.c */
unary_handler retention_list_holds, retention_preview;

/* Answers OK with a copy of `message`, which may be on the stack. */
void services_reply(const ProtobufCMessage *message, ProtobufCMessage **out_reply,
                    struct rpc_status *out_status);
int64_t services_now(const struct services *services);

/* What an operator did: one line for each action, with who and what. `outcome` is "ok" or a code's
 * name. */
void services_log_action(const struct call *call, const char *action, const char *object,
                         const char *outcome);

/* actions.c: the same for the audit log; `by` and `from` are filled in. `session` (NULL: none) and
 * what is known of it (may be NULL) say what it is found with. Logged when it fails. */
enum err services_record_action(const struct call *call, const Chaperone__V1__Action *action,
                                const char *session,
                                const struct store_audit_opened *about) MUST_USE;
/* In short, for what is no order: "search", "text=salary". What may not happen unrecorded is
 * refused where this fails. */
enum err services_record(const struct call *call, const char *action, const char *object,
                         const char *reason) MUST_USE;
/* In the transaction of something else: journal_append_with. ERR_EXISTS, ERR_DENIED and
 * ERR_NOT_FOUND are `write`'s own, and not logged. */
enum err services_record_action_with(const struct call *call, const Chaperone__V1__Action *action,
                                     journal_write_fn *write, void *context) MUST_USE;
/* As the control plane's own, or of somebody who is not known: `by` may be absent. */
enum err services_record_own(struct services *services,
                             const Chaperone__V1__Action *action) MUST_USE;
/* What is answered then. */
void services_set_unrecorded(struct rpc_status *out_status);

/* Who called, kept beyond the handler: for streams, which know what is asked for only later. */
struct actor {
    Chaperone__V1__Identity *by; /* owned */
    char *from;                  /* owned */
};
enum err actor_init(struct actor *actor, const struct call *call) MUST_USE;
void actor_finish(struct actor *actor);
/* As services_record. */
enum err services_record_as(struct services *services, const struct actor *actor,
                            const char *action, const char *object) MUST_USE;

/* noticed.c: what is recorded of a call by itself.
 *
 * Of one that was let in: its token's first use, and where its answer shows what agents did, that
 * it was asked for. False: it is not to be answered; `out_status` says so. */
bool services_notice_call(const struct call *call, const char *service, const char *method,
                          const ProtobufCMessage *request, struct rpc_status *out_status) MUST_USE;
/* Of one that was refused, before its handler or by it: the first of a peer, the others counted. */
void services_notice_refusal(struct services *services, const char *service, const char *method,
                             const struct rpc_peer *peer, const struct access_caller *caller,
                             const struct rpc_status *status);
/* Records the counts that are due; with `all` those that are not, too. */
void services_record_refusals(struct services *services, bool all);

/* log.c: as a message in the arena, with the log's keys. */
enum err log_fill_checkpoint(struct keeper *keeper, const struct keeper_checkpoint *from,
                             struct arena *arena, Chaperone__V1__Checkpoint *out) MUST_USE;

/* What is left of the time that an order may take, in ns. */
int64_t services_order_timeout(const struct call *call);

/* blocks_check.c: whether new sessions of this identity (or of one on whose behalf it acts) for the
 * resource are refused. ERR_DENIED: `why` is the sentence for the agent; others: the store's. */
enum err blocks_check(struct services *services, const struct identity *who, const char *resource,
                      struct err_text *why) MUST_USE;
/* Ends the sessions of a sidecar that was away when a block was set. */
void blocks_repeat(struct services *services, struct watcher *watcher);
/* Gives the order of a block, or one that another control plane gave, to the sidecars that it is
 * about: those that are connected here, or only this one. Waits for nothing. */
enum err blocks_give(struct services *services, const struct store_block *block,
                     struct watcher *watcher, struct arena *arena) MUST_USE;
/* Records what a sidecar has ended by a block's order after nobody waited for it any more: when it
 * is back. */
void blocks_record_late(struct services *services, const char *sidecar,
                        const Chaperone__V1__OrderDone *done);
/* "identity agent-7", "resource orders", "everything". */
enum {
    BLOCKS_TEXT_MAX = 1024, /* of a reason, a subject, a resource's name */
    BLOCKS_OBJECT_SIZE = BLOCKS_TEXT_MAX + 16,
    /* Sessions in an order's record, which has at most 1 MiB: the others' own records name the
     * order. */
    BLOCKS_RECORDED_MAX = 10000,
};
void blocks_describe(const char *identity, const char *resource, bool everything,
                     char out[BLOCKS_OBJECT_SIZE]);

/* sidecars_elsewhere.c: ends what a sidecar runs that another control plane has revoked, where it
 * is connected here. */
void sidecars_end_revoked(struct services *services, const struct store_sidecar *sidecar);
/* sidecars.c: ends the streams here of one that was revoked. */
void sidecars_end_streams(struct services *services, const struct store_sidecar *sidecar);

/* Whose word it is: the caller's own or, of a bot, that of the person whose chat account this is;
 * `account` may be NULL. In the arena, or borrowed from the call. ERR_DENIED. */
enum err services_find_person(const struct call *call, const Chaperone__V1__ChatAccount *account,
                              struct arena *arena, struct approvals_person *out,
                              struct err_text *why) MUST_USE;
/* What an error of approvals.h is to a caller; the store's errors are logged, as of `at`. */
void services_set_approval_status(const struct call *call, const char *at, enum err e,
                                  const struct err_text *why, struct rpc_status *out_status);
/* Whether a held operation is shown to one with these roles and groups. */
bool services_may_see(unsigned roles, const char *const *groups, size_t group_count,
                      const Chaperone__V1__HeldOperation *held);
/* The person that a bot's chat account is linked to. ERR_DENIED: to nobody. */
enum err links_find_person(const struct call *call, const Chaperone__V1__ChatAccount *account,
                           struct arena *arena, struct approvals_person *out,
                           struct err_text *why) MUST_USE;
/* Makes the approvals, and lets their changes out (approvals_push.c). */
enum err approvals_push_create(struct services *services) MUST_USE;
/* Tells a sidecar that has come back what was decided meanwhile of what it waits for. */
void approvals_push_again(struct services *services, struct watcher *watcher, const char *sidecar,
                          char *const *ids, size_t count);

#endif

/* What follows a change of a held operation: its sidecar is told, and those who watch. */
#include "controlplane/rpc/services_internal.h"

static void on_changed(void *context, const Chaperone__V1__HeldOperation *held, uint64_t cursor,
                       bool by_sidecar)
{
    struct services *services = context;
    if (!by_sidecar && approvals_is_told(held)) {
        const Chaperone__V1__ApprovalDecided decided = approvals_tell(held);
        watchers_send_decided(services->watchers, held->sidecar, &decided);
    }
    audit_feed_publish(services->approvals_feed, cursor);
}

enum err approvals_push_create(struct services *services)
{
    services->approvals_feed = audit_feed_create();
    if (services->approvals_feed == NULL) {
        return ERR_NO_MEMORY;
    }
    const struct approvals_options options = {.store = services->with.store,
                                              .journal = services->journal,
                                              .clock = services->with.clock,
                                              .log = services->with.log,
                                              .on_changed = on_changed,
                                              .context = services};
    return approvals_create(&options, &services->approvals);
}

static enum err tell_again(struct services *services, struct watcher *watcher, const char *sidecar,
                           const char *id, struct arena *arena)
{
    const Chaperone__V1__HeldOperation *held = NULL;
    enum err e = approvals_get(services->approvals, id, arena, &held, NULL);
    if (e != OK || strcmp(held->id, id) != 0 || strcmp(held->sidecar, sidecar) != 0 ||
        !approvals_is_told(held)) {
        return e == ERR_NOT_FOUND || e == ERR_INVALID ? OK : e;
    }
    const Chaperone__V1__ApprovalDecided decided = approvals_tell(held);
    watchers_tell_decided(watcher, &decided);
    return OK;
}

void approvals_push_again(struct services *services, struct watcher *watcher, const char *sidecar,
                          char *const *ids, size_t count)
{
    struct arena *arena = arena_create(16 << 10, APPROVALS_ARENA_CAP);
    enum err e = arena == NULL ? ERR_NO_MEMORY : OK;
    for (size_t i = 0; e == OK && i < count && i < APPROVALS_WAITING_MAX; i++) {
        arena_reset(arena);
        e = tell_again(services, watcher, sidecar, ids[i], arena);
    }
    e = e == OK ? approvals_forsake(services->approvals, sidecar, ids, count) : e;
    if (e != OK) {
        log_event(services->with.log, LOG_ERROR, "store_failed", log_text("at", "approvals_held"),
                  log_text("error", err_name(e)));
    }
    arena_destroy(arena);
}

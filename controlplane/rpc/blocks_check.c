/* Open blocks: new sessions are refused by them, and sidecars that come back carry them out. */
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/rpc/services_internal.h"

/* Of all open blocks at once: people set them by hand, a thousand of them are a few 100 KiB. */
enum { ARENA_BLOCK = 16 << 10, ARENA_CAP = 64 << 20 };

static bool is_of_identity(const struct store_block *b, const struct identity *who)
{
    if (b->identity[0] == '\0') {
        return false;
    }
    bool found = strcmp(b->identity, who->subject) == 0;
    for (size_t i = 0; !found && i < who->on_behalf_of_count; i++) {
        found = strcmp(b->identity, who->on_behalf_of[i].subject) == 0;
    }
    return found;
}

static enum err refuse(const struct store_block *b, struct err_text *why)
{
    const char *reason = b->reason[0] == '\0' ? "no reason was given" : b->reason;
    if (b->everything) {
        return err_set(why, ERR_DENIED, "all new sessions are blocked: %.300s", reason);
    }
    if (b->resource[0] != '\0') {
        return err_set(why, ERR_DENIED,
                       "new sessions for the resource \"%.100s\" are blocked: %.300s", b->resource,
                       reason);
    }
    return err_set(why, ERR_DENIED, "new sessions of \"%.100s\" are blocked: %.300s", b->identity,
                   reason);
}

static enum err list_blocks(struct services *services, struct arena **out_arena,
                            struct store_block **out_items, size_t *out_count)
{
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    enum err e = arena == NULL
                     ? ERR_NO_MEMORY
                     : store_block_list(services->with.store, arena, out_items, out_count);
    if (e != OK) {
        arena_destroy(arena);
        return e;
    }
    *out_arena = arena;
    return OK;
}

enum err blocks_check(struct services *services, const struct identity *who, const char *resource,
                      struct err_text *why)
{
    struct arena *arena = NULL;
    struct store_block *items = NULL;
    size_t count = 0;
    enum err e = list_blocks(services, &arena, &items, &count);
    if (e != OK) {
        return err_set(why, e, "the blocks cannot be read");
    }
    for (size_t i = 0; e == OK && i < count; i++) {
        const struct store_block *b = &items[i];
        if (!b->is_order && (b->everything || is_of_identity(b, who) ||
                             (b->resource[0] != '\0' && strcmp(b->resource, resource) == 0))) {
            e = refuse(b, why);
        }
    }
    arena_destroy(arena);
    return e;
}

/* The sidecar of an order about one session; "" for all. ERR_NOT_FOUND: it is about none here. */
static enum err find_sidecar(struct services *services, const struct store_block *b,
                             struct arena *arena, const char **out)
{
    struct store_session session;
    *out = NULL;
    if (b->session[0] == '\0') {
        return OK;
    }
    enum err e = store_session_get(services->with.store, b->session, arena, &session);
    if (e == OK) {
        *out = session.sidecar;
    }
    return e == ERR_INVALID ? ERR_NOT_FOUND : e;
}

enum err blocks_give(struct services *services, const struct store_block *b,
                     struct watcher *watcher, struct arena *arena)
{
    static const int64_t order_ns = REPLICAS_ORDER_S * INT64_C(1000000000);
    const struct watchers_order order = {.id = b->id,
                                         .session = b->session,
                                         .identity = b->identity,
                                         .resource = b->resource,
                                         .all = b->everything,
                                         .ordered_by = b->created_by,
                                         .reason = b->reason,
                                         .ordered_ns = b->created_ns};
    const char *sidecar = NULL;
    if (b->is_order && services_now(services) - b->created_ns > order_ns) {
        return OK;
    }
    enum err e = find_sidecar(services, b, arena, &sidecar);
    if (e != OK) {
        return e == ERR_NOT_FOUND ? OK : e;
    }
    if (watcher == NULL) {
        watchers_give_order(services->watchers, sidecar, &order);
        return OK;
    }
    return sidecar == NULL || strcmp(sidecar, watchers_sidecar(watcher)) == 0
               ? watchers_repeat_order(watcher, &order)
               : OK;
}

void blocks_repeat(struct services *services, struct watcher *watcher)
{
    struct arena *arena = NULL;
    struct store_block *items = NULL;
    size_t count = 0;
    enum err e = list_blocks(services, &arena, &items, &count);
    for (size_t i = 0; e == OK && i < count; i++) {
        e = blocks_give(services, &items[i], watcher, arena);
    }
    if (e != OK) {
        log_event(services->with.log, LOG_ERROR, "blocks_not_repeated",
                  log_text("error", err_name(e)));
    }
    arena_destroy(arena);
}

void blocks_describe(const char *identity, const char *resource, bool everything,
                     char out[BLOCKS_OBJECT_SIZE])
{
    if (everything) {
        (void)snprintf(out, BLOCKS_OBJECT_SIZE, "everything");
    } else if (identity[0] != '\0') {
        (void)snprintf(out, BLOCKS_OBJECT_SIZE, "identity %s", identity);
    } else {
        (void)snprintf(out, BLOCKS_OBJECT_SIZE, "resource %s", resource);
    }
}

static void record_late(struct services *services, const struct store_block *b, const char *sidecar,
                        char (*ids)[UUID_TEXT_SIZE], size_t count)
{
    char object[BLOCKS_OBJECT_SIZE], from[CA_ID_SIZE + 16];
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    Chaperone__V1__Identity by = CHAPERONE__V1__IDENTITY__INIT;
    char **sessions = calloc(count, sizeof(*sessions));
    for (size_t i = 0; sessions != NULL && i < count; i++) {
        sessions[i] = ids[i];
    }
    blocks_describe(b->identity, b->resource, b->everything, object);
    (void)snprintf(from, sizeof(from), "sidecar %s", sidecar);
    by.subject = (char *)(uintptr_t)b->created_by;
    action.action = "kill";
    action.object = object;
    action.by = &by;
    action.reason = (char *)(uintptr_t)b->reason;
    action.from = from;
    action.order = (char *)(uintptr_t)b->id;
    action.ordered_unix_ns = b->created_ns;
    action.done_unix_ns = services_now(services);
    action.sessions = sessions;
    action.n_sessions = sessions == NULL ? 0 : count;
    const struct journal_entry entry = {.action = &action};
    enum err e = journal_append(services->journal, &entry, NULL);
    if (e != OK) {
        log_event(services->with.log, LOG_ERROR, "action_not_recorded", log_text("action", "kill"),
                  log_text("object", object), log_text("error", err_name(e)));
    }
    free(sessions);
}

void blocks_record_late(struct services *services, const char *sidecar,
                        const Chaperone__V1__OrderDone *done)
{
    struct arena *arena = NULL;
    struct store_block *items = NULL;
    size_t count = 0, ended = 0;
    char(*ids)[UUID_TEXT_SIZE] = watchers_sessions_of(done, &ended);
    if (ended > 0 && list_blocks(services, &arena, &items, &count) == OK) {
        for (size_t i = 0; i < count; i++) {
            /* An order's own control plane records what became of it. */
            if (!items[i].is_order && strcmp(items[i].id, done->order) == 0) {
                record_late(services, &items[i], sidecar, ids,
                            ended < BLOCKS_RECORDED_MAX ? ended : BLOCKS_RECORDED_MAX);
            }
        }
    }
    arena_destroy(arena);
    free(ids);
}

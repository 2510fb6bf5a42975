/* The kill switch: sessions of an identity, a resource or all of them end, and new ones are refused
 * until it is lifted. The block is stored first and the order given after it: see session_open.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "api/operator.pb-c.h"
#include "base/uuid.h"
#include "controlplane/rpc/blocks_internal.h"

/* One block while it is being set. */
struct blocking {
    const struct call *call;
    const Chaperone__V1__BlockRequest *request;
    struct blocks_meant meant;
    struct arena *arena;
    char id[UUID_TEXT_SIZE];
    int64_t ordered_ns;
    struct watchers_answers answers;
    char **sessions, **not_confirmed; /* in the arena */
    size_t session_count, not_confirmed_count;
    struct store_session *before; /* that were open when it was ordered; in the arena */
    size_t before_count;
    char **elsewhere; /* that other control planes' sidecars have ended; in the arena */
    size_t elsewhere_count;
};

static char *text_of(const char *s)
{
    return (char *)(uintptr_t)s;
}

bool blocks_is_one(const struct blocks_meant *m)
{
    return (m->identity[0] != '\0') + (m->resource[0] != '\0') + (m->everything ? 1 : 0) == 1;
}

bool blocks_fits(const struct blocks_meant *m, const char *reason)
{
    return strlen(m->identity) <= BLOCKS_TEXT_MAX && strlen(m->resource) <= BLOCKS_TEXT_MAX &&
           strlen(reason) <= BLOCKS_TEXT_MAX;
}

static void describe(const struct blocks_meant *m, char out[BLOCKS_OBJECT_SIZE])
{
    blocks_describe(m->identity, m->resource, m->everything, out);
}

void blocks_fail(const struct call *call, const char *at, enum err e, struct rpc_status *out_status)
{
    log_event(call->services->with.log, LOG_ERROR, "store_failed", log_text("at", at),
              log_text("error", err_name(e)));
    rpc_status_set(out_status, RPC_UNAVAILABLE, "the control plane cannot use its store");
}

/* --- Block -------------------------------------------------------------------------------------
 */

static enum err add_line(struct blocking *b, const char *line)
{
    char *copy = arena_copy_string(b->arena, bytes_of_string(line));
    if (copy == NULL) {
        return ERR_NO_MEMORY;
    }
    b->not_confirmed[b->not_confirmed_count++] = copy;
    return OK;
}

/* Where other control planes may have sidecars connected, an order is stored, too, for as long as
 * it is waited for. */
static enum err store_it(const struct blocking *b)
{
    struct replicas *replicas = b->call->services->replicas;
    const struct store_block block = {.id = b->id,
                                      .identity = b->meant.identity,
                                      .resource = b->meant.resource,
                                      .everything = b->meant.everything,
                                      .is_order = b->request->allow_new,
                                      .session = "",
                                      .reason = b->request->reason,
                                      .created_by = b->call->caller->who->subject,
                                      .created_ns = b->ordered_ns,
                                      .lifted_by = ""};
    if (block.is_order && replicas == NULL) {
        return OK;
    }
    if (replicas != NULL) {
        replicas_know(replicas, b->id);
    }
    return store_block_add(b->call->services->with.store, &block);
}

static enum err give_order(struct blocking *b)
{
    const struct watchers_order order = {.id = b->id,
                                         .identity = b->meant.identity,
                                         .resource = b->meant.resource,
                                         .all = b->meant.everything,
                                         .ordered_by = b->call->caller->who->subject,
                                         .reason = b->request->reason,
                                         .ordered_ns = b->ordered_ns};
    return watchers_order(b->call->services->watchers, NULL, &order,
                          services_order_timeout(b->call), &b->answers);
}

/* What the sidecars have answered. */
static enum err collect(struct blocking *b)
{
    size_t sessions = b->elsewhere_count;
    for (size_t i = 0; i < b->answers.count; i++) {
        sessions += b->answers.items[i].session_count;
    }
    b->sessions = arena_alloc(b->arena, (sessions + 1) * sizeof(*b->sessions));
    if (b->sessions == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < b->elsewhere_count; i++) {
        b->sessions[b->session_count++] = b->elsewhere[i];
    }
    enum err e = OK;
    for (size_t i = 0; e == OK && i < b->answers.count; i++) {
        const struct watchers_answer *a = &b->answers.items[i];
        for (size_t k = 0; k < a->session_count; k++) {
            b->sessions[b->session_count++] = a->sessions[k];
        }
        if (a->result != OK) {
            char line[CA_ID_SIZE + sizeof(a->why.text) + 16];
            (void)snprintf(line, sizeof(line), "sidecar %s: %s", a->sidecar, a->why.text);
            e = add_line(b, line);
        }
    }
    return e;
}

static bool is_meant(const struct blocks_meant *m, const struct store_session *s)
{
    /* The chain is one text there: one session too many is better than one that is not told. */
    return m->everything || (m->resource[0] != '\0' && strcmp(m->resource, s->resource) == 0) ||
           (m->identity[0] != '\0' && (strcmp(m->identity, s->identity) == 0 ||
                                       strstr(s->on_behalf_of, m->identity) != NULL));
}

static bool was_asked(const struct watchers_answers *answers, const char *sidecar)
{
    for (size_t i = 0; i < answers->count; i++) {
        if (strcmp(answers->items[i].sidecar, sidecar) == 0) {
            return true;
        }
    }
    return false;
}

/* The sidecars that are away and had such sessions when they were heard last. */
static enum err add_away(struct blocking *b, const struct store_session *items, size_t count)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < count; i++) {
        bool is_told = !is_meant(&b->meant, &items[i]) || was_asked(&b->answers, items[i].sidecar);
        size_t such = 1;
        for (size_t k = 0; !is_told && k < count; k++) {
            bool same = k != i && is_meant(&b->meant, &items[k]) &&
                        strcmp(items[k].sidecar, items[i].sidecar) == 0;
            is_told = same && k < i;
            such += same ? 1 : 0;
        }
        if (!is_told) {
            char line[256];
            (void)snprintf(line, sizeof(line), "sidecar %.64s: away, with %zu session%s%s",
                           items[i].sidecar, such, such == 1 ? "" : "s",
                           b->request->allow_new ? "" : "; ended when it is back");
            e = add_line(b, line);
        }
    }
    return e;
}

static enum err find_away(struct blocking *b)
{
    struct store_session *items = NULL;
    size_t count = 0;
    enum err e =
        store_session_list(b->call->services->with.store, false, 0, b->arena, &items, &count);
    if (e != OK) {
        return e;
    }
    b->not_confirmed =
        arena_alloc(b->arena, (b->answers.count + count + 3) * sizeof(*b->not_confirmed));
    e = b->not_confirmed == NULL ? ERR_NO_MEMORY : collect(b);
    return e == OK ? add_away(b, items, count) : e;
}

/* --- sidecars of other control planes ----------------------------------------------------------
 */

/* A watcher here may be of a connection that is dead, and the sidecar elsewhere. */
static bool has_confirmed(const struct watchers_answers *answers, const char *sidecar)
{
    bool confirmed = false;
    for (size_t i = 0; !confirmed && i < answers->count; i++) {
        confirmed =
            answers->items[i].result == OK && strcmp(answers->items[i].sidecar, sidecar) == 0;
    }
    return confirmed;
}

/* The open sessions that are meant, of sidecars that have not confirmed the order here. */
static enum err list_elsewhere(struct blocking *b, struct arena *arena,
                               struct store_session **out_items, size_t *out_count)
{
    struct store_session *items = NULL;
    size_t count = 0, kept = 0;
    enum err e = store_session_list(b->call->services->with.store, false, 0, arena, &items, &count);
    for (size_t i = 0; e == OK && i < count; i++) {
        if (is_meant(&b->meant, &items[i]) && items[i].opened_ns <= b->ordered_ns &&
            !has_confirmed(&b->answers, items[i].sidecar)) {
            items[kept++] = items[i];
        }
    }
    if (e == OK) {
        *out_items = items;
        *out_count = kept;
    }
    return e;
}

static bool is_among(const struct store_session *items, size_t count, const char *session)
{
    bool found = false;
    for (size_t i = 0; !found && i < count; i++) {
        found = strcmp(items[i].session, session) == 0;
    }
    return found;
}

/* Of these, which were open, those that are not left. */
static void add_ended(struct blocking *b, const struct store_session *items, size_t count,
                      const struct store_session *left, size_t left_count)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_among(left, left_count, items[i].session) &&
            !has_confirmed(&b->answers, items[i].sidecar)) {
            b->elsewhere[b->elsewhere_count++] = text_of(items[i].session);
        }
    }
}

/* Before anybody carries it out: another control plane may have done so before the sidecars here
 * have answered. */
static enum err list_before(struct blocking *b)
{
    return b->call->services->replicas == NULL
               ? OK
               : list_elsewhere(b, b->arena, &b->before, &b->before_count);
}

/* Their control planes give the order; here it is seen in the log that the sessions have ended. */
static enum err await_elsewhere(struct blocking *b)
{
    const struct clock *clock = &b->call->services->with.clock;
    struct store_session *first = NULL, *now = NULL;
    size_t count = 0, left = 0;
    int64_t wait_ns = (int64_t)REPLICAS_ORDER_WAIT_MS * 1000000;
    int64_t most_ns = services_order_timeout(b->call);
    int64_t until = clock_monotonic(clock) + (most_ns < wait_ns ? most_ns : wait_ns);
    struct arena *arena = arena_create(BLOCKS_ARENA_BLOCK, BLOCKS_ARENA_CAP);
    enum err e = arena == NULL ? ERR_NO_MEMORY : list_elsewhere(b, b->arena, &first, &count);
    now = first;
    for (left = count; e == OK && left > 0 && clock_monotonic(clock) < until;) {
        const struct timespec pause = {.tv_nsec = REPLICAS_POLL_MS * 1000000L};
        (void)nanosleep(&pause, NULL);
        arena_reset(arena);
        e = list_elsewhere(b, arena, &now, &left);
    }
    size_t most = b->before_count + count + 1;
    b->elsewhere = e == OK ? arena_alloc(b->arena, most * sizeof(*b->elsewhere)) : NULL;
    e = e == OK && b->elsewhere == NULL ? ERR_NO_MEMORY : e;
    if (e == OK) {
        add_ended(b, b->before, b->before_count, now, left);
        for (size_t i = 0; i < count; i++) { /* that have been heard of since */
            if (!is_among(b->before, b->before_count, first[i].session)) {
                add_ended(b, &first[i], 1, now, left);
            }
        }
    }
    arena_destroy(arena);
    return e;
}

/* It is carried out, or nobody waits for it any more. */
static void drop_order(const struct blocking *b)
{
    const struct store_block_what what = {.id = b->id, .identity = "", .resource = ""};
    struct store_block *items = NULL;
    size_t count = 0;
    enum err e =
        store_block_lift(b->call->services->with.store, &what, b->call->caller->who->subject,
                         services_now(b->call->services), b->arena, &items, &count);
    if (e != OK) { /* it is too old soon */
        log_event(b->call->services->with.log, LOG_WARN, "order_not_dropped",
                  log_text("order", b->id), log_text("error", err_name(e)));
    }
}

static enum err order_elsewhere(struct blocking *b)
{
    if (b->call->services->replicas == NULL) {
        return OK;
    }
    enum err e = await_elsewhere(b);
    if (b->request->allow_new) {
        drop_order(b);
    }
    return e;
}

static void join_lines(char *const *lines, size_t count, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < count && used < size; i++) {
        int n = snprintf(out + used, size - used, "%s%s", i == 0 ? "" : "; ", lines[i]);
        used += n > 0 ? (size_t)n : 0;
    }
}

static enum err record_block(const struct blocking *b)
{
    char object[BLOCKS_OBJECT_SIZE], error[4096];
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    describe(&b->meant, object);
    join_lines(b->not_confirmed, b->not_confirmed_count, error, sizeof(error));
    action.action = "kill";
    action.object = object;
    action.reason = b->request->reason;
    action.order = text_of(b->id);
    action.ordered_unix_ns = b->ordered_ns;
    action.done_unix_ns = b->not_confirmed_count == 0 ? services_now(b->call->services) : 0;
    action.sessions = b->sessions;
    action.n_sessions =
        b->session_count < BLOCKS_RECORDED_MAX ? b->session_count : BLOCKS_RECORDED_MAX;
    action.error = error;
    return services_record_action(b->call, &action, NULL, NULL);
}

static void answer(struct blocking *b, int64_t took_us, ProtobufCMessage **out_reply,
                   struct rpc_status *out_status)
{
    Chaperone__V1__BlockResponse response = CHAPERONE__V1__BLOCK_RESPONSE__INIT;
    Chaperone__V1__Block block = CHAPERONE__V1__BLOCK__INIT;
    block.id = b->id;
    block.identity = text_of(b->meant.identity);
    block.resource = text_of(b->meant.resource);
    block.everything = b->meant.everything;
    block.reason = b->request->reason;
    block.created_by = text_of(b->call->caller->who->subject);
    block.created_unix_ns = b->ordered_ns;
    response.block = b->request->allow_new ? NULL : &block;
    response.sessions = b->sessions;
    response.n_sessions = b->session_count;
    response.not_confirmed = b->not_confirmed;
    response.n_not_confirmed = b->not_confirmed_count;
    response.took_us = took_us;
    services_reply(&response.base, out_reply, out_status);
}

/* In a time of need as much as is possible is done: with a store that cannot be written, sessions
 * are ended all the same, and the caller is told that new ones are not refused. */
static void carry_out(struct blocking *b, ProtobufCMessage **out_reply,
                      struct rpc_status *out_status)
{
    const struct clock *clock = &b->call->services->with.clock;
    int64_t begin = clock_monotonic(clock);
    b->ordered_ns = clock_wall(clock);
    enum err listed = list_before(b);
    enum err stored = store_it(b);
    enum err e = give_order(b);
    e = e == OK ? listed : e;
    if (e == OK && stored == OK) {
        e = order_elsewhere(b);
    }
    int64_t took_us = (clock_monotonic(clock) - begin) / 1000;
    if (e == OK) {
        e = find_away(b);
    }
    if (stored != OK) {
        log_event(b->call->services->with.log, LOG_ERROR, "block_not_stored",
                  log_text("error", err_name(stored)));
        rpc_status_set(out_status, RPC_INTERNAL,
                       "%zu sessions were ended, but the block could not be stored: new ones are "
                       "not refused",
                       b->session_count);
        return;
    }
    if (e != OK) {
        blocks_fail(b->call, "block", e, out_status);
        return;
    }
    if (record_block(b) != OK && add_line(b, "the audit log: it could not be recorded") != OK) {
        blocks_fail(b->call, "block_record", ERR_NO_MEMORY, out_status);
        return;
    }
    answer(b, took_us, out_reply, out_status);
}

void sessions_block(const struct call *call, const ProtobufCMessage *message,
                    ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    struct blocking b = {.call = call, .request = (const Chaperone__V1__BlockRequest *)message};
    char object[BLOCKS_OBJECT_SIZE];
    b.meant = (struct blocks_meant){.identity = b.request->identity,
                                    .resource = b.request->resource,
                                    .everything = b.request->everything};
    if (!blocks_is_one(&b.meant) || !blocks_fits(&b.meant, b.request->reason)) {
        rpc_status_set(out_status, RPC_INVALID_ARGUMENT,
                       "one of identity, resource and everything is needed, each text with at "
                       "most %d bytes",
                       BLOCKS_TEXT_MAX);
        return;
    }
    b.arena = arena_create(BLOCKS_ARENA_BLOCK, BLOCKS_ARENA_CAP);
    enum err e = b.arena == NULL ? ERR_NO_MEMORY : uuid_make_v7(&call->services->with.clock, b.id);
    if (e == OK) {
        carry_out(&b, out_reply, out_status);
    } else {
        rpc_status_set(out_status, RPC_UNAVAILABLE, "the order cannot be given: %s", err_name(e));
    }
    describe(&b.meant, object);
    services_log_action(call, b.request->allow_new ? "sessions_kill" : "sessions_block", object,
                        rpc_code_name(out_status->code));
    watchers_answers_finish(&b.answers);
    arena_destroy(b.arena);
}

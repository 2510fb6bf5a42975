/* What operators order is recorded like what agents do. */
#include <stdlib.h>

#include "controlplane/audit/journal.h"
#include "controlplane/rpc/services_internal.h"

static char *text_of(const char *s)
{
    return (char *)(uintptr_t)(s == NULL ? "" : s);
}

static void fill_caller(const struct identity *who, Chaperone__V1__Identity *out)
{
    out->issuer = text_of(who->issuer);
    out->subject = text_of(who->subject);
    out->name = text_of(who->name);
    out->groups = (char **)(uintptr_t)who->groups;
    out->n_groups = who->group_count;
    out->assurance = CHAPERONE__V1__ASSURANCE__VERIFIED;
}

static void log_not_recorded(struct services *services, const Chaperone__V1__Action *action,
                             enum err e, const struct err_text *why)
{
    log_event(services->with.log, LOG_ERROR, "action_not_recorded",
              log_text("action", action->action), log_text("object", action->object),
              log_text("error", err_name(e)), log_text("why", why->text));
}

static enum err append(struct services *services, const struct journal_entry *entry)
{
    struct err_text why = {.text = ""};
    enum err e = journal_append(services->journal, entry, &why);
    if (e != OK) {
        log_not_recorded(services, entry->action, e, &why);
    }
    return e;
}

enum err services_record_action(const struct call *call, const Chaperone__V1__Action *what,
                                const char *session, const struct store_audit_opened *about)
{
    Chaperone__V1__Action action = *what;
    Chaperone__V1__Identity by = CHAPERONE__V1__IDENTITY__INIT;
    fill_caller(call->caller->who, &by);
    action.by = &by;
    action.from = text_of(call->peer->address);
    const struct journal_entry entry = {.session = session, .about = about, .action = &action};
    return append(call->services, &entry);
}

enum err services_record_action_with(const struct call *call, const Chaperone__V1__Action *what,
                                     journal_write_fn *write, void *context)
{
    struct err_text why = {.text = ""};
    Chaperone__V1__Action action = *what;
    Chaperone__V1__Identity by = CHAPERONE__V1__IDENTITY__INIT;
    fill_caller(call->caller->who, &by);
    action.by = &by;
    action.from = text_of(call->peer->address);
    const struct journal_entry entry = {.action = &action};
    enum err e = journal_append_with(call->services->journal, &entry, 1, write, context, &why);
    if (e != OK && e != ERR_EXISTS && e != ERR_DENIED && e != ERR_NOT_FOUND) {
        log_not_recorded(call->services, &action, e, &why);
    }
    return e;
}

enum err services_record(const struct call *call, const char *action, const char *object,
                         const char *reason)
{
    Chaperone__V1__Action what = CHAPERONE__V1__ACTION__INIT;
    what.action = text_of(action);
    what.object = text_of(object);
    what.reason = text_of(reason);
    return services_record_action(call, &what, NULL, NULL);
}

enum err services_record_own(struct services *services, const Chaperone__V1__Action *action)
{
    const struct journal_entry entry = {.action = action};
    return append(services, &entry);
}

enum err actor_init(struct actor *actor, const struct call *call)
{
    Chaperone__V1__Identity by = CHAPERONE__V1__IDENTITY__INIT;
    fill_caller(call->caller->who, &by);
    *actor = (struct actor){.by = (Chaperone__V1__Identity *)rpc_reply_copy(&by.base),
                            .from = strdup(call->peer->address)};
    if (actor->by == NULL || actor->from == NULL) {
        actor_finish(actor);
        return ERR_NO_MEMORY;
    }
    return OK;
}

void actor_finish(struct actor *actor)
{
    if (actor->by != NULL) {
        chaperone__v1__identity__free_unpacked(actor->by, NULL);
    }
    free(actor->from);
    *actor = (struct actor){.by = NULL};
}

enum err services_record_as(struct services *services, const struct actor *actor,
                            const char *action, const char *object)
{
    Chaperone__V1__Action what = CHAPERONE__V1__ACTION__INIT;
    what.action = text_of(action);
    what.object = text_of(object);
    what.by = actor->by;
    what.from = actor->from;
    return services_record_own(services, &what);
}

void services_set_unrecorded(struct rpc_status *out_status)
{
    rpc_status_set(out_status, RPC_UNAVAILABLE,
                   "this cannot be recorded now, and is not done unrecorded; try again later");
}

int64_t services_order_timeout(const struct call *call)
{
    static const int64_t answer_ns = 100000000; /* for our own answer to arrive in time */
    int64_t configured = snapshot_config(call->snapshot)->session.kill_timeout_ns;
    if (call->peer->deadline_unix_ns == INT64_MAX) {
        return configured;
    }
    int64_t left = call->peer->deadline_unix_ns - answer_ns - services_now(call->services);
    return left < configured ? left : configured;
}

/* What operators order is recorded like what agents do. */
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

enum err services_record_action(const struct call *call, const Chaperone__V1__Action *what,
                                const char *session, const struct store_audit_opened *about)
{
    Chaperone__V1__Action action = *what;
    Chaperone__V1__Identity by = CHAPERONE__V1__IDENTITY__INIT;
    struct err_text why = {.text = ""};
    fill_caller(call->caller->who, &by);
    action.by = &by;
    action.from = text_of(call->peer->address);
    const struct journal_entry entry = {.session = session, .about = about, .action = &action};
    enum err e = journal_append(call->services->journal, &entry, &why);
    if (e != OK) {
        log_event(call->services->with.log, LOG_ERROR, "action_not_recorded",
                  log_text("action", action.action), log_text("object", action.object),
                  log_text("error", err_name(e)), log_text("why", why.text));
    }
    return e;
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

/* What of a configuration is written to the store, at a start and at a reload: its lists and its
 * policy, and the record of what changed. */
#include <stdio.h>

#include "controlplane/applied.h"
#include "controlplane/policy/document.h"
#include "controlplane/server_internal.h"

/* --- what is recorded --------------------------------------------------------------------------
 */

static struct journal *journal_of(struct server *s)
{
    const struct journal_options options = {.store = s->state.store, .clock = s->with.clock};
    if (s->services != NULL) {
        return services_journal(s->services);
    }
    s->journal = s->journal == NULL ? journal_create(&options) : s->journal;
    return s->journal;
}

enum err server_apply_lists(struct server *s, const struct config *config, const char *action,
                            const struct config *before, struct err_text *why)
{
    const struct applied_options options = {
        .store = s->state.store, .journal = journal_of(s), .action = action, .before = before};
    return options.journal == NULL
               ? ERR_NO_MEMORY
               : applied_store(&options, config, clock_wall(&s->with.clock), why);
}

/* As of one that a person pushes. The revision itself says where it came from: where this fails, it
 * is still known. */
static void record_policy(struct server *s, const struct config *config,
                          const struct publisher_result *result)
{
    char object[192], from[512];
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    const struct journal_entry entry = {.action = &action};
    struct journal *journal = journal_of(s);
    (void)snprintf(object, sizeof(object), "revision %llu (%s), new",
                   (unsigned long long)result->revision, result->hash);
    (void)snprintf(from, sizeof(from), "file %.480s",
                   config->policy_file == NULL ? config->file : config->policy_file);
    action.action = (char *)(uintptr_t) "policy";
    action.object = object;
    action.from = from;
    enum err e = journal == NULL ? ERR_NO_MEMORY : journal_append(journal, &entry, NULL);
    if (e != OK) {
        log_event(s->with.log, LOG_ERROR, "action_not_recorded", log_text("action", "policy"),
                  log_text("object", object), log_text("error", err_name(e)));
    }
}

/* --- policy ------------------------------------------------------------------------------------
 */

enum err server_publish(struct server *s, const struct config *config, struct err_text *why)
{
    struct policy_document document;
    struct publisher_result result = {0};
    enum err e = policy_document_load(config->policy_file, &document, why);
    if (e != OK) {
        return e;
    }
    e = publisher_configure(s->publisher, buffer_bytes(&document.canonical), document.source,
                            config->policy_file == NULL, &result, why);
    policy_document_finish(&document);
    if (e == OK) {
        log_event(s->with.log, LOG_INFO, "policy_published",
                  log_number("revision", (int64_t)result.revision), log_text("hash", result.hash),
                  log_text("revision_is", result.changed ? "new" : "as before"));
    }
    if (e == OK && result.changed) {
        record_policy(s, config, &result);
    }
    if (e == OK && result.is_default) {
        log_event(s->with.log, LOG_WARN, "policy_absent",
                  log_text("meaning", "everything is allowed and recorded"));
    }
    return e;
}

/* log rotate-key, log restart. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controlplane/audit/journal.h"
#include "controlplane/commands.h"
#include "controlplane/files/files.h"
#include "controlplane/log_keeper.h"
#include "controlplane/state.h"

enum { LOGS_MAX = 1000 };

enum err commands_log_rotate_key(const struct commands_context *context, struct err_text *why)
{
    char fallback[LOG_KEEPER_FALLBACK_SIZE];
    const struct log_keys_options options =
        log_keeper_keys(context->config, context->clock, fallback);
    struct buffer key;
    buffer_init(&key, TLOG_VERIFIER_TEXT_MAX + 1);
    enum err e = files_make_directory(context->config->data, 0700, why);
    if (e == OK) {
        e = log_keys_rotate(&options, &key, why);
    }
    if (e == OK) {
        struct bytes b = buffer_bytes(&key);
        printf("%.*s\n", (int)b.size, (const char *)b.data);
    }
    buffer_finish(&key);
    return e;
}

/* The log that ended is evidence: its directory stays, under another name. */
static enum err put_aside(const char *data, char out_name[32], struct err_text *why)
{
    char *from = files_join(data, "log"), *to = NULL, *signed_path = files_join(data, "log.signed");
    enum err e = from == NULL || signed_path == NULL ? ERR_NO_MEMORY : OK;
    struct stat s;
    for (int i = 1; e == OK && to == NULL && i <= LOGS_MAX; i++) {
        (void)snprintf(out_name, 32, "log.%d", i);
        to = files_join(data, out_name);
        if (to != NULL && stat(to, &s) == 0) {
            free(to);
            to = NULL;
        }
    }
    if (e == OK && (to == NULL || (rename(from, to) != 0 && errno != ENOENT))) {
        e = err_set(why, ERR_IO, "%s cannot be put aside: %s", from, strerror(errno));
    }
    if (e == OK) {
        (void)unlink(signed_path); /* what it says was published is in the directory, too */
    }
    free(from);
    free(to);
    free(signed_path);
    return e;
}

static enum err record(const struct commands_context *context, const char *origin,
                       const char *reason, struct err_text *why)
{
    static char name[] = "log_restart", from[] = "command line";
    struct state state = {0};
    struct journal *journal = NULL;
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    action.action = name;
    action.from = from;
    action.object = (char *)(uintptr_t)origin;
    action.reason = (char *)(uintptr_t)reason;
    const struct journal_entry entry = {.action = &action};
    enum err e = state_open(context->config->data, &context->config->store, NULL, &state, why);
    if (e == OK) {
        const struct journal_options options = {.store = state.store, .clock = context->clock};
        journal = journal_create(&options);
        e = journal == NULL ? ERR_NO_MEMORY : journal_append(journal, &entry, why);
    }
    journal_destroy(journal);
    state_close(&state);
    return e;
}

static enum err restart(const struct commands_context *context, const char *reason,
                        struct err_text *why)
{
    char fallback[LOG_KEEPER_FALLBACK_SIZE], aside[32] = "";
    const struct log_keys_options options =
        log_keeper_keys(context->config, context->clock, fallback);
    struct buffer origin;
    buffer_init(&origin, TLOG_ORIGIN_MAX + 1);
    enum err e = log_keys_restart(&options, &origin, why);
    char *text = e == OK ? bytes_to_string(buffer_bytes(&origin)) : NULL;
    if (e == OK) {
        e = text == NULL ? ERR_NO_MEMORY : put_aside(context->config->data, aside, why);
    }
    if (e == OK) {
        e = record(context, text, reason, why);
    }
    if (e == OK) {
        printf("%s\nthe log before it is in %s/%s\n", text, context->config->data, aside);
    }
    free(text);
    buffer_finish(&origin);
    return e;
}

enum err commands_log_restart(const struct commands_context *context, const char *reason,
                              struct err_text *why)
{
    int lock = -1;
    if (reason == NULL || reason[0] == '\0') {
        return err_set(why, ERR_INVALID, "--reason TEXT is needed: why the log before it is ended");
    }
    enum err e = files_make_directory(context->config->data, 0700, why);
    if (e == OK) {
        e = log_keys_lock(context->config->data, &lock, why);
        if (e == ERR_EXISTS) {
            (void)err_set(why, e, "the control plane is running on %s: stop it first",
                          context->config->data);
        }
    }
    if (e == OK) {
        e = restart(context, reason, why);
        (void)close(lock);
    }
    return e;
}

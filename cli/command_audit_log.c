#include "cli/command_audit_log.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "cli/commands.h"
#include "formats/text.h"

int audit_log_open(const struct invocation *i, struct audit_log *out)
{
    const char *key = options_value(&i->options, "log-key");
    struct err_text why = {0};
    struct audit_log log = {.invocation = i};
    int code = remote_open(i, &log.remote);
    if (code != EXIT_YES) {
        return code;
    }
    kept_log_init(&log.kept);
    enum err e = kept_log_path(log.remote.settings.server, &log.path, &why);
    if (e == OK) {
        e = kept_log_read(log.path, &log.kept, &why);
    }
    if (e == OK && key != NULL) {
        log.kept.key_count = 0; /* a person knows better than what was once seen */
        e = kept_log_add_key(&log.kept, key, &why);
    }
    if (e != OK) {
        audit_log_close(&log);
        return command_fail(i, e == ERR_INVALID && key != NULL ? EXIT_MISUSE : EXIT_NO, "%s",
                            why.text);
    }
    *out = log;
    return EXIT_YES;
}

void audit_log_close(struct audit_log *log)
{
    kept_log_finish(&log->kept);
    free(log->path);
    remote_close(&log->remote);
}

enum err audit_log_prove(void *context, uint64_t from, uint64_t to, struct tlog_proof *out)
{
    struct audit_log *log = context;
    Chaperone__V1__ProveConsistencyRequest request = CHAPERONE__V1__PROVE_CONSISTENCY_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    request.from = from;
    request.to = to;
    if (remote_call(log->invocation, &log->remote, &chaperone__v1__log__descriptor,
                    "ProveConsistency", &request.base, &reply) != EXIT_YES) {
        return ERR_UNAVAILABLE;
    }
    const Chaperone__V1__ProveConsistencyResponse *answer =
        (const Chaperone__V1__ProveConsistencyResponse *)reply;
    enum err e = answer->n_proof <= TLOG_PROOF_MAX ? OK : ERR_INVALID;
    for (size_t i = 0; e == OK && i < answer->n_proof; i++) {
        e = answer->proof[i].len == TLOG_HASH_SIZE ? OK : ERR_INVALID;
        if (e == OK) {
            memcpy(out->hashes[i].bytes, answer->proof[i].data, TLOG_HASH_SIZE);
        }
    }
    out->count = answer->n_proof;
    protobuf_c_message_free_unpacked(reply, NULL);
    return e;
}

int audit_log_alarm(const struct invocation *i, struct audit_log *log,
                    const Chaperone__V1__Checkpoint *answer, enum err e, const struct err_text *why)
{
    char path[PATH_MAX];
    if (e == ERR_UNAVAILABLE) { /* it was said */
        return EXIT_UNREACHABLE;
    }
    (void)snprintf(path, sizeof(path), "%s.contradiction", log->path);
    enum err kept = file_replace(path, 0644, bytes_of_string(answer->note), NULL);
    (void)fputs("chaperone: ALARM: ", i->errors.out);
    text_write(i->errors.out, bytes_of_string(why->text), TEXT_ESCAPED);
    (void)fputc('\n', i->errors.out);
    if (kept == OK) {
        (void)fprintf(i->errors.out, "what the control plane says now is in %s\n", path);
    }
    return EXIT_NO;
}

int audit_log_believe(const struct invocation *i, struct audit_log *log,
                      const Chaperone__V1__Checkpoint *answer, struct believe_result *out)
{
    struct err_text why = {0};
    enum err e = believe_checkpoint(&log->kept, answer, audit_log_prove, log, out, &why);
    if (e != OK) {
        return audit_log_alarm(i, log, answer, e, &why);
    }
    e = kept_log_write(log->path, &log->kept, &why);
    return e == OK ? EXIT_YES : command_fail(i, EXIT_NO, "%s", why.text);
}

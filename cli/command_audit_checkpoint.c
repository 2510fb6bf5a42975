/* audit checkpoint: the log's signed head, and that it continues what was kept. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/command_audit_log.h"
#include "cli/commands.h"
#include "formats/text.h"

const struct option_spec command_audit_checkpoint_options[] = {
    {"save", 0, OPTION_TEXT, "FILE", "keep it there, and the log's keys in FILE.keys", NULL},
    {"since", 0, OPTION_TEXT, "FILE", "it must continue this one, which --save wrote", NULL},
    {"log-key", 0, OPTION_TEXT, "KEY", "the log's verifier key (those that were kept)", NULL},
    {0},
};

static void print(const struct invocation *i, const Chaperone__V1__Checkpoint *answer,
                  const struct believe_result *result)
{
    (void)fprintf(i->errors.out, "%" PRIu64 " records, ", result->checkpoint.size);
    (void)fprintf(i->errors.out, result->is_first
                                     ? "seen for the first time: compare its key with what the "
                                       "operator says\n"
                                     : "a continuation of what was kept\n");
    if (answer->n_witness_keys > 0) {
        (void)fprintf(i->errors.out, "cosigned by %zu of %zu witnesses\n", result->witnesses,
                      answer->n_witness_keys);
    }
    text_write(i->out.out, bytes_of_string(answer->note), TEXT_LINES);
}

static int keep(const struct invocation *i, struct audit_log *log)
{
    const char *save = options_value(&i->options, "save");
    struct err_text why = {0};
    enum err e = save == NULL ? OK : kept_log_write(save, &log->kept, &why);
    return e == OK ? EXIT_YES : command_fail(i, EXIT_NO, "%s", why.text);
}

/* What a person kept elsewhere, beside what is kept here. */
static int compare_since(const struct invocation *i, struct audit_log *log,
                         const Chaperone__V1__Checkpoint *answer)
{
    const char *since = options_value(&i->options, "since");
    struct kept_log before;
    struct err_text why = {0};
    struct believe_result result;
    if (since == NULL) {
        return EXIT_YES;
    }
    kept_log_init(&before);
    enum err e = kept_log_read(since, &before, &why);
    if (e == OK && buffer_size(&before.note) == 0) {
        e = err_set(&why, ERR_NOT_FOUND, "there is no checkpoint in %.300s", since);
    }
    if (e == OK && before.key_count == 0) { /* a checkpoint alone: the keys that are known here */
        memcpy(before.keys, log->kept.keys, sizeof(before.keys));
        before.key_count = log->kept.key_count;
    }
    if (e == OK) {
        e = believe_checkpoint(&before, answer, audit_log_prove, log, &result, &why);
    }
    kept_log_finish(&before);
    return e == OK ? EXIT_YES : audit_log_alarm(i, log, answer, e, &why);
}

static int run(struct invocation *i, struct audit_log *log)
{
    Chaperone__V1__GetCheckpointRequest request = CHAPERONE__V1__GET_CHECKPOINT_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    struct believe_result result;
    int code = remote_call(i, &log->remote, &chaperone__v1__log__descriptor, "GetCheckpoint",
                           &request.base, &reply);
    if (code != EXIT_YES) {
        return code;
    }
    const Chaperone__V1__Checkpoint *answer = (const Chaperone__V1__Checkpoint *)reply;
    code = audit_log_believe(i, log, answer, &result);
    code = code == EXIT_YES ? compare_since(i, log, answer) : code;
    code = code == EXIT_YES ? keep(i, log) : code;
    if (code == EXIT_YES) {
        print(i, answer, &result);
        code = remote_flush(i);
    }
    protobuf_c_message_free_unpacked(reply, NULL);
    return code;
}

int command_audit_checkpoint(struct invocation *i)
{
    struct audit_log log;
    int code = audit_log_open(i, &log);
    if (code == EXIT_YES) {
        code = run(i, &log);
        audit_log_close(&log);
    }
    return code;
}

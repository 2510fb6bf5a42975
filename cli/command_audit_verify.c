/* audit verify: whether an evidence package or a log is whole, and what was logged. */
#include "cli/command_audit_verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/tlog/note.h"
#include "cli/commands.h"
#include "cli/evidence/progress.h"
#include "cli/output/moment.h"
#include "cli/remote.h"
#include "cli/text_file.h"
#include "cli/verify/stream.h"
#include "formats/json.h"
#include "formats/text.h"

/* Keys in a file, with comments. */
enum { KEYS_MAX = 64 << 10, PRINTED_MAX = 100, QUORUM_MAX = TRUST_KEYS_MAX };

const struct option_spec command_audit_verify_options[] = {
    {"log-key", 0, OPTION_FILE, "KEY", "the log's key (name+hash+base64), or a file with keys",
     NULL},
    {"witness-key", 0, OPTION_FILE, "KEY", "a witness's key, or a file with keys", NULL},
    {"quorum", 0, OPTION_TEXT, "N", "so many witnesses must have cosigned (all that are given)",
     NULL},
    {"origin", 0, OPTION_TEXT, "NAME", "the log's name (that of its key)", NULL},
    {"checkpoint", 0, OPTION_FILE, "FILE", "a checkpoint that was kept: the log must go on from it",
     NULL},
    {"json", 0, OPTION_FLAG, NULL, "one JSON object", NULL},
    {0},
};

/* ---- what is believed ------------------------------------------------------------------------ */

typedef enum err add_fn(struct trust *t, struct bytes text, struct err_text *why);

/* A verifier key has plus signs and no path has both of them where a key has them. */
static enum err read_keys(const struct invocation *i, const char *option, add_fn *add,
                          struct trust *out, struct err_text *error)
{
    const char *value = options_value(&i->options, option);
    struct err_text why = {0};
    struct trust tried = *out;
    if (value == NULL) {
        return OK;
    }
    if (add(&tried, bytes_of_string(value), &why) == OK) {
        *out = tried;
        return OK;
    }
    struct buffer file;
    enum err e = text_file_read(value, KEYS_MAX, &file, error);
    if (e == ERR_NOT_FOUND) {
        e = err_set(error, ERR_INVALID, "--%s: neither a key (%s) nor a file", option, why.text);
    } else if (e == OK && add(out, buffer_bytes(&file), &why) != OK) {
        e = err_set(error, ERR_INVALID, "--%s: %s", option, why.text);
    }
    buffer_finish(&file);
    return e;
}

static enum err read_trust(const struct invocation *i, struct trust *out, struct err_text *error)
{
    uint32_t quorum = 0;
    enum err e = read_keys(i, "log-key", trust_add_logs, out, error);
    e = e == OK ? read_keys(i, "witness-key", trust_add_witnesses, out, error) : e;
    e = e == OK ? options_number(&i->options, "quorum", 0, QUORUM_MAX, &quorum, error) : e;
    out->has_quorum = options_value(&i->options, "quorum") != NULL;
    out->quorum = quorum;
    if (e == OK && out->has_quorum && out->witness_count < quorum) {
        e = err_set(error, ERR_INVALID, "--quorum: %u witnesses are asked for, %zu are known",
                    quorum, out->witness_count);
    }
    return e;
}

/* ---- what is printed ------------------------------------------------------------------------- */

static void print_item(const struct terminal *out, const struct report_item *item)
{
    terminal_style(out, item->kind == REPORT_UNCHECKED ? STYLE_WARNING : STYLE_BAD);
    (void)fputs(report_kind_name(item->kind), out->out);
    terminal_style(out, STYLE_PLAIN);
    (void)fputc('\t', out->out);
    text_write(out->out, bytes_of_string(item->text), TEXT_ESCAPED);
    (void)fputc('\n', out->out);
}

static void print_checkpoint(FILE *out, const struct verify_result *v)
{
    char from[MOMENT_SIZE];
    const struct trust_checkpoint *c = &v->checkpoint;
    if (!v->has_checkpoint) {
        return;
    }
    (void)fputs("checkpoint: ", out);
    text_write(out, bytes_of_string(c->origin), TEXT_ESCAPED);
    (void)fprintf(out, ", %" PRIu64 " records, %zu witnesses", c->size, c->witnesses);
    if (c->earliest > 0 && c->earliest < (uint64_t)INT64_MAX / 1000000000) {
        moment_format((int64_t)c->earliest * 1000000000, from);
        (void)fprintf(out, ", the first at %s", from);
    }
    (void)fputc('\n', out);
}

static void print_counts(FILE *out, const struct verify_result *v)
{
    const struct records_summary *s = &v->summary;
    if (v->subject == VERIFY_LOG) {
        (void)fprintf(out, "log: %" PRIu64 " hashes of records in %" PRIu64 " tiles\n", s->records,
                      v->tiles);
        return;
    }
    (void)fprintf(out,
                  "records: %" PRIu64 " (%" PRIu64 " erased) of %" PRIu64 " streams, %" PRIu64
                  " links, %" PRIu64 " heartbeats\n",
                  s->records, s->erased, s->streams, s->links, s->heartbeats);
    (void)fprintf(
        out, "sessions: %" PRIu64 ", %" PRIu64 " operations, %" PRIu64 " without an outcome here\n",
        s->sessions, s->operations, s->unanswered);
}

static void print_notes(const struct terminal *out, const struct report *report)
{
    for (size_t n = 0; n < report_note_count(report); n++) {
        terminal_style(out, STYLE_WARNING);
        (void)fputs("note", out->out);
        terminal_style(out, STYLE_PLAIN);
        (void)fputc('\t', out->out);
        text_write(out->out, bytes_of_string(report_note_text(report, n)), TEXT_ESCAPED);
        (void)fputc('\n', out->out);
    }
}

static const char *verdict_of(const struct report *report)
{
    return report_wrong(report) > 0                     ? "wrong"
           : report_count(report, REPORT_UNCHECKED) > 0 ? "not checked"
                                                        : "whole";
}

static void print_text(const struct terminal *out, const struct report *report,
                       const struct verify_result *v)
{
    size_t count = report_item_count(report);
    uint64_t all = report_wrong(report) + report_count(report, REPORT_UNCHECKED);
    for (size_t n = 0; n < count && n < PRINTED_MAX; n++) {
        print_item(out, report_item(report, n));
    }
    if (all > PRINTED_MAX) {
        (void)fprintf(out->out, "and %" PRIu64 " more\n", all - PRINTED_MAX);
    }
    print_notes(out, report);
    print_checkpoint(out->out, v);
    print_counts(out->out, v);
    terminal_style(out, all == 0 ? STYLE_GOOD : STYLE_BAD);
    (void)fprintf(out->out, "%s", verdict_of(report));
    terminal_style(out, STYLE_PLAIN);
    (void)fputc('\n', out->out);
}

static void add_problems(struct json *j, const struct report *report)
{
    cJSON *list = json_add_array(j, j->root, "problems");
    for (size_t n = 0; n < report_item_count(report); n++) {
        const struct report_item *item = report_item(report, n);
        cJSON *o = json_add_object(j, list, NULL);
        json_add_string(j, o, "kind", report_kind_name(item->kind));
        if (item->position != 0) {
            json_add_unsigned(j, o, "position", item->position);
        } else {
            json_add_null(j, o, "position");
        }
        json_add_string(j, o, "text", item->text);
    }
}

static void add_checkpoint(struct json *j, const struct verify_result *v)
{
    if (!v->has_checkpoint) {
        json_add_null(j, j->root, "checkpoint");
        return;
    }
    char root[2 * TLOG_HASH_SIZE + 1];
    cJSON *o = json_add_object(j, j->root, "checkpoint");
    crypto_hex_encode(bytes_of(v->checkpoint.root.bytes, TLOG_HASH_SIZE), root);
    json_add_string(j, o, "origin", v->checkpoint.origin);
    json_add_unsigned(j, o, "size", v->checkpoint.size);
    json_add_string(j, o, "root", root);
    json_add_unsigned(j, o, "witnesses", v->checkpoint.witnesses);
}

static const char *const subjects[] = {
    [VERIFY_PACKAGE] = "package", [VERIFY_LOG] = "log", [VERIFY_EVERYTHING] = "everything"};

static enum err print_json(FILE *out, const struct report *report, const struct verify_result *v)
{
    const struct records_summary *s = &v->summary;
    struct json j;
    json_init(&j);
    json_add_string(&j, j.root, "result", verdict_of(report));
    json_add_string(&j, j.root, "subject", subjects[v->subject]);
    json_add_bool(&j, j.root, "keys_given", !v->has_own_keys);
    add_checkpoint(&j, v);
    json_add_unsigned(&j, j.root, "files", v->files);
    json_add_unsigned(&j, j.root, "tiles", v->tiles);
    json_add_unsigned(&j, j.root, "records", s->records);
    json_add_unsigned(&j, j.root, "erased", s->erased);
    json_add_unsigned(&j, j.root, "streams", s->streams);
    json_add_unsigned(&j, j.root, "links", s->links);
    json_add_unsigned(&j, j.root, "heartbeats", s->heartbeats);
    json_add_unsigned(&j, j.root, "sessions", s->sessions);
    json_add_unsigned(&j, j.root, "operations", s->operations);
    json_add_unsigned(&j, j.root, "unanswered", s->unanswered);
    json_add_unsigned(&j, j.root, "wrong", report_wrong(report));
    json_add_unsigned(&j, j.root, "unchecked", report_count(report, REPORT_UNCHECKED));
    add_problems(&j, report);
    cJSON *notes = json_add_array(&j, j.root, "notes");
    for (size_t n = 0; n < report_note_count(report); n++) {
        json_add_string(&j, notes, NULL, report_note_text(report, n));
    }
    enum err e = json_write_line(&j, out);
    json_finish(&j);
    return e;
}

int command_audit_verify_conclude(const struct invocation *i, struct report *report,
                                  const struct verify_result *result)
{
    if (result->has_own_keys) {
        report_note(report, "NOBODY SAID WHICH KEY TO BELIEVE: the checkpoint was checked with the "
                            "key that came with the records, which whoever made them "
                            "chose. Give --log-key with a key that you have from elsewhere.");
    }
    if (options_flag(&i->options, "json")) {
        enum err e = print_json(i->out.out, report, result);
        if (e != OK) {
            return command_fail(i, EXIT_UNCHECKED, "%s", err_name(e));
        }
    } else {
        print_text(&i->out, report, result);
    }
    int code = remote_flush(i);
    if (code != EXIT_YES) {
        return EXIT_UNCHECKED;
    }
    return report_wrong(report) > 0                     ? EXIT_NO
           : report_count(report, REPORT_UNCHECKED) > 0 ? EXIT_UNCHECKED
                                                        : EXIT_YES;
}

/* ---- a path ---------------------------------------------------------------------------------- */

static void on_progress(void *context, uint64_t done, uint64_t total)
{
    progress_show(context, done, total);
}

static int verify_offline(struct invocation *i, struct verify_options *options,
                          struct report *report)
{
    struct progress progress;
    struct verify_result result = {0};
    struct err_text why = {0};
    progress_start(&progress, &i->errors, &i->clock, "reading");
    options->on_progress = on_progress;
    options->context = &progress;
    enum err e = verify_path(i->options.arguments[0], options, report, &result, &why);
    progress_end(&progress);
    if (e != OK) {
        return command_fail(i, EXIT_UNCHECKED, "it could not be checked: %s",
                            why.text[0] == '\0' ? err_name(e) : why.text);
    }
    return command_audit_verify_conclude(i, report, &result);
}

/* ---- the control plane's log ----------------------------------------------------------------- */

struct online {
    struct verify_stream *stream;
    struct progress progress;
    enum err failed;
    struct err_text why;
};

static bool on_part(void *context, const ProtobufCMessage *message)
{
    struct online *o = context;
    uint64_t total = 0;
    o->failed = verify_stream_add(o->stream, (const Chaperone__V1__ExportPart *)message, &o->why);
    uint64_t done = verify_stream_progress(o->stream, &total);
    progress_show(&o->progress, done, total);
    return o->failed == OK;
}

static int receive(struct invocation *i, struct remote *remote, struct online *o)
{
    static char reason[] = "audit verify";
    Chaperone__V1__SearchRequest everything = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    Chaperone__V1__ExportRequest request = CHAPERONE__V1__EXPORT_REQUEST__INIT;
    struct client_end end;
    request.filter = &everything;
    request.reason = reason;
    request.with_proofs = true;
    request.with_context = true;
    progress_start(&o->progress, &i->errors, &i->clock, "receiving");
    client_stream(remote->client, &chaperone__v1__log__descriptor, "Export", &request.base, on_part,
                  o, &end);
    progress_end(&o->progress);
    int code = remote_exit(i, remote, &end);
    /* Records that are there no more, or were changed where they are kept, are an answer. Whatever
     * else kept it from them: nothing was found out. */
    return code == EXIT_NO && end.status.code != RPC_DATA_LOSS ? EXIT_UNCHECKED : code;
}

static int verify_received(struct invocation *i, const struct verify_options *options,
                           struct report *report, struct remote *remote)
{
    struct online o = {.failed = OK};
    struct verify_result result = {0};
    o.failed = verify_stream_create(options, report, &result, &o.stream);
    int code = o.failed == OK ? receive(i, remote, &o) : EXIT_YES;
    if (code == EXIT_YES && o.failed == OK) {
        o.failed = verify_stream_check(o.stream, &o.why);
    }
    if (code == EXIT_YES && o.failed != OK) {
        code = command_fail(i, EXIT_UNCHECKED, "it could not be checked: %s",
                            o.why.text[0] == '\0' ? err_name(o.failed) : o.why.text);
    } else if (code == EXIT_YES) {
        code = command_audit_verify_conclude(i, report, &result);
    }
    verify_stream_destroy(o.stream);
    return code;
}

static int verify_online(struct invocation *i, const struct verify_options *options,
                         struct report *report)
{
    struct remote remote;
    int code = remote_open(i, &remote);
    if (code == EXIT_YES) {
        code = verify_received(i, options, report, &remote);
        remote_close(&remote);
    }
    return code;
}

static int verify_with(struct invocation *i, struct verify_options *options)
{
    struct report *report = report_create();
    if (report == NULL) {
        return command_fail(i, EXIT_UNCHECKED, "out of memory");
    }
    int code = i->options.argument_count == 0 ? verify_online(i, options, report)
                                              : verify_offline(i, options, report);
    report_destroy(report);
    return code;
}

int command_audit_verify(struct invocation *i)
{
    struct err_text error = {0};
    struct trust *trust = calloc(1, sizeof(*trust));
    const char *path = options_value(&i->options, "checkpoint");
    struct verify_options options = {.trust = trust,
                                     .origin = options_value(&i->options, "origin")};
    struct buffer kept;
    buffer_init(&kept, TLOG_NOTE_SIZE_MAX);
    enum err e = trust == NULL ? err_set(&error, ERR_NO_MEMORY, "out of memory")
                               : read_trust(i, trust, &error);
    if (e == OK && path != NULL) {
        e = text_file_read(path, TLOG_NOTE_SIZE_MAX, &kept, &error);
        options.kept = buffer_bytes(&kept);
    }
    int code = e == OK ? verify_with(i, &options) : command_misuse(i, &error);
    buffer_finish(&kept);
    free(trust);
    return code;
}

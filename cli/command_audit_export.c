/* audit export: an evidence package, or records as lines for other programs. */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "api/log.pb-c.h"
#include "base/crypto/crypto.h"
#include "cli/command_audit_export.h"
#include "cli/commands.h"
#include "cli/evidence/output_file.h"
#include "cli/evidence/package.h"
#include "cli/output/moment.h"
#include "formats/record.h"

enum { REASON_MAX = 1024, CHECKPOINT_OLD_S = 60 };

static const int64_t SECOND_NS = 1000000000;

static const char *const formats[] = {"zip", "jsonl", "csv", "ocsf", NULL};

const struct option_spec command_audit_export_options[] = {
    {"out", 'o', OPTION_FILE, "FILE", "where it is written; - is standard output (not for zip)",
     NULL},
    {"since", 0, OPTION_TEXT, "TIME", "from then on: RFC 3339, or 15m, 2h, 7d ago (all)", NULL},
    {"until", 0, OPTION_TEXT, "TIME", "up to then", NULL},
    {"identity", 'i', OPTION_TEXT, "SUBJECT", "of this agent", NULL},
    {"resource", 'r', OPTION_TEXT, "NAME", "on this resource", NULL},
    {"session", 0, OPTION_TEXT, "ID", "of this session", NULL},
    {"sample", 0, OPTION_TEXT, "N", "draw N records, with a proof for each", NULL},
    {"seed", 0, OPTION_TEXT, "TEXT", "what the sample is drawn from: the auditor's", NULL},
    {"sample-of", 0, OPTION_TEXT, "KIND", "the kind of record that is drawn (intent)", NULL},
    {"format", 0, OPTION_TEXT, "FORMAT", "a package, or records only", formats},
    {"reason", 0, OPTION_TEXT, "TEXT", "why; it is recorded", NULL},
    {"no-replay", 0, OPTION_FLAG, NULL, "without the recordings for terminal players", NULL},
    {"force", 'f', OPTION_FLAG, NULL, "overwrite FILE", NULL},
    {0},
};

/* --- what is asked for -------------------------------------------------------------------------
 */

/* protobuf-c's strings are not const, but a request is only read. */
static void set_text(const struct invocation *i, const char *option, char **out)
{
    const char *value = options_value(&i->options, option);
    if (value != NULL) {
        *out = (char *)(uintptr_t)value;
    }
}

static enum err read_filter(const struct invocation *i, Chaperone__V1__SearchRequest *out,
                            struct err_text *error)
{
    chaperone__v1__search_request__init(out);
    set_text(i, "identity", &out->identity);
    set_text(i, "resource", &out->resource);
    set_text(i, "session", &out->session);
    return command_times(i, &out->since_unix_ns, &out->until_unix_ns, error);
}

static enum err read_sample(struct export_command *x, struct err_text *error)
{
    const struct options *o = &x->i->options;
    const char *of = options_value(o, "sample-of");
    enum err e = options_number(o, "sample", 0, SAMPLE_MAX, &x->sample, error);
    x->seed = options_value(o, "seed");
    x->sample_of = of == NULL ? "intent" : of;
    if (e != OK) {
        return e;
    }
    bool has_sample = options_value(o, "sample") != NULL;
    if (has_sample && (x->sample == 0 || x->seed == NULL || x->format != EXPORT_ZIP)) {
        return err_set(error, ERR_INVALID,
                       "--sample: expected at least 1, --seed TEXT with it, and a zip");
    }
    if (!has_sample && (x->seed != NULL || of != NULL)) {
        return err_set(error, ERR_INVALID, "--seed and --sample-of are for --sample N");
    }
    size_t at = 0;
    while (record_kinds[at] != NULL && strcmp(record_kinds[at], x->sample_of) != 0) {
        at++;
    }
    return record_kinds[at] != NULL
               ? OK
               : err_set(error, ERR_INVALID, "--sample-of: there is no kind of record \"%.64s\"",
                         x->sample_of);
}

static enum err read_output(struct export_command *x, struct err_text *error)
{
    const char *format = options_value(&x->i->options, "format");
    x->path = options_value(&x->i->options, "out");
    while (format != NULL && strcmp(formats[x->format], format) != 0) {
        x->format++; /* one of the option's choices */
    }
    if (x->path == NULL) {
        return err_set(error, ERR_INVALID, "--out FILE is needed");
    }
    if (x->format == EXPORT_ZIP && strcmp(x->path, "-") == 0) {
        return err_set(error, ERR_INVALID, "--out: a zip needs a file");
    }
    return OK;
}

static enum err read_request(struct export_command *x, struct err_text *error)
{
    chaperone__v1__export_request__init(&x->request);
    enum err e = read_filter(x->i, &x->filter, error);
    e = e != OK ? e : read_output(x, error);
    e = e != OK ? e : read_sample(x, error);
    x->request.filter = &x->filter;
    set_text(x->i, "reason", &x->request.reason);
    if (e == OK && strlen(x->request.reason) > REASON_MAX) {
        e = err_set(error, ERR_INVALID, "--reason has more than %d bytes", REASON_MAX);
    }
    x->request.with_proofs = x->format == EXPORT_ZIP;
    x->request.with_context = x->format == EXPORT_ZIP;
    return e;
}

/* --- the package -------------------------------------------------------------------------------
 */

static bool on_part(void *context, const ProtobufCMessage *message)
{
    struct export_command *x = context;
    x->failed = collection_add(x->collection, (const Chaperone__V1__ExportPart *)message, &x->why);
    const Chaperone__V1__ExportHeader *header = collection_header(x->collection);
    if (x->failed == OK && header != NULL) {
        progress_show(&x->progress, collection_count(x->collection), header->matching);
    }
    return x->failed == OK;
}

static bool on_progress(void *context, uint64_t done, uint64_t total)
{
    struct export_command *x = context;
    struct pollfd fd = {.fd = x->remote.signal_fd, .events = POLLIN};
    progress_show(&x->progress, done, total);
    return poll(&fd, 1, 0) <= 0;
}

int export_failed(struct export_command *x, enum err e)
{
    if (e == ERR_CLOSED) {
        return remote_signal_exit(x->remote.signal_fd);
    }
    if (x->lines.is_reader_gone) {
        return EXIT_NO;
    }
    return command_fail(x->i, EXIT_NO, "%s%s",
                        x->why.text[0] == '\0' ? "nothing was exported: " : "",
                        x->why.text[0] != '\0' ? x->why.text
                        : e == ERR_FULL        ? "the disk is full"
                                               : err_name(e));
}

static enum err write_package(struct export_command *x)
{
    char folder[PACKAGE_FOLDER_SIZE];
    struct zip *zip = NULL;
    const Chaperone__V1__ExportHeader *header = collection_header(x->collection);
    package_folder(header, folder);
    const struct zip_options options = {.fd = x->file.fd,
                                        .folder = folder,
                                        .made_unix_ns = header->made_unix_ns,
                                        .directory = x->file.directory};
    enum err e = zip_create(&options, &zip, &x->why);
    if (e == OK) {
        const struct package_options package = {.collection = x->collection,
                                                .zip = zip,
                                                .request = &x->request,
                                                .seed = x->seed,
                                                .sample_of = x->sample_of,
                                                .with_replay =
                                                    !options_flag(&x->i->options, "no-replay"),
                                                .on_progress = on_progress,
                                                .context = x};
        progress_start(&x->progress, &x->i->errors, &x->i->clock, "writing  ");
        e = package_write(&package, &x->why);
        progress_end(&x->progress);
    }
    zip_destroy(zip);
    return e == OK ? output_file_finish(&x->file, &x->why) : e;
}

/* Records behind the checkpoint are not in the package: where the log stands still, that is said.
 */
static void say_if_old(const struct export_command *x, const Chaperone__V1__ExportHeader *header)
{
    char time[MOMENT_SIZE];
    if (header->made_unix_ns - header->checkpoint->time_unix_ns > CHECKPOINT_OLD_S * SECOND_NS) {
        moment_format(header->checkpoint->time_unix_ns, time);
        (void)fprintf(x->i->errors.out,
                      "the newest signed checkpoint of the log is of %s: what came later is not in "
                      "the package\n",
                      time);
    }
}

static int say_done(const struct export_command *x)
{
    const Chaperone__V1__ExportHeader *header = collection_header(x->collection);
    char root[2 * COLLECTION_HASH_SIZE + 1];
    crypto_hex_encode(bytes_of(header->checkpoint->root.data, COLLECTION_HASH_SIZE), root);
    (void)fprintf(x->i->out.out,
                  "%s: %u records of %zu sessions, %zu approvals\n"
                  "checkpoint of %llu records, root %s\n",
                  x->path, collection_count(x->collection), collection_session_count(x->collection),
                  collection_item_count(x->collection, COLLECTION_APPROVAL),
                  (unsigned long long)header->checkpoint->size, root);
    say_if_old(x, header);
    return remote_flush(x->i);
}

static int export_package(struct export_command *x)
{
    const struct collection_options options = {.directory = x->file.directory,
                                               .sample = x->sample,
                                               .seed = x->seed,
                                               .sample_of = x->sample_of};
    enum err e = collection_create(&options, &x->collection, &x->why);
    if (e != OK) {
        return export_failed(x, e);
    }
    int code = export_receive(x, on_part);
    if (code != EXIT_YES) {
        return code;
    }
    e = collection_finish(x->collection, &x->why);
    e = e == OK ? write_package(x) : e;
    return e == OK ? say_done(x) : export_failed(x, e);
}

/* --- the command -------------------------------------------------------------------------------
 */

int export_receive(struct export_command *x, client_message_fn *on_message)
{
    struct client_end end;
    progress_start(&x->progress, &x->i->errors, &x->i->clock, "receiving");
    client_stream(x->remote.client, &chaperone__v1__log__descriptor, "Export", &x->request.base,
                  on_message, x, &end);
    progress_end(&x->progress);
    int code = remote_exit(x->i, &x->remote, &end);
    return code == EXIT_YES && x->failed != OK ? export_failed(x, x->failed) : code;
}

/* After the signals are blocked: whatever ends the command, the file goes with it. */
static int run(struct export_command *x)
{
    bool has_file = strcmp(x->path, "-") != 0;
    bool replaces = options_flag(&x->i->options, "force");
    enum err e = has_file ? output_file_open(x->path, replaces, &x->file, &x->why) : OK;
    if (e != OK) {
        return command_fail(x->i, EXIT_NO, "%s",
                            x->why.text[0] != '\0' ? x->why.text : err_name(e));
    }
    int code = x->format == EXPORT_ZIP ? export_package(x) : export_lines(x);
    output_file_discard(&x->file);
    return code;
}

int command_audit_export(struct invocation *i)
{
    struct export_command x = {.i = i, .file = {.fd = -1}};
    struct err_text error = {0};
    if (read_request(&x, &error) != OK) {
        return command_misuse(i, &error);
    }
    int code = remote_open(i, &x.remote);
    if (code == EXIT_YES) {
        code = run(&x);
        remote_close(&x.remote);
        collection_destroy(x.collection);
    }
    return code;
}

/* What the two kinds of export share: a package, and records as lines. */
#ifndef CHAPERONE_CLI_COMMAND_AUDIT_EXPORT_H
#define CHAPERONE_CLI_COMMAND_AUDIT_EXPORT_H

#include "cli/evidence/collection.h"
#include "cli/evidence/output_file.h"
#include "cli/evidence/progress.h"
#include "cli/remote.h"

/* In the order of the option's choices. */
enum export_format { EXPORT_ZIP, EXPORT_JSONL, EXPORT_CSV, EXPORT_OCSF };

struct export_command {
    struct invocation *i;
    unsigned format; /* enum export_format */
    const char *path;
    Chaperone__V1__SearchRequest filter;
    Chaperone__V1__ExportRequest request;
    uint32_t sample;
    const char *seed, *sample_of;
    struct remote remote;
    struct output_file file;
    struct progress progress;
    struct collection *collection; /* of a package */
    struct {                       /* of records as lines */
        FILE *out;
        struct buffer line;
        uint64_t count, matching;
        bool is_whole;       /* the end has come */
        bool is_reader_gone; /* `chaperone audit export --out - | head` has seen enough */
    } lines;
    enum err failed; /* while the answer came; set on the client's thread */
    struct err_text why;
};

/* Asks, and hands each part to `on_message`, whose context is `x` and which leaves in `x->failed`
 * why it returned false. EXIT_YES, or the exit code after the reason was said. */
int export_receive(struct export_command *x, client_message_fn *on_message);
/* The exit code; says why. */
int export_failed(struct export_command *x, enum err e);
/* command_audit_export_lines.c */
int export_lines(struct export_command *x);

#endif

/* audit export --format jsonl, csv, ocsf: records as they come, one a line. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/command_audit_export.h"
#include "cli/evidence/lines.h"

enum { LINE_CAP = 64 << 20 }; /* a record has at most 1 MiB; escaped, a cell needs more than it */

static enum lines_format format_of(const struct export_command *x)
{
    return x->format == EXPORT_CSV ? LINES_CSV : x->format == EXPORT_OCSF ? LINES_OCSF : LINES_JSON;
}

static enum err write_entries(struct export_command *x, const Chaperone__V1__ExportEntries *entries)
{
    enum err e = OK;
    for (size_t n = 0; e == OK && n < entries->n_entries; n++) {
        e = lines_write(x->lines.out, format_of(x), entries->entries[n], &x->lines.line);
        x->lines.count++;
    }
    if (e == ERR_IO) {
        x->lines.is_reader_gone = errno == EPIPE;
        (void)err_set(&x->why, e, "cannot write %.300s: %s", x->path, strerror(errno));
    }
    return e;
}

static bool on_part(void *context, const ProtobufCMessage *message)
{
    struct export_command *x = context;
    const Chaperone__V1__ExportPart *part = (const Chaperone__V1__ExportPart *)message;
    if (part->part_case == CHAPERONE__V1__EXPORT_PART__PART_HEADER) {
        x->lines.matching = part->header->matching;
    } else if (part->part_case == CHAPERONE__V1__EXPORT_PART__PART_ENTRIES) {
        x->failed = write_entries(x, part->entries);
    } else if (part->part_case == CHAPERONE__V1__EXPORT_PART__PART_END) {
        x->lines.is_whole =
            part->end->entries == x->lines.count && x->lines.matching == x->lines.count;
    }
    /* A bar between the lines of a terminal would help nobody. */
    if (x->file.fd >= 0) {
        progress_show(&x->progress, x->lines.count, x->lines.matching);
    }
    return x->failed == OK;
}

static FILE *open_lines(const struct export_command *x)
{
    int fd = x->file.fd < 0 ? STDOUT_FILENO : x->file.fd;
    int own = dup(fd);
    FILE *out = own < 0 ? NULL : fdopen(own, "w");
    if (out == NULL && own >= 0) {
        (void)close(own);
    }
    return out;
}

static enum err finish(struct export_command *x)
{
    if (!x->lines.is_whole) {
        return err_set(&x->why, ERR_INVALID, "the control plane's answer has no end");
    }
    return x->file.fd < 0 ? OK : output_file_finish(&x->file, &x->why);
}

int export_lines(struct export_command *x)
{
    buffer_init(&x->lines.line, LINE_CAP);
    x->lines.out = open_lines(x);
    if (x->lines.out == NULL) {
        return command_fail(x->i, EXIT_NO, "cannot write %.300s: %s", x->path, strerror(errno));
    }
    enum err e = lines_begin(x->lines.out, format_of(x), &x->lines.line);
    int code = e == OK ? export_receive(x, on_part) : export_failed(x, e);
    bool is_written = fclose(x->lines.out) == 0;
    if (code == EXIT_YES && !is_written) {
        code = errno == EPIPE ? EXIT_NO
                              : command_fail(x->i, EXIT_NO, "cannot write %.300s: %s", x->path,
                                             strerror(errno));
    }
    if (code == EXIT_YES) {
        e = finish(x);
        code = e == OK ? EXIT_YES : export_failed(x, e);
    }
    buffer_finish(&x->lines.line);
    return code;
}

/* A record as one line: for `audit search` and `audit tail`.
 *
 * In a pipe, fields with tabs between: time, kind, session, identity, resource, verdict or
 * status, what. On a terminal the day and the session stand once, above their lines. */
#ifndef CHAPERONE_CLI_OUTPUT_LINE_H
#define CHAPERONE_CLI_OUTPUT_LINE_H

#include "base/uuid.h"
#include "cli/output/terminal.h"
#include "formats/record.h"

enum { LINE_DAY_SIZE = sizeof("2026-11-21") };

struct line_printer {
    struct terminal terminal;
    /* Of the line before. */
    char session[UUID_TEXT_SIZE];
    char day[LINE_DAY_SIZE];
};

void line_printer_init(struct line_printer *p, const struct terminal *terminal);
void line_print(struct line_printer *p, const struct record_view *v);

/* Appends what happened, in words: the statement, the result, who it was. */
enum err line_describe(const struct record_view *v, struct buffer *out) MUST_USE;

/* The style that fits a verdict or a status. */
enum style line_style(const struct record_view *v);

#endif

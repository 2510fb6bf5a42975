/* Reads the statements of PostgreSQL's log from a file, one after the other; a file of any size.
 *
 * Of lines that are about one execution (log_statement and pgaudit, an error behind it) only the
 * first is handed out. */
#ifndef CHAPERONE_CLI_RECONCILE_LOG_READER_H
#define CHAPERONE_CLI_RECONCILE_LOG_READER_H

#include "cli/reconcile/statement.h"

enum { LOG_READER_BACKENDS_MAX = 1 << 16 }; /* remembered at one time */

struct log_reader;

/* ERR_NOT_FOUND, ERR_IO, ERR_NO_MEMORY. Returns owned. */
enum err log_reader_open(const char *path, struct log_reader **out, struct err_text *why) MUST_USE;
void log_reader_close(struct log_reader *r); /* takes NULL */

/* Borrows until the next call. ERR_NOT_FOUND: the end. ERR_INVALID: a record that cannot be read,
 * with its number; a last one without its line break is still being written, and left out. */
enum err log_reader_next(struct log_reader *r, struct server_log_line *out_line,
                         struct statement *out, struct err_text *why) MUST_USE;

/* Of the last line that was read, also of one that was no statement; 0: none. */
int64_t log_reader_time(const struct log_reader *r);

#endif

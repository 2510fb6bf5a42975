/* PostgreSQL's own log, as csvlog or jsonlog (PostgreSQL documentation, 20.8.4 and 20.8.5).
 *
 * The caller holds a run of bytes of the file: `server_log_split` says where its first record ends,
 * `server_log_parse` reads that record. Whatever the bytes are, both end; what is no record is said
 * to be malformed. No I/O, no clock. */
#ifndef CHAPERONE_CLI_RECONCILE_SERVER_LOG_H
#define CHAPERONE_CLI_RECONCILE_SERVER_LOG_H

#include "base/bytes.h"

enum {
    /* A record holds a statement, its parameters, and in csvlog each quote twice; statements of
     * more than a few megabytes are refused by the sidecar. */
    SERVER_LOG_RECORD_MAX = 64 << 20,
    SERVER_LOG_COLUMNS_MAX = 32, /* PostgreSQL 15 writes 26 */
};

enum server_log_format { SERVER_LOG_CSV, SERVER_LOG_JSON };

/* By its first character. */
enum server_log_format server_log_detect(struct bytes beginning);

/* The size of the first record with its line break; 0: it goes on behind these bytes. At the file's
 * end all that is left is a record. */
size_t server_log_split(enum server_log_format format, struct bytes input, bool is_end);

/* Valid until the next parse with the same reader. What the record does not have is empty. */
struct server_log_line {
    int64_t time_ns;
    struct bytes user, database, backend, severity, message, detail, query, application;
};

struct server_log;

struct server_log *server_log_create(enum server_log_format format) MUST_USE; /* NULL: no memory */
void server_log_destroy(struct server_log *l);                                /* takes NULL */

/* One record. ERR_INVALID with a sentence, ERR_NO_MEMORY. An empty line is ERR_NOT_FOUND. */
enum err server_log_parse(struct server_log *l, struct bytes record, struct server_log_line *out,
                          struct err_text *why) MUST_USE;

/* The fields of one line of CSV (RFC 4180), unquoted into `room`, which is cleared first. They
 * borrow from it. ERR_INVALID: a quote is missing or in the wrong place. ERR_LIMIT: more columns
 * than `max`. */
enum err server_log_read_csv(struct bytes line, struct buffer *room, struct bytes *out, size_t max,
                             size_t *out_count) MUST_USE;

/* "2026-11-21 16:46:02.616 UTC": log_timezone must be UTC, GMT or one whose short name is its
 * offset. */
enum err server_log_read_time(struct bytes text, int64_t *out_ns) MUST_USE;

#endif

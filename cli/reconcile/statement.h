/* Which statement a line of PostgreSQL's log says was executed: log_statement, duration lines of
 * log_min_duration_statement, the statement of an error, pgaudit. The messages are those of
 * lc_messages = C. Pure; what is handed out borrows from the line. */
#ifndef CHAPERONE_CLI_RECONCILE_STATEMENT_H
#define CHAPERONE_CLI_RECONCILE_STATEMENT_H

#include "cli/reconcile/server_log.h"

enum statement_kind {
    STATEMENT_NONE,     /* a line about something else */
    STATEMENT_EXECUTED, /* "statement: ", "execute NAME: " */
    STATEMENT_TIMED,    /* the same behind its duration: written at the end */
    STATEMENT_FAILED,   /* an error names it; it may be logged as executed, too */
    STATEMENT_PGAUDIT,  /* of one statement there may be several lines */
    STATEMENT_UNCLEAR,  /* it should be one of these, and cannot be read */
};

struct statement {
    enum statement_kind kind;
    int64_t began_ns;  /* of a timed one the line's time less the duration */
    struct bytes name; /* of a prepared statement, with "/PORTAL"; "<unnamed>"; "": simple query */
    struct bytes text;
};

/* `room` is for what must be unquoted. */
void statement_read(const struct server_log_line *line, struct buffer *room, struct statement *out);

/* What the sidecar asks for itself on an agent's connection: always under names of its own, but a
 * client that goes around it may use them, too. So the texts must be the known ones. */
enum statement_own {
    STATEMENT_NOT_OWN,
    STATEMENT_OWN,        /* a fixed text */
    STATEMENT_PREDICTION, /* about an operation that is held; `*out_text` is that one's text */
};

enum statement_own statement_own(const struct statement *s, struct bytes *out_text);

#endif

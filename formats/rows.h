/* Reads the recorded answer of a PostgreSQL target: the backend's messages as the agent saw
 * them (PostgreSQL documentation, 55.7 "Message Formats"), possibly cut at the recording's limit.
 *
 * Pure: no allocation; what is handed out borrows from the recording. Recorded bytes are an
 * outsider's: whatever they hold, the reader ends, with ROWS_CUT or ROWS_MALFORMED. */
#ifndef CHAPERONE_FORMATS_ROWS_H
#define CHAPERONE_FORMATS_ROWS_H

#include "base/bytes.h"
#include "base/cursor.h"

/* PostgreSQL's own limit on a result's columns is 1664. */
enum { ROWS_COLUMNS_MAX = 1664 };

struct rows_column {
    const char *name; /* borrows */
    uint32_t type_oid;
    bool binary;
};

struct rows_cell {
    struct bytes value; /* as on the wire */
    bool is_null;
};

enum rows_kind {
    ROWS_END,       /* nothing is left */
    ROWS_CUT,       /* the recording ends in the middle of a message */
    ROWS_MALFORMED, /* no PostgreSQL messages */
    ROWS_COLUMNS,   /* `columns` and `column_count` are set anew: the rows that follow */
    ROWS_ROW,       /* `cells` and `cell_count` */
    ROWS_COPY,      /* `data`: one CopyData */
    ROWS_COMMAND,   /* `data`: a command tag, "SELECT 5" */
    ROWS_ERROR,     /* `data`: the message of an error or a notice */
};

struct rows {
    struct cursor cursor;
    struct rows_column columns[ROWS_COLUMNS_MAX];
    size_t column_count;
    struct rows_cell cells[ROWS_COLUMNS_MAX];
    size_t cell_count;
    struct bytes data;
};

/* Columns known from elsewhere (the outcome's, when the answer has no RowDescription) may be
 * put into `columns` after this. */
void rows_init(struct rows *r, struct bytes response);
enum rows_kind rows_next(struct rows *r);

/* Appends a value as text: what PostgreSQL would have printed for the usual types, `\x` and hex
 * digits for other binary ones. ERR_LIMIT at the buffer's cap. */
enum err rows_append_text(const struct rows_column *column, struct bytes value,
                          struct buffer *out) MUST_USE;

#endif

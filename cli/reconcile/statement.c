#include "cli/reconcile/statement.h"

#include "sidecar/catalog/catalog.h"

/* Takes `prefix` off the front. */
static bool take(struct bytes *text, const char *prefix)
{
    size_t size = strlen(prefix);
    if (text->size < size || memcmp(text->data, prefix, size) != 0) {
        return false;
    }
    *text = bytes_of(text->data + size, text->size - size);
    return true;
}

/* "statement: TEXT", "execute NAME: TEXT", "execute fetch from NAME/PORTAL: TEXT". A name may hold
 * ": ", too: then the text is too long here, and agrees with nothing. */
static bool take_statement(struct bytes message, struct statement *out)
{
    if (take(&message, "statement: ")) {
        out->text = message;
        return true;
    }
    if (!take(&message, "execute fetch from ") && !take(&message, "execute ")) {
        return false;
    }
    const uint8_t *colon = memmem(message.data, message.size, ": ", 2);
    if (colon == NULL) {
        return false;
    }
    out->name = bytes_of(message.data, (size_t)(colon - message.data));
    out->text = bytes_of(colon + 2, message.size - out->name.size - 2);
    return true;
}

/* "duration: 12.345 ms  statement: TEXT"; nanoseconds. */
static bool take_duration(struct bytes *message, int64_t *out_ns)
{
    int64_t ns = 0, unit = 1000000;
    bool is_fraction = false;
    if (!take(message, "duration: ")) {
        return false;
    }
    while (message->size > 0 && message->data[0] != ' ') {
        uint8_t c = message->data[0];
        if (c >= '0' && c <= '9' && ns < INT64_MAX / 1000) {
            if (is_fraction) {
                unit /= 10;
                ns += (c - '0') * unit;
            } else {
                ns = ns * 10 + (int64_t)(c - '0') * unit;
            }
        } else if (c == '.' && !is_fraction) {
            is_fraction = true;
        } else {
            return false;
        }
        *message = bytes_of(message->data + 1, message->size - 1);
    }
    *out_ns = ns;
    return take(message, " ms");
}

/* AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.t,SELECT ...,<none>; what a statement's functions ran
 * is a substatement, and stands behind it. */
static enum statement_kind read_pgaudit(struct bytes line, struct buffer *room,
                                        struct statement *out)
{
    enum { SUBSTATEMENT = 2, TEXT = 7, FIELDS_MIN = 9 };
    struct bytes f[SERVER_LOG_COLUMNS_MAX];
    size_t count = 0;
    if (server_log_read_csv(line, room, f, SERVER_LOG_COLUMNS_MAX, &count) != OK ||
        count < FIELDS_MIN) {
        return STATEMENT_UNCLEAR;
    }
    if (!bytes_equal_string(f[SUBSTATEMENT], "1") ||
        bytes_equal_string(f[TEXT], "<previously logged>")) {
        return STATEMENT_NONE;
    }
    out->text = f[TEXT];
    return bytes_equal_string(f[TEXT], "<not logged>") ? STATEMENT_UNCLEAR : STATEMENT_PGAUDIT;
}

static enum statement_kind read_log(struct bytes message, struct buffer *room,
                                    struct statement *out)
{
    int64_t duration = 0;
    struct bytes rest = message;
    if (take(&rest, "AUDIT: ")) {
        return read_pgaudit(rest, room, out);
    }
    if (take_statement(message, out)) {
        return STATEMENT_EXECUTED;
    }
    if (take(&rest, "fastpath function call: ")) {
        out->text = message;
        return STATEMENT_EXECUTED;
    }
    if (!take_duration(&rest, &duration) || !take(&rest, "  ")) {
        return STATEMENT_NONE; /* "duration: 1.234 ms" alone: the statement stands before it */
    }
    out->began_ns -= duration;
    if (take_statement(rest, out)) {
        return STATEMENT_TIMED;
    }
    out->text = rest;
    return take(&rest, "fastpath function call: ")         ? STATEMENT_TIMED
           : take(&rest, "parse ") || take(&rest, "bind ") ? STATEMENT_NONE
                                                           : STATEMENT_UNCLEAR;
}

void statement_read(const struct server_log_line *line, struct buffer *room, struct statement *out)
{
    *out = (struct statement){.began_ns = line->time_ns};
    if (line->user.size == 0) {
        return; /* the server's own processes */
    }
    if (bytes_equal_string(line->severity, "LOG")) {
        out->kind = read_log(line->message, room, out);
    } else if (line->query.size > 0 && (bytes_equal_string(line->severity, "ERROR") ||
                                        bytes_equal_string(line->severity, "FATAL"))) {
        out->kind = STATEMENT_FAILED;
        out->text = line->query;
    }
}

/* ---- the sidecar's own ---------------------------------------------------------------------- */

static bool has_name(const struct statement *s, const char *name)
{
    struct bytes rest = s->name;
    return take(&rest, name) &&
           (rest.size == 0 || (take(&rest, "/") && take(&rest, name) && rest.size == 0));
}

/* Written here once more, word for word: it is what must be in the target's log. */
static const char *const predictions[] = {
    "SAVEPOINT chaperone_prediction",
    "ROLLBACK TO SAVEPOINT chaperone_prediction",
    "RELEASE SAVEPOINT chaperone_prediction",
    "BEGIN",
    "BEGIN READ ONLY",
    "SET LOCAL transaction_read_only TO on",
    "ROLLBACK",
    "SELECT DISTINCT l.mode OPERATOR(pg_catalog.||) ' on ' OPERATOR(pg_catalog.||) "
    "pg_catalog.quote_ident(n.nspname::pg_catalog.text) OPERATOR(pg_catalog.||) '.' "
    "OPERATOR(pg_catalog.||) pg_catalog.quote_ident(c.relname::pg_catalog.text)"
    " FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c"
    " ON c.oid OPERATOR(pg_catalog.=) l.relation"
    " JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
    " WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()"
    " AND l.granted AND c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid"
    " AND c.relkind OPERATOR(pg_catalog.<>) 'i'::pg_catalog.\"char\" ORDER BY 1",
};

enum statement_own statement_own(const struct statement *s, struct bytes *out_text)
{
    if (has_name(s, "chaperone_inquiry")) {
        for (int q = 0; q < CATALOG_QUERY_COUNT; q++) {
            if (bytes_equal_string(s->text, catalog_query_text((enum catalog_query)q))) {
                return STATEMENT_OWN;
            }
        }
        return STATEMENT_NOT_OWN;
    }
    if (!has_name(s, "chaperone_prediction")) {
        return STATEMENT_NOT_OWN;
    }
    for (size_t i = 0; i < sizeof(predictions) / sizeof(predictions[0]); i++) {
        if (bytes_equal_string(s->text, predictions[i])) {
            return STATEMENT_OWN;
        }
    }
    *out_text = s->text;
    if (!take(out_text, "EXPLAIN (FORMAT JSON) ")) {
        (void)take(out_text, "EXPLAIN ");
    }
    return STATEMENT_PREDICTION;
}

#include "cli/replay/sandbox.h"

#include <errno.h>
#include <poll.h>
#include <postgresql/libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/replay/names.h"

struct sandbox {
    PGconn *connection;
    PGresult *types; /* name, oid */
    int signal_fd;
    struct names names; /* of prepared statements */
};

/* Those of the operator's own surroundings are not the session's. */
static const char *const foreign_settings[] = {"PGOPTIONS",   "PGTZ",
                                               "PGDATESTYLE", "PGCLIENTENCODING",
                                               "PGGEQO",      "PGSERVICE",
                                               "PGHOSTADDR",  "PGHOST",
                                               "PGPORT",      "PGDATABASE",
                                               "PGUSER",      "PGSERVICEFILE",
                                               "PGAPPNAME",   "PGTARGETSESSIONATTRS"};

/* What libpq says, in one line and without what a terminal would obey (the caller sees to that). */
static void copy_message(const char *message, char *out, size_t size)
{
    (void)snprintf(out, size, "%.*s", (int)strcspn(message, "\n"), message);
}

static enum err lost(struct sandbox *s, struct err_text *error)
{
    char text[256];
    copy_message(PQerrorMessage(s->connection), text, sizeof(text));
    return err_set(error, ERR_CLOSED, "the connection to the sandbox is lost: %s", text);
}

/* --- opening -----------------------------------------------------------------------------------
 */

/* Notices may hold anything; they are no part of what is compared. */
static void drop_notice(void *context, const char *message)
{
    (void)context;
    (void)message;
}

enum err sandbox_open(const char *url, int signal_fd, struct sandbox **out, struct err_text *error)
{
    const char *const keywords[] = {"application_name", "client_encoding", "connect_timeout",
                                    "dbname", NULL};
    const char *const values[] = {"chaperone audit replay", "UTF8", "10", url, NULL};
    struct sandbox *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < sizeof(foreign_settings) / sizeof(foreign_settings[0]); i++) {
        (void)unsetenv(foreign_settings[i]);
    }
    s->signal_fd = signal_fd;
    /* `dbname` is last: what the URL says of the others counts. */
    s->connection = PQconnectdbParams(keywords, values, 1);
    if (s->connection == NULL || PQstatus(s->connection) != CONNECTION_OK) {
        char text[256] = "out of memory";
        if (s->connection != NULL) {
            copy_message(PQerrorMessage(s->connection), text, sizeof(text));
        }
        sandbox_close(s);
        return err_set(error, ERR_UNAVAILABLE, "cannot connect to the sandbox: %s", text);
    }
    (void)PQsetNoticeProcessor(s->connection, drop_notice, NULL);
    s->types = PQexec(s->connection, "SELECT typname, oid FROM pg_catalog.pg_type WHERE "
                                     "typnamespace = 'pg_catalog'::pg_catalog.regnamespace");
    if (PQresultStatus(s->types) != PGRES_TUPLES_OK) {
        enum err e = lost(s, error);
        sandbox_close(s);
        return e;
    }
    *out = s;
    return OK;
}

void sandbox_close(struct sandbox *s)
{
    if (s != NULL) {
        names_finish(&s->names);
        PQclear(s->types);
        PQfinish(s->connection);
        free(s);
    }
}

/* --- waiting -----------------------------------------------------------------------------------
 */

static void cancel(struct sandbox *s)
{
    char text[256];
    PGcancel *c = PQgetCancel(s->connection);
    if (c != NULL) {
        (void)PQcancel(c, text, sizeof(text));
    }
    PQfreeCancel(c);
}

/* Until something came. */
static enum err wait(struct sandbox *s, struct err_text *error)
{
    int unsent = PQflush(s->connection);
    struct pollfd fds[] = {
        {.fd = PQsocket(s->connection), .events = (short)(POLLIN | (unsent > 0 ? POLLOUT : 0))},
        {.fd = s->signal_fd, .events = POLLIN},
    };
    if (unsent < 0) {
        return lost(s, error);
    }
    if (poll(fds, 2, -1) < 0 && errno != EINTR) {
        return err_set(error, ERR_CLOSED, "poll: %s", strerror(errno));
    }
    if (fds[1].revents != 0) {
        cancel(s);
        return err_set(error, ERR_CLOSED, "interrupted");
    }
    return PQconsumeInput(s->connection) == 1 ? OK : lost(s, error);
}

static enum err next_result(struct sandbox *s, PGresult **out, struct err_text *error)
{
    while (PQisBusy(s->connection) == 1) {
        enum err e = wait(s, error);
        if (e != OK) {
            return e;
        }
    }
    *out = PQgetResult(s->connection);
    return OK;
}

/* --- answers -----------------------------------------------------------------------------------
 */

static enum err add_rows(struct comparison *c, const PGresult *r)
{
    int columns = PQnfields(r);
    struct compare_cell *cells = calloc((size_t)columns + 1, sizeof(*cells));
    enum err e = cells == NULL ? ERR_NO_MEMORY : OK;
    for (int row = 0; e == OK && row < PQntuples(r); row++) {
        for (int i = 0; i < columns; i++) {
            cells[i].is_null = PQgetisnull(r, row, i) == 1;
            cells[i].value = bytes_of(PQgetvalue(r, row, i), (size_t)PQgetlength(r, row, i));
        }
        e = compare_add_row(c, cells, (size_t)columns);
    }
    free(cells);
    return e;
}

static enum err copy_out(struct sandbox *s, struct comparison *c, struct err_text *error)
{
    for (;;) {
        char *data = NULL;
        int size = PQgetCopyData(s->connection, &data, 1);
        enum err e = OK;
        if (size > 0) {
            e = compare_add_copy(c, bytes_of(data, (size_t)size));
            PQfreemem(data);
        } else if (size == 0) {
            e = wait(s, error);
        } else {
            return size == -1 ? OK : lost(s, error);
        }
        if (e != OK) {
            return e;
        }
    }
}

static void take_error(const PGresult *r, struct sandbox_end *out)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    (void)snprintf(out->sqlstate, sizeof(out->sqlstate), "%s", state == NULL ? "XX000" : state);
    copy_message(message == NULL ? PQresultErrorMessage(r) : message, out->error,
                 sizeof(out->error));
}

static enum err take_result(struct sandbox *s, PGresult *r, struct comparison *c,
                            struct sandbox_end *out, struct err_text *error)
{
    switch (PQresultStatus(r)) {
    case PGRES_SINGLE_TUPLE: return add_rows(c, r);
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
        (void)snprintf(out->tag, sizeof(out->tag), "%s", PQcmdStatus(r));
        return PQresultStatus(r) == PGRES_TUPLES_OK ? add_rows(c, r) : OK;
    case PGRES_COPY_OUT: return copy_out(s, c, error);
    /* Only what was sent nothing for comes here. */
    case PGRES_COPY_IN: return PQputCopyEnd(s->connection, NULL) == 1 ? OK : lost(s, error);
    case PGRES_FATAL_ERROR:
        take_error(r, out);
        return PQstatus(s->connection) == CONNECTION_OK ? OK : lost(s, error);
    default: return err_set(error, ERR_CLOSED, "the sandbox gave an answer that is not understood");
    }
}

static enum err take_results(struct sandbox *s, struct comparison *c, struct sandbox_end *out,
                             struct err_text *error)
{
    (void)PQsetSingleRowMode(s->connection);
    for (;;) {
        PGresult *r = NULL;
        enum err e = next_result(s, &r, error);
        if (e != OK || r == NULL) {
            return e;
        }
        e = take_result(s, r, c, out, error);
        PQclear(r);
        if (e != OK) {
            return e;
        }
    }
}

/* --- questions ---------------------------------------------------------------------------------
 */

static Oid find_type(const struct sandbox *s, const char *name)
{
    for (int i = 0; name[0] != '\0' && i < PQntuples(s->types); i++) {
        if (strcmp(PQgetvalue(s->types, i, 0), name) == 0) {
            return (Oid)strtoul(PQgetvalue(s->types, i, 1), NULL, 10);
        }
    }
    return 0; /* the server finds one */
}

/* The recorded values as libpq wants them; one piece of memory. */
struct values {
    int count;
    Oid *types;
    char **texts; /* each owned */
    int *sizes, *formats;
};

static void values_finish(struct values *v)
{
    for (int i = 0; v->texts != NULL && i < v->count; i++) {
        free(v->texts[i]);
    }
    free(v->types);
    free(v->texts);
    free(v->sizes);
    free(v->formats);
}

static enum err values_init(struct values *v, const struct sandbox *s,
                            const Chaperone__V1__Intent *intent)
{
    size_t count = intent->n_parameters;
    *v = (struct values){.count = (int)count,
                         .types = calloc(count + 1, sizeof(*v->types)),
                         .texts = calloc(count + 1, sizeof(*v->texts)),
                         .sizes = calloc(count + 1, sizeof(*v->sizes)),
                         .formats = calloc(count + 1, sizeof(*v->formats))};
    enum err e = v->types == NULL || v->texts == NULL || v->sizes == NULL || v->formats == NULL
                     ? ERR_NO_MEMORY
                     : OK;
    for (size_t i = 0; e == OK && i < count; i++) {
        const Chaperone__V1__Parameter *p = intent->parameters[i];
        v->types[i] = find_type(s, p->type);
        v->sizes[i] = (int)p->value.len;
        v->formats[i] = p->raw ? 1 : 0;
        if (!p->is_null) {
            v->texts[i] = bytes_to_string(bytes_of(p->value.data, p->value.len));
            e = v->texts[i] == NULL ? ERR_NO_MEMORY : OK;
        }
    }
    if (e != OK) {
        values_finish(v);
    }
    return e;
}

/* DEALLOCATE and EXECUTE say the name, so the statement must have it. True: it is there, or the
 * failure that running it shows is the answer. */
static bool prepare(struct sandbox *s, const char *name, const char *text, const struct values *v)
{
    if (names_has(&s->names, name, text)) {
        return true;
    }
    char *quoted = PQescapeIdentifier(s->connection, name, strlen(name));
    if (quoted != NULL && names_has(&s->names, name, NULL)) {
        char command[512];
        (void)snprintf(command, sizeof(command), "DEALLOCATE %.400s", quoted);
        PQclear(PQexec(s->connection, command));
    }
    PQfreemem(quoted);
    PGresult *r = PQprepare(s->connection, name, text, v->count, v->types);
    bool is_there = PQresultStatus(r) == PGRES_COMMAND_OK;
    PQclear(r);
    return is_there && names_put(&s->names, name, text) == OK;
}

static int send_text(struct sandbox *s, const Chaperone__V1__Intent *intent, const char *text,
                     int binary)
{
    struct values v;
    if (strcmp(intent->verb, "execute") != 0) {
        return PQsendQuery(s->connection, text);
    }
    if (values_init(&v, s, intent) != OK) {
        return 0;
    }
    int sent = 0;
    const char *const *texts = (const char *const *)v.texts;
    if (intent->statement_name[0] != '\0' && prepare(s, intent->statement_name, text, &v)) {
        sent = PQsendQueryPrepared(s->connection, intent->statement_name, v.count, texts, v.sizes,
                                   v.formats, binary);
    } else {
        sent = PQsendQueryParams(s->connection, text, v.count, v.types, texts, v.sizes, v.formats,
                                 binary);
    }
    values_finish(&v);
    return sent;
}

static bool forgets_names(const Chaperone__V1__Intent *intent)
{
    for (size_t i = 0; i < intent->n_commands; i++) {
        if (strcmp(intent->commands[i], "DEALLOCATE") == 0 ||
            strcmp(intent->commands[i], "DISCARD") == 0) {
            return true;
        }
    }
    return false;
}

enum err sandbox_run(struct sandbox *s, const Chaperone__V1__Intent *intent,
                     enum compare_format format, struct comparison *comparison,
                     struct sandbox_end *out, struct err_text *error)
{
    struct sandbox_end end = {0};
    char *text = bytes_to_string(bytes_of(intent->text.data, intent->text.len));
    if (text == NULL) {
        return ERR_NO_MEMORY;
    }
    int sent = send_text(s, intent, text, format == COMPARE_BINARY ? 1 : 0);
    free(text);
    enum err e = sent == 1 ? take_results(s, comparison, &end, error) : lost(s, error);
    if (e == OK && forgets_names(intent)) {
        names_finish(&s->names);
    }
    if (e == OK) {
        *out = end;
    }
    return e;
}

void sandbox_fail_transaction(struct sandbox *s)
{
    if (PQtransactionStatus(s->connection) == PQTRANS_INTRANS) {
        PQclear(PQexec(s->connection, "refused by Chaperone")); /* no statement: it fails */
    }
}

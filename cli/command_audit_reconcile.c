/* audit reconcile: what the target executed against what the audit has. */
#include <inttypes.h>
#include <stdio.h>

#include "api/operator.pb-c.h"
#include "cli/commands.h"
#include "cli/output/moment.h"
#include "cli/reconcile/log_reader.h"
#include "cli/reconcile/matcher.h"
#include "cli/reconcile/sessions.h"
#include "cli/remote.h"
#include "formats/json.h"
#include "formats/text.h"

static const char default_tolerance[] = "5s";
/* Sessions are looked for from this long before the first operation. */
static const int64_t session_ns = INT64_C(24 * 3600) * 1000000000;

const struct option_spec command_audit_reconcile_options[] = {
    {"postgres-log", 0, OPTION_FILE, "FILE", "PostgreSQL's log: csvlog or jsonlog", NULL},
    {"resource", 'r', OPTION_TEXT, "NAME", "what the server is called in Chaperone (any)", NULL},
    {"since", 0, OPTION_TEXT, "TIME", "from then on: RFC 3339, or 15m, 2h, 7d ago (the log's)",
     NULL},
    {"until", 0, OPTION_TEXT, "TIME", "up to then (the log's)", NULL},
    {"user", 0, OPTION_TEXT, "NAME", "only of this database user", NULL},
    {"database", 0, OPTION_TEXT, "NAME", "only in this database", NULL},
    {"tolerance", 0, OPTION_TEXT, "SPAN", "between the clocks of the two (5s)", NULL},
    {"json", 0, OPTION_FLAG, NULL, "one JSON object a line: findings, then a summary", NULL},
    {0},
};

struct reconciling {
    const struct invocation *i;
    struct matcher *matcher;
    struct sessions *sessions;
    struct log_reader *log;
    const char *user, *database; /* NULL: any */
    int64_t since_ns, until_ns, tolerance_ns;
    bool json, only_sessions;
    /* The statement of the log that comes next. */
    bool has_next, is_log_end;
    struct server_log_line line;
    struct statement statement;
    uint64_t statements, operations, own, unclear, without_session, findings;
    enum err failed;
    struct err_text why;
};

/* --- findings ----------------------------------------------------------------------------------
 */

static const char *kind_name(enum matcher_kind kind)
{
    return kind == MATCHER_NOT_IN_AUDIT ? "not_in_audit"
           : kind == MATCHER_NOT_IN_LOG ? "not_in_log"
                                        : "refused_but_executed";
}

static void write_text(FILE *out, struct bytes text)
{
    (void)fputc('\t', out);
    text_write(out, text, TEXT_ESCAPED);
}

static void print_text(FILE *out, const struct matcher_finding *f)
{
    char moment[MOMENT_SIZE];
    moment_format(f->time_ns, moment);
    (void)fprintf(out, "%s\t%s", kind_name(f->kind), moment);
    write_text(out, f->user);
    write_text(out, f->database);
    write_text(out, f->session[0] == '\0' ? f->backend : bytes_of_string(f->session));
    write_text(out, f->text);
    (void)fputc('\n', out);
}

static void add_text(struct json *j, const char *name, struct bytes text)
{
    if (text.size == 0) {
        json_add_null(j, j->root, name);
    } else {
        json_add_text(j, j->root, name, text);
    }
}

static enum err print_json(FILE *out, const struct matcher_finding *f)
{
    struct json j;
    json_init(&j);
    json_add_string(&j, j.root, "kind", kind_name(f->kind));
    json_add_time(&j, j.root, "time", f->time_ns);
    add_text(&j, "user", f->user);
    add_text(&j, "database", f->database);
    add_text(&j, "application", f->application);
    add_text(&j, "backend", f->backend);
    add_text(&j, "session", bytes_of_string(f->session));
    if (f->session[0] == '\0') {
        json_add_null(&j, j.root, "operation");
    } else {
        json_add_unsigned(&j, j.root, "operation", f->operation);
    }
    json_add_text(&j, j.root, "text", f->text);
    enum err e = json_write_line(&j, out);
    json_finish(&j);
    return e;
}

static bool is_in_time(const struct reconciling *r, int64_t time_ns)
{
    return time_ns >= r->since_ns && (r->until_ns == 0 || time_ns <= r->until_ns);
}

static enum err on_finding(void *context, const struct matcher_finding *f)
{
    struct reconciling *r = context;
    FILE *out = r->i->out.out;
    enum err e = OK;
    if (!is_in_time(r, f->time_ns)) {
        return OK; /* only there to be found by what is in time */
    }
    r->findings++;
    if (r->json) {
        e = print_json(out, f);
    } else {
        print_text(out, f);
    }
    return e == OK && ferror(out) != 0 ? ERR_IO : e;
}

/* --- the target's log --------------------------------------------------------------------------
 */

static bool is_wanted(const struct reconciling *r, struct bytes user, struct bytes database)
{
    return (r->user == NULL || bytes_equal_string(user, r->user)) &&
           (r->database == NULL || bytes_equal_string(database, r->database));
}

static enum err take_statement(struct reconciling *r)
{
    const struct server_log_line *l = &r->line;
    const struct statement *s = &r->statement;
    int64_t time = s->began_ns;
    bool is_near = time >= r->since_ns - r->tolerance_ns &&
                   (r->until_ns == 0 || time <= r->until_ns + r->tolerance_ns);
    if (!is_near || !is_wanted(r, l->user, l->database)) {
        return OK;
    }
    if (s->kind == STATEMENT_UNCLEAR) {
        r->unclear++;
        return OK;
    }
    struct bytes text = s->text;
    enum statement_own own = statement_own(s, &text);
    r->statements += s->kind != STATEMENT_FAILED && is_in_time(r, time) ? 1 : 0;
    if (own == STATEMENT_OWN) {
        r->own++;
        return OK;
    }
    return matcher_add_entry(r->matcher,
                             &(struct matcher_entry){.time_ns = time,
                                                     .user = l->user,
                                                     .database = l->database,
                                                     .application = l->application,
                                                     .backend = l->backend,
                                                     .text = text,
                                                     .is_shared = s->kind == STATEMENT_PGAUDIT,
                                                     .is_failed = s->kind == STATEMENT_FAILED,
                                                     .is_prediction = own == STATEMENT_PREDICTION});
}

static enum err look_ahead(struct reconciling *r)
{
    enum err e = log_reader_next(r->log, &r->line, &r->statement, &r->why);
    r->has_next = e == OK;
    if (e == ERR_NOT_FOUND) {
        r->is_log_end = true;
        matcher_end_entries(r->matcher, log_reader_time(r->log));
    }
    return e == ERR_NOT_FOUND ? OK : e;
}

/* All of the log up to `time_ns`. */
static enum err read_log(struct reconciling *r, int64_t time_ns)
{
    enum err e = OK;
    while (e == OK && !r->is_log_end && (!r->has_next || r->line.time_ns <= time_ns)) {
        e = r->has_next ? take_statement(r) : OK;
        e = e == OK ? look_ahead(r) : e;
    }
    return e;
}

/* --- the audit ---------------------------------------------------------------------------------
 */

static bool runs_statement(const Chaperone__V1__Intent *m)
{
    return m->verdict != CHAPERONE__V1__VERDICT__DENY &&
           (strcmp(m->verb, "query") == 0 || strcmp(m->verb, "execute") == 0);
}

static enum err take_intent(struct reconciling *r, const Chaperone__V1__Record *record)
{
    const Chaperone__V1__Intent *m = record->intent;
    const struct session_names *names =
        sessions_find(r->sessions, record->sidecar, record->session);
    if (!runs_statement(m) || (names != NULL && !is_wanted(r, bytes_of_string(names->user),
                                                           bytes_of_string(names->database)))) {
        return OK;
    }
    r->operations += is_in_time(r, record->time_unix_ns) ? 1 : 0;
    r->without_session += names == NULL ? 1 : 0;
    return matcher_add_operation(
        r->matcher,
        &(struct matcher_operation){.stream = record->sidecar,
                                    .session = record->session,
                                    .operation = m->operation,
                                    .time_ns = record->time_unix_ns,
                                    .user = names == NULL ? NULL : names->user,
                                    .database = names == NULL ? NULL : names->database,
                                    .text = bytes_of(m->text.data, m->text.len),
                                    .text_size = m->text_size,
                                    .is_held = m->verdict == CHAPERONE__V1__VERDICT__HOLD});
}

static enum matcher_state state_of(Chaperone__V1__Status status)
{
    switch (status) {
    case CHAPERONE__V1__STATUS__SUCCESS:
    case CHAPERONE__V1__STATUS__SUSPENDED: return MATCHER_EXECUTED;
    case CHAPERONE__V1__STATUS__FAILED: return MATCHER_FAILED;
    case CHAPERONE__V1__STATUS__REFUSED:
    case CHAPERONE__V1__STATUS__NOT_EXECUTED: return MATCHER_NOT_EXECUTED;
    default: return MATCHER_UNKNOWN;
    }
}

static enum err take_record(struct reconciling *r, const Chaperone__V1__Record *record)
{
    const char *stream = record->sidecar, *session = record->session;
    switch (record->event_case) {
    case CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED:
        return sessions_add(r->sessions, stream, session, record->session_opened->target_user,
                            record->session_opened->database);
    case CHAPERONE__V1__RECORD__EVENT_INTENT: return take_intent(r, record);
    case CHAPERONE__V1__RECORD__EVENT_APPROVAL:
        return strcmp(record->approval->state, "approved") != 0
                   ? OK
                   : matcher_release(r->matcher, stream, session, record->approval->operation,
                                     record->time_unix_ns);
    case CHAPERONE__V1__RECORD__EVENT_OUTCOME:
        return matcher_set_state(r->matcher, stream, session, record->outcome->operation,
                                 state_of(record->outcome->status));
    default: return OK;
    }
}

/* Of all resources together those of other protocols are passed over; alone there would be nothing
 * to compare, and that must not look like agreement. */
static enum err check_protocol(struct reconciling *r, const Chaperone__V1__Entry *entry,
                               bool is_other)
{
    return is_other && options_value(&r->i->options, "resource") != NULL
               ? err_set(
                     &r->why, ERR_INVALID,
                     "resource %.64s is reached by %.32s: only PostgreSQL's log can be compared",
                     entry->resource, entry->protocol)
               : OK;
}

static enum err take_entry(struct reconciling *r, const Chaperone__V1__Entry *entry)
{
    Chaperone__V1__Record *record =
        chaperone__v1__record__unpack(NULL, entry->record.len, entry->record.data);
    if (record == NULL) {
        return err_set(&r->why, ERR_INVALID, "a record of the audit log cannot be read");
    }
    int64_t now = record->time_unix_ns;
    bool is_other = entry->protocol[0] != '\0' && strcmp(entry->protocol, "postgres") != 0;
    enum err e = check_protocol(r, entry, is_other);
    e = e != OK || r->only_sessions || is_other ? e : read_log(r, now + r->tolerance_ns);
    e = e == OK && !is_other ? take_record(r, record) : e;
    if (e == OK && !r->only_sessions) {
        e = matcher_advance(r->matcher, now, now + r->tolerance_ns);
    }
    chaperone__v1__record__free_unpacked(record, NULL);
    return e;
}

static bool on_entries(void *context, const ProtobufCMessage *message)
{
    struct reconciling *r = context;
    const Chaperone__V1__SearchResponse *response = (const Chaperone__V1__SearchResponse *)message;
    for (size_t n = 0; n < response->n_entries && r->failed == OK; n++) {
        r->failed = take_entry(r, response->entries[n]);
    }
    return r->failed == OK;
}

static int read_audit(struct reconciling *r, struct remote *remote, int64_t since_ns,
                      int64_t until_ns, size_t kinds_count)
{
    static const char *const kinds[] = {"session_opened", "intent", "approval", "outcome"};
    const char *resource = options_value(&r->i->options, "resource");
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    struct client_end end;
    request.kinds = (char **)(uintptr_t)kinds;
    request.n_kinds = kinds_count;
    request.since_unix_ns = since_ns > 0 ? since_ns : 1;
    request.until_unix_ns = until_ns;
    if (resource != NULL) {
        request.resource = (char *)(uintptr_t)resource;
    }
    client_stream(remote->client, &chaperone__v1__audit__descriptor, "Search", &request.base,
                  on_entries, r, &end);
    return remote_exit(r->i, remote, &end);
}

/* What was let through shortly before the time asked for may have been executed in it. The outcomes
 * of what is in it may come long after: there is no end to the search but the log's. */
static int read_both(struct reconciling *r, struct remote *remote)
{
    int64_t from = r->since_ns - r->tolerance_ns;
    r->only_sessions = true;
    int code = read_audit(r, remote, from - session_ns, from, 1);
    r->only_sessions = false;
    if (code == EXIT_YES && r->failed == OK) {
        code = read_audit(r, remote, from, 0, 4);
    }
    if (code == EXIT_YES && r->failed == OK) {
        r->failed = read_log(r, INT64_MAX);
    }
    if (code == EXIT_YES && r->failed == OK) {
        r->failed = matcher_end(r->matcher);
    }
    return code == EXIT_YES && r->failed != OK
               ? command_fail(r->i, EXIT_NO, "%s",
                              r->why.text[0] == '\0' ? err_name(r->failed) : r->why.text)
               : code;
}

/* --- the summary -------------------------------------------------------------------------------
 */

static enum err print_summary_json(const struct reconciling *r, const struct matcher_counts *n)
{
    struct json j;
    json_init(&j);
    json_add_string(&j, j.root, "kind", "summary");
    json_add_bool(&j, j.root, "agrees", r->findings + r->unclear == 0);
    json_add_unsigned(&j, j.root, "findings", r->findings);
    json_add_unsigned(&j, j.root, "statements", r->statements);
    json_add_unsigned(&j, j.root, "operations", r->operations);
    json_add_unsigned(&j, j.root, "matched", n->matched);
    json_add_unsigned(&j, j.root, "own_questions", r->own + n->predictions);
    json_add_unsigned(&j, j.root, "unclear", r->unclear);
    json_add_unsigned(&j, j.root, "errors", n->errors);
    json_add_unsigned(&j, j.root, "failed_not_in_log", n->failed);
    json_add_unsigned(&j, j.root, "unknown_not_in_log", n->unknown);
    json_add_unsigned(&j, j.root, "without_session", r->without_session);
    json_add_time(&j, j.root, "since", r->since_ns);
    json_add_time(&j, j.root, "until", r->until_ns == 0 ? log_reader_time(r->log) : r->until_ns);
    enum err e = json_write_line(&j, r->i->out.out);
    json_finish(&j);
    return e;
}

static void print_count(FILE *out, const char *what, uint64_t count, bool always)
{
    if (count > 0 || always) {
        (void)fprintf(out, "%s\t%" PRIu64 "\n", what, count);
    }
}

static void print_summary(const struct reconciling *r, const struct matcher_counts *n)
{
    FILE *out = r->i->out.out;
    (void)fputs(r->findings + r->unclear == 0 ? "the two agree\n" : "the two do not agree\n", out);
    print_count(out, "statements in the log", r->statements, true);
    print_count(out, "operations in the audit", r->operations, true);
    print_count(out, "in both", n->matched, true);
    print_count(out, "questions of the sidecar's own", r->own + n->predictions, true);
    print_count(out, "lines of the log that are not understood", r->unclear, false);
    print_count(out, "errors before anything was executed", n->errors, false);
    print_count(out, "failed operations that the log does not name", n->failed, false);
    print_count(out, "operations without an outcome, not in the log", n->unknown, false);
    print_count(out, "operations whose session's beginning is not known", r->without_session,
                false);
}

static int conclude(const struct reconciling *r)
{
    struct matcher_counts n = matcher_counts(r->matcher);
    enum err e = OK;
    if (r->json) {
        e = print_summary_json(r, &n);
    } else {
        print_summary(r, &n);
    }
    if (e != OK) {
        return command_fail(r->i, EXIT_NO, "%s", err_name(e));
    }
    int code = remote_flush(r->i);
    return code == EXIT_YES && r->findings + r->unclear > 0 ? EXIT_NO : code;
}

/* --- the command -------------------------------------------------------------------------------
 */

static enum err read_options(const struct invocation *i, struct reconciling *r,
                             struct err_text *error)
{
    const char *tolerance = options_value(&i->options, "tolerance");
    struct err_text why = {0};
    if (options_value(&i->options, "postgres-log") == NULL) {
        return err_set(error, ERR_INVALID, "--postgres-log FILE is needed");
    }
    enum err e = command_times(i, &r->since_ns, &r->until_ns, error);
    if (e != OK) {
        return e;
    }
    if (moment_parse_span(tolerance == NULL ? default_tolerance : tolerance, &r->tolerance_ns,
                          &why) != OK) {
        return err_set(error, ERR_INVALID, "--tolerance: %s", why.text);
    }
    r->user = options_value(&i->options, "user");
    r->database = options_value(&i->options, "database");
    return OK;
}

static int run(struct reconciling *r)
{
    struct remote remote;
    if (look_ahead(r) != OK) {
        return command_fail(r->i, EXIT_NO, "%s", r->why.text);
    }
    if (!r->has_next) {
        return command_fail(r->i, EXIT_NO,
                            "there is no statement in the log: log_statement = all is needed");
    }
    /* What the log does not reach back to cannot be missed in it. */
    r->since_ns = r->since_ns > r->line.time_ns ? r->since_ns : r->line.time_ns;
    int code = remote_open(r->i, &remote);
    if (code != EXIT_YES) {
        return code;
    }
    code = read_both(r, &remote);
    remote_close(&remote);
    return code == EXIT_YES ? conclude(r) : code;
}

int command_audit_reconcile(struct invocation *i)
{
    struct reconciling r = {.i = i, .json = options_flag(&i->options, "json")};
    struct err_text error = {0};
    if (read_options(i, &r, &error) != OK) {
        return command_misuse(i, &error);
    }
    if (log_reader_open(options_value(&i->options, "postgres-log"), &r.log, &error) != OK) {
        return command_fail(i, EXIT_MISUSE, "%s", error.text);
    }
    r.matcher = matcher_create(&(struct matcher_options){
        .tolerance_ns = r.tolerance_ns, .on_finding = on_finding, .context = &r});
    r.sessions = sessions_create();
    int code = r.matcher == NULL || r.sessions == NULL ? command_fail(i, EXIT_NO, "out of memory")
                                                       : run(&r);
    sessions_destroy(r.sessions);
    matcher_destroy(r.matcher);
    log_reader_close(r.log);
    return code;
}

/* audit completeness: what is missing from the audit log. */
#include <inttypes.h>
#include <stdio.h>

#include "api/operator.pb-c.h"
#include "cli/commands.h"
#include "cli/output/moment.h"
#include "cli/remote.h"
#include "completeness/completeness.h"
#include "formats/json.h"
#include "formats/text.h"

/* An idle sidecar writes a heartbeat each minute. */
static const char default_silence[] = "3m";

const struct option_spec command_audit_completeness_options[] = {
    {"since", 0, OPTION_TEXT, "TIME", "from then on: RFC 3339, or 15m, 2h, 7d ago (all)", NULL},
    {"silence", 0, OPTION_TEXT, "SPAN", "longer without a heartbeat is a silence (3m)", NULL},
    {"json", 0, OPTION_FLAG, NULL, "one JSON object a line: findings, then a summary", NULL},
    {0},
};

struct checking {
    const struct invocation *i;
    struct completeness *check;
    int64_t since_ns, began_ns;
    bool json;
    enum err failed;
};

/* --- what is missing ---------------------------------------------------------------------------
 */

static void say_numbers(FILE *out, const struct completeness_finding *f)
{
    (void)fprintf(out, f->first == f->last ? "record %" PRIu64 : "records %" PRIu64 " to %" PRIu64,
                  f->first, f->last);
}

static void say(FILE *out, const struct completeness_finding *f)
{
    char from[MOMENT_SIZE], to[MOMENT_SIZE];
    moment_format(f->from_ns, from);
    moment_format(f->to_ns, to);
    switch (f->kind) {
    case COMPLETENESS_MALFORMED:
        (void)fprintf(out, "record %" PRIu64 " cannot be read", f->first);
        break;
    case COMPLETENESS_GAP:
    case COMPLETENESS_BEGINNING:
        say_numbers(out, f);
        (void)fputs(f->first == f->last ? " is missing" : " are missing", out);
        break;
    case COMPLETENESS_TAIL:
        say_numbers(out, f);
        (void)fputs(" at the end, which the control plane had, missing", out);
        break;
    case COMPLETENESS_REPEATED:
        (void)fprintf(out, "record %" PRIu64 " comes again", f->first);
        break;
    case COMPLETENESS_CHAIN:
        (void)fprintf(out, "record %" PRIu64 " does not carry the hash of the one before it",
                      f->first);
        break;
    case COMPLETENESS_SIGNATURE:
        (void)fprintf(out, "heartbeat %" PRIu64 " has a wrong signature", f->first);
        break;
    case COMPLETENESS_KEY:
        (void)fprintf(out, "heartbeat %" PRIu64 " is signed by another key than the one before it",
                      f->first);
        break;
    case COMPLETENESS_SILENCE:
        (void)fprintf(out, "no heartbeat from %s to %s, with work under way", from, to);
        break;
    case COMPLETENESS_LOSS:
        say_numbers(out, f);
        (void)fputs(" lost, says the sidecar", out);
        break;
    case COMPLETENESS_NO_OUTCOME:
        (void)fprintf(out,
                      "operation %" PRIu64 " of %s has no outcome: whether it was executed is "
                      "unknown",
                      f->operation, from);
        break;
    case COMPLETENESS_NO_END:
        (void)fprintf(out, "the session has no end; its last record is of %s", from);
        break;
    case COMPLETENESS_AFTER_END:
        say_numbers(out, f);
        (void)fputs(f->first == f->last ? " comes" : " come", out);
        (void)fputs(" behind the end that was recorded when the sidecar was revoked", out);
        break;
    case COMPLETENESS_REVOKED:
        (void)fprintf(out, "the sidecar was revoked at %s; its records end with number %" PRIu64,
                      from, f->last);
        break;
    case COMPLETENESS_RECORDED: (void)fprintf(out, "the control plane noticed at %s", from); break;
    }
}

static enum err print_text(FILE *out, const struct completeness_finding *f)
{
    (void)fprintf(out, "%s\t", completeness_kind_name(f->kind));
    text_write(out, bytes_of_string(f->sidecar), TEXT_ESCAPED);
    (void)fputc('\t', out);
    text_write(out, bytes_of_string(f->session), TEXT_ESCAPED);
    (void)fputc('\t', out);
    say(out, f);
    if (f->reason[0] != '\0') {
        (void)fputs(": ", out);
        text_write(out, bytes_of_string(f->reason), TEXT_ESCAPED);
    }
    (void)fputc('\n', out);
    return OK;
}

static void add_number(struct json *j, const char *name, uint64_t value)
{
    if (value == 0) {
        json_add_null(j, j->root, name);
    } else {
        json_add_unsigned(j, j->root, name, value);
    }
}

static void add_time(struct json *j, const char *name, int64_t value)
{
    if (value == 0) {
        json_add_null(j, j->root, name);
    } else {
        json_add_time(j, j->root, name, value);
    }
}

static enum err print_json(FILE *out, const struct completeness_finding *f)
{
    struct json j;
    json_init(&j);
    json_add_string(&j, j.root, "kind", completeness_kind_name(f->kind));
    json_add_string(&j, j.root, "sidecar", f->sidecar[0] == '\0' ? NULL : f->sidecar);
    json_add_string(&j, j.root, "session", f->session[0] == '\0' ? NULL : f->session);
    add_number(&j, "first", f->first);
    add_number(&j, "last", f->last);
    add_number(&j, "operation", f->operation);
    add_time(&j, "from", f->from_ns);
    add_time(&j, "to", f->to_ns);
    json_add_string(&j, j.root, "reason", f->reason[0] == '\0' ? NULL : f->reason);
    enum err e = json_write_line(&j, out);
    json_finish(&j);
    return e;
}

static enum err on_finding(void *context, const struct completeness_finding *f)
{
    const struct checking *c = context;
    FILE *out = c->i->out.out;
    enum err e = c->json ? print_json(out, f) : print_text(out, f);
    return e == OK && ferror(out) != 0 ? ERR_IO : e;
}

/* --- the summary -------------------------------------------------------------------------------
 */

static enum err print_summary_json(FILE *out, const struct completeness_counts *n)
{
    struct json j;
    json_init(&j);
    json_add_string(&j, j.root, "kind", "summary");
    json_add_bool(&j, j.root, "complete", n->findings == 0);
    json_add_unsigned(&j, j.root, "findings", n->findings);
    json_add_unsigned(&j, j.root, "records", n->records);
    json_add_unsigned(&j, j.root, "streams", n->streams);
    json_add_unsigned(&j, j.root, "heartbeats", n->heartbeats);
    json_add_unsigned(&j, j.root, "sessions", n->sessions);
    json_add_unsigned(&j, j.root, "operations", n->operations);
    json_add_unsigned(&j, j.root, "running_sessions", n->running_sessions);
    json_add_unsigned(&j, j.root, "running_operations", n->running_operations);
    json_add_unsigned(&j, j.root, "revoked", n->revoked);
    enum err e = json_write_line(&j, out);
    json_finish(&j);
    return e;
}

static void print_summary(FILE *out, const struct completeness_counts *n)
{
    (void)fprintf(out,
                  "%s: %" PRIu64 " records of %" PRIu64 " streams, %" PRIu64 " heartbeats, %" PRIu64
                  " sessions, %" PRIu64 " operations",
                  n->findings == 0 ? "complete" : "not complete", n->records, n->streams,
                  n->heartbeats, n->sessions, n->operations);
    if (n->running_sessions > 0) {
        (void)fprintf(out, "; %" PRIu64 " sessions go on", n->running_sessions);
    }
    if (n->revoked > 0) {
        (void)fprintf(out, "; %" PRIu64 " sidecar%s revoked", n->revoked,
                      n->revoked == 1 ? "" : "s");
    }
    (void)fputc('\n', out);
}

static int conclude(const struct checking *c)
{
    struct completeness_counts n = completeness_counts(c->check);
    FILE *out = c->i->out.out;
    enum err e = OK;
    if (c->json) {
        e = print_summary_json(out, &n);
    } else {
        print_summary(out, &n);
    }
    if (e != OK) {
        return command_fail(c->i, EXIT_NO, "%s", err_name(e));
    }
    int code = remote_flush(c->i);
    return code == EXIT_YES && n.findings > 0 ? EXIT_NO : code;
}

/* --- asking ------------------------------------------------------------------------------------
 */

static int ask_status(struct checking *c, struct remote *remote,
                      const Chaperone__V1__ListSessionsResponse *open)
{
    Chaperone__V1__StatusRequest request = CHAPERONE__V1__STATUS_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    int code = remote_call(c->i, remote, &chaperone__v1__administration__descriptor, "Status",
                           &request.base, &reply);
    if (code != EXIT_YES) {
        return code;
    }
    const Chaperone__V1__StatusResponse *s = (const Chaperone__V1__StatusResponse *)reply;
    enum err e = OK;
    for (size_t n = 0; e == OK && n < s->n_sidecars; n++) {
        e = completeness_expect_last(c->check, s->sidecars[n]->sidecar,
                                     s->sidecars[n]->last_sequence);
    }
    for (size_t n = 0; e == OK && n < open->n_sessions; n++) {
        const Chaperone__V1__SessionSummary *session = open->sessions[n];
        int64_t seen = c->began_ns;
        for (size_t k = 0; k < s->n_sidecars; k++) {
            if (strcmp(s->sidecars[k]->sidecar, session->sidecar) == 0) {
                seen = s->sidecars[k]->last_seen_unix_ns;
            }
        }
        e = completeness_expect_open(c->check, session->sidecar, session->session, seen);
    }
    protobuf_c_message_free_unpacked(reply, NULL);
    return e == OK ? EXIT_YES : command_fail(c->i, EXIT_NO, "%s", err_name(e));
}

/* What is known before the log is read must be found in it. */
static int ask_first(struct checking *c, struct remote *remote)
{
    Chaperone__V1__ListSessionsRequest request = CHAPERONE__V1__LIST_SESSIONS_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    int code = remote_call(c->i, remote, &chaperone__v1__sessions__descriptor, "List",
                           &request.base, &reply);
    if (code == EXIT_YES) {
        code = ask_status(c, remote, (const Chaperone__V1__ListSessionsResponse *)reply);
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    return code;
}

static bool on_entries(void *context, const ProtobufCMessage *message)
{
    struct checking *c = context;
    const Chaperone__V1__SearchResponse *r = (const Chaperone__V1__SearchResponse *)message;
    for (size_t n = 0; n < r->n_entries && c->failed == OK; n++) {
        const Chaperone__V1__Entry *entry = r->entries[n];
        const struct completeness_erased erased = {.sidecar = entry->sidecar,
                                                   .sequence = entry->sequence,
                                                   .time_ns = entry->time_unix_ns,
                                                   .hash =
                                                       bytes_of(entry->hash.data, entry->hash.len)};
        c->failed =
            entry->is_erased
                ? completeness_add_erased(c->check, &erased)
                : completeness_add(c->check, bytes_of(entry->record.data, entry->record.len));
    }
    return c->failed == OK;
}

static int read_log(struct checking *c, struct remote *remote)
{
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    struct client_end end;
    request.since_unix_ns = c->since_ns;
    client_stream(remote->client, &chaperone__v1__audit__descriptor, "Search", &request.base,
                  on_entries, c, &end);
    int code = remote_exit(c->i, remote, &end);
    if (code == EXIT_YES && c->failed == OK) {
        c->failed = completeness_end(c->check, c->began_ns, clock_wall(&c->i->clock));
    }
    return code == EXIT_YES && c->failed != OK
               ? command_fail(c->i, EXIT_NO, "the log cannot be checked: %s", err_name(c->failed))
               : code;
}

static int check_all(struct checking *c)
{
    struct remote remote;
    int code = remote_open(c->i, &remote);
    if (code != EXIT_YES) {
        return code;
    }
    code = ask_first(c, &remote);
    code = code == EXIT_YES ? read_log(c, &remote) : code;
    remote_close(&remote);
    return code == EXIT_YES ? conclude(c) : code;
}

/* --- the command -------------------------------------------------------------------------------
 */

static enum err read_options(const struct invocation *i, struct checking *c, int64_t *out_silence,
                             struct err_text *error)
{
    const char *since = options_value(&i->options, "since");
    const char *silence = options_value(&i->options, "silence");
    struct err_text why = {0};
    if (since != NULL && moment_parse(since, c->began_ns, &c->since_ns, &why) != OK) {
        return err_set(error, ERR_INVALID, "--since: %s", why.text);
    }
    if (moment_parse_span(silence == NULL ? default_silence : silence, out_silence, &why) != OK) {
        return err_set(error, ERR_INVALID, "--silence: %s", why.text);
    }
    return OK;
}

int command_audit_completeness(struct invocation *i)
{
    struct checking c = {
        .i = i, .began_ns = clock_wall(&i->clock), .json = options_flag(&i->options, "json")};
    struct completeness_options options = {.on_finding = on_finding, .context = &c};
    struct err_text error = {0};
    if (read_options(i, &c, &options.silence_ns, &error) != OK) {
        return command_misuse(i, &error);
    }
    options.from_beginning = c.since_ns == 0;
    c.check = completeness_create(&options);
    int code = c.check == NULL ? command_fail(i, EXIT_NO, "out of memory") : check_all(&c);
    completeness_destroy(c.check);
    return code;
}

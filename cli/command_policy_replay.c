/* policy replay: what a new policy would have decided on recorded operations. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/operator.pb-c.h"
#include "cli/command_policy.h"
#include "cli/commands.h"
#include "cli/output/moment.h"
#include "cli/output/table.h"
#include "cli/policy/decision.h"
#include "cli/policy/replay.h"
#include "cli/remote.h"
#include "formats/json.h"
#include "formats/text.h"
#include "policies/policy.h"

static const char default_since[] = "7d";
static const int64_t progress_every_ns = 200 * 1000 * 1000;

const struct option_spec command_policy_replay_options[] = {
    {"since", 0, OPTION_TEXT, "TIME", "from then on: RFC 3339, or 15m, 2h, 7d ago (7d)", NULL},
    {"until", 0, OPTION_TEXT, "TIME", "up to then (now)", NULL},
    {"resource", 'r', OPTION_TEXT, "NAME", "on this resource", NULL},
    {"json", 0, OPTION_FLAG, NULL, "one JSON object a line: changes, then a summary", NULL},
    {0},
};

struct replaying {
    const struct invocation *i;
    struct replay *replay;
    int64_t since_ns, until_ns;
    int64_t shown_ns; /* when the progress was written last */
    bool has_progress;
    enum err failed;
};

/* --- progress ----------------------------------------------------------------------------------
 */

static void show_progress(struct replaying *p, int64_t reached_unix_ns)
{
    const struct terminal *t = &p->i->errors;
    int64_t now = clock_monotonic(&p->i->clock);
    if (!t->is_terminal || now - p->shown_ns < progress_every_ns) {
        return;
    }
    char moment[MOMENT_SIZE];
    moment_format(reached_unix_ns, moment);
    (void)fprintf(t->out, "\r%" PRIu64 " operations, up to %s",
                  replay_counts(p->replay)->operations, moment);
    (void)fflush(t->out);
    p->shown_ns = now;
    p->has_progress = true;
}

static void clear_progress(struct replaying *p)
{
    if (p->has_progress) {
        (void)fputs("\r\x1b[K", p->i->errors.out);
        (void)fflush(p->i->errors.out);
        p->has_progress = false;
    }
}

/* --- reading the record ------------------------------------------------------------------------
 */

static enum err add_entry(struct replaying *p, const Chaperone__V1__Entry *entry)
{
    Chaperone__V1__Record *record =
        chaperone__v1__record__unpack(NULL, entry->record.len, entry->record.data);
    if (record == NULL) {
        return ERR_INVALID;
    }
    enum err e = replay_add(p->replay, record);
    show_progress(p, record->time_unix_ns);
    chaperone__v1__record__free_unpacked(record, NULL);
    return e;
}

static bool on_entries(void *context, const ProtobufCMessage *message)
{
    struct replaying *p = context;
    const Chaperone__V1__SearchResponse *r = (const Chaperone__V1__SearchResponse *)message;
    for (size_t n = 0; n < r->n_entries && p->failed == OK; n++) {
        p->failed = add_entry(p, r->entries[n]);
    }
    return p->failed == OK;
}

/* The control plane reads and sends page by page, as fast as this end takes them. `session` NULL:
 * all. A session is read from its beginning: who it is stands there. */
static int read_records(struct replaying *p, struct remote *remote, const char *session)
{
    const char *kinds[] = {"session_opened", "intent", "session_closed"};
    const char *resource = options_value(&p->i->options, "resource");
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    struct client_end end;
    request.kinds = (char **)(uintptr_t)kinds;
    request.n_kinds = sizeof(kinds) / sizeof(kinds[0]);
    request.until_unix_ns = p->until_ns;
    if (session != NULL) {
        request.session = (char *)(uintptr_t)session;
    } else {
        request.since_unix_ns = p->since_ns;
    }
    if (resource != NULL) {
        request.resource = (char *)(uintptr_t)resource;
    }
    client_stream(remote->client, &chaperone__v1__audit__descriptor, "Search", &request.base,
                  on_entries, p, &end);
    clear_progress(p);
    int code = remote_exit(p->i, remote, &end);
    if (code == EXIT_YES && p->failed != OK) {
        code =
            command_fail(p->i, EXIT_NO, "the records cannot be replayed: %s", err_name(p->failed));
    }
    return code;
}

static int read_all(struct replaying *p)
{
    struct remote remote;
    int code = remote_open(p->i, &remote);
    if (code != EXIT_YES) {
        return code;
    }
    code = read_records(p, &remote, NULL);
    for (const char *missing = replay_missing(p->replay); code == EXIT_YES && missing != NULL;
         missing = replay_missing(p->replay)) {
        char *session = bytes_to_string(bytes_of_string(missing));
        if (session == NULL) {
            code = command_fail(p->i, EXIT_NO, "out of memory");
            break;
        }
        replay_resume(p->replay);
        code = read_records(p, &remote, session);
        free(session);
    }
    remote_close(&remote);
    return code;
}

/* --- the answer --------------------------------------------------------------------------------
 */

static enum err print_changes(const struct invocation *i,
                              const struct replay_change *const *changes, size_t count)
{
    static const char *const headings[] = {"TIMES",    "WAS",      "WOULD BE",  "RULE", "LAST",
                                           "IDENTITY", "RESOURCE", "STATEMENT", NULL};
    struct table *t = table_create(headings);
    enum err e = t == NULL ? ERR_NO_MEMORY : OK;
    for (size_t n = 0; e == OK && n < count; n++) {
        const struct replay_change *c = changes[n];
        char moment[MOMENT_SIZE];
        moment_format(c->last_unix_ns, moment);
        e = table_add_number(t, c->count);
        e = e == OK ? table_add_string(t, decision_effect_name(c->was)) : e;
        e = e == OK ? table_add_string(t, decision_effect_name(c->would)) : e;
        e = e == OK ? table_add_string(t, c->rule) : e;
        e = e == OK ? table_add_string(t, moment) : e;
        e = e == OK ? table_add_string(t, c->identity) : e;
        e = e == OK ? table_add_string(t, c->resource) : e;
        e = e == OK ? table_add_string(t, c->shape) : e;
    }
    if (e == OK && count > 0) {
        (void)fputc('\n', i->out.out);
        table_print(t, &i->out);
    }
    table_destroy(t);
    return e;
}

static void print_count(FILE *out, const char *what, uint64_t count, bool always)
{
    if (count > 0 || always) {
        (void)fprintf(out, "%s\t%" PRIu64 "\n", what, count);
    }
}

static void print_summary(const struct invocation *i, const struct replay_counts *c)
{
    FILE *out = i->out.out;
    print_count(out, "operations replayed", c->operations, true);
    print_count(out, "same", c->same, true);
    print_count(out, "newly refused", c->newly_refused, true);
    print_count(out, "newly allowed", c->newly_allowed, true);
    print_count(out, "newly held", c->newly_held, false);
    print_count(out, "not replayable: not recorded whole", c->truncated, false);
    print_count(out, "not replayable: the session's beginning is not recorded", c->without_session,
                false);
    print_count(out, "decided without what masking would add", c->masked, false);
    print_count(out, "changes beyond what is listed", c->changes_cut, false);
}

static enum err print_change_json(const struct invocation *i, const struct replay_change *c)
{
    struct json j;
    json_init(&j);
    json_add_string(&j, j.root, "kind", "change");
    json_add_string(&j, j.root, "statement", c->shape);
    json_add_string(&j, j.root, "identity", c->identity);
    json_add_string(&j, j.root, "resource", c->resource);
    json_add_string(&j, j.root, "was", decision_effect_name(c->was));
    json_add_string(&j, j.root, "was_rule", c->was_rule);
    json_add_string(&j, j.root, "would_be", decision_effect_name(c->would));
    json_add_string(&j, j.root, "rule", c->rule);
    json_add_unsigned(&j, j.root, "count", c->count);
    json_add_time(&j, j.root, "last", c->last_unix_ns);
    json_add_string(&j, j.root, "session", c->last_session);
    json_add_unsigned(&j, j.root, "operation", c->last_operation);
    enum err e = json_write_line(&j, i->out.out);
    json_finish(&j);
    return e;
}

static enum err print_summary_json(const struct invocation *i, const struct replay_counts *c)
{
    struct json j;
    json_init(&j);
    json_add_string(&j, j.root, "kind", "summary");
    json_add_unsigned(&j, j.root, "operations", c->operations);
    json_add_unsigned(&j, j.root, "same", c->same);
    json_add_unsigned(&j, j.root, "newly_refused", c->newly_refused);
    json_add_unsigned(&j, j.root, "newly_allowed", c->newly_allowed);
    json_add_unsigned(&j, j.root, "newly_held", c->newly_held);
    json_add_unsigned(&j, j.root, "truncated", c->truncated);
    json_add_unsigned(&j, j.root, "without_session", c->without_session);
    json_add_unsigned(&j, j.root, "masked", c->masked);
    json_add_unsigned(&j, j.root, "changes_cut", c->changes_cut);
    enum err e = json_write_line(&j, i->out.out);
    json_finish(&j);
    return e;
}

static int print_answer(const struct invocation *i, struct replay *replay)
{
    const struct replay_change *const *changes = NULL;
    size_t count = 0;
    enum err e = replay_changes(replay, &changes, &count);
    if (options_flag(&i->options, "json")) {
        for (size_t n = 0; e == OK && n < count; n++) {
            e = print_change_json(i, changes[n]);
        }
        e = e == OK ? print_summary_json(i, replay_counts(replay)) : e;
    } else if (e == OK) {
        print_summary(i, replay_counts(replay));
        e = print_changes(i, changes, count);
    }
    return e == OK ? remote_flush(i) : command_fail(i, EXIT_NO, "%s", err_name(e));
}

/* --- the command -------------------------------------------------------------------------------
 */

static enum err read_times(const struct invocation *i, struct replaying *p, struct err_text *error)
{
    const char *since = options_value(&i->options, "since");
    const char *until = options_value(&i->options, "until");
    int64_t now = clock_wall(&i->clock);
    struct err_text why = {0};
    if (moment_parse(since == NULL ? default_since : since, now, &p->since_ns, &why) != OK) {
        return err_set(error, ERR_INVALID, "--since: %s", why.text);
    }
    /* Without an end the record might grow faster than it is replayed. */
    if (moment_parse(until == NULL ? "now" : until, now, &p->until_ns, &why) != OK) {
        return err_set(error, ERR_INVALID, "--until: %s", why.text);
    }
    return p->since_ns <= p->until_ns ? OK
                                      : err_set(error, ERR_INVALID, "--since is after --until");
}

int command_policy_replay(struct invocation *i)
{
    struct replaying p = {.i = i};
    struct policy *policy = NULL;
    struct err_text error = {0};
    if (read_times(i, &p, &error) != OK) {
        return command_misuse(i, &error);
    }
    int code = command_policy_load_file(i, i->options.arguments[0], &policy);
    if (code != EXIT_YES) {
        return code;
    }
    p.replay = replay_create(policy, p.since_ns, p.until_ns);
    code = p.replay == NULL ? command_fail(i, EXIT_NO, "out of memory") : read_all(&p);
    code = code == EXIT_YES ? print_answer(i, p.replay) : code;
    replay_destroy(p.replay);
    policy_destroy(policy);
    return code;
}

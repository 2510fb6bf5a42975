/* session kill: one session, or the kill switch. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/operator.pb-c.h"
#include "cli/command_session.h"
#include "cli/commands.h"
#include "cli/output/moment.h"
#include "cli/remote.h"

const struct option_spec command_session_kill_options[] = {
    {"identity", 0, OPTION_TEXT, "SUBJECT", "all of this agent, or on behalf of this person", NULL},
    {"resource", 0, OPTION_TEXT, "NAME", "all to this resource", NULL},
    {"all", 'a', OPTION_FLAG, NULL, "all there are", NULL},
    {"reason", 0, OPTION_TEXT, "TEXT", "why; the audit log keeps it", NULL},
    {"allow-new", 0, OPTION_FLAG, NULL, "end what runs, do not refuse new sessions", NULL},
    {"yes", 'y', OPTION_FLAG, NULL, "with --all: do not ask", NULL},
    {"json", 0, OPTION_FLAG, NULL, "the answer as a JSON object", NULL},
    {0},
};

enum err session_what_read(const struct options *o, struct session_what *out,
                           struct err_text *error)
{
    struct session_what w = {.id = o->argument_count > 0 ? o->arguments[0] : NULL,
                             .identity = options_value(o, "identity"),
                             .resource = options_value(o, "resource"),
                             .all = options_flag(o, "all")};
    const char *given[] = {w.id, w.identity, w.resource};
    int count = w.all ? 1 : 0;
    for (size_t n = 0; n < sizeof(given) / sizeof(given[0]); n++) {
        if (given[n] != NULL && given[n][0] == '\0') {
            /* An unset variable of a script must not mean something else. */
            return err_set(error, ERR_INVALID, "an empty name names nothing");
        }
        count += given[n] != NULL ? 1 : 0;
    }
    if (count != 1) {
        return ERR_NOT_FOUND;
    }
    *out = w;
    return OK;
}

void session_add_block(struct json *j, cJSON *to, const Chaperone__V1__Block *b)
{
    json_add_string(j, to, "id", b->id);
    json_add_string(j, to, "identity", b->identity[0] == '\0' ? NULL : b->identity);
    json_add_string(j, to, "resource", b->resource[0] == '\0' ? NULL : b->resource);
    json_add_bool(j, to, "everything", b->everything);
    json_add_string(j, to, "reason", b->reason[0] == '\0' ? NULL : b->reason);
    json_add_string(j, to, "created_by", b->created_by);
    json_add_time(j, to, "created", b->created_unix_ns);
}

static int write_json(const struct invocation *i, struct json *j, int code)
{
    enum err e = json_write_line(j, i->out.out);
    json_finish(j);
    if (e != OK) {
        return command_fail(i, EXIT_NO, "%s", err_name(e));
    }
    int flushed = remote_flush(i);
    return flushed == EXIT_YES ? code : flushed;
}

/* --- one session -------------------------------------------------------------------------------
 */

static int report_kill(const struct invocation *i, const char *session,
                       const Chaperone__V1__KillSessionResponse *r)
{
    int code = r->killed ? EXIT_YES : EXIT_NO;
    if (options_flag(&i->options, "json")) {
        struct json j;
        json_init(&j);
        json_add_string(&j, j.root, "session", session);
        json_add_bool(&j, j.root, "killed", r->killed);
        json_add_signed(&j, j.root, "took_us", r->took_us);
        code = write_json(i, &j, code);
    } else if (r->killed) {
        char took[MOMENT_SIZE];
        moment_format_duration(r->took_us, took);
        (void)fprintf(i->out.out, "killed %s in %s\n", session, took);
        code = remote_flush(i);
    }
    return r->killed ? code : command_fail(i, EXIT_NO, "session %s was not open any more", session);
}

static int kill_one(struct invocation *i, struct remote *remote, const struct session_what *what)
{
    Chaperone__V1__KillSessionRequest request = CHAPERONE__V1__KILL_SESSION_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    const char *reason = options_value(&i->options, "reason");
    request.session = (char *)(uintptr_t)what->id;
    request.reason = (char *)(uintptr_t)(reason == NULL ? "" : reason);
    int code =
        remote_call(i, remote, &chaperone__v1__sessions__descriptor, "Kill", &request.base, &reply);
    if (code == EXIT_YES) {
        code = report_kill(i, what->id, (const Chaperone__V1__KillSessionResponse *)reply);
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    return code;
}

/* --- the kill switch ---------------------------------------------------------------------------
 */

static void add_strings(struct json *j, const char *name, char *const *items, size_t count)
{
    cJSON *array = json_add_array(j, j->root, name);
    for (size_t n = 0; n < count; n++) {
        json_add_string(j, array, NULL, items[n]);
    }
}

static int block_json(const struct invocation *i, const Chaperone__V1__BlockResponse *r, int code)
{
    struct json j;
    json_init(&j);
    if (r->block == NULL) {
        json_add_null(&j, j.root, "block");
    } else {
        session_add_block(&j, json_add_object(&j, j.root, "block"), r->block);
    }
    add_strings(&j, "sessions", r->sessions, r->n_sessions);
    add_strings(&j, "not_confirmed", r->not_confirmed, r->n_not_confirmed);
    json_add_signed(&j, j.root, "took_us", r->took_us);
    return write_json(i, &j, code);
}

static int report_block(const struct invocation *i, const Chaperone__V1__BlockResponse *r)
{
    int code = r->n_not_confirmed == 0 ? EXIT_YES : EXIT_NO;
    char took[MOMENT_SIZE];
    if (options_flag(&i->options, "json")) {
        return block_json(i, r, code);
    }
    moment_format_duration(r->took_us, took);
    for (size_t n = 0; n < r->n_sessions; n++) {
        (void)fprintf(i->out.out, "killed %s\n", r->sessions[n]);
    }
    (void)fprintf(i->out.out, "%zu session%s ended in %s\n", r->n_sessions,
                  r->n_sessions == 1 ? "" : "s", took);
    if (r->block != NULL) {
        (void)fprintf(i->out.out, "new sessions are refused until: chaperone session lift %s\n",
                      r->block->id);
    }
    int flushed = remote_flush(i);
    for (size_t n = 0; n < r->n_not_confirmed; n++) {
        (void)command_fail(i, EXIT_NO, "not confirmed: %s", r->not_confirmed[n]);
    }
    return flushed == EXIT_YES ? code : flushed;
}

static int block(struct invocation *i, struct remote *remote, const struct session_what *what)
{
    Chaperone__V1__BlockRequest request = CHAPERONE__V1__BLOCK_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    const char *reason = options_value(&i->options, "reason");
    request.identity = (char *)(uintptr_t)(what->identity == NULL ? "" : what->identity);
    request.resource = (char *)(uintptr_t)(what->resource == NULL ? "" : what->resource);
    request.everything = what->all;
    request.reason = (char *)(uintptr_t)(reason == NULL ? "" : reason);
    request.allow_new = options_flag(&i->options, "allow-new");
    int code = remote_call(i, remote, &chaperone__v1__sessions__descriptor, "Block", &request.base,
                           &reply);
    if (code == EXIT_YES) {
        code = report_block(i, (const Chaperone__V1__BlockResponse *)reply);
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    return code;
}

/* --- the command -------------------------------------------------------------------------------
 */

/* Everybody's work ends: not by a slip of the hand. */
static bool is_confirmed(const struct invocation *i)
{
    char line[16] = "";
    (void)fprintf(i->errors.out, "End all sessions%s? [y/N] ",
                  options_flag(&i->options, "allow-new") ? "" : " and refuse new ones");
    (void)fflush(i->errors.out);
    return fgets(line, sizeof(line), stdin) != NULL &&
           (strcmp(line, "y\n") == 0 || strcmp(line, "yes\n") == 0);
}

static enum err check(const struct invocation *i, struct session_what *what, struct err_text *error)
{
    enum err e = session_what_read(&i->options, what, error);
    if (e == ERR_NOT_FOUND) {
        return err_set(error, ERR_INVALID,
                       "expected: chaperone session kill SESSION, or one of --identity SUBJECT, "
                       "--resource NAME and --all");
    }
    if (e == OK && what->id != NULL && options_flag(&i->options, "allow-new")) {
        return err_set(error, ERR_INVALID,
                       "--allow-new is not for a session: its agent may open another one anyway");
    }
    if (e == OK && what->all && !options_flag(&i->options, "yes") && isatty(STDIN_FILENO) == 0) {
        return err_set(error, ERR_INVALID, "--all without a terminal to ask on needs --yes");
    }
    return e;
}

int command_session_kill(struct invocation *i)
{
    struct session_what what = {0};
    struct err_text error = {0};
    struct remote remote;
    if (check(i, &what, &error) != OK) {
        return command_misuse(i, &error);
    }
    if (what.all && !options_flag(&i->options, "yes") && !is_confirmed(i)) {
        return command_fail(i, EXIT_NO, "nothing was done");
    }
    int code = remote_open(i, &remote);
    if (code == EXIT_YES) {
        code = what.id != NULL ? kill_one(i, &remote, &what) : block(i, &remote, &what);
        remote_close(&remote);
    }
    return code;
}

/* session list. */
#include <stdio.h>

#include "api/operator.pb-c.h"
#include "cli/commands.h"
#include "cli/output/moment.h"
#include "cli/output/table.h"
#include "cli/remote.h"
#include "formats/json.h"

enum { LIMIT_MAX = 1000000 };

const struct option_spec command_session_list_options[] = {
    {"all", 'a', OPTION_FLAG, NULL, "also those that have ended", NULL},
    {"limit", 'n', OPTION_TEXT, "N", "only the newest N", NULL},
    {"json", 0, OPTION_FLAG, NULL, "one JSON object a line", NULL},
    {0},
};

static enum err print_json(FILE *out, const Chaperone__V1__SessionSummary *s)
{
    struct json j;
    json_init(&j);
    json_add_string(&j, j.root, "session", s->session);
    json_add_string(&j, j.root, "state", s->state);
    json_add_string(&j, j.root, "identity", s->identity);
    json_add_string(&j, j.root, "on_behalf_of",
                    s->on_behalf_of[0] == '\0' ? NULL : s->on_behalf_of);
    json_add_string(&j, j.root, "resource", s->resource);
    json_add_string(&j, j.root, "protocol", s->protocol);
    json_add_string(&j, j.root, "database", s->database);
    json_add_string(&j, j.root, "agent_address", s->agent_address);
    json_add_string(&j, j.root, "sidecar", s->sidecar);
    json_add_time(&j, j.root, "opened", s->opened_unix_ns);
    if (s->closed_unix_ns == 0) {
        json_add_null(&j, j.root, "closed");
    } else {
        json_add_time(&j, j.root, "closed", s->closed_unix_ns);
    }
    json_add_unsigned(&j, j.root, "operations", s->operations);
    json_add_string(&j, j.root, "close_reason",
                    s->close_reason[0] == '\0' ? NULL : s->close_reason);
    enum err e = json_write_line(&j, out);
    json_finish(&j);
    return e;
}

static enum err add_row(struct table *t, const Chaperone__V1__SessionSummary *s)
{
    char opened[MOMENT_SIZE];
    moment_format(s->opened_unix_ns, opened);
    enum err e = table_add_string(t, s->session);
    e = e != OK ? e : table_add_string(t, s->state);
    e = e != OK ? e : table_add_string(t, opened);
    e = e != OK ? e : table_add_string(t, s->identity);
    e = e != OK ? e : table_add_string(t, s->resource);
    e = e != OK ? e : table_add_number(t, s->operations);
    e = e != OK ? e : table_add_string(t, s->agent_address);
    return e;
}

static enum err print_list(const struct invocation *i,
                           const Chaperone__V1__ListSessionsResponse *list)
{
    static const char *const headings[] = {"SESSION",  "STATE",      "OPENED", "AGENT",
                                           "RESOURCE", "OPERATIONS", "FROM",   NULL};
    struct table *t = table_create(headings);
    bool json = options_flag(&i->options, "json");
    enum err e = t == NULL ? ERR_NO_MEMORY : OK;
    for (size_t n = 0; e == OK && n < list->n_sessions; n++) {
        e = json ? print_json(i->out.out, list->sessions[n]) : add_row(t, list->sessions[n]);
    }
    if (e == OK && !json && table_rows(t) > 0) {
        table_print(t, &i->out);
    }
    table_destroy(t);
    return e;
}

int command_session_list(struct invocation *i)
{
    Chaperone__V1__ListSessionsRequest request = CHAPERONE__V1__LIST_SESSIONS_REQUEST__INIT;
    struct err_text error = {0};
    struct remote remote;
    ProtobufCMessage *reply = NULL;
    if (options_number(&i->options, "limit", 0, LIMIT_MAX, &request.limit, &error) != OK) {
        return command_misuse(i, &error);
    }
    request.include_closed = options_flag(&i->options, "all");
    int code = remote_open(i, &remote);
    if (code != EXIT_YES) {
        return code;
    }
    code = remote_call(i, &remote, &chaperone__v1__sessions__descriptor, "List", &request.base,
                       &reply);
    if (code == EXIT_YES) {
        const Chaperone__V1__ListSessionsResponse *list =
            (const Chaperone__V1__ListSessionsResponse *)reply;
        enum err e = print_list(i, list);
        if (list->n_sessions == 0 && i->out.is_terminal) {
            (void)fputs("no open sessions\n", i->errors.out);
        }
        code = e == OK ? remote_flush(i) : command_fail(i, EXIT_NO, "%s", err_name(e));
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    remote_close(&remote);
    return code;
}

/* session lift, session blocks. */
#include <stdio.h>

#include "api/operator.pb-c.h"
#include "cli/command_session.h"
#include "cli/commands.h"
#include "cli/output/moment.h"
#include "cli/output/table.h"
#include "cli/remote.h"

const struct option_spec command_session_lift_options[] = {
    {"identity", 0, OPTION_TEXT, "SUBJECT", "what was set for this agent or person", NULL},
    {"resource", 0, OPTION_TEXT, "NAME", "what was set for this resource", NULL},
    {"all", 'a', OPTION_FLAG, NULL, "what was set for all sessions", NULL},
    {"reason", 0, OPTION_TEXT, "TEXT", "why; the audit log keeps it", NULL},
    {"json", 0, OPTION_FLAG, NULL, "one JSON object a line", NULL},
    {0},
};

static const char *kind_of(const Chaperone__V1__Block *b)
{
    return b->everything ? "all" : b->identity[0] != '\0' ? "identity" : "resource";
}

static enum err add_row(struct table *t, const Chaperone__V1__Block *b)
{
    char created[MOMENT_SIZE];
    moment_format(b->created_unix_ns, created);
    enum err e = table_add_string(t, b->id);
    e = e != OK ? e : table_add_string(t, kind_of(b));
    e = e != OK ? e : table_add_string(t, b->identity[0] != '\0' ? b->identity : b->resource);
    e = e != OK ? e : table_add_string(t, created);
    e = e != OK ? e : table_add_string(t, b->created_by);
    e = e != OK ? e : table_add_string(t, b->reason);
    return e;
}

static enum err print_json(FILE *out, const Chaperone__V1__Block *b)
{
    struct json j;
    json_init(&j);
    session_add_block(&j, j.root, b);
    enum err e = json_write_line(&j, out);
    json_finish(&j);
    return e;
}

static int print_blocks(const struct invocation *i, Chaperone__V1__Block *const *blocks,
                        size_t count)
{
    static const char *const headings[] = {"BLOCK", "OF", "NAME", "SINCE", "BY", "REASON", NULL};
    struct table *t = table_create(headings);
    bool json = options_flag(&i->options, "json");
    enum err e = t == NULL ? ERR_NO_MEMORY : OK;
    for (size_t n = 0; e == OK && n < count; n++) {
        e = json ? print_json(i->out.out, blocks[n]) : add_row(t, blocks[n]);
    }
    if (e == OK && !json && table_rows(t) > 0) {
        table_print(t, &i->out);
    }
    table_destroy(t);
    return e == OK ? remote_flush(i) : command_fail(i, EXIT_NO, "%s", err_name(e));
}

int command_session_blocks(struct invocation *i)
{
    Chaperone__V1__ListBlocksRequest request = CHAPERONE__V1__LIST_BLOCKS_REQUEST__INIT;
    struct remote remote;
    ProtobufCMessage *reply = NULL;
    int code = remote_open(i, &remote);
    if (code != EXIT_YES) {
        return code;
    }
    code = remote_call(i, &remote, &chaperone__v1__sessions__descriptor, "ListBlocks",
                       &request.base, &reply);
    if (code == EXIT_YES) {
        const Chaperone__V1__ListBlocksResponse *list =
            (const Chaperone__V1__ListBlocksResponse *)reply;
        code = print_blocks(i, list->blocks, list->n_blocks);
        if (list->n_blocks == 0 && i->out.is_terminal) {
            (void)fputs("nothing is blocked\n", i->errors.out);
        }
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    remote_close(&remote);
    return code;
}

static void fill(const struct invocation *i, const struct session_what *what,
                 Chaperone__V1__LiftRequest *out)
{
    const char *reason = options_value(&i->options, "reason");
    out->id = (char *)(uintptr_t)(what->id == NULL ? "" : what->id);
    out->identity = (char *)(uintptr_t)(what->identity == NULL ? "" : what->identity);
    out->resource = (char *)(uintptr_t)(what->resource == NULL ? "" : what->resource);
    out->everything = what->all;
    out->reason = (char *)(uintptr_t)(reason == NULL ? "" : reason);
}

int command_session_lift(struct invocation *i)
{
    Chaperone__V1__LiftRequest request = CHAPERONE__V1__LIFT_REQUEST__INIT;
    struct session_what what = {0};
    struct err_text error = {0};
    struct remote remote;
    ProtobufCMessage *reply = NULL;
    enum err e = session_what_read(&i->options, &what, &error);
    if (e == ERR_NOT_FOUND) {
        e = err_set(&error, ERR_INVALID,
                    "expected: chaperone session lift BLOCK, or one of --identity SUBJECT, "
                    "--resource NAME and --all");
    }
    if (e != OK) {
        return command_misuse(i, &error);
    }
    int code = remote_open(i, &remote);
    if (code != EXIT_YES) {
        return code;
    }
    fill(i, &what, &request);
    code = remote_call(i, &remote, &chaperone__v1__sessions__descriptor, "Lift", &request.base,
                       &reply);
    if (code == EXIT_YES) {
        const Chaperone__V1__LiftResponse *r = (const Chaperone__V1__LiftResponse *)reply;
        code = print_blocks(i, r->lifted, r->n_lifted);
        if (r->n_lifted == 0) {
            code = command_fail(i, EXIT_NO, "no such block is set");
        }
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    remote_close(&remote);
    return code;
}

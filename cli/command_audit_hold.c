/* audit legal-hold, audit retention. */
#include <stdio.h>

#include "api/operator.pb-c.h"
#include "cli/commands.h"
#include "cli/output/moment.h"
#include "cli/output/table.h"
#include "cli/remote.h"
#include "formats/json.h"

const struct option_spec command_audit_legal_hold_options[] = {
    {"resource", 'r', OPTION_TEXT, "NAME", "of sessions on this resource", NULL},
    {"identity", 'i', OPTION_TEXT, "SUBJECT", "of this agent, or for whom agents act", NULL},
    {"session", 0, OPTION_TEXT, "ID", "of this session", NULL},
    {"reason", 0, OPTION_TEXT, "TEXT", "why; the audit log keeps it", NULL},
    {"all", 'a', OPTION_FLAG, NULL, "list: also those that were lifted", NULL},
    {"json", 0, OPTION_FLAG, NULL, "one JSON object a line", NULL},
    {0},
};

static char *text_of(const struct invocation *i, const char *option)
{
    const char *value = options_value(&i->options, option);
    return (char *)(uintptr_t)(value == NULL ? "" : value);
}

/* ---- printing --------------------------------------------------------------------------------
 */

static const char *kind_of(const Chaperone__V1__LegalHold *h)
{
    return h->resource[0] != '\0' ? "resource" : h->identity[0] != '\0' ? "identity" : "session";
}

static const char *name_of(const Chaperone__V1__LegalHold *h)
{
    return h->resource[0] != '\0' ? h->resource : h->identity[0] != '\0' ? h->identity : h->session;
}

static enum err add_row(struct table *t, const Chaperone__V1__LegalHold *h)
{
    char created[MOMENT_SIZE], lifted[MOMENT_SIZE] = "";
    moment_format(h->created_unix_ns, created);
    if (h->lifted_unix_ns != 0) {
        moment_format(h->lifted_unix_ns, lifted);
    }
    enum err e = table_add_string(t, h->id);
    e = e != OK ? e : table_add_string(t, kind_of(h));
    e = e != OK ? e : table_add_string(t, name_of(h));
    e = e != OK ? e : table_add_string(t, created);
    e = e != OK ? e : table_add_string(t, h->created_by);
    e = e != OK ? e : table_add_string(t, lifted);
    return e != OK ? e : table_add_string(t, h->reason);
}

static enum err print_json(FILE *out, const Chaperone__V1__LegalHold *h)
{
    struct json j;
    json_init(&j);
    json_add_string(&j, j.root, "id", h->id);
    json_add_string(&j, j.root, kind_of(h), name_of(h));
    json_add_string(&j, j.root, "reason", h->reason);
    json_add_string(&j, j.root, "created_by", h->created_by);
    json_add_time(&j, j.root, "created", h->created_unix_ns);
    if (h->lifted_unix_ns != 0) {
        json_add_string(&j, j.root, "lifted_by", h->lifted_by);
        json_add_time(&j, j.root, "lifted", h->lifted_unix_ns);
    }
    enum err e = json_write_line(&j, out);
    json_finish(&j);
    return e;
}

static int print_holds(const struct invocation *i, Chaperone__V1__LegalHold *const *holds,
                       size_t count)
{
    static const char *const headings[] = {"HOLD", "OF",     "NAME",   "SINCE",
                                           "BY",   "LIFTED", "REASON", NULL};
    struct table *t = table_create(headings);
    bool json = options_flag(&i->options, "json");
    enum err e = t == NULL ? ERR_NO_MEMORY : OK;
    for (size_t n = 0; e == OK && n < count; n++) {
        e = json ? print_json(i->out.out, holds[n]) : add_row(t, holds[n]);
    }
    if (e == OK && !json && table_rows(t) > 0) {
        table_print(t, &i->out);
    }
    table_destroy(t);
    return e == OK ? remote_flush(i) : command_fail(i, EXIT_NO, "%s", err_name(e));
}

/* ---- asking ----------------------------------------------------------------------------------
 */

static int call(struct invocation *i, const char *method, const ProtobufCMessage *request,
                ProtobufCMessage **out_reply)
{
    struct remote remote;
    int code = remote_open(i, &remote);
    if (code == EXIT_YES) {
        code = remote_call(i, &remote, &chaperone__v1__retention__descriptor, method, request,
                           out_reply);
        remote_close(&remote);
    }
    return code;
}

/* The hold that was placed or lifted. */
static int call_one(struct invocation *i, const char *method, const ProtobufCMessage *request)
{
    ProtobufCMessage *reply = NULL;
    int code = call(i, method, request, &reply);
    if (code == EXIT_YES) {
        Chaperone__V1__LegalHold *hold = (Chaperone__V1__LegalHold *)reply;
        code = print_holds(i, &hold, 1);
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    return code;
}

static int misuse(const struct invocation *i, const char *sentence)
{
    struct err_text error;
    (void)err_set(&error, ERR_INVALID, "%s", sentence);
    return command_misuse(i, &error);
}

static int add(struct invocation *i)
{
    Chaperone__V1__PlaceHoldRequest request = CHAPERONE__V1__PLACE_HOLD_REQUEST__INIT;
    request.resource = text_of(i, "resource");
    request.identity = text_of(i, "identity");
    request.session = text_of(i, "session");
    request.reason = text_of(i, "reason");
    int things = (request.resource[0] != '\0') + (request.identity[0] != '\0') +
                 (request.session[0] != '\0');
    if (things != 1) {
        return misuse(i, "expected one of --resource NAME, --identity SUBJECT and --session ID");
    }
    if (request.reason[0] == '\0') {
        return misuse(i, "--reason is needed");
    }
    return call_one(i, "PlaceHold", &request.base);
}

static int lift(struct invocation *i)
{
    Chaperone__V1__LiftHoldRequest request = CHAPERONE__V1__LIFT_HOLD_REQUEST__INIT;
    if (i->options.argument_count != 2) {
        return misuse(i, "expected: chaperone audit legal-hold lift HOLD --reason TEXT");
    }
    request.id = (char *)(uintptr_t)i->options.arguments[1];
    request.reason = text_of(i, "reason");
    if (request.reason[0] == '\0') {
        return misuse(i, "--reason is needed");
    }
    return call_one(i, "LiftHold", &request.base);
}

static int list(struct invocation *i)
{
    Chaperone__V1__ListHoldsRequest request = CHAPERONE__V1__LIST_HOLDS_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    request.include_lifted = options_flag(&i->options, "all");
    int code = call(i, "ListHolds", &request.base, &reply);
    if (code == EXIT_YES) {
        const Chaperone__V1__ListHoldsResponse *r = (const Chaperone__V1__ListHoldsResponse *)reply;
        code = print_holds(i, r->holds, r->n_holds);
        if (r->n_holds == 0 && i->out.is_terminal) {
            (void)fputs("no legal hold is in force\n", i->errors.out);
        }
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    return code;
}

int command_audit_legal_hold(struct invocation *i)
{
    const char *what = i->options.arguments[0];
    bool is_lift = strcmp(what, "lift") == 0;
    if (i->options.argument_count > 1 && !is_lift) {
        return misuse(i, "only lift takes the id of a hold");
    }
    if (strcmp(what, "add") == 0) {
        return add(i);
    }
    if (strcmp(what, "list") == 0) {
        return list(i);
    }
    return is_lift ? lift(i) : misuse(i, "expected add, lift or list");
}

/* ---- audit retention -------------------------------------------------------------------------
 */

typedef Chaperone__V1__PreviewResponse__Resource preview_item;

static void describe_keep(int64_t keep_s, char *out, size_t size)
{
    const int64_t day_s = 86400;
    if (keep_s == 0) {
        (void)snprintf(out, size, "for ever");
    } else if (keep_s % day_s == 0) {
        (void)snprintf(out, size, "%lld days", (long long)(keep_s / day_s));
    } else {
        (void)snprintf(out, size, "%lld seconds", (long long)keep_s);
    }
}

static enum err add_preview(const struct invocation *i, struct table *t, const preview_item *r)
{
    char keep[32], sessions[32];
    struct json j;
    describe_keep(r->keep_s, keep, sizeof(keep));
    (void)snprintf(sessions, sizeof(sessions), "%llu%s", (unsigned long long)r->sessions,
                   r->more ? " or more" : "");
    if (!options_flag(&i->options, "json")) {
        enum err e = table_add_string(t, r->resource);
        e = e != OK ? e : table_add_string(t, keep);
        return e != OK ? e : table_add_string(t, sessions);
    }
    json_init(&j);
    json_add_string(&j, j.root, "resource", r->resource);
    if (r->keep_s == 0) {
        json_add_null(&j, j.root, "keep_s");
    } else {
        json_add_unsigned(&j, j.root, "keep_s", (uint64_t)r->keep_s);
    }
    json_add_unsigned(&j, j.root, "sessions", r->sessions);
    json_add_bool(&j, j.root, "more", r->more);
    enum err e = json_write_line(&j, i->out.out);
    json_finish(&j);
    return e;
}

int command_audit_retention(struct invocation *i)
{
    static const char *const headings[] = {"RESOURCE", "KEPT", "TO BE ERASED", NULL};
    Chaperone__V1__PreviewRequest request = CHAPERONE__V1__PREVIEW_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    int code = call(i, "Preview", &request.base, &reply);
    if (code != EXIT_YES) {
        return code;
    }
    const Chaperone__V1__PreviewResponse *r = (const Chaperone__V1__PreviewResponse *)reply;
    struct table *t = table_create(headings);
    enum err e = t == NULL ? ERR_NO_MEMORY : OK;
    for (size_t n = 0; e == OK && n < r->n_resources; n++) {
        e = add_preview(i, t, r->resources[n]);
    }
    if (e == OK && table_rows(t) > 0) {
        table_print(t, &i->out);
    }
    table_destroy(t);
    protobuf_c_message_free_unpacked(reply, NULL);
    return e == OK ? remote_flush(i) : command_fail(i, EXIT_NO, "%s", err_name(e));
}

/* policy push, rollback, list, show, status: what is asked of the control plane. */
#include "cli/command_policy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/operator.pb-c.h"
#include "api/policy.pb-c.h"
#include "base/conf/conf.h"
#include "cli/command_sidecar.h"
#include "cli/commands.h"
#include "cli/output/moment.h"
#include "cli/output/table.h"
#include "cli/remote.h"
#include "cli/text_file.h"
#include "formats/json.h"
#include "formats/text.h"

enum { LIMIT_MAX = 1000, DECIMAL = 10 };

const struct option_spec command_policy_publish_options[] = {
    {"message", 'm', OPTION_TEXT, "TEXT", "why; the list of revisions keeps it", NULL},
    {"expect", 0, OPTION_TEXT, "REV", "only if this is still the newest revision", NULL},
    {"json", 0, OPTION_FLAG, NULL, "the answer as a JSON object", NULL},
    {0},
};

const struct option_spec command_policy_list_options[] = {
    {"limit", 'n', OPTION_TEXT, "N", "only the newest N (100)", NULL},
    {"json", 0, OPTION_FLAG, NULL, "one JSON object a line", NULL},
    {0},
};

typedef enum err print_reply(const struct invocation *i, const ProtobufCMessage *reply);

static int call(struct invocation *i, const ProtobufCServiceDescriptor *service, const char *method,
                const ProtobufCMessage *request, print_reply *print)
{
    struct remote remote;
    ProtobufCMessage *reply = NULL;
    int code = remote_open(i, &remote);
    if (code != EXIT_YES) {
        return code;
    }
    code = remote_call(i, &remote, service, method, request, &reply);
    if (code == EXIT_YES) {
        enum err e = print(i, reply);
        code = e == OK ? remote_flush(i) : command_fail(i, EXIT_NO, "%s", err_name(e));
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    remote_close(&remote);
    return code;
}

bool command_policy_read_revision(const struct invocation *i, const char *text, uint64_t *out,
                                  int *out_code)
{
    char *end = NULL;
    unsigned long long value = text[0] >= '1' && text[0] <= '9' ? strtoull(text, &end, DECIMAL) : 0;
    if (value == 0 || *end != '\0' || value > INT64_MAX) {
        struct err_text error = {0};
        (void)err_set(&error, ERR_INVALID, "expected the number of a revision, found \"%.32s\"",
                      text);
        *out_code = command_misuse(i, &error);
        return false;
    }
    *out = value;
    return true;
}

/* --- push, rollback ----------------------------------------------------------------------------
 */

static enum err print_published(const struct invocation *i, const ProtobufCMessage *reply)
{
    const Chaperone__V1__PushPolicyResponse *r = (const Chaperone__V1__PushPolicyResponse *)reply;
    if (!options_flag(&i->options, "json")) {
        (void)fprintf(i->out.out, "revision %" PRIu64 "%s\n", r->revision,
                      r->changed ? "" : " has this policy already");
        return OK;
    }
    struct json j;
    json_init(&j);
    json_add_unsigned(&j, j.root, "revision", r->revision);
    json_add_string(&j, j.root, "policy", r->hash);
    json_add_bool(&j, j.root, "changed", r->changed);
    enum err e = json_write_line(&j, i->out.out);
    json_finish(&j);
    return e;
}

static bool read_publish_options(const struct invocation *i, char **out_message,
                                 uint64_t *out_expect, int *out_code)
{
    const char *message = options_value(&i->options, "message");
    const char *expect = options_value(&i->options, "expect");
    if (message != NULL) {
        *out_message = (char *)(uintptr_t)message;
    }
    return expect == NULL || command_policy_read_revision(i, expect, out_expect, out_code);
}

int command_policy_push(struct invocation *i)
{
    Chaperone__V1__PushPolicyRequest request = CHAPERONE__V1__PUSH_POLICY_REQUEST__INIT;
    struct buffer text;
    struct err_text error = {0};
    int code = EXIT_YES;
    if (!read_publish_options(i, &request.message, &request.expect_revision, &code)) {
        return code;
    }
    if (text_file_read(i->options.arguments[0], CONF_SIZE_MAX, &text, &error) != OK) {
        code = command_fail(i, EXIT_NO, "%s", error.text);
    } else {
        request.name = (char *)(uintptr_t)i->options.arguments[0];
        request.source.data = (uint8_t *)(uintptr_t)buffer_bytes(&text).data;
        request.source.len = buffer_size(&text);
        code =
            call(i, &chaperone__v1__policies__descriptor, "Push", &request.base, print_published);
    }
    buffer_finish(&text);
    return code;
}

int command_policy_rollback(struct invocation *i)
{
    Chaperone__V1__RollbackPolicyRequest request = CHAPERONE__V1__ROLLBACK_POLICY_REQUEST__INIT;
    int code = EXIT_YES;
    if (!read_publish_options(i, &request.message, &request.expect_revision, &code) ||
        !command_policy_read_revision(i, i->options.arguments[0], &request.revision, &code)) {
        return code;
    }
    return call(i, &chaperone__v1__policies__descriptor, "Rollback", &request.base,
                print_published);
}

/* --- list, show --------------------------------------------------------------------------------
 */

static void add_revision(struct json *j, const Chaperone__V1__PolicyRevision *p)
{
    json_add_unsigned(j, j->root, "revision", p->revision);
    json_add_string(j, j->root, "policy", p->hash);
    json_add_string(j, j->root, "created_by", p->created_by);
    json_add_time(j, j->root, "created", p->created_unix_ns);
    json_add_string(j, j->root, "message", p->message[0] == '\0' ? NULL : p->message);
}

static enum err print_revision_json(FILE *out, const Chaperone__V1__PolicyRevision *p)
{
    struct json j;
    json_init(&j);
    add_revision(&j, p);
    enum err e = json_write_line(&j, out);
    json_finish(&j);
    return e;
}

static enum err add_row(struct table *t, const Chaperone__V1__PolicyRevision *p)
{
    char created[MOMENT_SIZE];
    moment_format(p->created_unix_ns, created);
    enum err e = table_add_number(t, p->revision);
    e = e != OK ? e : table_add_string(t, created);
    e = e != OK ? e : table_add_string(t, p->created_by);
    e = e != OK ? e : table_add_string(t, p->hash);
    e = e != OK ? e : table_add_string(t, p->message);
    return e;
}

static enum err print_list(const struct invocation *i, const ProtobufCMessage *reply)
{
    static const char *const headings[] = {"REVISION", "CREATED", "BY", "HASH", "MESSAGE", NULL};
    const Chaperone__V1__ListPoliciesResponse *r =
        (const Chaperone__V1__ListPoliciesResponse *)reply;
    struct table *t = table_create(headings);
    bool json = options_flag(&i->options, "json");
    enum err e = t == NULL ? ERR_NO_MEMORY : OK;
    for (size_t n = 0; e == OK && n < r->n_policies; n++) {
        e = json ? print_revision_json(i->out.out, r->policies[n]) : add_row(t, r->policies[n]);
    }
    if (e == OK && !json) {
        table_print(t, &i->out);
    }
    table_destroy(t);
    return e;
}

int command_policy_list(struct invocation *i)
{
    Chaperone__V1__ListPoliciesRequest request = CHAPERONE__V1__LIST_POLICIES_REQUEST__INIT;
    struct err_text error = {0};
    if (options_number(&i->options, "limit", 0, LIMIT_MAX, &request.limit, &error) != OK) {
        return command_misuse(i, &error);
    }
    return call(i, &chaperone__v1__policies__descriptor, "List", &request.base, print_list);
}

static enum err print_policy(const struct invocation *i, const ProtobufCMessage *reply)
{
    const Chaperone__V1__GetPolicyResponse *r = (const Chaperone__V1__GetPolicyResponse *)reply;
    struct bytes source = bytes_of(r->source.data, r->source.len);
    if (!options_flag(&i->options, "json")) {
        text_write(i->out.out, source, TEXT_LINES);
        if (source.size > 0 && source.data[source.size - 1] != '\n') {
            (void)fputc('\n', i->out.out);
        }
        return OK;
    }
    struct json j;
    json_init(&j);
    add_revision(&j, r->policy);
    json_add_text(&j, j.root, "source", source);
    json_add_text(&j, j.root, "document", bytes_of(r->document.data, r->document.len));
    enum err e = json_write_line(&j, i->out.out);
    json_finish(&j);
    return e;
}

int command_policy_show(struct invocation *i)
{
    Chaperone__V1__GetPolicyRequest request = CHAPERONE__V1__GET_POLICY_REQUEST__INIT;
    int code = EXIT_YES;
    if (i->options.argument_count > 0 &&
        !command_policy_read_revision(i, i->options.arguments[0], &request.revision, &code)) {
        return code;
    }
    return call(i, &chaperone__v1__policies__descriptor, "Get", &request.base, print_policy);
}

/* --- status ------------------------------------------------------------------------------------
 */

/* How far a sidecar is with the newest revision; `*out_reason` "" unless it was rejected. */
static const char *state_of(const Chaperone__V1__StatusResponse *status,
                            const Chaperone__V1__StatusResponse__Sidecar *sidecar,
                            const char **out_reason)
{
    static const char rejected[] = "rejected: ";
    *out_reason = "";
    if (sidecar->policy_revision < status->policy_revision) {
        return "published";
    }
    if (strncmp(sidecar->policy_state, rejected, sizeof(rejected) - 1) == 0) {
        *out_reason = sidecar->policy_state + sizeof(rejected) - 1;
        return "rejected";
    }
    return sidecar->policy_state;
}

static enum err print_sidecar_json(FILE *out, const Chaperone__V1__StatusResponse *status,
                                   const Chaperone__V1__StatusResponse__Sidecar *s)
{
    const char *reason = "";
    const char *state = state_of(status, s, &reason);
    struct json j;
    json_init(&j);
    json_add_string(&j, j.root, "sidecar", s->sidecar);
    json_add_string(&j, j.root, "name", s->name);
    json_add_bool(&j, j.root, "connected", s->connected);
    json_add_bool(&j, j.root, "revoked", s->revoked_unix_ns != 0);
    json_add_unsigned(&j, j.root, "newest", status->policy_revision);
    json_add_unsigned(&j, j.root, "revision", s->policy_revision);
    json_add_string(&j, j.root, "state", state);
    json_add_string(&j, j.root, "reason", reason[0] == '\0' ? NULL : reason);
    enum err e = json_write_line(&j, out);
    json_finish(&j);
    return e;
}

static enum err add_sidecar(struct table *t, const Chaperone__V1__StatusResponse *status,
                            const Chaperone__V1__StatusResponse__Sidecar *s)
{
    const char *reason = "";
    const char *state = state_of(status, s, &reason);
    enum err e = table_add_string(t, s->sidecar);
    e = e != OK ? e : table_add_string(t, s->name);
    e = e != OK ? e : table_add_string(t, sidecar_state(s));
    e = e != OK ? e : table_add_number(t, s->policy_revision);
    e = e != OK ? e : table_add_string(t, state);
    e = e != OK ? e : table_add_string(t, reason);
    return e;
}

static enum err print_status(const struct invocation *i, const ProtobufCMessage *reply)
{
    static const char *const headings[] = {"SIDECAR", "NAME",   "",  "REVISION",
                                           "STATE",   "REASON", NULL};
    const Chaperone__V1__StatusResponse *r = (const Chaperone__V1__StatusResponse *)reply;
    struct table *t = table_create(headings);
    bool json = options_flag(&i->options, "json");
    enum err e = t == NULL ? ERR_NO_MEMORY : OK;
    for (size_t n = 0; e == OK && n < r->n_sidecars; n++) {
        e = json ? print_sidecar_json(i->out.out, r, r->sidecars[n])
                 : add_sidecar(t, r, r->sidecars[n]);
    }
    if (e == OK && !json) {
        (void)fprintf(i->out.out, "newest revision %" PRIu64 " (", r->policy_revision);
        text_write(i->out.out, bytes_of_string(r->policy_hash), TEXT_ESCAPED);
        (void)fputs(")\n", i->out.out);
        table_print(t, &i->out);
    }
    table_destroy(t);
    return e;
}

int command_policy_status(struct invocation *i)
{
    Chaperone__V1__StatusRequest request = CHAPERONE__V1__STATUS_REQUEST__INIT;
    return call(i, &chaperone__v1__administration__descriptor, "Status", &request.base,
                print_status);
}

/* status, join-token create: what is asked of Administration. */
#include <stdio.h>

#include "api/operator.pb-c.h"
#include "cli/command_sidecar.h"
#include "cli/commands.h"
#include "cli/output/moment.h"
#include "cli/output/table.h"
#include "cli/remote.h"
#include "formats/json.h"
#include "formats/text.h"

const struct option_spec command_join_token_options[] = {
    {"name", 0, OPTION_TEXT, "NAME", "what it is for; shown to people", NULL},
    {"lifetime", 0, OPTION_TEXT, "SPAN", "how long it may be used: 15m (default), at most 24h",
     NULL},
    {"json", 0, OPTION_FLAG, NULL, "the token and its end as a JSON object", NULL},
    {0},
};

static int call(struct invocation *i, const char *method, const ProtobufCMessage *request,
                int (*print)(const struct invocation *i, const ProtobufCMessage *reply))
{
    struct remote remote;
    ProtobufCMessage *reply = NULL;
    int code = remote_open(i, &remote);
    if (code != EXIT_YES) {
        return code;
    }
    code = remote_call(i, &remote, &chaperone__v1__administration__descriptor, method, request,
                       &reply);
    if (code == EXIT_YES) {
        code = print(i, reply);
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    remote_close(&remote);
    return code != EXIT_YES ? code : remote_flush(i);
}

static enum err print_status_json(FILE *out, const Chaperone__V1__StatusResponse *s)
{
    struct json j;
    json_init(&j);
    json_add_string(&j, j.root, "version", s->version);
    json_add_unsigned(&j, j.root, "policy_revision", s->policy_revision);
    json_add_string(&j, j.root, "policy", s->policy_hash);
    json_add_unsigned(&j, j.root, "records", s->records);
    json_add_unsigned(&j, j.root, "findings", s->findings);
    if (s->log != NULL) {
        cJSON *log = json_add_object(&j, j.root, "log");
        json_add_string(&j, log, "state", s->log->state);
        json_add_string(&j, log, "detail", s->log->detail);
        json_add_unsigned(&j, log, "size", s->log->size);
        json_add_unsigned(&j, log, "published", s->log->published);
        json_add_time(&j, log, "published_at", s->log->published_unix_ns);
        json_add_unsigned(&j, log, "cosigned", s->log->cosigned);
        json_add_unsigned(&j, log, "quorum", s->log->quorum);
    }
    cJSON *sidecars = json_add_array(&j, j.root, "sidecars");
    for (size_t n = 0; n < s->n_sidecars; n++) {
        const Chaperone__V1__StatusResponse__Sidecar *sidecar = s->sidecars[n];
        cJSON *item = json_add_object(&j, sidecars, NULL);
        json_add_string(&j, item, "sidecar", sidecar->sidecar);
        json_add_string(&j, item, "name", sidecar->name);
        json_add_bool(&j, item, "connected", sidecar->connected);
        json_add_bool(&j, item, "revoked", sidecar->revoked_unix_ns != 0);
        json_add_unsigned(&j, item, "last_sequence", sidecar->last_sequence);
        json_add_time(&j, item, "last_seen", sidecar->last_seen_unix_ns);
        json_add_unsigned(&j, item, "policy_revision", sidecar->policy_revision);
        json_add_string(&j, item, "policy_state", sidecar->policy_state);
    }
    enum err e = json_write_line(&j, out);
    json_finish(&j);
    return e;
}

static enum err add_sidecar(struct table *t, const Chaperone__V1__StatusResponse__Sidecar *s)
{
    char seen[MOMENT_SIZE];
    moment_format(s->last_seen_unix_ns, seen);
    enum err e = table_add_string(t, s->sidecar);
    e = e != OK ? e : table_add_string(t, s->name);
    e = e != OK ? e : table_add_string(t, sidecar_state(s));
    e = e != OK ? e : table_add_string(t, seen);
    e = e != OK ? e : table_add_number(t, s->last_sequence);
    e = e != OK ? e : table_add_number(t, s->policy_revision);
    e = e != OK ? e : table_add_string(t, s->policy_state);
    return e;
}

static void print_findings(FILE *out, uint64_t findings)
{
    if (findings > 0) {
        (void)fprintf(out,
                      "%llu finding%s in the last 24 hours: chaperone audit search --kind finding "
                      "--since 24h\n",
                      (unsigned long long)findings, findings == 1 ? "" : "s");
    }
}

static void print_log(FILE *out, const Chaperone__V1__StatusResponse__Log *log)
{
    char at[MOMENT_SIZE];
    moment_format(log->published_unix_ns, at);
    (void)fputs("audit log ", out);
    text_write(out, bytes_of_string(log->state), TEXT_ESCAPED);
    (void)fprintf(out, ", checkpoint of %llu records", (unsigned long long)log->published);
    if (log->published > 0) {
        (void)fprintf(out, " of %s", at);
    }
    if (log->quorum > 0) {
        (void)fprintf(out, ", cosigned by %u (%u needed)", log->cosigned, log->quorum);
    }
    if (log->detail[0] != '\0') {
        (void)fputs(": ", out);
        text_write(out, bytes_of_string(log->detail), TEXT_ESCAPED);
    }
    (void)fputc('\n', out);
}

static enum err print_status_text(const struct invocation *i,
                                  const Chaperone__V1__StatusResponse *s)
{
    static const char *const headings[] = {"SIDECAR", "NAME",   "STATE",        "LAST SEEN",
                                           "RECORDS", "POLICY", "POLICY STATE", NULL};
    struct table *t = table_create(headings);
    enum err e = t == NULL ? ERR_NO_MEMORY : OK;
    for (size_t n = 0; e == OK && n < s->n_sidecars; n++) {
        e = add_sidecar(t, s->sidecars[n]);
    }
    if (e == OK) {
        (void)fputs("control plane ", i->out.out);
        text_write(i->out.out, bytes_of_string(s->version), TEXT_ESCAPED);
        (void)fprintf(i->out.out, ", policy revision %llu (",
                      (unsigned long long)s->policy_revision);
        text_write(i->out.out, bytes_of_string(s->policy_hash), TEXT_ESCAPED);
        (void)fprintf(i->out.out, "), %llu records\n", (unsigned long long)s->records);
        print_findings(i->out.out, s->findings);
        if (s->log != NULL) {
            print_log(i->out.out, s->log);
        }
        table_print(t, &i->out);
    }
    table_destroy(t);
    return e;
}

static int print_status(const struct invocation *i, const ProtobufCMessage *reply)
{
    const Chaperone__V1__StatusResponse *s = (const Chaperone__V1__StatusResponse *)reply;
    enum err e = options_flag(&i->options, "json") ? print_status_json(i->out.out, s)
                                                   : print_status_text(i, s);
    return e == OK ? EXIT_YES : command_fail(i, EXIT_NO, "%s", err_name(e));
}

int command_status(struct invocation *i)
{
    Chaperone__V1__StatusRequest request = CHAPERONE__V1__STATUS_REQUEST__INIT;
    return call(i, "Status", &request.base, print_status);
}

static int print_token(const struct invocation *i, const ProtobufCMessage *reply)
{
    const Chaperone__V1__CreateJoinTokenResponse *r =
        (const Chaperone__V1__CreateJoinTokenResponse *)reply;
    if (!options_flag(&i->options, "json")) {
        (void)fprintf(i->out.out, "%s\n", r->token);
        return EXIT_YES;
    }
    struct json j;
    json_init(&j);
    json_add_string(&j, j.root, "token", r->token);
    json_add_time(&j, j.root, "expires", r->expires_unix_ns);
    enum err e = json_write_line(&j, i->out.out);
    json_finish(&j);
    return e == OK ? EXIT_YES : command_fail(i, EXIT_NO, "%s", err_name(e));
}

int command_join_token_create(struct invocation *i)
{
    Chaperone__V1__CreateJoinTokenRequest request = CHAPERONE__V1__CREATE_JOIN_TOKEN_REQUEST__INIT;
    const char *name = options_value(&i->options, "name");
    const char *lifetime = options_value(&i->options, "lifetime");
    struct err_text error = {0};
    int64_t ns = 0;
    if (lifetime != NULL && moment_parse_span(lifetime, &ns, &error) != OK) {
        return command_misuse(i, &error);
    }
    request.lifetime_s = ns / 1000000000;
    if (name != NULL) {
        request.name = (char *)(uintptr_t)name;
    }
    return call(i, "CreateJoinToken", &request.base, print_token);
}

/* sidecar list, sidecar revoke. */
#include <stdio.h>
#include <string.h>

#include "api/operator.pb-c.h"
#include "cli/command_sidecar.h"
#include "cli/commands.h"
#include "cli/output/moment.h"
#include "cli/output/table.h"
#include "cli/remote.h"
#include "formats/json.h"
#include "formats/text.h"

const struct option_spec command_sidecar_revoke_options[] = {
    {"reason", 0, OPTION_TEXT, "TEXT", "why; for the audit log, its host is not told", NULL},
    {"json", 0, OPTION_FLAG, NULL, "the answer as a JSON object", NULL},
    {0},
};

/* --- list --------------------------------------------------------------------------------------
 */

const char *sidecar_state(const Chaperone__V1__StatusResponse__Sidecar *s)
{
    return s->revoked_unix_ns != 0 ? "revoked" : s->connected ? "connected" : "away";
}

static void add_time(struct json *j, const char *name, int64_t unix_ns)
{
    if (unix_ns == 0) {
        json_add_null(j, j->root, name);
    } else {
        json_add_time(j, j->root, name, unix_ns);
    }
}

static const char *given(const char *text)
{
    return text[0] == '\0' ? NULL : text;
}

static enum err print_json(FILE *out, const Chaperone__V1__StatusResponse__Sidecar *s)
{
    struct json j;
    json_init(&j);
    json_add_string(&j, j.root, "sidecar", s->sidecar);
    json_add_string(&j, j.root, "name", s->name);
    json_add_string(&j, j.root, "state", sidecar_state(s));
    json_add_string(&j, j.root, "version", s->version);
    json_add_unsigned(&j, j.root, "sessions", s->open_sessions);
    json_add_string(&j, j.root, "enrolled_by", s->enrolled_by);
    add_time(&j, "enrolled", s->enrolled_unix_ns);
    add_time(&j, "certificate_until", s->certificate_not_after_unix_ns);
    add_time(&j, "connected_since", s->connected_since_unix_ns);
    add_time(&j, "last_seen", s->last_seen_unix_ns);
    json_add_unsigned(&j, j.root, "last_sequence", s->last_sequence);
    add_time(&j, "revoked", s->revoked_unix_ns);
    json_add_string(&j, j.root, "revoked_by", given(s->revoked_by));
    json_add_string(&j, j.root, "reason", given(s->revoke_reason));
    enum err e = json_write_line(&j, out);
    json_finish(&j);
    return e;
}

/* The moment that its state is about. One that is connected to another control plane was seen. */
static int64_t since_of(const Chaperone__V1__StatusResponse__Sidecar *s)
{
    int64_t seen =
        s->connected_since_unix_ns != 0 ? s->connected_since_unix_ns : s->last_seen_unix_ns;
    return s->revoked_unix_ns != 0 ? s->revoked_unix_ns : seen;
}

static enum err add_row(struct table *t, const Chaperone__V1__StatusResponse__Sidecar *s)
{
    char since[MOMENT_SIZE], until[MOMENT_SIZE];
    moment_format(since_of(s), since);
    moment_format(s->certificate_not_after_unix_ns, until);
    enum err e = table_add_string(t, s->sidecar);
    e = e != OK ? e : table_add_string(t, s->name);
    e = e != OK ? e : table_add_string(t, sidecar_state(s));
    e = e != OK ? e : table_add_string(t, since);
    e = e != OK ? e : table_add_number(t, s->open_sessions);
    e = e != OK ? e : table_add_string(t, s->version);
    e = e != OK ? e : table_add_string(t, until);
    e = e != OK ? e : table_add_string(t, s->enrolled_by);
    return e;
}

static enum err print_list(const struct invocation *i, const Chaperone__V1__StatusResponse *s)
{
    static const char *const headings[] = {
        "SIDECAR",           "NAME",        "STATE", "SINCE", "SESSIONS", "VERSION",
        "CERTIFICATE UNTIL", "ENROLLED BY", NULL};
    struct table *t = table_create(headings);
    bool json = options_flag(&i->options, "json");
    enum err e = t == NULL ? ERR_NO_MEMORY : OK;
    for (size_t n = 0; e == OK && n < s->n_sidecars; n++) {
        e = json ? print_json(i->out.out, s->sidecars[n]) : add_row(t, s->sidecars[n]);
    }
    if (e == OK && !json && table_rows(t) > 0) {
        table_print(t, &i->out);
    }
    table_destroy(t);
    return e;
}

int command_sidecar_list(struct invocation *i)
{
    Chaperone__V1__StatusRequest request = CHAPERONE__V1__STATUS_REQUEST__INIT;
    struct remote remote;
    ProtobufCMessage *reply = NULL;
    int code = remote_open(i, &remote);
    if (code != EXIT_YES) {
        return code;
    }
    code = remote_call(i, &remote, &chaperone__v1__administration__descriptor, "Status",
                       &request.base, &reply);
    if (code == EXIT_YES) {
        const Chaperone__V1__StatusResponse *s = (const Chaperone__V1__StatusResponse *)reply;
        enum err e = print_list(i, s);
        if (s->n_sidecars == 0 && i->out.is_terminal) {
            (void)fputs("no sidecar was ever enrolled\n", i->errors.out);
        }
        code = e == OK ? remote_flush(i) : command_fail(i, EXIT_NO, "%s", err_name(e));
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    remote_close(&remote);
    return code;
}

/* --- revoke ------------------------------------------------------------------------------------
 */

static void add_strings(struct json *j, const char *name, char *const *items, size_t count)
{
    cJSON *array = json_add_array(j, j->root, name);
    for (size_t n = 0; n < count; n++) {
        json_add_string(j, array, NULL, items[n]);
    }
}

static enum err print_revoked_json(FILE *out, const Chaperone__V1__RevokeSidecarResponse *r)
{
    struct json j;
    json_init(&j);
    json_add_string(&j, j.root, "sidecar", r->sidecar);
    json_add_bool(&j, j.root, "by_this_call", r->revoked);
    add_time(&j, "revoked", r->revoked_unix_ns);
    json_add_string(&j, j.root, "revoked_by", r->revoked_by);
    json_add_string(&j, j.root, "reason", given(r->reason));
    json_add_unsigned(&j, j.root, "last_sequence", r->last_sequence);
    add_strings(&j, "sessions", r->sessions, r->n_sessions);
    json_add_string(&j, j.root, "not_confirmed", given(r->not_confirmed));
    json_add_signed(&j, j.root, "took_us", r->took_us);
    add_strings(&j, "also", r->also, r->n_also);
    enum err e = json_write_line(&j, out);
    json_finish(&j);
    return e;
}

static void print_before(FILE *out, const Chaperone__V1__RevokeSidecarResponse *r)
{
    char at[MOMENT_SIZE];
    moment_format(r->revoked_unix_ns, at);
    (void)fprintf(out, "%s was revoked before, at %s by ", r->sidecar, at);
    text_write(out, bytes_of_string(r->revoked_by), TEXT_ESCAPED);
    if (r->reason[0] != '\0') {
        (void)fputs(": ", out);
        text_write(out, bytes_of_string(r->reason), TEXT_ESCAPED);
    }
    (void)fputc('\n', out);
}

static void print_revoked(FILE *out, const Chaperone__V1__RevokeSidecarResponse *r)
{
    if (!r->revoked) {
        print_before(out, r);
    } else {
        const char *open = r->n_sessions == 1 ? "was open" : "were open";
        (void)fprintf(out, "revoked %s: %zu session%s %s, its records end with number %llu\n",
                      r->sidecar, r->n_sessions, r->n_sessions == 1 ? "" : "s",
                      r->not_confirmed[0] == '\0' ? "ended" : open,
                      (unsigned long long)r->last_sequence);
    }
    for (size_t n = 0; n < r->n_also; n++) {
        (void)fprintf(out, "revoked %s, which has the same key\n", r->also[n]);
    }
}

static int report(const struct invocation *i, const Chaperone__V1__RevokeSidecarResponse *r)
{
    enum err e = OK;
    if (options_flag(&i->options, "json")) {
        e = print_revoked_json(i->out.out, r);
    } else {
        print_revoked(i->out.out, r);
    }
    if (e != OK) {
        return command_fail(i, EXIT_NO, "%s", err_name(e));
    }
    int code = remote_flush(i);
    return code == EXIT_YES && r->not_confirmed[0] != '\0'
               ? command_fail(i, EXIT_NO, "not confirmed: %s", r->not_confirmed)
               : code;
}

int command_sidecar_revoke(struct invocation *i)
{
    Chaperone__V1__RevokeSidecarRequest request = CHAPERONE__V1__REVOKE_SIDECAR_REQUEST__INIT;
    const char *reason = options_value(&i->options, "reason");
    struct err_text error = {0};
    struct remote remote;
    ProtobufCMessage *reply = NULL;
    if (i->options.arguments[0][0] == '\0') {
        (void)err_set(&error, ERR_INVALID, "an empty name names nothing");
        return command_misuse(i, &error);
    }
    int code = remote_open(i, &remote);
    if (code != EXIT_YES) {
        return code;
    }
    request.sidecar = (char *)(uintptr_t)i->options.arguments[0];
    request.reason = (char *)(uintptr_t)(reason == NULL ? "" : reason);
    code = remote_call(i, &remote, &chaperone__v1__administration__descriptor, "RevokeSidecar",
                       &request.base, &reply);
    if (code == EXIT_YES) {
        code = report(i, (const Chaperone__V1__RevokeSidecarResponse *)reply);
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    remote_close(&remote);
    return code;
}

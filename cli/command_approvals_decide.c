/* approvals approve, approvals deny. */
#include <stdio.h>

#include "base/uuid.h"
#include "cli/command_approvals.h"
#include "cli/commands.h"
#include "cli/output/held_json.h"
#include "cli/output/moment.h"
#include "formats/text.h"

enum { TRIES = 6, TRY_MS = 15000, USES_MAX = 1000000000, SUMMARY_COLUMNS = 100 };

const struct option_spec command_approvals_approve_options[] = {
    {"reason", 0, OPTION_TEXT, "TEXT", "why; the audit log keeps it", NULL},
    {"standing-for", 0, OPTION_TEXT, "SPAN", "also for what comes after it: 30m, 1h", NULL},
    {"standing-uses", 0, OPTION_TEXT, "N", "the same, at most so often", NULL},
    {"expect-version", 0, OPTION_TEXT, "N", "only if nothing has changed since", NULL},
    {"json", 0, OPTION_FLAG, NULL, "what became of it, as a JSON object", NULL},
    {0},
};

const struct option_spec command_approvals_deny_options[] = {
    {"reason", 0, OPTION_TEXT, "TEXT", "why; the agent and the audit log get it", NULL},
    {"expect-version", 0, OPTION_TEXT, "N", "only if nothing has changed since", NULL},
    {"json", 0, OPTION_FLAG, NULL, "what became of it, as a JSON object", NULL},
    {0},
};

/* What the command line says. */
struct word {
    bool approve;
    const char *reason; /* NULL: none */
    uint32_t version;   /* 0: what it is when it is looked at */
    bool stands;
    Chaperone__V1__Standing standing;
};

static enum err read_standing(const struct invocation *i, struct word *w, struct err_text *error)
{
    const char *span = options_value(&i->options, "standing-for");
    struct err_text why = {0};
    int64_t span_ns = 0;
    chaperone__v1__standing__init(&w->standing);
    if (span == NULL) {
        return options_value(&i->options, "standing-uses") == NULL
                   ? OK
                   : err_set(error, ERR_INVALID,
                             "--standing-uses N needs --standing-for SPAN, after which it ends");
    }
    enum err e =
        options_number(&i->options, "standing-uses", 0, USES_MAX, &w->standing.uses, error);
    if (e == OK && w->standing.uses == 0 && options_value(&i->options, "standing-uses") != NULL) {
        e = err_set(error, ERR_INVALID, "--standing-uses: expected at least 1");
    }
    if (e == OK && (moment_parse_span(span, &span_ns, &why) != OK || span_ns <= 0)) {
        e = err_set(error, ERR_INVALID, "--standing-for: %s",
                    why.text[0] == '\0' ? "expected a span such as 30m or 1h" : why.text);
    }
    w->stands = true;
    w->standing.until_unix_ns = clock_wall(&i->clock) + span_ns;
    return e;
}

static enum err read_word(const struct invocation *i, bool approve, struct word *w,
                          struct err_text *error)
{
    *w = (struct word){.approve = approve, .reason = options_value(&i->options, "reason")};
    enum err e = approve ? read_standing(i, w, error) : OK;
    return e != OK
               ? e
               : options_number(&i->options, "expect-version", 0, UINT32_MAX, &w->version, error);
}

static void say_about(const struct invocation *i, const struct word *w,
                      const Chaperone__V1__HeldOperation *held)
{
    (void)fprintf(i->errors.out, "%s ", w->approve ? "approving" : "denying");
    text_write(i->errors.out, bytes_of_string(held->id), TEXT_ESCAPED);
    (void)fputs(": ", i->errors.out);
    held_print_summary(&i->errors, held, SUMMARY_COLUMNS);
    (void)fputc('\n', i->errors.out);
}

/* Calls again while it is not known whether the control plane heard it: with the same key it counts
 * once. */
static int decide(const struct invocation *i, struct remote *r,
                  const Chaperone__V1__DecideRequest *request, ProtobufCMessage **out_reply)
{
    struct client_end end;
    int pause_ms = APPROVALS_RETRY_FIRST_MS;
    for (int n = 1;; n++) {
        client_call(r->client, &chaperone__v1__approvals__descriptor, "Decide", &request->base,
                    (struct client_wait){.deadline_ms = TRY_MS}, out_reply, &end);
        bool unknown =
            end.status.code == RPC_UNAVAILABLE || end.status.code == RPC_DEADLINE_EXCEEDED;
        if (end.interrupted || !unknown || n == TRIES) {
            break;
        }
        if (approvals_pause(r, pause_ms)) {
            end.interrupted = true;
            break;
        }
        pause_ms *= 2;
    }
    if (end.interrupted) {
        (void)command_fail(i, EXIT_INTERRUPTED,
                           "interrupted: whether it counts is not known; see: "
                           "chaperone approvals show %s",
                           request->id);
    }
    if (!end.interrupted && end.status.code == RPC_ABORTED) {
        return command_fail(i, EXIT_NO, "%s\nlook at it again: chaperone approvals show %s",
                            end.status.message, request->id);
    }
    return remote_exit(i, r, &end);
}

/* Whether it does is known when the last one who is needed has agreed. */
static void report_standing(const struct invocation *i, const struct word *w,
                            const Chaperone__V1__HeldOperation *h)
{
    char until[MOMENT_SIZE];
    FILE *out = i->out.out;
    moment_format(w->standing.until_unix_ns, until);
    if (h->stands_as[0] == '\0') {
        (void)fputs("; it does not stand, others who approved did not say so", out);
        return;
    }
    (void)fprintf(out, "; it stands until %s%s as ", until,
                  h->terms != NULL && h->terms->people > 1 ? " at the latest" : "");
    text_write(out, bytes_of_string(h->stands_as), TEXT_ESCAPED);
}

static int report(const struct invocation *i, const struct word *w,
                  const Chaperone__V1__HeldOperation *h)
{
    uint32_t missing = held_missing(h);
    FILE *out = i->out.out;
    if (options_flag(&i->options, "json")) {
        enum err e = held_json_write(out, h);
        return e == OK ? remote_flush(i) : command_fail(i, EXIT_NO, "%s", err_name(e));
    }
    (void)fprintf(out, "%s ", w->approve ? "approved" : "denied");
    text_write(out, bytes_of_string(h->id), TEXT_ESCAPED);
    if (missing > 0) {
        (void)fprintf(out, "; %u more %s must agree", missing, missing == 1 ? "person" : "people");
    } else if (w->approve && h->terms != NULL && h->terms->is_retry) {
        (void)fputs("; the agent may send it again now", out);
    }
    if (w->stands && missing == 0) {
        report_standing(i, w, h);
    }
    (void)fputc('\n', out);
    return remote_flush(i);
}

static int decide_about(const struct invocation *i, struct remote *r, struct word *w,
                        const Chaperone__V1__HeldOperation *held)
{
    Chaperone__V1__DecideRequest request = CHAPERONE__V1__DECIDE_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    char key[UUID_TEXT_SIZE];
    if (held->terms != NULL && held->terms->needs_reason && w->reason == NULL) {
        struct err_text error;
        (void)err_set(&error, ERR_INVALID, "the policy wants a reason: --reason TEXT");
        return command_misuse(i, &error);
    }
    if (uuid_make_v7(&i->clock, key) != OK) {
        return command_fail(i, EXIT_NO, "the system gives no randomness");
    }
    say_about(i, w, held);
    request.id = held->id;
    request.approve = w->approve;
    request.reason = approvals_text(w->reason);
    request.expect_version = w->version != 0 ? w->version : held->version;
    request.idempotency_key = key;
    request.standing = w->stands ? &w->standing : NULL;
    int code = decide(i, r, &request, &reply);
    if (code == EXIT_YES) {
        const Chaperone__V1__HeldOperation *now =
            ((const Chaperone__V1__DecideResponse *)reply)->approval;
        code = now == NULL ? command_fail(i, EXIT_NO, "the control plane's answer is empty")
                           : report(i, w, now);
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    return code;
}

static int run(struct invocation *i, bool approve)
{
    struct word word;
    struct err_text error = {0};
    struct remote remote;
    Chaperone__V1__HeldOperation *held = NULL;
    if (read_word(i, approve, &word, &error) != OK) {
        return command_misuse(i, &error);
    }
    int code = remote_open(i, &remote);
    if (code != EXIT_YES) {
        return code;
    }
    code = approvals_fetch(i, &remote, i->options.arguments[0], &held);
    if (code == EXIT_YES) {
        code = decide_about(i, &remote, &word, held);
        protobuf_c_message_free_unpacked(&held->base, NULL);
    }
    remote_close(&remote);
    return code;
}

int command_approvals_approve(struct invocation *i)
{
    return run(i, true);
}

int command_approvals_deny(struct invocation *i)
{
    return run(i, false);
}

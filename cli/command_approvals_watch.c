/* approvals watch: what waits, and every change, also after the connection was lost. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/command_approvals.h"
#include "cli/commands.h"
#include "cli/output/held_json.h"
#include "cli/output/moment.h"
#include "formats/text.h"

const struct option_spec command_approvals_watch_options[] = {
    {"after", 0, OPTION_TEXT, "CURSOR", "go on behind this event; 0: from the first one", NULL},
    {"from-now", 0, OPTION_FLAG, NULL, "without what waits already", NULL},
    {"json", 0, OPTION_FLAG, NULL, "one JSON object a line, with its cursor", NULL},
    {0},
};

struct watching {
    const struct invocation *invocation;
    bool json;
    uint64_t cursor; /* of the last event */
    bool has_begun;  /* the cursor was told: what comes behind it is not to be missed */
    bool heard;      /* something came since the last connection */
    enum err failed;
};

static enum err print_json(const struct watching *w, const Chaperone__V1__ApprovalEvent *event)
{
    struct json j;
    json_init(&j);
    json_add_unsigned(&j, j.root, "cursor", event->cursor);
    held_json_add(&j, event->approval);
    enum err e = json_write_line(&j, w->invocation->out.out);
    json_finish(&j);
    return e;
}

/* TIME STATE ID WHAT, with tabs between in a pipe. */
static void print_line(const struct watching *w, const Chaperone__V1__HeldOperation *h)
{
    const struct terminal *t = &w->invocation->out;
    const char *gap = t->is_terminal ? "  " : "\t";
    char now[MOMENT_SIZE];
    moment_format(clock_wall(&w->invocation->clock), now);
    (void)fprintf(t->out, "%s%s%s%s", now, gap, held_state_name(h->state), gap);
    text_write(t->out, bytes_of_string(h->id), TEXT_ESCAPED);
    (void)fputs(gap, t->out);
    held_print_summary(t, h, t->width > 100 ? t->width : t->is_terminal ? 100 : SIZE_MAX);
    if (h->end_reason[0] != '\0') {
        (void)fputs(" - ", t->out);
        text_write(t->out, bytes_of_string(h->end_reason), TEXT_ESCAPED);
    }
    (void)fputc('\n', t->out);
}

static void take_cursor(struct watching *w, const Chaperone__V1__ApprovalEvent *event)
{
    /* 0 is also what a list of what waits has before its last. */
    w->has_begun = w->has_begun || event->cursor != 0 || event->approval == NULL;
    w->cursor = event->cursor > w->cursor ? event->cursor : w->cursor;
    w->heard = true;
}

static bool on_event(void *context, const ProtobufCMessage *message)
{
    struct watching *w = context;
    const Chaperone__V1__ApprovalEvent *event = (const Chaperone__V1__ApprovalEvent *)message;
    FILE *out = w->invocation->out.out;
    if (event->approval == NULL) {
        take_cursor(w, event);
        return true;
    }
    if (w->json) {
        w->failed = print_json(w, event);
    } else {
        print_line(w, event->approval);
    }
    /* Only what was written has been seen: after it the stream goes on. */
    bool written = w->failed == OK && fflush(out) == 0 && ferror(out) == 0;
    if (written) {
        take_cursor(w, event);
    }
    return written;
}

static bool is_temporary(const struct rpc_status *status)
{
    return status->code == RPC_UNAVAILABLE || status->code == RPC_DEADLINE_EXCEEDED ||
           status->code == RPC_OK || status->code == RPC_RESOURCE_EXHAUSTED;
}

/* The token has run out on the way: true when there is another one now. */
static bool renew_token(const struct invocation *i, struct remote *r)
{
    struct settings now;
    struct err_text error;
    if (settings_find(&i->options, &i->clock, &now, &error) != OK) {
        return false;
    }
    bool changed =
        strcmp(now.token, r->settings.token) != 0 && client_set_token(r->client, now.token) == OK;
    if (changed) {
        char *old = r->settings.token;
        r->settings.token = now.token;
        now.token = old; /* wiped with the rest */
    }
    settings_finish(&now);
    return changed;
}

static void make_request(const struct invocation *i, const struct watching *w,
                         Chaperone__V1__WatchApprovalsRequest *out)
{
    chaperone__v1__watch_approvals_request__init(out);
    bool begins = !w->has_begun;
    out->after = w->cursor;
    out->from_now = begins && options_flag(&i->options, "from-now");
    out->only_waiting = begins && !out->from_now && options_value(&i->options, "after") == NULL;
}

/* A stream says nothing until something happens: whether the control plane is there at all, and
 * lets this person look, is asked first. After that it is waited for. */
static int check(const struct invocation *i, struct remote *r)
{
    Chaperone__V1__ListApprovalsRequest request = CHAPERONE__V1__LIST_APPROVALS_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    request.limit = 1;
    int code =
        remote_call(i, r, &chaperone__v1__approvals__descriptor, "List", &request.base, &reply);
    if (reply != NULL) {
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    return code;
}

/* Until Ctrl-C, a refusal, or a reader that has gone. */
static int follow(const struct invocation *i, struct remote *r, struct watching *w)
{
    int pause_ms = APPROVALS_RETRY_FIRST_MS;
    bool told = false; /* that the connection is lost */
    for (;;) {
        struct client_end end;
        Chaperone__V1__WatchApprovalsRequest request;
        make_request(i, w, &request);
        w->heard = false;
        client_stream(r->client, &chaperone__v1__approvals__descriptor, "Watch", &request.base,
                      on_event, w, &end);
        bool failed = w->failed != OK || ferror(i->out.out) != 0;
        bool again = is_temporary(&end.status) ||
                     (end.status.code == RPC_UNAUTHENTICATED && renew_token(i, r));
        if (end.interrupted || failed || !again) {
            return failed ? remote_flush(i) : remote_exit(i, r, &end);
        }
        pause_ms = w->heard ? APPROVALS_RETRY_FIRST_MS : pause_ms * 2;
        pause_ms = pause_ms < APPROVALS_RETRY_MAX_MS ? pause_ms : APPROVALS_RETRY_MAX_MS;
        if (w->heard || !told) {
            (void)fputs("the connection was lost; trying again\n", i->errors.out);
            told = true;
        }
        if (approvals_pause(r, pause_ms)) {
            return remote_signal_exit(r->signal_fd);
        }
    }
}

static enum err read_cursor(const struct invocation *i, uint64_t *out, struct err_text *error)
{
    const char *text = options_value(&i->options, "after");
    char *end = NULL;
    if (text == NULL) {
        return OK;
    }
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0) {
        return err_set(error, ERR_INVALID, "--after: expected a cursor, found \"%.64s\"", text);
    }
    if (options_flag(&i->options, "from-now")) {
        return err_set(error, ERR_INVALID, "--after and --from-now exclude each other");
    }
    *out = value;
    return OK;
}

int command_approvals_watch(struct invocation *i)
{
    struct watching w = {.invocation = i, .json = options_flag(&i->options, "json")};
    struct err_text error = {0};
    struct remote remote;
    if (read_cursor(i, &w.cursor, &error) != OK) {
        return command_misuse(i, &error);
    }
    int code = remote_open(i, &remote);
    if (code == EXIT_YES) {
        code = check(i, &remote);
        code = code == EXIT_YES ? follow(i, &remote, &w) : code;
        remote_close(&remote);
    }
    return code;
}

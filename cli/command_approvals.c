/* approvals list, show, link, unlink. */
#include "cli/command_approvals.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "cli/commands.h"
#include "cli/output/held_json.h"
#include "cli/output/moment.h"
#include "formats/text.h"

enum { LIMIT_MAX = 1000 };

const struct option_spec command_approvals_list_options[] = {
    {"all", 'a', OPTION_FLAG, NULL, "also those that have ended", NULL},
    {"resource", 'r', OPTION_TEXT, "NAME", "on this resource", NULL},
    {"identity", 'i', OPTION_TEXT, "SUBJECT", "of this agent", NULL},
    {"limit", 'n', OPTION_TEXT, "N", "only the newest N (100)", NULL},
    {"json", 0, OPTION_FLAG, NULL, "one JSON object a line", NULL},
    {0},
};

int approvals_fetch(const struct invocation *i, struct remote *r, const char *id,
                    Chaperone__V1__HeldOperation **out)
{
    Chaperone__V1__GetApprovalRequest request = CHAPERONE__V1__GET_APPROVAL_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    request.id = approvals_text(id);
    int code =
        remote_call(i, r, &chaperone__v1__approvals__descriptor, "Get", &request.base, &reply);
    if (code == EXIT_YES) {
        *out = (Chaperone__V1__HeldOperation *)reply;
    }
    return code;
}

bool approvals_pause(const struct remote *r, int ms)
{
    struct pollfd interrupt = {.fd = r->signal_fd, .events = POLLIN};
    int n = 0;
    do {
        n = poll(&interrupt, 1, ms);
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

/* ---- list ------------------------------------------------------------------------------- */

static enum err print_list(const struct invocation *i,
                           const Chaperone__V1__ListApprovalsResponse *list)
{
    struct table *t = table_create(held_headings);
    bool json = options_flag(&i->options, "json");
    int64_t now_ns = clock_wall(&i->clock);
    enum err e = t == NULL ? ERR_NO_MEMORY : OK;
    for (size_t n = 0; e == OK && n < list->n_approvals; n++) {
        e = json ? held_json_write(i->out.out, list->approvals[n])
                 : held_add_row(t, list->approvals[n], now_ns);
    }
    if (e == OK && !json && table_rows(t) > 0) {
        table_print(t, &i->out);
    }
    table_destroy(t);
    return e;
}

int command_approvals_list(struct invocation *i)
{
    Chaperone__V1__ListApprovalsRequest request = CHAPERONE__V1__LIST_APPROVALS_REQUEST__INIT;
    struct err_text error = {0};
    struct remote remote;
    ProtobufCMessage *reply = NULL;
    if (options_number(&i->options, "limit", 0, LIMIT_MAX, &request.limit, &error) != OK) {
        return command_misuse(i, &error);
    }
    request.include_ended = options_flag(&i->options, "all");
    request.resource = approvals_text(options_value(&i->options, "resource"));
    request.identity = approvals_text(options_value(&i->options, "identity"));
    int code = remote_open(i, &remote);
    if (code != EXIT_YES) {
        return code;
    }
    code = remote_call(i, &remote, &chaperone__v1__approvals__descriptor, "List", &request.base,
                       &reply);
    if (code == EXIT_YES) {
        const Chaperone__V1__ListApprovalsResponse *list =
            (const Chaperone__V1__ListApprovalsResponse *)reply;
        enum err e = print_list(i, list);
        if (list->n_approvals == 0 && i->out.is_terminal) {
            (void)fputs("nothing is waiting for you\n", i->errors.out);
        }
        code = e == OK ? remote_flush(i) : command_fail(i, EXIT_NO, "%s", err_name(e));
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    remote_close(&remote);
    return code;
}

/* ---- show ------------------------------------------------------------------------------- */

int command_approvals_show(struct invocation *i)
{
    struct remote remote;
    Chaperone__V1__HeldOperation *held = NULL;
    int code = remote_open(i, &remote);
    if (code != EXIT_YES) {
        return code;
    }
    code = approvals_fetch(i, &remote, i->options.arguments[0], &held);
    if (code == EXIT_YES) {
        enum err e = OK;
        if (options_flag(&i->options, "json")) {
            e = held_json_write(i->out.out, held);
        } else {
            held_print(&i->out, held, clock_wall(&i->clock));
        }
        code = e == OK ? remote_flush(i) : command_fail(i, EXIT_NO, "%s", err_name(e));
        protobuf_c_message_free_unpacked(&held->base, NULL);
    }
    remote_close(&remote);
    return code;
}

/* ---- chat accounts ---------------------------------------------------------------------- */

static void add_account(struct json *j, const Chaperone__V1__ChatAccount *account)
{
    json_add_string(j, j->root, "provider", account == NULL ? NULL : account->provider);
    json_add_string(j, j->root, "account", account == NULL ? NULL : account->account);
}

static int write_json(const struct invocation *i, struct json *j)
{
    enum err e = json_write_line(j, i->out.out);
    json_finish(j);
    return e == OK ? remote_flush(i) : command_fail(i, EXIT_NO, "%s", err_name(e));
}

static int report_link(const struct invocation *i, const Chaperone__V1__ConfirmLinkResponse *r)
{
    char until[MOMENT_SIZE];
    FILE *out = i->out.out;
    if (options_flag(&i->options, "json")) {
        struct json j;
        json_init(&j);
        add_account(&j, r->account);
        json_add_time(&j, j.root, "expires", r->expires_unix_ns);
        return write_json(i, &j);
    }
    moment_format(r->expires_unix_ns, until);
    (void)fputs("linked ", out);
    text_write(out, bytes_of_string(r->account == NULL ? "" : r->account->provider), TEXT_ESCAPED);
    (void)fputc(' ', out);
    text_write(out, bytes_of_string(r->account == NULL ? "" : r->account->account), TEXT_ESCAPED);
    (void)fprintf(out, " to your login until %s\n", until);
    return remote_flush(i);
}

int command_approvals_link(struct invocation *i)
{
    Chaperone__V1__ConfirmLinkRequest request = CHAPERONE__V1__CONFIRM_LINK_REQUEST__INIT;
    struct remote remote;
    ProtobufCMessage *reply = NULL;
    request.code = approvals_text(i->options.arguments[0]);
    int code = remote_open(i, &remote);
    if (code != EXIT_YES) {
        return code;
    }
    code = remote_call(i, &remote, &chaperone__v1__approvals__descriptor, "ConfirmLink",
                       &request.base, &reply);
    if (code == EXIT_YES) {
        code = report_link(i, (const Chaperone__V1__ConfirmLinkResponse *)reply);
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    remote_close(&remote);
    return code;
}

static int report_unlink(const struct invocation *i, const Chaperone__V1__ChatAccount *account,
                         bool removed)
{
    int code = EXIT_YES;
    if (options_flag(&i->options, "json")) {
        struct json j;
        json_init(&j);
        add_account(&j, account);
        json_add_bool(&j, j.root, "removed", removed);
        code = write_json(i, &j);
    } else if (removed) {
        (void)fprintf(i->out.out, "unlinked %s %s\n", account->provider, account->account);
        code = remote_flush(i);
    }
    return removed || code != EXIT_YES ? code
                                       : command_fail(i, EXIT_NO, "%s %s was not linked",
                                                      account->provider, account->account);
}

int command_approvals_unlink(struct invocation *i)
{
    Chaperone__V1__RemoveLinkRequest request = CHAPERONE__V1__REMOVE_LINK_REQUEST__INIT;
    Chaperone__V1__ChatAccount account = CHAPERONE__V1__CHAT_ACCOUNT__INIT;
    struct remote remote;
    ProtobufCMessage *reply = NULL;
    account.provider = approvals_text(i->options.arguments[0]);
    account.account = approvals_text(i->options.arguments[1]);
    request.account = &account;
    int code = remote_open(i, &remote);
    if (code != EXIT_YES) {
        return code;
    }
    code = remote_call(i, &remote, &chaperone__v1__approvals__descriptor, "RemoveLink",
                       &request.base, &reply);
    if (code == EXIT_YES) {
        code =
            report_unlink(i, &account, ((const Chaperone__V1__RemoveLinkResponse *)reply)->removed);
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    remote_close(&remote);
    return code;
}

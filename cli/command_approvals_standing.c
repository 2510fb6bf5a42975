/* approvals standing, approvals revoke. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/command_approvals.h"
#include "cli/commands.h"
#include "cli/output/standing.h"
#include "formats/text.h"

const struct option_spec command_approvals_standing_options[] = {
    {"all", 'a', OPTION_FLAG, NULL, "also those that were revoked, used up or have ended", NULL},
    {"resource", 'r', OPTION_TEXT, "NAME", "on this resource", NULL},
    {"identity", 'i', OPTION_TEXT, "SUBJECT", "of this agent", NULL},
    {"json", 0, OPTION_FLAG, NULL, "one JSON object a line", NULL},
    {0},
};

const struct option_spec command_approvals_revoke_options[] = {
    {"reason", 0, OPTION_TEXT, "TEXT", "why; the audit log keeps it", NULL},
    {"json", 0, OPTION_FLAG, NULL, "what became of it, as a JSON object", NULL},
    {0},
};

/* ---- standing --------------------------------------------------------------------------- */

struct listing {
    const struct invocation *i;
    struct table *table; /* NULL: JSON */
    int64_t now_ns;
    size_t count;
};

static enum err add_page(struct listing *l, const Chaperone__V1__ListStandingResponse *page)
{
    enum err e = OK;
    for (size_t n = 0; e == OK && n < page->n_standing; n++) {
        e = l->table == NULL ? standing_json_write(l->i->out.out, page->standing[n])
                             : standing_add_row(l->table, page->standing[n], l->now_ns);
        l->count++;
    }
    return e;
}

/* Page by page: an answer has a greatest size, the list has none. */
static int read_pages(struct listing *l, struct remote *r,
                      Chaperone__V1__ListStandingRequest *request)
{
    ProtobufCMessage *page = NULL;
    int code = EXIT_YES;
    for (bool more = true; more && code == EXIT_YES;) {
        ProtobufCMessage *reply = NULL;
        code = remote_call(l->i, r, &chaperone__v1__approvals__descriptor, "ListStanding",
                           &request->base, &reply);
        if (code == EXIT_YES) {
            Chaperone__V1__ListStandingResponse *list =
                (Chaperone__V1__ListStandingResponse *)reply;
            enum err e = add_page(l, list);
            code = e == OK ? EXIT_YES : command_fail(l->i, EXIT_NO, "%s", err_name(e));
            more = list->next[0] != '\0';
            request->before = list->next; /* which `page` keeps */
            if (page != NULL) {
                protobuf_c_message_free_unpacked(page, NULL);
            }
            page = reply;
        }
    }
    if (page != NULL) {
        protobuf_c_message_free_unpacked(page, NULL);
    }
    return code;
}

static int list(struct listing *l, struct remote *r)
{
    Chaperone__V1__ListStandingRequest request = CHAPERONE__V1__LIST_STANDING_REQUEST__INIT;
    const struct invocation *i = l->i;
    request.include_ended = options_flag(&i->options, "all");
    request.resource = approvals_text(options_value(&i->options, "resource"));
    request.identity = approvals_text(options_value(&i->options, "identity"));
    int code = read_pages(l, r, &request);
    if (code != EXIT_YES) {
        return code;
    }
    if (l->table != NULL && table_rows(l->table) > 0) {
        table_print(l->table, &i->out);
    }
    if (l->count == 0 && i->out.is_terminal) {
        (void)fputs("nothing stands that you may see\n", i->errors.out);
    }
    return remote_flush(i);
}

int command_approvals_standing(struct invocation *i)
{
    struct remote remote;
    struct listing l = {.i = i, .now_ns = clock_wall(&i->clock)};
    if (!options_flag(&i->options, "json")) {
        l.table = table_create(standing_headings);
        if (l.table == NULL) {
            return command_fail(i, EXIT_NO, "%s", err_name(ERR_NO_MEMORY));
        }
    }
    int code = remote_open(i, &remote);
    if (code == EXIT_YES) {
        code = list(&l, &remote);
        remote_close(&remote);
    }
    table_destroy(l.table);
    return code;
}

/* ---- revoke ----------------------------------------------------------------------------- */

/* On standard error: what is asked for has happened, but may not be all that is wanted. */
static void warn_of_another(const struct invocation *i, const char *another)
{
    if (another[0] != '\0') {
        (void)fputs("another one lets through the same: chaperone approvals revoke ",
                    i->errors.out);
        text_write(i->errors.out, bytes_of_string(another), TEXT_ESCAPED);
        (void)fputc('\n', i->errors.out);
    }
}

static int report(const struct invocation *i, const Chaperone__V1__RevokeStandingResponse *r)
{
    const Chaperone__V1__StandingApproval *s = r->standing;
    FILE *out = i->out.out;
    warn_of_another(i, r->another);
    if (options_flag(&i->options, "json")) {
        enum err e = standing_json_write(out, s);
        return e == OK ? remote_flush(i) : command_fail(i, EXIT_NO, "%s", err_name(e));
    }
    (void)fputs(r->revoked ? "revoked " : "", out);
    text_write(out, bytes_of_string(s->id), TEXT_ESCAPED);
    if (!r->revoked && s->state == CHAPERONE__V1__STANDING_STATE__STANDING_REVOKED) {
        char when[HELD_WHEN_SIZE];
        held_format_when(s->revoked_unix_ns, clock_wall(&i->clock), when);
        (void)fprintf(out, " was revoked already, %s, by ", when);
        text_write(out, bytes_of_string(s->revoked_by), TEXT_ESCAPED);
    } else if (!r->revoked) {
        (void)fprintf(out, " does not stand any more: %s", standing_state_name(s->state));
    }
    (void)fputs(": ", out);
    standing_print_summary(&i->out, s);
    (void)fputc('\n', out);
    return remote_flush(i);
}

int command_approvals_revoke(struct invocation *i)
{
    Chaperone__V1__RevokeStandingRequest request = CHAPERONE__V1__REVOKE_STANDING_REQUEST__INIT;
    struct remote remote;
    ProtobufCMessage *reply = NULL;
    request.id = approvals_text(i->options.arguments[0]);
    request.reason = approvals_text(options_value(&i->options, "reason"));
    int code = remote_open(i, &remote);
    if (code != EXIT_YES) {
        return code;
    }
    code = remote_call(i, &remote, &chaperone__v1__approvals__descriptor, "RevokeStanding",
                       &request.base, &reply);
    if (code == EXIT_YES) {
        const Chaperone__V1__RevokeStandingResponse *r =
            (const Chaperone__V1__RevokeStandingResponse *)reply;
        code = r->standing == NULL ? command_fail(i, EXIT_NO, "the control plane's answer is empty")
                                   : report(i, r);
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    remote_close(&remote);
    return code;
}

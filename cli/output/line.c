#include "cli/output/line.h"

#include "cli/output/moment.h"
#include "formats/body.h"
#include "formats/text.h"

/* More of a statement is for `audit show` and --json. */
enum { DESCRIPTION_MAX = 1 << 20, KIND_COLUMNS = 14, STATE_COLUMNS = 10 };

void line_printer_init(struct line_printer *p, const struct terminal *terminal)
{
    *p = (struct line_printer){.terminal = *terminal};
}

static const char *state_of(const struct record_view *v)
{
    return v->verdict != NULL ? v->verdict : v->status != NULL ? v->status : "";
}

enum style line_style(const struct record_view *v)
{
    const char *state = state_of(v);
    if (strcmp(state, "deny") == 0 || strcmp(state, "refused") == 0 ||
        strcmp(v->kind, "loss") == 0 || strcmp(v->kind, "finding") == 0) {
        return STYLE_BAD;
    }
    if (strcmp(state, "hold") == 0 || strcmp(state, "failed") == 0 ||
        strcmp(state, "unknown") == 0) {
        return STYLE_WARNING;
    }
    return STYLE_PLAIN;
}

static enum err describe_opened(const Chaperone__V1__SessionOpened *e, struct buffer *out)
{
    enum err r = buffer_append_format(out, "from %s", e->agent_address);
    if (r == OK && e->process != NULL && e->process->executable[0] != '\0') {
        r = buffer_append_format(out, " (%s, pid %lld)", e->process->executable,
                                 (long long)e->process->pid);
    }
    if (r == OK && e->database[0] != '\0') {
        r = buffer_append_format(out, " to database %s", e->database);
    }
    if (r == OK && e->target_address[0] != '\0') {
        r = buffer_append_format(out, " at %s", e->target_address);
    }
    if (r == OK && e->error[0] != '\0') {
        r = buffer_append_format(out, ": %s", e->error);
    }
    return r;
}

static enum err describe_intent(const Chaperone__V1__Intent *e, struct buffer *out)
{
    struct bytes text = record_bytes(e->text);
    if (text.size == 0) {
        text = bytes_of_string(e->verb);
    }
    /* The first part is all that a line can show. */
    size_t shown = text.size < DESCRIPTION_MAX / 2 ? text.size : DESCRIPTION_MAX / 2;
    bool prepares = strcmp(e->verb, "prepare") == 0;
    enum err r = buffer_append_string(out, prepares && text.size > 0 ? "prepare: " : "");
    if (r == OK) {
        r = buffer_append(out, bytes_of(text.data, shown));
    }
    if (r == OK && e->error[0] != '\0') {
        r = buffer_append_format(out, "  (%s)", e->error);
    }
    if (r == OK && e->shadow_rule[0] != '\0') {
        const char *verdict = record_verdict_name(e->shadow_verdict);
        r = buffer_append_format(out, "  (in shadow: %s by rule %s)",
                                 verdict == NULL ? "unknown" : verdict, e->shadow_rule);
    }
    return r;
}

/* "200, 512 bytes, 12.300 ms, first byte after 10.100 ms" */
static enum err describe_response(const Chaperone__V1__Outcome *e, const char *duration,
                                  struct buffer *out)
{
    const Chaperone__V1__HttpResponse *http = e->http;
    enum err r = OK;
    if (http != NULL && http->status != 0) {
        r = buffer_append_format(out, "%u, ", http->status);
    }
    if (r == OK && e->error[0] != '\0') {
        r = buffer_append_format(out, "%s%s%s, ", e->error_code,
                                 e->error_code[0] != '\0' ? ": " : "", e->error);
    }
    if (r == OK) {
        r = buffer_append_format(out, "%llu byte%s, %s", (unsigned long long)e->bytes,
                                 e->bytes == 1 ? "" : "s", duration);
    }
    if (r == OK && http != NULL && http->first_byte_us > 0) {
        char first[MOMENT_SIZE];
        moment_format_duration(http->first_byte_us, first);
        r = buffer_append_format(out, ", first byte after %s", first);
    }
    if (r == OK && http != NULL && (http->messages_from_agent > 0 || http->messages_to_agent > 0)) {
        r = buffer_append_format(out, ", messages: %llu from the agent, %llu to it",
                                 (unsigned long long)http->messages_from_agent,
                                 (unsigned long long)http->messages_to_agent);
    }
    return r;
}

/* "-> text, 5 bytes: hello", "<- event price, 12 bytes: {...}" */
static enum err describe_message(const Chaperone__V1__Message *e, struct buffer *out)
{
    struct bytes data = record_bytes(e->data);
    size_t shown = data.size < DESCRIPTION_MAX / 2 ? data.size : DESCRIPTION_MAX / 2;
    bool is_binary = body_form_of(data, e->truncated) == BODY_BINARY;
    enum err r = buffer_append_format(out, "%s %s%s%s, %llu byte%s", e->from_agent ? "->" : "<-",
                                      e->kind, e->name[0] != '\0' ? " " : "", e->name,
                                      (unsigned long long)e->size, e->size == 1 ? "" : "s");
    if (r == OK && data.size > 0 && !is_binary) {
        r = buffer_append_string(out, ": ");
        r = r == OK ? buffer_append(out, bytes_of(data.data, shown)) : r;
    }
    return r;
}

static enum err describe_outcome(const struct record_view *v, struct buffer *out)
{
    const Chaperone__V1__Outcome *e = v->record->outcome;
    char duration[MOMENT_SIZE];
    moment_format_duration(e->duration_us, duration);
    if (record_is_http(v)) {
        return describe_response(e, duration, out);
    }
    if (e->error[0] != '\0') {
        return buffer_append_format(out, "%s%s%s, %s", e->error_code,
                                    e->error_code[0] != '\0' ? ": " : "", e->error, duration);
    }
    const char *tag = e->command_tag;
    return buffer_append_format(out, "%s%s%llu row%s, %llu bytes, %s", tag,
                                tag[0] != '\0' ? ", " : "", (unsigned long long)e->rows,
                                e->rows == 1 ? "" : "s", (unsigned long long)e->bytes, duration);
}

static enum err describe_closed(const Chaperone__V1__SessionClosed *e, struct buffer *out)
{
    char duration[MOMENT_SIZE];
    moment_format_duration(e->duration_us, duration);
    enum err r = buffer_append_format(out, "%s after %llu operation%s, %s", e->reason,
                                      (unsigned long long)e->operations,
                                      e->operations == 1 ? "" : "s", duration);
    if (r == OK && e->ordered_by[0] != '\0') {
        r = buffer_append_format(out, ", ordered by %s", e->ordered_by);
    }
    if (r == OK && e->error[0] != '\0') {
        r = buffer_append_format(out, ": %s", e->error);
    }
    return r;
}

/* Actions that end sessions: their error is about those that did not end. */
static bool is_order(const Chaperone__V1__Action *e)
{
    return strcmp(e->action, "kill") == 0 || strcmp(e->action, "lift") == 0;
}

/* "search text=salary by ann (ipv4:10.0.0.7:5312): quarterly review" */
static enum err describe_action(const Chaperone__V1__Action *e, struct buffer *out)
{
    enum err r = buffer_append_format(out, "%s %s%sby %s", e->action, e->object,
                                      e->object[0] == '\0' ? "" : " ",
                                      e->by == NULL ? "nobody" : e->by->subject);
    if (r == OK && e->from[0] != '\0') {
        r = buffer_append_format(out, " (%s)", e->from);
    }
    if (r == OK && e->n_sessions > 0) {
        r = buffer_append_format(out, ", %zu session%s", e->n_sessions,
                                 e->n_sessions == 1 ? "" : "s");
    }
    if (r == OK && e->sidecar[0] != '\0') {
        r = buffer_append_format(out, ", its records end with number %llu",
                                 (unsigned long long)e->last_sequence);
    }
    if (r == OK && e->done_unix_ns > e->ordered_unix_ns) {
        char took[MOMENT_SIZE];
        moment_format_duration((e->done_unix_ns - e->ordered_unix_ns) / 1000, took);
        r = buffer_append_format(out, " in %s", took);
    }
    if (r == OK && e->reason[0] != '\0') {
        r = buffer_append_format(out, ": %s", e->reason);
    }
    if (r == OK && e->error[0] != '\0') {
        r = buffer_append_format(out, "; %s%s", is_order(e) ? "not confirmed: " : "", e->error);
    }
    return r;
}

/* "gap, sidecar 0192..., record 7 to 9: ..." */
static enum err describe_finding(const Chaperone__V1__Finding *e, struct buffer *out)
{
    enum err r = buffer_append_string(out, e->kind);
    if (r == OK && e->sidecar[0] != '\0') {
        r = buffer_append_format(out, ", sidecar %s", e->sidecar);
    }
    if (r == OK && e->first_sequence != 0) {
        r = buffer_append_format(out, ", record %llu", (unsigned long long)e->first_sequence);
    }
    if (r == OK && e->last_sequence > e->first_sequence) {
        r = buffer_append_format(out, " to %llu", (unsigned long long)e->last_sequence);
    }
    return r == OK && e->detail[0] != '\0' ? buffer_append_format(out, ": %s", e->detail) : r;
}

/* "0192...: requested of 2 people of dba, security", "0192...: denied by alice: not today" */
static enum err describe_approval(const Chaperone__V1__Approval *e, struct buffer *out)
{
    bool is_word = strcmp(e->state, "decided") == 0;
    enum err r = buffer_append_format(out, "%s: %s", e->id,
                                      !is_word     ? e->state
                                      : e->approve ? "a person approves"
                                                   : "a person denies");
    if (r == OK && strcmp(e->state, "requested") == 0) {
        r = buffer_append_format(out, " of %u %s of ", e->people,
                                 e->people == 1 ? "person" : "people");
        for (size_t i = 0; r == OK && i < e->n_groups; i++) {
            r = buffer_append_format(out, "%s%s", i == 0 ? "" : ", ", e->groups[i]);
        }
    }
    if (r == OK && e->decided_by != NULL) {
        r = buffer_append_format(out, "%s %s", is_word ? ":" : " by", e->decided_by->subject);
    }
    if (r == OK && e->reason[0] != '\0') {
        r = buffer_append_format(out, ": %s", e->reason);
    }
    if (r == OK && e->from[0] != '\0') {
        r = buffer_append_format(out, " (%s)", e->from);
    }
    return r;
}

static enum err describe_erased(const struct record_view *v, struct buffer *out)
{
    char time[MOMENT_SIZE];
    if (v->entry->erased_unix_ns == 0) { /* the session's other records are being erased now */
        return buffer_append_string(out, "erased");
    }
    moment_format(v->entry->erased_unix_ns, time);
    return buffer_append_format(out, "erased on %s", time);
}

enum err line_describe(const struct record_view *v, struct buffer *out)
{
    const Chaperone__V1__Record *r = v->record;
    if (v->is_erased) {
        return describe_erased(v, out);
    }
    switch (r->event_case) {
    case CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED:
        return describe_opened(r->session_opened, out);
    case CHAPERONE__V1__RECORD__EVENT_INTENT: return describe_intent(r->intent, out);
    case CHAPERONE__V1__RECORD__EVENT_OUTCOME: return describe_outcome(v, out);
    case CHAPERONE__V1__RECORD__EVENT_SESSION_CLOSED:
        return describe_closed(r->session_closed, out);
    case CHAPERONE__V1__RECORD__EVENT_APPROVAL: return describe_approval(r->approval, out);
    case CHAPERONE__V1__RECORD__EVENT_HEARTBEAT:
        return buffer_append_format(out, "sidecar %s, %u open session%s", r->sidecar,
                                    r->heartbeat->open_sessions,
                                    r->heartbeat->open_sessions == 1 ? "" : "s");
    case CHAPERONE__V1__RECORD__EVENT_LOSS:
        return buffer_append_format(out, "records %llu to %llu of sidecar %s are lost: %s",
                                    (unsigned long long)r->loss->first_sequence,
                                    (unsigned long long)r->loss->last_sequence, r->sidecar,
                                    r->loss->reason);
    case CHAPERONE__V1__RECORD__EVENT_ACTION: return describe_action(r->action, out);
    case CHAPERONE__V1__RECORD__EVENT_FINDING: return describe_finding(r->finding, out);
    case CHAPERONE__V1__RECORD__EVENT_MESSAGE: return describe_message(r->message, out);
    default: return buffer_append_string(out, "a kind of record that this command does not know");
    }
}

static void print_field(FILE *out, const char *text, char end)
{
    text_write(out, bytes_of_string(text), TEXT_ESCAPED);
    (void)fputc(end, out);
}

static void print_plain(FILE *out, const struct record_view *v, const char *time, struct bytes what)
{
    print_field(out, time, '\t');
    print_field(out, v->kind, '\t');
    print_field(out, v->session, '\t');
    print_field(out, v->identity, '\t');
    print_field(out, v->resource, '\t');
    print_field(out, state_of(v), '\t');
    text_write(out, what, TEXT_ESCAPED);
    (void)fputc('\n', out);
}

static void print_session(struct line_printer *p, const struct record_view *v)
{
    const char *session = v->session == NULL ? "" : v->session;
    if (strncmp(session, p->session, sizeof(p->session) - 1) == 0) {
        return;
    }
    (void)snprintf(p->session, sizeof(p->session), "%s", session);
    if (session[0] == '\0') {
        return;
    }
    FILE *out = p->terminal.out;
    terminal_style(&p->terminal, STYLE_HEADING);
    (void)fputs("session ", out);
    print_field(out, session, ' ');
    print_field(out, v->identity == NULL ? "(not identified)" : v->identity, ' ');
    if (v->on_behalf_of != NULL) {
        (void)fputs("for ", out);
        print_field(out, v->on_behalf_of, ' ');
    }
    (void)fputs("on ", out);
    text_write(out, bytes_of_string(v->resource == NULL ? "(no resource)" : v->resource),
               TEXT_ESCAPED);
    terminal_style(&p->terminal, STYLE_PLAIN);
    (void)fputc('\n', out);
}

/* Times are UTC everywhere, so that they can be given to --since as they are. */
static void print_day(struct line_printer *p, const char *time)
{
    if (strncmp(time, p->day, LINE_DAY_SIZE - 1) != 0) {
        (void)snprintf(p->day, sizeof(p->day), "%.*s", LINE_DAY_SIZE - 1, time);
        terminal_style(&p->terminal, STYLE_DIM);
        (void)fprintf(p->terminal.out, "%s UTC", p->day);
        terminal_style(&p->terminal, STYLE_PLAIN);
        (void)fputc('\n', p->terminal.out);
    }
}

static void print_fancy(struct line_printer *p, const struct record_view *v, const char *time,
                        struct bytes what)
{
    const struct terminal *t = &p->terminal;
    print_day(p, time);
    print_session(p, v);
    time += LINE_DAY_SIZE; /* and the T */
    terminal_style(t, STYLE_DIM);
    (void)fprintf(t->out, "  %s  ", time);
    terminal_style(t, STYLE_PLAIN);
    (void)fprintf(t->out, "%-*s  ", KIND_COLUMNS, v->kind);
    terminal_style(t, line_style(v));
    (void)fprintf(t->out, "%-*s  ", STATE_COLUMNS, state_of(v));
    terminal_style(t, STYLE_PLAIN);
    size_t used = 2 + strlen(time) + 2 + KIND_COLUMNS + 2 + STATE_COLUMNS + 2;
    size_t left = t->width > used + 20 ? t->width - used : 20;
    (void)text_write_cut(t->out, what, TEXT_SQUEEZED, left);
    (void)fputc('\n', t->out);
}

void line_print(struct line_printer *p, const struct record_view *v)
{
    struct buffer what;
    buffer_init(&what, DESCRIPTION_MAX);
    if (line_describe(v, &what) != OK) {
        buffer_clear(&what);
    }
    char time[MOMENT_SIZE];
    moment_format(v->record->time_unix_ns, time);
    if (p->terminal.is_terminal) {
        print_fancy(p, v, time, buffer_bytes(&what));
    } else {
        print_plain(p->terminal.out, v, time, buffer_bytes(&what));
    }
    buffer_finish(&what);
}

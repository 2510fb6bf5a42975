#include "cli/output/transcript.h"

#include <stdlib.h>

#include "cli/output/answer.h"
#include "cli/output/exchange.h"
#include "cli/output/line.h"
#include "cli/output/moment.h"
#include "cli/output/receipt.h"
#include "formats/text.h"

enum {
    INDENT = 4,
    DESCRIPTION_MAX = 1 << 20,
    LINES_PER_ROW = 8, /* of a body, where an answer would have a row: JSON has short lines */
};

struct transcript {
    struct terminal terminal;
    size_t max_rows;
    bool started, closed;
    int64_t start_ns;
    uint64_t *open; /* operations without an outcome yet */
    size_t open_count, open_capacity;
};

struct transcript *transcript_create(const struct terminal *terminal, size_t max_rows)
{
    struct transcript *t = calloc(1, sizeof(*t));
    if (t != NULL) {
        t->terminal = *terminal;
        t->max_rows = max_rows;
    }
    return t;
}

void transcript_destroy(struct transcript *t)
{
    if (t != NULL) {
        free(t->open);
        free(t);
    }
}

static enum err open_add(struct transcript *t, uint64_t operation)
{
    if (t->open_count == t->open_capacity) {
        size_t capacity = t->open_capacity == 0 ? 64 : t->open_capacity * 2;
        uint64_t *open = realloc(t->open, capacity * sizeof(*open));
        if (open == NULL) {
            return ERR_NO_MEMORY;
        }
        t->open = open;
        t->open_capacity = capacity;
    }
    t->open[t->open_count++] = operation;
    return OK;
}

static void open_remove(struct transcript *t, uint64_t operation)
{
    for (size_t i = 0; i < t->open_count; i++) {
        if (t->open[i] == operation) {
            memmove(&t->open[i], &t->open[i + 1], (t->open_count - i - 1) * sizeof(*t->open));
            t->open_count--;
            return;
        }
    }
}

static void put(const struct transcript *t, const char *text)
{
    text_write(t->terminal.out, bytes_of_string(text), TEXT_ESCAPED);
}

static void put_labelled(const struct transcript *t, const char *text,
                         Chaperone__V1__Assurance assurance, const char *source)
{
    const char *label = record_assurance_name(assurance);
    put(t, text);
    (void)fputs(" (", t->terminal.out);
    put(t, label == NULL ? "not checked" : label);
    if (source != NULL && source[0] != '\0') {
        (void)fputs(": ", t->terminal.out);
        put(t, source);
    }
    (void)fputc(')', t->terminal.out);
}

static void put_offset(const struct transcript *t, const struct record_view *v)
{
    char offset[MOMENT_SIZE];
    moment_format_offset(v->record->time_unix_ns - t->start_ns, offset);
    terminal_style(&t->terminal, STYLE_DIM);
    (void)fprintf(t->terminal.out, "%s  ", offset);
    terminal_style(&t->terminal, STYLE_PLAIN);
}

static void put_indent(const struct transcript *t)
{
    (void)fprintf(t->terminal.out, "%*s", INDENT, "");
}

static void put_reasons(const struct transcript *t, const struct record_view *v)
{
    for (size_t i = 0; i < v->delegate_count; i++) {
        const Chaperone__V1__Delegate *d = v->delegates[i];
        put_indent(t);
        (void)fputs("on behalf of ", t->terminal.out);
        put_labelled(t, d->subject, d->assurance, d->source);
        (void)fputc('\n', t->terminal.out);
    }
    for (size_t i = 0; i < v->reason_count; i++) {
        const Chaperone__V1__Stated *s = v->reasons[i];
        put_indent(t);
        (void)fputs("reason: ", t->terminal.out);
        put_labelled(t, s->text, s->assurance, s->source);
        (void)fputc('\n', t->terminal.out);
    }
}

static void put_verdict(const struct transcript *t, const struct record_view *v)
{
    if (v->verdict == NULL) {
        return;
    }
    terminal_style(&t->terminal, line_style(v));
    put(t, v->verdict);
    terminal_style(&t->terminal, STYLE_PLAIN);
    if (v->rule != NULL) {
        (void)fputs(" by rule ", t->terminal.out);
        put(t, v->rule);
    }
    if (v->error != NULL) {
        (void)fputs(": ", t->terminal.out);
        put(t, v->error);
    }
}

static void show_description(const struct transcript *t, const struct record_view *v)
{
    struct buffer what;
    buffer_init(&what, DESCRIPTION_MAX);
    if (line_describe(v, &what) == OK) {
        text_write(t->terminal.out, buffer_bytes(&what), TEXT_ESCAPED);
    }
    buffer_finish(&what);
    (void)fputc('\n', t->terminal.out);
}

/* "claims: department=support, roles=a, roles=b" */
static void show_identity(const struct transcript *t, const Chaperone__V1__Identity *who)
{
    FILE *out = t->terminal.out;
    for (size_t i = 0; i < who->n_groups; i++) {
        (void)fputs(i == 0 ? "\n    groups: " : ", ", out);
        put(t, who->groups[i]);
    }
    for (size_t i = 0; i < who->n_claims; i++) {
        (void)fputs(i == 0 ? "\n    claims: " : ", ", out);
        put(t, who->claims[i]->path);
        (void)fputc('=', out);
        put(t, who->claims[i]->value);
    }
}

static void show_opened(const struct transcript *t, const struct record_view *v)
{
    const Chaperone__V1__SessionOpened *e = v->record->session_opened;
    char time[MOMENT_SIZE];
    FILE *out = t->terminal.out;
    moment_format(v->record->time_unix_ns, time);
    terminal_style(&t->terminal, STYLE_HEADING);
    (void)fputs("session ", out);
    put(t, v->session == NULL ? "" : v->session);
    terminal_style(&t->terminal, STYLE_PLAIN);
    (void)fprintf(out, "\n    opened %s ", time);
    show_description(t, v);
    put_indent(t);
    (void)fputs("agent: ", out);
    if (e->identity != NULL) {
        put_labelled(t, e->identity->subject, e->identity->assurance, e->identity->issuer);
        show_identity(t, e->identity);
    } else {
        (void)fputs("not identified", out);
    }
    (void)fputs("\n    resource: ", out);
    put(t, v->resource == NULL ? "" : v->resource);
    (void)fputs(" (", out);
    put(t, v->protocol == NULL ? "" : v->protocol);
    (void)fputc(')', out);
    if (e->target_user[0] != '\0') {
        (void)fputs(" as ", out);
        put(t, e->target_user);
    }
    (void)fputc('\n', out);
    put_reasons(t, v);
    put_indent(t);
    put_verdict(t, v);
    (void)fputs("\n\n", out);
}

static void show_parameters(const struct transcript *t, const Chaperone__V1__Intent *e)
{
    for (size_t i = 0; i < e->n_parameters; i++) {
        const Chaperone__V1__Parameter *p = e->parameters[i];
        (void)fprintf(t->terminal.out, "%*s$%zu ", INDENT, "", i + 1);
        put(t, p->type);
        (void)fputs(p->type[0] == '\0' ? "= " : " = ", t->terminal.out);
        if (p->is_null) {
            (void)fputs("NULL", t->terminal.out);
        } else if (p->raw) {
            (void)fprintf(t->terminal.out, "(%llu bytes in binary form)",
                          (unsigned long long)p->size);
        } else {
            text_write(t->terminal.out, record_bytes(p->value), TEXT_ESCAPED);
        }
        (void)fputs(p->truncated ? "...\n" : "\n", t->terminal.out);
    }
}

/* The first line of the request has it as it is. */
static bool is_path_shown(const Chaperone__V1__Intent *e, const Chaperone__V1__Object *object)
{
    const char *path = e->http == NULL ? "" : e->http->path;
    return e->http != NULL && strcmp(object->kind, "path") == 0 &&
           bytes_equal_string(bytes_of(path, strcspn(path, "?")), object->name);
}

static void show_objects(const struct transcript *t, const Chaperone__V1__Intent *e)
{
    bool has_any = false;
    for (size_t i = 0; i < e->n_objects; i++) {
        if (is_path_shown(e, e->objects[i])) {
            continue;
        }
        (void)fputs(has_any ? ", " : "    touches: ", t->terminal.out);
        has_any = true;
        put(t, e->objects[i]->name);
        (void)fputs(" (", t->terminal.out);
        put(t, e->objects[i]->access);
        (void)fputc(')', t->terminal.out);
    }
    (void)fputs(has_any ? "\n" : "", t->terminal.out);
}

/* What rules in shadow would have said, where it is something else. */
static void show_shadow(const struct transcript *t, const Chaperone__V1__Intent *e)
{
    const char *verdict = record_verdict_name(e->shadow_verdict);
    if (e->shadow_rule[0] == '\0') {
        return;
    }
    put_indent(t);
    terminal_style(&t->terminal, STYLE_WARNING);
    (void)fputs("in shadow: ", t->terminal.out);
    put(t, verdict == NULL ? "unknown" : verdict);
    terminal_style(&t->terminal, STYLE_PLAIN);
    (void)fputs(" by rule ", t->terminal.out);
    put(t, e->shadow_rule);
    (void)fputc('\n', t->terminal.out);
}

static void show_text(const struct transcript *t, const Chaperone__V1__Intent *e)
{
    if (!exchange_shows_text(e)) {
        text_write_indented(t->terminal.out, record_bytes(e->text), INDENT);
    }
    if (e->text_truncated) {
        (void)fprintf(t->terminal.out, "    ... (%llu bytes in all)\n",
                      (unsigned long long)e->text_size);
    }
    if (e->http != NULL) {
        exchange_print_request(&t->terminal, e->http, t->max_rows * LINES_PER_ROW, INDENT);
    }
}

static void show_intent(const struct transcript *t, const struct record_view *v)
{
    const Chaperone__V1__Intent *e = v->record->intent;
    FILE *out = t->terminal.out;
    put_offset(t, v);
    (void)fprintf(out, "#%llu ", (unsigned long long)e->operation);
    if (strcmp(e->verb, "prepare") == 0 && e->n_commands > 0) {
        (void)fputs("prepare: ", out);
    }
    for (size_t i = 0; i < e->n_commands; i++) {
        put(t, e->commands[i]);
        (void)fputs(i + 1 < e->n_commands ? "; " : "  ", out);
    }
    if (e->n_commands == 0) {
        put(t, e->verb);
        (void)fputs("  ", out);
    }
    put_verdict(t, v);
    (void)fputc('\n', out);
    show_shadow(t, e);
    show_text(t, e);
    show_parameters(t, e);
    show_objects(t, e);
    put_reasons(t, v);
}

static void show_outcome(const struct transcript *t, const struct record_view *v)
{
    const Chaperone__V1__Outcome *e = v->record->outcome;
    put_offset(t, v);
    (void)fprintf(t->terminal.out, "#%llu ", (unsigned long long)e->operation);
    terminal_style(&t->terminal, line_style(v));
    put(t, v->status == NULL ? "unknown" : v->status);
    terminal_style(&t->terminal, STYLE_PLAIN);
    (void)fputs(": ", t->terminal.out);
    show_description(t, v);
    if (e->has_predicted_rows) {
        (void)fprintf(t->terminal.out, "    predicted %llu rows, and it was %llu\n",
                      (unsigned long long)e->predicted_rows, (unsigned long long)e->rows);
    }
    if (e->masking != NULL) {
        receipt_print(&t->terminal, e->masking, INDENT);
    }
    if (e->http != NULL) {
        exchange_print_response(&t->terminal, e, t->max_rows * LINES_PER_ROW, INDENT);
    } else if (t->max_rows > 0 && strcmp(e->response_encoding, "postgres") == 0) {
        answer_print(&t->terminal, e, t->max_rows, INDENT);
    }
    (void)fputc('\n', t->terminal.out);
}

/* "approval 0192...: approved by dba-1: says so (ipv4:127.0.0.1:5)" */
static void show_approval(const struct transcript *t, const struct record_view *v)
{
    const Chaperone__V1__Approval *e = v->record->approval;
    FILE *out = t->terminal.out;
    put_offset(t, v);
    (void)fprintf(out, "#%llu approval ", (unsigned long long)e->operation);
    show_description(t, v);
    if (strcmp(e->state, "requested") != 0) {
        return;
    }
    if (e->has_exact_rows) {
        (void)fprintf(out, "    predicted: %llu rows, by a run that was rolled back\n",
                      (unsigned long long)e->exact_rows);
    } else if (e->plan[0] != '\0') {
        (void)fprintf(out, "    predicted: about %.0f rows\n", e->estimated_rows);
    }
    for (size_t i = 0; i < e->n_locks; i++) {
        (void)fputs(i == 0 ? "    locks: " : ", ", out);
        put(t, e->locks[i]);
    }
    (void)fputs(e->n_locks > 0 ? "\n" : "", out);
    text_write_indented(out, bytes_of_string(e->plan), INDENT);
}

/* "#7 -> text, 5 bytes", and below it what it says. */
static void show_message(const struct transcript *t, const struct record_view *v)
{
    const Chaperone__V1__Message *e = v->record->message;
    FILE *out = t->terminal.out;
    put_offset(t, v);
    (void)fprintf(out, "#%llu %s ", (unsigned long long)e->operation, e->from_agent ? "->" : "<-");
    put(t, e->kind);
    if (e->name[0] != '\0') {
        (void)fputs(" \"", out);
        put(t, e->name);
        (void)fputc('"', out);
    }
    (void)fprintf(out, ", %llu byte%s\n", (unsigned long long)e->size, e->size == 1 ? "" : "s");
    exchange_print_message(&t->terminal, e, t->max_rows * LINES_PER_ROW, INDENT);
    if (e->masking != NULL) {
        receipt_print(&t->terminal, e->masking, INDENT);
    }
}

static void show_other(const struct transcript *t, const struct record_view *v)
{
    put_offset(t, v);
    put(t, v->kind);
    (void)fputs(": ", t->terminal.out);
    show_description(t, v);
}

enum err transcript_add(struct transcript *t, const struct record_view *v)
{
    if (!t->started) {
        t->started = true;
        t->start_ns = v->record->time_unix_ns;
    }
    t->closed = t->closed || (v->is_erased && strcmp(v->kind, "session_closed") == 0);
    switch (v->record->event_case) {
    case CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED: show_opened(t, v); return OK;
    case CHAPERONE__V1__RECORD__EVENT_INTENT:
        show_intent(t, v);
        /* What is held goes to the target only when it was released, what is refused never. */
        return v->record->intent->verdict == CHAPERONE__V1__VERDICT__HOLD ||
                       v->record->intent->verdict == CHAPERONE__V1__VERDICT__DENY
                   ? OK
                   : open_add(t, v->record->intent->operation);
    case CHAPERONE__V1__RECORD__EVENT_APPROVAL:
        show_approval(t, v);
        return strcmp(v->record->approval->state, "approved") == 0
                   ? open_add(t, v->record->approval->operation)
                   : OK;
    case CHAPERONE__V1__RECORD__EVENT_OUTCOME:
        open_remove(t, v->record->outcome->operation);
        show_outcome(t, v);
        return OK;
    case CHAPERONE__V1__RECORD__EVENT_MESSAGE: show_message(t, v); return OK;
    case CHAPERONE__V1__RECORD__EVENT_SESSION_CLOSED:
        t->closed = true;
        show_other(t, v);
        return OK;
    default: show_other(t, v); return OK;
    }
}

void transcript_end_part(struct transcript *t)
{
    for (size_t i = 0; i < t->open_count; i++) {
        terminal_style(&t->terminal, STYLE_WARNING);
        (void)fprintf(t->terminal.out, "#%llu ", (unsigned long long)t->open[i]);
        terminal_style(&t->terminal, STYLE_PLAIN);
        (void)fputs("no outcome is recorded: whether it was executed is unknown\n",
                    t->terminal.out);
    }
}

void transcript_end(struct transcript *t)
{
    transcript_end_part(t);
    if (t->started && !t->closed) {
        (void)fputs("the session's end is not recorded: it is open, or its sidecar is away\n",
                    t->terminal.out);
    }
}

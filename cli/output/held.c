#include "cli/output/held.h"

#include <inttypes.h>

#include "cli/output/exchange.h"
#include "cli/output/moment.h"
#include "formats/record.h"
#include "formats/text.h"

const char *const held_headings[] = {"APPROVAL", "STATE",     "EXPIRES",   "AGENT",
                                     "RESOURCE", "APPROVALS", "STATEMENT", NULL};

const char *held_state_name(Chaperone__V1__ApprovalState state)
{
    switch (state) {
    case CHAPERONE__V1__APPROVAL_STATE__WAITING: return "waiting";
    case CHAPERONE__V1__APPROVAL_STATE__APPROVED: return "approved";
    case CHAPERONE__V1__APPROVAL_STATE__DENIED: return "denied";
    case CHAPERONE__V1__APPROVAL_STATE__EXPIRED: return "expired";
    case CHAPERONE__V1__APPROVAL_STATE__WITHDRAWN: return "withdrawn";
    case CHAPERONE__V1__APPROVAL_STATE__USED: return "used";
    default: return "unknown";
    }
}

static uint32_t agreed(const Chaperone__V1__HeldOperation *h)
{
    uint32_t count = 0;
    for (size_t i = 0; i < h->n_decisions; i++) {
        count += h->decisions[i]->approve ? 1 : 0;
    }
    return count;
}

static uint32_t needed(const Chaperone__V1__HeldOperation *h)
{
    return h->terms == NULL || h->terms->people == 0 ? 1 : h->terms->people;
}

uint32_t held_missing(const Chaperone__V1__HeldOperation *h)
{
    bool waits = h->state == CHAPERONE__V1__APPROVAL_STATE__WAITING;
    return waits && agreed(h) < needed(h) ? needed(h) - agreed(h) : 0;
}

/* Whole seconds: nobody waits for milliseconds. */
void held_format_when(int64_t moment_ns, int64_t now_ns, char *out)
{
    static const int64_t second = 1000000000;
    bool ahead = moment_ns > now_ns;
    int64_t s = (ahead ? moment_ns - now_ns : now_ns - moment_ns) / second;
    const char *before = ahead ? "in " : "";
    const char *after = ahead ? "" : " ago";
    if (s < 60) {
        (void)snprintf(out, HELD_WHEN_SIZE, "%s%" PRId64 " s%s", before, s, after);
    } else if (s < 3600) {
        (void)snprintf(out, HELD_WHEN_SIZE, "%s%" PRId64 " min %" PRId64 " s%s", before, s / 60,
                       s % 60, after);
    } else if (s < 172800) {
        (void)snprintf(out, HELD_WHEN_SIZE, "%s%" PRId64 " h %" PRId64 " min%s", before, s / 3600,
                       s / 60 % 60, after);
    } else {
        (void)snprintf(out, HELD_WHEN_SIZE, "%s%" PRId64 " days%s", before, s / 86400, after);
    }
}

/* ---- a line ----------------------------------------------------------------------------- */

static const char *subject(const Chaperone__V1__HeldOperation *h)
{
    return h->identity == NULL ? "" : h->identity->subject;
}

static struct bytes statement(const Chaperone__V1__HeldOperation *h)
{
    return h->intent == NULL ? (struct bytes){0} : record_bytes(h->intent->text);
}

enum err held_add_row(struct table *t, const Chaperone__V1__HeldOperation *h, int64_t now_ns)
{
    char when[HELD_WHEN_SIZE] = "";
    char approvals[32];
    bool open = h->state == CHAPERONE__V1__APPROVAL_STATE__WAITING ||
                h->state == CHAPERONE__V1__APPROVAL_STATE__APPROVED;
    if (open) {
        held_format_when(h->expires_unix_ns, now_ns, when);
    }
    (void)snprintf(approvals, sizeof(approvals), "%u of %u", agreed(h), needed(h));
    enum err e = table_add_string(t, h->id);
    e = e != OK ? e : table_add_string(t, held_state_name(h->state));
    e = e != OK ? e : table_add_string(t, when);
    e = e != OK ? e : table_add_string(t, subject(h));
    e = e != OK ? e : table_add_string(t, h->resource);
    e = e != OK ? e : table_add_string(t, approvals);
    return e != OK ? e : table_add(t, statement(h));
}

static void put(const struct terminal *t, const char *text)
{
    text_write(t->out, bytes_of_string(text), TEXT_ESCAPED);
}

void held_print_summary(const struct terminal *t, const Chaperone__V1__HeldOperation *h,
                        size_t columns)
{
    put(t, subject(h));
    (void)fputs(" on ", t->out);
    put(t, h->resource);
    (void)fputs(": ", t->out);
    (void)text_write_cut(t->out, statement(h), TEXT_SQUEEZED, columns);
    if (h->intent != NULL && h->intent->n_parameters > 0) {
        (void)fprintf(t->out, " (%zu parameter%s)", h->intent->n_parameters,
                      h->intent->n_parameters == 1 ? "" : "s");
    }
}

/* ---- a page ----------------------------------------------------------------------------- */

enum { LABEL_COLUMNS = 16, INDENT = 4 };

static void label(const struct terminal *t, const char *name)
{
    terminal_style(t, STYLE_DIM);
    (void)fprintf(t->out, "%-*s", LABEL_COLUMNS, name);
    terminal_style(t, STYLE_PLAIN);
}

/* Of what follows on lines of its own. */
static void heading(const struct terminal *t, const char *name)
{
    terminal_style(t, STYLE_DIM);
    (void)fprintf(t->out, "%s\n", name);
    terminal_style(t, STYLE_PLAIN);
}

static void line(const struct terminal *t, const char *name, const char *value)
{
    if (value[0] != '\0') {
        label(t, name);
        put(t, value);
        (void)fputc('\n', t->out);
    }
}

/* "alice (verified: token:act)": what an agent says of itself must not look like what was checked.
 */
static void labelled(const struct terminal *t, const char *name, const char *value,
                     Chaperone__V1__Assurance assurance, const char *source)
{
    const char *known = record_assurance_name(assurance);
    label(t, name);
    put(t, value);
    (void)fputs(" (", t->out);
    if (assurance != CHAPERONE__V1__ASSURANCE__VERIFIED) {
        terminal_style(t, STYLE_WARNING);
    }
    put(t, known == NULL ? "not checked" : known);
    terminal_style(t, STYLE_PLAIN);
    if (source[0] != '\0') {
        (void)fputs(": ", t->out);
        put(t, source);
    }
    (void)fputs(")\n", t->out);
}

static enum style state_style(Chaperone__V1__ApprovalState state)
{
    switch (state) {
    case CHAPERONE__V1__APPROVAL_STATE__WAITING: return STYLE_WARNING;
    case CHAPERONE__V1__APPROVAL_STATE__APPROVED:
    case CHAPERONE__V1__APPROVAL_STATE__USED: return STYLE_GOOD;
    default: return STYLE_BAD;
    }
}

static void print_state(const struct terminal *t, const Chaperone__V1__HeldOperation *h,
                        int64_t now_ns)
{
    char when[HELD_WHEN_SIZE];
    label(t, "state");
    terminal_style(t, state_style(h->state));
    put(t, held_state_name(h->state));
    terminal_style(t, STYLE_PLAIN);
    if (h->ended_unix_ns != 0) {
        held_format_when(h->ended_unix_ns, now_ns, when);
        (void)fprintf(t->out, ", %s", when);
    }
    if (h->end_reason[0] != '\0') {
        (void)fputs(": ", t->out);
        put(t, h->end_reason);
    }
    (void)fputc('\n', t->out);
    if (h->ended_unix_ns == 0) {
        char moment[MOMENT_SIZE];
        moment_format(h->expires_unix_ns, moment);
        held_format_when(h->expires_unix_ns, now_ns, when);
        label(t, "expires");
        (void)fprintf(t->out, "%s (%s)\n", when, moment);
    }
}

static void print_reasons(const struct terminal *t, Chaperone__V1__Delegate *const *delegates,
                          size_t delegate_count, Chaperone__V1__Stated *const *reasons,
                          size_t reason_count)
{
    for (size_t i = 0; i < delegate_count; i++) {
        labelled(t, "on behalf of", delegates[i]->subject, delegates[i]->assurance,
                 delegates[i]->source);
    }
    for (size_t i = 0; i < reason_count; i++) {
        labelled(t, "reason", reasons[i]->text, reasons[i]->assurance, reasons[i]->source);
    }
}

static void print_who(const struct terminal *t, const Chaperone__V1__HeldOperation *h)
{
    if (h->identity != NULL) {
        labelled(t, "agent", h->identity->subject, h->identity->assurance, h->identity->issuer);
        for (size_t i = 0; i < h->identity->n_groups; i++) {
            if (i == 0) {
                label(t, "groups");
            }
            put(t, h->identity->groups[i]);
            (void)fputs(i + 1 < h->identity->n_groups ? ", " : "\n", t->out);
        }
    } else {
        line(t, "agent", "not identified");
    }
    print_reasons(t, h->on_behalf_of, h->n_on_behalf_of, h->reasons, h->n_reasons);
    if (h->intent != NULL) {
        /* Of this operation alone: a comment in the statement. */
        print_reasons(t, h->intent->on_behalf_of, h->intent->n_on_behalf_of, h->intent->reasons,
                      h->intent->n_reasons);
    }
}

static void print_where(const struct terminal *t, const Chaperone__V1__HeldOperation *h)
{
    label(t, "resource");
    put(t, h->resource);
    (void)fputs(" (", t->out);
    put(t, h->protocol);
    (void)fputc(')', t->out);
    if (h->database[0] != '\0') {
        (void)fputs(", database ", t->out);
        put(t, h->database);
    }
    if (h->target_user[0] != '\0') {
        (void)fputs(", as ", t->out);
        put(t, h->target_user);
    }
    (void)fputc('\n', t->out);
    label(t, "session");
    put(t, h->session);
    (void)fprintf(t->out, ", operation %" PRIu64 "\n", h->operation);
    if (h->intent != NULL && h->intent->transaction[0] != '\0') {
        line(t, "transaction", h->intent->transaction);
    }
    for (size_t i = 0; i < h->n_locks; i++) {
        line(t, "holds lock", h->locks[i]);
    }
}

static void print_parameters(const struct terminal *t, const Chaperone__V1__Intent *intent)
{
    for (size_t i = 0; i < intent->n_parameters; i++) {
        const Chaperone__V1__Parameter *p = intent->parameters[i];
        (void)fprintf(t->out, "%*s$%zu ", INDENT, "", i + 1);
        put(t, p->type);
        (void)fputs(p->type[0] == '\0' ? "= " : " = ", t->out);
        if (p->is_null) {
            (void)fputs("NULL", t->out);
        } else if (p->raw) {
            (void)fprintf(t->out, "(%" PRIu64 " bytes in binary form)", p->size);
        } else {
            text_write(t->out, record_bytes(p->value), TEXT_ESCAPED);
        }
        if (p->truncated) {
            (void)fprintf(t->out, "... (%" PRIu64 " bytes in all)", p->size);
        }
        (void)fputc('\n', t->out);
    }
}

static void print_statement(const struct terminal *t, const Chaperone__V1__Intent *intent)
{
    label(t, intent->http == NULL ? "statement" : "request");
    for (size_t i = 0; i < intent->n_commands; i++) {
        put(t, intent->commands[i]);
        (void)fputs(i + 1 < intent->n_commands ? "; " : "", t->out);
    }
    (void)fputc('\n', t->out);
    if (!exchange_shows_text(intent)) {
        text_write_indented(t->out, record_bytes(intent->text), INDENT);
    }
    if (intent->text_truncated) {
        terminal_style(t, STYLE_WARNING);
        (void)fprintf(t->out, "%*s... (%" PRIu64 " bytes in all: this is only the beginning)\n",
                      INDENT, "", intent->text_size);
        terminal_style(t, STYLE_PLAIN);
    }
    if (intent->http != NULL) {
        /* All of it: a decision needs the end of a body as much as its beginning. */
        exchange_print_request(t, intent->http, EXCHANGE_LINES_ALL, INDENT);
    }
    print_parameters(t, intent);
    for (size_t i = 0; i < intent->n_objects; i++) {
        if (i == 0) {
            label(t, "touches");
        }
        put(t, intent->objects[i]->name);
        (void)fputs(" (", t->out);
        put(t, intent->objects[i]->access);
        (void)fputs(i + 1 < intent->n_objects ? "), " : ")\n", t->out);
    }
    if (intent->without_where) {
        line(t, "warning", "without WHERE: all rows of the table");
    }
    line(t, "held by rule", intent->rule);
}

static void print_prediction(const struct terminal *t, const Chaperone__V1__Prediction *p)
{
    if (p->has_exact) {
        label(t, "exact rows");
        (void)fprintf(t->out, "%" PRIu64 " (of a run that was rolled back)\n", p->exact_rows);
    }
    if (p->plan[0] != '\0') {
        label(t, "estimated rows");
        (void)fprintf(t->out, "%.0f\n", p->estimated_rows);
        heading(t, "plan");
        text_write_indented(t->out, bytes_of_string(p->plan), INDENT);
    }
    line(t, "no prediction", p->unavailable);
}

static void print_terms(const struct terminal *t, const Chaperone__V1__HeldOperation *h)
{
    const Chaperone__V1__HoldTerms *terms = h->terms;
    uint32_t missing = held_missing(h);
    for (size_t i = 0; terms != NULL && i < terms->n_groups; i++) {
        if (i == 0) {
            label(t, "approvers");
        }
        put(t, terms->groups[i]);
        (void)fputs(i + 1 < terms->n_groups ? " or " : "\n", t->out);
    }
    if (missing > 0) {
        label(t, "missing");
        (void)fprintf(t->out, "%u of %u %s%s\n", missing, needed(h),
                      needed(h) == 1 ? "person" : "people",
                      terms != NULL && terms->needs_reason ? ", each with a reason" : "");
    }
    if (terms != NULL && terms->is_retry) {
        line(t, "mode", "retry: the agent was sent away, and comes again with the same statement");
    }
    if (terms != NULL && terms->standing != NULL) {
        label(t, "standing");
        (void)fprintf(t->out, "allowed, for %" PRId64 " s and %u uses at most\n",
                      terms->standing->seconds_max, terms->standing->uses_max);
    }
}

static void print_decisions(const struct terminal *t, const Chaperone__V1__HeldOperation *h,
                            int64_t now_ns)
{
    for (size_t i = 0; i < h->n_decisions; i++) {
        const Chaperone__V1__Decision *d = h->decisions[i];
        char when[HELD_WHEN_SIZE];
        held_format_when(d->time_unix_ns, now_ns, when);
        label(t, d->approve ? "approved by" : "denied by");
        put(t, d->by == NULL ? "nobody known" : d->by->subject);
        (void)fprintf(t->out, ", %s", when);
        if (d->from[0] != '\0') {
            (void)fputs(", from ", t->out);
            put(t, d->from);
        }
        if (d->is_linked) {
            (void)fputs(", through a linked chat account", t->out);
        }
        if (d->reason[0] != '\0') {
            (void)fputs(": ", t->out);
            put(t, d->reason);
        }
        (void)fputc('\n', t->out);
    }
    line(t, "standing", h->standing);
    line(t, "stands as", h->stands_as);
}

static void print_digest(const struct terminal *t, ProtobufCBinaryData digest)
{
    if (digest.len > 0) {
        label(t, "digest");
        for (size_t i = 0; i < digest.len; i++) {
            (void)fprintf(t->out, "%02x", digest.data[i]);
        }
        (void)fputc('\n', t->out);
    }
}

void held_print(const struct terminal *t, const Chaperone__V1__HeldOperation *h, int64_t now_ns)
{
    terminal_style(t, STYLE_HEADING);
    (void)fputs("approval ", t->out);
    put(t, h->id);
    terminal_style(t, STYLE_PLAIN);
    (void)fputc('\n', t->out);
    print_state(t, h, now_ns);
    print_who(t, h);
    print_where(t, h);
    if (h->intent != NULL) {
        print_statement(t, h->intent);
    }
    if (h->prediction != NULL) {
        print_prediction(t, h->prediction);
    }
    print_terms(t, h);
    print_decisions(t, h, now_ns);
    print_digest(t, h->digest);
}

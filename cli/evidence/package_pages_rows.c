/* The tables of the pages, row by row: sessions, approvals, refusals, what people did. */
#include <inttypes.h>
#include <stdlib.h>

#include "cli/evidence/html.h"
#include "cli/evidence/package_internal.h"
#include "cli/output/line.h"

enum {
    STATEMENT_SHOWN = 400,      /* characters; the whole is behind the link */
    DESCRIPTION_MAX = 64 << 10, /* bytes that a line makes of a record */
};

struct rows {
    FILE *out;
    const char *up;
};

static void link_to(FILE *out, const char *up, const char *folder, const char *id,
                    const char *suffix, const char *label)
{
    char name[PACKAGE_ID_SIZE];
    package_id(id, name);
    (void)fprintf(out, "<a href=\"%s%s/%s.%s\">", up, folder, name, suffix);
    html_string(out, label);
    (void)fputs("</a>", out);
}

static void cell_session(const struct rows *r, const char *id)
{
    (void)fputs("<td>", r->out);
    if (id[0] != '\0') {
        link_to(r->out, r->up, "sessions", id, "txt", id);
    }
    (void)fputs("</td>", r->out);
}

static void cell_text(FILE *out, struct bytes text)
{
    (void)fputs("<td><code>", out);
    html_text(out, text, STATEMENT_SHOWN);
    (void)fputs("</code></td>", out);
}

/* --- sessions ----------------------------------------------------------------------------------
 */

static enum err put_session(struct package *p, size_t n, const struct rows *r)
{
    const struct collection_session *s = collection_session(p->with.collection, n);
    (void)fputs("<tr>", r->out);
    html_cell_time(r->out, s->first_ns);
    html_cell_time(r->out, s->last_ns);
    html_cell(r->out, s->identity);
    html_cell(r->out, s->on_behalf_of);
    html_cell(r->out, s->resource);
    html_cell_number(r->out, s->intents);
    html_cell_number(r->out, s->refused);
    html_cell_number(r->out, s->masked);
    html_cell(r->out, s->close_reason);
    cell_session(r, s->id);
    (void)fputs("<td>", r->out);
    link_to(r->out, r->up, "sessions", s->id, "jsonl", "data");
    if (p->with.with_replay) {
        (void)fputs(" ", r->out);
        link_to(r->out, r->up, "replay", s->id, "cast", "replay");
    }
    (void)fputs("</td></tr>\n", r->out);
    return OK;
}

/* --- approvals ---------------------------------------------------------------------------------
 */

static const char *state_name(Chaperone__V1__ApprovalState state)
{
    switch (state) {
    case CHAPERONE__V1__APPROVAL_STATE__WAITING: return "waiting";
    case CHAPERONE__V1__APPROVAL_STATE__APPROVED: return "approved";
    case CHAPERONE__V1__APPROVAL_STATE__DENIED: return "denied";
    case CHAPERONE__V1__APPROVAL_STATE__EXPIRED: return "expired";
    case CHAPERONE__V1__APPROVAL_STATE__WITHDRAWN: return "withdrawn";
    case CHAPERONE__V1__APPROVAL_STATE__USED: return "approved and used";
    default: return "unknown";
    }
}

static void cell_decisions(FILE *out, const Chaperone__V1__HeldOperation *held)
{
    (void)fputs("<td>", out);
    for (size_t i = 0; i < held->n_decisions; i++) {
        const Chaperone__V1__Decision *d = held->decisions[i];
        (void)fputs(i > 0 ? "; " : "", out);
        html_string(out, d->by == NULL ? "?" : d->by->subject);
        (void)fputs(d->approve ? ": yes" : ": no", out);
        if (d->reason[0] != '\0') {
            (void)fputs(", ", out);
            html_text(out, bytes_of_string(d->reason), STATEMENT_SHOWN);
        }
    }
    (void)fputs("</td>", out);
}

static enum err put_approval(struct package *p, size_t n, const struct rows *r)
{
    struct bytes packed;
    enum err e = collection_item(p->with.collection, COLLECTION_APPROVAL, n, &packed);
    if (e != OK) {
        return e;
    }
    Chaperone__V1__HeldOperation *held =
        chaperone__v1__held_operation__unpack(NULL, packed.size, packed.data);
    if (held == NULL) {
        return ERR_NO_MEMORY;
    }
    (void)fputs("<tr>", r->out);
    html_cell_time(r->out, held->requested_unix_ns);
    html_cell(r->out, held->identity == NULL ? "" : held->identity->subject);
    html_cell(r->out, held->resource);
    cell_text(r->out, held->intent == NULL ? (struct bytes){0} : record_bytes(held->intent->text));
    html_cell(r->out, state_name(held->state));
    cell_decisions(r->out, held);
    (void)fputs("<td>", r->out);
    link_to(r->out, r->up, "approvals", held->id, "json", held->id);
    (void)fputs("</td></tr>\n", r->out);
    chaperone__v1__held_operation__free_unpacked(held, NULL);
    return OK;
}

/* --- policies ----------------------------------------------------------------------------------
 */

static enum err put_policy(struct package *p, size_t n, const struct rows *r)
{
    struct bytes packed;
    enum err e = collection_item(p->with.collection, COLLECTION_POLICY, n, &packed);
    if (e != OK) {
        return e;
    }
    Chaperone__V1__ExportPolicy *policy =
        chaperone__v1__export_policy__unpack(NULL, packed.size, packed.data);
    if (policy == NULL) {
        return ERR_NO_MEMORY;
    }
    (void)fputs("<tr>", r->out);
    html_cell_time(r->out, policy->created_unix_ns);
    (void)fprintf(r->out, "<td><a href=\"%spolicies/%" PRIu64 ".json\">%" PRIu64 "</a></td>", r->up,
                  policy->revision, policy->revision);
    html_cell(r->out, policy->created_by);
    html_cell(r->out, policy->message);
    html_cell(r->out, policy->hash);
    (void)fputs("</tr>\n", r->out);
    chaperone__v1__export_policy__free_unpacked(policy, NULL);
    return OK;
}

/* --- of records --------------------------------------------------------------------------------
 */

static enum err put_refusal(void *context, uint32_t number, const Chaperone__V1__Entry *entry,
                            const Chaperone__V1__Record *record)
{
    const struct rows *r = context;
    struct record_view v;
    (void)number;
    record_view_init(&v, entry, record);
    (void)fputs("<tr>", r->out);
    html_cell_time(r->out, record->time_unix_ns);
    html_cell(r->out, entry->identity);
    html_cell(r->out, entry->resource);
    html_cell(r->out, v.rule == NULL ? "" : v.rule);
    if (record->event_case == CHAPERONE__V1__RECORD__EVENT_INTENT) {
        cell_text(r->out, record_bytes(record->intent->text));
    } else {
        html_cell(r->out, "(the session)");
    }
    html_cell(r->out, v.error == NULL ? "" : v.error);
    cell_session(r, entry->session);
    (void)fputs("</tr>\n", r->out);
    return OK;
}

static enum err put_action(void *context, uint32_t number, const Chaperone__V1__Entry *entry,
                           const Chaperone__V1__Record *record)
{
    const struct rows *r = context;
    struct record_view v;
    struct buffer what;
    (void)number;
    record_view_init(&v, entry, record);
    buffer_init(&what, DESCRIPTION_MAX);
    enum err e = line_describe(&v, &what);
    (void)fputs("<tr>", r->out);
    html_cell_time(r->out, record->time_unix_ns);
    html_cell(r->out, v.kind);
    (void)fputs("<td>", r->out);
    html_text(r->out, buffer_bytes(&what), STATEMENT_SHOWN);
    (void)fputs("</td>", r->out);
    html_cell_number(r->out, entry->position);
    (void)fputs("</tr>\n", r->out);
    buffer_finish(&what);
    return e == ERR_LIMIT ? OK : e;
}

/* --- the tables --------------------------------------------------------------------------------
 */

struct table {
    const char *name, *title;
    const char *const *columns;
    enum collection_list list;
    package_entry_fn *entry; /* of a list of entries; NULL: `item` */
    enum err (*item)(struct package *p, size_t n, const struct rows *r);
};

static const struct table *table_of(enum package_table table)
{
    static const char *const sessions[] = {"First",    "Last",       "Identity", "On behalf of",
                                           "Resource", "Operations", "Refused",  "Masked",
                                           "Ended",    "Log",        "More",     NULL};
    static const char *const approvals[] = {"Asked",   "Identity",  "Resource", "Statement",
                                            "Outcome", "Decisions", "Approval", NULL};
    static const char *const refusals[] = {"Time",      "Identity", "Resource", "Rule",
                                           "Statement", "Why",      "Session",  NULL};
    static const char *const policies[] = {"Made", "Revision", "By", "Why", "Hash", NULL};
    static const char *const actions[] = {"Time", "Kind", "What", "Position", NULL};
    static const struct table tables[TABLES] = {
        [TABLE_SESSIONS] = {"sessions", "Sessions", sessions, 0, NULL, put_session},
        [TABLE_APPROVALS] = {"approvals", "Approvals", approvals, 0, NULL, put_approval},
        [TABLE_REFUSALS] = {"refusals", "Refusals", refusals, COLLECTION_REFUSALS, put_refusal,
                            NULL},
        [TABLE_POLICIES] = {"policies", "Policies", policies, 0, NULL, put_policy},
        [TABLE_ACTIONS] = {"actions", "What people did, and what was noticed", actions,
                           COLLECTION_ACTIONS, put_action, NULL},
    };
    return &tables[table];
}

const char *package_table_name(enum package_table table)
{
    return table_of(table)->name;
}

const char *package_table_title(enum package_table table)
{
    return table_of(table)->title;
}

size_t package_table_rows(const struct package *p, enum package_table table)
{
    size_t count = 0;
    switch (table) {
    case TABLE_SESSIONS: return collection_session_count(p->with.collection);
    case TABLE_APPROVALS: return collection_item_count(p->with.collection, COLLECTION_APPROVAL);
    case TABLE_POLICIES: return collection_item_count(p->with.collection, COLLECTION_POLICY);
    default: (void)collection_list(p->with.collection, table_of(table)->list, &count); return count;
    }
}

enum err package_table_write(struct package *p, enum package_table table, size_t from, size_t to,
                             const char *up, FILE *out)
{
    const struct table *t = table_of(table);
    struct rows rows = {.out = out, .up = up};
    size_t count = 0;
    const uint32_t *numbers =
        t->entry == NULL ? NULL : collection_list(p->with.collection, t->list, &count);
    enum err e = OK;
    html_table_begin(out, t->columns);
    for (size_t n = from; e == OK && n < to; n++) {
        e = t->entry != NULL ? package_with(p, numbers[n], t->entry, &rows) : t->item(p, n, &rows);
    }
    html_table_end(out);
    return e == OK && ferror(out) != 0 ? ERR_IO : e;
}

#include "cli/output/standing.h"

#include <inttypes.h>

#include "base/bytes.h"
#include "cli/output/held.h"
#include "formats/json.h"
#include "formats/record.h"
#include "formats/text.h"

enum { CELL_BYTES_MAX = 1 << 16 };

const char *const standing_headings[] = {"STANDING",    "SINCE",     "ENDS", "LEFT",
                                         "AGENT",       "FOR",       "ON",   "RULE",
                                         "APPROVED BY", "STATEMENT", NULL};

const char *standing_state_name(Chaperone__V1__StandingState state)
{
    switch (state) {
    case CHAPERONE__V1__STANDING_STATE__STANDS: return "stands";
    case CHAPERONE__V1__STANDING_STATE__STANDING_REVOKED: return "revoked";
    case CHAPERONE__V1__STANDING_STATE__STANDING_USED_UP: return "used up";
    case CHAPERONE__V1__STANDING_STATE__STANDING_ENDED: return "ended";
    default: return "unknown";
    }
}

static uint64_t left(const Chaperone__V1__StandingApproval *s)
{
    return s->uses < s->uses_max ? s->uses_max - s->uses : 0;
}

/* ---- a line ----------------------------------------------------------------------------- */

/* Adds `text` behind what is there, if it says something. */
static enum err list_add(struct buffer *list, const char *text)
{
    const char *separator = buffer_bytes(list).size == 0 ? "" : ", ";
    return text[0] == '\0' ? OK : buffer_append_format(list, "%s%s", separator, text);
}

static enum err put_ends(struct buffer *cell, const Chaperone__V1__StandingApproval *s,
                         int64_t now_ns)
{
    char when[HELD_WHEN_SIZE];
    if (s->state == CHAPERONE__V1__STANDING_STATE__STANDING_REVOKED) {
        held_format_when(s->revoked_unix_ns, now_ns, when);
        return buffer_append_format(cell, "revoked %s by %s", when, s->revoked_by);
    }
    held_format_when(s->until_unix_ns, now_ns, when);
    return s->state == CHAPERONE__V1__STANDING_STATE__STANDS
               ? buffer_append_format(cell, "%s", when)
               : buffer_append_format(cell, "%s", standing_state_name(s->state));
}

static enum err put_left(struct buffer *cell, const Chaperone__V1__StandingApproval *s)
{
    return s->uses_max == 0
               ? buffer_append_format(cell, "any")
               : buffer_append_format(cell, "%" PRIu64 " of %" PRIu64, left(s), s->uses_max);
}

static enum err put_delegates(struct buffer *cell, Chaperone__V1__Delegate *const *items,
                              size_t count)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < count; i++) {
        e = list_add(cell, items[i]->subject);
    }
    return e;
}

/* The session's and the statement's own. */
static enum err put_for(struct buffer *cell, const Chaperone__V1__HeldOperation *h)
{
    enum err e = put_delegates(cell, h->on_behalf_of, h->n_on_behalf_of);
    return e == OK && h->intent != NULL
               ? put_delegates(cell, h->intent->on_behalf_of, h->intent->n_on_behalf_of)
               : e;
}

/* "shop/orders as app": resource, database, user. */
static enum err put_where(struct buffer *cell, const Chaperone__V1__HeldOperation *h)
{
    enum err e = buffer_append_format(cell, "%s", h->resource);
    if (e == OK && h->database[0] != '\0') {
        e = buffer_append_format(cell, "/%s", h->database);
    }
    return e == OK && h->target_user[0] != '\0'
               ? buffer_append_format(cell, " as %s", h->target_user)
               : e;
}

static enum err put_approvers(struct buffer *cell, const Chaperone__V1__HeldOperation *h)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < h->n_decisions; i++) {
        const Chaperone__V1__Decision *d = h->decisions[i];
        e = d->approve && d->by != NULL ? list_add(cell, d->by->subject) : OK;
    }
    return e;
}

/* Adds what was put into the cell, and empties it for the next one. */
static enum err cell_end(struct table *t, struct buffer *cell, enum err e)
{
    e = e == OK ? table_add(t, buffer_bytes(cell)) : e;
    buffer_clear(cell);
    return e;
}

static enum err add_cells(struct table *t, struct buffer *cell,
                          const Chaperone__V1__StandingApproval *s, int64_t now_ns)
{
    const Chaperone__V1__HeldOperation *h = s->approval;
    char since[HELD_WHEN_SIZE];
    held_format_when(s->created_unix_ns, now_ns, since);
    enum err e = table_add_string(t, s->id);
    e = e != OK ? e : table_add_string(t, since);
    e = e != OK ? e : cell_end(t, cell, put_ends(cell, s, now_ns));
    e = e != OK ? e : cell_end(t, cell, put_left(cell, s));
    e = e != OK ? e : table_add_string(t, h->identity == NULL ? "" : h->identity->subject);
    e = e != OK ? e : cell_end(t, cell, put_for(cell, h));
    e = e != OK ? e : cell_end(t, cell, put_where(cell, h));
    e = e != OK ? e : table_add_string(t, h->intent == NULL ? "" : h->intent->rule);
    e = e != OK ? e : cell_end(t, cell, put_approvers(cell, h));
    return e != OK ? e
                   : table_add(t, h->intent == NULL ? (struct bytes){0}
                                                    : record_bytes(h->intent->text));
}

enum err standing_add_row(struct table *t, const Chaperone__V1__StandingApproval *s, int64_t now_ns)
{
    struct buffer cell;
    if (s->approval == NULL) {
        return ERR_INVALID;
    }
    buffer_init(&cell, CELL_BYTES_MAX);
    enum err e = add_cells(t, &cell, s, now_ns);
    buffer_finish(&cell);
    return e;
}

void standing_print_summary(const struct terminal *t, const Chaperone__V1__StandingApproval *s)
{
    const Chaperone__V1__HeldOperation *h = s->approval;
    if (h != NULL && h->identity != NULL && h->intent != NULL) {
        text_write(t->out, bytes_of_string(h->identity->subject), TEXT_ESCAPED);
        (void)fputs(" on ", t->out);
        text_write(t->out, bytes_of_string(h->resource), TEXT_ESCAPED);
        (void)fputs(", rule ", t->out);
        text_write(t->out, bytes_of_string(h->intent->rule), TEXT_ESCAPED);
        (void)fputs(", ", t->out);
    }
    (void)fprintf(t->out, "used %" PRIu64, s->uses);
    if (s->uses_max != 0) {
        (void)fprintf(t->out, " of %" PRIu64, s->uses_max);
    }
    (void)fputs(s->uses_max == 1 || (s->uses_max == 0 && s->uses == 1) ? " time" : " times",
                t->out);
}

/* ---- JSON ------------------------------------------------------------------------------- */

/* "" is what protobuf has for absent. */
static void add_text(struct json *j, const char *name, const char *text)
{
    json_add_string(j, j->root, name, text[0] == '\0' ? NULL : text);
}

static void add_delegates(struct json *j, cJSON *list, Chaperone__V1__Delegate *const *items,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cJSON *item = json_add_object(j, list, NULL);
        json_add_string(j, item, "subject", items[i]->subject);
        json_add_string(j, item, "assurance", record_assurance_name(items[i]->assurance));
    }
}

static void add_approvers(struct json *j, const Chaperone__V1__HeldOperation *h)
{
    cJSON *list = json_add_array(j, j->root, "approved");
    for (size_t i = 0; i < h->n_decisions; i++) {
        const Chaperone__V1__Decision *d = h->decisions[i];
        if (d->approve) {
            cJSON *item = json_add_object(j, list, NULL);
            json_add_string(j, item, "by", d->by == NULL ? NULL : d->by->subject);
            json_add_time(j, item, "time", d->time_unix_ns);
            json_add_string(j, item, "reason", d->reason[0] == '\0' ? NULL : d->reason);
        }
    }
}

static void add_approval(struct json *j, const Chaperone__V1__HeldOperation *h)
{
    json_add_string(j, j->root, "approval", h->id);
    json_add_string(j, j->root, "session", h->session);
    json_add_string(j, j->root, "identity", h->identity == NULL ? NULL : h->identity->subject);
    json_add_string(j, j->root, "issuer", h->identity == NULL ? NULL : h->identity->issuer);
    cJSON *delegation = json_add_array(j, j->root, "delegation");
    add_delegates(j, delegation, h->on_behalf_of, h->n_on_behalf_of);
    if (h->intent != NULL) {
        add_delegates(j, delegation, h->intent->on_behalf_of, h->intent->n_on_behalf_of);
    }
    json_add_string(j, j->root, "resource", h->resource);
    json_add_string(j, j->root, "protocol", h->protocol);
    add_text(j, "database", h->database);
    add_text(j, "target_user", h->target_user);
    if (h->intent != NULL) {
        json_add_string(j, j->root, "rule", h->intent->rule);
        if (h->intent->text.len > 0) {
            json_add_text(j, j->root, "text", record_bytes(h->intent->text));
        } else {
            json_add_null(j, j->root, "text");
        }
    }
    add_text(j, "shape", h->shape);
    add_approvers(j, h);
}

enum err standing_json_write(FILE *out, const Chaperone__V1__StandingApproval *s)
{
    struct json j;
    json_init(&j);
    json_add_string(&j, j.root, "id", s->id);
    json_add_string(&j, j.root, "state", standing_state_name(s->state));
    json_add_time(&j, j.root, "created", s->created_unix_ns);
    json_add_time(&j, j.root, "until", s->until_unix_ns);
    json_add_unsigned(&j, j.root, "uses", s->uses);
    if (s->uses_max == 0) {
        json_add_null(&j, j.root, "uses_max");
        json_add_null(&j, j.root, "uses_left");
    } else {
        json_add_unsigned(&j, j.root, "uses_max", s->uses_max);
        json_add_unsigned(&j, j.root, "uses_left", left(s));
    }
    if (s->revoked_unix_ns == 0) {
        json_add_null(&j, j.root, "revoked");
    } else {
        json_add_time(&j, j.root, "revoked", s->revoked_unix_ns);
    }
    add_text(&j, "revoked_by", s->revoked_by);
    add_text(&j, "revoke_reason", s->revoke_reason);
    if (s->approval != NULL) {
        add_approval(&j, s->approval);
    }
    enum err e = json_write_line(&j, out);
    json_finish(&j);
    return e;
}

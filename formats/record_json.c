#include "formats/record_json.h"

#include <stdlib.h>

#include "formats/answer.h"
#include "formats/http_json.h"
#include "formats/json.h"

/* A decoded answer is at most as large as its hex digits; the recorded part is limited by the
 * sidecar. */
enum { CELL_TEXT_MAX = 64 << 20 };

static void add_count(struct json *j, const char *name, struct record_count count)
{
    if (count.known) {
        json_add_unsigned(j, j->root, name, count.value);
    } else {
        json_add_null(j, j->root, name);
    }
}

/* "" is what protobuf has for absent. */
static void add_present(struct json *j, cJSON *to, const char *name, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        json_add_string(j, to, name, text);
    }
}

static void add_command(struct json *j, const Chaperone__V1__Record *r)
{
    struct buffer joined;
    buffer_init(&joined, SIZE_MAX);
    enum err e = OK;
    struct bytes command = {0};
    if (r->event_case == CHAPERONE__V1__RECORD__EVENT_INTENT) {
        for (size_t i = 0; e == OK && i < r->intent->n_commands; i++) {
            e = buffer_append_format(&joined, "%s%s", i > 0 ? "; " : "", r->intent->commands[i]);
        }
        command = buffer_bytes(&joined);
    } else if (r->event_case == CHAPERONE__V1__RECORD__EVENT_OUTCOME) {
        command = record_tag_command(r->outcome->command_tag);
    }
    if (e != OK) {
        j->failed = true;
    } else if (command.size == 0) {
        json_add_null(j, j->root, "command");
    } else {
        json_add_text(j, j->root, "command", command);
    }
    buffer_finish(&joined);
}

void record_json_add_objects(struct json *j, cJSON *to, const Chaperone__V1__Intent *intent)
{
    cJSON *objects = json_add_array(j, to, "objects");
    for (size_t i = 0; i < intent->n_objects; i++) {
        cJSON *item = json_add_object(j, objects, NULL);
        json_add_string(j, item, "kind", intent->objects[i]->kind);
        json_add_string(j, item, "name", intent->objects[i]->name);
        json_add_string(j, item, "access", intent->objects[i]->access);
    }
}

void record_json_add_claims(struct json *j, cJSON *to, const Chaperone__V1__Identity *who)
{
    cJSON *claims = json_add_array(j, to, "claims");
    for (size_t i = 0; i < who->n_claims; i++) {
        cJSON *item = json_add_object(j, claims, NULL);
        json_add_string(j, item, "path", who->claims[i]->path);
        json_add_string(j, item, "value", who->claims[i]->value);
    }
}

void record_json_add_parameter(struct json *j, cJSON *list, const Chaperone__V1__Parameter *p)
{
    cJSON *item = json_add_object(j, list, NULL);
    json_add_string(j, item, "type", p->type[0] == '\0' ? NULL : p->type);
    if (p->is_null) {
        json_add_null(j, item, "value");
    } else if (p->raw) {
        json_add_hex(j, item, "value", record_bytes(p->value));
    } else {
        json_add_text(j, item, "value", record_bytes(p->value));
    }
    if (p->truncated) {
        json_add_bool(j, item, "truncated", true);
        json_add_unsigned(j, item, "size", p->size);
    }
}

/* The keys that only an intent fills: objects, text, parameters. */
static void add_request(struct json *j, const Chaperone__V1__Record *r)
{
    if (r->event_case != CHAPERONE__V1__RECORD__EVENT_INTENT) {
        json_add_null(j, j->root, "objects");
        json_add_null(j, j->root, "text");
        json_add_null(j, j->root, "parameters");
        return;
    }
    const Chaperone__V1__Intent *intent = r->intent;
    record_json_add_objects(j, j->root, intent);
    json_add_text(j, j->root, "text", record_bytes(intent->text));
    cJSON *parameters = json_add_array(j, j->root, "parameters");
    for (size_t i = 0; i < intent->n_parameters; i++) {
        record_json_add_parameter(j, parameters, intent->parameters[i]);
    }
}

static void add_reasons(struct json *j, const struct record_view *v)
{
    cJSON *reasons = json_add_array(j, j->root, "reasons");
    for (size_t i = 0; i < v->reason_count; i++) {
        cJSON *item = json_add_object(j, reasons, NULL);
        json_add_string(j, item, "text", v->reasons[i]->text);
        json_add_string(j, item, "assurance", record_assurance_name(v->reasons[i]->assurance));
        json_add_string(j, item, "source", v->reasons[i]->source);
    }
    if (v->delegate_count == 0) {
        return;
    }
    cJSON *chain = json_add_array(j, j->root, "delegation");
    for (size_t i = 0; i < v->delegate_count; i++) {
        cJSON *item = json_add_object(j, chain, NULL);
        json_add_string(j, item, "subject", v->delegates[i]->subject);
        add_present(j, item, "issuer", v->delegates[i]->issuer);
        json_add_string(j, item, "assurance", record_assurance_name(v->delegates[i]->assurance));
        json_add_string(j, item, "source", v->delegates[i]->source);
    }
}

static void add_common(struct json *j, const struct record_view *v)
{
    json_add_time(j, j->root, "time", v->record->time_unix_ns);
    json_add_string(j, j->root, "kind", v->kind);
    json_add_string(j, j->root, "session", v->session);
    json_add_unsigned(j, j->root, "sequence", v->record->sequence);
    json_add_string(j, j->root, "identity", v->identity);
    json_add_string(j, j->root, "on_behalf_of", v->on_behalf_of);
    json_add_string(j, j->root, "resource", v->resource);
    json_add_string(j, j->root, "protocol", v->protocol);
    add_command(j, v->record);
    add_request(j, v->record);
    json_add_string(j, j->root, "verdict", v->verdict);
    json_add_string(j, j->root, "rule", v->rule);
    json_add_string(j, j->root, "policy", v->policy);
    json_add_string(j, j->root, "status", v->status);
    json_add_string(j, j->root, "error", v->error);
    add_count(j, "rows", v->rows);
    add_count(j, "bytes", v->bytes);
    add_count(j, "duration_us", v->duration_us);
    json_add_string(j, j->root, "sidecar", v->sidecar);
    add_count(j, "operation", v->operation);
    json_add_string(j, j->root, "error_code", v->error_code);
    add_reasons(j, v);
    if (v->is_erased) {
        json_add_time(j, j->root, "erased", v->entry->erased_unix_ns);
    }
    if (v->entry->position != 0) {
        json_add_unsigned(j, j->root, "position", v->entry->position);
        json_add_hex(j, j->root, "hash", record_bytes(v->entry->hash));
    }
}

static void add_identity(struct json *j, const Chaperone__V1__Identity *who)
{
    add_present(j, j->root, "issuer", who->issuer);
    json_add_string(j, j->root, "assurance", record_assurance_name(who->assurance));
    json_add_strings(j, j->root, "groups", who->groups, who->n_groups);
    record_json_add_claims(j, j->root, who);
}

static void add_opened(struct json *j, const Chaperone__V1__SessionOpened *e)
{
    if (e->identity != NULL) {
        add_identity(j, e->identity);
    }
    add_present(j, j->root, "agent_address", e->agent_address);
    add_present(j, j->root, "target_address", e->target_address);
    add_present(j, j->root, "target_user", e->target_user);
    add_present(j, j->root, "database", e->database);
    add_present(j, j->root, "application_name", e->application_name);
    if (e->process != NULL) {
        cJSON *process = json_add_object(j, j->root, "process");
        json_add_signed(j, process, "pid", e->process->pid);
        json_add_signed(j, process, "uid", e->process->uid);
        json_add_signed(j, process, "gid", e->process->gid);
        add_present(j, process, "executable", e->process->executable);
    }
    json_add_unsigned(j, j->root, "policy_revision", e->policy_revision);
}

static void add_intent(struct json *j, const Chaperone__V1__Intent *e)
{
    add_present(j, j->root, "verb", e->verb);
    add_present(j, j->root, "transaction", e->transaction);
    add_present(j, j->root, "durability", e->durability);
    add_present(j, j->root, "statement_name", e->statement_name);
    add_present(j, j->root, "portal", e->portal);
    add_present(j, j->root, "approval", e->approval);
    if (e->text_truncated) {
        json_add_bool(j, j->root, "text_truncated", true);
        json_add_unsigned(j, j->root, "text_size", e->text_size);
    }
    json_add_unsigned(j, j->root, "policy_revision", e->policy_revision);
    json_add_strings(j, j->root, "accesses", e->accesses, e->n_accesses);
    if (e->without_where) {
        json_add_bool(j, j->root, "without_where", true);
    }
    add_present(j, j->root, "record", e->record);
    if (e->http != NULL) {
        http_json_add_request(j, j->root, e->http);
    }
    if (e->shadow_rule[0] != '\0') {
        json_add_string(j, j->root, "shadow_verdict", record_verdict_name(e->shadow_verdict));
        json_add_string(j, j->root, "shadow_rule", e->shadow_rule);
    }
}

static void add_cells(struct json *j, cJSON *list, const struct rows *r, struct buffer *scratch)
{
    static const struct rows_column unknown = {.name = "?"};
    cJSON *row = json_add_array(j, list, NULL);
    for (size_t i = 0; i < r->cell_count; i++) {
        const struct rows_column *column = i < r->column_count ? &r->columns[i] : &unknown;
        buffer_clear(scratch);
        if (r->cells[i].is_null) {
            json_add_null(j, row, NULL);
        } else if (rows_append_text(column, r->cells[i].value, scratch) == OK) {
            json_add_text(j, row, NULL, buffer_bytes(scratch));
        } else {
            j->failed = true;
        }
    }
}

/* A text with several statements has several results: each its own item. */
static void add_results(struct json *j, struct rows *r, struct buffer *scratch)
{
    cJSON *results = json_add_array(j, j->root, "results");
    cJSON *result = NULL;
    cJSON *rows = NULL;
    for (enum rows_kind kind = rows_next(r);
         kind != ROWS_END && kind != ROWS_CUT && kind != ROWS_MALFORMED; kind = rows_next(r)) {
        if (kind == ROWS_ERROR) {
            continue;
        }
        if (kind == ROWS_COLUMNS || result == NULL) {
            result = json_add_object(j, results, NULL);
            cJSON *columns = json_add_array(j, result, "columns");
            for (size_t i = 0; i < r->column_count; i++) {
                json_add_string(j, columns, NULL, r->columns[i].name);
            }
            rows = json_add_array(j, result, "rows");
        }
        if (kind == ROWS_ROW) {
            add_cells(j, rows, r, scratch);
        } else if (kind == ROWS_COPY) {
            json_add_text(j, rows, NULL, r->data);
        } else if (kind == ROWS_COMMAND) {
            result = NULL;
        }
    }
}

static void add_answer(struct json *j, const Chaperone__V1__Outcome *e)
{
    struct rows *r = malloc(sizeof(*r));
    struct buffer scratch;
    if (r == NULL) {
        j->failed = true;
        return;
    }
    buffer_init(&scratch, CELL_TEXT_MAX);
    answer_init(r, e);
    add_results(j, r, &scratch);
    buffer_finish(&scratch);
    free(r);
}

void record_json_add_receipt(struct json *j, cJSON *to,
                             const Chaperone__V1__MaskingReceipt *receipt)
{
    cJSON *masked = json_add_array(j, to, "masked");
    for (size_t i = 0; i < receipt->n_masked; i++) {
        const Chaperone__V1__MaskingReceipt__Masked *m = receipt->masked[i];
        cJSON *item = json_add_object(j, masked, NULL);
        json_add_string(j, item, "rule", m->rule);
        json_add_string(j, item, "column", m->column);
        json_add_unsigned(j, item, "rows", m->rows);
        json_add_bool(j, item, "by_content", m->by_content);
    }
    if (receipt->withheld_messages > 0) {
        json_add_unsigned(j, to, "withheld_messages", receipt->withheld_messages);
    }
    if (receipt->rows_cut > 0) {
        json_add_unsigned(j, to, "rows_cut", receipt->rows_cut);
    }
}

static void add_outcome(struct json *j, const Chaperone__V1__Outcome *e, bool with_rows)
{
    add_present(j, j->root, "command_tag", e->command_tag);
    if (e->digest.len > 0) {
        json_add_hex(j, j->root, "digest", record_bytes(e->digest));
    }
    if (e->bytes_in > 0) {
        json_add_unsigned(j, j->root, "bytes_in", e->bytes_in);
        json_add_hex(j, j->root, "digest_in", record_bytes(e->digest_in));
    }
    if (e->masking != NULL) {
        record_json_add_receipt(j, j->root, e->masking);
    }
    json_add_bool(j, j->root, "response_truncated", e->response_truncated);
    add_present(j, j->root, "approval", e->approval);
    if (e->has_predicted_rows) {
        json_add_unsigned(j, j->root, "predicted_rows", e->predicted_rows);
    }
    if (e->http != NULL) {
        http_json_add_response(j, j->root, e, with_rows);
    } else if (with_rows && strcmp(e->response_encoding, "postgres") == 0) {
        add_answer(j, e);
    }
}

static void add_moment(struct json *j, const char *name, int64_t wall_ns)
{
    if (wall_ns != 0) {
        json_add_time(j, j->root, name, wall_ns);
    }
}

static void add_prediction(struct json *j, const Chaperone__V1__Approval *e)
{
    add_present(j, j->root, "plan", e->plan);
    if (e->plan[0] != '\0') {
        json_add_signed(j, j->root, "estimated_rows", (int64_t)e->estimated_rows);
    }
    if (e->has_exact_rows) {
        json_add_unsigned(j, j->root, "exact_rows", e->exact_rows);
    }
    if (e->n_locks > 0) {
        json_add_strings(j, j->root, "locks", e->locks, e->n_locks);
    }
}

static void add_approval(struct json *j, const Chaperone__V1__Approval *e)
{
    json_add_string(j, j->root, "approval", e->id);
    json_add_string(j, j->root, "state", e->state);
    if (e->decided_by != NULL) {
        json_add_string(j, j->root, "decided_by", e->decided_by->subject);
    }
    if (strcmp(e->state, "decided") == 0) {
        json_add_bool(j, j->root, "approve", e->approve);
        json_add_bool(j, j->root, "is_linked", e->is_linked);
    }
    add_present(j, j->root, "reason", e->reason);
    add_present(j, j->root, "from", e->from);
    add_present(j, j->root, "standing", e->standing);
    if (e->digest.len > 0) {
        json_add_hex(j, j->root, "digest", record_bytes(e->digest));
    }
    if (strcmp(e->state, "requested") == 0) {
        json_add_unsigned(j, j->root, "people", e->people);
        json_add_strings(j, j->root, "groups", e->groups, e->n_groups);
        add_prediction(j, e);
    }
}

static void add_action(struct json *j, const Chaperone__V1__Action *e)
{
    json_add_string(j, j->root, "action", e->action);
    json_add_string(j, j->root, "object", e->object);
    json_add_string(j, j->root, "by", e->by == NULL ? NULL : e->by->subject);
    add_present(j, j->root, "reason", e->reason);
    add_present(j, j->root, "from", e->from);
    add_present(j, j->root, "order", e->order);
    add_moment(j, "ordered", e->ordered_unix_ns);
    add_moment(j, "done", e->done_unix_ns);
    json_add_strings(j, j->root, "sessions", e->sessions, e->n_sessions);
    if (e->sidecar[0] != '\0') {
        json_add_string(j, j->root, "of_sidecar", e->sidecar);
        json_add_unsigned(j, j->root, "last_sequence", e->last_sequence);
        if (e->last_hash.len > 0) {
            json_add_hex(j, j->root, "last_hash", record_bytes(e->last_hash));
        }
    }
}

static void add_finding(struct json *j, const Chaperone__V1__Finding *e)
{
    json_add_string(j, j->root, "finding", e->kind);
    json_add_string(j, j->root, "of_sidecar", e->sidecar[0] == '\0' ? NULL : e->sidecar);
    json_add_unsigned(j, j->root, "first_sequence", e->first_sequence);
    json_add_unsigned(j, j->root, "last_sequence", e->last_sequence);
    json_add_string(j, j->root, "detail", e->detail);
}

static void add_kind(struct json *j, const Chaperone__V1__Record *r, bool with_rows)
{
    switch (r->event_case) {
    case CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED: add_opened(j, r->session_opened); break;
    case CHAPERONE__V1__RECORD__EVENT_INTENT: add_intent(j, r->intent); break;
    case CHAPERONE__V1__RECORD__EVENT_OUTCOME: add_outcome(j, r->outcome, with_rows); break;
    case CHAPERONE__V1__RECORD__EVENT_APPROVAL: add_approval(j, r->approval); break;
    case CHAPERONE__V1__RECORD__EVENT_SESSION_CLOSED:
        json_add_string(j, j->root, "reason", r->session_closed->reason);
        add_present(j, j->root, "ordered_by", r->session_closed->ordered_by);
        add_present(j, j->root, "order", r->session_closed->order);
        add_moment(j, "ordered", r->session_closed->ordered_unix_ns);
        json_add_unsigned(j, j->root, "operations", r->session_closed->operations);
        json_add_unsigned(j, j->root, "bytes_from_agent", r->session_closed->bytes_from_agent);
        break;
    case CHAPERONE__V1__RECORD__EVENT_HEARTBEAT:
        json_add_unsigned(j, j->root, "open_sessions", r->heartbeat->open_sessions);
        break;
    case CHAPERONE__V1__RECORD__EVENT_LOSS:
        json_add_unsigned(j, j->root, "first_sequence", r->loss->first_sequence);
        json_add_unsigned(j, j->root, "last_sequence", r->loss->last_sequence);
        break;
    case CHAPERONE__V1__RECORD__EVENT_ACTION: add_action(j, r->action); break;
    case CHAPERONE__V1__RECORD__EVENT_FINDING: add_finding(j, r->finding); break;
    case CHAPERONE__V1__RECORD__EVENT_MESSAGE: http_json_add_message(j, j->root, r->message); break;
    default: break;
    }
}

enum err record_json_write(FILE *out, const struct record_view *v, bool with_rows)
{
    struct json j;
    json_init(&j);
    add_common(&j, v);
    add_kind(&j, v->record, with_rows);
    enum err e = json_write_line(&j, out);
    json_finish(&j);
    return e;
}

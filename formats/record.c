#include "formats/record.h"

#include <ctype.h>

const char *const record_kinds[] = {"session_opened", "intent",    "approval", "outcome",
                                    "session_closed", "heartbeat", "loss",     "action",
                                    "finding",        "message",   NULL};

static const char *const verdicts[] = {NULL, "allow", "deny", "hold"};
static const char *const statuses[] = {NULL,           "success", "failed",   "refused",
                                       "not_executed", "unknown", "suspended"};
static const char *const assurances[] = {NULL, "verified", "declared"};

static const char *name_at(const char *const *names, size_t count, unsigned value)
{
    return value < count ? names[value] : NULL;
}

const char *record_verdict_name(Chaperone__V1__Verdict verdict)
{
    return name_at(verdicts, sizeof(verdicts) / sizeof(verdicts[0]), (unsigned)verdict);
}

const char *record_status_name(Chaperone__V1__Status status)
{
    return name_at(statuses, sizeof(statuses) / sizeof(statuses[0]), (unsigned)status);
}

const char *record_assurance_name(Chaperone__V1__Assurance assurance)
{
    return name_at(assurances, sizeof(assurances) / sizeof(assurances[0]), (unsigned)assurance);
}

bool record_parse_verdict(const char *text, Chaperone__V1__Verdict *out)
{
    *out = CHAPERONE__V1__VERDICT__VERDICT_UNSPECIFIED;
    for (unsigned i = 1; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
        if (strcmp(text, verdicts[i]) == 0) {
            *out = (Chaperone__V1__Verdict)i;
            return true;
        }
    }
    return false;
}

struct bytes record_tag_command(const char *command_tag)
{
    size_t size = strlen(command_tag);
    /* "INSERT 0 1": the numbers at the end are counts. */
    while (size > 0 &&
           (isdigit((unsigned char)command_tag[size - 1]) || command_tag[size - 1] == ' ')) {
        size--;
    }
    return bytes_of(command_tag, size);
}

static const char *present(const char *text)
{
    return text == NULL || text[0] == '\0' ? NULL : text;
}

static struct record_count count_of(uint64_t value)
{
    return (struct record_count){.known = true, .value = value};
}

static struct record_count duration_of(int64_t us)
{
    return (struct record_count){.known = us >= 0, .value = us >= 0 ? (uint64_t)us : 0};
}

static void view_opened(struct record_view *v, const Chaperone__V1__SessionOpened *e)
{
    v->kind = "session_opened";
    v->verdict = record_verdict_name(e->verdict);
    v->rule = present(e->rule);
    v->policy = present(e->policy_hash);
    v->error = present(e->error);
    v->error_code = present(e->error_code);
    v->reasons = e->reasons;
    v->reason_count = e->n_reasons;
    v->delegates = e->on_behalf_of;
    v->delegate_count = e->n_on_behalf_of;
    if (v->identity == NULL && e->identity != NULL) {
        v->identity = present(e->identity->subject);
    }
    v->resource = v->resource != NULL ? v->resource : present(e->resource);
    v->protocol = v->protocol != NULL ? v->protocol : present(e->protocol);
}

static void view_intent(struct record_view *v, const Chaperone__V1__Intent *e)
{
    v->kind = "intent";
    v->operation = count_of(e->operation);
    v->verdict = record_verdict_name(e->verdict);
    v->rule = present(e->rule);
    v->policy = present(e->policy_hash);
    v->error = present(e->error);
    v->reasons = e->reasons;
    v->reason_count = e->n_reasons;
    v->delegates = e->on_behalf_of;
    v->delegate_count = e->n_on_behalf_of;
}

static void view_outcome(struct record_view *v, const Chaperone__V1__Outcome *e)
{
    v->kind = "outcome";
    v->operation = count_of(e->operation);
    v->status = record_status_name(e->status);
    v->error = present(e->error);
    v->error_code = present(e->error_code);
    v->rows = count_of(e->rows);
    v->bytes = count_of(e->bytes);
    v->duration_us = duration_of(e->duration_us);
}

static void view_closed(struct record_view *v, const Chaperone__V1__SessionClosed *e)
{
    v->kind = "session_closed";
    v->error = present(e->error);
    v->bytes = count_of(e->bytes_to_agent);
    v->duration_us = duration_of(e->duration_us);
}

static void view_event(struct record_view *v, const Chaperone__V1__Record *r)
{
    v->kind = "unknown";
    switch (r->event_case) {
    case CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED: view_opened(v, r->session_opened); break;
    case CHAPERONE__V1__RECORD__EVENT_INTENT: view_intent(v, r->intent); break;
    case CHAPERONE__V1__RECORD__EVENT_OUTCOME: view_outcome(v, r->outcome); break;
    case CHAPERONE__V1__RECORD__EVENT_SESSION_CLOSED: view_closed(v, r->session_closed); break;
    case CHAPERONE__V1__RECORD__EVENT_APPROVAL:
        v->kind = "approval";
        v->operation = count_of(r->approval->operation);
        v->status = present(r->approval->state);
        break;
    case CHAPERONE__V1__RECORD__EVENT_HEARTBEAT: v->kind = "heartbeat"; break;
    case CHAPERONE__V1__RECORD__EVENT_LOSS:
        v->kind = "loss";
        v->error = present(r->loss->reason);
        break;
    case CHAPERONE__V1__RECORD__EVENT_ACTION:
        v->kind = "action";
        v->error = present(r->action->error);
        break;
    case CHAPERONE__V1__RECORD__EVENT_FINDING:
        v->kind = "finding";
        v->status = present(r->finding->kind);
        break;
    case CHAPERONE__V1__RECORD__EVENT_MESSAGE:
        v->kind = "message";
        v->operation = count_of(r->message->operation);
        v->bytes = count_of(r->message->size);
        break;
    default: break;
    }
}

bool record_is_http(const struct record_view *v)
{
    const Chaperone__V1__Record *r = v->record;
    switch (r->event_case) {
    case CHAPERONE__V1__RECORD__EVENT_INTENT:
        if (r->intent->http != NULL) {
            return true;
        }
        break;
    case CHAPERONE__V1__RECORD__EVENT_OUTCOME:
        if (r->outcome->http != NULL) {
            return true;
        }
        break;
    case CHAPERONE__V1__RECORD__EVENT_MESSAGE: return true;
    default: break;
    }
    return v->protocol != NULL && strcmp(v->protocol, "http") == 0;
}

Chaperone__V1__Record *record_unpack(const Chaperone__V1__Entry *entry)
{
    Chaperone__V1__Record *record =
        chaperone__v1__record__unpack(NULL, entry->record.len, entry->record.data);
    if (record != NULL && entry->is_erased) {
        record->time_unix_ns = entry->time_unix_ns;
        record->sequence = entry->sequence;
    }
    return record;
}

static void view_erased(struct record_view *v, const Chaperone__V1__Entry *entry)
{
    v->is_erased = true;
    v->kind = entry->kind[0] == '\0' ? "unknown" : entry->kind;
    v->session = present(entry->session);
    v->sidecar = present(entry->sidecar);
}

void record_view_init(struct record_view *v, const Chaperone__V1__Entry *entry,
                      const Chaperone__V1__Record *record)
{
    *v = (struct record_view){.record = record, .entry = entry};
    v->session = present(record->session);
    v->sidecar = present(record->sidecar);
    v->identity = present(entry->identity);
    v->on_behalf_of = present(entry->on_behalf_of);
    v->resource = present(entry->resource);
    v->protocol = present(entry->protocol);
    view_event(v, record);
    if (entry->is_erased) {
        view_erased(v, entry);
    }
    if (v->on_behalf_of == NULL && v->delegate_count > 0) {
        v->on_behalf_of = present(v->delegates[0]->subject);
    }
}

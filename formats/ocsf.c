#include "formats/ocsf.h"

#include <stdio.h>
#include <strings.h>

#include "formats/ocsf_api.h"
#include "formats/ocsf_event.h"
#include "formats/record_json.h"

enum { US_PER_MS = 1000 };

/* What each name is as an activity of a class; ends with NULL. */
struct activity {
    const char *word;
    int id;
    const char *name;
};

static const struct activity *find_activity(const struct activity *table, const char *word)
{
    while (table->word != NULL && strcasecmp(table->word, word) != 0) {
        table++;
    }
    return table;
}

/* ---- Authentication ------------------------------------------------------------------------ */

enum { LOGON = 1, LOGOFF = 2, LOGON_NETWORK = 3, PROTOCOL_OPENID = 4 };

static void set_logon(struct ocsf_event *e, int activity, const char *name)
{
    ocsf_set_class(e, OCSF_AUTHENTICATION, activity, name);
    json_add_signed(&e->json, e->json.root, "auth_protocol_id", PROTOCOL_OPENID);
    json_add_string(&e->json, e->json.root, "auth_protocol", "OpenID");
    json_add_signed(&e->json, e->json.root, "logon_type_id", LOGON_NETWORK);
    json_add_string(&e->json, e->json.root, "logon_type", "Network");
}

static void add_service(struct ocsf_event *e, const char *name)
{
    cJSON *service = json_add_object(&e->json, e->json.root, "service");
    json_add_string(&e->json, service, "name", name == NULL || name[0] == '\0' ? "unknown" : name);
    ocsf_observe(e, "service.name", OCSF_RESOURCE_UID, name);
}

static void add_opened(struct ocsf_event *e, const Chaperone__V1__SessionOpened *o)
{
    bool allowed = o->verdict == CHAPERONE__V1__VERDICT__ALLOW;
    set_logon(e, LOGON, "Logon");
    ocsf_set_severity(e, allowed ? OCSF_INFORMATIONAL : OCSF_MEDIUM);
    ocsf_set_status(e, allowed ? OCSF_STATUS_SUCCESS : OCSF_STATUS_FAILURE, NULL, o->error,
                    o->error_code);
    ocsf_add_user(e, e->json.root, "user", o->identity);
    ocsf_add_actor(e, o->identity);
    ocsf_add_session(e, e->json.root);
    add_service(e, e->view->resource);
    ocsf_add_endpoint(e, "src_endpoint", o->agent_address);
    if (o->target_address[0] != '\0') {
        ocsf_add_endpoint(e, "dst_endpoint", o->target_address);
    }
    ocsf_add(e, e->unmapped, "database", o->database);
    ocsf_add(e, e->unmapped, "target_user", o->target_user);
    ocsf_add(e, e->unmapped, "protocol", e->view->protocol);
}

static void add_closed(struct ocsf_event *e, const Chaperone__V1__SessionClosed *c)
{
    set_logon(e, LOGOFF, "Logoff");
    ocsf_set_severity(e, OCSF_INFORMATIONAL);
    ocsf_set_status(e, OCSF_STATUS_SUCCESS, NULL, c->reason, NULL);
    ocsf_add_user(e, e->json.root, "user", NULL);
    ocsf_add_session(e, e->json.root);
    add_service(e, e->view->resource);
    json_add_unsigned(&e->json, e->unmapped, "operations", c->operations);
    ocsf_add(e, e->unmapped, "ordered_by", c->ordered_by);
    ocsf_add(e, e->unmapped, "error", c->error);
}

static void add_login(struct ocsf_event *e, const Chaperone__V1__Action *a)
{
    bool failed = a->error[0] != '\0';
    set_logon(e, LOGON, "Logon");
    ocsf_set_severity(e, failed ? OCSF_MEDIUM : OCSF_INFORMATIONAL);
    ocsf_set_status(e, failed ? OCSF_STATUS_FAILURE : OCSF_STATUS_SUCCESS, NULL,
                    failed ? a->error : a->reason, NULL);
    ocsf_add_user(e, e->json.root, "user", a->by);
    add_service(e, "chaperone-controlplane");
    ocsf_add(e, e->unmapped, "from", a->from);
}

/* ---- Datastore Activity -------------------------------------------------------------------- */

enum { DATABASE_UNKNOWN = 0, DATABASE_RELATIONAL = 1, TYPE_DATABASE = 1, TYPE_TABLE = 3 };

static const struct activity statements[] = {
    {"SELECT", 4, "Query"},    {"TABLE", 4, "Query"},   {"VALUES", 4, "Query"},
    {"FETCH", 1, "Read"},      {"COPY", 1, "Read"},     {"UPDATE", 2, "Update"},
    {"MERGE", 2, "Update"},    {"ALTER", 2, "Update"},  {"INSERT", 5, "Write"},
    {"CREATE", 6, "Create"},   {"DELETE", 7, "Delete"}, {"DROP", 7, "Delete"},
    {"TRUNCATE", 7, "Delete"}, {"SHOW", 8, "List"},     {NULL, OCSF_ACTIVITY_OTHER, "Other"},
};

/* Of several statements, or one with a longer name ("CREATE TABLE"): the first word of the first.
 */
static void set_statement(struct ocsf_event *e, const char *command)
{
    char word[32];
    (void)snprintf(word, sizeof(word), "%.*s", (int)strcspn(command, " ;"), command);
    const struct activity *a = find_activity(statements, word);
    ocsf_set_class(e, OCSF_DATASTORE_ACTIVITY, a->id,
                   a->word != NULL      ? a->name
                   : command[0] == '\0' ? "Other"
                                        : command);
}

/* `table` may be NULL. */
static void add_place(struct ocsf_event *e, const char *table)
{
    struct json *j = &e->json;
    const struct record_view *v = e->view;
    const char *resource = v->resource == NULL ? "unknown" : v->resource;
    bool relational = v->protocol != NULL && strcmp(v->protocol, "postgres") == 0;
    cJSON *database = json_add_object(j, j->root, "database");
    json_add_string(j, database, "name", resource);
    json_add_string(j, database, "uid", resource);
    json_add_signed(j, database, "type_id", relational ? DATABASE_RELATIONAL : DATABASE_UNKNOWN);
    json_add_string(j, database, "type", relational ? "Relational" : "Unknown");
    ocsf_observe(e, "database.uid", OCSF_RESOURCE_UID, v->resource);
    if (table != NULL) {
        json_add_string(j, json_add_object(j, j->root, "table"), "name", table);
    }
    json_add_signed(j, j->root, "type_id", table == NULL ? TYPE_DATABASE : TYPE_TABLE);
    json_add_string(j, j->root, "type", table == NULL ? "Database" : "Table");
    ocsf_add_endpoint(e, "src_endpoint", NULL);
    ocsf_add_actor(e, NULL);
    ocsf_add(e, e->unmapped, "protocol", v->protocol);
    if (v->operation.known) {
        json_add_unsigned(j, e->unmapped, "operation", v->operation.value);
    }
}

static const char *first_table(const Chaperone__V1__Intent *i)
{
    for (size_t n = 0; n < i->n_objects; n++) {
        if (strcmp(i->objects[n]->kind, "table") == 0) {
            return i->objects[n]->name;
        }
    }
    return NULL;
}

static void add_intent(struct ocsf_event *e, const Chaperone__V1__Intent *i)
{
    struct json *j = &e->json;
    bool denied =
        i->verdict != CHAPERONE__V1__VERDICT__ALLOW && i->verdict != CHAPERONE__V1__VERDICT__HOLD;
    set_statement(e, i->n_commands > 0 ? i->commands[0] : i->verb);
    ocsf_set_severity(e, denied                                       ? OCSF_MEDIUM
                         : i->verdict == CHAPERONE__V1__VERDICT__HOLD ? OCSF_LOW
                                                                      : OCSF_INFORMATIONAL);
    /* What became of it, the outcome says. */
    ocsf_set_status(e, denied ? OCSF_STATUS_FAILURE : OCSF_STATUS_UNKNOWN, NULL, i->error, NULL);
    add_place(e, first_table(i));
    cJSON *query = json_add_object(j, j->root, "query_info");
    json_add_text(j, query, "query_string", record_bytes(i->text));
    json_add_unsigned(j, query, "bytes", i->text_size > 0 ? i->text_size : i->text.len);
    json_add_strings(j, e->unmapped, "commands", i->commands, i->n_commands);
    record_json_add_objects(j, e->unmapped, i);
    ocsf_add(e, e->unmapped, "approval", i->approval);
}

static void add_outcome(struct ocsf_event *e, const Chaperone__V1__Outcome *o)
{
    static const enum ocsf_status states[] = {
        OCSF_STATUS_UNKNOWN, OCSF_STATUS_SUCCESS, OCSF_STATUS_FAILURE, OCSF_STATUS_FAILURE,
        OCSF_STATUS_OTHER,   OCSF_STATUS_UNKNOWN, OCSF_STATUS_OTHER};
    struct json *j = &e->json;
    unsigned status = (unsigned)o->status;
    enum ocsf_status state =
        status < sizeof(states) / sizeof(states[0]) ? states[status] : OCSF_STATUS_UNKNOWN;
    set_statement(e, o->command_tag);
    ocsf_set_severity(e, state == OCSF_STATUS_FAILURE ? OCSF_LOW : OCSF_INFORMATIONAL);
    ocsf_set_status(e, state, state == OCSF_STATUS_OTHER ? e->view->status : NULL, o->error,
                    o->error_code);
    add_place(e, NULL);
    if (o->duration_us >= 0) {
        json_add_signed(j, j->root, "duration", o->duration_us / US_PER_MS);
    }
    json_add_unsigned(j, e->unmapped, "rows", o->rows);
    json_add_unsigned(j, e->unmapped, "bytes", o->bytes);
    ocsf_add(e, e->unmapped, "approval", o->approval);
    cJSON *masked = o->masking == NULL ? NULL : json_add_array(j, e->unmapped, "masked");
    for (size_t n = 0; masked != NULL && n < o->masking->n_masked; n++) {
        cJSON *item = json_add_object(j, masked, NULL);
        json_add_string(j, item, "rule", o->masking->masked[n]->rule);
        json_add_string(j, item, "column", o->masking->masked[n]->column);
        json_add_unsigned(j, item, "rows", o->masking->masked[n]->rows);
    }
}

/* ---- Entity Management --------------------------------------------------------------------- */

static const struct activity approvals[] = {
    {"requested", 1, "Create"},        {"decided", 3, "Update"},
    {"approved", 10, "Activate"},      {"denied", 11, "Deactivate"},
    {"expired", 11, "Deactivate"},     {"withdrawn", 11, "Deactivate"},
    {"standing", 1, "Create"},         {"standing_used", 2, "Read"},
    {"standing_revoked", 4, "Delete"}, {NULL, OCSF_ACTIVITY_OTHER, "Other"},
};

static const struct activity actions[] = {
    {"kill", 12, "Suspend"},
    {"lift", 13, "Resume"},
    {"link", 6, "Enroll"},
    {"unlink", 7, "Unenroll"},
    {"search", 2, "Read"},
    {"export", 2, "Read"},
    {"policy", 3, "Update"},
    {"legal_hold", 8, "Enable"},
    {"legal_hold_lift", 9, "Disable"},
    {"erase", 4, "Delete"},
    {"sidecar_revoke", 7, "Unenroll"},
    {NULL, OCSF_ACTIVITY_OTHER, "Other"},
};

static void set_entity(struct ocsf_event *e, const struct activity *table, const char *word)
{
    const struct activity *a = find_activity(table, word);
    ocsf_set_class(e, OCSF_ENTITY_MANAGEMENT, a->id,
                   a->word != NULL || word[0] == '\0' ? a->name : word);
}

static void add_entity(struct ocsf_event *e, const char *type, const char *uid)
{
    cJSON *entity = json_add_object(&e->json, e->json.root, "entity");
    json_add_string(&e->json, entity, "uid", uid[0] == '\0' ? "unknown" : uid);
    json_add_signed(&e->json, entity, "type_id", 99);
    json_add_string(&e->json, entity, "type", type);
    ocsf_observe(e, "entity.uid", OCSF_RESOURCE_UID, uid);
}

static void add_approval(struct ocsf_event *e, const Chaperone__V1__Approval *a)
{
    set_entity(e, approvals, a->state);
    ocsf_set_severity(e, OCSF_LOW);
    ocsf_set_status(e, OCSF_STATUS_SUCCESS, NULL, a->state, NULL);
    ocsf_add_actor(e, a->decided_by);
    add_entity(e, a->standing[0] != '\0' ? "standing approval" : "approval",
               a->id[0] != '\0' ? a->id : a->standing);
    ocsf_add(e, e->json.root, "comment", a->reason);
    ocsf_add(e, e->unmapped, "from", a->from);
    json_add_unsigned(&e->json, e->unmapped, "operation", a->operation);
    if (strcmp(a->state, "decided") == 0) {
        json_add_bool(&e->json, e->unmapped, "approve", a->approve);
    }
}

static void add_action(struct ocsf_event *e, const Chaperone__V1__Action *a)
{
    if (strcmp(a->action, "login") == 0) {
        add_login(e, a);
        return;
    }
    bool failed = a->error[0] != '\0' || strcmp(a->action, "refused") == 0;
    bool reads = strcmp(a->action, "search") == 0;
    set_entity(e, actions, a->action);
    ocsf_set_severity(e, failed ? OCSF_MEDIUM : reads ? OCSF_INFORMATIONAL : OCSF_LOW);
    ocsf_set_status(e, failed ? OCSF_STATUS_FAILURE : OCSF_STATUS_SUCCESS, NULL, a->error, NULL);
    ocsf_add_actor(e, a->by);
    add_entity(e, a->action, a->object);
    ocsf_add(e, e->json.root, "comment", a->reason);
    ocsf_add(e, e->unmapped, "from", a->from);
    ocsf_add(e, e->unmapped, "order", a->order);
    json_add_strings(&e->json, e->unmapped, "sessions", a->sessions, a->n_sessions);
}

/* ---- Detection Finding --------------------------------------------------------------------- */

enum { FINDING_CREATE = 1, FINDING_NEW = 1, CONFIDENCE_HIGH = 3 };

static const struct {
    const char *kind;
    enum ocsf_severity severity;
    const char *title;
} findings[] = {
    {"gap", OCSF_HIGH, "Records of a sidecar are missing"},
    {"loss", OCSF_HIGH, "A sidecar lost records"},
    {"rewritten", OCSF_CRITICAL, "A sidecar's stream was rewritten"},
    {"bad_signature", OCSF_CRITICAL, "A heartbeat has a wrong signature"},
    {"silent", OCSF_MEDIUM, "A sidecar is silent"},
    {"no_outcome", OCSF_MEDIUM, "An operation has no outcome"},
    {"no_end", OCSF_LOW, "A session has no end"},
    {"log_rolled_back", OCSF_CRITICAL, "The transparency log is older than it was"},
    {"log_forked", OCSF_CRITICAL, "The transparency log was forked"},
    {"witness_refused", OCSF_HIGH, "A witness refused a checkpoint"},
    {NULL, OCSF_MEDIUM, "Something was noticed"},
};

static void add_finding(struct ocsf_event *e, const char *kind, const char *sidecar,
                        const char *detail, uint64_t first, uint64_t last)
{
    struct json *j = &e->json;
    size_t n = 0;
    while (findings[n].kind != NULL && strcmp(findings[n].kind, kind) != 0) {
        n++;
    }
    ocsf_set_class(e, OCSF_DETECTION_FINDING, FINDING_CREATE, "Create");
    ocsf_set_severity(e, findings[n].severity);
    ocsf_set_status(e, (enum ocsf_status)FINDING_NEW, "New", NULL, NULL);
    json_add_signed(j, j->root, "confidence_id", CONFIDENCE_HIGH);
    json_add_string(j, j->root, "confidence", "High");
    cJSON *info = json_add_object(j, j->root, "finding_info");
    char uid[96];
    (void)snprintf(uid, sizeof(uid), "%.63s/%llu", e->view->record->sidecar,
                   (unsigned long long)e->view->record->sequence);
    json_add_string(j, info, "uid", uid);
    json_add_string(j, info, "title", findings[n].title);
    ocsf_add(e, info, "desc", detail);
    json_add_string(j, json_add_array(j, info, "types"), NULL, kind);
    cJSON *resource = json_add_object(j, json_add_array(j, j->root, "resources"), NULL);
    json_add_string(j, resource, "uid", sidecar[0] == '\0' ? "controlplane" : sidecar);
    json_add_string(j, resource, "type", sidecar[0] == '\0' ? "control plane" : "sidecar");
    json_add_unsigned(j, e->unmapped, "first_sequence", first);
    json_add_unsigned(j, e->unmapped, "last_sequence", last);
}

/* ---- Base Event, and all of them ----------------------------------------------------------- */

static void add_base(struct ocsf_event *e, const char *name)
{
    ocsf_set_class(e, OCSF_BASE_EVENT, OCSF_ACTIVITY_OTHER, name);
    ocsf_set_severity(e, OCSF_INFORMATIONAL);
    ocsf_set_status(e, OCSF_STATUS_UNKNOWN, NULL, NULL, NULL);
}

static void add_event(struct ocsf_event *e, const Chaperone__V1__Record *r)
{
    switch (r->event_case) {
    case CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED: add_opened(e, r->session_opened); break;
    case CHAPERONE__V1__RECORD__EVENT_SESSION_CLOSED: add_closed(e, r->session_closed); break;
    case CHAPERONE__V1__RECORD__EVENT_INTENT:
        if (record_is_http(e->view)) {
            ocsf_api_add_intent(e, r->intent);
        } else {
            add_intent(e, r->intent);
        }
        break;
    case CHAPERONE__V1__RECORD__EVENT_OUTCOME:
        if (record_is_http(e->view)) {
            ocsf_api_add_outcome(e, r->outcome);
        } else {
            add_outcome(e, r->outcome);
        }
        break;
    case CHAPERONE__V1__RECORD__EVENT_MESSAGE: ocsf_api_add_message(e, r->message); break;
    case CHAPERONE__V1__RECORD__EVENT_APPROVAL: add_approval(e, r->approval); break;
    case CHAPERONE__V1__RECORD__EVENT_ACTION: add_action(e, r->action); break;
    case CHAPERONE__V1__RECORD__EVENT_FINDING:
        add_finding(e, r->finding->kind, r->finding->sidecar, r->finding->detail,
                    r->finding->first_sequence, r->finding->last_sequence);
        break;
    case CHAPERONE__V1__RECORD__EVENT_LOSS:
        add_finding(e, "loss", r->sidecar, r->loss->reason, r->loss->first_sequence,
                    r->loss->last_sequence);
        break;
    case CHAPERONE__V1__RECORD__EVENT_HEARTBEAT: add_base(e, "heartbeat"); break;
    default: add_base(e, "unknown"); break;
    }
}

static void add_erased(struct ocsf_event *e)
{
    add_base(e, "erased");
    json_add_bool(&e->json, e->unmapped, "erased", true);
    ocsf_add(e, e->unmapped, "identity", e->entry->identity);
    ocsf_add(e, e->unmapped, "resource", e->entry->resource);
}

enum err ocsf_record(const Chaperone__V1__Entry *entry, const Chaperone__V1__Record *record,
                     struct buffer *out)
{
    struct record_view view;
    struct ocsf_event e;
    if (record != NULL) {
        record_view_init(&view, entry, record);
    }
    ocsf_event_init(&e, entry, record == NULL ? NULL : &view);
    if (record == NULL) {
        add_erased(&e);
    } else {
        add_event(&e, record);
    }
    enum err failed = ocsf_event_print(&e, out);
    ocsf_event_finish(&e);
    return failed;
}

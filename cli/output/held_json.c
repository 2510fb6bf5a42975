#include "cli/output/held_json.h"

#include "formats/http_json.h"
#include "formats/record_json.h"

/* "" is what protobuf has for absent. */
static void add_text(struct json *j, cJSON *to, const char *name, const char *text)
{
    json_add_string(j, to, name, text[0] == '\0' ? NULL : text);
}

static void add_moment(struct json *j, cJSON *to, const char *name, int64_t moment_ns)
{
    if (moment_ns == 0) {
        json_add_null(j, to, name);
    } else {
        json_add_time(j, to, name, moment_ns);
    }
}

static void add_who(struct json *j, const Chaperone__V1__HeldOperation *h)
{
    const Chaperone__V1__Identity *who = h->identity;
    json_add_string(j, j->root, "identity", who == NULL ? NULL : who->subject);
    json_add_string(j, j->root, "issuer", who == NULL ? NULL : who->issuer);
    json_add_string(j, j->root, "assurance",
                    who == NULL ? NULL : record_assurance_name(who->assurance));
    json_add_strings(j, j->root, "groups", who == NULL ? NULL : who->groups,
                     who == NULL ? 0 : who->n_groups);
}

static void add_delegates(struct json *j, cJSON *list, Chaperone__V1__Delegate *const *items,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cJSON *item = json_add_object(j, list, NULL);
        json_add_string(j, item, "subject", items[i]->subject);
        add_text(j, item, "issuer", items[i]->issuer);
        json_add_string(j, item, "assurance", record_assurance_name(items[i]->assurance));
        json_add_string(j, item, "source", items[i]->source);
    }
}

static void add_stated(struct json *j, cJSON *list, Chaperone__V1__Stated *const *items,
                       size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cJSON *item = json_add_object(j, list, NULL);
        json_add_string(j, item, "text", items[i]->text);
        json_add_string(j, item, "assurance", record_assurance_name(items[i]->assurance));
        json_add_string(j, item, "source", items[i]->source);
    }
}

/* The session's and this operation's own. */
static void add_why(struct json *j, const Chaperone__V1__HeldOperation *h)
{
    cJSON *delegates = json_add_array(j, j->root, "delegation");
    cJSON *reasons = json_add_array(j, j->root, "reasons");
    add_delegates(j, delegates, h->on_behalf_of, h->n_on_behalf_of);
    add_stated(j, reasons, h->reasons, h->n_reasons);
    if (h->intent != NULL) {
        add_delegates(j, delegates, h->intent->on_behalf_of, h->intent->n_on_behalf_of);
        add_stated(j, reasons, h->intent->reasons, h->intent->n_reasons);
    }
}

static void add_intent(struct json *j, const Chaperone__V1__Intent *intent)
{
    json_add_text(j, j->root, "text", record_bytes(intent->text));
    json_add_bool(j, j->root, "text_truncated", intent->text_truncated);
    cJSON *parameters = json_add_array(j, j->root, "parameters");
    for (size_t i = 0; i < intent->n_parameters; i++) {
        record_json_add_parameter(j, parameters, intent->parameters[i]);
    }
    json_add_strings(j, j->root, "commands", intent->commands, intent->n_commands);
    record_json_add_objects(j, j->root, intent);
    json_add_bool(j, j->root, "without_where", intent->without_where);
    if (intent->http != NULL) {
        http_json_add_request(j, j->root, intent->http);
    }
    add_text(j, j->root, "transaction", intent->transaction);
    json_add_string(j, j->root, "rule", intent->rule);
    json_add_string(j, j->root, "policy", intent->policy_hash);
}

static void add_terms(struct json *j, const Chaperone__V1__HoldTerms *terms)
{
    cJSON *to = json_add_object(j, j->root, "terms");
    json_add_strings(j, to, "groups", terms->groups, terms->n_groups);
    json_add_unsigned(j, to, "people", terms->people);
    json_add_bool(j, to, "excludes_requester", terms->excludes_requester);
    json_add_bool(j, to, "needs_reason", terms->needs_reason);
    json_add_bool(j, to, "retry", terms->is_retry);
    json_add_bool(j, to, "forbids_linked", terms->forbids_linked);
    if (terms->standing != NULL) {
        cJSON *standing = json_add_object(j, to, "standing");
        json_add_signed(j, standing, "seconds_max", terms->standing->seconds_max);
        json_add_unsigned(j, standing, "uses_max", terms->standing->uses_max);
    }
}

static void add_prediction(struct json *j, const Chaperone__V1__Prediction *p)
{
    cJSON *to = json_add_object(j, j->root, "prediction");
    add_text(j, to, "plan", p->plan);
    if (p->plan[0] == '\0' || !(p->estimated_rows >= 0 && p->estimated_rows < 1e18)) {
        json_add_null(j, to, "estimated_rows");
    } else {
        json_add_unsigned(j, to, "estimated_rows", (uint64_t)(p->estimated_rows + 0.5));
    }
    if (p->has_exact) {
        json_add_unsigned(j, to, "exact_rows", p->exact_rows);
    } else {
        json_add_null(j, to, "exact_rows");
    }
    add_text(j, to, "unavailable", p->unavailable);
}

static void add_decisions(struct json *j, const Chaperone__V1__HeldOperation *h)
{
    cJSON *decisions = json_add_array(j, j->root, "decisions");
    for (size_t i = 0; i < h->n_decisions; i++) {
        const Chaperone__V1__Decision *d = h->decisions[i];
        cJSON *item = json_add_object(j, decisions, NULL);
        json_add_string(j, item, "by", d->by == NULL ? NULL : d->by->subject);
        json_add_bool(j, item, "approve", d->approve);
        add_text(j, item, "reason", d->reason);
        add_moment(j, item, "time", d->time_unix_ns);
        add_text(j, item, "from", d->from);
        json_add_bool(j, item, "linked", d->is_linked);
    }
    json_add_unsigned(j, j->root, "missing", held_missing(h));
}

void held_json_add(struct json *j, const Chaperone__V1__HeldOperation *h)
{
    json_add_string(j, j->root, "id", h->id);
    json_add_string(j, j->root, "state", held_state_name(h->state));
    json_add_unsigned(j, j->root, "version", h->version);
    add_moment(j, j->root, "requested", h->requested_unix_ns);
    add_moment(j, j->root, "expires", h->expires_unix_ns);
    add_moment(j, j->root, "ended", h->ended_unix_ns);
    add_text(j, j->root, "end_reason", h->end_reason);
    add_who(j, h);
    add_why(j, h);
    json_add_string(j, j->root, "resource", h->resource);
    json_add_string(j, j->root, "protocol", h->protocol);
    add_text(j, j->root, "database", h->database);
    add_text(j, j->root, "target_user", h->target_user);
    json_add_string(j, j->root, "sidecar", h->sidecar);
    json_add_string(j, j->root, "session", h->session);
    json_add_unsigned(j, j->root, "operation", h->operation);
    if (h->intent != NULL) {
        add_intent(j, h->intent);
    }
    if (h->prediction != NULL) {
        add_prediction(j, h->prediction);
    }
    json_add_strings(j, j->root, "locks", h->locks, h->n_locks);
    json_add_hex(j, j->root, "digest", record_bytes(h->digest));
    add_text(j, j->root, "shape", h->shape);
    if (h->terms != NULL) {
        add_terms(j, h->terms);
    }
    add_decisions(j, h);
    add_text(j, j->root, "standing", h->standing);
    add_text(j, j->root, "stands_as", h->stands_as);
}

enum err held_json_write(FILE *out, const Chaperone__V1__HeldOperation *h)
{
    struct json j;
    json_init(&j);
    held_json_add(&j, h);
    enum err e = json_write_line(&j, out);
    json_finish(&j);
    return e;
}

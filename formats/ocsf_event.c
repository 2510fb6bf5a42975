#include "formats/ocsf_event.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "formats/ocsf.h"

enum { HASH_SIZE = 32, NS_PER_MS = 1000000 };

static const struct {
    enum ocsf_class class;
    const char *name, *category;
} classes[] = {
    {OCSF_BASE_EVENT, "Base Event", "Uncategorized"},
    {OCSF_DETECTION_FINDING, "Detection Finding", "Findings"},
    {OCSF_AUTHENTICATION, "Authentication", "Identity & Access Management"},
    {OCSF_ENTITY_MANAGEMENT, "Entity Management", "Identity & Access Management"},
    {OCSF_API_ACTIVITY, "API Activity", "Application Activity"},
    {OCSF_DATASTORE_ACTIVITY, "Datastore Activity", "Application Activity"},
};

void ocsf_add(struct ocsf_event *e, cJSON *to, const char *name, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        json_add_string(&e->json, to, name, text);
    }
}

static void add_hash(struct ocsf_event *e, cJSON *to)
{
    static const char digits[] = "0123456789abcdef";
    const ProtobufCBinaryData *hash = &e->entry->hash;
    char hex[2 * HASH_SIZE + 1] = "";
    for (size_t i = 0; hash->len == HASH_SIZE && i < HASH_SIZE; i++) {
        hex[2 * i] = digits[hash->data[i] >> 4];
        hex[2 * i + 1] = digits[hash->data[i] & 0xf];
    }
    ocsf_add(e, to, "uid", hex);
}

static void add_metadata(struct ocsf_event *e, const char *kind, const char *sidecar,
                         const char *session, uint64_t sequence)
{
    struct json *j = &e->json;
    cJSON *metadata = json_add_object(j, j->root, "metadata");
    json_add_string(j, metadata, "version", OCSF_VERSION);
    cJSON *product = json_add_object(j, metadata, "product");
    json_add_string(j, product, "name", "Chaperone");
    json_add_string(j, product, "vendor_name", "Chaperone");
    json_add_string(j, metadata, "log_name", "audit");
    ocsf_add(e, metadata, "log_provider", sidecar);
    json_add_string(j, metadata, "event_code", kind);
    json_add_unsigned(j, metadata, "sequence", sequence);
    ocsf_add(e, metadata, "correlation_uid", session);
    add_hash(e, metadata);
    if (e->entry->received_unix_ns > 0) {
        json_add_signed(j, metadata, "logged_time", e->entry->received_unix_ns / NS_PER_MS);
    }
}

void ocsf_event_init(struct ocsf_event *e, const Chaperone__V1__Entry *entry,
                     const struct record_view *view)
{
    *e = (struct ocsf_event){.entry = entry, .view = view};
    struct json *j = &e->json;
    json_init(j);
    const Chaperone__V1__Record *r = view == NULL ? NULL : view->record;
    add_metadata(e, view == NULL ? entry->kind : view->kind,
                 r == NULL ? entry->sidecar : r->sidecar, r == NULL ? entry->session : r->session,
                 r == NULL ? entry->sequence : r->sequence);
    json_add_signed(j, j->root, "time",
                    (r == NULL ? entry->time_unix_ns : r->time_unix_ns) / NS_PER_MS);
    e->observables = json_add_array(j, j->root, "observables");
    e->unmapped = json_add_object(j, j->root, "unmapped");
    json_add_unsigned(j, e->unmapped, "position", entry->position);
}

void ocsf_event_finish(struct ocsf_event *e)
{
    json_finish(&e->json);
}

enum err ocsf_event_print(struct ocsf_event *e, struct buffer *out)
{
    char *text = e->json.failed ? NULL : cJSON_PrintUnformatted(e->json.root);
    if (text == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err failed = buffer_append_string(out, text);
    cJSON_free(text);
    return failed;
}

void ocsf_set_class(struct ocsf_event *e, enum ocsf_class class, int activity, const char *name)
{
    struct json *j = &e->json;
    char type[128];
    size_t n = 0;
    while (n + 1 < sizeof(classes) / sizeof(classes[0]) && classes[n].class != class) {
        n++;
    }
    (void)snprintf(type, sizeof(type), "%s: %s", classes[n].name, name);
    json_add_signed(j, j->root, "category_uid", (int)class / 1000);
    json_add_string(j, j->root, "category_name", classes[n].category);
    json_add_signed(j, j->root, "class_uid", (int)class);
    json_add_string(j, j->root, "class_name", classes[n].name);
    json_add_signed(j, j->root, "activity_id", activity);
    json_add_string(j, j->root, "activity_name", name);
    json_add_signed(j, j->root, "type_uid", (int)class * 100 + activity);
    json_add_string(j, j->root, "type_name", type);
}

void ocsf_set_severity(struct ocsf_event *e, enum ocsf_severity severity)
{
    static const char *const names[] = {"Unknown", "Informational", "Low",
                                        "Medium",  "High",          "Critical"};
    json_add_signed(&e->json, e->json.root, "severity_id", (int)severity);
    json_add_string(&e->json, e->json.root, "severity", names[severity]);
}

void ocsf_set_status(struct ocsf_event *e, enum ocsf_status status, const char *name,
                     const char *detail, const char *code)
{
    static const char *const names[] = {"Unknown", "Success", "Failure"};
    json_add_signed(&e->json, e->json.root, "status_id", (int)status);
    json_add_string(&e->json, e->json.root, "status",
                    name != NULL                    ? name
                    : status <= OCSF_STATUS_FAILURE ? names[status]
                                                    : "Other");
    ocsf_add(e, e->json.root, "status_detail", detail);
    ocsf_add(e, e->json.root, "status_code", code);
}

void ocsf_observe(struct ocsf_event *e, const char *name, enum ocsf_observable type,
                  const char *value)
{
    if (value == NULL || value[0] == '\0') {
        return;
    }
    cJSON *item = json_add_object(&e->json, e->observables, NULL);
    json_add_string(&e->json, item, "name", name);
    json_add_signed(&e->json, item, "type_id", (int)type);
    json_add_string(&e->json, item, "type",
                    type == OCSF_IP_ADDRESS  ? "IP Address"
                    : type == OCSF_USER_NAME ? "User Name"
                                             : "Resource UID");
    json_add_string(&e->json, item, "value", value);
}

/* ---- objects ------------------------------------------------------------------------------- */

void ocsf_add_user(struct ocsf_event *e, cJSON *to, const char *path,
                   const Chaperone__V1__Identity *identity)
{
    struct json *j = &e->json;
    const char *subject = identity != NULL ? identity->subject : e->entry->identity;
    char name[64];
    cJSON *user = json_add_object(j, to, "user");
    subject = subject == NULL || subject[0] == '\0' ? "unknown" : subject;
    /* The subject is what decisions are made by; a name is for people. */
    json_add_string(j, user, "name", subject);
    json_add_string(j, user, "uid", subject);
    if (identity != NULL) {
        ocsf_add(e, user, "full_name", identity->name);
        ocsf_add(e, user, "domain", identity->issuer);
    }
    cJSON *groups =
        identity == NULL || identity->n_groups == 0 ? NULL : json_add_array(j, user, "groups");
    for (size_t i = 0; groups != NULL && i < identity->n_groups; i++) {
        json_add_string(j, json_add_object(j, groups, NULL), "name", identity->groups[i]);
    }
    (void)snprintf(name, sizeof(name), "%s.name", path);
    ocsf_observe(e, name, OCSF_USER_NAME, subject);
}

void ocsf_add_session(struct ocsf_event *e, cJSON *to)
{
    const char *session = e->view->session;
    if (session != NULL) {
        json_add_string(&e->json, json_add_object(&e->json, to, "session"), "uid", session);
    }
}

static void add_authorization(struct ocsf_event *e, cJSON *actor)
{
    const struct record_view *v = e->view;
    if (v->verdict == NULL) {
        return;
    }
    cJSON *item =
        json_add_object(&e->json, json_add_array(&e->json, actor, "authorizations"), NULL);
    json_add_string(&e->json, item, "decision", v->verdict);
    cJSON *policy = json_add_object(&e->json, item, "policy");
    json_add_string(&e->json, policy, "name", v->rule == NULL ? "default" : v->rule);
    ocsf_add(e, policy, "uid", v->policy);
}

void ocsf_add_actor(struct ocsf_event *e, const Chaperone__V1__Identity *identity)
{
    cJSON *actor = json_add_object(&e->json, e->json.root, "actor");
    ocsf_add_user(e, actor, "actor.user", identity);
    ocsf_add_session(e, actor);
    ocsf_add(e, actor, "invoked_by", e->view->on_behalf_of);
    add_authorization(e, actor);
}

/* The host of "HOST:PORT", "[HOST]:PORT", "HOST" and "[HOST]"; `*out_port` is 0 where there is
 * none. */
static bool split_address(const char *address, char *host, size_t size, long *out_port)
{
    const char *colon = strrchr(address, ':');
    if (colon != NULL && strchr(colon, ']') != NULL) {
        colon = NULL; /* inside of the address */
    }
    size_t length = colon == NULL ? strlen(address) : (size_t)(colon - address);
    if (length >= 2 && address[0] == '[' && address[length - 1] == ']') {
        address++;
        length -= 2;
    }
    if (length == 0 || length >= size) {
        return false;
    }
    memcpy(host, address, length);
    host[length] = '\0';
    *out_port = colon == NULL ? 0 : strtol(colon + 1, NULL, 10);
    return true;
}

static bool is_ip(const char *host)
{
    uint8_t room[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, room) == 1 || inet_pton(AF_INET6, host, room) == 1;
}

void ocsf_add_endpoint(struct ocsf_event *e, const char *name, const char *address)
{
    struct json *j = &e->json;
    char host[256], path[64];
    long port = 0;
    cJSON *endpoint = json_add_object(j, j->root, name);
    if (address == NULL || address[0] == '\0') {
        ocsf_add(e, endpoint, "uid", e->view->record->sidecar);
        json_add_string(j, endpoint, "name", "sidecar");
        return;
    }
    if (strncmp(address, "unix:", 5) == 0 || !split_address(address, host, sizeof(host), &port)) {
        json_add_string(j, endpoint, "name", address);
        return;
    }
    bool ip = is_ip(host);
    json_add_string(j, endpoint, ip ? "ip" : "hostname", host);
    if (port > 0 && port <= UINT16_MAX) {
        json_add_signed(j, endpoint, "port", port);
    }
    (void)snprintf(path, sizeof(path), "%s.ip", name);
    ocsf_observe(e, path, OCSF_IP_ADDRESS, ip ? host : NULL);
}

/* What explains the records: approvals, policies, agents, issuers' keys, sidecars. */
#include <inttypes.h>
#include <stdlib.h>

#include "cli/evidence/package_internal.h"
#include "cli/output/held_json.h"

/* --- lists -------------------------------------------------------------------------------------
 */

/* A JSON list whose items are written one by one: there may be many. */
struct list {
    FILE *out;
    bool has_item;
};

static enum err list_add(struct list *l, struct json *j)
{
    (void)fputs(l->has_item ? "," : "", l->out);
    l->has_item = true;
    enum err e = json_write_line(j, l->out);
    return e == OK && ferror(l->out) != 0 ? ERR_IO : e;
}

typedef enum err item_fn(struct package *p, size_t n, struct json *j);

static enum err write_list(struct package *p, const char *name, size_t count, item_fn *fn)
{
    struct list l = {.out = zip_begin(p->with.zip, name)};
    enum err e = l.out == NULL ? ERR_IO : OK;
    if (e != OK) {
        return e;
    }
    (void)fputs("[", l.out);
    for (size_t n = 0; e == OK && n < count; n++) {
        struct json j;
        json_init(&j);
        e = fn(p, n, &j);
        e = e == OK ? list_add(&l, &j) : e;
        json_finish(&j);
    }
    (void)fputs("]\n", l.out);
    enum err ended = zip_end(p->with.zip);
    return e == OK ? ended : e;
}

static enum err add_identity(struct package *p, size_t n, struct json *j)
{
    const struct collection_identity *who = collection_identity(p->with.collection, n);
    cJSON *parsed = cJSON_Parse(who->json);
    if (parsed == NULL) {
        return ERR_NO_MEMORY;
    }
    cJSON_Delete(j->root);
    j->root = parsed;
    json_add_unsigned(j, j->root, "sessions", who->sessions);
    json_add_time(j, j->root, "first", who->first_ns);
    json_add_time(j, j->root, "last", who->last_ns);
    return OK;
}

static ProtobufCMessage *unpack(struct package *p, enum collection_kind kind, size_t n,
                                const ProtobufCMessageDescriptor *descriptor, enum err *out)
{
    struct bytes packed;
    *out = collection_item(p->with.collection, kind, n, &packed);
    ProtobufCMessage *message =
        *out == OK ? protobuf_c_message_unpack(descriptor, NULL, packed.size, packed.data) : NULL;
    *out = *out == OK && message == NULL ? ERR_NO_MEMORY : *out;
    return message;
}

static enum err add_issuer_key(struct package *p, size_t n, struct json *j)
{
    enum err e = OK;
    Chaperone__V1__ExportIssuerKey *key = (Chaperone__V1__ExportIssuerKey *)unpack(
        p, COLLECTION_ISSUER_KEY, n, &chaperone__v1__export_issuer_key__descriptor, &e);
    if (key == NULL) {
        return e;
    }
    cJSON *jwk = cJSON_Parse(key->jwk);
    json_add_string(j, j->root, "issuer", key->issuer);
    json_add_string(j, j->root, "key_id", key->key_id);
    /* What is no JSON is text: it is what was seen. */
    if (jwk == NULL || !cJSON_AddItemToObject(j->root, "jwk", jwk)) {
        cJSON_Delete(jwk);
        json_add_string(j, j->root, "jwk", key->jwk);
    }
    json_add_time(j, j->root, "first_seen", key->first_seen_unix_ns);
    json_add_time(j, j->root, "last_seen", key->last_seen_unix_ns);
    chaperone__v1__export_issuer_key__free_unpacked(key, NULL);
    return OK;
}

static void add_digits(struct json *j, const char *name, struct bytes data)
{
    struct buffer hex;
    buffer_init(&hex, 1 << 10);
    enum err e = OK;
    for (size_t i = 0; e == OK && i < data.size; i++) {
        e = buffer_append_format(&hex, "%02x", data.data[i]);
    }
    j->failed = j->failed || e != OK;
    json_add_text(j, j->root, name, buffer_bytes(&hex));
    buffer_finish(&hex);
}

static enum err add_sidecar(struct package *p, size_t n, struct json *j)
{
    enum err e = OK;
    Chaperone__V1__ExportSidecar *s = (Chaperone__V1__ExportSidecar *)unpack(
        p, COLLECTION_SIDECAR, n, &chaperone__v1__export_sidecar__descriptor, &e);
    if (s == NULL) {
        return e;
    }
    json_add_string(j, j->root, "sidecar", s->sidecar);
    json_add_string(j, j->root, "name", s->name);
    add_digits(j, "key_hash", record_bytes(s->key_hash));
    json_add_string(j, j->root, "enrolled_by", s->enrolled_by);
    json_add_time(j, j->root, "enrolled", s->enrolled_unix_ns);
    chaperone__v1__export_sidecar__free_unpacked(s, NULL);
    return OK;
}

/* --- files of their own ------------------------------------------------------------------------
 */

static enum err write_json(struct package *p, const char *name, struct json *j)
{
    FILE *out = zip_begin(p->with.zip, name);
    if (out == NULL) {
        return ERR_IO;
    }
    enum err e = json_write_line(j, out);
    enum err ended = zip_end(p->with.zip);
    return e == OK ? ended : e;
}

static enum err write_approval(struct package *p, size_t n)
{
    enum err e = OK;
    char id[PACKAGE_ID_SIZE], name[PACKAGE_NAME_SIZE];
    struct json j;
    Chaperone__V1__HeldOperation *held = (Chaperone__V1__HeldOperation *)unpack(
        p, COLLECTION_APPROVAL, n, &chaperone__v1__held_operation__descriptor, &e);
    if (held == NULL) {
        return e;
    }
    json_init(&j);
    held_json_add(&j, held);
    package_id(held->id, id);
    (void)snprintf(name, sizeof(name), "approvals/%s.json", id);
    e = write_json(p, name, &j);
    json_finish(&j);
    chaperone__v1__held_operation__free_unpacked(held, NULL);
    return e;
}

static enum err put_policy_file(struct package *p, struct json *j, const char *key,
                                uint64_t revision, const char *suffix, struct bytes data)
{
    char name[PACKAGE_NAME_SIZE];
    (void)snprintf(name, sizeof(name), "policies/%" PRIu64 ".%s", revision, suffix);
    json_add_string(j, j->root, key, name);
    return zip_add(p->with.zip, name, data);
}

static enum err put_policy(struct package *p, const Chaperone__V1__ExportPolicy *policy,
                           struct json *j)
{
    uint64_t revision = policy->revision;
    char name[PACKAGE_NAME_SIZE];
    json_add_unsigned(j, j->root, "revision", revision);
    json_add_string(j, j->root, "hash", policy->hash);
    json_add_time(j, j->root, "created", policy->created_unix_ns);
    json_add_string(j, j->root, "created_by", policy->created_by);
    json_add_string(j, j->root, "message", policy->message);
    enum err e =
        put_policy_file(p, j, "document", revision, "document", record_bytes(policy->document));
    e = e == OK
            ? put_policy_file(p, j, "signature", revision, "sig", record_bytes(policy->signature))
            : e;
    e = e == OK ? put_policy_file(p, j, "public_key", revision, "key.der",
                                  record_bytes(policy->public_key))
                : e;
    if (e == OK && policy->source[0] != '\0') {
        const char *at = policy->source + strspn(policy->source, " \t\r\n");
        e = put_policy_file(p, j, "source", revision, *at == '{' ? "source.json" : "source.yaml",
                            bytes_of_string(policy->source));
    }
    (void)snprintf(name, sizeof(name), "policies/%" PRIu64 ".json", revision);
    return e == OK ? write_json(p, name, j) : e;
}

static enum err write_policy(struct package *p, size_t n)
{
    enum err e = OK;
    struct json j;
    Chaperone__V1__ExportPolicy *policy = (Chaperone__V1__ExportPolicy *)unpack(
        p, COLLECTION_POLICY, n, &chaperone__v1__export_policy__descriptor, &e);
    if (policy == NULL) {
        return e;
    }
    json_init(&j);
    e = put_policy(p, policy, &j);
    json_finish(&j);
    chaperone__v1__export_policy__free_unpacked(policy, NULL);
    return e;
}

static enum err write_keys(struct package *p)
{
    const Chaperone__V1__Checkpoint *c = collection_header(p->with.collection)->checkpoint;
    struct json j;
    json_init(&j);
    json_add_string(&j, j.root, "origin", c->origin);
    json_add_strings(&j, j.root, "log_keys", c->log_keys, c->n_log_keys);
    json_add_strings(&j, j.root, "witness_keys", c->witness_keys, c->n_witness_keys);
    enum err e = zip_add(p->with.zip, "checkpoint", bytes_of_string(c->note));
    e = e == OK ? write_json(p, "keys.json", &j) : e;
    json_finish(&j);
    return e;
}

enum err package_write_context(struct package *p)
{
    struct collection *c = p->with.collection;
    enum err e = write_keys(p);
    for (size_t n = 0; e == OK && n < collection_item_count(c, COLLECTION_APPROVAL); n++) {
        e = write_approval(p, n);
    }
    for (size_t n = 0; e == OK && n < collection_item_count(c, COLLECTION_POLICY); n++) {
        e = write_policy(p, n);
    }
    e = e == OK ? write_list(p, "identities.json", collection_identity_count(c), add_identity) : e;
    e = e == OK ? write_list(p, "issuers.json", collection_item_count(c, COLLECTION_ISSUER_KEY),
                             add_issuer_key)
                : e;
    return e == OK ? write_list(p, "sidecars.json", collection_item_count(c, COLLECTION_SIDECAR),
                                add_sidecar)
                   : e;
}

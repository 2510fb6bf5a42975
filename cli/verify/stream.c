#include "cli/verify/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/verify/evidence.h"
#include "cli/verify/filed.h"
#include "formats/json.h"

struct verify_stream {
    struct evidence evidence;
    struct filed *filed;
    struct json sidecars; /* a list */
    uint64_t matching, ended;
    bool has_header, has_end;
};

enum { NAME_SIZE = 64, POLICY_MAX = 16 << 20 };

enum err verify_stream_create(const struct verify_options *options, struct report *report,
                              struct verify_result *result, struct verify_stream **out)
{
    struct verify_stream *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    *result = (struct verify_result){.subject = VERIFY_EVERYTHING};
    enum err e = evidence_init(&s->evidence, options, report, result);
    s->evidence.is_everything = true;
    s->sidecars.root = cJSON_CreateArray();
    s->filed = filed_create(report);
    if (e != OK || s->sidecars.root == NULL || s->filed == NULL) {
        verify_stream_destroy(s);
        return ERR_NO_MEMORY;
    }
    *out = s;
    return OK;
}

void verify_stream_destroy(struct verify_stream *s)
{
    if (s == NULL) {
        return;
    }
    evidence_finish(&s->evidence);
    filed_destroy(s->filed);
    json_finish(&s->sidecars);
    free(s);
}

/* What a package has as a file. */
static enum err keep(struct verify_stream *s, const char *name, struct bytes data)
{
    struct kept *kept = &s->evidence.kept;
    enum err e = kept_begin(kept, name, data.size + 1);
    return e == OK ? kept_append(kept, data) : e;
}

static enum err keep_json(struct verify_stream *s, const char *name, const struct json *j)
{
    char *text = j->failed ? NULL : cJSON_PrintUnformatted(j->root);
    if (text == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = keep(s, name, bytes_of_string(text));
    cJSON_free(text);
    return e;
}

static enum err add_header(struct verify_stream *s, const Chaperone__V1__ExportHeader *header)
{
    const Chaperone__V1__Checkpoint *c = header->checkpoint;
    struct json j;
    if (s->has_header || c == NULL) {
        return ERR_INVALID;
    }
    s->has_header = true;
    s->matching = header->matching;
    json_init(&j);
    json_add_string(&j, j.root, "origin", c->origin);
    json_add_strings(&j, j.root, "log_keys", c->log_keys, c->n_log_keys);
    json_add_strings(&j, j.root, "witness_keys", c->witness_keys, c->n_witness_keys);
    enum err e = keep(s, "checkpoint", bytes_of_string(c->note));
    e = e == OK ? keep_json(s, "keys.json", &j) : e;
    json_finish(&j);
    return e;
}

static enum err add_entry(struct verify_stream *s, const Chaperone__V1__Entry *entry)
{
    struct evidence *e = &s->evidence;
    uint32_t session = 0;
    struct rec_item item = {.position = entry->position};
    if (entry->position == 0 || entry->position > INT64_MAX ||
        entry->is_erased != (entry->record.len == 0) ||
        (entry->is_erased && entry->hash.len != REC_HASH_SIZE)) {
        return ERR_INVALID;
    }
    item.canonical = bytes_of(entry->record.data, entry->record.len);
    item.hash = entry->is_erased ? bytes_of(entry->hash.data, entry->hash.len) : item.hash;
    enum err failed = records_add(e->records, &item);
    failed = failed == OK ? filed_add(s->filed, entry) : failed;
    if (failed == OK && entry->is_erased) {
        failed =
            name_table_put(records_sessions(e->records), bytes_of_string(entry->session), &session);
        records_declare(e->records, records_count(e->records) - 1,
                        scan_kind_parse(bytes_of_string(entry->kind)), session);
    }
    return failed;
}

static enum err add_entries(struct verify_stream *s, const Chaperone__V1__ExportEntries *entries)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < entries->n_entries; i++) {
        e = add_entry(s, entries->entries[i]);
    }
    return e;
}

static enum err keep_policy(struct verify_stream *s, uint64_t revision, const char *suffix,
                            ProtobufCBinaryData data)
{
    char name[NAME_SIZE];
    (void)snprintf(name, sizeof(name), "policies/%" PRIu64 ".%s", revision, suffix);
    return data.len > POLICY_MAX ? ERR_LIMIT : keep(s, name, bytes_of(data.data, data.len));
}

static enum err add_policy(struct verify_stream *s, const Chaperone__V1__ExportPolicy *p)
{
    char name[NAME_SIZE];
    struct json j;
    json_init(&j);
    json_add_unsigned(&j, j.root, "revision", p->revision);
    json_add_string(&j, j.root, "hash", p->hash);
    (void)snprintf(name, sizeof(name), "policies/%" PRIu64 ".json", p->revision);
    enum err e = keep_json(s, name, &j);
    json_finish(&j);
    e = e == OK ? keep_policy(s, p->revision, "document", p->document) : e;
    e = e == OK ? keep_policy(s, p->revision, "sig", p->signature) : e;
    return e == OK ? keep_policy(s, p->revision, "key.der", p->public_key) : e;
}

static enum err add_sidecar(struct verify_stream *s, const Chaperone__V1__ExportSidecar *sidecar)
{
    char hex[2 * CRYPTO_SHA256_SIZE + 1];
    if (sidecar->key_hash.len != CRYPTO_SHA256_SIZE) {
        return ERR_INVALID;
    }
    crypto_hex_encode(bytes_of(sidecar->key_hash.data, sidecar->key_hash.len), hex);
    cJSON *item = json_add_object(&s->sidecars, s->sidecars.root, NULL);
    json_add_string(&s->sidecars, item, "sidecar", sidecar->sidecar);
    json_add_string(&s->sidecars, item, "name", sidecar->name);
    json_add_string(&s->sidecars, item, "key_hash", hex);
    json_add_string(&s->sidecars, item, "enrolled_by", sidecar->enrolled_by);
    json_add_time(&s->sidecars, item, "enrolled", sidecar->enrolled_unix_ns);
    return s->sidecars.failed ? ERR_NO_MEMORY : OK;
}

static enum err add_tile(struct verify_stream *s, const Chaperone__V1__Tile *tile)
{
    struct tlog_tile parsed;
    enum err e = tlog_tile_parse_path(bytes_of_string(tile->path), &parsed);
    return e == OK ? known_tiles_add(s->evidence.tiles, &parsed,
                                     bytes_of(tile->data.data, tile->data.len))
                   : e;
}

static enum err add_part(struct verify_stream *s, const Chaperone__V1__ExportPart *part)
{
    switch (part->part_case) {
    case CHAPERONE__V1__EXPORT_PART__PART_HEADER: return add_header(s, part->header);
    case CHAPERONE__V1__EXPORT_PART__PART_ENTRIES: return add_entries(s, part->entries);
    case CHAPERONE__V1__EXPORT_PART__PART_POLICY: return add_policy(s, part->policy);
    case CHAPERONE__V1__EXPORT_PART__PART_SIDECAR: return add_sidecar(s, part->sidecar);
    case CHAPERONE__V1__EXPORT_PART__PART_TILE: return add_tile(s, part->tile);
    case CHAPERONE__V1__EXPORT_PART__PART_END:
        s->has_end = true;
        s->ended = part->end->entries;
        return OK;
    default: return OK; /* approvals and keys of issuers prove nothing here */
    }
}

enum err verify_stream_add(struct verify_stream *s, const Chaperone__V1__ExportPart *part,
                           struct err_text *why)
{
    bool is_header = part->part_case == CHAPERONE__V1__EXPORT_PART__PART_HEADER;
    if (s->has_end || s->has_header == is_header) {
        return err_set(why, ERR_INVALID, "the control plane's answer is out of order");
    }
    enum err e = add_part(s, part);
    return e == ERR_INVALID ? err_set(why, e, "the control plane's answer is not as it must be")
                            : e;
}

uint64_t verify_stream_progress(const struct verify_stream *s, uint64_t *out_total)
{
    *out_total = s->matching;
    return records_count(s->evidence.records);
}

enum err verify_stream_check(struct verify_stream *s, struct err_text *why)
{
    if (!s->has_end || s->ended != records_count(s->evidence.records)) {
        return err_set(why, ERR_INVALID, "the control plane's answer is not whole");
    }
    enum err e = keep_json(s, "sidecars.json", &s->sidecars);
    return e == OK ? evidence_check_unlisted(&s->evidence, why) : e;
}

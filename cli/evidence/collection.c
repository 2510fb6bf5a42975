#include "cli/evidence/collection.h"

#include <stdlib.h>

#include "base/crypto/crypto.h"
#include "cli/evidence/collection_internal.h"

enum {
    ARENA_BLOCK = 256 << 10,
    /* Names of sessions, subjects and resources: some ten million sessions. */
    ARENA_CAP = 1 << 30,
    KEPT_MAX = 64 << 20, /* one message that explains: a policy has at most 16 MiB */
};

/* --- life --------------------------------------------------------------------------------------
 */

enum err collection_create(const struct collection_options *options, struct collection **out,
                           struct err_text *why)
{
    struct collection *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return ERR_NO_MEMORY;
    }
    c->with = *options;
    c->arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    enum err e = c->arena == NULL ? ERR_NO_MEMORY : OK;
    e = e == OK ? spool_create(options->directory, &c->spool, why) : e;
    if (e == OK) {
        c->texts = catalogue_create(c->arena);
        c->sessions.names = catalogue_create(c->arena);
        c->masked.names = catalogue_create(c->arena);
        c->identities.names = catalogue_create(c->arena);
        c->kinds.names = catalogue_create(c->arena);
        c->tiles = tiles_create(c->spool);
        c->sample = options->sample == 0 ? NULL : sample_create(options->sample, options->seed);
        bool has_all = c->texts != NULL && c->sessions.names != NULL && c->masked.names != NULL &&
                       c->identities.names != NULL && c->kinds.names != NULL && c->tiles != NULL &&
                       (options->sample == 0 || c->sample != NULL);
        e = has_all ? OK : ERR_NO_MEMORY;
    }
    if (e != OK) {
        collection_destroy(c);
        return e;
    }
    *out = c;
    return OK;
}

void collection_destroy(struct collection *c)
{
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < COLLECTION_LISTS; i++) {
        free(c->lists[i].items);
    }
    for (size_t i = 0; i < COLLECTION_KINDS; i++) {
        free(c->context[i].items);
    }
    if (c->header != NULL) {
        chaperone__v1__export_header__free_unpacked(c->header, NULL);
    }
    catalogue_destroy(c->texts);
    catalogue_destroy(c->sessions.names);
    catalogue_destroy(c->masked.names);
    catalogue_destroy(c->identities.names);
    catalogue_destroy(c->kinds.names);
    free(c->sessions.items);
    free(c->sessions.order);
    free(c->sessions.starts);
    free(c->masked.items);
    free(c->identities.items);
    free(c->kinds.counts);
    free(c->places);
    sample_destroy(c->sample);
    tiles_destroy(c->tiles);
    spool_destroy(c->spool);
    arena_destroy(c->arena);
    free(c);
}

enum err collection_grow(void **items, size_t count, size_t *capacity, size_t item_size)
{
    if (count < *capacity) {
        return OK;
    }
    size_t more = *capacity == 0 ? 64 : *capacity * 2;
    void *moved = realloc(*items, more * item_size);
    if (moved == NULL) {
        return ERR_NO_MEMORY;
    }
    *items = moved;
    *capacity = more;
    return OK;
}

/* --- what comes --------------------------------------------------------------------------------
 */

static enum err put_message(struct collection *c, const ProtobufCMessage *message,
                            struct spool_item *out)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size > KEPT_MAX) {
        return ERR_LIMIT;
    }
    uint8_t *packed = malloc(size + 1);
    if (packed == NULL) {
        return ERR_NO_MEMORY;
    }
    (void)protobuf_c_message_pack(message, packed);
    enum err e = spool_put(c->spool, bytes_of(packed, size), out);
    free(packed);
    return e;
}

static enum err add_header(struct collection *c, const Chaperone__V1__ExportHeader *header,
                           struct err_text *why)
{
    if (c->header != NULL || header->checkpoint == NULL ||
        header->checkpoint->root.len != COLLECTION_HASH_SIZE) {
        return err_set(why, ERR_INVALID, "the control plane's answer does not begin as it should");
    }
    size_t size = chaperone__v1__export_header__get_packed_size(header);
    uint8_t *packed = malloc(size + 1);
    if (packed != NULL) {
        (void)chaperone__v1__export_header__pack(header, packed);
        c->header = chaperone__v1__export_header__unpack(NULL, size, packed);
        free(packed);
    }
    return c->header == NULL ? ERR_NO_MEMORY : OK;
}

/* api/audit.proto: SHA-256(0x00 || bytes). */
static bool has_its_hash(const Chaperone__V1__Entry *entry)
{
    static const uint8_t zero = 0;
    struct crypto_sha256 hash;
    uint8_t digest[CRYPTO_SHA256_SIZE];
    crypto_sha256_init(&hash);
    crypto_sha256_update(&hash, bytes_of(&zero, 1));
    crypto_sha256_update(&hash, bytes_of(entry->record.data, entry->record.len));
    crypto_sha256_finish(&hash, digest);
    return memcmp(digest, entry->hash.data, sizeof(digest)) == 0;
}

static enum err check_entry(const struct collection *c, const Chaperone__V1__Entry *entry,
                            struct err_text *why)
{
    unsigned long long position = entry->position;
    if (position == 0 || position > c->header->checkpoint->size) {
        return err_set(why, ERR_INVALID,
                       "the control plane sent a record at position %llu, which is not in its "
                       "checkpoint",
                       position);
    }
    if (entry->hash.len != COLLECTION_HASH_SIZE ||
        (entry->record.len == 0) != (entry->is_erased != 0)) {
        return err_set(why, ERR_INVALID,
                       "the control plane sent a record without its hash or content, at position "
                       "%llu",
                       position);
    }
    if (entry->record.len > 0 && !has_its_hash(entry)) {
        return err_set(
            why, ERR_INVALID,
            "the record at position %llu is not what its hash says: it was changed after "
            "it was recorded",
            position);
    }
    return OK;
}

static enum err add_entry(struct collection *c, const Chaperone__V1__Entry *entry,
                          struct err_text *why)
{
    struct spool_item item;
    uint32_t session = UINT32_MAX;
    enum err e = check_entry(c, entry, why);
    if (e == OK && c->count == UINT32_MAX - 1) {
        e = ERR_LIMIT;
    }
    e = e == OK ? collection_grow((void **)&c->places, c->count, &c->capacity, sizeof(*c->places))
                : e;
    e = e == OK ? collection_look(c, entry, (uint32_t)c->count, &session, why) : e;
    e = e == OK ? put_message(c, &entry->base, &item) : e;
    if (e == OK) {
        c->places[c->count++] =
            (struct place){.offset = item.offset, .size = item.size, .session = session};
        c->erased += entry->is_erased != 0;
    }
    return e;
}

static enum err add_entries(struct collection *c, const Chaperone__V1__ExportEntries *entries,
                            struct err_text *why)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < entries->n_entries; i++) {
        e = add_entry(c, entries->entries[i], why);
    }
    return e;
}

static enum err add_context(struct collection *c, enum collection_kind kind,
                            const ProtobufCMessage *message)
{
    struct items *list = &c->context[kind];
    enum err e =
        collection_grow((void **)&list->items, list->count, &list->capacity, sizeof(*list->items));
    e = e == OK ? put_message(c, message, &list->items[list->count]) : e;
    list->count += e == OK;
    return e;
}

static enum err add_end(struct collection *c, const Chaperone__V1__ExportEnd *end,
                        struct err_text *why)
{
    if (end->entries != c->count || c->header->matching != c->count) {
        return err_set(why, ERR_INVALID,
                       "the export is not whole: %zu records came, the control plane had %llu",
                       c->count, (unsigned long long)end->entries);
    }
    c->has_end = true;
    return OK;
}

enum err collection_add(struct collection *c, const Chaperone__V1__ExportPart *part,
                        struct err_text *why)
{
    bool is_header = part->part_case == CHAPERONE__V1__EXPORT_PART__PART_HEADER;
    if (c->has_end || (c->header == NULL && !is_header)) {
        return err_set(why, ERR_INVALID, "the control plane's answer is not in its order");
    }
    switch (part->part_case) {
    case CHAPERONE__V1__EXPORT_PART__PART_HEADER: return add_header(c, part->header, why);
    case CHAPERONE__V1__EXPORT_PART__PART_ENTRIES: return add_entries(c, part->entries, why);
    case CHAPERONE__V1__EXPORT_PART__PART_APPROVAL:
        return add_context(c, COLLECTION_APPROVAL, &part->approval->base);
    case CHAPERONE__V1__EXPORT_PART__PART_POLICY:
        return add_context(c, COLLECTION_POLICY, &part->policy->base);
    case CHAPERONE__V1__EXPORT_PART__PART_SIDECAR:
        return add_context(c, COLLECTION_SIDECAR, &part->sidecar->base);
    case CHAPERONE__V1__EXPORT_PART__PART_ISSUER_KEY:
        return add_context(c, COLLECTION_ISSUER_KEY, &part->issuer_key->base);
    case CHAPERONE__V1__EXPORT_PART__PART_TILE:
        return tiles_add(c->tiles, part->tile->path,
                         bytes_of(part->tile->data.data, part->tile->data.len), why);
    case CHAPERONE__V1__EXPORT_PART__PART_END: return add_end(c, part->end, why);
    case CHAPERONE__V1__EXPORT_PART__PART__NOT_SET:
    default:
        /* A part of a newer control plane would be missing in the package. */
        return err_set(why, ERR_INVALID, "the control plane sent a part that is not known here");
    }
}

/* Entries by session, each in the order of time: counted first, then put where they belong. */
static enum err order_entries(struct collection *c)
{
    struct sessions *s = &c->sessions;
    size_t count = catalogue_count(s->names), sum = 0;
    s->starts = calloc(count + 1, sizeof(*s->starts));
    s->order = malloc((c->count + 1) * sizeof(*s->order));
    uint32_t *next = malloc((count + 1) * sizeof(*next));
    if (s->starts == NULL || s->order == NULL || next == NULL) {
        free(next);
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        s->starts[i] = next[i] = (uint32_t)sum;
        sum += s->items[i].entries;
    }
    for (size_t i = 0; i < c->count; i++) {
        if (c->places[i].session != UINT32_MAX) {
            s->order[next[c->places[i].session]++] = (uint32_t)i;
        }
    }
    free(next);
    return OK;
}

enum err collection_finish(struct collection *c, struct err_text *why)
{
    if (!c->has_end) {
        return err_set(why, ERR_INVALID, "the control plane's answer has no end");
    }
    if (c->sample != NULL) {
        sample_sort(c->sample);
    }
    enum err e = tiles_sort(c->tiles, why);
    return e == OK ? order_entries(c) : e;
}

/* --- what is there -----------------------------------------------------------------------------
 */

const Chaperone__V1__ExportHeader *collection_header(const struct collection *c)
{
    return c->header;
}

struct tiles *collection_tiles(struct collection *c)
{
    return c->tiles;
}

struct sample *collection_sample(struct collection *c)
{
    return c->sample;
}

uint32_t collection_count(const struct collection *c)
{
    return (uint32_t)c->count;
}

uint64_t collection_erased(const struct collection *c)
{
    return c->erased;
}

size_t collection_kinds(const struct collection *c)
{
    return catalogue_count(c->kinds.names);
}

const char *collection_kind_name(const struct collection *c, size_t n, uint64_t *out_count)
{
    *out_count = c->kinds.counts[n];
    return catalogue_get(c->kinds.names, (uint32_t)n);
}

enum err collection_entry(struct collection *c, uint32_t number, Chaperone__V1__Entry **out)
{
    const struct place *place = &c->places[number];
    struct bytes data;
    enum err e = spool_get(
        c->spool, (struct spool_item){.offset = place->offset, .size = place->size}, &data);
    if (e != OK) {
        return e;
    }
    *out = chaperone__v1__entry__unpack(NULL, data.size, data.data);
    return *out == NULL ? ERR_NO_MEMORY : OK;
}

size_t collection_session_count(const struct collection *c)
{
    return catalogue_count(c->sessions.names);
}

const struct collection_session *collection_session(const struct collection *c, size_t n)
{
    return &c->sessions.items[n];
}

const uint32_t *collection_session_entries(const struct collection *c, size_t n)
{
    return c->sessions.order + c->sessions.starts[n];
}

const uint32_t *collection_list(const struct collection *c, enum collection_list list,
                                size_t *out_count)
{
    *out_count = c->lists[list].count;
    return c->lists[list].items;
}

size_t collection_masked_count(const struct collection *c)
{
    return catalogue_count(c->masked.names);
}

const struct collection_masked *collection_masked(const struct collection *c, size_t n)
{
    return &c->masked.items[n];
}

size_t collection_identity_count(const struct collection *c)
{
    return catalogue_count(c->identities.names);
}

const struct collection_identity *collection_identity(const struct collection *c, size_t n)
{
    return &c->identities.items[n];
}

size_t collection_item_count(const struct collection *c, enum collection_kind kind)
{
    return c->context[kind].count;
}

enum err collection_item(struct collection *c, enum collection_kind kind, size_t n,
                         struct bytes *out)
{
    return spool_get(c->spool, c->context[kind].items[n], out);
}

#include "controlplane/audit/ingest.h"

#include <string.h>

#include "controlplane/audit/record.h"

enum {
    /* What is appended in one transaction. */
    CHUNK_RECORDS = 4096,
    CHUNK_MEMORY = 16 << 20,
    /* A chunk, and the one record that makes it full: unpacked, one of 1 MiB may take 64 of them.
     */
    ARENA_BLOCK = 1 << 18,
    ARENA_CAP = CHUNK_MEMORY + (64 << 20),
};

struct chunk {
    const struct audit_ingest *ingest;
    const char *sidecar;
    struct arena *arena;
    struct store_audit_record *records; /* in the arena */
    struct arrival *arrivals;           /* in the arena: of the same records */
    size_t count, size;                 /* their number, and their bytes */
    bool key_is_known;
    uint8_t key_hash[STORE_HASH_SIZE];
    struct audit_refusal refusal;
};

static void blame(struct chunk *c, const char *kind, uint64_t first, uint64_t last)
{
    c->refusal = (struct audit_refusal){.kind = kind, .first = first, .last = last};
}

/* A record that does not follow on `last`: some are missing, or it was written to follow another.
 */
static void blame_chain(struct chunk *c, uint64_t last, uint64_t sequence)
{
    if (sequence > last + 1) {
        blame(c, "gap", last + 1, sequence - 1);
    } else {
        blame(c, "rewritten", sequence, sequence);
    }
}

static enum err heartbeat_check(struct chunk *c, const Chaperone__V1__Record *record,
                                struct err_text *why)
{
    if (!c->key_is_known) {
        struct store_sidecar enrolled;
        enum err err = store_sidecar_get(c->ingest->store, c->sidecar, c->arena, &enrolled);
        if (err != OK) {
            return err_set(why, err, "the key of sidecar %.64s cannot be read", c->sidecar);
        }
        memcpy(c->key_hash, enrolled.key_hash, STORE_HASH_SIZE);
        c->key_is_known = true;
    }
    return audit_record_check_heartbeat(record, c->key_hash, why);
}

/* Within the chunk; the store checks its first one against the end of the stream. */
static enum err chain_check(struct chunk *c, const struct store_audit_record *r,
                            struct err_text *why)
{
    if (c->count == 0) {
        return OK;
    }
    const struct store_audit_record *before = &c->records[c->count - 1];
    blame_chain(c, before->sequence, r->sequence);
    if (r->sequence != before->sequence + 1) {
        return err_set(why, ERR_INVALID, "record %llu: a gap, expected %llu",
                       (unsigned long long)r->sequence, (unsigned long long)before->sequence + 1);
    }
    if (memcmp(r->previous, before->hash, STORE_HASH_SIZE) != 0) {
        return err_set(why, ERR_INVALID,
                       "record %llu: its previous hash is not the hash of the record before it",
                       (unsigned long long)r->sequence);
    }
    return OK;
}

/* What people said, and what is missing, is the control plane's own to record: a sidecar that says
 * so makes it up. */
static bool is_our_own(const Chaperone__V1__Record *record)
{
    static const char *const states[] = {"decided", "standing", "standing_used",
                                         "standing_revoked"};
    bool is = record->event_case == CHAPERONE__V1__RECORD__EVENT_ACTION ||
              record->event_case == CHAPERONE__V1__RECORD__EVENT_FINDING;
    if (record->event_case == CHAPERONE__V1__RECORD__EVENT_APPROVAL) {
        for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
            is = is || strcmp(record->approval->state, states[i]) == 0;
        }
    }
    return is;
}

static enum err record_take(struct chunk *c, struct bytes canonical, struct err_text *why)
{
    struct audit_record record;
    enum err err = audit_record_parse(canonical, c->arena, &record, why);
    if (err != OK) {
        blame(c, err == ERR_NO_MEMORY ? NULL : "malformed", 0, 0);
        return err;
    }
    uint64_t sequence = record.stored.sequence;
    blame(c, "foreign", sequence, sequence);
    if (!bytes_equal_string(record.sidecar, c->sidecar)) {
        return err_set(why, ERR_DENIED, "record %llu: it is of another sidecar than the one here",
                       (unsigned long long)sequence);
    }
    if (record.message != NULL && is_our_own(record.message)) {
        return err_set(why, ERR_DENIED, "record %llu: only the control plane records this",
                       (unsigned long long)sequence);
    }
    err = chain_check(c, &record.stored, why);
    if (err == OK && record.stored.index.kind == STORE_HEARTBEAT) {
        err = heartbeat_check(c, record.message, why);
        blame(c, err == ERR_DENIED ? "bad_signature" : NULL, sequence, sequence);
    }
    if (err == OK) {
        blame(c, NULL, 0, 0);
        c->records[c->count] = record.stored;
        c->arrivals[c->count] = (struct arrival){.record = &c->records[c->count],
                                                 .operation = record.operation,
                                                 .is_forwarded = record.is_forwarded};
        c->count++;
        c->size += canonical.size;
    }
    return err;
}

static enum err chunk_append(struct chunk *c, struct store_audit_last *out_last,
                             struct err_text *why)
{
    struct store_audit_appended done;
    const struct audit_ingest *ingest = c->ingest;
    uint64_t refused = 0;
    struct store_audit_last last;
    enum err err = store_audit_append(ingest->store, c->sidecar, c->records, c->count,
                                      clock_wall(&ingest->clock), &done, &refused, why);
    if (err == ERR_INVALID) {
        if (store_audit_last(ingest->store, c->sidecar, &last) != OK) {
            return err_set(why, ERR_UNAVAILABLE, "the end of the stream of %.64s cannot be read",
                           c->sidecar);
        }
        blame_chain(c, last.sequence, refused);
    } else if (err != OK) {
        blame(c, err == ERR_EXISTS ? "rewritten" : NULL, refused, refused);
    }
    if (err != OK) {
        return err;
    }
    *out_last = done.last;
    if (done.added > 0 && ingest->arrivals != NULL) { /* those that were there come first */
        arrivals_add(ingest->arrivals, c->sidecar, c->arrivals + (c->count - done.added),
                     done.added, done.first_position);
    }
    if (done.added > 0 && ingest->feed != NULL) {
        audit_feed_publish(ingest->feed, done.last_position);
    }
    return OK;
}

/* Takes records from the front of the batch until the chunk is full or one is wrong, and appends
 * what it has: what came before a wrong one is good, and evidence. */
static enum err chunk_run(struct chunk *c, const ProtobufCBinaryData *records, size_t count,
                          size_t *out_taken, struct store_audit_last *out_last,
                          struct err_text *why)
{
    size_t max = count < CHUNK_RECORDS ? count : CHUNK_RECORDS;
    enum err wrong = OK;
    arena_reset(c->arena);
    c->count = c->size = 0;
    c->records = arena_alloc(c->arena, max * sizeof(struct store_audit_record));
    c->arrivals = arena_alloc(c->arena, max * sizeof(struct arrival));
    if (c->records == NULL || c->arrivals == NULL) {
        return ERR_NO_MEMORY;
    }
    while (wrong == OK && c->count < max && arena_used(c->arena) + c->size < CHUNK_MEMORY) {
        const ProtobufCBinaryData *next = &records[c->count];
        wrong = record_take(c, bytes_of(next->data, next->len), why);
    }
    if (c->count > 0) {
        struct err_text why_not = {.text = ""};
        enum err err = chunk_append(c, out_last, &why_not);
        if (err != OK) {
            return err_set(why, err, "%s", why_not.text);
        }
    }
    *out_taken = c->count;
    return wrong;
}

enum err audit_ingest_append(const struct audit_ingest *ingest, const char *sidecar,
                             const ProtobufCBinaryData *records, size_t count,
                             struct store_audit_last *out_last, struct audit_refusal *out_refusal,
                             struct err_text *why)
{
    struct chunk c = {.ingest = ingest, .sidecar = sidecar};
    struct store_audit_last last;
    enum err err = OK;
    if (count == 0) { /* else the append itself says it */
        err = store_audit_last(ingest->store, sidecar, &last);
        if (err == OK) {
            *out_last = last;
        }
        return err;
    }
    c.arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    if (c.arena == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t at = 0; err == OK && at < count;) {
        size_t taken = 0;
        err = chunk_run(&c, records + at, count - at, &taken, &last, why);
        at += taken;
    }
    arena_destroy(c.arena);
    if (err == OK) {
        *out_last = last;
    } else if (out_refusal != NULL) {
        *out_refusal = c.refusal;
    }
    return err;
}

#include "cli/verify/records_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char heartbeat_prefix[] = "chaperone heartbeat v1\n";

struct records *records_create(struct report *report)
{
    struct records *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return NULL;
    }
    r->report = report;
    r->streams = name_table_create();
    r->sessions = name_table_create();
    r->policies = name_table_create();
    r->erasures = name_table_create();
    if (r->streams == NULL || r->sessions == NULL || r->policies == NULL || r->erasures == NULL) {
        records_destroy(r);
        return NULL;
    }
    return r;
}

void records_destroy(struct records *r)
{
    if (r == NULL) {
        return;
    }
    name_table_destroy(r->streams);
    name_table_destroy(r->sessions);
    name_table_destroy(r->policies);
    name_table_destroy(r->erasures);
    free(r->items);
    free(r->beats);
    free(r->losses);
    free(r->order);
    free(r->bad);
    free(r);
}

/* Room for one more; NULL: no memory. */
static void *grow(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) {
        return items;
    }
    size_t wider = *capacity == 0 ? 1024 : *capacity + *capacity / 2;
    void *moved = realloc(items, wider * size);
    if (moved != NULL) {
        *capacity = wider;
    }
    return moved;
}

/* What is signed: api/audit.proto, Heartbeat. */
static bool is_signed(const struct scan *s)
{
    uint8_t key[CRYPTO_ED25519_PUBLIC_SIZE];
    struct buffer text;
    buffer_init(&text, sizeof(heartbeat_prefix) + s->sidecar.size + s->previous.size + 32);
    enum err e = crypto_ed25519_public_from_der(s->public_key, key);
    e = e != OK ? e : buffer_append_string(&text, heartbeat_prefix);
    e = e != OK ? e : buffer_append(&text, s->sidecar);
    e = e != OK ? e : buffer_append_format(&text, "\n%" PRIu64 "\n", s->sequence);
    e = e != OK ? e : buffer_append(&text, s->previous);
    bool good = e == OK && crypto_ed25519_verify(bytes_of(key, sizeof(key)), buffer_bytes(&text),
                                                 s->signature);
    buffer_finish(&text);
    return good;
}

static enum err add_heartbeat(struct records *r, const struct scan *s)
{
    struct beat *beats = grow(r->beats, r->beat_count, &r->beat_capacity, sizeof(*beats));
    if (beats == NULL) {
        return ERR_NO_MEMORY;
    }
    r->beats = beats;
    struct beat *b = &beats[r->beat_count++];
    b->record = r->count;
    b->is_signed = is_signed(s);
    crypto_sha256_of(s->public_key, b->key_hash);
    return OK;
}

static enum err add_loss(struct records *r, const struct scan *s, uint32_t stream)
{
    struct loss *losses = grow(r->losses, r->loss_count, &r->loss_capacity, sizeof(*losses));
    if (losses == NULL) {
        return ERR_NO_MEMORY;
    }
    r->losses = losses;
    losses[r->loss_count++] = (struct loss){.stream = stream, .first = s->first, .last = s->last};
    return OK;
}

static enum err take(struct records *r, const struct scan *s, struct record_fact *f)
{
    enum err e = name_table_put(r->streams, s->sidecar, &f->stream);
    e = e != OK ? e : name_table_put(r->sessions, s->session, &f->session);
    e = e != OK ? e : name_table_put(r->policies, s->policy_hash, &f->policy);
    memcpy(f->previous.bytes, s->previous.data, sizeof(f->previous.bytes));
    f->sequence = s->sequence;
    f->time_ns = s->time_ns;
    f->kind = s->kind;
    if (e == OK && r->count < RECORDS_SHOWN_MAX) {
        e = shown_of_record(s, f->shown);
        f->has_shown = true;
    }
    f->operation = s->kind == SCAN_SESSION_CLOSED ? s->operations : s->operation;
    if (e == OK && s->kind == SCAN_HEARTBEAT) {
        e = add_heartbeat(r, s);
    } else if (e == OK && s->kind == SCAN_LOSS) {
        e = add_loss(r, s, f->stream);
    } else if (e == OK && s->kind == SCAN_ACTION) {
        e = records_take_action(r, s->event);
    }
    return e;
}

enum err records_add(struct records *r, const struct rec_item *item)
{
    struct scan s;
    if (r->count == UINT32_MAX) {
        return ERR_LIMIT;
    }
    struct record_fact *items = grow(r->items, r->count, &r->capacity, sizeof(*items));
    if (items == NULL) {
        return ERR_NO_MEMORY;
    }
    r->items = items;
    struct record_fact *f = &items[r->count];
    *f = (struct record_fact){.position = item->position, .is_erased = item->canonical.size == 0};
    enum err e = OK;
    if (f->is_erased) {
        memcpy(f->hash.bytes, item->hash.data, sizeof(f->hash.bytes));
    } else {
        tlog_hash_leaf(item->canonical, &f->hash);
        if (scan_record(item->canonical, &s) == OK) {
            e = take(r, &s, f);
        } else {
            report_add(r->report, REPORT_MALFORMED, f->position,
                       "record at position %" PRIu64 ": its bytes are no audit record",
                       f->position);
        }
    }
    r->count += e == OK ? 1 : 0;
    return e;
}

size_t records_count(const struct records *r)
{
    return r->count;
}

const struct record_fact *records_at(const struct records *r, size_t n)
{
    return &r->items[n];
}

void records_declare(struct records *r, size_t n, enum scan_kind kind, uint32_t session)
{
    r->items[n].kind = kind;
    r->items[n].session = session;
}

struct name_table *records_sessions(struct records *r)
{
    return r->sessions;
}

const char *records_who(const struct records *r, const struct record_fact *f,
                        char out[RECORDS_WHO_SIZE])
{
    out[0] = '\0';
    const char *session = name_table_get(r->sessions, f->session);
    if (f->operation != 0 && f->kind != SCAN_SESSION_CLOSED) {
        (void)snprintf(out, RECORDS_WHO_SIZE, " (session %.64s, operation %" PRIu64 ")", session,
                       f->operation);
    } else if (session[0] != '\0') {
        (void)snprintf(out, RECORDS_WHO_SIZE, " (session %.64s)", session);
    } else if (f->stream != 0) {
        (void)snprintf(out, RECORDS_WHO_SIZE, " (sidecar %.64s, number %" PRIu64 ")",
                       name_table_get(r->streams, f->stream), f->sequence);
    }
    return out;
}

static void check_keys(struct records *r, const struct records_expectation *x)
{
    struct tlog_hash *seen = calloc((size_t)name_table_count(r->streams) + 1, sizeof(*seen));
    static const struct tlog_hash none = {{0}};
    if (seen == NULL) {
        report_add(r->report, REPORT_UNCHECKED, 0, "the heartbeats: out of memory");
        return;
    }
    for (size_t i = 0; i < r->beat_count; i++) {
        const struct beat *b = &r->beats[i];
        const struct record_fact *f = &r->items[b->record];
        struct tlog_hash *first = &seen[f->stream];
        const char *stream = name_table_get(r->streams, f->stream);
        bool known = false;
        if (!b->is_signed) {
            report_add(r->report, REPORT_SIGNATURE, f->position,
                       "record at position %" PRIu64 ": heartbeat %" PRIu64
                       " of sidecar %.64s has a wrong signature",
                       f->position, f->sequence, stream);
        } else if (x->has_key != NULL && !x->has_key(x->context, stream, b->key_hash, &known)) {
            report_add(r->report, REPORT_SIGNATURE, f->position,
                       "record at position %" PRIu64 ": heartbeat %" PRIu64
                       " of sidecar %.64s is signed by %s",
                       f->position, f->sequence, stream,
                       known ? "another key than the sidecar's"
                             : "a sidecar that the package does not name");
        } else if (memcmp(first, &none, sizeof(none)) != 0 &&
                   memcmp(first->bytes, b->key_hash, sizeof(b->key_hash)) != 0) {
            report_add(r->report, REPORT_SIGNATURE, f->position,
                       "record at position %" PRIu64 ": heartbeat %" PRIu64
                       " of sidecar %.64s is signed by another key than the one before it",
                       f->position, f->sequence, stream);
        }
        memcpy(first->bytes, b->key_hash, sizeof(b->key_hash));
    }
    free(seen);
}

static void check_policies(struct records *r, const struct records_expectation *x)
{
    for (uint32_t i = 1; x->has_policy != NULL && i <= name_table_count(r->policies); i++) {
        const char *hash = name_table_get(r->policies, i);
        if (!x->has_policy(x->context, hash)) {
            report_add(r->report, REPORT_REMOVED, 0,
                       "policy %.64s, which records name, is not in the package", hash);
        }
    }
}

enum err records_check(struct records *r, const struct records_expectation *expectation,
                       const struct known_tiles *tiles, struct records_summary *out)
{
    *out = (struct records_summary){.records = r->count, .heartbeats = r->beat_count};
    r->order = calloc(r->count + 1, sizeof(*r->order));
    r->bad = calloc(r->count + 1, 1);
    if (r->order == NULL || r->bad == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < r->count; i++) {
        out->erased += r->items[i].is_erased ? 1 : 0;
        out->kinds[r->items[i].kind]++;
    }
    records_check_places(r, expectation, tiles);
    records_check_streams(r, expectation, out);
    records_check_sessions(r, out);
    records_check_erased(r, expectation);
    check_keys(r, expectation);
    check_policies(r, expectation);
    return OK;
}

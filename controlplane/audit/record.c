#include "controlplane/audit/record.h"

#include <stdio.h>
#include <string.h>

#include "base/crypto/crypto.h"
#include "controlplane/audit/record_plain.h"
#include "controlplane/store/redact.h"
#include "controlplane/store/table_name.h"

/* The numbers of the kinds are part of the store's schema, those of the events of the contract. */
_Static_assert((int)STORE_SESSION_OPENED == CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED &&
                   (int)STORE_INTENT == CHAPERONE__V1__RECORD__EVENT_INTENT &&
                   (int)STORE_APPROVAL == CHAPERONE__V1__RECORD__EVENT_APPROVAL &&
                   (int)STORE_OUTCOME == CHAPERONE__V1__RECORD__EVENT_OUTCOME &&
                   (int)STORE_SESSION_CLOSED == CHAPERONE__V1__RECORD__EVENT_SESSION_CLOSED &&
                   (int)STORE_HEARTBEAT == CHAPERONE__V1__RECORD__EVENT_HEARTBEAT &&
                   (int)STORE_LOSS == CHAPERONE__V1__RECORD__EVENT_LOSS &&
                   (int)STORE_ACTION == CHAPERONE__V1__RECORD__EVENT_ACTION &&
                   (int)STORE_FINDING == CHAPERONE__V1__RECORD__EVENT_FINDING &&
                   (int)STORE_MESSAGE == CHAPERONE__V1__RECORD__EVENT_MESSAGE,
               "a kind is the number of its field");

/* ---- unpacking into an arena ---- */

struct arena_allocator {
    struct arena *arena;
    bool failed;
};

static void *unpack_alloc(void *context, size_t size)
{
    struct arena_allocator *a = context;
    void *memory = arena_alloc(a->arena, size);
    a->failed = a->failed || memory == NULL;
    return memory;
}

static void unpack_free(void *context, void *memory)
{
    (void)context;
    (void)memory; /* all of it goes with the arena */
}

static enum err record_unpack(struct bytes canonical, struct arena *arena,
                              const Chaperone__V1__Record **out, struct err_text *why)
{
    struct arena_allocator memory = {.arena = arena};
    ProtobufCAllocator allocator = {
        .alloc = unpack_alloc, .free = unpack_free, .allocator_data = &memory};
    const Chaperone__V1__Record *record =
        chaperone__v1__record__unpack(&allocator, canonical.size, canonical.data);
    if (record == NULL) {
        return memory.failed ? ERR_NO_MEMORY
                             : err_set(why, ERR_INVALID, "a record that is no protobuf message");
    }
    *out = record;
    return OK;
}

/* ---- what it is found by ---- */

static struct bytes bytes_of_field(ProtobufCBinaryData field)
{
    return bytes_of(field.data, field.len);
}

/* Subjects of the chain, outermost actor first: "ann, deploy-bot". */
static enum err delegates_join(Chaperone__V1__Delegate *const *delegates, size_t count,
                               struct arena *arena, struct bytes *out)
{
    size_t size = 0, at = 0;
    for (size_t i = 0; i < count; i++) {
        size += strlen(delegates[i]->subject) + 2;
    }
    char *text = arena_alloc(arena, size + 1);
    if (text == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        at += (size_t)snprintf(text + at, size + 1 - at, "%s%s", i == 0 ? "" : ", ",
                               delegates[i]->subject);
    }
    *out = bytes_of(text, at);
    return OK;
}

static enum err index_opened(const Chaperone__V1__SessionOpened *opened, struct arena *arena,
                             struct store_audit_index *index)
{
    struct store_audit_opened *o = arena_alloc(arena, sizeof(*o));
    if (o == NULL) {
        return ERR_NO_MEMORY;
    }
    if (opened->identity != NULL) {
        o->identity = bytes_of_string(opened->identity->subject);
    }
    o->resource = bytes_of_string(opened->resource);
    o->protocol = bytes_of_string(opened->protocol);
    o->database = bytes_of_string(opened->database);
    o->agent_address = bytes_of_string(opened->agent_address);
    o->refused = opened->verdict == CHAPERONE__V1__VERDICT__DENY;
    index->opened = o;
    index->verdict = (int)opened->verdict;
    index->error_code = bytes_of_string(opened->error_code);
    return delegates_join(opened->on_behalf_of, opened->n_on_behalf_of, arena, &o->on_behalf_of);
}

static bool is_table(struct bytes kind)
{
    static const char *const tables[] = {"table", "view", "relation", "materialized_view"};
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        if (bytes_equal_string(kind, tables[i])) {
            return true;
        }
    }
    return false;
}

/* `tables` has room for one more than there are. */
static enum err index_object(struct bytes kind, struct bytes written, struct arena *arena,
                             struct store_audit_table *tables, size_t *count)
{
    struct table_name name;
    enum err err = is_table(kind) ? table_name_parse(written, arena, &name) : ERR_INVALID;
    if (err == OK) {
        tables[(*count)++] = (struct store_audit_table){.name = name.last, .full = name.full};
    }
    return err == ERR_NO_MEMORY ? err : OK;
}

static enum err index_tables(const Chaperone__V1__Intent *intent, struct arena *arena,
                             struct store_audit_index *index)
{
    struct store_audit_table *tables =
        arena_alloc(arena, (intent->n_objects + 1) * sizeof(struct store_audit_table));
    enum err err = tables == NULL ? ERR_NO_MEMORY : OK;
    for (size_t i = 0; err == OK && i < intent->n_objects; i++) {
        const Chaperone__V1__Object *object = intent->objects[i];
        err = index_object(bytes_of_string(object->kind), bytes_of_string(object->name), arena,
                           tables, &index->table_count);
    }
    index->tables = tables;
    return err;
}

static enum err index_make(const Chaperone__V1__Record *record, struct arena *arena,
                           struct store_audit_index *index)
{
    *index = (struct store_audit_index){.kind = (enum store_audit_kind)record->event_case,
                                        .time_ns = record->time_unix_ns,
                                        .session = bytes_of_string(record->session)};
    switch (record->event_case) {
    case CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED:
        return index_opened(record->session_opened, arena, index);
    case CHAPERONE__V1__RECORD__EVENT_INTENT:
        index->verdict = (int)record->intent->verdict;
        index->text = redact_text_of(record);
        return index_tables(record->intent, arena, index);
    case CHAPERONE__V1__RECORD__EVENT_OUTCOME:
        index->status = (int)record->outcome->status;
        index->rows = record->outcome->rows;
        index->error_code = bytes_of_string(record->outcome->error_code);
        return OK;
    case CHAPERONE__V1__RECORD__EVENT_MESSAGE: index->text = redact_text_of(record); return OK;
    case CHAPERONE__V1__RECORD__EVENT_SESSION_CLOSED:
        index->close_reason = bytes_of_string(record->session_closed->reason);
        return OK;
    case CHAPERONE__V1__RECORD__EVENT_HEARTBEAT:
        index->has_no_sessions = record->heartbeat->open_sessions == 0;
        return OK;
    default: return OK;
    }
}

static bool is_forwarded(int verdict)
{
    return verdict != CHAPERONE__V1__VERDICT__DENY && verdict != CHAPERONE__V1__VERDICT__HOLD;
}

static void operation_read(const Chaperone__V1__Record *record, struct audit_record *out)
{
    if (record->event_case == CHAPERONE__V1__RECORD__EVENT_INTENT) {
        const Chaperone__V1__Intent *intent = record->intent;
        out->operation = intent->operation;
        out->is_forwarded = is_forwarded((int)intent->verdict);
    } else if (record->event_case == CHAPERONE__V1__RECORD__EVENT_APPROVAL) {
        out->operation = record->approval->operation;
        out->is_forwarded = strcmp(record->approval->state, "approved") == 0;
    } else if (record->event_case == CHAPERONE__V1__RECORD__EVENT_OUTCOME) {
        out->operation = record->outcome->operation;
    }
}

/* ---- the plain ones ---- */

/* Whatever is wrong with one is said of the record that was unpacked. */
static bool plain_is_right(const struct record_plain *r)
{
    return r->sequence > 0 && r->sequence <= INT64_MAX && r->previous.size == STORE_HASH_SIZE &&
           r->session.size > 0 && r->session.size <= STORE_SESSION_SIZE_MAX;
}

static enum err plain_take(const struct record_plain *r, struct arena *arena,
                           struct audit_record *out)
{
    struct store_audit_table *tables = NULL;
    size_t count = 0;
    enum err err = OK;
    if (r->object_count > 0) {
        tables = arena_alloc(arena, r->object_count * sizeof(*tables));
        err = tables == NULL ? ERR_NO_MEMORY : OK;
    }
    for (size_t i = 0; err == OK && i < r->object_count; i++) {
        err = index_object(r->objects[i].kind, r->objects[i].name, arena, tables, &count);
    }
    if (err != OK) {
        return err;
    }
    *out =
        (struct audit_record){.sidecar = r->sidecar,
                              .operation = r->operation,
                              .is_forwarded = r->kind == STORE_INTENT && is_forwarded(r->verdict),
                              .stored = {.sequence = r->sequence,
                                         .index = {.kind = r->kind,
                                                   .time_ns = r->time_ns,
                                                   .session = r->session,
                                                   .verdict = r->verdict,
                                                   .status = r->status,
                                                   .rows = r->rows,
                                                   .error_code = r->error_code,
                                                   .text = r->text,
                                                   .tables = tables,
                                                   .table_count = count}}};
    memcpy(out->stored.previous, r->previous.data, STORE_HASH_SIZE);
    return OK;
}

/* ---- the whole ---- */

static bool needs_session(Chaperone__V1__Record__EventCase event)
{
    return event == CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED ||
           event == CHAPERONE__V1__RECORD__EVENT_INTENT ||
           event == CHAPERONE__V1__RECORD__EVENT_OUTCOME ||
           event == CHAPERONE__V1__RECORD__EVENT_MESSAGE ||
           event == CHAPERONE__V1__RECORD__EVENT_SESSION_CLOSED;
}

/* NULL: nothing is. */
static const char *what_is_wrong(const Chaperone__V1__Record *record)
{
    size_t session_size = strlen(record->session);
    if (record->sequence == 0 || record->sequence > INT64_MAX) {
        return "it has no valid sequence";
    }
    if (record->previous.len != STORE_HASH_SIZE) {
        return "its previous hash is not 32 bytes long";
    }
    if (record->event_case == CHAPERONE__V1__RECORD__EVENT__NOT_SET) {
        return "it has no event that is known here";
    }
    if (session_size > STORE_SESSION_SIZE_MAX) {
        return "its session id is too long";
    }
    if (session_size == 0 && needs_session(record->event_case)) {
        return "it has no session";
    }
    return NULL;
}

void audit_record_hash(struct bytes canonical, uint8_t out[STORE_HASH_SIZE])
{
    struct crypto_sha256 hash;
    crypto_sha256_init(&hash);
    crypto_sha256_update(&hash, bytes_of("\0", 1));
    crypto_sha256_update(&hash, canonical);
    crypto_sha256_finish(&hash, out);
}

static enum err unpacked_take(struct bytes canonical, struct arena *arena, struct audit_record *out,
                              struct err_text *why)
{
    const Chaperone__V1__Record *message = NULL;
    struct store_audit_index index;
    enum err err = record_unpack(canonical, arena, &message, why);
    if (err != OK) {
        return err;
    }
    const char *wrong = what_is_wrong(message);
    if (wrong != NULL) {
        return err_set(why, ERR_INVALID, "record %llu: %s", (unsigned long long)message->sequence,
                       wrong);
    }
    err = index_make(message, arena, &index);
    if (err != OK) {
        return err;
    }
    *out = (struct audit_record){.sidecar = bytes_of_string(message->sidecar),
                                 .message = message,
                                 .stored = {.sequence = message->sequence, .index = index}};
    operation_read(message, out);
    memcpy(out->stored.previous, message->previous.data, STORE_HASH_SIZE);
    return OK;
}

enum err audit_record_parse(struct bytes canonical, struct arena *arena, struct audit_record *out,
                            struct err_text *why)
{
    struct record_plain plain;
    if (canonical.size > AUDIT_RECORD_SIZE_MAX) {
        return err_set(why, ERR_LIMIT, "a record of %zu bytes, at most %d are taken",
                       canonical.size, AUDIT_RECORD_SIZE_MAX);
    }
    enum err err = record_plain_read(canonical, &plain) && plain_is_right(&plain)
                       ? plain_take(&plain, arena, out)
                       : unpacked_take(canonical, arena, out, why);
    if (err == OK) {
        out->stored.canonical = canonical;
        audit_record_hash(canonical, out->stored.hash);
    }
    return err;
}

/* ---- heartbeats ---- */

enum { SIGNED_SIZE_MAX = 256 + STORE_NAME_SIZE_MAX };

enum err audit_record_check_heartbeat(const Chaperone__V1__Record *record,
                                      const uint8_t key_hash[STORE_HASH_SIZE], struct err_text *why)
{
    const Chaperone__V1__Heartbeat *heartbeat = record->heartbeat;
    unsigned long long sequence = record->sequence;
    uint8_t hash[CRYPTO_SHA256_SIZE], key[CRYPTO_ED25519_PUBLIC_SIZE];
    struct buffer text;
    crypto_sha256_of(bytes_of_field(heartbeat->public_key), hash);
    if (memcmp(hash, key_hash, sizeof(hash)) != 0) {
        return err_set(why, ERR_DENIED, "record %llu: a heartbeat of another key than the enrolled",
                       sequence);
    }
    enum err err = crypto_ed25519_public_from_der(bytes_of_field(heartbeat->public_key), key);
    if (err != OK) {
        return err_set(why, ERR_DENIED, "record %llu: the heartbeat's key is not Ed25519",
                       sequence);
    }
    buffer_init(&text, SIGNED_SIZE_MAX);
    err = buffer_append_format(&text, "chaperone heartbeat v1\n%s\n%llu\n", record->sidecar,
                               sequence);
    if (err == OK) {
        err = buffer_append(&text, bytes_of_field(record->previous));
    }
    if (err == OK && !crypto_ed25519_verify(bytes_of(key, sizeof(key)), buffer_bytes(&text),
                                            bytes_of_field(heartbeat->signature))) {
        err = err_set(why, ERR_DENIED, "record %llu: the heartbeat's signature is wrong", sequence);
    }
    buffer_finish(&text);
    return err;
}

static const struct {
    const char *word;
    enum store_audit_kind kind;
} kinds[] = {
    {"session_opened", STORE_SESSION_OPENED},
    {"intent", STORE_INTENT},
    {"approval", STORE_APPROVAL},
    {"outcome", STORE_OUTCOME},
    {"session_closed", STORE_SESSION_CLOSED},
    {"heartbeat", STORE_HEARTBEAT},
    {"loss", STORE_LOSS},
    {"action", STORE_ACTION},
    {"finding", STORE_FINDING},
    {"message", STORE_MESSAGE},
};

enum err audit_kind_parse(const char *word, enum store_audit_kind *out)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(word, kinds[i].word) == 0) {
            *out = kinds[i].kind;
            return OK;
        }
    }
    return ERR_INVALID;
}

const char *audit_kind_word(enum store_audit_kind kind)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i].kind == kind) {
            return kinds[i].word;
        }
    }
    return "";
}

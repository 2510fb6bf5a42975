/* Log.GetCheckpoint, ProveInclusion, ProveConsistency: proofs that a caller need not believe. */
#include <inttypes.h>
#include <stdio.h>

#include "api/log.pb-c.h"
#include "base/tlog/proof_file.h"
#include "controlplane/audit/search.h"
#include "controlplane/rpc/services_internal.h"

enum { ARENA_BLOCK = 64 << 10, ARENA_CAP = 64 << 20 };

static char *text_of(const char *s)
{
    return (char *)(uintptr_t)s;
}

/* --- what went wrong ---------------------------------------------------------------------------
 */

static void set_failed(const struct call *call, const char *at, enum err e,
                       struct rpc_status *out_status)
{
    if (e == ERR_INVALID) {
        rpc_status_set(out_status, RPC_INVALID_ARGUMENT, "the log has no such position or size");
        return;
    }
    if (e == ERR_UNAVAILABLE) {
        rpc_status_set(out_status, RPC_UNAVAILABLE,
                       "the log's tiles are being mended; try again in a moment");
    } else {
        rpc_status_set(out_status, RPC_UNAVAILABLE, "the audit log cannot be read now");
    }
    log_event(call->services->with.log, LOG_ERROR, "log_read_failed", log_text("at", at),
              log_text("error", err_name(e)));
}

static void set_no_checkpoint(struct keeper *keeper, uint64_t size, struct rpc_status *out_status)
{
    struct keeper_status status;
    keeper_read_status(keeper, &status);
    if (status.published == 0) {
        rpc_status_set(out_status, RPC_UNAVAILABLE,
                       "no checkpoint of the audit log is published yet (it is %s%s%s)",
                       keeper_state_name(status.state), status.detail[0] == '\0' ? "" : ": ",
                       status.detail);
    } else {
        rpc_status_set(out_status, RPC_NOT_FOUND,
                       "no checkpoint has %" PRIu64 " records yet; the newest has %" PRIu64, size,
                       status.published);
    }
}

/* --- checkpoints -------------------------------------------------------------------------------
 */

/* `size` 0: the newest. RPC_OK, or why not. */
static bool find_checkpoint(const struct call *call, uint64_t size, struct arena *arena,
                            struct keeper_checkpoint *out, struct rpc_status *out_status)
{
    struct keeper *keeper = call->services->with.keeper;
    enum err e = size == 0 ? keeper_latest(keeper, arena, out)
                           : keeper_checkpoint_from(keeper, size, arena, out);
    if (e == ERR_NOT_FOUND) {
        set_no_checkpoint(keeper, size, out_status);
    } else if (e != OK) {
        set_failed(call, "checkpoint", e, out_status);
    }
    return e == OK;
}

enum err log_fill_checkpoint(struct keeper *keeper, const struct keeper_checkpoint *from,
                             struct arena *arena, Chaperone__V1__Checkpoint *out)
{
    struct keeper_keys keys;
    enum err e = keeper_list_keys(keeper, arena, &keys);
    char *note = arena_copy_string(arena, from->note);
    uint8_t *root = arena_alloc(arena, TLOG_HASH_SIZE);
    if (e != OK || note == NULL || root == NULL) {
        return e == OK ? ERR_NO_MEMORY : e;
    }
    memcpy(root, from->root.bytes, TLOG_HASH_SIZE);
    chaperone__v1__checkpoint__init(out);
    out->note = note;
    out->size = from->size;
    out->root = (ProtobufCBinaryData){.data = root, .len = TLOG_HASH_SIZE};
    out->time_unix_ns = from->time_ns;
    out->origin = text_of(from->origin);
    out->log_keys = keys.logs;
    out->n_log_keys = keys.log_count;
    out->witness_keys = keys.witnesses;
    out->n_witness_keys = keys.witness_count;
    return OK;
}

void log_get_checkpoint(const struct call *call, const ProtobufCMessage *message,
                        ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    const Chaperone__V1__GetCheckpointRequest *request =
        (const Chaperone__V1__GetCheckpointRequest *)message;
    Chaperone__V1__Checkpoint reply = CHAPERONE__V1__CHECKPOINT__INIT;
    struct keeper_checkpoint found;
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    if (arena == NULL) {
        rpc_status_set(out_status, RPC_RESOURCE_EXHAUSTED, "no memory");
    } else if (find_checkpoint(call, request->size, arena, &found, out_status)) {
        enum err e = log_fill_checkpoint(call->services->with.keeper, &found, arena, &reply);
        if (e == OK) {
            services_reply(&reply.base, out_reply, out_status);
        } else {
            set_failed(call, "checkpoint", e, out_status);
        }
    }
    arena_destroy(arena);
}

static enum err fill_proof(const struct tlog_proof *proof, struct arena *arena,
                           ProtobufCBinaryData **out, size_t *out_count)
{
    ProtobufCBinaryData *hashes = arena_alloc(arena, (proof->count + 1) * sizeof(*hashes));
    uint8_t *data = arena_alloc(arena, (proof->count + 1) * TLOG_HASH_SIZE);
    if (hashes == NULL || data == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < proof->count; i++) {
        memcpy(data + i * TLOG_HASH_SIZE, proof->hashes[i].bytes, TLOG_HASH_SIZE);
        hashes[i] = (ProtobufCBinaryData){.data = data + i * TLOG_HASH_SIZE, .len = TLOG_HASH_SIZE};
    }
    *out = hashes;
    *out_count = proof->count;
    return OK;
}

/* --- inclusion ---------------------------------------------------------------------------------
 */

struct inclusion {
    Chaperone__V1__ProveInclusionResponse reply;
    Chaperone__V1__Checkpoint checkpoint;
    Chaperone__V1__Entry entry;
};

static enum err fill_file(const struct keeper_checkpoint *checkpoint, uint64_t index,
                          const struct tlog_proof *proof, struct arena *arena, char **out)
{
    const struct tlog_proof_file file = {.index = index, .proof = *proof, .note = checkpoint->note};
    struct buffer text;
    buffer_init(&text, TLOG_PROOF_FILE_MAX);
    enum err e = tlog_proof_file_format(&file, bytes_of(NULL, 0), &text);
    if (e == OK) {
        *out = arena_copy_string(arena, buffer_bytes(&text));
        e = *out == NULL ? ERR_NO_MEMORY : OK;
    }
    buffer_finish(&text);
    return e;
}

static enum err prove_inclusion(struct services *services, const struct store_audit_entry *entry,
                                const struct keeper_checkpoint *checkpoint, struct arena *arena,
                                struct inclusion *out)
{
    struct tlog_hash leaf;
    struct tlog_proof proof;
    uint64_t index = entry->position - 1;
    tlog_hash_leaf(bytes_of(entry->hash, STORE_HASH_SIZE), &leaf);
    enum err e = keeper_prove_inclusion(services->with.keeper, checkpoint, index, &leaf, &proof);
    if (e == OK) {
        e = fill_proof(&proof, arena, &out->reply.proof, &out->reply.n_proof);
    }
    if (e == OK) {
        e = fill_file(checkpoint, index, &proof, arena, &out->reply.proof_file);
    }
    if (e == OK) {
        e = log_fill_checkpoint(services->with.keeper, checkpoint, arena, &out->checkpoint);
    }
    audit_search_entry(entry, &out->entry);
    out->reply.entry = &out->entry;
    out->reply.checkpoint = &out->checkpoint;
    return e;
}

/* The record comes along: who reads it is recorded, as of a search. */
static bool record_reading(const struct call *call, uint64_t position,
                           struct rpc_status *out_status)
{
    char object[64];
    (void)snprintf(object, sizeof(object), "position=%" PRIu64, position);
    if (services_record(call, "prove", object, "") != OK) {
        services_set_unrecorded(out_status);
        return false;
    }
    return true;
}

static void answer_inclusion(const struct call *call,
                             const Chaperone__V1__ProveInclusionRequest *request,
                             struct arena *arena, ProtobufCMessage **out_reply,
                             struct rpc_status *out_status)
{
    struct inclusion i = {.reply = CHAPERONE__V1__PROVE_INCLUSION_RESPONSE__INIT};
    struct keeper_checkpoint checkpoint;
    struct store_audit_entry entry;
    uint64_t size = request->size == 0 ? request->position : request->size;
    if (request->position == 0 || size < request->position) {
        rpc_status_set(out_status, RPC_INVALID_ARGUMENT,
                       "a position begins at 1 and is not beyond the checkpoint's size");
        return;
    }
    /* Without a size: the newest, which has it or is still to come. */
    if (!find_checkpoint(call, size, arena, &checkpoint, out_status) ||
        (request->size == 0 && !find_checkpoint(call, 0, arena, &checkpoint, out_status)) ||
        !record_reading(call, request->position, out_status)) {
        return;
    }
    enum err e = store_audit_at(call->services->with.store, request->position, arena, &entry);
    if (e == OK) {
        e = prove_inclusion(call->services, &entry, &checkpoint, arena, &i);
    }
    if (e == OK) {
        services_reply(&i.reply.base, out_reply, out_status);
    } else {
        set_failed(call, "inclusion", e, out_status);
    }
}

void log_prove_inclusion(const struct call *call, const ProtobufCMessage *message,
                         ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    if (arena == NULL) {
        rpc_status_set(out_status, RPC_RESOURCE_EXHAUSTED, "no memory");
    } else {
        answer_inclusion(call, (const Chaperone__V1__ProveInclusionRequest *)message, arena,
                         out_reply, out_status);
    }
    arena_destroy(arena);
}

/* --- consistency -------------------------------------------------------------------------------
 */

static enum err prove_consistency(struct services *services, uint64_t from,
                                  const struct keeper_checkpoint *to, struct arena *arena,
                                  Chaperone__V1__ProveConsistencyResponse *out)
{
    struct tlog_proof proof;
    enum err e = keeper_prove_consistency(services->with.keeper, to, from, &proof);
    if (e == OK) {
        e = fill_proof(&proof, arena, &out->proof, &out->n_proof);
    }
    return e == OK ? log_fill_checkpoint(services->with.keeper, to, arena, out->to) : e;
}

void log_prove_consistency(const struct call *call, const ProtobufCMessage *message,
                           ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    const Chaperone__V1__ProveConsistencyRequest *request =
        (const Chaperone__V1__ProveConsistencyRequest *)message;
    Chaperone__V1__ProveConsistencyResponse reply = CHAPERONE__V1__PROVE_CONSISTENCY_RESPONSE__INIT;
    Chaperone__V1__Checkpoint to = CHAPERONE__V1__CHECKPOINT__INIT;
    struct keeper_checkpoint found;
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    reply.to = &to;
    if (arena == NULL) {
        rpc_status_set(out_status, RPC_RESOURCE_EXHAUSTED, "no memory");
    } else if (request->to != 0 && request->to < request->from) {
        rpc_status_set(out_status, RPC_INVALID_ARGUMENT, "`from` is not beyond `to`");
    } else if (find_checkpoint(call, request->to, arena, &found, out_status)) {
        enum err e = found.size < request->from
                         ? ERR_NOT_FOUND
                         : prove_consistency(call->services, request->from, &found, arena, &reply);
        if (e == OK) {
            services_reply(&reply.base, out_reply, out_status);
        } else if (e == ERR_NOT_FOUND) {
            set_no_checkpoint(call->services->with.keeper, request->from, out_status);
        } else {
            set_failed(call, "consistency", e, out_status);
        }
    }
    arena_destroy(arena);
}

/* The transparency log over gRPC: checkpoints, proofs and tiles that a client checks by itself. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/log.pb-c.h"
#include "base/tlog/proof_file.h"
#include "base/tlog/tile.h"
#include "controlplane/testing/fixture.h"

static const char session[] = "0199e9a2-0000-7000-8000-00000000000a";

static struct answer call_as(struct fixture *f, const char *group, const char *method,
                             const ProtobufCMessage *request)
{
    char *token = fixture_token(f, "eve", group);
    struct answer a =
        fixture_call(f->channel, &chaperone__v1__log__descriptor, method, request, token, 0);
    free(token);
    return a;
}

static const ProtobufCMessage *reply_of(const struct answer *a)
{
    if (a->status.code != RPC_OK) {
        fail_msg("%s: %s", rpc_code_name(a->status.code), a->status.message);
    }
    return a->reply;
}

static struct answer get_checkpoint(struct fixture *f, const char *group, uint64_t size)
{
    Chaperone__V1__GetCheckpointRequest request = CHAPERONE__V1__GET_CHECKPOINT_REQUEST__INIT;
    request.size = size;
    return call_as(f, group, "GetCheckpoint", &request.base);
}

/* The first checkpoint of at least so many records; asks until it is there. */
static struct answer await_checkpoint(struct fixture *f, uint64_t size)
{
    for (int i = 0; i < 3000; i++) {
        struct answer a = get_checkpoint(f, "auditors", size);
        if (a.status.code == RPC_OK) {
            return a;
        }
        answer_finish(&a);
        (void)usleep(20000);
    }
    fail_msg("no checkpoint of %llu records", (unsigned long long)size);
    return (struct answer){.reply = NULL};
}

static void begin(struct fixture *f)
{
    fixture_write_config(f, &(struct fixture_config){.extra = "audit_log: {"
                                                              "checkpoint_interval: 100ms}\n"});
    fixture_restart(f);
}

static void ship(struct fixture *f, size_t count)
{
    struct sidecar s = fixture_sidecar(f);
    struct records r = {.sidecar = s.id};
    ProtobufCBinaryData *all = calloc(count, sizeof(*all));
    assert_non_null(all);
    all[0] = records_opened(&r, session, "bot");
    for (size_t i = 1; i < count; i++) {
        all[i] = records_intent(&r, session, "SELECT 1");
    }
    fixture_ship(&s, all, count);
    free(all);
    sidecar_finish(&s);
}

static void open_checkpoint(const Chaperone__V1__Checkpoint *c, struct tlog_verifier *key,
                            struct tlog_checkpoint *out)
{
    struct err_text why = {0};
    assert_int_equal(c->n_log_keys, 1);
    assert_int_equal(tlog_verifier_parse(bytes_of_string(c->log_keys[0]), key, &why), OK);
    const struct tlog_trust trust = {
        .origin = "chaperone.localhost/audit", .logs = key, .log_count = 1};
    if (tlog_checkpoint_open(bytes_of_string(c->note), &trust, out, NULL, &why) != OK) {
        fail_msg("%s", why.text);
    }
    assert_string_equal(c->origin, trust.origin);
    assert_int_equal(c->size, out->size);
    assert_int_equal(c->root.len, TLOG_HASH_SIZE);
    assert_memory_equal(c->root.data, out->root.bytes, TLOG_HASH_SIZE);
    assert_true(c->time_unix_ns > 0);
}

/* --- proofs ------------------------------------------------------------------------------------
 */

static void check_inclusion(struct fixture *f, uint64_t position)
{
    Chaperone__V1__ProveInclusionRequest request = CHAPERONE__V1__PROVE_INCLUSION_REQUEST__INIT;
    struct tlog_verifier key;
    struct tlog_checkpoint c;
    struct tlog_hash hash;
    uint64_t index = 0;
    request.position = position;
    struct answer a = call_as(f, "auditors", "ProveInclusion", &request.base);
    const Chaperone__V1__ProveInclusionResponse *r =
        (const Chaperone__V1__ProveInclusionResponse *)reply_of(&a);
    open_checkpoint(r->checkpoint, &key, &c);
    /* The record makes its hash, which is the entry; the file proves the entry. */
    tlog_hash_leaf(bytes_of(r->entry->record.data, r->entry->record.len), &hash);
    assert_int_equal(r->entry->hash.len, TLOG_HASH_SIZE);
    assert_memory_equal(r->entry->hash.data, hash.bytes, TLOG_HASH_SIZE);
    assert_int_equal(r->entry->position, position);
    const struct tlog_trust trust = {
        .origin = "chaperone.localhost/audit", .logs = &key, .log_count = 1};
    assert_int_equal(tlog_proof_file_check(bytes_of_string(r->proof_file),
                                           bytes_of(hash.bytes, TLOG_HASH_SIZE), &trust, &index,
                                           NULL, NULL),
                     OK);
    assert_int_equal(index, position - 1);
    assert_true(r->n_proof > 0);
    answer_finish(&a);
}

static void every_record_is_proved(void **state)
{
    struct fixture *f = *state;
    begin(f);
    ship(f, 300);
    struct answer a = await_checkpoint(f, 300);
    for (uint64_t position = 1; position <= 300; position += 23) {
        check_inclusion(f, position);
    }
    answer_finish(&a);
}

static void later_checkpoints_continue_earlier_ones(void **state)
{
    struct fixture *f = *state;
    Chaperone__V1__ProveConsistencyRequest request = CHAPERONE__V1__PROVE_CONSISTENCY_REQUEST__INIT;
    struct tlog_verifier key;
    struct tlog_checkpoint small, large;
    struct tlog_proof proof = {.count = 0};
    begin(f);
    ship(f, 10);
    struct answer first = await_checkpoint(f, 10);
    open_checkpoint((const Chaperone__V1__Checkpoint *)first.reply, &key, &small);
    fixture_restart(f);
    ship(f, 400);
    struct answer last = await_checkpoint(f, small.size + 400);
    request.from = small.size;
    struct answer a = call_as(f, "admins", "ProveConsistency", &request.base);
    const Chaperone__V1__ProveConsistencyResponse *r =
        (const Chaperone__V1__ProveConsistencyResponse *)reply_of(&a);
    open_checkpoint(r->to, &key, &large);
    proof.count = r->n_proof;
    for (size_t i = 0; i < r->n_proof; i++) {
        memcpy(proof.hashes[i].bytes, r->proof[i].data, TLOG_HASH_SIZE);
    }
    assert_true(
        tlog_tree_check_consistency(&proof, large.size, small.size, &large.root, &small.root));
    /* The first one is still given. */
    struct answer again = get_checkpoint(f, "auditors", small.size);
    assert_string_equal(((const Chaperone__V1__Checkpoint *)reply_of(&again))->note,
                        ((const Chaperone__V1__Checkpoint *)first.reply)->note);
    answer_finish(&again);
    answer_finish(&a);
    answer_finish(&last);
    answer_finish(&first);
}

/* --- what is refused ---------------------------------------------------------------------------
 */

static void only_auditors_and_admins_may_ask(void **state)
{
    struct fixture *f = *state;
    Chaperone__V1__ProveInclusionRequest inclusion = CHAPERONE__V1__PROVE_INCLUSION_REQUEST__INIT;
    Chaperone__V1__ProveConsistencyRequest consistency =
        CHAPERONE__V1__PROVE_CONSISTENCY_REQUEST__INIT;
    static const char *const others[] = {"approvers", "agents", NULL};
    for (size_t i = 0; i < 3; i++) {
        assert_answer(get_checkpoint(f, others[i], 0), RPC_PERMISSION_DENIED, "no role");
        assert_answer(call_as(f, others[i], "ProveInclusion", &inclusion.base),
                      RPC_PERMISSION_DENIED, "no role");
        assert_answer(call_as(f, others[i], "ProveConsistency", &consistency.base),
                      RPC_PERMISSION_DENIED, "no role");
    }
    assert_answer(fixture_call(f->channel, &chaperone__v1__log__descriptor, "ProveInclusion",
                               &inclusion.base, NULL, 0),
                  RPC_UNAUTHENTICATED, "token");
}

static void what_is_not_there_is_said(void **state)
{
    struct fixture *f = *state;
    Chaperone__V1__ProveInclusionRequest inclusion = CHAPERONE__V1__PROVE_INCLUSION_REQUEST__INIT;
    Chaperone__V1__ProveConsistencyRequest consistency =
        CHAPERONE__V1__PROVE_CONSISTENCY_REQUEST__INIT;
    begin(f);
    ship(f, 5);
    struct answer a = await_checkpoint(f, 5);
    assert_answer(get_checkpoint(f, "auditors", UINT64_MAX), RPC_NOT_FOUND, "the newest has");
    assert_answer(call_as(f, "auditors", "ProveInclusion", &inclusion.base), RPC_INVALID_ARGUMENT,
                  "begins at 1");
    inclusion.position = UINT64_MAX;
    assert_answer(call_as(f, "auditors", "ProveInclusion", &inclusion.base), RPC_NOT_FOUND,
                  "the newest has");
    inclusion.position = 5;
    inclusion.size = 4;
    assert_answer(call_as(f, "auditors", "ProveInclusion", &inclusion.base), RPC_INVALID_ARGUMENT,
                  "not beyond");
    consistency.from = UINT64_MAX;
    assert_answer(call_as(f, "auditors", "ProveConsistency", &consistency.base), RPC_NOT_FOUND,
                  "the newest has");
    consistency.from = 5;
    consistency.to = 4;
    assert_answer(call_as(f, "auditors", "ProveConsistency", &consistency.base),
                  RPC_INVALID_ARGUMENT, "not beyond");
    answer_finish(&a);
}

/* --- tiles -------------------------------------------------------------------------------------
 */

static struct listening *read_tiles(struct fixture *f, uint64_t size, const char *const *paths,
                                    size_t count)
{
    Chaperone__V1__ReadTilesRequest request = CHAPERONE__V1__READ_TILES_REQUEST__INIT;
    char *token = fixture_token(f, "eve", "auditors");
    struct listening *l =
        listen_to(f->channel, &chaperone__v1__log__descriptor, "ReadTiles", token);
    request.size = size;
    request.paths = (char **)(uintptr_t)paths;
    request.n_paths = count;
    listening_send(l, &request.base);
    free(token);
    return l;
}

static const Chaperone__V1__Tile *tile_at(struct listening *l, size_t n)
{
    return (const Chaperone__V1__Tile *)listening_await(l, n);
}

static void tiles_come_in_order_and_make_the_root(void **state)
{
    static const char *const paths[] = {"tile/entries/001.p/44", "tile/0/001.p/44", "tile/0/000",
                                        "tile/0/001.p/17", "tile/entries/000"};
    struct fixture *f = *state;
    struct tlog_edge edge = {.size = 0};
    struct tlog_verifier key;
    struct tlog_checkpoint c;
    struct tlog_hash root;
    begin(f);
    ship(f, 300);
    struct answer a = await_checkpoint(f, 300);
    open_checkpoint((const Chaperone__V1__Checkpoint *)a.reply, &key, &c);
    struct listening *l = read_tiles(f, c.size, paths, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(tile_at(l, i)->path, paths[i]);
    }
    assert_int_equal(listening_end(l).code, RPC_OK);
    assert_int_equal(tile_at(l, 1)->data.len, 44 * TLOG_HASH_SIZE);
    assert_int_equal(tile_at(l, 3)->data.len, 17 * TLOG_HASH_SIZE);
    assert_int_equal(tlog_bundle_check(bytes_of(tile_at(l, 4)->data.data, tile_at(l, 4)->data.len),
                                       bytes_of(tile_at(l, 2)->data.data, tile_at(l, 2)->data.len),
                                       NULL),
                     OK);
    for (size_t i = 0; i < 300; i++) {
        struct tlog_hash leaf;
        const uint8_t *data = i < 256 ? tile_at(l, 2)->data.data + i * TLOG_HASH_SIZE
                                      : tile_at(l, 1)->data.data + (i - 256) * TLOG_HASH_SIZE;
        memcpy(leaf.bytes, data, TLOG_HASH_SIZE);
        assert_int_equal(tlog_edge_append(&edge, &leaf), OK);
    }
    tlog_edge_root(&edge, &root);
    if (c.size == 300) { /* nothing else was recorded before it was signed */
        assert_memory_equal(root.bytes, c.root.bytes, TLOG_HASH_SIZE);
    }
    listening_finish(l);
    answer_finish(&a);
}

static void other_paths_are_refused(void **state)
{
    static const char *const wrong[] = {"tile/0/001",      "tile/0/001.p/255", "tile/1/001",
                                        "../../log.key",   "/etc/passwd",      "checkpoint",
                                        "tile/0/../000",   "tile/0/0",         "",
                                        "tile/entries/009"};
    struct fixture *f = *state;
    begin(f);
    ship(f, 300);
    struct answer a = await_checkpoint(f, 300);
    uint64_t size = ((const Chaperone__V1__Checkpoint *)a.reply)->size;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct listening *l = read_tiles(f, size, &wrong[i], 1);
        assert_int_equal(listening_end(l).code, RPC_INVALID_ARGUMENT);
        assert_int_equal(listening_count(l), 0);
        listening_finish(l);
    }
    const char *first = "tile/0/000";
    struct listening *l = read_tiles(f, UINT64_MAX, &first, 1);
    assert_int_equal(listening_end(l).code, RPC_NOT_FOUND);
    listening_finish(l);
    answer_finish(&a);
}

/* More than waits for a reader at a time: 2000 tiles of 8 KiB. */
static void many_tiles_come_as_they_are_read(void **state)
{
    enum { MANY = 2000 };
    struct fixture *f = *state;
    const char **paths = calloc(MANY, sizeof(*paths));
    assert_non_null(paths);
    begin(f);
    ship(f, 300);
    struct answer a = await_checkpoint(f, 300);
    for (size_t i = 0; i < MANY; i++) {
        paths[i] = i % 2 == 0 ? "tile/0/000" : "tile/entries/000";
    }
    struct listening *l =
        read_tiles(f, ((const Chaperone__V1__Checkpoint *)a.reply)->size, paths, MANY);
    assert_int_equal(listening_end(l).code, RPC_OK);
    assert_int_equal(listening_count(l), MANY);
    assert_string_equal(tile_at(l, MANY - 1)->path, "tile/entries/000");
    listening_finish(l);
    answer_finish(&a);
    free(paths);
}

/* --- how it is ---------------------------------------------------------------------------------
 */

static void the_status_says_how_the_log_is(void **state)
{
    struct fixture *f = *state;
    Chaperone__V1__StatusRequest request = CHAPERONE__V1__STATUS_REQUEST__INIT;
    begin(f);
    ship(f, 5);
    struct answer a = await_checkpoint(f, 5);
    char *token = fixture_token(f, "eve", "auditors");
    struct answer status = fixture_call(f->channel, &chaperone__v1__administration__descriptor,
                                        "Status", &request.base, token, 0);
    const Chaperone__V1__StatusResponse *r =
        (const Chaperone__V1__StatusResponse *)reply_of(&status);
    assert_string_equal(r->log->state, "signing");
    assert_string_equal(r->log->detail, "");
    assert_true(r->log->published >= 5);
    assert_true(r->log->size >= r->log->published);
    assert_true(r->log->published_unix_ns > 0);
    answer_finish(&status);
    answer_finish(&a);
    free(token);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        CASE(every_record_is_proved),
        CASE(later_checkpoints_continue_earlier_ones),
        CASE(only_auditors_and_admins_may_ask),
        CASE(what_is_not_there_is_said),
        CASE(tiles_come_in_order_and_make_the_root),
        CASE(other_paths_are_refused),
        CASE(many_tiles_come_as_they_are_read),
        CASE(the_status_says_how_the_log_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

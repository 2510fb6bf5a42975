#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "controlplane/files/files.h"
#include "controlplane/tlog/keeper_fixture.h"

enum { BATCH = 1000 };
static const int64_t second_ns = 1000000000;

/* --- records -----------------------------------------------------------------------------------
 */

static void hash_of(struct bytes canonical, uint8_t out[STORE_HASH_SIZE])
{
    struct tlog_hash leaf;
    tlog_hash_leaf(canonical, &leaf);
    memcpy(out, leaf.bytes, STORE_HASH_SIZE);
}

static enum err append_batch(struct store *store, const char *sidecar, size_t count)
{
    struct store_audit_record *records = calloc(count, sizeof(*records));
    char(*texts)[96] = calloc(count, sizeof(*texts));
    struct store_audit_last last;
    struct store_audit_appended done;
    if (records == NULL || texts == NULL) {
        free(records);
        free(texts);
        return ERR_NO_MEMORY;
    }
    enum err e = store_audit_last(store, sidecar, &last);
    for (size_t i = 0; e == OK && i < count; i++) {
        struct store_audit_record *r = &records[i];
        r->sequence = last.sequence + i + 1;
        (void)snprintf(texts[i], sizeof(texts[i]), "record %llu of %s",
                       (unsigned long long)r->sequence, sidecar);
        r->canonical = bytes_of_string(texts[i]);
        hash_of(r->canonical, r->hash);
        memcpy(r->previous, i == 0 ? last.hash : records[i - 1].hash, STORE_HASH_SIZE);
        r->index.kind = STORE_HEARTBEAT;
        r->index.time_ns = (int64_t)r->sequence * second_ns;
    }
    if (e == OK) {
        e = store_audit_append(store, sidecar, records, count, INT64_C(1800000000) * second_ns,
                               &done, NULL, NULL);
    }
    free(records);
    free(texts);
    return e;
}

enum err fixture_append(struct store *store, const char *sidecar, size_t count)
{
    enum err e = OK;
    while (e == OK && count > 0) {
        size_t n = count < BATCH ? count : BATCH;
        e = append_batch(store, sidecar, n);
        count -= n;
    }
    return e;
}

void fixture_add(struct fixture *f, size_t count)
{
    assert_int_equal(fixture_append(f->store, "s1", count), OK);
}

void fixture_root(struct store *store, uint64_t size, struct tlog_hash *out)
{
    struct tlog_edge edge = {.size = 0};
    while (edge.size < size) {
        uint8_t hashes[256][STORE_HASH_SIZE];
        size_t count = 0, max = size - edge.size < 256 ? (size_t)(size - edge.size) : 256;
        assert_int_equal(store_log_read(store, edge.size, max, hashes, &count), OK);
        assert_true(count > 0);
        for (size_t i = 0; i < count; i++) {
            struct tlog_hash leaf;
            tlog_hash_leaf(bytes_of(hashes[i], STORE_HASH_SIZE), &leaf);
            assert_int_equal(tlog_edge_append(&edge, &leaf), OK);
        }
    }
    tlog_edge_root(&edge, out);
}

/* --- a witness ---------------------------------------------------------------------------------
 */

static enum err fake_sign(struct fake_witness *w, struct bytes text, struct buffer *out)
{
    struct tlog_signer signer = {.verifier = w->verifier, .key = w->key};
    return tlog_note_sign_line(w->lies ? bytes_of_string("log.example/audit\n1\n"
                                                         "CsUYapGGPo4dkMgIAUqom/"
                                                         "Xajj7h2fB2MPA3j2jxq2I=\n")
                                       : text,
                               &signer, 1750000000, out);
}

static enum err fake_cosign(void *context, struct bytes note, uint64_t size,
                            const struct tlog_reader *reader, struct buffer *out_line,
                            uint64_t *out_seen, struct err_text *why)
{
    struct fake_witness *w = context;
    struct tlog_note parsed;
    struct tlog_checkpoint c;
    struct tlog_proof proof;
    w->asked++;
    if (w->answer != OK) {
        *out_seen = w->claims;
        return err_set(why, w->answer, "as it was told");
    }
    assert_int_equal(tlog_note_parse(note, &parsed, why), OK);
    assert_int_equal(tlog_checkpoint_parse(parsed.text, &c, why), OK);
    assert_int_equal(c.size, size);
    *out_seen = w->size;
    if (w->size > size) {
        return err_set(why, ERR_EXISTS, "a larger one was seen");
    }
    if (w->size > 0) {
        assert_int_equal(tlog_tree_prove_consistency(reader, size, w->size, &proof), OK);
        if (!tlog_tree_check_consistency(&proof, size, w->size, &c.root, &w->root)) {
            return err_set(why, ERR_INVALID, "another tree was seen");
        }
    }
    w->size = size;
    w->root = c.root;
    return fake_sign(w, parsed.text, out_line);
}

static void fake_init(struct fixture *f, size_t i)
{
    static const char *const names[] = {"w1.example", "w2.example", "w3.example"};
    struct fake_witness *w = &f->fakes[i];
    uint8_t public_key[CRYPTO_ED25519_PUBLIC_SIZE];
    assert_int_equal(crypto_ed25519_generate(&w->key), OK);
    crypto_ed25519_public(w->key, public_key);
    assert_int_equal(tlog_verifier_init(bytes_of_string(names[i]), TLOG_KEY_COSIGNATURE, public_key,
                                        &w->verifier),
                     OK);
    f->witnesses[i] =
        (struct keeper_witness){.verifier = w->verifier, .cosign = fake_cosign, .context = w};
}

/* --- life --------------------------------------------------------------------------------------
 */

static int64_t shifted_wall(void *context)
{
    struct clock c = clock_system();
    return clock_wall(&c) + ((struct fixture *)context)->shift_ns;
}

static int64_t shifted_monotonic(void *context)
{
    struct clock c = clock_system();
    return clock_monotonic(&c) + ((struct fixture *)context)->shift_ns;
}

static enum err on_report(void *context, const char *kind, const char *detail)
{
    struct fixture *f = context;
    assert_true(detail[0] != '\0');
    f->reports++;
    (void)snprintf(f->reported, sizeof(f->reported), "%s", kind);
    return OK;
}

enum err fixture_create_keeper(struct fixture *f, struct err_text *why)
{
    const struct keeper_options options = {
        .store = f->store,
        .data = f->directory,
        .origin = f->origin,
        .fallback = FIXTURE_ORIGIN,
        .interval_ns = 2 * second_ns,
        .key_overlap_ns = 3600 * second_ns,
        .witnesses = f->witnesses,
        .witness_count = f->witness_count,
        .quorum = f->quorum,
        .clock = {.wall_ns = shifted_wall, .monotonic_ns = shifted_monotonic, .context = f},
        .log = &f->log,
        .on_step = f->on_step,
        .step_context = f->step_context};
    enum err e = keeper_create(&options, &f->keeper, why);
    if (e == OK) {
        keeper_set_report(f->keeper, on_report, f);
    }
    return e;
}

void fixture_open(struct fixture *f)
{
    struct err_text why = {0};
    if (store_open_sqlite(f->database, NULL, &f->store, &why) != OK ||
        fixture_create_keeper(f, &why) != OK) {
        fail_msg("%s", why.text);
    }
}

void fixture_close(struct fixture *f)
{
    keeper_destroy(f->keeper);
    f->keeper = NULL;
    if (f->store != NULL) {
        store_close(f->store);
        f->store = NULL;
    }
}

int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    scratch_create(f->directory);
    (void)snprintf(f->database, sizeof(f->database), "%s/controlplane.db", f->directory);
    f->log = (struct log){
        .fd = STDERR_FILENO, .format = LOG_HUMAN, .level = LOG_DEBUG, .clock = clock_system()};
    f->fakes = mmap(NULL, FIXTURE_WITNESSES * sizeof(*f->fakes), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(f->fakes, MAP_FAILED);
    f->arena = arena_create(64 << 10, 16 << 20);
    assert_non_null(f->arena);
    for (size_t i = 0; i < FIXTURE_WITNESSES; i++) {
        fake_init(f, i);
    }
    fixture_open(f);
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    for (size_t i = 0; i < FIXTURE_WITNESSES; i++) {
        crypto_ed25519_destroy(f->fakes[i].key);
    }
    (void)munmap(f->fakes, FIXTURE_WITNESSES * sizeof(*f->fakes));
    arena_destroy(f->arena);
    scratch_remove(f->directory);
    free(f);
    return 0;
}

/* --- turns -------------------------------------------------------------------------------------
 */

void fixture_turn(struct fixture *f)
{
    for (int i = 0; i < 3; i++) {
        f->shift_ns += 3 * second_ns;
        assert_int_equal(keeper_turn(f->keeper), OK);
    }
}

struct keeper_status fixture_status(struct fixture *f)
{
    struct keeper_status status;
    keeper_read_status(f->keeper, &status);
    return status;
}

void assert_state(struct fixture *f, enum keeper_state state)
{
    struct keeper_status status = fixture_status(f);
    if (status.state != state) {
        fail_msg("%s (%s), expected %s", keeper_state_name(status.state), status.detail,
                 keeper_state_name(state));
    }
}

static void trust_of(struct fixture *f, struct tlog_verifier logs[16], struct tlog_trust *out)
{
    struct keeper_keys keys;
    assert_int_equal(keeper_list_keys(f->keeper, f->arena, &keys), OK);
    assert_true(keys.log_count > 0 && keys.log_count <= 16);
    for (size_t i = 0; i < keys.log_count; i++) {
        assert_int_equal(tlog_verifier_parse(bytes_of_string(keys.logs[i]), &logs[i], NULL), OK);
    }
    out->logs = logs;
    out->log_count = keys.log_count;
}

struct keeper_checkpoint fixture_checked(struct fixture *f, uint64_t size)
{
    struct keeper_checkpoint got;
    struct tlog_checkpoint c;
    struct tlog_verifier logs[16], witnesses[FIXTURE_WITNESSES];
    struct tlog_trust trust = {
        .witnesses = witnesses, .witness_count = f->witness_count, .quorum = f->quorum};
    struct tlog_hash root;
    struct err_text why = {0};
    for (size_t i = 0; i < f->witness_count; i++) {
        witnesses[i] = f->fakes[i].verifier;
    }
    assert_int_equal(keeper_latest(f->keeper, f->arena, &got), OK);
    assert_int_equal(got.size, size);
    trust.origin = got.origin;
    trust_of(f, logs, &trust);
    if (tlog_checkpoint_open(got.note, &trust, &c, NULL, &why) != OK) {
        fail_msg("%s", why.text);
    }
    assert_int_equal(c.size, size);
    fixture_root(f->store, size, &root);
    assert_memory_equal(c.root.bytes, root.bytes, TLOG_HASH_SIZE);
    assert_memory_equal(got.root.bytes, root.bytes, TLOG_HASH_SIZE);
    return got;
}

/* --- files -------------------------------------------------------------------------------------
 */

void fixture_path(struct fixture *f, const char *name, char out[256])
{
    assert_true(snprintf(out, 256, "%s/%s", f->directory, name) < 256);
}

void fixture_copy(struct fixture *f, const char *from, const char *to)
{
    char a[256], b[256];
    struct buffer content;
    buffer_init(&content, 64 << 20);
    fixture_path(f, from, a);
    fixture_path(f, to, b);
    assert_int_equal(files_read(a, &content, NULL), OK);
    assert_int_equal(file_replace(b, 0600, buffer_bytes(&content), NULL), OK);
    buffer_finish(&content);
}

void fixture_flip(struct fixture *f, const char *name, long offset)
{
    char path[256];
    fixture_path(f, name, path);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    int c = fgetc(file);
    assert_true(c != EOF);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_equal(fputc(c ^ 1, file), c ^ 1);
    assert_int_equal(fclose(file), 0);
}

/* What the uplink reads, and what becomes of a stream that the control plane does not have as it is
 * here. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crypto/crypto.h"
#include "sidecar/audit/recorder_fixture.h"
#include "sidecar/audit/segment.h"

/* A record, unpacked; free it. */
static Chaperone__V1__Record *read_record(struct fixture *f, uint64_t sequence)
{
    struct recorder_reader *reader = NULL;
    struct recorder_batch batch;
    assert_int_equal(recorder_reader_create(f->recorder, sequence - 1, &reader), OK);
    assert_int_equal(recorder_reader_next(reader, 1, 1, &batch), OK);
    assert_int_equal(batch.sequences[0], sequence);
    Chaperone__V1__Record *r =
        chaperone__v1__record__unpack(NULL, batch.records[0].size, batch.records[0].data);
    recorder_reader_destroy(reader);
    assert_non_null(r);
    return r;
}

static Chaperone__V1__Record *read_last(struct fixture *f)
{
    return read_record(f, recorder_last_sequence(f->recorder));
}

static void count_notice(void *context)
{
    (*(int *)context)++;
}

static void notice_is_given_once_for_each_wish(void **state)
{
    struct fixture *f = *state;
    int notices = 0;
    fixture_open(f);
    recorder_on_notice(f->recorder, count_notice, &notices);
    fixture_write_many(f, 3);
    assert_int_equal(notices, 0);
    assert_true(recorder_want_notice(f->recorder, 2));
    fixture_write_many(f, 1);
    assert_int_equal(notices, 0);
    assert_false(recorder_want_notice(f->recorder, 4));
    fixture_write_many(f, 3);
    assert_int_equal(notices, 1);
}

static void reader_goes_on_while_records_are_written_and_deleted(void **state)
{
    struct fixture *f = *state;
    struct recorder_reader *reader = NULL;
    struct recorder_batch batch;
    fixture_open(f);
    assert_int_equal(recorder_reader_create(f->recorder, 0, &reader), OK);
    assert_int_equal(recorder_reader_next(reader, 256, 1 << 20, &batch), ERR_NOT_FOUND);
    uint64_t next = 1;
    for (int round = 0; round < 300; round++) {
        fixture_write_many(f, (size_t)(round % 40));
        while (recorder_reader_next(reader, 13, 1 << 20, &batch) == OK) {
            for (size_t i = 0; i < batch.count; i++) {
                assert_int_equal(batch.sequences[i], next);
                next++;
            }
            /* The batch stays readable when its file is deleted. */
            recorder_acknowledge(f->recorder, next - 1, batch.last_hash);
            uint8_t hash[SEGMENT_HASH_SIZE];
            segment_hash(batch.records[batch.count - 1], hash);
            assert_memory_equal(hash, batch.last_hash, sizeof(hash));
        }
        assert_int_equal(next, recorder_last_sequence(f->recorder) + 1);
        assert_int_equal(recorder_reader_position(reader), next - 1);
    }
    recorder_reader_destroy(reader);
    struct recorder_status status;
    recorder_status(f->recorder, &status);
    assert_true(status.used <= 3 * FIXTURE_SEGMENT);
}

static void batch_is_cut_by_bytes(void **state)
{
    struct fixture *f = *state;
    struct recorder_reader *reader = NULL;
    struct recorder_batch batch;
    fixture_open(f);
    assert_int_equal(fixture_write_intent(f, 5000, NULL), OK);
    assert_int_equal(fixture_write_intent(f, 5000, NULL), OK);
    assert_int_equal(recorder_reader_create(f->recorder, 0, &reader), OK);
    assert_int_equal(recorder_reader_next(reader, 256, 6000, &batch), OK);
    assert_int_equal(batch.count, 1);
    assert_int_equal(recorder_reader_next(reader, 256, 1, &batch), OK); /* one, however long */
    assert_int_equal(batch.count, 1);
    assert_int_equal(batch.sequences[0], 2);
    recorder_reader_destroy(reader);
}

static void continues_behind_what_the_control_plane_has(void **state)
{
    struct fixture *f = *state;
    uint8_t hash[RECORDER_HASH_SIZE];
    memset(hash, 9, sizeof(hash));
    fixture_open(f);
    fixture_write_many(f, 5);
    assert_int_equal(recorder_continue_after(f->recorder, 5, hash), ERR_EXISTS);
    assert_int_equal(recorder_continue_after(f->recorder, 40, hash), OK);
    uint64_t sequence = 0;
    assert_int_equal(fixture_write_intent(f, 1, &sequence), OK);
    assert_int_equal(sequence, 41);
    Chaperone__V1__Record *r = read_last(f);
    assert_memory_equal(r->previous.data, hash, sizeof(hash));
    chaperone__v1__record__free_unpacked(r, NULL);
    fixture_reopen(f);
    struct recorder_status status;
    recorder_status(f->recorder, &status);
    assert_int_equal(status.last, 41);
    assert_int_equal(status.lost, 0); /* the control plane has them */
}

static void loss_can_be_recorded(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    assert_int_equal(recorder_write_loss(f->recorder, 3, 9, "because"), OK);
    struct fixture_stream s = fixture_read_all(f);
    assert_int_equal(s.losses, 1);
    assert_int_equal(s.loss_first, 3);
    assert_int_equal(s.loss_last, 9);
}

/* ---- new numbers ---- */

static const uint8_t their_hash[RECORDER_HASH_SIZE] = {7, 7, 7};

/* Breaks the record with this number, whose text must be `size` bytes long and longer than others.
 */
static void damage(struct fixture *f, size_t file, size_t size)
{
    char path[512];
    char *text = malloc(size + 1);
    assert_non_null(text);
    memset(text, 's', size);
    text[size] = '\0';
    fixture_segment_path(f, file, path, sizeof(path));
    fixture_poke(path, fixture_find(path, text) + (long)size / 2, "X", 1);
    free(text);
}

/* What was committed behind a reader's back is not hashed a second time, so damage is not seen by
 * that reader; by the next one it is. The hash that goes with a batch is of what was given. */
static void fresh_records_are_given_as_they_are(void **state)
{
    struct fixture *f = *state;
    struct recorder_reader *reader = NULL, *next = NULL;
    struct recorder_batch batch;
    uint8_t hash[RECORDER_HASH_SIZE];
    fixture_open(f);
    fixture_write_many(f, 2);
    assert_int_equal(recorder_reader_create(f->recorder, 0, &reader), OK);
    fixture_write_many(f, 2);
    assert_int_equal(recorder_reader_next(reader, 100, 1 << 20, &batch), OK);
    assert_int_equal(batch.count, 4);
    assert_int_equal(recorder_find_hash(f->recorder, 4, hash), OK);
    assert_memory_equal(batch.last_hash, hash, sizeof(hash));
    assert_int_equal(fixture_write_intent(f, 555, NULL), OK); /* number 5 */
    assert_int_equal(recorder_find_hash(f->recorder, 5, hash), OK);
    damage(f, 0, 555);
    fixture_write_many(f, 1);
    assert_int_equal(recorder_reader_next(reader, 1, 1 << 20, &batch), OK);
    assert_int_equal(batch.sequences[0], 5);
    assert_memory_not_equal(batch.last_hash, hash, sizeof(hash));
    assert_int_equal(recorder_reader_create(f->recorder, 4, &next), OK);
    assert_int_equal(recorder_reader_next(next, 100, 1 << 20, &batch), OK);
    assert_int_equal(batch.count, 1);
    assert_int_equal(batch.sequences[0], 6);
    recorder_reader_destroy(reader);
    recorder_reader_destroy(next);
}

static void damage_in_the_middle_gets_a_gapless_stream(void **state)
{
    struct fixture *f = *state;
    uint8_t hash[RECORDER_HASH_SIZE];
    fixture_open(f);
    fixture_write_many(f, 10);
    assert_int_equal(fixture_write_intent(f, 555, NULL), OK); /* number 11 */
    fixture_write_many(f, 10);
    fixture_close(f);
    damage(f, 0, 555);
    fixture_open(f);
    assert_int_equal(recorder_find_hash(f->recorder, 10, hash), OK);
    assert_int_equal(recorder_joins(f->recorder, 9, hash), RECORDER_BROKEN); /* another hash */
    assert_int_equal(recorder_joins(f->recorder, 10, hash), RECORDER_BROKEN);
    assert_int_equal(recorder_rebase(f->recorder, 10, hash, 11, "the spool is damaged"), OK);
    assert_int_equal(recorder_joins(f->recorder, 10, hash), RECORDER_FOLLOWS);
    struct fixture_stream s = fixture_read_all(f);
    assert_int_equal(s.first, 11);
    assert_int_equal(s.gaps, 0);
    assert_int_equal(s.count, 11); /* the loss in the place of number 11, said once, and the rest */
    assert_int_equal(s.last, 21);
    assert_int_equal(s.losses, 1);
    Chaperone__V1__Record *r = read_record(f, 11);
    assert_int_equal(r->loss->first_sequence, 11);
    assert_int_equal(r->loss->last_sequence, 11);
    assert_string_equal(r->loss->reason, "the spool is damaged");
    chaperone__v1__record__free_unpacked(r, NULL);
    struct recorder_status status;
    recorder_status(f->recorder, &status);
    assert_int_equal(status.lost, 1); /* counted once */
    assert_int_equal(recorder_joins(f->recorder, 21, their_hash), RECORDER_NOTHING_NEW);
    fixture_write_many(f, 600); /* and on, over several files and a restart */
    fixture_reopen(f);
    s = fixture_read_all(f);
    assert_int_equal(s.first, 11);
    assert_int_equal(s.gaps, 0);
    assert_int_equal(s.count, 611);
}

static void wide_gap_is_one_loss(void **state)
{
    struct fixture *f = *state;
    char path[512];
    fixture_open(f);
    fixture_write_many(f, 500);
    fixture_close(f);
    fixture_segment_path(f, 1, path, sizeof(path));
    assert_int_equal(unlink(path), 0);
    fixture_open(f);
    struct recorder_status before;
    struct recorder_status after;
    recorder_status(f->recorder, &before);
    assert_true(before.lost > 64);
    assert_int_equal(recorder_rebase(f->recorder, 3, their_hash, 4, "the spool is damaged"), OK);
    struct fixture_stream s = fixture_read_all(f);
    assert_int_equal(s.gaps, 0);
    assert_int_equal(s.losses, 1);
    assert_int_equal(s.loss_last - s.loss_first + 1, before.lost);
    assert_int_equal(s.count, 500 - 3 - before.lost + 1);
    recorder_status(f->recorder, &after);
    assert_int_equal(after.lost, before.lost);
}

static void outcomes_keep_pointing_at_their_intents(void **state)
{
    struct fixture *f = *state;
    uint64_t intent = 0;
    fixture_open(f);
    fixture_write_many(f, 5);
    assert_int_equal(fixture_write_intent(f, 7, &intent), OK);
    Chaperone__V1__Outcome outcome = CHAPERONE__V1__OUTCOME__INIT;
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    outcome.intent_sequence = intent;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_OUTCOME;
    record.outcome = &outcome;
    atomic_fetch_add(&f->wall, 1000);
    assert_int_equal(recorder_write(f->recorder, &record, NULL), OK);
    int64_t then = atomic_load(&f->wall);
    atomic_fetch_add(&f->wall, 5000);
    assert_int_equal(recorder_rebase(f->recorder, 100, their_hash, 4, "test"), OK);
    /* 4, 5, 6 and 7 became 101 to 104. */
    Chaperone__V1__Record *r = read_record(f, 104);
    assert_int_equal(r->outcome->intent_sequence, 103);
    assert_int_equal(r->time_unix_ns, then); /* when it happened, not when it was copied */
    chaperone__v1__record__free_unpacked(r, NULL);
    r = read_record(f, 101);
    assert_memory_equal(r->previous.data, their_hash, sizeof(their_hash));
    chaperone__v1__record__free_unpacked(r, NULL);
    assert_int_equal(recorder_last_sequence(f->recorder), 104); /* nothing is missing */
}

static void heartbeats_are_signed_anew(void **state)
{
    struct fixture *f = *state;
    struct crypto_ed25519 *key = NULL;
    uint8_t raw[CRYPTO_ED25519_PUBLIC_SIZE];
    uint64_t sequence = 0;
    assert_int_equal(crypto_ed25519_generate(&key), OK);
    crypto_ed25519_public(key, raw);
    f->options.key = key;
    fixture_open(f);
    fixture_write_many(f, 3);
    assert_int_equal(recorder_write_heartbeat(f->recorder, &sequence), OK);
    assert_int_equal(recorder_rebase(f->recorder, 50, their_hash, 4, "test"), OK);
    Chaperone__V1__Record *r = read_record(f, 51);
    char message[256];
    int n = snprintf(message, sizeof(message), "chaperone heartbeat v1\n%s\n51\n", r->sidecar);
    memcpy(message + n, their_hash, sizeof(their_hash));
    assert_true(crypto_ed25519_verify(
        bytes_of(raw, sizeof(raw)), bytes_of(message, (size_t)n + sizeof(their_hash)),
        bytes_of(r->heartbeat->signature.data, r->heartbeat->signature.len)));
    chaperone__v1__record__free_unpacked(r, NULL);
    fixture_close(f);
    crypto_ed25519_destroy(key);
}

static void full_spool_gets_new_numbers_all_the_same(void **state)
{
    struct fixture *f = *state;
    uint64_t taken = 0;
    f->options.cap = (uint64_t)4 * FIXTURE_SEGMENT;
    fixture_open(f);
    while (fixture_write_intent(f, 100, NULL) == OK) {
        taken++;
    }
    assert_int_equal(recorder_rebase(f->recorder, 5000, their_hash, 1, "test"), OK);
    struct fixture_stream s = fixture_read_all(f);
    assert_int_equal(s.count, taken);
    assert_int_equal(s.first, 5001);
    assert_int_equal(s.gaps, 0);
    recorder_acknowledge(f->recorder, s.last, NULL);
    assert_int_equal(fixture_write_intent(f, 100, NULL), OK);
    struct recorder_status status;
    recorder_status(f->recorder, &status);
    assert_true(status.used <= status.cap);
}

static void failure_changes_nothing(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    fixture_write_many(f, 300);
    struct fixture_stream before = fixture_read_all(f);
    size_t files = fixture_segment_count(f);
    atomic_store(&f->sync_fails, EIO);
    assert_int_equal(recorder_rebase(f->recorder, 1000, their_hash, 1, "test"), ERR_IO);
    atomic_store(&f->sync_fails, 0);
    atomic_store(&f->allocate_fails, ENOSPC);
    assert_int_equal(recorder_rebase(f->recorder, 1000, their_hash, 1, "test"), ERR_FULL);
    atomic_store(&f->allocate_fails, 0);
    atomic_fetch_add(&f->monotonic, 1000000000);
    assert_int_equal(fixture_segment_count(f), files);
    assert_int_equal(recorder_last_sequence(f->recorder), before.last);
    fixture_write_many(f, 1);
    fixture_reopen(f);
    struct fixture_stream s = fixture_read_all(f);
    assert_int_equal(s.count, before.count + 1);
    assert_int_equal(s.last, before.last + 1);
    assert_int_equal(s.gaps, 0);
}

struct failed_waiter {
    struct recorder_waiter waiter;
    int calls;
    enum err result;
};

static void on_failed(void *context, enum err result)
{
    struct failed_waiter *w = context;
    w->calls++;
    w->result = result;
}

/* Neither as long as it lasts, nor where it begins in the middle. */
static void want_of_memory_is_no_damage(void **state)
{
    struct fixture *f = *state;
    uint8_t hash[RECORDER_HASH_SIZE];
    fixture_open(f);
    fixture_write_many(f, 300); /* several files */
    fixture_reopen(f);          /* none of them is mapped */
    assert_int_equal(recorder_find_hash(f->recorder, 10, hash), OK);
    atomic_store(&f->maps_left, 0);
    assert_int_equal(recorder_joins(f->recorder, 10, hash), RECORDER_UNREADABLE);
    assert_int_equal(recorder_find_hash(f->recorder, 10, hash), ERR_UNAVAILABLE);
    atomic_store(&f->maps_left, -1);
    assert_int_equal(recorder_joins(f->recorder, 10, hash), RECORDER_FOLLOWS);
    enum err result = ERR_UNAVAILABLE;
    int failures = 0;
    for (int n = 0; result != OK; n++, failures++) {
        atomic_store(&f->maps_left, n);
        result = recorder_rebase(f->recorder, 1000, their_hash, 1, "test");
        atomic_store(&f->maps_left, -1);
        atomic_fetch_add(&f->monotonic, 1000000000); /* another attempt to grow is allowed */
        struct fixture_stream s = fixture_read_all(f);
        assert_int_equal(s.count, 300);
        assert_int_equal(s.gaps, 0);
        assert_int_equal(s.losses, 0);
        assert_int_equal(s.first, result == OK ? 1001 : 1);
    }
    assert_true(failures > 5);
}

static void who_waits_hears_that_the_number_is_gone(void **state)
{
    struct fixture *f = *state;
    struct failed_waiter w = {.calls = 0};
    fixture_open(f);
    fixture_write_many(f, 3);
    w.waiter = (struct recorder_waiter){
        .sequence = 3, .level = DURABILITY_FLEET, .fn = on_failed, .context = &w};
    recorder_wait(f->recorder, &w.waiter);
    assert_int_equal(recorder_rebase(f->recorder, 1, their_hash, 2, "test"), OK);
    assert_int_equal(w.calls, 1);
    assert_int_equal(w.result, ERR_IO);
}

enum { RECORDS = 400, KILLS = 40 };

/* The numbers of intents of which the stream has at least one. */
static size_t count_intents(struct fixture *f, uint64_t *out_gaps)
{
    struct recorder_reader *reader = NULL;
    struct recorder_batch batch;
    struct recorder_status status;
    size_t intents = 0;
    uint64_t next;
    recorder_status(f->recorder, &status);
    next = status.acknowledged + 1;
    assert_int_equal(recorder_reader_create(f->recorder, status.acknowledged, &reader), OK);
    while (recorder_reader_next(reader, 256, 1 << 20, &batch) == OK) {
        *out_gaps += batch.sequences[0] == next ? 0 : 1;
        next = batch.sequences[batch.count - 1] + 1;
        for (size_t i = 0; i < batch.count; i++) {
            Chaperone__V1__Record *r =
                chaperone__v1__record__unpack(NULL, batch.records[i].size, batch.records[i].data);
            assert_non_null(r);
            intents += r->event_case == CHAPERONE__V1__RECORD__EVENT_INTENT ? 1 : 0;
            chaperone__v1__record__free_unpacked(r, NULL);
        }
    }
    recorder_reader_destroy(reader);
    return intents;
}

static void kill_in_the_middle_loses_nothing_and_doubles_nothing(void **state)
{
    struct fixture *f = *state;
    unsigned seed = 42;
    fixture_open(f);
    fixture_write_many(f, RECORDS);
    fixture_close(f);
    for (int i = 0; i < KILLS; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct err_text why;
            if (recorder_open(&f->options, &f->recorder, &why) != OK) {
                _exit(1);
            }
            for (;;) {
                struct recorder_status status;
                recorder_status(f->recorder, &status);
                if (recorder_rebase(f->recorder, status.acknowledged + 1000, their_hash,
                                    status.acknowledged + 1, "test") != OK) {
                    _exit(2);
                }
            }
        }
        struct timespec life = {.tv_nsec = 3000000 + rand_r(&seed) % 20000000};
        (void)nanosleep(&life, NULL);
        (void)kill(child, SIGKILL);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        uint64_t gaps = 0;
        fixture_open(f);
        assert_int_equal(count_intents(f, &gaps), RECORDS);
        assert_int_equal(gaps, 0);
        fixture_close(f);
    }
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(notice_is_given_once_for_each_wish),
        WITH_FIXTURE(reader_goes_on_while_records_are_written_and_deleted),
        WITH_FIXTURE(batch_is_cut_by_bytes),
        WITH_FIXTURE(continues_behind_what_the_control_plane_has),
        WITH_FIXTURE(loss_can_be_recorded),
        WITH_FIXTURE(fresh_records_are_given_as_they_are),
        WITH_FIXTURE(damage_in_the_middle_gets_a_gapless_stream),
        WITH_FIXTURE(wide_gap_is_one_loss),
        WITH_FIXTURE(outcomes_keep_pointing_at_their_intents),
        WITH_FIXTURE(heartbeats_are_signed_anew),
        WITH_FIXTURE(full_spool_gets_new_numbers_all_the_same),
        WITH_FIXTURE(failure_changes_nothing),
        WITH_FIXTURE(want_of_memory_is_no_damage),
        WITH_FIXTURE(who_waits_hears_that_the_number_is_gone),
        WITH_FIXTURE(kill_in_the_middle_loses_nothing_and_doubles_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

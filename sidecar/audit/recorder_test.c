/* Writing, durability, a disk that fails, heartbeats, and what the uplink reads. */
#include "sidecar/audit/recorder.h"

#include <errno.h>
#include <ev.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/crypto/crypto.h"
#include "sidecar/audit/recorder_fixture.h"
#include "sidecar/audit/segment.h"

/* The last record, unpacked; free it. */
static Chaperone__V1__Record *read_last(struct fixture *f)
{
    struct recorder_reader *reader = NULL;
    struct recorder_batch batch;
    uint64_t last = recorder_last_sequence(f->recorder);
    assert_int_equal(recorder_reader_create(f->recorder, last - 1, &reader), OK);
    assert_int_equal(recorder_reader_next(reader, 1, 1, &batch), OK);
    Chaperone__V1__Record *r =
        chaperone__v1__record__unpack(NULL, batch.records[0].size, batch.records[0].data);
    recorder_reader_destroy(reader);
    assert_non_null(r);
    return r;
}

/* ---- writing ---- */

static void fills_in_the_stream(void **state)
{
    struct fixture *f = *state;
    uint64_t sequence = 0;
    fixture_open(f);
    assert_int_equal(recorder_last_sequence(f->recorder), 0);
    assert_int_equal(fixture_write_intent(f, 10, &sequence), OK);
    assert_int_equal(sequence, 1);
    Chaperone__V1__Record *r = read_last(f);
    const uint8_t zeros[SEGMENT_HASH_SIZE] = {0};
    assert_string_equal(r->sidecar, f->options.sidecar);
    assert_int_equal(r->time_unix_ns, 1700000000000000000);
    assert_string_equal(r->session, "0193a3c2-7a1b-7cc3-98c4-dc0c0c07398f");
    assert_memory_equal(r->previous.data, zeros, sizeof(zeros));
    assert_int_equal(r->intent->text.len, 10);
    chaperone__v1__record__free_unpacked(r, NULL);
}

/* What was erased cannot be guessed from its hash: equal content has another hash each time. */
static void records_of_sessions_have_salts(void **state)
{
    enum { RECORDS = 200 }; /* more than are asked for at a time */
    struct fixture *f = *state;
    uint8_t salts[RECORDS][16];
    fixture_open(f);
    for (size_t i = 0; i < RECORDS; i++) {
        assert_int_equal(fixture_write_intent(f, 10, NULL), OK);
        Chaperone__V1__Record *r = read_last(f);
        assert_int_equal(r->salt.len, sizeof(salts[0]));
        memcpy(salts[i], r->salt.data, sizeof(salts[0]));
        chaperone__v1__record__free_unpacked(r, NULL);
        for (size_t k = 0; k < i; k++) {
            assert_memory_not_equal(salts[i], salts[k], sizeof(salts[0]));
        }
    }
    assert_int_equal(recorder_write_loss(f->recorder, 1, 1, "none of a session"), OK);
    Chaperone__V1__Record *r = read_last(f);
    assert_int_equal(r->salt.len, 0);
    chaperone__v1__record__free_unpacked(r, NULL);
}

static void time_never_goes_back(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    fixture_write_many(f, 1);
    atomic_fetch_sub(&f->wall, 3600000000000);
    fixture_write_many(f, 1);
    Chaperone__V1__Record *r = read_last(f);
    assert_int_equal(r->time_unix_ns, 1700000000000000000);
    chaperone__v1__record__free_unpacked(r, NULL);
}

static void sizes_up_to_a_whole_file(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    for (size_t size = 0; size < FIXTURE_SEGMENT / 2; size += 337) {
        assert_int_equal(fixture_write_intent(f, size, NULL), OK);
        assert_int_equal(fixture_write_outcome(f, FIXTURE_SEGMENT - 500 - size % 50, NULL), OK);
        recorder_acknowledge(f->recorder, recorder_last_sequence(f->recorder), NULL);
    }
    assert_int_equal(fixture_write_outcome(f, FIXTURE_SEGMENT, NULL), ERR_LIMIT);
    struct recorder_status status;
    recorder_status(f->recorder, &status);
    assert_int_equal(status.state, OK); /* it is the record's fault */
    assert_int_equal(fixture_write_intent(f, 1, NULL), OK);
}

/* ---- full ---- */

static void full_spool_refuses_intents_but_keeps_room_for_outcomes(void **state)
{
    struct fixture *f = *state;
    f->options.cap = (uint64_t)4 * FIXTURE_SEGMENT;
    fixture_open(f);
    enum err result = OK;
    uint64_t taken = 0;
    while ((result = fixture_write_intent(f, 100, NULL)) == OK) {
        taken++;
        assert_true(taken < 1000);
    }
    assert_int_equal(result, ERR_FULL);
    assert_false(recorder_can_write(f->recorder, 300)); /* as the one that was refused */
    struct recorder_status status;
    recorder_status(f->recorder, &status);
    assert_int_equal(status.state, ERR_FULL);
    assert_true(status.used <= status.cap);
    /* What was forwarded before can still be concluded. */
    for (int i = 0; i < 15; i++) {
        assert_int_equal(fixture_write_outcome(f, 100, NULL), OK);
    }
    /* Space again: the very next write is taken. */
    recorder_acknowledge(f->recorder, taken, NULL);
    assert_int_equal(fixture_write_intent(f, 100, NULL), OK);
    recorder_status(f->recorder, &status);
    assert_int_equal(status.state, OK);
    struct fixture_stream s = fixture_read_all(f);
    assert_int_equal(s.gaps, 0);
    assert_int_equal(s.count, 16);
}

static void full_spool_can_be_opened_and_read(void **state)
{
    struct fixture *f = *state;
    f->options.cap = (uint64_t)4 * FIXTURE_SEGMENT;
    fixture_open(f);
    uint64_t taken = 0;
    while (fixture_write_intent(f, 100, NULL) == OK) {
        taken++;
    }
    while (fixture_write_outcome(f, 1000, NULL) == OK) {
        taken++;
    }
    while (fixture_write_outcome(f, 100, NULL) == OK) {
        taken++;
    }
    fixture_reopen(f);
    assert_int_equal(recorder_last_sequence(f->recorder), taken);
    assert_int_equal(fixture_read_all(f).count, taken);
    recorder_acknowledge(f->recorder, taken, NULL);
    uint64_t sequence = 0;
    assert_int_equal(fixture_write_intent(f, 100, &sequence), OK);
    assert_int_equal(sequence, taken + 1);
}

static void disk_without_space_refuses_and_recovers(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    fixture_write_many(f, 10);
    atomic_store(&f->allocate_fails, ENOSPC);
    enum err result = OK;
    uint64_t taken = 10;
    while ((result = fixture_write_intent(f, 100, NULL)) == OK) {
        taken++;
        assert_true(taken < 1000);
    }
    assert_int_equal(result, ERR_FULL);
    assert_int_equal(fixture_write_outcome(f, 100, NULL), OK);
    atomic_store(&f->allocate_fails, 0);
    /* A file is not tried to be made again at once. */
    assert_int_equal(fixture_write_intent(f, 100, NULL), ERR_FULL);
    atomic_fetch_add(&f->monotonic, 1000000000);
    assert_int_equal(fixture_write_intent(f, 100, NULL), OK);
    struct fixture_stream s = fixture_read_all(f);
    assert_int_equal(s.count, taken + 2);
    assert_int_equal(s.gaps, 0);
}

static void disk_that_fails_to_allocate_is_an_io_error(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    atomic_store(&f->allocate_fails, EIO);
    enum err result = OK;
    for (int i = 0; result == OK && i < 1000; i++) {
        result = fixture_write_intent(f, 100, NULL);
    }
    assert_int_equal(result, ERR_IO);
}

static void spool_on_a_full_disk_opens(void **state)
{
    struct fixture *f = *state;
    atomic_store(&f->allocate_fails, ENOSPC);
    fixture_open(f);
    assert_int_equal(fixture_write_intent(f, 1, NULL), ERR_FULL);
    assert_int_equal(fixture_write_outcome(f, 1, NULL), ERR_FULL);
    atomic_store(&f->allocate_fails, 0);
    atomic_fetch_add(&f->monotonic, 1000000000);
    assert_int_equal(fixture_write_intent(f, 1, NULL), OK);
}

/* ---- durability ---- */

struct waiting {
    struct fixture *f;
    struct recorder_waiter waiter;
    struct loop *loop;
    int calls;
    enum err result;
    bool again;
};

static void on_waited(void *context, enum err result)
{
    struct waiting *w = context;
    w->calls++;
    w->result = result;
    if (w->again && w->calls < 2) {
        recorder_wait(w->f->recorder, &w->waiter);
        return;
    }
    loop_stop(w->loop);
}

static void wait_for(struct fixture *f, struct waiting *w, uint64_t sequence, enum durability level)
{
    w->f = f;
    w->loop = f->loop;
    w->waiter = (struct recorder_waiter){
        .sequence = sequence, .level = level, .fn = on_waited, .context = w};
    recorder_wait(f->recorder, &w->waiter);
    assert_int_equal(w->calls, 0); /* never from inside */
}

static void open_with_loop(struct fixture *f)
{
    assert_int_equal(loop_create(&f->loop), OK);
    fixture_open(f);
}

static void host_durability_syncs_all_that_wait_at_once(void **state)
{
    struct fixture *f = *state;
    open_with_loop(f);
    fixture_write_many(f, 100);
    assert_true(recorder_is_durable(f->recorder, 100, DURABILITY_PROCESS));
    assert_false(recorder_is_durable(f->recorder, 101, DURABILITY_PROCESS));
    assert_false(recorder_is_durable(f->recorder, 1, DURABILITY_HOST));
    struct waiting w[3] = {0};
    wait_for(f, &w[0], 50, DURABILITY_HOST);
    loop_run(f->loop);
    assert_int_equal(w[0].result, OK);
    assert_true(recorder_is_durable(f->recorder, 100, DURABILITY_HOST)); /* the whole group */
    int syncs = atomic_load(&f->syncs);
    wait_for(f, &w[1], 100, DURABILITY_HOST); /* reached already: no more syncs, called soon */
    loop_run(f->loop);
    assert_int_equal(w[1].calls, 1);
    assert_int_equal(atomic_load(&f->syncs), syncs);
    assert_false(recorder_is_durable(f->recorder, 100, DURABILITY_FLEET));
}

/* Of all files of the spool that are mapped, in KB. */
static size_t count_resident(const struct fixture *f)
{
    char line[512];
    size_t all = 0;
    size_t kb = 0;
    bool is_ours = false;
    FILE *maps = fopen("/proc/self/smaps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL) {
        if (strchr(line, '-') != NULL && strstr(line, ".spool") != NULL) {
            is_ours = strstr(line, f->dir) != NULL;
        } else if (strchr(line, '-') != NULL && strchr(line, ':') > strchr(line, ' ')) {
            is_ours = false; /* another mapping */
        } else if (is_ours && sscanf(line, "Rss: %zu kB", &kb) == 1) {
            all += kb;
        }
    }
    (void)fclose(maps);
    return all;
}

/* A file is mapped as a whole; what of it takes memory is what is written now and next. */
static void what_was_written_leaves_the_memory(void **state)
{
    enum { FILE_SIZE = 8 << 20, RESIDENT_KB = 3072, RECORD = 4000 };
    struct fixture *f = *state;
    f->options.segment_size = FILE_SIZE;
    f->options.cap = (uint64_t)4 * FILE_SIZE;
    open_with_loop(f);
    size_t count = 3 * (FILE_SIZE / RECORD) / 4;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(fixture_write_intent(f, RECORD, NULL), OK);
    }
    struct waiting w = {0};
    wait_for(f, &w, count, DURABILITY_HOST); /* the thread has been round */
    loop_run(f->loop);
    assert_int_equal(w.result, OK);
    size_t resident = count_resident(f);
    assert_true(resident > 0); /* what is next is there */
    assert_true(resident < RESIDENT_KB);
    struct recorder_reader *reader = NULL;
    struct recorder_batch batch = {0};
    assert_int_equal(recorder_reader_create(f->recorder, 0, &reader), OK);
    uint64_t read = 0;
    while (read < count && recorder_reader_next(reader, 100, FILE_SIZE, &batch) == OK) {
        read += batch.count;
        assert_true(count_resident(f) < RESIDENT_KB);
    }
    assert_int_equal(read, count);
    recorder_reader_destroy(reader);
    assert_int_equal(fixture_read_all(f).gaps, 0);
}

static void fleet_durability_comes_with_the_acknowledgement(void **state)
{
    struct fixture *f = *state;
    open_with_loop(f);
    fixture_write_many(f, 3);
    struct waiting first = {0};
    struct waiting second = {0};
    wait_for(f, &second, 3, DURABILITY_FLEET);
    wait_for(f, &first, 2, DURABILITY_FLEET);
    assert_true(recorder_is_fleet_awaited(f->recorder));
    recorder_acknowledge(f->recorder, 2, NULL);
    loop_run(f->loop);
    assert_int_equal(first.calls, 1);
    assert_int_equal(second.calls, 0);
    assert_true(recorder_is_durable(f->recorder, 2, DURABILITY_HOST)); /* the stronger one */
    recorder_cancel_wait(f->recorder, &second.waiter);
    recorder_cancel_wait(f->recorder, &second.waiter); /* harmless */
    assert_false(recorder_is_fleet_awaited(f->recorder));
    struct waiting last = {0};
    recorder_acknowledge(f->recorder, 3, NULL);
    wait_for(f, &last, 3, DURABILITY_FLEET);
    loop_run(f->loop);
    assert_int_equal(last.calls, 1);
    assert_int_equal(second.calls, 0);
}

static void failed_sync_is_told_stops_writing_and_recovers(void **state)
{
    struct fixture *f = *state;
    open_with_loop(f);
    fixture_write_many(f, 5);
    atomic_store(&f->sync_fails, EIO);
    struct waiting w = {.again = true}; /* waits again inside the callback */
    wait_for(f, &w, 5, DURABILITY_HOST);
    while (w.calls == 0) {
        (void)ev_run(loop_ev(f->loop), EVRUN_ONCE);
    }
    assert_int_equal(w.result, ERR_IO);
    struct recorder_status status;
    recorder_status(f->recorder, &status);
    assert_int_equal(status.state, ERR_IO);
    assert_int_equal(status.synced, 0);
    assert_int_equal(fixture_write_intent(f, 10, NULL), ERR_IO);
    assert_int_equal(fixture_write_outcome(f, 10, NULL), ERR_IO);
    assert_false(recorder_can_write(f->recorder, 10));
    atomic_store(&f->sync_fails, 0);
    atomic_fetch_add(&f->monotonic, 5000000000); /* the thread tries again */
    while (w.calls < 2) {
        (void)ev_run(loop_ev(f->loop), EVRUN_ONCE);
    }
    assert_int_equal(w.result, OK);
    assert_int_equal(fixture_write_intent(f, 10, NULL), OK);
    assert_int_equal(fixture_read_all(f).count, 6);
}

/* ---- heartbeats ---- */

static void check_heartbeat(const Chaperone__V1__Record *r, const struct crypto_ed25519 *key)
{
    uint8_t raw[CRYPTO_ED25519_PUBLIC_SIZE];
    uint8_t ours[CRYPTO_ED25519_PUBLIC_SIZE];
    char message[256];
    assert_int_equal(r->event_case, CHAPERONE__V1__RECORD__EVENT_HEARTBEAT);
    const ProtobufCBinaryData *der = &r->heartbeat->public_key;
    assert_int_equal(crypto_ed25519_public_from_der(bytes_of(der->data, der->len), raw), OK);
    crypto_ed25519_public(key, ours);
    assert_memory_equal(raw, ours, sizeof(raw));
    int n = snprintf(message, sizeof(message), "chaperone heartbeat v1\n%s\n%" PRIu64 "\n",
                     r->sidecar, r->sequence);
    memcpy(message + n, r->previous.data, r->previous.len);
    assert_true(crypto_ed25519_verify(
        bytes_of(raw, sizeof(raw)), bytes_of(message, (size_t)n + r->previous.len),
        bytes_of(r->heartbeat->signature.data, r->heartbeat->signature.len)));
}

static uint32_t three(void *context)
{
    (void)context;
    return 3;
}

static void heartbeat_signs_the_record_before(void **state)
{
    struct fixture *f = *state;
    struct crypto_ed25519 *key = NULL;
    assert_int_equal(crypto_ed25519_generate(&key), OK);
    f->options.key = key;
    fixture_open(f);
    recorder_count_sessions(f->recorder, three, NULL);
    fixture_write_many(f, 2);
    uint64_t sequence = 0;
    assert_int_equal(recorder_write_heartbeat(f->recorder, &sequence), OK);
    assert_int_equal(sequence, 3);
    Chaperone__V1__Record *r = read_last(f);
    check_heartbeat(r, key);
    assert_int_equal(r->heartbeat->open_sessions, 3);
    assert_string_equal(r->session, "");
    chaperone__v1__record__free_unpacked(r, NULL);
    fixture_write_many(f, 1);
    fixture_reopen(f); /* a clean end writes one, a second one without records does not */
    fixture_reopen(f);
    assert_int_equal(recorder_last_sequence(f->recorder), 5);
    r = read_last(f);
    check_heartbeat(r, key);
    chaperone__v1__record__free_unpacked(r, NULL);
    fixture_close(f);
    crypto_ed25519_destroy(key);
}

static void heartbeats_come_by_themselves(void **state)
{
    struct fixture *f = *state;
    struct crypto_ed25519 *key = NULL;
    assert_int_equal(crypto_ed25519_generate(&key), OK);
    f->options.key = key;
    f->options.heartbeat_ms = 5;
    open_with_loop(f);
    fixture_write_many(f, 1);
    while (recorder_last_sequence(f->recorder) < 4) { /* the later ones are those of an idle one */
        (void)ev_run(loop_ev(f->loop), EVRUN_ONCE);
    }
    Chaperone__V1__Record *r = read_last(f);
    check_heartbeat(r, key);
    chaperone__v1__record__free_unpacked(r, NULL);
    fixture_close(f);
    crypto_ed25519_destroy(key);
}

/* ---- options ---- */

static void options_are_checked(void **state)
{
    struct fixture *f = *state;
    struct err_text why = {.text = ""};
    f->options.cap = (uint64_t)2 * FIXTURE_SEGMENT;
    assert_int_equal(recorder_open(&f->options, &f->recorder, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "cap"));
    f->options.cap = 0;
    f->options.segment_size = 5000;
    assert_int_equal(recorder_open(&f->options, &f->recorder, &why), ERR_INVALID);
    f->options.segment_size = 0;
    f->options.sidecar = "";
    assert_int_equal(recorder_open(&f->options, &f->recorder, &why), ERR_INVALID);
    f->options.sidecar = "x";
    f->options.dir = "/proc/nowhere";
    assert_int_equal(recorder_open(&f->options, &f->recorder, &why), ERR_IO);
    assert_non_null(strstr(why.text, "/proc/nowhere"));
    assert_null(f->recorder);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(fills_in_the_stream),
        WITH_FIXTURE(records_of_sessions_have_salts),
        WITH_FIXTURE(time_never_goes_back),
        WITH_FIXTURE(sizes_up_to_a_whole_file),
        WITH_FIXTURE(full_spool_refuses_intents_but_keeps_room_for_outcomes),
        WITH_FIXTURE(full_spool_can_be_opened_and_read),
        WITH_FIXTURE(disk_without_space_refuses_and_recovers),
        WITH_FIXTURE(disk_that_fails_to_allocate_is_an_io_error),
        WITH_FIXTURE(spool_on_a_full_disk_opens),
        WITH_FIXTURE(host_durability_syncs_all_that_wait_at_once),
        WITH_FIXTURE(what_was_written_leaves_the_memory),
        WITH_FIXTURE(fleet_durability_comes_with_the_acknowledgement),
        WITH_FIXTURE(failed_sync_is_told_stops_writing_and_recovers),
        WITH_FIXTURE(heartbeat_signs_the_record_before),
        WITH_FIXTURE(heartbeats_come_by_themselves),
        WITH_FIXTURE(options_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What a spool does after it was closed, killed, cut, overwritten or robbed of a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "sidecar/audit/recorder_fixture.h"

static uint64_t lost(struct fixture *f)
{
    struct recorder_status status;
    recorder_status(f->recorder, &status);
    return status.lost;
}

static void goes_on_behind_the_last_record(void **state)
{
    struct fixture *f = *state;
    for (uint64_t round = 0; round < 20; round++) {
        fixture_open(f);
        assert_int_equal(recorder_last_sequence(f->recorder), round * 30);
        fixture_write_many(f, 30);
        fixture_close(f);
    }
    fixture_open(f);
    struct fixture_stream s = fixture_read_all(f);
    assert_int_equal(s.count, 600);
    assert_int_equal(s.gaps, 0);
    assert_int_equal(s.losses, 0);
    assert_int_equal(lost(f), 0);
}

static void restarts_without_records_need_no_more_disk(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 200; i++) {
        fixture_open(f);
        fixture_close(f);
    }
    assert_int_equal(fixture_segment_count(f), 1);
    for (int i = 0; i < 100; i++) {
        fixture_open(f);
        fixture_write_many(f, 1);
        fixture_close(f);
    }
    fixture_open(f);
    struct recorder_status status;
    recorder_status(f->recorder, &status);
    /* A hundred small files, and the one that is written and the prepared one. */
    assert_true(status.used < 100 * 600 + 2 * FIXTURE_SEGMENT);
    assert_int_equal(fixture_read_all(f).count, 100);
}

static void flipped_bit_is_a_loss(void **state)
{
    struct fixture *f = *state;
    char path[512];
    fixture_open(f);
    fixture_write_many(f, 10);
    assert_int_equal(fixture_write_intent(f, 555, NULL), OK); /* number 11, found by its text */
    fixture_write_many(f, 10);
    fixture_close(f);
    fixture_segment_path(f, 0, path, sizeof(path));
    char text[200];
    memset(text, 's', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    fixture_poke(path, fixture_find(path, text) + 100, "X", 1);
    fixture_open(f);
    struct fixture_stream s = fixture_read_all(f);
    assert_int_equal(s.count, 21); /* 20 and the loss */
    assert_int_equal(s.gaps, 1);
    assert_int_equal(s.missing, 1);
    assert_int_equal(s.losses, 1);
    assert_int_equal(s.loss_first, 11);
    assert_int_equal(s.loss_last, 11);
    assert_int_equal(s.last, 22);
    assert_int_equal(lost(f), 1);
}

static void loss_is_recorded_again_only_until_acknowledged(void **state)
{
    struct fixture *f = *state;
    char path[512];
    fixture_open(f);
    fixture_write_many(f, 10);
    assert_int_equal(fixture_write_intent(f, 555, NULL), OK);
    fixture_write_many(f, 10);
    fixture_close(f);
    fixture_segment_path(f, 0, path, sizeof(path));
    fixture_poke(path, fixture_find(path, "ssssssssssssssssssssssssssssssssssssssssssssssss") + 50,
                 "X", 1);
    fixture_open(f);
    assert_int_equal(lost(f), 1);
    recorder_acknowledge(f->recorder, recorder_last_sequence(f->recorder), NULL);
    fixture_reopen(f);
    assert_int_equal(lost(f), 0);
    assert_int_equal(fixture_read_all(f).losses, 0);
}

static void cut_file_is_a_loss_and_no_number_is_used_twice(void **state)
{
    struct fixture *f = *state;
    char path[512];
    fixture_open(f);
    fixture_write_many(f, 50);
    fixture_close(f);
    fixture_segment_path(f, 0, path, sizeof(path));
    assert_int_equal(truncate(path, 4000), 0);
    fixture_open(f);
    struct fixture_stream s = fixture_read_all(f);
    assert_int_equal(s.losses, 1);
    assert_true(s.loss_last >= 50);
    assert_true(recorder_last_sequence(f->recorder) > 50);
    assert_int_equal(s.missing, s.loss_last - s.loss_first + 1);
}

static void unreadable_header_is_a_loss_and_the_file_is_kept(void **state)
{
    struct fixture *f = *state;
    char path[512];
    fixture_open(f);
    fixture_write_many(f, 500); /* several files */
    fixture_close(f);
    assert_true(fixture_segment_count(f) > 3);
    fixture_segment_path(f, 1, path, sizeof(path));
    fixture_poke(path, 20, "garbage", 7);
    fixture_open(f);
    struct fixture_stream s = fixture_read_all(f);
    assert_int_equal(s.losses, 1);
    assert_int_equal(s.gaps, 1);
    assert_int_equal(s.missing, s.loss_last - s.loss_first + 1);
    assert_int_equal(s.count + s.missing, 501);
    char aside[600];
    struct stat status;
    char *name = strrchr(path, '/') + 1;
    (void)snprintf(aside, sizeof(aside), "%s/damaged-%s", f->dir, name);
    assert_int_equal(stat(aside, &status), 0);
}

static void unreadable_last_header_jumps_over_what_it_may_have_held(void **state)
{
    struct fixture *f = *state;
    char path[512];
    fixture_open(f);
    fixture_write_many(f, 20);
    fixture_close(f);
    fixture_segment_path(f, 0, path, sizeof(path));
    fixture_poke(path, 0, "garbage!", 8);
    fixture_open(f);
    struct fixture_stream s = fixture_read_all(f);
    assert_int_equal(s.losses, 1);
    assert_int_equal(s.loss_first, 1);
    assert_true(s.loss_last >= 20);
    assert_int_equal(s.last, s.loss_last + 1);
}

static void missing_file_is_a_loss(void **state)
{
    struct fixture *f = *state;
    char path[512];
    fixture_open(f);
    fixture_write_many(f, 500);
    fixture_close(f);
    fixture_segment_path(f, 2, path, sizeof(path));
    assert_int_equal(unlink(path), 0);
    fixture_open(f);
    struct fixture_stream s = fixture_read_all(f);
    assert_int_equal(s.losses, 1);
    assert_int_equal(s.missing, s.loss_last - s.loss_first + 1);
    assert_int_equal(s.count + s.missing, 501);
}

static void end_that_the_host_took_away_continues_behind_the_acknowledged(void **state)
{
    struct fixture *f = *state;
    char path[512];
    uint8_t hash[RECORDER_HASH_SIZE];
    fixture_open(f);
    fixture_write_many(f, 30);
    assert_int_equal(recorder_find_hash(f->recorder, 25, hash), OK);
    recorder_acknowledge(f->recorder, 25, hash);
    fixture_close(f);
    fixture_segment_path(f, 0, path, sizeof(path));
    assert_int_equal(unlink(path), 0); /* the file that held 1 to 30 never reached the disk */
    fixture_open(f);
    assert_int_equal(recorder_last_sequence(f->recorder), 25);
    uint64_t sequence = 0;
    assert_int_equal(fixture_write_intent(f, 10, &sequence), OK);
    assert_int_equal(sequence, 26);
    struct recorder_reader *reader = NULL;
    struct recorder_batch batch;
    assert_int_equal(recorder_reader_create(f->recorder, 25, &reader), OK);
    assert_int_equal(recorder_reader_next(reader, 1, 1000, &batch), OK);
    Chaperone__V1__Record *r =
        chaperone__v1__record__unpack(NULL, batch.records[0].size, batch.records[0].data);
    assert_non_null(r);
    assert_memory_equal(r->previous.data, hash, sizeof(hash));
    chaperone__v1__record__free_unpacked(r, NULL);
    recorder_reader_destroy(reader);
}

static void second_process_is_refused(void **state)
{
    struct fixture *f = *state;
    struct recorder *second = NULL;
    struct err_text why = {.text = ""};
    fixture_open(f);
    assert_int_equal(recorder_open(&f->options, &second, &why), ERR_EXISTS);
    assert_non_null(strstr(why.text, "another sidecar"));
    assert_null(second);
}

static void spool_of_another_sidecar_is_refused(void **state)
{
    struct fixture *f = *state;
    struct err_text why = {.text = ""};
    fixture_open(f);
    fixture_write_many(f, 3);
    fixture_close(f);
    f->options.sidecar = "0193a3c2-0000-7000-8000-000000000002";
    assert_int_equal(recorder_open(&f->options, &f->recorder, &why), ERR_DENIED);
    assert_non_null(strstr(why.text, "0193a3c2-0000-7000-8000-000000000001"));
    f->options.sidecar = "0193a3c2-0000-7000-8000-000000000001";
    fixture_open(f);
    assert_int_equal(fixture_read_all(f).count, 3);
}

static void files_are_for_their_owner_only(void **state)
{
    struct fixture *f = *state;
    char path[512];
    struct stat status;
    assert_int_equal(chmod(f->dir, 0755), 0);
    fixture_open(f);
    fixture_write_many(f, 3);
    assert_int_equal(stat(f->dir, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    fixture_segment_path(f, 0, path, sizeof(path));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

static void damaged_acknowledgement_ships_again(void **state)
{
    struct fixture *f = *state;
    char path[512];
    fixture_open(f);
    fixture_write_many(f, 10);
    recorder_acknowledge(f->recorder, 7, NULL);
    fixture_reopen(f);
    assert_int_equal(fixture_read_all(f).first, 8);
    fixture_close(f);
    (void)snprintf(path, sizeof(path), "%s/acknowledged", f->dir);
    fixture_poke(path, 0, "\xff\xff", 2);
    fixture_open(f);
    assert_int_equal(fixture_read_all(f).first, 1);
    assert_int_equal(lost(f), 0);
}

static void opening_without_memory_takes_nothing_for_damaged(void **state)
{
    struct fixture *f = *state;
    enum err result = ERR_NO_MEMORY;
    struct err_text why = {.text = ""};
    fixture_open(f);
    fixture_write_many(f, 300);
    fixture_close(f);
    for (int n = 0; result != OK; n++) {
        atomic_store(&f->maps_left, n);
        result = recorder_open(&f->options, &f->recorder, &why);
        if (result != OK) {
            assert_int_equal(result, ERR_NO_MEMORY);
            assert_non_null(strstr(why.text, "cannot be mapped"));
        }
    }
    atomic_store(&f->maps_left, -1);
    struct fixture_stream s = fixture_read_all(f);
    assert_int_equal(s.count, 300);
    assert_int_equal(s.gaps, 0);
    assert_int_equal(lost(f), 0);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(goes_on_behind_the_last_record),
        WITH_FIXTURE(restarts_without_records_need_no_more_disk),
        WITH_FIXTURE(flipped_bit_is_a_loss),
        WITH_FIXTURE(loss_is_recorded_again_only_until_acknowledged),
        WITH_FIXTURE(cut_file_is_a_loss_and_no_number_is_used_twice),
        WITH_FIXTURE(unreadable_header_is_a_loss_and_the_file_is_kept),
        WITH_FIXTURE(unreadable_last_header_jumps_over_what_it_may_have_held),
        WITH_FIXTURE(missing_file_is_a_loss),
        WITH_FIXTURE(end_that_the_host_took_away_continues_behind_the_acknowledged),
        WITH_FIXTURE(second_process_is_refused),
        WITH_FIXTURE(spool_of_another_sidecar_is_refused),
        WITH_FIXTURE(files_are_for_their_owner_only),
        WITH_FIXTURE(damaged_acknowledgement_ships_again),
        WITH_FIXTURE(opening_without_memory_takes_nothing_for_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The way of the records to the control plane. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/net/loop.h"
#include "sidecar/control/control_fixture.h"
#include "sidecar/control/uplink.h"

static void start(struct control_fixture *f)
{
    control_fixture_start(f);
    UNTIL(f, is_connected);
    control_fixture_open_recorder(f);
}

static void expect_whole_chain(struct control_fixture *f)
{
    assert_int_equal(f->fake.breaks, 0);
    assert_int_equal(f->fake.records, f->fake.last);
    struct control_status status;
    control_status(f->control, &status);
    assert_false(status.diverged);
}

static void ships_everything_in_order(void **state)
{
    struct control_fixture *f = *state;
    start(f);
    control_fixture_write(f, 20000);
    UNTIL(f, has_shipped_all);
    expect_whole_chain(f);
    assert_int_equal(f->fake.last, 20000);
    assert_int_equal(f->fake.duplicates, 0);
    struct recorder_status recorder;
    recorder_status(f->recorder, &recorder);
    assert_true(recorder.used <= 3 * (256 << 10)); /* what is acknowledged is deleted */
    struct control_status status;
    control_status(f->control, &status);
    assert_true(status.shipping);
    assert_int_equal(status.acknowledged, 20000);
}

static void gathers_what_is_written_soon_after(void **state)
{
    struct control_fixture *f = *state;
    start(f);
    control_fixture_write(f, 1);
    UNTIL(f, has_shipped_all);
    int before = f->fake.batches;
    int64_t begin = clock_monotonic(&f->clock);
    for (int i = 0; i < 10; i++) {
        control_fixture_write(f, 1);
    }
    int64_t took_ms = (clock_monotonic(&f->clock) - begin) / 1000000; /* where others are busy */
    UNTIL(f, has_shipped_all);
    assert_in_range(f->fake.batches - before, 1, 2 + took_ms / UPLINK_GATHER_MS);
}

static bool has_shipped_some(struct control_fixture *f)
{
    return f->fake.records > 500;
}

static void resumes_after_cuts(void **state)
{
    struct control_fixture *f = *state;
    start(f);
    for (int i = 0; i < 4; i++) {
        f->fake.records = f->fake.last; /* counts on */
        control_fixture_write(f, 3000);
        UNTIL(f, has_shipped_some);
        fake_door_cut(f->fake.door, false);
        control_fixture_write(f, 500);
    }
    UNTIL(f, has_shipped_all);
    expect_whole_chain(f);
    assert_int_equal(f->fake.last, 14000);
    assert_true(f->fake.resumes >= 2);
}

static void spools_while_it_is_away_and_ships_later(void **state)
{
    struct control_fixture *f = *state;
    start(f);
    fake_door_cut(f->fake.door, true);
    UNTIL(f, is_disconnected);
    control_fixture_write(f, 1000);
    struct control_status status;
    control_status(f->control, &status);
    assert_int_equal(status.lag, 1000);
    /* Also over a restart of the sidecar. */
    control_fixture_stop(f);
    fake_door_reopen(f->fake.door);
    f->fake.hellos = 0;
    start(f);
    control_fixture_write(f, 10);
    UNTIL(f, has_shipped_all);
    expect_whole_chain(f);
    assert_true(f->fake.last >= 1010); /* and a heartbeat */
}

static void lost_acknowledgements_ship_nothing_twice(void **state)
{
    struct control_fixture *f = *state;
    start(f);
    f->fake.no_acknowledgements = true;
    control_fixture_write(f, 600);
    UNTIL(f, has_shipped_some);
    fake_door_cut(f->fake.door, false);
    (void)pthread_mutex_lock(&f->fake.lock);
    f->fake.no_acknowledgements = false;
    (void)pthread_mutex_unlock(&f->fake.lock);
    UNTIL(f, has_shipped_all); /* Resume says what it has */
    expect_whole_chain(f);
}

struct fleet_wait {
    struct control_fixture *f;
    struct recorder_waiter waiter;
    int calls;
    enum err result;
};

static void on_fleet(void *context, enum err result)
{
    struct fleet_wait *w = context;
    w->calls++;
    w->result = result;
    loop_stop(w->f->loop);
}

static void fleet_durability_is_reached_quickly(void **state)
{
    struct control_fixture *f = *state;
    start(f);
    control_fixture_write(f, 1);
    UNTIL(f, has_shipped_all);
    int64_t shortest = INT64_MAX;
    enum { ROUNDS = 20 };
    for (int i = 0; i < ROUNDS; i++) {
        int64_t begin = clock_monotonic(&f->clock);
        control_fixture_write(f, 1);
        struct fleet_wait w = {.f = f};
        w.waiter = (struct recorder_waiter){.sequence = recorder_last_sequence(f->recorder),
                                            .level = DURABILITY_FLEET,
                                            .fn = on_fleet,
                                            .context = &w};
        recorder_wait(f->recorder, &w.waiter);
        loop_run(f->loop);
        assert_int_equal(w.calls, 1);
        assert_int_equal(w.result, OK);
        int64_t took = clock_monotonic(&f->clock) - begin;
        shortest = took < shortest ? took : shortest;
    }
    /* Without haste not one could be before its batch is gathered. */
    assert_true(shortest < UPLINK_GATHER_MS * 1000000LL);
}

static bool has_resumed_twice(struct control_fixture *f)
{
    return f->fake.resumes >= 2;
}

static void acknowledgement_of_the_unsent_is_not_believed(void **state)
{
    struct control_fixture *f = *state;
    start(f);
    f->fake.wild_acknowledgements = true;
    control_fixture_write(f, 10);
    UNTIL(f, has_resumed_twice);
    struct recorder_status status;
    recorder_status(f->recorder, &status);
    assert_true(status.acknowledged <= 10); /* by Resume, for those it really has */
    f->fake.wild_acknowledgements = false;
    control_fixture_write(f, 10);
    UNTIL(f, has_shipped_all);
    expect_whole_chain(f);
}

static bool has_twelve(struct control_fixture *f)
{
    return f->fake.last >= 12;
}

static void goes_on_behind_what_only_the_control_plane_has(void **state)
{
    struct control_fixture *f = *state;
    /* Eleven records of this sidecar came over before its host went down without syncing them. */
    f->fake.last = 11;
    f->fake.records = 11;
    memset(f->fake.last_hash, 5, FAKE_HASH);
    start(f);
    UNTIL(f, has_shipped_all);
    control_fixture_write(f, 1);
    UNTIL(f, has_twelve);
    expect_whole_chain(f);
}

static bool has_loss(struct control_fixture *f)
{
    return f->fake.losses > 0;
}

static bool has_diverged(struct control_fixture *f)
{
    struct control_status status;
    control_status(f->control, &status);
    return status.diverged;
}

static void other_records_under_our_numbers_are_shown(void **state)
{
    struct control_fixture *f = *state;
    start(f);
    control_fixture_write(f, 10);
    UNTIL(f, has_shipped_all);
    fake_door_cut(f->fake.door, true);
    UNTIL(f, is_disconnected);
    control_fixture_write(f, 10);
    /* The control plane was restored from somewhere else. */
    f->fake.last = 15;
    memset(f->fake.last_hash, 6, FAKE_HASH);
    fake_door_reopen(f->fake.door);
    UNTIL(f, has_diverged);
    UNTIL(f, has_loss);
    UNTIL(f, has_shipped_all);
    /* What it never had arrives under new numbers, in a stream that it can follow. */
    assert_int_equal(f->fake.breaks, 0);
    assert_int_equal(f->fake.intents, 20);
    control_fixture_write(f, 10);
    UNTIL(f, has_shipped_all);
    assert_int_equal(f->fake.intents, 30);
}

static bool has_identity(struct control_fixture *f)
{
    return f->enrolled > 1;
}

static void control_plane_that_forgot_is_shown(void **state)
{
    struct control_fixture *f = *state;
    start(f);
    control_fixture_write(f, 4000); /* more than one file, so that some are deleted */
    UNTIL(f, has_shipped_all);
    fake_door_cut(f->fake.door, true);
    UNTIL(f, is_disconnected);
    f->fake.last = 0;
    memset(f->fake.last_hash, 0, FAKE_HASH);
    fake_door_reopen(f->fake.door);
    UNTIL(f, has_diverged);
    UNTIL(f, has_loss);
    UNTIL(f, has_shipped_all);
    uint64_t before = f->fake.intents;
    control_fixture_write(f, 10);
    UNTIL(f, has_shipped_all);
    assert_int_equal(f->fake.intents, before + 10);
    assert_int_equal(f->fake.breaks, 0);
}

static bool has_all_intents(struct control_fixture *f)
{
    return f->fake.intents >= 25;
}

static void what_was_written_before_it_was_asked_is_not_lost(void **state)
{
    struct control_fixture *f = *state;
    start(f);
    control_fixture_write(f, 20);
    UNTIL(f, has_shipped_all);
    control_fixture_stop(f); /* writes a heartbeat, 21, which is not shipped */
    /* As if more had come over before the host lost the end of the spool. */
    f->fake.last = 30;
    memset(f->fake.last_hash, 8, FAKE_HASH);
    f->fake.hellos = 0;
    fake_door_cut(f->fake.door, true);
    control_fixture_start(f);
    UNTIL(f, has_identity);
    control_fixture_open_recorder(f);
    control_fixture_write(f, 5); /* under numbers that the control plane has already */
    fake_door_reopen(f->fake.door);
    UNTIL(f, has_all_intents);
    UNTIL(f, has_shipped_all);
    assert_int_equal(f->fake.intents, 25);
    assert_int_equal(f->fake.losses, 0); /* nothing is lost: the control plane has the rest */
    assert_int_equal(f->fake.breaks, 0);
    assert_false(has_diverged(f)); /* the control plane is not to blame */
}

static void damage_loses_only_what_is_damaged(void **state)
{
    struct control_fixture *f = *state;
    char path[512];
    start(f);
    fake_door_cut(f->fake.door, true);
    UNTIL(f, is_disconnected);
    control_fixture_write(f, 100);
    control_fixture_stop(f);
    (void)snprintf(path, sizeof(path), "%s/segment-0000000000-00000000000000000001.spool",
                   f->spool_dir);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 8000, SEEK_SET), 0);
    assert_int_equal(fputc(0xee, file), 0xee);
    assert_int_equal(fclose(file), 0);
    f->fake.hellos = 0;
    fake_door_reopen(f->fake.door);
    start(f);
    UNTIL(f, has_loss);
    UNTIL(f, has_shipped_all);
    assert_int_equal(f->fake.intents, 99);
    assert_int_equal(f->fake.losses, 1);
    assert_int_equal(f->fake.breaks, 0);
}

static bool has_tried_to_read(struct control_fixture *f)
{
    return atomic_load(&f->maps_failed) >= 2;
}

static void what_cannot_be_mapped_now_is_shipped_later(void **state)
{
    struct control_fixture *f = *state;
    start(f);
    fake_door_cut(f->fake.door, true);
    UNTIL(f, is_disconnected);
    control_fixture_write(f, 4000); /* several files, of which one is mapped */
    atomic_store(&f->map_fails, true);
    fake_door_reopen(f->fake.door);
    UNTIL(f, has_tried_to_read);
    atomic_store(&f->map_fails, false);
    UNTIL(f, has_shipped_all);
    expect_whole_chain(f);
    assert_int_equal(f->fake.losses, 0);
    assert_int_equal(f->fake.intents, 4000);
}

static void ships_on_over_a_renewed_certificate(void **state)
{
    struct control_fixture *f = *state;
    uint64_t written = 0;
    bool is_renewed = false;
    f->fake.lifetime_s = 6;
    start(f);
    while (!is_renewed) {
        control_fixture_write(f, 100);
        written += 100;
        control_fixture_run_ms(f, 50);
        (void)pthread_mutex_lock(&f->fake.lock);
        is_renewed = f->fake.renewed > 0;
        (void)pthread_mutex_unlock(&f->fake.lock);
    }
    control_fixture_write(f, 100);
    UNTIL(f, has_shipped_all);
    expect_whole_chain(f);
    assert_true(f->fake.last >= written + 100);
}

static void can_be_stopped_while_shipping(void **state)
{
    struct control_fixture *f = *state;
    for (int i = 0; i < 10; i++) {
        f->fake.hellos = 0;
        start(f);
        control_fixture_write(f, 2000);
        control_fixture_run_ms(f, i * 4);
        control_fixture_stop(f);
    }
    f->fake.hellos = 0;
    start(f);
    UNTIL(f, has_shipped_all);
    expect_whole_chain(f);
    assert_true(f->fake.last >= 20000);
}

#define WITH_FIXTURE(test)                                                                         \
    cmocka_unit_test_setup_teardown(test, control_fixture_setup, control_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(ships_everything_in_order),
        WITH_FIXTURE(gathers_what_is_written_soon_after),
        WITH_FIXTURE(resumes_after_cuts),
        WITH_FIXTURE(spools_while_it_is_away_and_ships_later),
        WITH_FIXTURE(lost_acknowledgements_ship_nothing_twice),
        WITH_FIXTURE(fleet_durability_is_reached_quickly),
        WITH_FIXTURE(acknowledgement_of_the_unsent_is_not_believed),
        WITH_FIXTURE(goes_on_behind_what_only_the_control_plane_has),
        WITH_FIXTURE(other_records_under_our_numbers_are_shown),
        WITH_FIXTURE(control_plane_that_forgot_is_shown),
        WITH_FIXTURE(what_was_written_before_it_was_asked_is_not_lost),
        WITH_FIXTURE(damage_loses_only_what_is_damaged),
        WITH_FIXTURE(what_cannot_be_mapped_now_is_shipped_later),
        WITH_FIXTURE(ships_on_over_a_renewed_certificate),
        WITH_FIXTURE(can_be_stopped_while_shipping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/audit/fixture.h"
#include "controlplane/watch/watch.h"

static const int64_t second_ns = INT64_C(1000000000);

/* A store with a stream, and the watch over it, with a clock that the test moves. */
struct world {
    struct test *t;
    int64_t now_ns;
    struct clock clock;
    int fd;
    struct log log;
    struct journal *journal;
    struct findings *findings;
    struct watch_state *watch;
    struct arrivals *arrivals; /* NULL: the watch reads all records */
    bool is_connected;
    int stops_in; /* so many looks at the clock; 0: never */
    bool notes_cursor;
    uint64_t cursor; /* the first one that a look at the clock has seen in the store */
    char found[4096];
};

static void note_cursor(struct world *w)
{
    uint64_t cursor = 0;
    assert_int_equal(store_cursor_get(w->t->store, "watch", &cursor), OK);
    w->cursor = w->cursor == 0 ? cursor : w->cursor;
}

static int64_t clock_of_world(void *context)
{
    struct world *w = context;
    if (w->stops_in > 0 && --w->stops_in == 0) {
        watch_state_stop(w->watch);
    }
    if (w->notes_cursor) {
        note_cursor(w);
    }
    return w->now_ns;
}

static bool is_connected(void *context, const char *sidecar)
{
    return ((struct world *)context)->is_connected && strcmp(sidecar, "s1") == 0;
}

static void begin(struct world *w)
{
    const struct journal_options journal = {.store = w->t->store, .clock = w->clock};
    w->journal = journal_create(&journal);
    assert_non_null(w->journal);
    const struct findings_options findings = {
        .store = w->t->store, .journal = w->journal, .clock = w->clock, .log = &w->log};
    assert_int_equal(findings_create(&findings, &w->findings), OK);
    const struct watch_options watch = {.store = w->t->store,
                                        .findings = w->findings,
                                        .clock = w->clock,
                                        .log = &w->log,
                                        .arrivals = w->arrivals,
                                        .silent_after_ns = 120 * second_ns,
                                        .lost_after_ns = 600 * second_ns,
                                        .is_connected = is_connected,
                                        .context = w};
    assert_int_equal(watch_state_create(&watch, &w->watch), OK);
}

static void end(struct world *w)
{
    watch_state_destroy(w->watch);
    findings_destroy(w->findings);
    journal_destroy(w->journal);
}

/* *state: NULL, or anything: beside an ingest that says what it has seen. */
static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    bool is_told = *state != NULL;
    assert_non_null(w);
    assert_int_equal(fixture_setup((void **)&w->t), 0);
    w->now_ns = fixture_received_ns;
    w->clock =
        (struct clock){.wall_ns = clock_of_world, .monotonic_ns = clock_of_world, .context = w};
    w->t->ingest.clock = w->clock;
    if (is_told) {
        w->arrivals = arrivals_create();
        assert_non_null(w->arrivals);
        w->t->ingest.arrivals = w->arrivals;
    }
    w->t->maker.time_ns = w->now_ns;
    w->log = (struct log){.fd = 2, .level = LOG_ERROR + 1, .clock = w->clock};
    begin(w);
    assert_int_equal(watch_state_round(w->watch), OK); /* from here on it watches */
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    end(w);
    arrivals_destroy(w->arrivals);
    assert_int_equal(fixture_teardown((void **)&w->t), 0);
    free(w);
    return 0;
}

static void restart(struct world *w)
{
    end(w);
    begin(w);
}

static void ship(struct world *w, ProtobufCBinaryData record)
{
    fixture_ship_ok(w->t, &record, 1);
}

static void open_session(struct world *w, const char *session)
{
    ship(w,
         stream_maker_opened(&w->t->maker, session, "alice", "db1", CHAPERONE__V1__VERDICT__ALLOW));
}

static void intend(struct world *w, const char *session)
{
    ship(w, stream_maker_intent(&w->t->maker, session, "DELETE FROM orders", "orders",
                                CHAPERONE__V1__VERDICT__ALLOW));
}

/* Of a session that is new: it has no outcome. */
static void begin_operation(struct world *w, const char *session)
{
    open_session(w, session);
    intend(w, session);
}

static void hang_up(struct world *w, const char *session)
{
    ship(w, stream_maker_closed(&w->t->maker, session, "agent_disconnected"));
}

/* What the sidecar says of records that it has lost. Valid as long as the arena of its maker. */
static ProtobufCBinaryData loss_of_3_to_7(struct world *w)
{
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Loss loss = CHAPERONE__V1__LOSS__INIT;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_LOSS;
    record.loss = &loss;
    loss.first_sequence = 3;
    loss.last_sequence = 7;
    return stream_maker_add(&w->t->maker, &record);
}

static void beat(struct world *w, uint32_t open_sessions)
{
    w->t->maker.open_sessions = open_sessions;
    ship(w, stream_maker_heartbeat(&w->t->maker));
}

static void pass(struct world *w, int64_t seconds)
{
    w->now_ns += seconds * second_ns;
    assert_int_equal(watch_state_round(w->watch), OK);
}

/* "silent s1 - 2-2\n": all findings that are recorded, in their order. */
static const char *found(struct world *w)
{
    const struct store_audit_filter filter = {.kinds = store_kind_bit(STORE_FINDING)};
    struct store_audit_entry *items = NULL;
    size_t count = 0, used = 0;
    bool more = false;
    w->found[0] = '\0';
    assert_int_equal(store_audit_page(w->t->store, &filter, INT64_MIN, 100, SIZE_MAX, w->t->arena,
                                      &items, &count, &more, NULL),
                     OK);
    for (size_t i = 0; i < count; i++) {
        Chaperone__V1__Record *r =
            chaperone__v1__record__unpack(NULL, items[i].canonical.size, items[i].canonical.data);
        assert_non_null(r);
        used += (size_t)snprintf(w->found + used, sizeof(w->found) - used, "%s %s %s %d-%d\n",
                                 r->finding->kind, r->finding->sidecar,
                                 r->session[0] == '\0' ? "-" : r->session,
                                 (int)r->finding->first_sequence, (int)r->finding->last_sequence);
        chaperone__v1__record__free_unpacked(r, NULL);
    }
    return w->found;
}

static void test_a_whole_session_is_no_finding(void **state)
{
    struct world *w = *state;
    begin_operation(w, "A");
    ship(w, stream_maker_outcome(&w->t->maker, "A", 1));
    hang_up(w, "A");
    beat(w, 0);
    pass(w, 10);
    pass(w, 100000); /* it rests as long as it likes */
    assert_string_equal(found(w), "");
}

static void test_a_sidecar_that_never_comes_back(void **state)
{
    struct world *w = *state;
    begin_operation(w, "A");
    beat(w, 1);
    pass(w, 100);
    assert_string_equal(found(w), "");
    pass(w, 30);
    assert_string_equal(found(w), "silent s1 - 3-3\n");
    pass(w, 500);
    assert_string_equal(found(w), "silent s1 - 3-3\nno_outcome s1 A 2-2\nno_end s1 A 2-2\n");
    pass(w, 5000);
    restart(w);
    pass(w, 10);
    pass(w, 5000);
    assert_string_equal(found(w), "silent s1 - 3-3\nno_outcome s1 A 2-2\nno_end s1 A 2-2\n");
}

static enum err write_revocation(void *context, const struct store_audit_write *audit)
{
    struct world *w = context;
    struct store_audit_last last;
    assert_int_equal(store_audit_last(w->t->store, "s1", &last), OK);
    const struct store_revocation revocation = {.sidecar = "s1",
                                                .by = "root",
                                                .reason = "stolen",
                                                .now_ns = w->now_ns,
                                                .last_sequence = last.sequence,
                                                .audit = audit};
    return store_sidecar_revoke(w->t->store, &revocation);
}

static void revoke(struct world *w)
{
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    const struct journal_entry entry = {.action = &action};
    action.action = "sidecar_revoke";
    action.object = "sidecar s1";
    assert_int_equal(journal_append_with(w->journal, &entry, 1, write_revocation, w, NULL), OK);
}

/* Nothing of it is missing: its record says where it ends. */
static void test_a_sidecar_that_was_revoked(void **state)
{
    struct world *w = *state;
    open_session(w, "A");
    begin_operation(w, "A");
    beat(w, 1);
    pass(w, 0);
    revoke(w);
    pass(w, 121);
    pass(w, 600);
    assert_string_equal(found(w), "");
    restart(w);
    pass(w, 1200);
    assert_string_equal(found(w), "");
}

static void test_a_sidecar_that_died_and_came_back(void **state)
{
    struct world *w = *state;
    begin_operation(w, "A");
    pass(w, 10);
    beat(w, 0); /* the new process has no sessions */
    open_session(w, "B");
    pass(w, 10);
    assert_string_equal(found(w), "no_outcome s1 A 2-2\nno_end s1 A 2-2\n");
}

static void test_what_happened_while_nobody_watched(void **state)
{
    struct world *w = *state;
    begin_operation(w, "A");
    pass(w, 10);
    end(w);
    beat(w, 0);
    begin(w);
    pass(w, 1);
    assert_string_equal(found(w), "no_outcome s1 A 2-2\nno_end s1 A 2-2\n");
}

static void test_an_end_does_not_hide_an_operation(void **state)
{
    struct world *w = *state;
    begin_operation(w, "A");
    hang_up(w, "A");
    beat(w, 0);
    pass(w, 1);
    assert_string_equal(found(w), "no_outcome s1 A 2-2\n");
}

static void test_a_restart_is_no_silence(void **state)
{
    struct world *w = *state;
    open_session(w, "A");
    beat(w, 1);
    pass(w, 1);
    beat(w, 1); /* which was not looked at any more */
    end(w);
    w->now_ns += 3600 * second_ns; /* nobody could have heard it */
    begin(w);
    pass(w, 0);
    pass(w, 100);
    assert_string_equal(found(w), "");
    beat(w, 1);
    pass(w, 100);
    assert_string_equal(found(w), "");
}

static void test_each_silence_is_one(void **state)
{
    struct world *w = *state;
    open_session(w, "A");
    beat(w, 1);
    pass(w, 1);
    pass(w, 200);
    pass(w, 200);
    beat(w, 1);
    pass(w, 1);
    pass(w, 200);
    assert_string_equal(found(w), "silent s1 - 2-2\nsilent s1 - 3-3\n");
}

/* A recorder that hangs while its connection lives. */
static void test_who_is_connected_has_to_be_heard(void **state)
{
    struct world *w = *state;
    w->is_connected = true;
    beat(w, 0);
    pass(w, 1);
    pass(w, 110);
    assert_string_equal(found(w), "");
    pass(w, 20);
    assert_string_equal(found(w), "silent s1 - 1-1\n");
}

/* Much work, and a loss in the middle of it, which must not be passed over with it. */
static void test_what_stands_among_much_work(void **state)
{
    enum { WORK = 50 };
    struct world *w = *state;
    struct stream_maker *m = &w->t->maker;
    ProtobufCBinaryData records[2 * WORK + 1];
    open_session(w, "A");
    pass(w, 1);
    for (int part = 0; part < 2; part++) {
        for (size_t i = 0; i < WORK; i++) {
            bool is_late = i > WORK / 2;
            records[2 * i + is_late] =
                stream_maker_intent(m, "A", "SELECT 1", NULL, CHAPERONE__V1__VERDICT__ALLOW);
            records[2 * i + 1 + is_late] = stream_maker_outcome(m, "A", 1);
            if (i == WORK / 2) {
                records[2 * i + 2] = loss_of_3_to_7(w);
            }
        }
        fixture_ship_ok(w->t, records, sizeof(records) / sizeof(records[0]));
    }
    hang_up(w, "A");
    begin_operation(w, "B");
    hang_up(w, "B");
    pass(w, 1);
    /* The same loss is one finding. */
    assert_string_equal(found(w), "loss s1 - 3-7\nno_outcome s1 B 206-206\n");
}

/* Wherever that is, the next one goes on, and finds each once. */
static void test_a_round_that_is_told_to_stop(void **state)
{
    enum { SESSIONS = 3, LOOKS = 10 };
    struct world *w = *state;
    char expected[4096] = "";
    size_t used = 0;
    for (int looks = 1, record = 1; looks <= LOOKS; looks++) {
        for (int i = 0; i < SESSIONS; i++, record += 3) {
            char session[32];
            (void)snprintf(session, sizeof(session), "%d-%d", looks, i);
            begin_operation(w, session);
            hang_up(w, session);
            used += (size_t)snprintf(expected + used, sizeof(expected) - used,
                                     "no_outcome s1 %s %d-%d\n", session, record + 1, record + 1);
        }
        w->stops_in = looks;
        pass(w, 1);
        w->stops_in = 0;
        restart(w);
        pass(w, 1);
        assert_string_equal(found(w), expected);
    }
}

/* One that dies again and again before it has read all gets on nevertheless. */
static void test_a_long_round_is_saved_on_its_way(void **state)
{
    enum { BATCH = 100, BATCHES = 30 };
    struct world *w = *state;
    ProtobufCBinaryData records[BATCH];
    arrivals_destroy(w->arrivals); /* as of records that came another way */
    w->arrivals = w->t->ingest.arrivals = NULL;
    restart(w);
    for (int batch = 0; batch < BATCHES; batch++) {
        for (size_t i = 0; i < BATCH; i += 2) {
            char session[32];
            (void)snprintf(session, sizeof(session), "%d-%zu", batch, i);
            records[i] = stream_maker_opened(&w->t->maker, session, "alice", "db1",
                                             CHAPERONE__V1__VERDICT__ALLOW);
            records[i + 1] = stream_maker_closed(&w->t->maker, session, "agent_disconnected");
        }
        fixture_ship_ok(w->t, records, BATCH);
    }
    w->notes_cursor = true;
    pass(w, 1);
    w->notes_cursor = false;
    assert_in_range(w->cursor, BATCH * BATCHES / 2, BATCH * BATCHES - 1);
}

/* Not even what is there already is read. */
static void test_a_round_after_the_stop(void **state)
{
    struct world *w = *state;
    begin_operation(w, "A");
    hang_up(w, "A");
    watch_state_stop(w->watch);
    pass(w, 1);
    assert_string_equal(found(w), "");
    restart(w);
    pass(w, 1);
    assert_string_equal(found(w), "no_outcome s1 A 2-2\n");
}

static void test_a_loss_is_a_finding(void **state)
{
    struct world *w = *state;
    ship(w, loss_of_3_to_7(w));
    pass(w, 1);
    assert_string_equal(found(w), "loss s1 - 3-7\n");
}

static void test_findings_are_recorded_once(void **state)
{
    struct world *w = *state;
    const struct finding one = {
        .kind = "gap", .sidecar = "s1", .first = 3, .last = 4, .detail = "missing"};
    uint64_t count = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(findings_record(w->findings, &one), OK);
    }
    restart(w);
    assert_int_equal(findings_record(w->findings, &one), OK);
    assert_string_equal(found(w), "gap s1 - 3-4\n");
    assert_int_equal(findings_count(w->findings, w->now_ns - second_ns, &count), OK);
    assert_int_equal(count, 1);
    assert_int_equal(findings_count(w->findings, w->now_ns + second_ns, &count), OK);
    assert_int_equal(count, 0);
}

/* One control plane does not repeat what another one on the store has recorded. */
static void test_two_control_planes_record_once(void **state)
{
    struct world *w = *state;
    const struct finding one = {.kind = "gap", .sidecar = "s1", .first = 3, .detail = ""};
    const struct journal_options journal = {.store = w->t->store, .clock = w->clock};
    struct findings_options with = {
        .store = w->t->store, .clock = w->clock, .log = &w->log, .journal = NULL};
    struct findings *other = NULL;
    with.journal = journal_create(&journal);
    assert_int_equal(findings_create(&with, &other), OK);
    assert_int_equal(findings_record(w->findings, &one), OK);
    w->now_ns += second_ns;
    assert_int_equal(findings_record(other, &one), OK);
    assert_string_equal(found(w), "gap s1 - 3-0\n");
    findings_destroy(other);
    journal_destroy(with.journal);
}

static void test_nonsense_does_not_fill_the_log(void **state)
{
    struct world *w = *state;
    uint64_t count = 0;
    for (uint64_t i = 1; i <= 1000; i++) {
        const struct finding one = {
            .kind = "rewritten", .sidecar = "s1", .first = i, .last = i, .detail = ""};
        assert_int_equal(findings_record(w->findings, &one), OK);
    }
    const struct finding other = {.kind = "rewritten", .sidecar = "s2", .first = 1, .detail = ""};
    assert_int_equal(findings_record(w->findings, &other), OK);
    assert_int_equal(findings_count(w->findings, 0, &count), OK);
    assert_int_equal(count, FINDINGS_HOURLY_MAX + 1);
}

#define TEST(name)                                                                                 \
    cmocka_unit_test_prestate_setup_teardown(name, setup, teardown, NULL),                         \
        cmocka_unit_test_prestate_setup_teardown(name, setup, teardown, told)

int main(void)
{
    static char told[] = "told";
    const struct CMUnitTest tests[] = {
        TEST(test_a_whole_session_is_no_finding),
        TEST(test_a_sidecar_that_never_comes_back),
        TEST(test_a_sidecar_that_was_revoked),
        TEST(test_a_sidecar_that_died_and_came_back),
        TEST(test_what_happened_while_nobody_watched),
        TEST(test_an_end_does_not_hide_an_operation),
        TEST(test_a_restart_is_no_silence),
        TEST(test_each_silence_is_one),
        TEST(test_who_is_connected_has_to_be_heard),
        TEST(test_what_stands_among_much_work),
        TEST(test_a_round_that_is_told_to_stop),
        TEST(test_a_round_after_the_stop),
        TEST(test_a_long_round_is_saved_on_its_way),
        TEST(test_a_loss_is_a_finding),
        TEST(test_findings_are_recorded_once),
        TEST(test_two_control_planes_record_once),
        TEST(test_nonsense_does_not_fill_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "completeness/completeness.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "api/audit.pb-c.h"
#include "base/crypto/crypto.h"

enum { RECORDS_MAX = 1024, SECOND = 1000000000 };
static const int64_t start_ns = INT64_C(1800000000) * SECOND;

/* A stream as a sidecar writes it; a test may leave out or change what it likes. */
struct stream {
    struct buffer records[RECORDS_MAX];
    size_t count;
    uint8_t previous[CRYPTO_SHA256_SIZE];
    uint64_t sequence;
    int64_t time_ns;
    struct crypto_ed25519 *key;
    char said[4096]; /* the findings */
};

static enum err on_finding(void *context, const struct completeness_finding *f)
{
    struct stream *s = context;
    size_t used = strlen(s->said);
    (void)snprintf(
        s->said + used, sizeof(s->said) - used, "%s %s %s %" PRIu64 "-%" PRIu64 " op %" PRIu64 "\n",
        completeness_kind_name(f->kind), f->sidecar, f->session, f->first, f->last, f->operation);
    return OK;
}

static void put(struct stream *s, Chaperone__V1__Record *r, const char *session)
{
    static const uint8_t leaf = 0;
    struct crypto_sha256 hash;
    struct buffer *b = &s->records[s->count++];
    r->sidecar = (char *)"s1";
    r->sequence = ++s->sequence;
    r->previous = (ProtobufCBinaryData){.data = s->previous, .len = sizeof(s->previous)};
    r->time_unix_ns = s->time_ns += SECOND;
    r->session = (char *)(uintptr_t)session;
    buffer_init(b, 1 << 16);
    size_t size = chaperone__v1__record__get_packed_size(r);
    uint8_t *room = buffer_reserve(b, size);
    assert_non_null(room);
    buffer_commit(b, chaperone__v1__record__pack(r, room));
    crypto_sha256_init(&hash);
    crypto_sha256_update(&hash, bytes_of(&leaf, 1));
    crypto_sha256_update(&hash, buffer_bytes(b));
    crypto_sha256_finish(&hash, s->previous);
}

static void put_opened(struct stream *s, const char *session, Chaperone__V1__Verdict verdict)
{
    Chaperone__V1__SessionOpened opened = CHAPERONE__V1__SESSION_OPENED__INIT;
    Chaperone__V1__Record r = CHAPERONE__V1__RECORD__INIT;
    opened.verdict = verdict;
    r.event_case = CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED;
    r.session_opened = &opened;
    put(s, &r, session);
}

static void put_closed(struct stream *s, const char *session)
{
    Chaperone__V1__SessionClosed closed = CHAPERONE__V1__SESSION_CLOSED__INIT;
    Chaperone__V1__Record r = CHAPERONE__V1__RECORD__INIT;
    r.event_case = CHAPERONE__V1__RECORD__EVENT_SESSION_CLOSED;
    r.session_closed = &closed;
    put(s, &r, session);
}

static void put_intent(struct stream *s, const char *session, uint64_t operation,
                       Chaperone__V1__Verdict verdict)
{
    Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
    Chaperone__V1__Record r = CHAPERONE__V1__RECORD__INIT;
    intent.operation = operation;
    intent.verdict = verdict;
    if (verdict == CHAPERONE__V1__VERDICT__HOLD) {
        intent.approval = (char *)"0192"; /* that is asked for, not yet given */
    }
    r.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    r.intent = &intent;
    put(s, &r, session);
}

static void put_approval(struct stream *s, const char *session, uint64_t operation,
                         const char *state)
{
    Chaperone__V1__Approval approval = CHAPERONE__V1__APPROVAL__INIT;
    Chaperone__V1__Record r = CHAPERONE__V1__RECORD__INIT;
    approval.operation = operation;
    approval.state = (char *)(uintptr_t)state;
    r.event_case = CHAPERONE__V1__RECORD__EVENT_APPROVAL;
    r.approval = &approval;
    put(s, &r, session);
}

static void put_outcome(struct stream *s, const char *session, uint64_t operation)
{
    Chaperone__V1__Outcome outcome = CHAPERONE__V1__OUTCOME__INIT;
    Chaperone__V1__Record r = CHAPERONE__V1__RECORD__INIT;
    outcome.operation = operation;
    outcome.status = CHAPERONE__V1__STATUS__SUCCESS;
    r.event_case = CHAPERONE__V1__RECORD__EVENT_OUTCOME;
    r.outcome = &outcome;
    put(s, &r, session);
}

static void put_loss(struct stream *s, uint64_t first, uint64_t last)
{
    Chaperone__V1__Loss loss = CHAPERONE__V1__LOSS__INIT;
    Chaperone__V1__Record r = CHAPERONE__V1__RECORD__INIT;
    loss.first_sequence = first;
    loss.last_sequence = last;
    r.event_case = CHAPERONE__V1__RECORD__EVENT_LOSS;
    r.loss = &loss;
    put(s, &r, "");
}

static void put_heartbeat(struct stream *s, uint32_t open, bool is_forged)
{
    Chaperone__V1__Heartbeat beat = CHAPERONE__V1__HEARTBEAT__INIT;
    Chaperone__V1__Record r = CHAPERONE__V1__RECORD__INIT;
    uint8_t message[256], signature[CRYPTO_ED25519_SIGNATURE_SIZE];
    uint8_t key[CRYPTO_ED25519_PUBLIC_SIZE], der[CRYPTO_ED25519_DER_SIZE];
    int length = snprintf((char *)message, sizeof(message),
                          "chaperone heartbeat v1\ns1\n%" PRIu64 "\n", s->sequence + 1);
    memcpy(message + length, s->previous, sizeof(s->previous));
    crypto_ed25519_public(s->key, key);
    assert_int_equal(crypto_ed25519_public_to_der(key, der), OK);
    assert_int_equal(crypto_ed25519_sign(s->key,
                                         bytes_of(message, (size_t)length + sizeof(s->previous)),
                                         signature),
                     OK);
    signature[5] ^= is_forged ? 1 : 0;
    beat.open_sessions = open;
    beat.signature = (ProtobufCBinaryData){.data = signature, .len = sizeof(signature)};
    beat.public_key = (ProtobufCBinaryData){.data = der, .len = sizeof(der)};
    r.event_case = CHAPERONE__V1__RECORD__EVENT_HEARTBEAT;
    r.heartbeat = &beat;
    put(s, &r, "");
}

/* One whole session with one operation: 5 records, the last one a heartbeat. */
static void put_session(struct stream *s, const char *session)
{
    put_opened(s, session, CHAPERONE__V1__VERDICT__ALLOW);
    put_intent(s, session, 1, CHAPERONE__V1__VERDICT__ALLOW);
    put_outcome(s, session, 1);
    put_closed(s, session);
    put_heartbeat(s, 0, false);
}

static int setup(void **state)
{
    struct stream *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    assert_int_equal(crypto_ed25519_generate(&s->key), OK);
    s->time_ns = start_ns;
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct stream *s = *state;
    for (size_t i = 0; i < s->count; i++) {
        buffer_finish(&s->records[i]);
    }
    crypto_ed25519_destroy(s->key);
    free(s);
    return 0;
}

static struct completeness *begin(struct stream *s)
{
    struct completeness *c =
        completeness_create(&(struct completeness_options){.silence_ns = INT64_C(60) * SECOND,
                                                           .from_beginning = true,
                                                           .on_finding = on_finding,
                                                           .context = s});
    assert_non_null(c);
    s->said[0] = '\0';
    return c;
}

static void add(struct stream *s, struct completeness *c, size_t at)
{
    assert_int_equal(completeness_add(c, buffer_bytes(&s->records[at])), OK);
}

static void finish(struct stream *s, struct completeness *c, const char *said)
{
    int64_t now = s->time_ns + SECOND;
    assert_int_equal(completeness_end(c, now, now), OK);
    assert_string_equal(s->said, said);
    assert_int_equal(completeness_counts(c).findings == 0, said[0] == '\0');
    completeness_destroy(c);
}

/* Without records `first` to `last`, counted from 1. */
static void check_without(struct stream *s, size_t first, size_t last, const char *said)
{
    struct completeness *c = begin(s);
    for (size_t i = 0; i < s->count; i++) {
        if (i + 1 < first || i + 1 > last) {
            add(s, c, i);
        }
    }
    assert_int_equal(completeness_expect_last(c, "s1", s->sequence), OK);
    finish(s, c, said);
}

static void check(struct stream *s, const char *said)
{
    check_without(s, 0, 0, said);
}

static void test_whole(void **state)
{
    struct stream *s = *state;
    put_session(s, "a");
    put_opened(s, "refused", CHAPERONE__V1__VERDICT__DENY);
    put_opened(s, "b", CHAPERONE__V1__VERDICT__ALLOW);
    put_intent(s, "b", 1, CHAPERONE__V1__VERDICT__DENY);
    put_intent(s, "b", 2, CHAPERONE__V1__VERDICT__HOLD); /* never released */
    put_approval(s, "b", 2, "requested");
    put_approval(s, "b", 2, "expired");
    put_closed(s, "b");
    put_heartbeat(s, 0, false);
    check(s, "");
}

static void test_missing_records(void **state)
{
    struct stream *s = *state;
    put_session(s, "a");
    put_session(s, "b");
    check_without(s, 1, 2, "beginning s1  1-2 op 0\n");
    check_without(s, 4, 6, "gap s1  4-6 op 0\nno_end s1 a 0-0 op 0\n");
    check_without(s, 8, 8, "gap s1  8-8 op 0\nno_outcome s1 b 7-0 op 1\n");
    check_without(s, 10, 10, "tail s1  10-10 op 0\n");
    check_without(s, 1, 10, "tail s1  1-10 op 0\n");
}

static void test_out_of_order_is_not_missing(void **state)
{
    struct stream *s = *state;
    put_session(s, "a");
    put_session(s, "b");
    struct completeness *c = begin(s);
    for (size_t i = s->count; i > 0; i--) {
        add(s, c, i - 1);
    }
    finish(s, c, "");
}

static void test_repeated(void **state)
{
    struct stream *s = *state;
    put_session(s, "a");
    struct completeness *c = begin(s);
    for (size_t i = 0; i < s->count; i++) {
        add(s, c, i);
    }
    add(s, c, 2);
    finish(s, c, "repeated s1  3-3 op 0\n");
}

/* One changed record does not fit to the next one. */
static void test_changed(void **state)
{
    struct stream *s = *state;
    put_session(s, "a");
    put_intent(s, "", 77, CHAPERONE__V1__VERDICT__DENY);
    put_heartbeat(s, 0, false);
    struct bytes b = buffer_bytes(&s->records[5]);
    s->records[5].data[b.size - 1] ^= 1; /* in its verdict */
    check(s, "chain s1  7-7 op 0\n");
    s->records[0].data[0] = 0xff;
    check(s, "malformed   0-0 op 0\nbeginning s1  1-1 op 0\nchain s1  7-7 op 0\n");
}

static void test_first_record_has_none_before_it(void **state)
{
    struct stream *s = *state;
    s->previous[0] = 1;
    put_heartbeat(s, 0, false);
    check(s, "chain s1  1-1 op 0\n");
}

static void test_heartbeats(void **state)
{
    struct stream *s = *state;
    put_heartbeat(s, 0, false);
    s->time_ns += INT64_C(3600) * SECOND; /* at rest: that is no silence */
    put_opened(s, "a", CHAPERONE__V1__VERDICT__ALLOW);
    put_heartbeat(s, 1, true);
    put_heartbeat(s, 1, false);
    s->time_ns += INT64_C(59) * SECOND;
    put_heartbeat(s, 1, false);
    put_closed(s, "a");
    put_heartbeat(s, 0, false);
    struct crypto_ed25519 *other = NULL;
    assert_int_equal(crypto_ed25519_generate(&other), OK);
    crypto_ed25519_destroy(s->key);
    s->key = other;
    put_heartbeat(s, 0, false);
    check(s, "signature s1  3-3 op 0\n"
             "key s1  8-8 op 0\n");
}

static void test_silence(void **state)
{
    struct stream *s = *state;
    put_opened(s, "a", CHAPERONE__V1__VERDICT__ALLOW);
    s->time_ns += INT64_C(61) * SECOND;
    put_heartbeat(s, 1, false);
    put_closed(s, "a");
    s->time_ns += INT64_C(70) * SECOND; /* killed: nothing closes the tail */
    check(s, "silence s1  0-0 op 0\nsilence s1  0-0 op 0\n");
}

static void test_loss(void **state)
{
    struct stream *s = *state;
    put_loss(s, 5, 9);
    put_heartbeat(s, 0, false);
    check(s, "loss s1  5-9 op 0\n");
}

static void test_operations_and_sessions(void **state)
{
    struct stream *s = *state;
    put_opened(s, "a", CHAPERONE__V1__VERDICT__ALLOW);
    put_intent(s, "a", 1, CHAPERONE__V1__VERDICT__ALLOW);
    put_intent(s, "a", 2, CHAPERONE__V1__VERDICT__HOLD);
    put_approval(s, "a", 2, "approved");
    put_closed(s, "a");
    put_opened(s, "b", CHAPERONE__V1__VERDICT__ALLOW);
    put_heartbeat(s, 0, false);
    check(s, "no_outcome s1 a 2-0 op 1\nno_outcome s1 a 3-0 op 2\nno_end s1 b 0-0 op 0\n");
}

static void test_what_goes_on_needs_no_end(void **state)
{
    struct stream *s = *state;
    put_opened(s, "a", CHAPERONE__V1__VERDICT__ALLOW);
    put_intent(s, "a", 1, CHAPERONE__V1__VERDICT__ALLOW);
    struct completeness *c = begin(s);
    assert_int_equal(completeness_expect_open(c, "s1", "a", s->time_ns), OK);
    add(s, c, 0);
    add(s, c, 1);
    finish(s, c, "");
    /* Another sidecar's session of that name is another session. */
    c = begin(s);
    assert_int_equal(completeness_expect_open(c, "s2", "a", s->time_ns), OK);
    add(s, c, 0);
    add(s, c, 1);
    finish(s, c, "no_outcome s1 a 2-0 op 1\nno_end s1 a 0-0 op 0\n");
}

static void test_a_sidecar_that_is_not_heard_of(void **state)
{
    struct stream *s = *state;
    struct completeness *c = begin(s);
    assert_int_equal(completeness_expect_open(c, "s2", "a", start_ns - INT64_C(70) * SECOND), OK);
    finish(s, c, "silence s2  0-0 op 0\n");
}

/* What the control plane recorded of the stream, in a stream of its own. */
static void add_finding(struct completeness *c, const char *kind, const char *session,
                        uint64_t first)
{
    static uint8_t zeros[CRYPTO_SHA256_SIZE];
    Chaperone__V1__Record r = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Finding finding = CHAPERONE__V1__FINDING__INIT;
    uint8_t room[512];
    finding.kind = (char *)(uintptr_t)kind;
    finding.sidecar = (char *)"s1";
    finding.first_sequence = finding.last_sequence = first;
    r.sidecar = (char *)"controlplane";
    r.sequence = 1;
    r.previous = (ProtobufCBinaryData){.data = zeros, .len = sizeof(zeros)};
    r.session = (char *)(uintptr_t)session;
    r.event_case = CHAPERONE__V1__RECORD__EVENT_FINDING;
    r.finding = &finding;
    assert_true(chaperone__v1__record__get_packed_size(&r) <= sizeof(room));
    assert_int_equal(completeness_add(c, bytes_of(room, chaperone__v1__record__pack(&r, room))),
                     OK);
}

static void check_with_finding(struct stream *s, const char *kind, const char *session,
                               uint64_t first, const char *said)
{
    struct completeness *c = begin(s);
    for (size_t i = 0; i < s->count; i++) {
        add(s, c, i);
    }
    add_finding(c, kind, session, first);
    finish(s, c, said);
}

static void check_revoked_at(struct stream *s, int64_t time_ns, size_t count, uint64_t last,
                             uint64_t findings, const char *said)
{
    static uint8_t zeros[CRYPTO_SHA256_SIZE];
    Chaperone__V1__Record r = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    uint8_t room[512];
    struct completeness *c = begin(s);
    for (size_t i = 0; i < count; i++) {
        add(s, c, i);
    }
    action.action = (char *)"sidecar_revoke";
    action.sidecar = (char *)"s1";
    action.last_sequence = last;
    r.sidecar = (char *)"controlplane";
    r.sequence = 1;
    r.time_unix_ns = time_ns;
    r.previous = (ProtobufCBinaryData){.data = zeros, .len = sizeof(zeros)};
    r.event_case = CHAPERONE__V1__RECORD__EVENT_ACTION;
    r.action = &action;
    assert_int_equal(completeness_add(c, bytes_of(room, chaperone__v1__record__pack(&r, room))),
                     OK);
    int64_t now = s->time_ns + SECOND;
    assert_int_equal(completeness_end(c, now, now), OK);
    assert_string_equal(s->said, said);
    assert_int_equal(completeness_counts(c).findings, findings);
    assert_int_equal(completeness_counts(c).revoked, 1);
    completeness_destroy(c);
}

static void check_revoked(struct stream *s, size_t count, uint64_t last, uint64_t findings,
                          const char *said)
{
    check_revoked_at(s, s->time_ns - INT64_C(3600) * SECOND, count, last, findings, said);
}

/* Without its end, silent ever since: as its record says. */
static void test_a_revoked_sidecar_is_no_finding(void **state)
{
    struct stream *s = *state;
    put_opened(s, "a", CHAPERONE__V1__VERDICT__ALLOW);
    put_heartbeat(s, 1, false);
    put_intent(s, "a", 1, CHAPERONE__V1__VERDICT__ALLOW);
    s->time_ns += INT64_C(3600) * SECOND;
    check_revoked(s, s->count, s->sequence, 0, "revoked s1  0-3 op 0\n");
    check_revoked(s, s->count, 2, 1, "after_end s1  3-3 op 0\nrevoked s1  0-2 op 0\n");
    check_revoked(s, 2, 3, 1, "tail s1  3-3 op 0\nrevoked s1  0-3 op 0\n");
}

/* A dead recorder is told until its revocation, as if it had come back then. */
static void test_a_revocation_hides_no_silence_before_it(void **state)
{
    struct stream *s = *state;
    put_opened(s, "a", CHAPERONE__V1__VERDICT__ALLOW);
    put_heartbeat(s, 1, false);
    s->time_ns += INT64_C(3600) * SECOND;
    check_revoked_at(s, s->time_ns, s->count, s->sequence, 1,
                     "silence s1  0-0 op 0\nrevoked s1  0-2 op 0\n");
}

/* A session that has ended has recorded all that it was to. */
static void test_a_revocation_hides_no_outcome_of_a_session_that_ended(void **state)
{
    struct stream *s = *state;
    put_opened(s, "a", CHAPERONE__V1__VERDICT__ALLOW);
    put_opened(s, "b", CHAPERONE__V1__VERDICT__ALLOW);
    put_intent(s, "a", 1, CHAPERONE__V1__VERDICT__ALLOW);
    put_intent(s, "b", 1, CHAPERONE__V1__VERDICT__ALLOW);
    put_closed(s, "a");
    put_heartbeat(s, 1, false);
    s->time_ns += INT64_C(3600) * SECOND;
    check_revoked(s, s->count, s->sequence, 1, "no_outcome s1 a 3-0 op 1\nrevoked s1  0-6 op 0\n");
}

static void test_what_the_control_plane_noticed(void **state)
{
    struct stream *s = *state;
    put_session(s, "a");
    check_with_finding(s, "gap", "", 7, "recorded s1  7-7 op 0\n");
    check_with_finding(s, "rewritten", "", 3, "recorded s1  3-3 op 0\n");
    /* It came later, as all the records show. */
    check_with_finding(s, "no_end", "a", 1, "");
    check_with_finding(s, "no_outcome", "a", 2, "");
    check_with_finding(s, "silent", "", 2, "");
}

static void test_what_both_noticed_is_told_once(void **state)
{
    struct stream *s = *state;
    put_opened(s, "a", CHAPERONE__V1__VERDICT__ALLOW);
    put_heartbeat(s, 0, false);
    check_with_finding(s, "no_end", "a", 1, "no_end s1 a 0-0 op 0\n");
}

static void test_what_is_erased_keeps_its_place(void **state)
{
    struct stream *s = *state;
    put_session(s, "a");
    put_session(s, "b");
    for (size_t forged = 0; forged < 2; forged++) {
        struct completeness *c = begin(s);
        for (size_t i = 0; i < s->count; i++) {
            struct crypto_sha256 hash;
            uint8_t of[CRYPTO_SHA256_SIZE];
            crypto_sha256_init(&hash);
            crypto_sha256_update(&hash, bytes_of("\0", 1));
            crypto_sha256_update(&hash, buffer_bytes(&s->records[i]));
            crypto_sha256_finish(&hash, of);
            of[0] ^= i == 3 && forged == 1 ? 1 : 0;
            const struct completeness_erased erased = {.sidecar = "s1",
                                                       .sequence = i + 1,
                                                       .time_ns = start_ns + (int64_t)i,
                                                       .hash = bytes_of(of, sizeof(of))};
            if (i < 4) {
                assert_int_equal(completeness_add_erased(c, &erased), OK);
            } else {
                add(s, c, i);
            }
        }
        finish(s, c, forged == 1 ? "chain s1  5-5 op 0\n" : "");
    }
}

/* Some sessions' records only: the numbers between them are no gap. */
static void test_only_sessions(void **state)
{
    struct stream *s = *state;
    put_opened(s, "other", CHAPERONE__V1__VERDICT__ALLOW);
    put_opened(s, "a", CHAPERONE__V1__VERDICT__ALLOW);
    put_opened(s, "third", CHAPERONE__V1__VERDICT__ALLOW);
    put_intent(s, "a", 1, CHAPERONE__V1__VERDICT__ALLOW);
    put_intent(s, "a", 2, CHAPERONE__V1__VERDICT__ALLOW);
    put_outcome(s, "a", 1);
    struct completeness *c = completeness_create(&(struct completeness_options){
        .silence_ns = 1, .only_sessions = true, .on_finding = on_finding, .context = s});
    assert_non_null(c);
    s->said[0] = '\0';
    add(s, c, 1);
    for (size_t i = 3; i < 6; i++) {
        add(s, c, i);
    }
    assert_int_equal(completeness_end(c, INT64_MAX, INT64_MAX), OK);
    assert_string_equal(s->said, "no_outcome s1 a 5-0 op 2\nno_end s1 a 0-0 op 0\n");
    completeness_destroy(c);
}

static void test_memory_of_a_stream_is_bounded(void **state)
{
    struct stream *s = *state;
    for (int i = 0; i < 2 * COMPLETENESS_WINDOW; i++) {
        put_heartbeat(s, 0, false);
    }
    /* The gap is certain long before the end. */
    struct completeness *c = begin(s);
    for (size_t i = 0; i < s->count; i++) {
        if (i != 3) {
            add(s, c, i);
        }
        assert_true(i < 3 + COMPLETENESS_WINDOW + COMPLETENESS_WINDOW / 2 || s->said[0] != '\0');
    }
    finish(s, c, "gap s1  4-4 op 0\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_whole),
        TEST(test_missing_records),
        TEST(test_out_of_order_is_not_missing),
        TEST(test_repeated),
        TEST(test_changed),
        TEST(test_first_record_has_none_before_it),
        TEST(test_heartbeats),
        TEST(test_silence),
        TEST(test_loss),
        TEST(test_operations_and_sessions),
        TEST(test_what_goes_on_needs_no_end),
        TEST(test_a_sidecar_that_is_not_heard_of),
        TEST(test_a_revoked_sidecar_is_no_finding),
        TEST(test_a_revocation_hides_no_silence_before_it),
        TEST(test_a_revocation_hides_no_outcome_of_a_session_that_ended),
        TEST(test_what_the_control_plane_noticed),
        TEST(test_what_both_noticed_is_told_once),
        TEST(test_what_is_erased_keeps_its_place),
        TEST(test_only_sessions),
        TEST(test_memory_of_a_stream_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

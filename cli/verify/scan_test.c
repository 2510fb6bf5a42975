#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "api/audit.pb-c.h"
#include "cli/verify/scan.h"

static const uint8_t previous[32] = {1, 2, 3};

/* Returns owned. */
static uint8_t *pack(Chaperone__V1__Record *r, size_t *out_size)
{
    r->sidecar = (char *)(uintptr_t) "sidecar-1";
    r->sequence = 300;
    r->previous =
        (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)previous, .len = sizeof(previous)};
    r->time_unix_ns = 1795250580000000000;
    r->session = (char *)(uintptr_t) "019f";
    *out_size = chaperone__v1__record__get_packed_size(r);
    uint8_t *data = malloc(*out_size);
    assert_non_null(data);
    (void)chaperone__v1__record__pack(r, data);
    return data;
}

static void test_it_reads_what_protobuf_writes(void **state)
{
    (void)state;
    Chaperone__V1__Record r = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
    struct scan s;
    size_t size = 0;
    intent.operation = 4;
    intent.policy_hash = (char *)(uintptr_t) "abcd";
    intent.policy_revision = 7;
    intent.without_where = true;
    r.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    r.intent = &intent;
    uint8_t *data = pack(&r, &size);
    assert_int_equal(scan_record(bytes_of(data, size), &s), OK);
    assert_true(bytes_equal_string(s.sidecar, "sidecar-1"));
    assert_true(bytes_equal_string(s.session, "019f"));
    assert_true(bytes_equal(s.previous, bytes_of(previous, sizeof(previous))));
    assert_int_equal(s.sequence, 300);
    assert_int_equal(s.time_ns, 1795250580000000000);
    assert_int_equal(s.kind, SCAN_INTENT);
    assert_int_equal(s.operation, 4);
    assert_int_equal(s.policy_revision, 7);
    assert_true(bytes_equal_string(s.policy_hash, "abcd"));
    free(data);
}

static void test_a_heartbeat_and_a_loss(void **state)
{
    (void)state;
    Chaperone__V1__Record r = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Heartbeat beat = CHAPERONE__V1__HEARTBEAT__INIT;
    Chaperone__V1__Loss loss = CHAPERONE__V1__LOSS__INIT;
    struct scan s;
    size_t size = 0;
    beat.signature = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t) "sig", .len = 3};
    beat.public_key = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t) "key!", .len = 4};
    r.event_case = CHAPERONE__V1__RECORD__EVENT_HEARTBEAT;
    r.heartbeat = &beat;
    uint8_t *data = pack(&r, &size);
    assert_int_equal(scan_record(bytes_of(data, size), &s), OK);
    assert_int_equal(s.kind, SCAN_HEARTBEAT);
    assert_true(bytes_equal_string(s.signature, "sig"));
    assert_true(bytes_equal_string(s.public_key, "key!"));
    free(data);
    loss.first_sequence = 5;
    loss.last_sequence = 9;
    r.event_case = CHAPERONE__V1__RECORD__EVENT_LOSS;
    r.loss = &loss;
    data = pack(&r, &size);
    assert_int_equal(scan_record(bytes_of(data, size), &s), OK);
    assert_int_equal(s.kind, SCAN_LOSS);
    assert_int_equal(s.first, 5);
    assert_int_equal(s.last, 9);
    free(data);
}

static void test_cut_off_anywhere_it_is_refused_or_has_lost_a_field(void **state)
{
    (void)state;
    Chaperone__V1__Record r = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Outcome outcome = CHAPERONE__V1__OUTCOME__INIT;
    struct scan s;
    size_t size = 0;
    outcome.operation = 4;
    r.event_case = CHAPERONE__V1__RECORD__EVENT_OUTCOME;
    r.outcome = &outcome;
    uint8_t *data = pack(&r, &size);
    for (size_t n = 0; n < size; n++) {
        uint8_t *part = malloc(n + 1); /* so that a sanitizer sees a read behind its end */
        assert_non_null(part);
        memcpy(part, data, n);
        assert_true(scan_record(bytes_of(part, n), &s) == ERR_INVALID || s.kind == SCAN_UNKNOWN);
        free(part);
    }
    free(data);
}

static void test_what_is_no_record(void **state)
{
    (void)state;
    struct scan s;
    static const uint8_t endless[] = {0x08, 0xff, 0xff, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    static const uint8_t huge[] = {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff,
                                   0xff, 0xff, 0xff, 0xff, 0x01};
    static const uint8_t group[] = {0x0b};
    static const uint8_t zero[] = {0x00, 0x00};
    assert_int_equal(scan_record(bytes_of(NULL, 0), &s), ERR_INVALID);
    assert_int_equal(scan_record(bytes_of(endless, sizeof(endless)), &s), ERR_INVALID);
    assert_int_equal(scan_record(bytes_of(huge, sizeof(huge)), &s), ERR_INVALID);
    assert_int_equal(scan_record(bytes_of(group, sizeof(group)), &s), ERR_INVALID);
    assert_int_equal(scan_record(bytes_of(zero, sizeof(zero)), &s), ERR_INVALID);
}

static void test_kinds_have_names(void **state)
{
    (void)state;
    for (int kind = SCAN_SESSION_OPENED; kind < SCAN_KINDS; kind++) {
        const char *name = scan_kind_name((enum scan_kind)kind);
        assert_int_equal(scan_kind_parse(bytes_of_string(name)), kind);
    }
    assert_int_equal(scan_kind_parse(bytes_of_string("intents")), SCAN_UNKNOWN);
    assert_null(scan_kind_name(SCAN_UNKNOWN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_reads_what_protobuf_writes),
        cmocka_unit_test(test_a_heartbeat_and_a_loss),
        cmocka_unit_test(test_cut_off_anywhere_it_is_refused_or_has_lost_a_field),
        cmocka_unit_test(test_what_is_no_record),
        cmocka_unit_test(test_kinds_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

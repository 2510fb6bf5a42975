#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/audit/fixture.h"

static void ship_refused(struct test *t, ProtobufCBinaryData record, enum err expected,
                         const char *sentence, uint64_t last_expected)
{
    struct err_text why = {.text = ""};
    struct store_audit_last last;
    assert_int_equal(fixture_ship(t, &record, 1, &why), expected);
    if (strstr(why.text, sentence) == NULL) {
        print_error("\"%s\" is not in \"%s\"\n", sentence, why.text);
    }
    assert_non_null(strstr(why.text, sentence));
    assert_int_equal(store_audit_last(t->store, "s1", &last), OK);
    assert_int_equal(last.sequence, last_expected);
}

static void assert_blamed(const struct test *t, const char *kind, uint64_t first, uint64_t last)
{
    assert_string_equal(t->refusal.kind, kind);
    assert_int_equal(t->refusal.first, first);
    assert_int_equal(t->refusal.last, last);
}

static void test_what_is_shipped_again_is_acknowledged(void **state)
{
    struct test *t = *state;
    ProtobufCBinaryData records[4];
    uint64_t count = 0;
    for (size_t i = 0; i < 4; i++) {
        records[i] = stream_maker_outcome(&t->maker, "A", i);
    }
    fixture_ship_ok(t, records, 3);
    fixture_ship_ok(t, records, 3);
    fixture_ship_ok(t, records + 1, 3);
    fixture_ship_ok(t, records, 0);
    assert_int_equal(store_audit_count(t->store, &count), OK);
    assert_int_equal(count, 4);
}

static void test_a_wrong_record_is_refused_and_those_before_it_are_kept(void **state)
{
    struct test *t = *state;
    struct err_text why = {.text = ""};
    struct store_audit_last last;
    ProtobufCBinaryData records[4];
    for (size_t i = 0; i < 4; i++) {
        records[i] = stream_maker_outcome(&t->maker, "A", i);
    }
    ProtobufCBinaryData gap[3] = {records[0], records[1], records[3]};
    assert_int_equal(fixture_ship(t, gap, 3, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "record 4: a gap, expected 3"));
    assert_blamed(t, "gap", 3, 3);
    assert_int_equal(store_audit_last(t->store, "s1", &last), OK);
    assert_int_equal(last.sequence, 2);
    ship_refused(t, records[3], ERR_INVALID, "record 4: a gap, expected 3", 2);
    assert_blamed(t, "gap", 3, 3);
    fixture_ship_ok(t, records + 2, 2);
}

static void test_a_changed_record_breaks_the_chain(void **state)
{
    struct test *t = *state;
    struct stream_maker other = stream_maker_start("s1", t->arena);
    ProtobufCBinaryData first = stream_maker_outcome(&t->maker, "A", 1);
    ProtobufCBinaryData second = stream_maker_outcome(&t->maker, "A", 2);
    ProtobufCBinaryData rewritten = stream_maker_outcome(&other, "A", 9);
    ProtobufCBinaryData follower = stream_maker_outcome(&other, "A", 9);
    fixture_ship_ok(t, &first, 1);
    ship_refused(t, rewritten, ERR_EXISTS, "record 1", 1);
    assert_blamed(t, "rewritten", 1, 1);
    ship_refused(t, follower, ERR_INVALID, "record 2: its previous hash", 1);
    assert_blamed(t, "rewritten", 2, 2);
    fixture_ship_ok(t, &second, 1);
}

static void test_a_stream_belongs_to_its_sidecar(void **state)
{
    struct test *t = *state;
    struct stream_maker other = stream_maker_start("s2", t->arena);
    ship_refused(t, stream_maker_outcome(&other, "A", 1), ERR_DENIED, "another sidecar", 0);
    assert_blamed(t, "foreign", 1, 1);
}

static void test_malformed_records_are_refused_with_a_reason(void **state)
{
    struct test *t = *state;
    uint8_t noise[64];
    memset(noise, 0xff, sizeof(noise));
    ship_refused(t, (ProtobufCBinaryData){.data = noise, .len = sizeof(noise)}, ERR_INVALID,
                 "no protobuf message", 0);
    ship_refused(t, (ProtobufCBinaryData){.data = NULL, .len = 0}, ERR_INVALID, "no valid sequence",
                 0);
    uint8_t *large = calloc(1, (1 << 20) + 1);
    assert_non_null(large);
    ship_refused(t, (ProtobufCBinaryData){.data = large, .len = (1 << 20) + 1}, ERR_LIMIT,
                 "at most 1048576", 0);
    free(large);

    struct stream_maker m = stream_maker_start("s1", t->arena);
    Chaperone__V1__Record nothing = CHAPERONE__V1__RECORD__INIT;
    ship_refused(t, stream_maker_add(&m, &nothing), ERR_INVALID, "no event that is known", 0);
    m = stream_maker_start("s1", t->arena);
    ship_refused(t, stream_maker_outcome(&m, "", 1), ERR_INVALID, "no session", 0);
    char long_id[66];
    memset(long_id, 'x', 65);
    long_id[65] = '\0';
    m = stream_maker_start("s1", t->arena);
    ship_refused(t, stream_maker_outcome(&m, long_id, 1), ERR_INVALID, "too long", 0);
}

static void test_every_cut_of_a_record_is_refused(void **state)
{
    struct test *t = *state;
    ProtobufCBinaryData record =
        stream_maker_intent(&t->maker, "A", "select 1", "orders", CHAPERONE__V1__VERDICT__ALLOW);
    for (size_t size = 0; size < record.len; size++) {
        struct err_text why = {.text = ""};
        uint8_t *cut = malloc(size + 1); /* exact, so that a read beyond it is seen */
        assert_non_null(cut);
        memcpy(cut, record.data, size);
        ProtobufCBinaryData part = {.data = cut, .len = size};
        assert_int_equal(fixture_ship(t, &part, 1, &why), ERR_INVALID);
        assert_true(why.text[0] != '\0');
        free(cut);
    }
    fixture_ship_ok(t, &record, 1);
}

static void test_a_heartbeat_must_be_signed_with_the_enrolled_key(void **state)
{
    struct test *t = *state;
    struct crypto_ed25519 *stolen = NULL;
    struct stream_maker forger = stream_maker_start("s1", t->arena);
    assert_int_equal(crypto_ed25519_generate(&stolen), OK);
    forger.key = stolen;
    ship_refused(t, stream_maker_heartbeat(&forger), ERR_DENIED, "another key", 0);
    assert_blamed(t, "bad_signature", 1, 1);
    crypto_ed25519_destroy(stolen);

    ProtobufCBinaryData good = stream_maker_heartbeat(&t->maker);
    Chaperone__V1__Record *record = chaperone__v1__record__unpack(NULL, good.len, good.data);
    assert_non_null(record);
    record->heartbeat->signature.data[5] ^= 1;
    uint8_t *packed = arena_alloc(t->arena, good.len);
    assert_int_equal(chaperone__v1__record__pack(record, packed), good.len);
    chaperone__v1__record__free_unpacked(record, NULL);
    ship_refused(t, (ProtobufCBinaryData){.data = packed, .len = good.len}, ERR_DENIED,
                 "signature is wrong", 0);
    fixture_ship_ok(t, &good, 1);

    struct stream_maker stranger = stream_maker_start("s9", t->arena);
    struct store_audit_last last;
    stranger.key = t->key;
    good = stream_maker_heartbeat(&stranger);
    assert_int_equal(audit_ingest_append(&t->ingest, "s9", &good, 1, &last, NULL, NULL),
                     ERR_NOT_FOUND);
}

static void test_a_large_batch_is_taken_in_parts(void **state)
{
    enum { MANY = 9000 };
    struct test *t = *state;
    ProtobufCBinaryData *records = calloc(MANY, sizeof(ProtobufCBinaryData));
    uint64_t count = 0;
    assert_non_null(records);
    for (size_t i = 0; i < MANY; i++) {
        records[i] = stream_maker_outcome(&t->maker, "A", i);
    }
    fixture_ship_ok(t, records, MANY);
    free(records);
    assert_int_equal(store_audit_count(t->store, &count), OK);
    assert_int_equal(count, MANY);
}

/* A record of 1 MiB that unpacks to as much as it can: half a million empty objects. */
static void test_a_record_that_swells_is_taken_within_the_memory_it_may_have(void **state)
{
    enum { OBJECTS = 500000 };
    struct test *t = *state;
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
    Chaperone__V1__Object object = CHAPERONE__V1__OBJECT__INIT;
    Chaperone__V1__Object **objects = calloc(OBJECTS, sizeof(*objects));
    char session[] = "A";
    assert_non_null(objects);
    for (size_t i = 0; i < OBJECTS; i++) {
        objects[i] = &object;
    }
    intent.objects = objects;
    intent.n_objects = OBJECTS;
    record.session = session;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    record.intent = &intent;
    ProtobufCBinaryData packed = stream_maker_add(&t->maker, &record);
    free(objects);
    assert_true(packed.len > 1000000 && packed.len <= 1 << 20);
    fixture_ship_ok(t, &packed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_what_is_shipped_again_is_acknowledged),
        FIXTURE_TEST(test_a_wrong_record_is_refused_and_those_before_it_are_kept),
        FIXTURE_TEST(test_a_changed_record_breaks_the_chain),
        FIXTURE_TEST(test_a_stream_belongs_to_its_sidecar),
        FIXTURE_TEST(test_malformed_records_are_refused_with_a_reason),
        FIXTURE_TEST(test_every_cut_of_a_record_is_refused),
        FIXTURE_TEST(test_a_heartbeat_must_be_signed_with_the_enrolled_key),
        FIXTURE_TEST(test_a_large_batch_is_taken_in_parts),
        FIXTURE_TEST(test_a_record_that_swells_is_taken_within_the_memory_it_may_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

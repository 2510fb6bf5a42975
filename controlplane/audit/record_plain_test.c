#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "api/audit.pb-c.h"
#include "controlplane/audit/record_plain_compare.h"

enum { SIZE_MAX_HERE = 4096, OBJECTS = 17 };

static char nothing[] = "", session[] = "0192f0c1-5f3e-7c3a-8a53-2b1d6f0c9e11", text[] = "SELECT 1";
static uint8_t hash[32] = {1, 2, 3, 0xFF};

static ProtobufCBinaryData bytes_field(void *data, size_t size)
{
    return (ProtobufCBinaryData){.data = data, .len = size};
}

static Chaperone__V1__Record record_make(void)
{
    Chaperone__V1__Record r = CHAPERONE__V1__RECORD__INIT;
    r.sidecar = session;
    r.sequence = 300;
    r.previous = bytes_field(hash, sizeof(hash));
    r.time_unix_ns = INT64_C(1800000000000000000);
    r.session = session;
    r.salt = bytes_field(hash, 16);
    return r;
}

static size_t pack(const Chaperone__V1__Record *r, uint8_t *out)
{
    assert_true(chaperone__v1__record__get_packed_size(r) <= SIZE_MAX_HERE);
    return chaperone__v1__record__pack(r, out);
}

/* Everything that an intent can hold, and as many objects as are asked for. */
static size_t intent_make(size_t objects, uint8_t *out)
{
    Chaperone__V1__Record r = record_make();
    Chaperone__V1__Intent i = CHAPERONE__V1__INTENT__INIT;
    Chaperone__V1__Object object = CHAPERONE__V1__OBJECT__INIT, *all[OBJECTS];
    Chaperone__V1__Parameter parameter = CHAPERONE__V1__PARAMETER__INIT, *parameters = &parameter;
    Chaperone__V1__Stated stated = CHAPERONE__V1__STATED__INIT, *reasons = &stated;
    Chaperone__V1__Delegate delegate = CHAPERONE__V1__DELEGATE__INIT, *delegates = &delegate;
    Chaperone__V1__HttpRequest http = CHAPERONE__V1__HTTP_REQUEST__INIT;
    Chaperone__V1__HttpField field = CHAPERONE__V1__HTTP_FIELD__INIT, *fields = &field;
    char *texts = text;
    object.kind = object.name = object.access = text;
    object.n_columns = 1;
    object.columns = &texts;
    for (size_t n = 0; n < objects; n++) {
        all[n] = &object;
    }
    parameter.type = text;
    parameter.value = bytes_field(hash, sizeof(hash));
    parameter.truncated = true;
    parameter.size = UINT64_C(1) << 40;
    stated.text = delegate.subject = http.path = field.name = text;
    delegate.assurance = CHAPERONE__V1__ASSURANCE__DECLARED;
    http.n_fields = 1;
    http.fields = &fields;
    i.operation = 70000;
    i.verdict = CHAPERONE__V1__VERDICT__ALLOW;
    i.rule = i.policy_hash = i.verb = i.approval = text;
    i.text = bytes_field(text, sizeof(text));
    i.n_commands = i.n_parameters = i.n_reasons = i.n_on_behalf_of = 1;
    i.commands = &texts;
    i.n_objects = objects;
    i.objects = all;
    i.parameters = &parameters;
    i.reasons = &reasons;
    i.on_behalf_of = &delegates;
    i.http = &http;
    i.without_where = true;
    r.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    r.intent = &i;
    return pack(&r, out);
}

static size_t outcome_make(int64_t time_ns, uint8_t *out)
{
    Chaperone__V1__Record r = record_make();
    Chaperone__V1__Outcome o = CHAPERONE__V1__OUTCOME__INIT;
    Chaperone__V1__Column column = CHAPERONE__V1__COLUMN__INIT, *columns = &column;
    Chaperone__V1__MaskingReceipt masking = CHAPERONE__V1__MASKING_RECEIPT__INIT;
    Chaperone__V1__MaskingReceipt__Masked one = CHAPERONE__V1__MASKING_RECEIPT__MASKED__INIT;
    Chaperone__V1__MaskingReceipt__Masked *masked = &one;
    column.name = column.type = one.rule = o.error_code = o.command_tag = text;
    column.type_oid = 23;
    one.rows = 5;
    masking.n_masked = 1;
    masking.masked = &masked;
    o.operation = 1;
    o.intent_sequence = 299;
    o.status = CHAPERONE__V1__STATUS__FAILED;
    o.rows = UINT64_C(1) << 60;
    o.duration_us = 17;
    o.digest = bytes_field(hash, sizeof(hash));
    o.n_columns = 1;
    o.columns = &columns;
    o.masking = &masking;
    r.time_unix_ns = time_ns;
    r.event_case = CHAPERONE__V1__RECORD__EVENT_OUTCOME;
    r.outcome = &o;
    return pack(&r, out);
}

#define SAID(data, size) ((int)record_plain_compare(bytes_of(data, size)))

static void test_what_a_sidecar_writes_is_plain(void **state)
{
    (void)state;
    uint8_t data[SIZE_MAX_HERE];
    for (size_t objects = 0; objects < OBJECTS; objects++) {
        assert_int_equal(SAID(data, intent_make(objects, data)), PLAIN_SAID_SAME);
    }
    assert_int_equal(SAID(data, outcome_make(1, data)), PLAIN_SAID_SAME);
}

static void test_what_is_unpacked(void **state)
{
    (void)state;
    uint8_t data[SIZE_MAX_HERE];
    assert_int_equal(SAID(data, intent_make(OBJECTS, data)), PLAIN_SAID_NOTHING);
    assert_int_equal(SAID(data, outcome_make(-1, data)), PLAIN_SAID_NOTHING);
    assert_int_equal(SAID(data, 0), PLAIN_SAID_NOTHING);
    Chaperone__V1__Record r = record_make();
    Chaperone__V1__Loss loss = CHAPERONE__V1__LOSS__INIT;
    loss.reason = nothing;
    r.event_case = CHAPERONE__V1__RECORD__EVENT_LOSS;
    r.loss = &loss;
    assert_int_equal(SAID(data, pack(&r, data)), PLAIN_SAID_NOTHING);
}

/* Behind a whole outcome. */
static void test_what_is_not_of_the_form(void **state)
{
    static const struct {
        size_t size;
        uint8_t data[12];
    } behind[] = {
        {2, {0x10, 0x05}},                                     /* the sequence again */
        {2, {0x6A, 0x00}},                                     /* another outcome */
        {2, {0x5A, 0x00}},                                     /* an intent, which counts then */
        {2, {0x38, 0x05}},                                     /* an unknown field */
        {3, {0x0A, 0x01, 'x'}},                                /* another sidecar */
        {1, {0x10}},                                           /* cut */
        {2, {0x12, 0x00}},                                     /* a sequence of bytes */
        {1, {0x00}},                                           /* no tag */
        {8, {0xB8, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, 0x05}}, /* a tag that never ends */
    };
    (void)state;
    for (size_t i = 0; i < sizeof(behind) / sizeof(behind[0]); i++) {
        uint8_t data[SIZE_MAX_HERE];
        size_t size = outcome_make(1, data);
        memcpy(data + size, behind[i].data, behind[i].size);
        assert_int_equal(SAID(data, size + behind[i].size), PLAIN_SAID_NOTHING);
    }
}

/* A text in C ends at its first NUL: of such a text protobuf-c knows only the beginning. */
static void test_a_nul_in_a_text(void **state)
{
    (void)state;
    uint8_t data[SIZE_MAX_HERE];
    size_t size = outcome_make(1, data);
    uint8_t *at = memmem(data, size, session, sizeof(session) - 1);
    assert_non_null(at);
    at[3] = 0;
    assert_int_equal(SAID(data, size), PLAIN_SAID_NOTHING);
}

/* Whatever is read without protobuf-c is what protobuf-c reads. */
static void test_every_byte_changed(void **state)
{
    (void)state;
    uint8_t data[SIZE_MAX_HERE];
    for (int kind = 0; kind < 2; kind++) {
        size_t size = kind == 0 ? intent_make(2, data) : outcome_make(1, data);
        for (size_t cut = 0; cut < size; cut++) {
            assert_int_not_equal(SAID(data, cut), PLAIN_SAID_OTHER);
        }
        for (size_t i = 0; i < size; i++) {
            uint8_t before = data[i];
            for (unsigned value = 0; value < 256; value++) {
                data[i] = (uint8_t)value;
                assert_int_not_equal(SAID(data, size), PLAIN_SAID_OTHER);
            }
            data[i] = before;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_sidecar_writes_is_plain),
        cmocka_unit_test(test_what_is_unpacked),
        cmocka_unit_test(test_what_is_not_of_the_form),
        cmocka_unit_test(test_a_nul_in_a_text),
        cmocka_unit_test(test_every_byte_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

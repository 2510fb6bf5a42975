#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/approvals.pb-c.h"
#include "controlplane/store/redact.h"

static ProtobufCBinaryData data_of(char *text)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)text, .len = strlen(text)};
}

/* A held operation each of whose secrets has the word "secret". */
static size_t held_make(uint8_t *out)
{
    static char secret[] = "secret", id[] = "id-1", rule[] = "dba", subject[] = "ann";
    Chaperone__V1__HeldOperation held = CHAPERONE__V1__HELD_OPERATION__INIT;
    Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
    Chaperone__V1__Prediction prediction = CHAPERONE__V1__PREDICTION__INIT;
    Chaperone__V1__Parameter parameter = CHAPERONE__V1__PARAMETER__INIT, *parameters[1];
    Chaperone__V1__Object object = CHAPERONE__V1__OBJECT__INIT, *objects[1];
    Chaperone__V1__Stated stated = CHAPERONE__V1__STATED__INIT, *reasons[1];
    Chaperone__V1__Decision decision = CHAPERONE__V1__DECISION__INIT, *decisions[1];
    Chaperone__V1__Identity by = CHAPERONE__V1__IDENTITY__INIT;
    Chaperone__V1__HttpRequest http = CHAPERONE__V1__HTTP_REQUEST__INIT;
    char *locks[1] = {secret};
    parameter.value = data_of(secret);
    parameters[0] = &parameter;
    object.name = secret;
    objects[0] = &object;
    stated.text = secret;
    reasons[0] = &stated;
    intent.rule = rule;
    intent.text = data_of(secret);
    http.method = rule;
    http.path = secret;
    http.body = data_of(secret);
    intent.http = &http;
    intent.parameters = parameters;
    intent.objects = objects;
    intent.reasons = reasons;
    intent.n_parameters = intent.n_objects = intent.n_reasons = 1;
    intent.statement_name = intent.portal = intent.error = secret;
    prediction.plan = prediction.unavailable = secret;
    by.subject = subject;
    decision.by = &by;
    decision.approve = 1;
    decisions[0] = &decision;
    held.id = id;
    held.intent = &intent;
    held.prediction = &prediction;
    held.locks = locks;
    held.reasons = reasons;
    held.decisions = decisions;
    held.n_locks = held.n_reasons = held.n_decisions = 1;
    held.shape = secret;
    held.digest = data_of(id);
    return chaperone__v1__held_operation__pack(&held, out);
}

static void test_a_held_operation_keeps_who_decided_and_loses_what(void **state)
{
    (void)state;
    uint8_t packed[4096];
    struct buffer out;
    buffer_init(&out, 1 << 20);
    size_t size = held_make(packed);
    assert_non_null(memmem(packed, size, "secret", 6));
    assert_int_equal(redact_held(bytes_of(packed, size), &out), OK);
    struct bytes kept = buffer_bytes(&out);
    assert_null(memmem(kept.data, kept.size, "secret", 6));
    Chaperone__V1__HeldOperation *held =
        chaperone__v1__held_operation__unpack(NULL, kept.size, kept.data);
    assert_non_null(held);
    assert_string_equal(held->id, "id-1");
    assert_string_equal(held->intent->rule, "dba");
    assert_int_equal(held->n_decisions, 1);
    assert_string_equal(held->decisions[0]->by->subject, "ann");
    assert_memory_equal(held->digest.data, "id-1", 4);
    chaperone__v1__held_operation__free_unpacked(held, NULL);
    /* Once more changes nothing. */
    struct buffer again;
    buffer_init(&again, 1 << 20);
    assert_int_equal(redact_held(kept, &again), OK);
    assert_true(bytes_equal(buffer_bytes(&again), kept));
    buffer_finish(&again);
    buffer_finish(&out);
}

static void test_of_what_is_no_message_nothing_stays(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 100);
    assert_int_equal(buffer_append_string(&out, "before"), OK);
    assert_int_equal(redact_held(bytes_of("\xff\xff secret", 9), &out), OK);
    assert_int_equal(buffer_size(&out), 0);
    buffer_finish(&out);
}

static void test_the_text_of_an_intent_or_a_message_is_found(void **state)
{
    (void)state;
    static char text[] = "select 1", text_kind[] = "text", binary_kind[] = "binary";
    uint8_t packed[256];
    struct arena *arena = arena_create(1024, 1 << 20);
    struct bytes found = {.size = 9};
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
    Chaperone__V1__Loss loss = CHAPERONE__V1__LOSS__INIT;
    intent.text = data_of(text);
    record.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    record.intent = &intent;
    size_t size = chaperone__v1__record__pack(&record, packed);
    assert_int_equal(redact_find_text(bytes_of(packed, size), arena, &found), OK);
    assert_true(bytes_equal_string(found, "select 1"));
    Chaperone__V1__Message message = CHAPERONE__V1__MESSAGE__INIT;
    message.data = data_of(text);
    message.kind = text_kind;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_MESSAGE;
    record.message = &message;
    size = chaperone__v1__record__pack(&record, packed);
    assert_int_equal(redact_find_text(bytes_of(packed, size), arena, &found), OK);
    assert_true(bytes_equal_string(found, "select 1"));
    message.kind = binary_kind;
    assert_int_equal(redact_text_of(&record).size, 0);
    record.event_case = CHAPERONE__V1__RECORD__EVENT_LOSS;
    record.loss = &loss;
    size = chaperone__v1__record__pack(&record, packed);
    assert_int_equal(redact_find_text(bytes_of(packed, size), arena, &found), OK);
    assert_int_equal(found.size, 0);
    assert_int_equal(redact_find_text(bytes_of("\xff\xff", 2), arena, &found), OK);
    assert_int_equal(found.size, 0);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_held_operation_keeps_who_decided_and_loses_what),
        cmocka_unit_test(test_of_what_is_no_message_nothing_stays),
        cmocka_unit_test(test_the_text_of_an_intent_or_a_message_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

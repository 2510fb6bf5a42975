/* The bytes of a record are the same whoever packs it: they are hashed and proved. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/audit.pb-c.h"
#include "sidecar/audit/record_pack.h"

enum { ROUNDS = 20000, ROOM = 1 << 16, DEPTH_MAX = 3 };

static uint64_t state = 1;

static uint64_t any(uint64_t below)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (state >> 33) % below;
}

/* Of every size that a number can have on the wire, zero often. */
static uint64_t any_number(void)
{
    return any(3) == 0 ? 0 : (any(UINT64_C(1) << 31) << 33 | any(UINT64_C(1) << 31)) >> any(64);
}

static char *any_text(void)
{
    static const size_t sizes[] = {0, 1, 36, 127, 128, 300};
    size_t size = sizes[any(sizeof(sizes) / sizeof(sizes[0]))];
    char *text = malloc(size + 1);
    assert_non_null(text);
    memset(text, 'a' + (char)any(26), size);
    text[size] = '\0';
    return text;
}

static ProtobufCMessage *any_message(const ProtobufCMessageDescriptor *d, int depth);

static void fill(const ProtobufCFieldDescriptor *f, void *member, int depth)
{
    ProtobufCBinaryData *bytes = member;
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING: *(char **)member = any_text(); break;
    case PROTOBUF_C_TYPE_BYTES:
        bytes->data = (uint8_t *)any_text();
        bytes->len = strlen((char *)bytes->data);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        *(ProtobufCMessage **)member = any_message(f->descriptor, depth + 1);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64: *(uint64_t *)member = any_number(); break;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_ENUM: *(uint32_t *)member = (uint32_t)any_number(); break;
    case PROTOBUF_C_TYPE_BOOL: *(protobuf_c_boolean *)member = (protobuf_c_boolean)any(2); break;
    case PROTOBUF_C_TYPE_DOUBLE:
        *(double *)member = any(3) == 0 ? -0.0 : (double)any_number() / 7;
        break;
    default: fail_msg("no value for %s", f->name);
    }
}

static void fill_list(const ProtobufCFieldDescriptor *f, uint8_t *base, int depth)
{
    size_t size = f->type == PROTOBUF_C_TYPE_BYTES ? sizeof(ProtobufCBinaryData) : sizeof(void *);
    size_t count = any(4);
    uint8_t *items = count == 0 ? NULL : calloc(count, size);
    for (size_t i = 0; i < count; i++) {
        fill(f, items + i * size, depth);
    }
    *(size_t *)(void *)(base + f->quantifier_offset) = count;
    *(void **)(void *)(base + f->offset) = items;
}

static ProtobufCMessage *any_message(const ProtobufCMessageDescriptor *d, int depth)
{
    ProtobufCMessage *m = malloc(d->sizeof_message);
    assert_non_null(m);
    d->message_init(m);
    uint8_t *base = (uint8_t *)m;
    unsigned chosen = (unsigned)any(d->n_fields);
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        if ((f->type == PROTOBUF_C_TYPE_MESSAGE && depth >= DEPTH_MAX) || any(3) == 0) {
            continue;
        }
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            fill_list(f, base, depth);
        } else if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0) {
            fill(f, base + f->offset, depth);
        } else if (i >= chosen && *(uint32_t *)(void *)(base + f->quantifier_offset) == 0) {
            fill(f, base + f->offset, depth);
            *(uint32_t *)(void *)(base + f->quantifier_offset) = f->id;
        }
    }
    return m;
}

static uint8_t room[ROOM], expected[1 << 20];
static struct record_forms *forms;

static bool check(const ProtobufCMessage *m)
{
    size_t size = protobuf_c_message_get_packed_size(m);
    assert_true(size <= sizeof(expected));
    assert_int_equal(protobuf_c_message_pack(m, expected), size);
    struct bytes packed = record_pack(forms, m, room, sizeof(room));
    if (size > sizeof(room)) {
        assert_int_equal(packed.size, 0);
        return false;
    }
    assert_int_equal(packed.size, size);
    assert_ptr_equal(packed.data + size, room + sizeof(room));
    assert_memory_equal(packed.data, expected, size);
    return true;
}

static void test_any_record_is_packed_as_the_library_does(void **unused)
{
    (void)unused;
    size_t packed = 0;
    for (int i = 0; i < ROUNDS; i++) {
        ProtobufCMessage *m = any_message(&chaperone__v1__record__descriptor, 0);
        packed += check(m);
        protobuf_c_message_free_unpacked(m, NULL);
    }
    assert_true(packed > ROUNDS / 2);
}

static uint8_t response[200];
static Chaperone__V1__Outcome outcome = CHAPERONE__V1__OUTCOME__INIT;

static Chaperone__V1__Record a_record(void)
{
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    outcome.status = (Chaperone__V1__Status)-1; /* an unknown one is ten bytes */
    outcome.rows = UINT64_MAX;
    outcome.response = (ProtobufCBinaryData){.data = response, .len = sizeof(response)};
    record.sidecar = "s";
    record.time_unix_ns = -1;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_OUTCOME;
    record.outcome = &outcome;
    return record;
}

static void test_extremes(void **unused)
{
    (void)unused;
    Chaperone__V1__Record record = a_record();
    assert_true(check(&record.base));
    record.outcome = NULL; /* chosen, and nothing there */
    assert_true(check(&record.base));
    record.sidecar = NULL;
    record.session = NULL;
    assert_true(check(&record.base));
}

static void test_what_does_not_fit_is_not_packed(void **unused)
{
    (void)unused;
    Chaperone__V1__Record record = a_record();
    size_t size = protobuf_c_message_get_packed_size(&record.base);
    for (size_t n = 0; n < size; n++) {
        uint8_t *small = malloc(n + 1); /* the sanitizer sees a byte before it */
        assert_int_equal(record_pack(forms, &record.base, small, n).size, 0);
        free(small);
    }
    assert_int_equal(record_pack(forms, &record.base, room, size).size, size);
}

static void test_unknown_fields_are_left_to_the_library(void **unused)
{
    (void)unused;
    Chaperone__V1__Record record = a_record();
    uint8_t data = 1;
    ProtobufCMessageUnknownField newer = {
        .tag = 99, .wire_type = PROTOBUF_C_WIRE_TYPE_VARINT, .len = 1, .data = &data};
    record.base.n_unknown_fields = 1;
    record.base.unknown_fields = &newer;
    assert_int_equal(record_pack(forms, &record.base, room, sizeof(room)).size, 0);
}

static int setup(void **unused)
{
    (void)unused;
    forms = record_forms_create(&chaperone__v1__record__descriptor);
    return forms == NULL ? -1 : 0;
}

static int teardown(void **unused)
{
    (void)unused;
    record_forms_destroy(forms);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_record_is_packed_as_the_library_does),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_what_does_not_fit_is_not_packed),
        cmocka_unit_test(test_unknown_fields_are_left_to_the_library),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

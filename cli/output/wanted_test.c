#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/output/literals.h"
#include "cli/output/overview.h"
#include "cli/output/wanted.h"

static void test_paths(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *path;
        bool matches;
    } cases[] = {
        {"/", "/", true},
        {"/", "/a", false},
        {"/customers/42", "/customers/42", true},
        {"/customers/42", "/customers/42/", false},
        {"/customers/42", "/customers/421", false},
        {"/customers/{id}", "/customers/42", true},
        {"/customers/*", "/customers/42", true},
        {"/customers/*", "/customers/", false},
        {"/customers/*", "/customers/42/orders", false},
        {"/customers/{id}/orders", "/customers/42/orders", true},
        {"/customers/**", "/customers", true},
        {"/customers/**", "/customers/", true},
        {"/customers/**", "/customers/42/orders", true},
        {"/customers/**", "/customersx", false},
        {"/**", "/", true},
        {"/a", "a", false},
        {"/a", "", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (wanted_path_matches(cases[i].pattern, bytes_of_string(cases[i].path)) !=
            cases[i].matches) {
            fail_msg("%s and %s", cases[i].pattern, cases[i].path);
        }
    }
    assert_int_equal(wanted_check_path("/a/{b}/**"), OK);
    assert_int_equal(wanted_check_path("a"), ERR_INVALID);
    assert_int_equal(wanted_check_path(""), ERR_INVALID);
    assert_int_equal(wanted_check_path("/**/a"), ERR_INVALID);
}

/* What is not plain may be written otherwise in the text: it is not asked for. */
static void test_words_of_a_path(void **state)
{
    (void)state;
    struct buffer words;
    buffer_init(&words, 256);
    assert_int_equal(wanted_append_words("/v1/customers/{id}/caf\xc3\xa9/a.b/orders/**", &words),
                     OK);
    assert_true(bytes_equal_string(buffer_bytes(&words), "v1 customers orders"));
    buffer_clear(&words);
    assert_int_equal(wanted_append_words("/**", &words), OK);
    assert_int_equal(buffer_size(&words), 0);
    buffer_finish(&words);
}

static void test_statuses(void **state)
{
    (void)state;
    struct wanted w = {0};
    assert_int_equal(wanted_parse_status("404", &w), OK);
    assert_int_equal(w.status_min, 404);
    assert_int_equal(w.status_max, 404);
    assert_int_equal(wanted_parse_status("5xx", &w), OK);
    assert_int_equal(w.status_min, 500);
    assert_int_equal(w.status_max, 599);
    static const char *const wrong[] = {"", "4", "40", "4x4", "600", "099", "4040", "xxx", "-12"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(wanted_parse_status(wrong[i], &w), ERR_INVALID);
    }
}

struct sample {
    Chaperone__V1__Entry entry;
    Chaperone__V1__Record record;
    Chaperone__V1__Intent intent;
    Chaperone__V1__HttpRequest request;
    Chaperone__V1__Object object, *objects[1];
    Chaperone__V1__Outcome outcome;
    Chaperone__V1__HttpResponse response;
    Chaperone__V1__Approval approval;
    struct record_view view;
};

static void fill(struct sample *s, Chaperone__V1__Record__EventCase event, uint64_t operation)
{
    chaperone__v1__entry__init(&s->entry);
    chaperone__v1__record__init(&s->record);
    chaperone__v1__intent__init(&s->intent);
    chaperone__v1__http_request__init(&s->request);
    chaperone__v1__object__init(&s->object);
    chaperone__v1__outcome__init(&s->outcome);
    chaperone__v1__http_response__init(&s->response);
    chaperone__v1__approval__init(&s->approval);
    s->record.event_case = event;
    s->record.time_unix_ns = 1795250580LL * 1000000000;
    s->request.path = TEXT("/customers/4%32?x=1");
    s->object.kind = TEXT("path");
    s->object.name = TEXT("/customers/42");
    s->objects[0] = &s->object;
    s->intent.operation = s->outcome.operation = s->approval.operation = operation;
    s->intent.text = (ProtobufCBinaryData){.data = (uint8_t *)TEXT("GET /customers/42"), .len = 17};
    s->intent.rule = TEXT("read-customers");
    s->intent.verdict = CHAPERONE__V1__VERDICT__ALLOW;
    s->intent.http = &s->request;
    s->response.status = 404;
    s->outcome.http = &s->response;
    s->outcome.bytes = 512;
    s->outcome.duration_us = 12300;
    s->outcome.status = CHAPERONE__V1__STATUS__FAILED;
    if (event == CHAPERONE__V1__RECORD__EVENT_INTENT) {
        s->record.intent = &s->intent;
    } else if (event == CHAPERONE__V1__RECORD__EVENT_OUTCOME) {
        s->record.outcome = &s->outcome;
    } else {
        s->record.approval = &s->approval;
    }
}

static bool is_wanted(struct sample *s, struct wanted w)
{
    record_view_init(&s->view, &s->entry, &s->record);
    return wanted_is(&w, &s->view);
}

static void test_what_is_wanted(void **state)
{
    (void)state;
    struct sample s;
    fill(&s, CHAPERONE__V1__RECORD__EVENT_INTENT, 7);
    assert_true(is_wanted(&s, (struct wanted){0}));
    assert_true(is_wanted(&s, (struct wanted){.path = "/customers/{id}", .operation = 7}));
    assert_true(is_wanted(&s, (struct wanted){.path = "/customers/4%32"}));
    assert_false(is_wanted(&s, (struct wanted){.path = "/customers/42"}));
    s.intent.objects = s.objects;
    s.intent.n_objects = 1;
    assert_true(is_wanted(&s, (struct wanted){.path = "/customers/42"}));
    assert_false(is_wanted(&s, (struct wanted){.path = "/orders/**"}));
    assert_false(is_wanted(&s, (struct wanted){.operation = 8}));
    assert_false(is_wanted(&s, (struct wanted){.in_shadow = true}));
    assert_false(is_wanted(&s, (struct wanted){.status_min = 400, .status_max = 499}));
    s.intent.http = NULL;
    assert_false(is_wanted(&s, (struct wanted){.path = "/**"}));
    fill(&s, CHAPERONE__V1__RECORD__EVENT_OUTCOME, 7);
    assert_true(is_wanted(&s, (struct wanted){.status_min = 400, .status_max = 499}));
    assert_false(is_wanted(&s, (struct wanted){.status_min = 500, .status_max = 599}));
    assert_false(is_wanted(&s, (struct wanted){.path = "/**"}));
}

static enum err add(struct overview *o, struct sample *s)
{
    record_view_init(&s->view, &s->entry, &s->record);
    return overview_add(o, &s->view);
}

static void test_an_operation_is_one_line(void **state)
{
    (void)state;
    struct sample s;
    char *text = NULL;
    size_t size = 0;
    struct overview *o = overview_create();
    assert_non_null(o);
    for (uint64_t operation = 1; operation <= 4; operation++) {
        fill(&s, CHAPERONE__V1__RECORD__EVENT_INTENT, operation);
        s.intent.verdict = operation == 2   ? CHAPERONE__V1__VERDICT__DENY
                           : operation == 3 ? CHAPERONE__V1__VERDICT__HOLD
                                            : CHAPERONE__V1__VERDICT__ALLOW;
        assert_int_equal(add(o, &s), OK);
    }
    fill(&s, CHAPERONE__V1__RECORD__EVENT_APPROVAL, 3);
    s.approval.state = TEXT("expired");
    assert_int_equal(add(o, &s), OK);
    s.approval.state = TEXT("decided");
    assert_int_equal(add(o, &s), OK);
    s.approval.state = TEXT("standing_revoked");
    assert_int_equal(add(o, &s), OK);
    fill(&s, CHAPERONE__V1__RECORD__EVENT_OUTCOME, 1);
    assert_int_equal(add(o, &s), OK);
    fill(&s, CHAPERONE__V1__RECORD__EVENT_OUTCOME, 2);
    s.outcome.status = CHAPERONE__V1__STATUS__REFUSED; /* the 403 is the sidecar's own */
    s.outcome.bytes = 0;
    assert_int_equal(add(o, &s), OK);
    fill(&s, CHAPERONE__V1__RECORD__EVENT_OUTCOME, 9); /* its intent is not in what was read */
    s.outcome.http = NULL;
    assert_int_equal(add(o, &s), OK);
    struct terminal terminal = {.out = open_memstream(&text, &size)};
    assert_int_equal(overview_print(o, &terminal), OK);
    assert_int_equal(fclose(terminal.out), 0);
    assert_string_equal(
        text,
        "2026-11-21T08:43:00.000Z\t1\tallow\tread-customers\t404\t512\t12.3 ms\tGET /customers/42\n"
        "2026-11-21T08:43:00.000Z\t2\tdeny\tread-customers\trefused\t0\t12.3 ms\tGET "
        "/customers/42\n"
        "2026-11-21T08:43:00.000Z\t3\thold\tread-customers\texpired\t\t\tGET /customers/42\n"
        "2026-11-21T08:43:00.000Z\t4\tallow\tread-customers\tunknown\t\t\tGET /customers/42\n"
        "2026-11-21T08:43:00.000Z\t9\t\t\tfailed\t512\t12.3 ms\t\n");
    free(text);
    overview_destroy(o);
    overview_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_words_of_a_path),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_what_is_wanted),
        cmocka_unit_test(test_an_operation_is_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

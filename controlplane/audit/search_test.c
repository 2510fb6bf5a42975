#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/audit/fixture.h"

static void search_is(struct test *t, const Chaperone__V1__SearchRequest *request,
                      const char *expected)
{
    struct found f = {.responses = 0};
    struct err_text why = {.text = ""};
    uint64_t position = 0, total = 0;
    buffer_init(&f.text, 1 << 20);
    enum err err = audit_search_run(t->store, request, answer_add, &f, &position, &why);
    if (err != OK || !bytes_equal_string(buffer_bytes(&f.text), expected)) {
        print_error("%s: %.*s, expected %s\n", why.text, (int)buffer_size(&f.text),
                    (const char *)buffer_bytes(&f.text).data, expected);
    }
    assert_int_equal(err, OK);
    assert_true(bytes_equal_string(buffer_bytes(&f.text), expected));
    assert_int_equal(store_audit_count(t->store, &total), OK);
    assert_int_equal(position, total);
    buffer_finish(&f.text);
}

#define SEARCH(t, expected, ...)                                                                   \
    do {                                                                                           \
        Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;                \
        __VA_ARGS__;                                                                               \
        search_is((t), &request, (expected));                                                      \
    } while (0)

static char alice[] = "alice", db1[] = "db1", session_b[] = "B", orders[] = "orders",
            public_orders[] = "public.orders", words[] = "from orders", intent_kind[] = "intent",
            outcome_kind[] = "outcome", closed_kind[] = "session_closed", wrong[] = "intents",
            no_words[] = "***";

static void test_every_filter_finds_its_records(void **state)
{
    struct test *t = *state;
    SEARCH(t, "", request.identity = alice); /* an empty log */
    fixture_fill(t);
    SEARCH(t, "1 2 3 4 5 6 7 8 9 10 11", (void)request);
    SEARCH(t, "1 2 3 4 5", request.identity = alice);
    SEARCH(t, "1 2 3 4 5 10", request.resource = db1);
    SEARCH(t, "6 7 8", request.session = session_b);
    SEARCH(t, "2 7", request.table = orders);
    SEARCH(t, "2 7", request.table = public_orders); /* 7 is unqualified: it may be public's */
    SEARCH(t, "2 7", request.text = words);
    SEARCH(t, "2", request.text = words; request.identity = alice);
    SEARCH(t, "7 10", request.verdict = CHAPERONE__V1__VERDICT__DENY);
    SEARCH(t, "3 4", request.since_unix_ns = INT64_C(1700000003000000000);
           request.until_unix_ns = INT64_C(1700000004000000000));
    char *kinds[] = {outcome_kind, closed_kind};
    SEARCH(t, "3 5 8", request.kinds = kinds; request.n_kinds = 2);
    SEARCH(t, "9 10 11", request.limit = 3);
    SEARCH(t, "4 5", request.limit = 2; request.identity = alice);
    SEARCH(t, "7", request.limit = 1; request.text = words);
    SEARCH(t, "1 2 3 4 5", request.limit = 1000; request.identity = alice);
}

/* A request, a message each way, and what became of it. */
static void ship_http(struct test *t)
{
    static char session[] = "W", text[] = "GET /customers/42?expand=orders", get[] = "GET",
                kind[] = "text", binary[] = "binary", said[] = "subscribe to prices";
    Chaperone__V1__Record records[3] = {CHAPERONE__V1__RECORD__INIT, CHAPERONE__V1__RECORD__INIT,
                                        CHAPERONE__V1__RECORD__INIT};
    Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
    Chaperone__V1__HttpRequest http = CHAPERONE__V1__HTTP_REQUEST__INIT;
    Chaperone__V1__Message messages[2] = {CHAPERONE__V1__MESSAGE__INIT,
                                          CHAPERONE__V1__MESSAGE__INIT};
    ProtobufCBinaryData packed[3];
    http.method = get;
    intent.operation = 1;
    intent.http = &http;
    intent.text = (ProtobufCBinaryData){.data = (uint8_t *)text, .len = sizeof(text) - 1};
    records[0].event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    records[0].intent = &intent;
    for (size_t i = 0; i < 2; i++) {
        messages[i].operation = 1;
        messages[i].kind = i == 0 ? kind : binary;
        messages[i].data = (ProtobufCBinaryData){.data = (uint8_t *)said, .len = sizeof(said) - 1};
        records[i + 1].event_case = CHAPERONE__V1__RECORD__EVENT_MESSAGE;
        records[i + 1].message = &messages[i];
    }
    for (size_t i = 0; i < 3; i++) {
        records[i].session = session;
        packed[i] = stream_maker_add(&t->maker, &records[i]);
    }
    fixture_ship_ok(t, packed, 3);
}

static void test_requests_and_messages_are_found_by_what_they_say(void **state)
{
    struct test *t = *state;
    ship_http(t);
    static char message_kind[] = "message", by_method[] = "get", by_path[] = "/customers/42",
                another[] = "/customers/43", below[] = "/customers/4*", prices[] = "prices",
                session_w[] = "W";
    char *kinds[] = {message_kind};
    SEARCH(t, "2 3", request.kinds = kinds; request.n_kinds = 1);
    SEARCH(t, "1 2 3", request.session = session_w);
    SEARCH(t, "1", request.text = by_method);
    SEARCH(t, "1", request.text = by_path);
    SEARCH(t, "1", request.text = below);
    SEARCH(t, "", request.text = another);
    SEARCH(t, "2", request.text = prices);
}

static void test_a_message_belongs_to_a_session(void **state)
{
    struct test *t = *state;
    struct err_text why = {.text = ""};
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Message message = CHAPERONE__V1__MESSAGE__INIT;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_MESSAGE;
    record.message = &message;
    ProtobufCBinaryData packed = stream_maker_add(&t->maker, &record);
    assert_int_equal(fixture_ship(t, &packed, 1, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "no session"));
}

static void test_a_wrong_question_is_answered_with_why(void **state)
{
    struct test *t = *state;
    struct err_text why;
    struct found f = {.responses = 0};
    char *kinds[] = {intent_kind, wrong};
    for (int filled = 0; filled < 2; filled++) {
        Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
        request.kinds = kinds;
        request.n_kinds = 2;
        assert_int_equal(audit_search_run(t->store, &request, answer_add, &f, NULL, &why),
                         ERR_INVALID);
        assert_non_null(strstr(why.text, "\"intents\""));
        request.n_kinds = 0;
        request.text = no_words;
        assert_int_equal(audit_search_run(t->store, &request, answer_add, &f, NULL, &why),
                         ERR_INVALID);
        assert_non_null(strstr(why.text, "no word"));
        request.text = words;
        request.since_unix_ns = 2;
        request.until_unix_ns = 1;
        assert_int_equal(audit_search_run(t->store, &request, answer_add, &f, NULL, &why),
                         ERR_INVALID);
        assert_non_null(strstr(why.text, "since"));
        request.until_unix_ns = 0;
        request.verdict = (Chaperone__V1__Verdict)7;
        assert_int_equal(audit_search_run(t->store, &request, answer_add, &f, NULL, &why),
                         ERR_INVALID);
        if (filled == 0) {
            fixture_fill(t);
        }
    }
    assert_int_equal(f.responses, 0);
}

static void test_an_answer_comes_in_parts_and_stops_when_told(void **state)
{
    enum { MANY = 1000 };
    struct test *t = *state;
    ProtobufCBinaryData records[MANY];
    struct found f = {.stop_after = 2};
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    for (size_t i = 0; i < MANY; i++) {
        records[i] = stream_maker_outcome(&t->maker, "A", i);
    }
    fixture_ship_ok(t, records, MANY);
    buffer_init(&f.text, 1 << 20);
    request.limit = 900; /* from 101 on */
    assert_int_equal(audit_search_run(t->store, &request, answer_add, &f, NULL, NULL), OK);
    assert_int_equal(f.responses, 2);
    assert_memory_equal(buffer_bytes(&f.text).data, "101 102 ", 8);
    f.stop_after = -1;
    buffer_clear(&f.text);
    f.responses = 0;
    assert_int_equal(audit_search_run(t->store, &request, answer_add, &f, NULL, NULL), OK);
    assert_int_equal(f.responses, (900 + AUDIT_SEARCH_PAGE - 1) / AUDIT_SEARCH_PAGE);
    struct bytes all = buffer_bytes(&f.text);
    assert_memory_equal(all.data + all.size - 9, " 999 1000", 9);
    buffer_finish(&f.text);
}

static bool on_first_entry(void *context, const Chaperone__V1__SearchResponse *response)
{
    const Chaperone__V1__Entry *e = response->entries[0];
    const ProtobufCBinaryData *bytes = context;
    assert_int_equal(e->record.len, bytes->len);
    assert_memory_equal(e->record.data, bytes->data, bytes->len); /* canonical */
    assert_string_equal(e->identity, "alice");
    assert_string_equal(e->on_behalf_of, "ann, deployer");
    assert_string_equal(e->resource, "db1");
    assert_string_equal(e->protocol, "postgres");
    assert_int_equal(e->received_unix_ns, fixture_received_ns);
    return true;
}

static void test_an_entry_is_the_record_and_its_session(void **state)
{
    struct test *t = *state;
    ProtobufCBinaryData records[2] = {
        stream_maker_opened(&t->maker, "A", "alice", "db1", CHAPERONE__V1__VERDICT__ALLOW),
        stream_maker_outcome(&t->maker, "A", 5),
    };
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    fixture_ship_ok(t, records, 2);
    request.limit = 1;
    assert_int_equal(audit_search_run(t->store, &request, on_first_entry, &records[1], NULL, NULL),
                     OK);
}

static void test_sessions_are_listed(void **state)
{
    struct test *t = *state;
    Chaperone__V1__ListSessionsRequest request = CHAPERONE__V1__LIST_SESSIONS_REQUEST__INIT;
    Chaperone__V1__SessionSummary **items = NULL;
    size_t count = 0;
    fixture_fill(t);
    assert_int_equal(audit_sessions_list(t->store, &request, t->arena, &items, &count), OK);
    assert_int_equal(count, 1);
    assert_string_equal(items[0]->session, "A");
    assert_string_equal(items[0]->state, "open");
    assert_string_equal(items[0]->sidecar, "s1");
    assert_string_equal(items[0]->identity, "alice");
    assert_string_equal(items[0]->on_behalf_of, "ann, deployer");
    assert_string_equal(items[0]->database, "shop");
    assert_int_equal(items[0]->operations, 2);
    request.include_closed = 1;
    assert_int_equal(audit_sessions_list(t->store, &request, t->arena, &items, &count), OK);
    assert_int_equal(count, 3);
    assert_string_equal(items[0]->state, "refused");
    assert_string_equal(items[1]->state, "closed");
    assert_string_equal(items[1]->close_reason, "killed");
    assert_true(items[1]->closed_unix_ns > items[1]->opened_unix_ns);
    /* Its sidecar counts no session: A ended without a record of it. */
    t->maker.open_sessions = 0;
    ProtobufCBinaryData heartbeat = stream_maker_heartbeat(&t->maker);
    fixture_ship_ok(t, &heartbeat, 1);
    assert_int_equal(audit_sessions_list(t->store, &request, t->arena, &items, &count), OK);
    assert_string_equal(items[2]->session, "A");
    assert_string_equal(items[2]->state, "closed");
    assert_string_equal(items[2]->close_reason, "lost");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_every_filter_finds_its_records),
        FIXTURE_TEST(test_requests_and_messages_are_found_by_what_they_say),
        FIXTURE_TEST(test_a_message_belongs_to_a_session),
        FIXTURE_TEST(test_a_wrong_question_is_answered_with_why),
        FIXTURE_TEST(test_an_answer_comes_in_parts_and_stops_when_told),
        FIXTURE_TEST(test_an_entry_is_the_record_and_its_session),
        FIXTURE_TEST(test_sessions_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

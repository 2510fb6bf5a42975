/* Requests and their answers: what is decided, forwarded, masked and recorded of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/protocol/http/http_assert.h"

static void a_request_goes_and_comes(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, GET);
    assert_true(f->identified);
    assert_string_equal(fixture_to_target(f), "");
    fixture_grant(f);
    assert_true(f->opened);
    assert_int_equal(f->intent_count, 1);
    assert_int_equal(f->intents[0].target_bytes, 0); /* recorded before it happens */
    assert_string_equal(f->intents[0].text, "GET /customers/42");
    const char *sent = fixture_to_target(f);
    http_assert_has(sent, "GET /customers/42 HTTP/1.1\r\n");
    http_assert_has(sent, "api.internal\r\n");
    http_assert_has(sent, "Bearer " FIXTURE_SECRET);
    fixture_target_says(f, OK_ANSWER);
    assert_int_equal(f->outcome_count, 1);
    assert_int_equal(f->outcomes[0].status, CHAPERONE__V1__STATUS__SUCCESS);
    assert_int_equal(f->outcomes[0].http_status, 200);
    assert_string_equal(f->outcomes[0].response, "hi");
    http_assert_has(fixture_to_agent(f), "\r\n\r\nhi");
    fixture_agent_says(f, GET); /* the connection goes on */
    assert_int_equal(f->intent_count, 2);
    http_assert_has(fixture_to_target(f), "GET /customers/42");
    assert_false(f->is_closed);
}

static void what_is_forwarded_is_what_was_decided(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, "GET /a/../%63ustomers/./%34?x=%41 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    fixture_grant(f);
    assert_string_equal(f->intents[0].path, "/customers/4?x=A");
    http_assert_has(fixture_to_target(f), "GET /customers/4?x=A HTTP/1.1\r\n");
}

static void a_denied_request_leaves_the_connection(void **state)
{
    struct fixture *f = *state;
    f->word = FIXTURE_DENY;
    fixture_agent_says(f, HEAD("Content-Length: 2\r\n") "xy");
    fixture_grant(f);
    const char *answer = fixture_to_agent(f);
    http_assert_has(answer, "HTTP/1.1 403 ");
    http_assert_has(answer, "application/problem+json");
    http_assert_has(answer, "\"rule\":\"test-rule\"");
    assert_int_equal(f->outcomes[0].status, CHAPERONE__V1__STATUS__REFUSED);
    assert_string_equal(fixture_to_target(f), "");
    f->word = FIXTURE_ALLOW;
    fixture_agent_says(f, GET);
    http_assert_has(fixture_to_target(f), "GET /customers/42");
    assert_false(f->is_closed);
}

static void a_denied_request_that_is_the_last_one(void **state)
{
    struct fixture *f = *state;
    f->word = FIXTURE_DENY;
    fixture_agent_says(f, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    fixture_grant(f);
    http_assert_has(fixture_to_agent(f), "HTTP/1.1 403 ");
    assert_true(f->is_closed);
}

static void what_cannot_be_recorded_does_not_happen(void **state)
{
    struct fixture *f = *state;
    f->word = FIXTURE_UNRECORDED;
    fixture_agent_says(f, GET);
    fixture_grant(f);
    http_assert_has(fixture_to_agent(f), "HTTP/1.1 503 ");
    assert_string_equal(fixture_to_target(f), "");
}

static void a_held_request_waits(void **state)
{
    struct fixture *f = *state;
    f->word = FIXTURE_HOLD;
    fixture_agent_says(f, HEAD("Content-Length: 2\r\n") "xy");
    fixture_grant(f);
    assert_true(f->asked);
    fixture_agent_says(f, "");
    assert_int_equal(f->step, PROTOCOL_WAIT);
    assert_string_equal(fixture_to_target(f), "");
    f->word = FIXTURE_ALLOW;
    fixture_agent_says(f, "");
    http_assert_has(fixture_to_target(f), "\r\n\r\nxy");
    assert_int_equal(f->intent_count, 1);
}

static void a_held_request_is_refused(void **state)
{
    struct fixture *f = *state;
    f->word = FIXTURE_HOLD;
    fixture_agent_says(f, GET);
    fixture_grant(f);
    f->word = FIXTURE_DENY;
    fixture_agent_says(f, "");
    const char *answer = fixture_to_agent(f);
    http_assert_has(answer, "HTTP/1.1 403 ");
    http_assert_has(answer, "\"approval\":\"approval-1\"");
    http_assert_has(answer, "retry-after: ");
    assert_string_equal(fixture_to_target(f), "");
}

static void a_small_body_is_in_the_intent(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, HEAD("Content-Length: 5\r\n") "he");
    fixture_grant(f);
    assert_int_equal(f->intent_count, 0);
    fixture_agent_says(f, "llo");
    assert_string_equal(f->intents[0].body, "hello");
    assert_false(f->intents[0].body_follows);
    http_assert_has(fixture_to_target(f), "\r\n\r\nhello");
}

static void a_streamed_body_is_in_the_outcome(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, HEAD("Transfer-Encoding: chunked\r\n") "2\r\nhe\r\n");
    fixture_grant(f);
    assert_true(f->intents[0].body_follows);
    http_assert_has(fixture_to_target(f), "2\r\nhe\r\n");
    fixture_agent_says(f, "3\r\nllo\r\n0\r\n\r\n");
    http_assert_has(fixture_to_target(f), "0\r\n\r\n");
    fixture_target_says(f, OK_ANSWER);
    assert_string_equal(f->outcomes[0].request_body, "hello");
    assert_int_equal(f->outcomes[0].bytes_in, 5);
}

static void a_body_that_is_needed_is_awaited(void **state)
{
    struct fixture *f = *state;
    f->needs_body = true;
    fixture_agent_says(f, HEAD("Transfer-Encoding: chunked\r\n") "2\r\nhe\r\n");
    fixture_grant(f);
    assert_int_equal(f->intent_count, 0);
    fixture_agent_says(f, "3\r\nllo\r\n0\r\n\r\n");
    assert_string_equal(f->intents[0].body, "hello");
    http_assert_has(fixture_to_target(f), "hello");
}

static void who_expects_to_be_told_to_go_on(void **state)
{
    struct fixture *f = *state;
    f->needs_body = true;
    fixture_agent_says(f, HEAD("Content-Length: 5\r\nExpect: 100-continue\r\n"));
    fixture_grant(f);
    http_assert_has(fixture_to_agent(f), "HTTP/1.1 100 ");
    fixture_agent_says(f, "hello");
    http_assert_has_not(fixture_to_target(f), "xpect");
}

#define BROKEN "-1\r\nhello\r\n0\r\n\r\n"
#define CHUNKED HEAD("Transfer-Encoding: chunked\r\n")

static void assert_broken(struct fixture *f)
{
    const char *answer = fixture_to_agent(f);
    http_assert_has(answer, "HTTP/1.1 400 ");
    http_assert_has(answer, "\"rule\":\"protocol\"");
    assert_true(f->is_closed);
}

/* The agent does not wait for ever, and it is recorded, wherever the request was. */
static void a_body_that_cannot_be_understood(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, CHUNKED BROKEN); /* before the session has begun */
    assert_string_equal(fixture_to_agent(f), "");
    fixture_grant(f);
    assert_broken(f);
    assert_string_equal(fixture_to_target(f), "");
    assert_int_equal(f->intent_count, 1);
    assert_false(f->intents[0].allowed);
    assert_string_equal(f->outcomes[0].error_code, "malformed");
}

static void a_body_that_turns_out_not_to_be_understood(void **state)
{
    struct fixture *f = *state;
    f->needs_body = true;
    fixture_agent_says(f, CHUNKED "2\r\nhe\r\n"); /* while it is awaited */
    fixture_grant(f);
    fixture_agent_says(f, BROKEN);
    assert_broken(f);
    assert_string_equal(fixture_to_target(f), "");
    assert_int_equal(f->intent_count, 1);
    assert_string_equal(f->outcomes[0].error_code, "malformed");
}

static void a_body_that_breaks_on_its_way(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, CHUNKED "2\r\nhe\r\n");
    fixture_grant(f);
    fixture_agent_says(f, BROKEN);
    assert_broken(f);
    http_assert_has_not(fixture_to_target(f), "0\r\n\r\n");
    assert_int_equal(f->intent_count, 1);
    assert_int_equal(f->outcome_count, 1);
    assert_int_equal(f->outcomes[0].status, CHAPERONE__V1__STATUS__UNKNOWN);
    assert_string_equal(f->outcomes[0].error_code, "malformed");
}

static void a_body_that_breaks_behind_an_answer(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, CHUNKED "2\r\nhe\r\n");
    fixture_grant(f);
    fixture_target_says(f, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhi");
    http_assert_has(fixture_to_agent(f), "HTTP/1.1 200 ");
    fixture_agent_says(f, BROKEN);
    http_assert_has_not(fixture_to_agent(f), "HTTP/1.1 ");
    assert_true(f->is_closed);
    assert_int_equal(f->outcomes[0].status, CHAPERONE__V1__STATUS__UNKNOWN);
}

/* An answer that gives the credential back, split at every byte. */
static void an_echoed_credential_is_masked(void **state)
{
    static const char answer[] =
        "HTTP/1.1 200 OK\r\nX-Echo: " FIXTURE_SECRET "\r\nTransfer-Encoding: chunked\r\n\r\n"
        "9\r\n<SECRET-O\r\nd\r\nF-THE-TARGET>\r\n0\r\n\r\n";
    for (size_t i = 1; i < sizeof(answer) - 1; i++) {
        struct fixture *f = *state;
        fixture_agent_says(f, GET);
        if (!f->opened) {
            fixture_grant(f);
        }
        fixture_target(f, bytes_of(answer, i));
        fixture_target(f, bytes_of(answer + i, sizeof(answer) - 1 - i));
        const char *shown = fixture_to_agent(f);
        http_assert_has(shown, "x-echo: [masked]");
        http_assert_has_not(shown, "TARGET");
        assert_string_equal(f->outcomes[0].response, "<[masked]>");
        f->outcome_count = 0;
        f->intent_count = 0;
    }
}

/* What could be read in two ways is not shown; parts are not asked for. */
static void answers_that_hide_something(void **state)
{
    static const char *const heads[] = {
        "Content-Encoding: identity\r\nContent-Encoding: gzip\r\n",
        "Content-Type: text/plain\r\nContent-Type: application/json\r\n",
        "Content-Range: bytes 0-1/9\r\n",
    };
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        struct fixture f;
        char answer[256];
        (void)snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\n%sContent-Length: 2\r\n\r\nhi",
                       heads[i]);
        fixture_start(&f);
        fixture_agent_says(&f, "GET /a HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-1\r\n"
                               "If-Range: x\r\n\r\n");
        fixture_grant(&f);
        http_assert_has_not(fixture_to_target(&f), "ange:");
        fixture_target_says(&f, answer);
        http_assert_has(fixture_to_agent(&f), "HTTP/1.1 502 ");
        assert_int_not_equal(f.outcomes[0].status, CHAPERONE__V1__STATUS__SUCCESS);
        assert_string_equal(f.outcomes[0].response, "");
        fixture_stop(&f);
    }
    (void)state;
}

static void limits_of_bytes(void **state)
{
    struct fixture *f = *state;
    f->max_request = 4;
    fixture_agent_says(f, HEAD("Content-Length: 5\r\n") "hello");
    fixture_grant(f);
    http_assert_has(fixture_to_agent(f), "HTTP/1.1 413 ");
    assert_string_equal(fixture_to_target(f), "");
    assert_int_equal(f->outcomes[0].status, CHAPERONE__V1__STATUS__REFUSED);
    f->max_response = 1;
    fixture_agent_says(f, GET);
    fixture_target_says(f, OK_ANSWER);
    http_assert_has_not(fixture_to_agent(f), "hi");
    assert_string_equal(f->outcomes[1].error_code, "answer_too_large");
}

static void two_lengths_never_arrive(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, GET);
    fixture_grant(f);
    (void)fixture_to_target(f);
    fixture_target_says(f, OK_ANSWER);
    fixture_agent_says(f, HEAD("Content-Length: 5\r\nContent-Length: 6\r\n") "helloX");
    assert_string_equal(fixture_to_target(f), "");
    assert_string_equal(f->intents[1].rule, "protocol");
    http_assert_has(fixture_to_agent(f), "HTTP/1.1 400 ");
    assert_true(f->is_closed);
}

static void names_that_servers_confuse(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(
        f, "GET /a HTTP/1.1\r\nHost: localhost\r\nX-Team: care\r\nX_Team: admin\r\n\r\n");
    fixture_grant(f);
    http_assert_has(fixture_to_agent(f), "HTTP/1.1 400 ");
    assert_string_equal(fixture_to_target(f), "");
}

static void events_one_by_one(void **state)
{
    static const char stream[] = "event: tick\r\ndata: a\r\n\r\n: keep\n\ndata: b\ndata: c\n\n";
    struct fixture *f = *state;
    fixture_agent_says(f, GET);
    fixture_grant(f);
    fixture_target_says(f, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    for (size_t i = 0; i < sizeof(stream) - 1; i++) {
        fixture_target(f, bytes_of(stream + i, 1));
    }
    assert_int_equal(f->message_count, 2);
    assert_string_equal(f->messages[0], "< event:tick a");
    assert_string_equal(f->messages[1], "< event b\nc");
    const char *shown = fixture_to_agent(f);
    http_assert_has(shown, "event: tick\ndata: a\n\n");
    http_assert_has(shown, "data: b\ndata: c\n\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HTTP_TEST(a_request_goes_and_comes),
        HTTP_TEST(what_is_forwarded_is_what_was_decided),
        HTTP_TEST(a_denied_request_leaves_the_connection),
        HTTP_TEST(a_denied_request_that_is_the_last_one),
        HTTP_TEST(what_cannot_be_recorded_does_not_happen),
        HTTP_TEST(a_held_request_waits),
        HTTP_TEST(a_held_request_is_refused),
        HTTP_TEST(a_small_body_is_in_the_intent),
        HTTP_TEST(a_streamed_body_is_in_the_outcome),
        HTTP_TEST(a_body_that_is_needed_is_awaited),
        HTTP_TEST(who_expects_to_be_told_to_go_on),
        HTTP_TEST(a_body_that_cannot_be_understood),
        HTTP_TEST(a_body_that_turns_out_not_to_be_understood),
        HTTP_TEST(a_body_that_breaks_on_its_way),
        HTTP_TEST(a_body_that_breaks_behind_an_answer),
        HTTP_TEST(an_echoed_credential_is_masked),
        HTTP_TEST(answers_that_hide_something),
        HTTP_TEST(limits_of_bytes),
        HTTP_TEST(two_lengths_never_arrive),
        HTTP_TEST(names_that_servers_confuse),
        HTTP_TEST(events_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

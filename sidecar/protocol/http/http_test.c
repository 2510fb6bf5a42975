#include "sidecar/protocol/http/http_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define GET "GET /customers/42 HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define HEAD(more) "POST /pay HTTP/1.1\r\nHost: localhost\r\n" more "\r\n"
#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

static int start(void **state)
{
    struct fixture *f = malloc(sizeof(*f));
    if (f == NULL) {
        return -1;
    }
    fixture_start(f);
    *state = f;
    return 0;
}

static int stop(void **state)
{
    fixture_stop(*state);
    free(*state);
    return 0;
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" is not in: %s", part, text);
    }
}

static void assert_has_not(const char *text, const char *part)
{
    if (strstr(text, part) != NULL) {
        fail_msg("\"%s\" is in: %s", part, text);
    }
}

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
    assert_has(sent, "GET /customers/42 HTTP/1.1\r\n");
    assert_has(sent, "api.internal\r\n");
    assert_has(sent, "Bearer " FIXTURE_SECRET);
    fixture_target_says(f, OK_ANSWER);
    assert_int_equal(f->outcome_count, 1);
    assert_int_equal(f->outcomes[0].status, CHAPERONE__V1__STATUS__SUCCESS);
    assert_int_equal(f->outcomes[0].http_status, 200);
    assert_string_equal(f->outcomes[0].response, "hi");
    assert_has(fixture_to_agent(f), "\r\n\r\nhi");
    fixture_agent_says(f, GET); /* the connection goes on */
    assert_int_equal(f->intent_count, 2);
    assert_has(fixture_to_target(f), "GET /customers/42");
    assert_false(f->is_closed);
}

static void what_is_forwarded_is_what_was_decided(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, "GET /a/../%63ustomers/./%34?x=%41 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    fixture_grant(f);
    assert_string_equal(f->intents[0].path, "/customers/4?x=A");
    assert_has(fixture_to_target(f), "GET /customers/4?x=A HTTP/1.1\r\n");
}

static void a_denied_request_leaves_the_connection(void **state)
{
    struct fixture *f = *state;
    f->word = FIXTURE_DENY;
    fixture_agent_says(f, HEAD("Content-Length: 2\r\n") "xy");
    fixture_grant(f);
    const char *answer = fixture_to_agent(f);
    assert_has(answer, "HTTP/1.1 403 ");
    assert_has(answer, "application/problem+json");
    assert_has(answer, "\"rule\":\"test-rule\"");
    assert_int_equal(f->outcomes[0].status, CHAPERONE__V1__STATUS__REFUSED);
    assert_string_equal(fixture_to_target(f), "");
    f->word = FIXTURE_ALLOW;
    fixture_agent_says(f, GET);
    assert_has(fixture_to_target(f), "GET /customers/42");
    assert_false(f->is_closed);
}

static void a_denied_request_that_is_the_last_one(void **state)
{
    struct fixture *f = *state;
    f->word = FIXTURE_DENY;
    fixture_agent_says(f, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    fixture_grant(f);
    assert_has(fixture_to_agent(f), "HTTP/1.1 403 ");
    assert_true(f->is_closed);
}

static void what_cannot_be_recorded_does_not_happen(void **state)
{
    struct fixture *f = *state;
    f->word = FIXTURE_UNRECORDED;
    fixture_agent_says(f, GET);
    fixture_grant(f);
    assert_has(fixture_to_agent(f), "HTTP/1.1 503 ");
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
    assert_has(fixture_to_target(f), "\r\n\r\nxy");
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
    assert_has(answer, "HTTP/1.1 403 ");
    assert_has(answer, "\"approval\":\"approval-1\"");
    assert_has(answer, "retry-after: ");
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
    assert_has(fixture_to_target(f), "\r\n\r\nhello");
}

static void a_streamed_body_is_in_the_outcome(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, HEAD("Transfer-Encoding: chunked\r\n") "2\r\nhe\r\n");
    fixture_grant(f);
    assert_true(f->intents[0].body_follows);
    assert_has(fixture_to_target(f), "2\r\nhe\r\n");
    fixture_agent_says(f, "3\r\nllo\r\n0\r\n\r\n");
    assert_has(fixture_to_target(f), "0\r\n\r\n");
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
    assert_has(fixture_to_target(f), "hello");
}

static void who_expects_to_be_told_to_go_on(void **state)
{
    struct fixture *f = *state;
    f->needs_body = true;
    fixture_agent_says(f, HEAD("Content-Length: 5\r\nExpect: 100-continue\r\n"));
    fixture_grant(f);
    assert_has(fixture_to_agent(f), "HTTP/1.1 100 ");
    fixture_agent_says(f, "hello");
    assert_has_not(fixture_to_target(f), "xpect");
}

#define BROKEN "-1\r\nhello\r\n0\r\n\r\n"
#define CHUNKED HEAD("Transfer-Encoding: chunked\r\n")

static void assert_broken(struct fixture *f)
{
    const char *answer = fixture_to_agent(f);
    assert_has(answer, "HTTP/1.1 400 ");
    assert_has(answer, "\"rule\":\"protocol\"");
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
    assert_has_not(fixture_to_target(f), "0\r\n\r\n");
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
    assert_has(fixture_to_agent(f), "HTTP/1.1 200 ");
    fixture_agent_says(f, BROKEN);
    assert_has_not(fixture_to_agent(f), "HTTP/1.1 ");
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
        assert_has(shown, "x-echo: [masked]");
        assert_has_not(shown, "TARGET");
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
        assert_has_not(fixture_to_target(&f), "ange:");
        fixture_target_says(&f, answer);
        assert_has(fixture_to_agent(&f), "HTTP/1.1 502 ");
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
    assert_has(fixture_to_agent(f), "HTTP/1.1 413 ");
    assert_string_equal(fixture_to_target(f), "");
    assert_int_equal(f->outcomes[0].status, CHAPERONE__V1__STATUS__REFUSED);
    f->max_response = 1;
    fixture_agent_says(f, GET);
    fixture_target_says(f, OK_ANSWER);
    assert_has_not(fixture_to_agent(f), "hi");
    assert_string_equal(f->outcomes[1].error_code, "answer_too_large");
}

static void a_target_that_goes_away(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, GET);
    fixture_grant(f);
    fixture_target_ends(f);
    assert_int_equal(f->outcomes[0].status, CHAPERONE__V1__STATUS__UNKNOWN);
    assert_has(fixture_to_agent(f), "HTTP/1.1 502 ");
}

/* As targets do with connections that are idle. */
static void a_target_that_closed_gets_another_connection(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, GET);
    fixture_grant(f);
    fixture_target_says(f, OK_ANSWER);
    fixture_target_ends(f);
    assert_false(f->is_closed);
    assert_int_equal(f->connections, 1);
    (void)fixture_to_target(f);
    fixture_agent_says(f, GET);
    assert_int_equal(f->connections, 2);
    assert_string_equal(fixture_to_target(f), "");
    fixture_target_comes(f);
    assert_has(fixture_to_target(f), "GET /customers/42");
    fixture_target_says(f, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
    assert_has_not(fixture_to_agent(f), "onnection: close");
    fixture_target_ends(f);
    fixture_agent_says(f, GET);
    fixture_target_comes(f);
    assert_has(fixture_to_target(f), "GET /customers/42");
    assert_int_equal(f->outcome_count, 2);
    assert_int_equal(f->outcomes[1].status, CHAPERONE__V1__STATUS__SUCCESS);
}

#define HTTP2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
/* GET http://localhost/ and its end (RFC 7541 appendix A). */
#define HTTP2_GET(stream) "\0\0\x0e\1\5\0\0\0" stream "\x82\x86\x84\x41\x09localhost"
#define HTTP2_CANCEL(stream) "\0\0\4\3\0\0\0\0" stream "\0\0\0\x08"
#define BYTES(text) bytes_of(text, sizeof(text) - 1)

/* HTTP/1 has no other way to say so than the end of the connection: the target hears of it, and
 * what the agent asks next does not wait for the answer to it. */
static void a_request_that_the_agent_cancels(void **state)
{
    struct fixture *f = *state;
    fixture_agent(f, BYTES(HTTP2_PREFACE HTTP2_GET("\1")));
    fixture_grant(f);
    assert_has(fixture_to_target(f), "GET / HTTP/1.1\r\n");
    fixture_agent(f, BYTES(HTTP2_CANCEL("\1")));
    assert_false(f->connected);
    assert_false(f->is_closed);
    assert_int_equal(f->outcomes[0].status, CHAPERONE__V1__STATUS__UNKNOWN);
    fixture_agent(f, BYTES(HTTP2_GET("\3")));
    assert_int_equal(f->connections, 2);
    fixture_target_comes(f);
    assert_has(fixture_to_target(f), "GET / HTTP/1.1\r\n");
    fixture_target_says(f, OK_ANSWER);
    assert_int_equal(f->outcomes[1].status, CHAPERONE__V1__STATUS__SUCCESS);
}

/* People take longer to decide than a target waits for a request. */
static void a_held_request_outlives_the_targets_patience(void **state)
{
    struct fixture *f = *state;
    f->word = FIXTURE_HOLD;
    fixture_agent_says(f, GET);
    fixture_grant(f);
    fixture_target_ends(f);
    assert_int_equal(f->connections, 1);
    assert_false(f->is_closed);
    f->word = FIXTURE_ALLOW;
    fixture_agent_says(f, "");
    assert_int_equal(f->connections, 2);
    fixture_target_comes(f);
    assert_has(fixture_to_target(f), "GET /customers/42");
    assert_int_equal(f->intent_count, 1);
}

/* The request crossed the end of an idle connection: it is not known whether it was done, and the
 * agent sees what it would have seen without the sidecar. */
static void a_request_that_crosses_the_end(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, GET);
    fixture_grant(f);
    fixture_target_says(f, OK_ANSWER);
    (void)fixture_to_agent(f);
    fixture_agent_says(f, GET);
    fixture_target_ends(f);
    assert_int_equal(f->outcomes[1].status, CHAPERONE__V1__STATUS__UNKNOWN);
    assert_string_equal(fixture_to_agent(f), "");
    assert_true(f->is_closed);
}

static void half_an_answer_is_not_whole(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, GET);
    fixture_grant(f);
    fixture_target_says(f, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    fixture_target_ends(f);
    assert_int_equal(f->outcomes[0].status, CHAPERONE__V1__STATUS__UNKNOWN);
    assert_has_not(fixture_to_agent(f), "0\r\n\r\n");
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
    assert_has(fixture_to_agent(f), "HTTP/1.1 400 ");
    assert_true(f->is_closed);
}

static void another_token_is_another_connection(void **state)
{
    struct fixture *f = *state;
    f->shared.token_in_band = true;
    fixture_agent_says(f,
                       "GET /a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer one\r\n\r\n");
    assert_string_equal(f->token, "one");
    fixture_grant(f);
    assert_has_not(fixture_to_target(f), "Bearer one");
    fixture_target_says(f, OK_ANSWER);
    fixture_agent_says(f,
                       "GET /a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer two\r\n\r\n");
    assert_has(fixture_to_agent(f), "HTTP/1.1 401 ");
    assert_string_equal(fixture_to_target(f), "");
}

static void a_credential_that_ends_is_another_connection(void **state)
{
    struct fixture *f = *state;
    f->lifetime_ms = 100000;
    fixture_agent_says(f, GET);
    fixture_grant(f);
    f->now_ns = INT64_C(70000000000);
    fixture_target_says(f, OK_ANSWER);
    fixture_agent_says(f, GET);
    fixture_target_says(f, OK_ANSWER);
    assert_has_not(fixture_to_agent(f), "onnection: close");
    f->now_ns = INT64_C(76000000000);
    fixture_agent_says(f, GET);
    fixture_target_says(f, OK_ANSWER);
    assert_int_equal(f->outcome_count, 3);
    assert_has(fixture_to_agent(f), "onnection: close");
    assert_int_equal(f->step, PROTOCOL_CLOSE);
}

static void without_a_token(void **state)
{
    struct fixture *f = *state;
    f->shared.token_in_band = true;
    fixture_agent_says(f, GET);
    assert_false(f->identified);
    const char *answer = fixture_to_agent(f);
    assert_has(answer, "HTTP/1.1 401 ");
    assert_has(answer, "www-authenticate: Bearer\r\n");
}

static void a_foreign_host(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, "GET /a HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    fixture_grant(f);
    assert_has(fixture_to_agent(f), "HTTP/1.1 421 ");
    assert_string_equal(fixture_to_target(f), "");
}

static void names_that_servers_confuse(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(
        f, "GET /a HTTP/1.1\r\nHost: localhost\r\nX-Team: care\r\nX_Team: admin\r\n\r\n");
    fixture_grant(f);
    assert_has(fixture_to_agent(f), "HTTP/1.1 400 ");
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
    assert_has(shown, "event: tick\ndata: a\n\n");
    assert_has(shown, "data: b\ndata: c\n\n");
}

static void a_proxy_leads_where_it_is_told(void **state)
{
    struct fixture *f = *state;
    f->is_proxy = true;
    fixture_agent_says(f, "GET http://api.internal:81/a HTTP/1.1\r\nHost: api.internal:81\r\n\r\n");
    assert_string_equal(f->chosen, "api.internal:81");
    fixture_grant(f);
    assert_has(fixture_to_target(f), "GET /a HTTP/1.1\r\n");
}

static void a_tunnel_is_for_its_host(void **state)
{
    struct fixture *f = *state;
    f->is_proxy = true;
    fixture_agent_says(f, "CONNECT api.internal:80 HTTP/1.1\r\nHost: api.internal:80\r\n\r\n");
    assert_string_equal(f->chosen, "api.internal:80");
    assert_has(fixture_to_agent(f), "HTTP/1.1 200 ");
    fixture_grant(f);
    fixture_agent_says(f, "GET /a HTTP/1.1\r\nHost: other.example\r\n\r\n");
    assert_has(fixture_to_agent(f), "HTTP/1.1 421 ");
    fixture_agent_says(f, "GET /a HTTP/1.1\r\nHost: api.internal\r\n\r\n");
    assert_has(fixture_to_target(f), "GET /a HTTP/1.1\r\n");
}

static void a_proxy_refuses_other_hosts(void **state)
{
    static const char *const requests[] = {
        "GET http://other.example/ HTTP/1.1\r\nHost: other.example\r\n\r\n",
        "CONNECT other.example:443 HTTP/1.1\r\nHost: other.example:443\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: api.internal\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        struct fixture f;
        fixture_start(&f);
        f.is_proxy = true;
        fixture_agent_says(&f, requests[i]);
        assert_has(fixture_to_agent(&f), "HTTP/1.1 403 ");
        assert_false(f.identified);
        assert_true(f.is_closed);
        fixture_stop(&f);
    }
    (void)state;
}

static void an_ended_session_says_why(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, GET);
    fixture_grant(f);
    protocol_http.on_terminate(f->protocol, ERR_DENIED, "it was ended by ann", true);
    assert_has(fixture_to_agent(f), "it was ended by ann");
    protocol_http.on_close(f->protocol);
    assert_int_equal(f->outcomes[0].status, CHAPERONE__V1__STATUS__UNKNOWN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_goes_and_comes),
        TEST(what_is_forwarded_is_what_was_decided),
        TEST(a_denied_request_leaves_the_connection),
        TEST(a_denied_request_that_is_the_last_one),
        TEST(what_cannot_be_recorded_does_not_happen),
        TEST(a_held_request_waits),
        TEST(a_held_request_is_refused),
        TEST(a_small_body_is_in_the_intent),
        TEST(a_streamed_body_is_in_the_outcome),
        TEST(a_body_that_is_needed_is_awaited),
        TEST(who_expects_to_be_told_to_go_on),
        TEST(a_body_that_cannot_be_understood),
        TEST(a_body_that_turns_out_not_to_be_understood),
        TEST(a_body_that_breaks_on_its_way),
        TEST(a_body_that_breaks_behind_an_answer),
        TEST(an_echoed_credential_is_masked),
        TEST(answers_that_hide_something),
        TEST(limits_of_bytes),
        TEST(a_target_that_goes_away),
        TEST(a_target_that_closed_gets_another_connection),
        TEST(a_request_that_the_agent_cancels),
        TEST(a_held_request_outlives_the_targets_patience),
        TEST(a_request_that_crosses_the_end),
        TEST(half_an_answer_is_not_whole),
        TEST(two_lengths_never_arrive),
        TEST(another_token_is_another_connection),
        TEST(a_credential_that_ends_is_another_connection),
        TEST(without_a_token),
        TEST(a_foreign_host),
        TEST(names_that_servers_confuse),
        TEST(events_one_by_one),
        TEST(a_proxy_leads_where_it_is_told),
        TEST(a_tunnel_is_for_its_host),
        TEST(a_proxy_refuses_other_hosts),
        TEST(an_ended_session_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

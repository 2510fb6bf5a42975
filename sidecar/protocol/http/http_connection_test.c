/* Connections: whose they are, where they lead, and how they end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/protocol/http/http_assert.h"

static void a_target_that_goes_away(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, GET);
    fixture_grant(f);
    fixture_target_ends(f);
    assert_int_equal(f->outcomes[0].status, CHAPERONE__V1__STATUS__UNKNOWN);
    http_assert_has(fixture_to_agent(f), "HTTP/1.1 502 ");
}

#define GRPC "GET /a HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/grpc\r\n\r\n"

/* It said nothing of HTTP/2: what was asked of it has no answer, and the agent hears so. */
static void a_target_that_does_not_speak_http2(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, GRPC);
    fixture_grant(f);
    http_assert_has(fixture_to_target(f), "PRI * HTTP/2.0");
    fixture_target_says(f, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    http_assert_has(fixture_to_agent(f), "HTTP/1.1 502 ");
    assert_int_equal(f->outcome_count, 1);
    assert_int_equal(f->outcomes[0].status, CHAPERONE__V1__STATUS__UNKNOWN);
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
    http_assert_has(fixture_to_target(f), "GET /customers/42");
    fixture_target_says(f, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
    http_assert_has_not(fixture_to_agent(f), "onnection: close");
    fixture_target_ends(f);
    fixture_agent_says(f, GET);
    fixture_target_comes(f);
    http_assert_has(fixture_to_target(f), "GET /customers/42");
    assert_int_equal(f->outcome_count, 2);
    assert_int_equal(f->outcomes[1].status, CHAPERONE__V1__STATUS__SUCCESS);
}

#define HTTP2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
/* GET http://localhost/ and its end (RFC 7541 appendix A). */
#define HTTP2_GET(stream) "\0\0\x0e\1\5\0\0\0" stream "\x82\x86\x84\x41\x09localhost"
#define HTTP2_CANCEL(stream) "\0\0\4\3\0\0\0\0" stream "\0\0\0\x08"
#define BYTES(text) bytes_of(text, sizeof(text) - 1)
#define BYTES_OF(text)                                                                             \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }

/* HTTP/1 has no other way to say so than the end of the connection: the target hears of it, and
 * what the agent asks next does not wait for the answer to it. */
static void a_request_that_the_agent_cancels(void **state)
{
    struct fixture *f = *state;
    fixture_agent(f, BYTES(HTTP2_PREFACE HTTP2_GET("\1")));
    fixture_grant(f);
    http_assert_has(fixture_to_target(f), "GET / HTTP/1.1\r\n");
    fixture_agent(f, BYTES(HTTP2_CANCEL("\1")));
    assert_false(f->connected);
    assert_false(f->is_closed);
    assert_int_equal(f->outcomes[0].status, CHAPERONE__V1__STATUS__UNKNOWN);
    fixture_agent(f, BYTES(HTTP2_GET("\3")));
    assert_int_equal(f->connections, 2);
    fixture_target_comes(f);
    http_assert_has(fixture_to_target(f), "GET / HTTP/1.1\r\n");
    fixture_target_says(f, OK_ANSWER);
    assert_int_equal(f->outcomes[1].status, CHAPERONE__V1__STATUS__SUCCESS);
}

#define HTTP2_HEADERS(size, flags, stream) "\0\0" size "\1" flags "\0\0\0" stream
#define HTTP2_GRPC                                                                                 \
    HTTP2_HEADERS("\x21", "\5", "\1")                                                              \
    "\x82\x86\x84\x41\x09localhost\x0f\x10\x10"                                                    \
    "application/grpc"

static void an_answer_that_never_comes_is_not_awaited(void **state)
{
    struct fixture *f = *state;
    fixture_agent(f, BYTES(HTTP2_PREFACE HTTP2_GRPC));
    fixture_grant(f);
    http_assert_has(fixture_to_target(f), "PRI * HTTP/2.0");
    fixture_target_says(f, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    struct bytes answer = buffer_bytes(&f->to_agent);
    assert_non_null(memmem(answer.data, answer.size, "\"status\":502", 12));
    fixture_agent(f, BYTES(HTTP2_CANCEL("\1")));
    assert_int_equal(f->outcome_count, 1);
}

/* The agent still sends what nobody reads any more: on the next connection to the target there is
 * another request. */
static void a_withheld_answer_is_not_taken_for_the_next_ones(void **state)
{
    struct fixture *f = *state;
    fixture_agent(f, BYTES(HTTP2_PREFACE HTTP2_HEADERS(
                         "\x0e", "\4", "\1") "\x83\x86\x84\x41\x09localhost" HTTP2_GET("\3")));
    fixture_grant(f);
    http_assert_has(fixture_to_target(f), "POST / HTTP/1.1\r\n");
    fixture_target_says(f, "HTTP/1.1 200 OK\r\nContent-Encoding: unknown\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n");
    assert_string_equal(f->outcomes[0].error_code, "withheld");
    assert_int_equal(f->connections, 2);
    fixture_target_comes(f);
    http_assert_has(fixture_to_target(f), "GET / HTTP/1.1\r\n");
    fixture_target_says(f, OK_ANSWER);
    assert_int_equal(f->outcome_count, 2);
    assert_int_equal(f->outcomes[1].operation, 2);
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
    http_assert_has(fixture_to_target(f), "GET /customers/42");
    assert_int_equal(f->intent_count, 1);
}

#define HTTP2_POST_5(flags, stream)                                                                \
    HTTP2_HEADERS("\x12", flags, stream)                                                           \
    "\x83\x86\x84\x41\x09localhost\x0f\x0d\x01"                                                    \
    "5"
#define HTTP2_LAST_3(stream) "\0\0\3\0\1\0\0\0" stream "abc"

/* One that cannot be understood does not take the word of people from the one before it. */
static void a_held_request_outlives_a_broken_one(void **state)
{
    static const struct bytes broken[] = {
        BYTES_OF(HTTP2_GET("\3") HTTP2_POST_5("\5", "\5")),
        BYTES_OF(HTTP2_GET("\3") HTTP2_POST_5("\4", "\5") HTTP2_LAST_3("\5")),
    };
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct fixture f;
        fixture_start(&f);
        fixture_agent(&f, BYTES(HTTP2_PREFACE HTTP2_GET("\1")));
        fixture_grant(&f);
        fixture_target_says(&f, OK_ANSWER);
        (void)fixture_to_target(&f);
        f.word = FIXTURE_HOLD;
        fixture_agent(&f, broken[i]);
        assert_true(f.is_held);
        assert_int_equal(f.intent_count, 2);
        f.word = FIXTURE_ALLOW;
        fixture_agent_says(&f, "");
        http_assert_has(fixture_to_target(&f), "GET / HTTP/1.1\r\n");
        fixture_target_says(&f, OK_ANSWER);
        assert_int_equal(f.outcome_count, 3);
        assert_string_equal(f.intents[2].rule, "protocol");
        assert_string_equal(f.intents[2].text, i == 0 ? "(malformed request)"
                                                      : "POST (refused before it was decided)");
        fixture_stop(&f);
    }
    (void)state;
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
    http_assert_has_not(fixture_to_agent(f), "0\r\n\r\n");
}

static void another_token_is_another_connection(void **state)
{
    struct fixture *f = *state;
    f->shared.token_in_band = true;
    fixture_agent_says(f,
                       "GET /a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer one\r\n\r\n");
    assert_string_equal(f->token, "one");
    fixture_grant(f);
    http_assert_has_not(fixture_to_target(f), "Bearer one");
    fixture_target_says(f, OK_ANSWER);
    fixture_agent_says(f,
                       "GET /a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer two\r\n\r\n");
    http_assert_has(fixture_to_agent(f), "HTTP/1.1 401 ");
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
    http_assert_has_not(fixture_to_agent(f), "onnection: close");
    f->now_ns = INT64_C(76000000000);
    fixture_agent_says(f, GET);
    fixture_target_says(f, OK_ANSWER);
    assert_int_equal(f->outcome_count, 3);
    http_assert_has(fixture_to_agent(f), "onnection: close");
    assert_int_equal(f->step, PROTOCOL_CLOSE);
}

static void without_a_token(void **state)
{
    struct fixture *f = *state;
    f->shared.token_in_band = true;
    fixture_agent_says(f, GET);
    assert_false(f->identified);
    const char *answer = fixture_to_agent(f);
    http_assert_has(answer, "HTTP/1.1 401 ");
    http_assert_has(answer, "www-authenticate: Bearer\r\n");
}

static void a_foreign_host(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, "GET /a HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    fixture_grant(f);
    http_assert_has(fixture_to_agent(f), "HTTP/1.1 421 ");
    assert_string_equal(fixture_to_target(f), "");
}

static void a_proxy_leads_where_it_is_told(void **state)
{
    struct fixture *f = *state;
    f->is_proxy = true;
    fixture_agent_says(f, "GET http://api.internal:81/a HTTP/1.1\r\nHost: api.internal:81\r\n\r\n");
    assert_string_equal(f->chosen, "api.internal:81");
    fixture_grant(f);
    http_assert_has(fixture_to_target(f), "GET /a HTTP/1.1\r\n");
}

static void a_tunnel_is_for_its_host(void **state)
{
    struct fixture *f = *state;
    f->is_proxy = true;
    fixture_agent_says(f, "CONNECT api.internal:80 HTTP/1.1\r\nHost: api.internal:80\r\n\r\n");
    assert_string_equal(f->chosen, "api.internal:80");
    http_assert_has(fixture_to_agent(f), "HTTP/1.1 200 ");
    fixture_grant(f);
    fixture_agent_says(f, "GET /a HTTP/1.1\r\nHost: other.example\r\n\r\n");
    http_assert_has(fixture_to_agent(f), "HTTP/1.1 421 ");
    fixture_agent_says(f, "GET /a HTTP/1.1\r\nHost: api.internal\r\n\r\n");
    http_assert_has(fixture_to_target(f), "GET /a HTTP/1.1\r\n");
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
        http_assert_has(fixture_to_agent(&f), "HTTP/1.1 403 ");
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
    http_assert_has(fixture_to_agent(f), "it was ended by ann");
    protocol_http.on_close(f->protocol);
    assert_int_equal(f->outcomes[0].status, CHAPERONE__V1__STATUS__UNKNOWN);
}

/* What came whole before the agent's last byte is answered, whatever became of the rest. */
static void an_agent_that_ends_within_a_request(void **state)
{
    struct fixture *f = *state;
    fixture_agent(f, BYTES(HTTP2_PREFACE HTTP2_HEADERS(
                         "\x0e", "\4", "\1") "\x83\x86\x84\x41\x09localhost" HTTP2_GET("\3")));
    fixture_grant(f);
    http_assert_has(fixture_to_target(f), "POST / HTTP/1.1\r\n");
    assert_int_equal(protocol_http.on_end(f->protocol, SIDE_AGENT), PROTOCOL_MORE);
    assert_int_equal(f->outcomes[0].status, CHAPERONE__V1__STATUS__UNKNOWN);
    assert_int_equal(f->connections, 2);
    fixture_target_comes(f);
    http_assert_has(fixture_to_target(f), "GET / HTTP/1.1\r\n");
    fixture_target_says(f, OK_ANSWER);
    assert_int_equal(f->outcomes[1].status, CHAPERONE__V1__STATUS__SUCCESS);
    assert_true(f->is_closed);
}

/* ---- WebSockets ----------------------------------------------------------------------------- */

#define UPGRADE "Connection: Upgrade\r\nUpgrade: websocket\r\n"
#define SOCKET_CLOSE "\x88\x02\x03\xe8" /* 1000 */
#define SOCKET_CLOSE_OF_AGENT                                                                      \
    "\x88\x82"                                                                                     \
    "\0\0\0\0"                                                                                     \
    "\x03\xe8" /* masked, as a client's */

static void open_socket(struct fixture *f)
{
    fixture_agent_says(f, "GET /ws HTTP/1.1\r\nHost: localhost\r\n" UPGRADE
                          "Sec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    fixture_grant(f);
    fixture_target_says(f, "HTTP/1.1 101 Switching Protocols\r\n" UPGRADE
                           "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
    http_assert_has(fixture_to_agent(f), "HTTP/1.1 101 ");
    (void)fixture_to_target(f);
}

static void assert_closed_in_peace(struct fixture *f)
{
    assert_true(f->is_closed);
    assert_int_equal(f->outcome_count, 1);
    assert_string_equal(f->outcomes[0].error_code, "");
    assert_int_equal(f->outcomes[0].status, CHAPERONE__V1__STATUS__SUCCESS);
}

static void a_websocket_that_the_target_closes(void **state)
{
    struct fixture *f = *state;
    open_socket(f);
    fixture_target(f, BYTES(SOCKET_CLOSE));
    struct bytes told = buffer_bytes(&f->to_agent);
    assert_true(bytes_equal(told, BYTES(SOCKET_CLOSE)));
    fixture_agent(f, BYTES(SOCKET_CLOSE_OF_AGENT));
    assert_closed_in_peace(f);
}

static void a_websocket_that_the_agent_closes(void **state)
{
    struct fixture *f = *state;
    open_socket(f);
    fixture_agent(f, BYTES(SOCKET_CLOSE_OF_AGENT));
    assert_int_equal(buffer_size(&f->to_target), sizeof(SOCKET_CLOSE_OF_AGENT) - 1);
    fixture_target(f, BYTES(SOCKET_CLOSE));
    assert_closed_in_peace(f);
}

/* Both sides are told why, before their connections end. */
static void a_websocket_that_the_policy_ends(void **state)
{
    struct fixture *f = *state;
    f->max_request = 4;
    open_socket(f);
    fixture_agent(f, BYTES("\x81\x85"
                           "\0\0\0\0"
                           "hello"));
    assert_true(bytes_equal(buffer_bytes(&f->to_agent), BYTES("\x88\x02\x03\xf0"))); /* 1008 */
    assert_int_equal(buffer_size(&f->to_target), sizeof(SOCKET_CLOSE_OF_AGENT) - 1);
    assert_true(f->connected); /* else what was said to it would be dropped */
    assert_true(f->is_closed);
    assert_string_equal(f->outcomes[0].error_code, "websocket");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HTTP_TEST(a_target_that_goes_away),
        HTTP_TEST(a_target_that_does_not_speak_http2),
        HTTP_TEST(a_target_that_closed_gets_another_connection),
        HTTP_TEST(a_request_that_the_agent_cancels),
        HTTP_TEST(an_answer_that_never_comes_is_not_awaited),
        HTTP_TEST(a_withheld_answer_is_not_taken_for_the_next_ones),
        HTTP_TEST(a_held_request_outlives_the_targets_patience),
        HTTP_TEST(a_held_request_outlives_a_broken_one),
        HTTP_TEST(a_request_that_crosses_the_end),
        HTTP_TEST(half_an_answer_is_not_whole),
        HTTP_TEST(another_token_is_another_connection),
        HTTP_TEST(a_credential_that_ends_is_another_connection),
        HTTP_TEST(without_a_token),
        HTTP_TEST(a_foreign_host),
        HTTP_TEST(a_proxy_leads_where_it_is_told),
        HTTP_TEST(a_tunnel_is_for_its_host),
        HTTP_TEST(a_proxy_refuses_other_hosts),
        HTTP_TEST(an_ended_session_says_why),
        HTTP_TEST(an_agent_that_ends_within_a_request),
        HTTP_TEST(a_websocket_that_the_target_closes),
        HTTP_TEST(a_websocket_that_the_agent_closes),
        HTTP_TEST(a_websocket_that_the_policy_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What an agent or a target may try: nothing of it ends the process, waits for ever, or gets past
 * what is decided and recorded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "sidecar/protocol/http/http_assert.h"

#define BYTES(text) bytes_of(text, sizeof(text) - 1)
#define HTTP2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
#define HTTP2_HEADERS(size, flags, stream) "\0\0" size "\1" flags "\0\0\0" stream
/* RFC 7541 appendix A. */
#define HTTP2_GET(stream) HTTP2_HEADERS("\x0e", "\5", stream) "\x82\x86\x84\x41\x09localhost"
#define HTTP2_CONNECT(stream)                                                                      \
    HTTP2_HEADERS("\x1a", "\4", stream)                                                            \
    "\x02\x07"                                                                                     \
    "CONNECT\x41\x0f"                                                                              \
    "api.internal:80"

static bool agent_got(const struct fixture *f, const char *part)
{
    struct bytes all = buffer_bytes(&f->to_agent);
    return all.size > 0 && memmem(all.data, all.size, part, strlen(part)) != NULL;
}

/* A body that nobody has all of, sent as fast as it is taken. */
static void agent_sends(struct fixture *f, size_t size)
{
    static uint8_t piece[16 << 10];
    memset(piece, 'x', sizeof(piece));
    while (size > 0) {
        size_t n = size < sizeof(piece) ? size : sizeof(piece);
        fixture_agent(f, bytes_of(piece, n));
        size -= n;
    }
}

/* ---- a proxy -------------------------------------------------------------------------------- */

/* What follows CONNECT there is a stream of the same connection, not the tunnel. */
static void a_tunnel_within_http2_is_refused(void **state)
{
    struct fixture *f = *state;
    f->is_proxy = true;
    fixture_agent(f, BYTES(HTTP2_PREFACE HTTP2_CONNECT("\1") HTTP2_GET("\3")));
    assert_false(f->identified);
    assert_true(agent_got(f, "\"status\":501"));
    assert_int_equal(f->intent_count, 0);
}

/* ---- hosts ---------------------------------------------------------------------------------- */

/* Whoever has a domain may lead a name of it to this machine. */
static void a_name_that_looks_like_this_machine(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, "GET /a HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n\r\n");
    fixture_grant(f);
    http_assert_has(fixture_to_agent(f), "HTTP/1.1 421 ");
    fixture_agent_says(f, "GET /a HTTP/1.1\r\nHost: 127.0.0.2:8080\r\n\r\n");
    http_assert_has(fixture_to_target(f), "GET /a HTTP/1.1\r\n");
}

/* ---- bodies --------------------------------------------------------------------------------- */

enum { LARGE = 400 << 10 }; /* more than a window */

/* It came before the target was there, and filled the window. */
static void a_body_that_is_awaited_and_was_early(void **state)
{
    struct fixture *f = *state;
    f->shared.statement_max = 512 << 10;
    f->needs_body = true;
    fixture_agent_says(f,
                       "POST /pay HTTP/1.1\r\nHost: localhost\r\nContent-Length: 409600\r\n\r\n");
    agent_sends(f, LARGE);
    fixture_grant(f);
    assert_int_equal(f->intent_count, 1);
    assert_false(f->intents[0].body_follows);
    assert_true(buffer_size(&f->to_target) > LARGE);
}

/* A target that closes at once would be connected to again and again, while the agent takes its
 * time. */
static void a_target_is_not_needed_before_the_body_is_there(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, HEAD("Content-Length: 2\r\n") "x");
    fixture_grant(f);
    fixture_target_ends(f);
    fixture_agent_says(f, "");
    assert_int_equal(f->connections, 1);
    fixture_agent_says(f, "y");
    assert_int_equal(f->connections, 2);
    fixture_target_comes(f);
    http_assert_has(fixture_to_target(f), "\r\n\r\nxy");
    assert_string_equal(f->intents[0].body, "xy");
}

static uint64_t processor_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

enum { STREAMS = 100, FIELDS = 200 };

/* POST / with 200 fields and 16 KiB to come, on a stream that stays open. */
static void begin_post(struct fixture *f, uint8_t stream)
{
    static const char start[] = "\x83\x86\x84\x41\x09localhost\x0f\x0d\x05"
                                "16384";
    uint8_t frame[9 + sizeof(start) - 1 + FIELDS * 8] = {0, 0, 0, 1, 4, 0, 0, 0, stream};
    size_t at = 9 + sizeof(start) - 1;
    memcpy(frame + 9, start, sizeof(start) - 1);
    for (size_t i = 0; i < FIELDS; i++) { /* literals that are not kept: "x-ab: y" */
        const uint8_t field[] = {0, 4,  'x', '-', (uint8_t)('a' + i / 16), (uint8_t)('a' + i % 16),
                                 1, 'y'};
        memcpy(frame + at, field, sizeof(field));
        at += sizeof(field);
    }
    frame[1] = (uint8_t)((at - 9) >> 8);
    frame[2] = (uint8_t)(at - 9);
    fixture_agent(f, bytes_of(frame, at));
}

/* Whether they are waited for is asked once, and not of all of them with each of their bytes. */
static void bodies_in_small_pieces(void **state)
{
    struct fixture *f = *state;
    fixture_agent(f, BYTES(HTTP2_PREFACE));
    for (size_t i = 0; i < STREAMS; i++) {
        begin_post(f, (uint8_t)(1 + 2 * i));
    }
    fixture_grant(f);
    uint64_t before = processor_ms();
    for (size_t i = 0; i < 30; i++) {
        for (size_t k = 0; k < STREAMS; k++) {
            const uint8_t frame[] = {0, 0, 1, 0, 0, 0, 0, 0, (uint8_t)(1 + 2 * k), 'x'};
            fixture_agent(f, bytes_of(frame, sizeof(frame)));
        }
    }
    assert_true(processor_ms() - before < 3000); /* it took fourteen seconds */
    assert_false(f->is_closed);
    assert_int_equal(f->intent_count, 0);
}

#define HTTP2_SETTINGS "\0\0\0\4\0\0\0\0\0"
#define HTTP2_413                                                                                  \
    HTTP2_HEADERS("\5", "\5", "\1")                                                                \
    "\x08\x03"                                                                                     \
    "413"

/* What waits for the target's window is waited for no more. */
static void an_answer_before_the_body_left(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, "POST /pay HTTP/1.1\r\nHost: localhost\r\nContent-Length: 409600\r\n"
                          "Content-Type: application/grpc\r\n\r\n");
    fixture_grant(f);
    fixture_target(f, BYTES(HTTP2_SETTINGS));
    agent_sends(f, LARGE);
    assert_true(buffer_size(&f->agent_rest) > 0);
    fixture_target(f, BYTES(HTTP2_413));
    http_assert_has(fixture_to_agent(f), "HTTP/1.1 413 ");
    fixture_agent_says(f, GET);
    assert_int_equal(buffer_size(&f->agent_rest), 0);
    assert_int_equal(f->intent_count, 2);
}

/* The target never gets the rest of the request, and is not asked again where it waits for it. */
static void an_answer_withheld_before_the_request_is_whole(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, HEAD("Transfer-Encoding: chunked\r\n") "3\r\nabc\r\n");
    fixture_grant(f);
    fixture_target_says(f, "HTTP/1.1 200 OK\r\nContent-Encoding: unknown\r\n"
                           "Content-Length: 3\r\n\r\n");
    http_assert_has(fixture_to_agent(f), "HTTP/1.1 502 ");
    fixture_agent_says(f, "0\r\n\r\n");
    assert_false(f->connected);
    fixture_agent_says(f, GET);
    assert_int_equal(f->connections, 2);
    fixture_target_comes(f);
    http_assert_has(fixture_to_target(f), "GET /customers/42");
}

/* ---- masks and the record ------------------------------------------------------------------- */

#define HIDES_MAIL "[{\"detect\":[\"email\"],\"with\":{\"fixed\":\"[hidden]\"}}]"

/* What a mask hides could be guessed, and compared with the digest. */
static void a_digest_behind_what_is_masked(void **state)
{
    struct fixture *f = *state;
    fixture_mask(f, HIDES_MAIL);
    fixture_agent_says(f, GET);
    fixture_grant(f);
    fixture_target_says(f, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n"
                           "8\r\na@b.org\n\r\n"
                           "0\r\nRepr-Digest: sha-256=:abc=:\r\nX-Count: 1\r\n\r\n");
    const char *answer = fixture_to_agent(f);
    http_assert_has(answer, "[hidden]");
    http_assert_has_not(answer, "sha-256");
    http_assert_has(answer, "x-count: 1\r\n");
}

/* Whatever way it took to the target. */
static void all_of_a_streamed_body_is_recorded(void **state)
{
    struct fixture *f = *state;
    fixture_mask(f, HIDES_MAIL);
    fixture_agent_says(f, HEAD("Transfer-Encoding: chunked\r\nContent-Type: text/plain\r\n"));
    fixture_grant(f);
    fixture_agent_says(f, "b\r\nto a@b.org!\r\n0\r\n\r\n");
    http_assert_has(fixture_to_target(f), "to a@b.org!");
    fixture_target_says(f, OK_ANSWER);
    assert_string_equal(f->outcomes[0].request_body, "to [hidden]!");
}

static void an_events_name_is_recorded_as_it_is_shown(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, GET);
    fixture_grant(f);
    fixture_target_says(f, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
                           "event: " FIXTURE_SECRET "\ndata: x\n\n");
    http_assert_has(fixture_to_agent(f), "event: [masked]\n");
    assert_string_equal(f->messages[0], "< event:[masked] x");
}

/* ---- messages of streams -------------------------------------------------------------------- */

/* Lines end in CR, LF or both, and where a piece ends makes no difference. */
static void events_cut_anywhere(void **state)
{
    static const char events[] = "data: a\r\ndata: b\r\n\r\nevent: c\rdata: d\r\r"
                                 "data: e\n\n: f\r\n\ndata: g\r\n\r";
    static const char *const messages[] = {"< event a\nb", "< event:c d", "< event e", "< event g"};
    for (size_t cut = 0; cut < sizeof(events); cut++) {
        struct fixture f;
        fixture_start(&f);
        fixture_agent_says(&f, GET);
        fixture_grant(&f);
        fixture_target_says(&f, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
        fixture_target(&f, bytes_of(events, cut));
        fixture_target(&f, bytes_of(events + cut, sizeof(events) - 1 - cut));
        fixture_target_ends(&f);
        assert_int_equal(f.message_count, 4);
        for (size_t i = 0; i < 4; i++) {
            assert_string_equal(f.messages[i], messages[i]);
        }
        fixture_stop(&f);
    }
    (void)state;
}

/* Each byte of it is looked at once, however small the pieces are that it comes in. */
static void an_event_in_small_pieces(void **state)
{
    struct fixture *f = *state;
    static uint8_t start[900 << 10];
    char chunk[32];
    fixture_agent_says(f, GET);
    fixture_grant(f);
    fixture_target_says(f, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n");
    memset(start, 'x', sizeof(start));
    memcpy(start, "data:", 5);
    (void)snprintf(chunk, sizeof(chunk), "%zx\r\n", sizeof(start));
    fixture_target_says(f, chunk);
    for (size_t at = 0; at < sizeof(start); at += 60 << 10) {
        fixture_target(f, bytes_of(start + at, 60 << 10));
    }
    fixture_target_says(f, "\r\n");
    uint64_t before = processor_ms();
    for (size_t i = 0; i < 20000; i++) {
        fixture_target_says(f, "1\r\nx\r\n");
    }
    fixture_target_says(f, "2\r\n\n\n\r\n");
    assert_true(processor_ms() - before < 4000); /* it took twenty seconds */
    assert_int_equal(f->message_count, 1);
    assert_true(buffer_size(&f->to_agent) > sizeof(start) + 20000);
}

#define UPGRADE "Connection: Upgrade\r\nUpgrade: websocket\r\n"

/* There it would be another kind of CONNECT (RFC 8441). */
static void a_websocket_to_a_target_of_http2(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, "GET /ws HTTP/1.1\r\nHost: localhost\r\n" UPGRADE
                          "Content-Type: application/grpc\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    fixture_grant(f);
    http_assert_has(fixture_to_agent(f), "HTTP/1.1 501 ");
    assert_string_equal(f->end, "");
    fixture_agent_says(f, GET);
    assert_int_equal(f->intent_count, 2);
    assert_string_equal(f->intents[0].rule, "protocol");
}

/* Each of the pieces takes more memory than its one byte. */
static void a_message_of_too_many_fragments(void **state)
{
    struct fixture *f = *state;
    fixture_agent_says(f, "GET /ws HTTP/1.1\r\nHost: localhost\r\n" UPGRADE
                          "Sec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    fixture_grant(f);
    fixture_target_says(f, "HTTP/1.1 101 Switching Protocols\r\n" UPGRADE
                           "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
    fixture_target(f, BYTES("\x01\x01x"));
    for (size_t i = 0; i < 70000 && !f->is_closed; i++) {
        fixture_target(f, BYTES("\x00\x01x"));
    }
    assert_true(f->is_closed);
    assert_string_equal(f->outcomes[0].error_code, "websocket");
    assert_int_equal(f->message_count, 0);
}

/* ---- trailers ------------------------------------------------------------------------------- */

#define TRAILED(trailer) HEAD("Transfer-Encoding: chunked\r\n") "1\r\nx\r\n0\r\n" trailer "\r\n\r\n"

/* Servers that read trailers as headers would take the agent's for the sidecar's. */
static void a_credential_of_the_agents_own_in_trailers(void **state)
{
    struct fixture *f = *state;
    f->credential = "x-api-key";
    fixture_agent_says(f, TRAILED("X-Api-Key: mine\r\nX_Api_Key: mine\r\nX-Count: 1"));
    fixture_grant(f);
    const char *sent = fixture_to_target(f);
    http_assert_has(sent, FIXTURE_SECRET);
    http_assert_has_not(sent, "mine");
    http_assert_has(sent, "x-count: 1\r\n");
}

static void an_approval_is_of_the_trailers_too(void **state)
{
    static const char *const requests[] = {TRAILED("X-Count: 1"), TRAILED("X-Count: 2")};
    uint8_t digests[2][CRYPTO_SHA256_SIZE];
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        fixture_start(&f);
        f.needs_body = true;
        f.word = FIXTURE_HOLD;
        fixture_agent_says(&f, requests[i]);
        fixture_grant(&f);
        assert_true(f.is_held);
        memcpy(digests[i], f.digest, sizeof(digests[i]));
        fixture_stop(&f);
    }
    assert_memory_not_equal(digests[0], digests[1], CRYPTO_SHA256_SIZE);
    (void)state;
}

/* ---- approvals ------------------------------------------------------------------------------ */

/* It was away while people decided, and is gone when they have. */
static void an_approved_request_whose_target_is_gone(void **state)
{
    struct fixture *f = *state;
    f->word = FIXTURE_HOLD;
    fixture_agent_says(f, GET);
    fixture_grant(f);
    fixture_target_ends(f);
    f->word = FIXTURE_ALLOW;
    fixture_agent_says(f, "");
    assert_int_equal(f->connections, 2);
    f->step =
        protocol_http.on_failed(f->protocol, SIDE_TARGET, ERR_UNAVAILABLE, "connection refused");
    http_assert_has(fixture_to_agent(f), "HTTP/1.1 502 ");
    assert_int_equal(f->step, PROTOCOL_CLOSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HTTP_TEST(a_tunnel_within_http2_is_refused),
        HTTP_TEST(a_name_that_looks_like_this_machine),
        HTTP_TEST(a_body_that_is_awaited_and_was_early),
        HTTP_TEST(a_target_is_not_needed_before_the_body_is_there),
        HTTP_TEST(bodies_in_small_pieces),
        HTTP_TEST(an_answer_before_the_body_left),
        HTTP_TEST(an_answer_withheld_before_the_request_is_whole),
        HTTP_TEST(a_digest_behind_what_is_masked),
        HTTP_TEST(all_of_a_streamed_body_is_recorded),
        HTTP_TEST(an_events_name_is_recorded_as_it_is_shown),
        HTTP_TEST(events_cut_anywhere),
        HTTP_TEST(an_event_in_small_pieces),
        HTTP_TEST(a_websocket_to_a_target_of_http2),
        HTTP_TEST(a_message_of_too_many_fragments),
        HTTP_TEST(a_credential_of_the_agents_own_in_trailers),
        HTTP_TEST(an_approved_request_whose_target_is_gone),
        HTTP_TEST(an_approval_is_of_the_trailers_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

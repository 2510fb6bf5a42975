#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/protocol/http/http1/http1_peer.h"

static const struct {
    const char *method, *bytes, *events;
    bool is_over;
} understood[] = {
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello",
     "response 1 200 body=5 [x-a=b]\ndata hello\nend 1\n", false},
    {"GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "response 1 200 body=0 none\nend 1\n",
     false},
    {"GET", "HTTP/1.1 404 \r\ncontent-length:0\r\n\r\n", "response 1 404 body=0 none\nend 1\n",
     false},
    {"GET",
     "HTTP/1.1 200 \xc3\xa9\r\ntransfer-encoding: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n"
     "Grpc-Status: 0\r\n\r\n",
     "response 1 200 body=-1\ndata hello\ntrailers 1 [grpc-status=0]\nend 1\n", false},
    {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n",
     "response 1 200 body=500 none\nend 1\n", false},
    {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
     "response 1 200 body=-1 none\nend 1\n", false},
    {"HEAD", "HTTP/1.1 200 OK\r\n\r\n", "response 1 200 body=-1 none\nend 1\n", false},
    {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n",
     "response 1 304 body=500 none\nend 1\n", false},
    {"GET", "HTTP/1.1 204 No Content\r\n\r\n", "response 1 204 body=0 none\nend 1\n", false},
    {"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
     "response 1 204 body=0 none\nend 1\n", false},
    {"GET",
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
     "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!",
     "informational 1 100 body=0 none\ninformational 1 103 body=0 none [link=x]\n"
     "response 1 200 body=1\ndata !\nend 1\n",
     false},
    {"GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n!",
     "going away 1\nresponse 1 200 body=1\ndata !\nend 1\n", true},
    {"GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n!",
     "going away 1\nresponse 1 200 body=1\ndata !\nend 1\n", true},
    {"GET",
     "HTTP/1.1 200 OK\r\nUpgrade: h2,h2c\r\nConnection: Upgrade, Keep-Alive\r\n"
     "Keep-Alive: timeout=5\r\nContent-Length: 1\r\nHost: x\r\nExpect: y\r\n\r\n!",
     "response 1 200 body=1 [host=x] [expect=y]\ndata !\nend 1\n", false},
    {"CONNECT", "HTTP/1.1 200 OK\r\n\r\n", "response 1 200 body=-1 none\nend 1\n", false},
    {"CONNECT", "HTTP/1.1 403 No\r\nContent-Length: 1\r\n\r\n!",
     "response 1 403 body=1\ndata !\nend 1\n", false},
};

static void test_understands_responses_at_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(understood) / sizeof(understood[0]); i++) {
        struct bytes all = bytes_of_string(understood[i].bytes);
        for (size_t at = 0; at <= all.size; at++) {
            struct http1_peer p;
            http1_peer_init_client(&p);
            assert_int_equal(http1_peer_ask(&p, understood[i].method, "/"), 1);
            http1_peer_feed(&p, bytes_of(all.data, at));
            http1_peer_feed(&p, bytes_of(all.data + at, all.size - at));
            assert_string_equal(http1_peer_log(&p), understood[i].events);
            assert_int_equal(p.codec->ops->is_over(p.codec), understood[i].is_over);
            http1_peer_finish(&p);
        }
    }
}

static void test_asks_again_on_the_same_connection(void **state)
{
    (void)state;
    struct http1_peer p;
    http1_peer_init_client(&p);
    assert_int_equal(http1_peer_ask(&p, "GET", "/a?b"), 1);
    assert_false(p.codec->ops->can_request(p.codec));
    assert_int_equal(http1_peer_ask(&p, "GET", "/c"), 0);
    http1_peer_feed_text(&p, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!");
    assert_true(p.codec->ops->can_request(p.codec));
    assert_int_equal(http1_peer_ask(&p, "OPTIONS", "*"), 3);
    assert_string_equal(http1_peer_out(&p), "GET /a?b HTTP/1.1\r\nhost: a.example\r\n\r\n"
                                            "OPTIONS * HTTP/1.1\r\nhost: a.example\r\n\r\n");
    http1_peer_finish(&p);
}

static const struct {
    const char *method;
    int64_t body_size;
    bool has_body, continues, upgrades;
    const char *out;
} framings[] = {
    {"GET", 0, false, false, false, "GET /p HTTP/1.1\r\nhost: h:1\r\nx: y\r\n\r\n"},
    {"POST", 0, false, false, false,
     "POST /p HTTP/1.1\r\nhost: h:1\r\nx: y\r\ncontent-length: 0\r\n\r\n"},
    {"POST", 2, true, false, false,
     "POST /p HTTP/1.1\r\nhost: h:1\r\nx: y\r\ncontent-length: 2\r\n\r\nab"},
    {"DELETE", 2, true, true, false,
     "DELETE /p HTTP/1.1\r\nhost: h:1\r\nx: y\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
     "ab"},
    {"GET", 0, false, true, true,
     "GET /p HTTP/1.1\r\nhost: h:1\r\nx: y\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"},
    {"PUT", -1, true, false, false,
     "PUT /p HTTP/1.1\r\nhost: h:1\r\nx: y\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"
     "x-t: v\r\n\r\n"},
};

static void test_frames_requests(void **state)
{
    (void)state;
    const struct http_field fields[] = {
        {bytes_of_string("x"), bytes_of_string("y")},
        {bytes_of_string("host"), bytes_of_string("evil")},
        {bytes_of_string("content-length"), bytes_of_string("77")},
        {bytes_of_string("transfer-encoding"), bytes_of_string("chunked")},
        {bytes_of_string("connection"), bytes_of_string("x")},
        {bytes_of_string("te"), bytes_of_string("trailers")},
        {bytes_of_string("upgrade"), bytes_of_string("h2c")},
    };
    const struct http_field trailer = {bytes_of_string("x-t"), bytes_of_string("v")};
    for (size_t i = 0; i < sizeof(framings) / sizeof(framings[0]); i++) {
        struct http1_peer p;
        const struct http_request r = {.method = bytes_of_string(framings[i].method),
                                       .scheme = bytes_of_string("https"),
                                       .authority = bytes_of_string("h:1"),
                                       .target = bytes_of_string("/p"),
                                       .fields = {fields, 7},
                                       .body_size = framings[i].body_size,
                                       .is_websocket = framings[i].upgrades,
                                       .expects_continue = framings[i].continues,
                                       .is_absolute = true};
        http1_peer_init_client(&p);
        assert_int_equal(p.codec->ops->send_request(p.codec, &r, framings[i].has_body), 1);
        p.codec->ops->send_data(p.codec, 1, bytes_of_string("ab"));
        p.codec->ops->send_end(p.codec, 1, &(struct http_fields){&trailer, 1});
        assert_string_equal(http1_peer_out(&p), framings[i].out);
        http1_peer_finish(&p);
    }
}

static void test_writes_no_other_lines(void **state)
{
    (void)state;
    const struct http_request good = {.method = bytes_of_string("GET"),
                                      .authority = bytes_of_string("a"),
                                      .target = bytes_of_string("/")};
    const struct http_field bad_value = {bytes_of_string("x"), bytes_of_string("a\r\nb: c")};
    const struct http_field bad_name = {bytes_of_string("x:"), bytes_of_string("a")};
    struct http_request cases[7];
    for (size_t i = 0; i < 7; i++) {
        cases[i] = good;
    }
    cases[0].method = bytes_of_string("GET / HTTP/1.1\r\nx:");
    cases[1].method = bytes_of_string("");
    cases[2].target = bytes_of_string("/ HTTP/1.1\r\nx: y");
    cases[3].target = bytes_of_string("");
    cases[4].authority = bytes_of_string("a\r\nx: y");
    cases[5].fields = (struct http_fields){&bad_value, 1};
    cases[6].fields = (struct http_fields){&bad_name, 1};
    for (size_t i = 0; i < 7; i++) {
        struct http1_peer p;
        http1_peer_init_client(&p);
        assert_int_equal(p.codec->ops->send_request(p.codec, &cases[i], false), 0);
        assert_string_equal(http1_peer_out(&p), "");
        http1_peer_finish(&p);
    }
}

static void test_reads_until_the_end(void **state)
{
    (void)state;
    struct http1_peer p;
    http1_peer_init_client(&p);
    (void)http1_peer_ask(&p, "GET", "/");
    http1_peer_feed_text(&p, "HTTP/1.0 200 OK\r\n\r\nall ");
    http1_peer_feed_text(&p, "of it");
    http1_peer_feed_end(&p);
    assert_string_equal(http1_peer_log(&p),
                        "going away 1\nresponse 1 200 body=-1\ndata all of it\nend 1\n");
    assert_true(p.codec->ops->is_over(p.codec));
    http1_peer_finish(&p);
}

/* What was offered beyond the window and never again is missing. */
static void test_misses_what_was_beyond_the_window(void **state)
{
    (void)state;
    static const uint8_t zeros[HTTP_WINDOW + 500];
    struct http1_peer p;
    http1_peer_init_client(&p);
    p.holds = true;
    (void)http1_peer_ask(&p, "GET", "/");
    http1_peer_feed_text(&p, "HTTP/1.1 200 OK\r\n\r\n");
    http1_peer_feed(&p, bytes_of(zeros, sizeof(zeros)));
    http1_peer_feed_end(&p);
    assert_int_equal(p.failed, 1);
    assert_int_equal(p.problem, HTTP_PROBLEM_ENDED);
    assert_null(strstr(http1_peer_log(&p), "end 1"));
    assert_true(p.codec->ops->is_over(p.codec));
    http1_peer_finish(&p);
}

static void test_notices_the_end(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http1_peer p;
        http1_peer_init_client(&p);
        (void)http1_peer_ask(&p, "GET", "/");
        http1_peer_feed_text(&p, cases[i]);
        http1_peer_feed_end(&p);
        assert_int_equal(p.failed, 1);
        assert_int_equal(p.stream, 1);
        assert_int_equal(p.problem, HTTP_PROBLEM_ENDED);
        assert_true(p.codec->ops->is_over(p.codec));
        http1_peer_finish(&p);
    }
    struct http1_peer p;
    http1_peer_init_client(&p);
    http1_peer_feed_end(&p);
    assert_string_equal(http1_peer_log(&p), "going away 0\n");
    assert_true(p.codec->ops->is_over(p.codec));
    http1_peer_finish(&p);
}

/* Two responses to one request: the second would be taken for the next one's. */
static void test_trusts_nothing_behind_a_response(void **state)
{
    (void)state;
    static const char *const responses[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!",
        "HTTP/1.1 204 No\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n!\r\n0\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(responses) / sizeof(responses[0]); i++) {
        for (unsigned together = 0; together < 2; together++) {
            char all[256];
            struct http1_peer p;
            http1_peer_init_client(&p);
            (void)http1_peer_ask(&p, "GET", "/");
            (void)snprintf(all, sizeof(all), "%s%s", responses[i],
                           together == 1 ? responses[0] : "");
            http1_peer_feed_text(&p, all);
            if (together == 0) {
                http1_peer_feed_text(&p, responses[0]);
            }
            assert_non_null(strstr(http1_peer_log(&p), "end 1\nfailed 0 "));
            assert_int_equal(p.failed, 1);
            assert_true(p.codec->ops->is_over(p.codec));
            assert_int_equal(http1_peer_ask(&p, "GET", "/"), 0);
            http1_peer_finish(&p);
        }
    }
}

static void test_wants_no_response_that_was_not_asked_for(void **state)
{
    (void)state;
    struct http1_peer p;
    http1_peer_init_client(&p);
    http1_peer_feed_text(&p, "HTTP/1.1 408 Too Late\r\nContent-Length: 0\r\n\r\n");
    assert_string_equal(http1_peer_log(&p), "failed 0 7\n");
    assert_true(p.codec->ops->is_over(p.codec));
    http1_peer_finish(&p);
}

static void test_hears_an_answer_before_all_is_sent(void **state)
{
    (void)state;
    static const struct {
        const char *response;
        bool is_over;
    } cases[] = {
        {"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n", false},
        {"HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", true},
    };
    for (size_t i = 0; i < 2; i++) {
        struct http1_peer p;
        const struct http_request r = {.method = bytes_of_string("POST"),
                                       .authority = bytes_of_string("a"),
                                       .target = bytes_of_string("/"),
                                       .body_size = 4};
        http1_peer_init_client(&p);
        assert_int_equal(p.codec->ops->send_request(p.codec, &r, true), 1);
        p.codec->ops->send_data(p.codec, 1, bytes_of_string("ab"));
        http1_peer_feed_text(&p, cases[i].response);
        assert_int_equal(p.codec->ops->is_over(p.codec), cases[i].is_over);
        assert_false(p.codec->ops->can_request(p.codec));
        p.codec->ops->send_data(p.codec, 1, bytes_of_string("cd"));
        p.codec->ops->send_end(p.codec, 1, NULL);
        assert_int_equal(p.codec->ops->can_request(p.codec), !cases[i].is_over);
        http1_peer_finish(&p);
    }
}

static void test_has_enough_of_interim_responses(void **state)
{
    (void)state;
    struct http1_peer p;
    http1_peer_init_client(&p);
    (void)http1_peer_ask(&p, "GET", "/");
    for (unsigned i = 0; i < 100; i++) {
        http1_peer_feed_text(&p, "HTTP/1.1 102 Processing\r\n\r\n");
    }
    assert_int_equal(p.failed, 1);
    assert_true(p.codec->ops->is_over(p.codec));
    http1_peer_finish(&p);
}

static void ask_for_websocket(struct http1_peer *p)
{
    const struct http_request r = {.method = bytes_of_string("GET"),
                                   .authority = bytes_of_string("a"),
                                   .target = bytes_of_string("/"),
                                   .is_websocket = true};
    http1_peer_init_client(p);
    assert_int_equal(p->codec->ops->send_request(p->codec, &r, false), 1);
    http1_peer_clear(p);
}

#define SWITCH                                                                                     \
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"

static void test_passes_a_websocket_through(void **state)
{
    (void)state;
    struct http1_peer p;
    ask_for_websocket(&p);
    http1_peer_feed_text(&p, SWITCH "\x81\x01x");
    p.codec->ops->send_data(p.codec, 1, bytes_of_string("\x81\x01y"));
    http1_peer_feed_text(&p, "HTTP/1.1 200 OK\r\n\r\n");
    assert_string_equal(http1_peer_out(&p), "\x81\x01y");
    assert_string_equal(http1_peer_log(&p),
                        "going away 1\nresponse 1 101 body=-1 websocket\ndata \x81\x01xHTTP/1.1 "
                        "200 OK\r\n\r\n\n");
    http1_peer_feed_end(&p);
    assert_non_null(strstr(http1_peer_log(&p), "end 1\n"));
    p.codec->ops->send_end(p.codec, 1, NULL);
    assert_true(p.codec->ops->is_over(p.codec));
    http1_peer_finish(&p);
}

static void test_switches_to_a_websocket_only(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket, "
        "h2c\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http1_peer p;
        ask_for_websocket(&p);
        http1_peer_feed_text(&p, cases[i]);
        assert_int_equal(p.problem, HTTP_PROBLEM_PROTOCOL);
        assert_true(p.codec->ops->is_over(p.codec));
        http1_peer_finish(&p);
    }
}

static void test_gives_no_more_than_the_window(void **state)
{
    (void)state;
    static const uint8_t zeros[HTTP_WINDOW + 500];
    struct http1_peer p;
    http1_peer_init_client(&p);
    p.holds = true;
    (void)http1_peer_ask(&p, "GET", "/");
    http1_peer_feed_text(&p, "HTTP/1.1 200 OK\r\n\r\n");
    http1_peer_feed(&p, bytes_of(zeros, sizeof(zeros)));
    assert_int_equal(p.given, HTTP_WINDOW);
    assert_true(p.codec->ops->is_blocked(p.codec));
    p.codec->ops->consumed(p.codec, 1, 500);
    http1_peer_retry(&p);
    assert_int_equal(p.given, sizeof(zeros));
    http1_peer_finish(&p);
}

/* What one side writes the other understands. */
static void test_speaks_with_the_server(void **state)
{
    (void)state;
    struct http1_peer client, server;
    const struct http_field fields[] = {{bytes_of_string("authorization"), bytes_of_string("b t")},
                                        {bytes_of_string("x-empty"), bytes_of_string("")}};
    const struct http_field trailer = {bytes_of_string("x-sum"), bytes_of_string("7")};
    const struct http_request r = {.method = bytes_of_string("POST"),
                                   .authority = bytes_of_string("a:8080"),
                                   .target = bytes_of_string("/p?q=1"),
                                   .fields = {fields, 2},
                                   .body_size = HTTP_SIZE_UNKNOWN,
                                   .expects_continue = true};
    const struct http_response informational = {.version = HTTP_1_1, .status = 100};
    http1_peer_init_client(&client);
    http1_peer_init_server(&server);
    for (uint32_t stream = 1; stream < 7; stream += 2) {
        http1_peer_clear(&client);
        http1_peer_clear(&server);
        assert_int_equal(client.codec->ops->send_request(client.codec, &r, true), stream);
        http1_peer_feed(&server, buffer_bytes(&client.out));
        server.codec->ops->send_informational(server.codec, stream, &informational);
        buffer_clear(&client.out);
        client.codec->ops->send_data(client.codec, stream, bytes_of_string("one "));
        client.codec->ops->send_data(client.codec, stream, bytes_of_string("two"));
        client.codec->ops->send_end(client.codec, stream, &(struct http_fields){&trailer, 1});
        http1_peer_feed(&server, buffer_bytes(&client.out));
        assert_non_null(strstr(http1_peer_log(&server),
                               " POST scheme= authority=a:8080 target=/p?q=1 body=-1 continue "
                               "[authorization=b t] [x-empty=]\ndata one two\ntrailers "));
        http1_peer_answer(&server, stream, 200, "fine");
        http1_peer_feed(&client, buffer_bytes(&server.out));
        assert_non_null(strstr(http1_peer_log(&client), " 200 body=4\ndata fine\nend "));
        assert_int_equal(client.failed + server.failed, 0);
    }
    http1_peer_finish(&client);
    http1_peer_finish(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_understands_responses_at_every_split),
        cmocka_unit_test(test_asks_again_on_the_same_connection),
        cmocka_unit_test(test_frames_requests),
        cmocka_unit_test(test_writes_no_other_lines),
        cmocka_unit_test(test_reads_until_the_end),
        cmocka_unit_test(test_misses_what_was_beyond_the_window),
        cmocka_unit_test(test_notices_the_end),
        cmocka_unit_test(test_trusts_nothing_behind_a_response),
        cmocka_unit_test(test_wants_no_response_that_was_not_asked_for),
        cmocka_unit_test(test_hears_an_answer_before_all_is_sent),
        cmocka_unit_test(test_has_enough_of_interim_responses),
        cmocka_unit_test(test_passes_a_websocket_through),
        cmocka_unit_test(test_switches_to_a_websocket_only),
        cmocka_unit_test(test_gives_no_more_than_the_window),
        cmocka_unit_test(test_speaks_with_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

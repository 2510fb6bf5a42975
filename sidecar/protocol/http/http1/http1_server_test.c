#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/protocol/http/http1/http1_peer.h"

#define WEBSOCKET                                                                                  \
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"     \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
#define WEBSOCKET_FIELDS                                                                           \
    " [sec-websocket-key=dGhlIHNhbXBsZSBub25jZQ==] [sec-websocket-version=13]\n"

static const struct {
    const char *bytes, *events;
} understood[] = {
    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
     "request 1 GET scheme= authority=a target=/ body=0\nend 1\n"},
    {"\r\nGET /x?y=%20{|}^`~ HTTP/1.1\r\nHOST:A.example:8080 \r\nX-A:\r\nx-B: \t two words\t "
     "\r\n\r\n",
     "request 1 GET scheme= authority=A.example:8080 target=/x?y=%20{|}^`~ body=0 [x-a=] [x-b=two "
     "words]\nend 1\n"},
    {"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
     "request 1 POST scheme= authority=a target=/p body=5\ndata hello\nend 1\n"},
    {"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
     "request 1 POST scheme= authority=a target=/p body=0\nend 1\n"},
    {"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n00A;x=1;"
     "y;z\r\n, and more\r\n0\r\n\r\n",
     "request 1 POST scheme= authority=a target=/p body=-1\ndata hello, and more\nend 1\n"},
    {"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x-t\r\n\r\n1\r\n!\r\n"
     "0;end\r\nX-T:  v \r\nx-u: w\r\n\r\n",
     "request 1 POST scheme= authority=a target=/p body=-1 [trailer=x-t]\ndata !\ntrailers 1 "
     "[x-t=v] [x-u=w]\nend 1\n"},
    {"GET http://B.example/z HTTP/1.1\r\nHost: b.example:80\r\n\r\n",
     "request 1 GET scheme=http authority=B.example target=/z body=0 absolute\nend 1\n"},
    {"GET HTTPS://b:443 HTTP/1.1\r\nHost: b\r\n\r\n",
     "request 1 GET scheme=https authority=b:443 target=/ body=0 absolute\nend 1\n"},
    {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
     "request 1 OPTIONS scheme= authority=a target=* body=0\nend 1\n"},
    {"OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n",
     "request 1 OPTIONS scheme=http authority=a target=* body=0 absolute\nend 1\n"},
    {"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n",
     "request 1 CONNECT scheme= authority=a.example:443 target= body=0\nend 1\n"},
    {"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n",
     "request 1 CONNECT scheme= authority=[::1]:443 target= body=0\nend 1\n"},
    {"GET / HTTP/1.0\r\n\r\n",
     "request 1 GET scheme= authority= target=/ body=0 1.0\ngoing away 1\nend 1\n"},
    {"GET / HTTP/1.0\r\nConnection: keep-alive\r\nHost: a\r\n\r\n",
     "request 1 GET scheme= authority=a target=/ body=0 1.0\nend 1\n"},
    {"POST / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nab",
     "request 1 POST scheme= authority= target=/ body=2 1.0\ngoing away 1\ndata ab\nend 1\n"},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Hop,,TE\r\nTE: trailers\r\nX-Hop: 1\r\n"
     "x-stays: 2\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\r\n",
     "request 1 GET scheme= authority=a target=/ body=0 [x-stays=2]\ngoing away 1\nend 1\n"},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
     "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
     "request 1 GET scheme= authority=a target=/ body=0\nend 1\n"},
    {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-Continue\r\n\r\nx",
     "request 1 PUT scheme= authority=a target=/ body=1 continue\ndata x\nend 1\n"},
    {"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
     "request 1 GET scheme= authority=a target=/ body=0\nend 1\n"},
    {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
     "request 1 GET scheme= authority=a target=/ body=3\ndata abc\nend 1\n"},
    {"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
     "request 1 TRACE scheme= authority=a target=/ body=0\nend 1\n"},
    {"PROPFIND / HTTP/1.1\r\nHost: a\r\nX-Utf8: \xc3\xa9\r\n\r\n",
     "request 1 PROPFIND scheme= authority=a target=/ body=0 [x-utf8=\xc3\xa9]\nend 1\n"},
    {WEBSOCKET,
     "request 1 GET scheme= authority=a target=/ws body=0 websocket" WEBSOCKET_FIELDS "end 1\n"},
};

static void test_understands_messages_at_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(understood) / sizeof(understood[0]); i++) {
        struct bytes all = bytes_of_string(understood[i].bytes);
        for (size_t at = 0; at <= all.size; at++) {
            struct http1_peer p;
            http1_peer_init_server(&p);
            http1_peer_feed(&p, bytes_of(all.data, at));
            http1_peer_feed(&p, bytes_of(all.data + at, all.size - at));
            assert_string_equal(http1_peer_log(&p), understood[i].events);
            assert_int_equal(buffer_size(&p.unused), 0);
            http1_peer_finish(&p);
        }
    }
}

static void test_understands_a_byte_at_a_time(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(understood) / sizeof(understood[0]); i++) {
        struct bytes all = bytes_of_string(understood[i].bytes);
        struct http1_peer p;
        http1_peer_init_server(&p);
        for (size_t at = 0; at < all.size; at++) {
            http1_peer_feed(&p, bytes_of(all.data + at, 1));
        }
        assert_string_equal(http1_peer_log(&p), understood[i].events);
        http1_peer_finish(&p);
    }
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define TOLD(n) "request " n " GET scheme= authority=a target=/ body=0\nend " n "\n"

static void test_reads_the_next_request_after_the_answer(void **state)
{
    (void)state;
    struct http1_peer p;
    http1_peer_init_server(&p);
    http1_peer_feed_text(&p, GET GET "\r\n" GET);
    assert_string_equal(http1_peer_log(&p), TOLD("1"));
    assert_true(p.codec->ops->is_blocked(p.codec));
    assert_int_equal(p.codec->ops->open_streams(p.codec), 1);
    http1_peer_answer(&p, 3, 200, "not asked yet");
    assert_string_equal(http1_peer_out(&p), "");
    http1_peer_answer(&p, 1, 200, "one");
    assert_false(p.codec->ops->is_blocked(p.codec));
    http1_peer_retry(&p);
    http1_peer_answer(&p, 3, 404, "two");
    http1_peer_retry(&p);
    http1_peer_answer(&p, 5, 200, "");
    assert_string_equal(http1_peer_log(&p), TOLD("1") TOLD("3") TOLD("5"));
    assert_string_equal(http1_peer_out(&p), "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none"
                                            "HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\ntwo"
                                            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert_int_equal(p.codec->ops->open_streams(p.codec), 0);
    http1_peer_finish(&p);
}

static void test_may_be_answered_within_the_event(void **state)
{
    (void)state;
    struct http1_peer p;
    http1_peer_init_server(&p);
    p.answers = true;
    http1_peer_feed_text(&p, GET GET GET);
    assert_string_equal(http1_peer_log(&p), TOLD("1") TOLD("3") TOLD("5"));
    assert_int_equal(buffer_size(&p.unused), 0);
    http1_peer_finish(&p);
}

/* A body must not be read as a request, nor a request as a body, at any split. */
static void test_keeps_messages_apart_at_every_split(void **state)
{
    (void)state;
    static const char all[] =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n13\r\nGET / HTTP/1.1\r\n"
        "\r\n!\r\n0\r\n\r\n" GET
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 16\r\n\r\nGET / HTTP/1.1\r\n" GET;
    static const char events[] =
        "request 1 POST scheme= authority=a target=/ body=-1\ndata GET / HTTP/1.1\r\n\r\n!\n"
        "end 1\n" TOLD("3") "request 5 POST scheme= authority=a target=/ body=16\ndata GET / "
                            "HTTP/1.1\r\n\nend 5\n" TOLD("7");
    for (size_t at = 0; at < sizeof(all); at++) {
        struct http1_peer p;
        http1_peer_init_server(&p);
        p.answers = true;
        http1_peer_feed(&p, bytes_of(all, at));
        http1_peer_feed(&p, bytes_of(all + at, sizeof(all) - 1 - at));
        assert_string_equal(http1_peer_log(&p), events);
        http1_peer_finish(&p);
    }
}

#define HEAD "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
#define CLOSE "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
#define OLD "GET / HTTP/1.0\r\n\r\n"
#define OLD_KEPT "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"

static const struct {
    const char *request;
    unsigned status;
    int64_t body_size;
    bool has_body;
    const char *out;
    bool is_over;
} framings[] = {
    {GET, 200, 2, true, "HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 2\r\n\r\nab", false},
    {GET, 200, -1, true,
     "HTTP/1.1 200 OK\r\nx: y\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", false},
    {GET, 299, 0, false, "HTTP/1.1 299 \r\nx: y\r\ncontent-length: 0\r\n\r\n", false},
    {GET, 200, -1, false, "HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 0\r\n\r\n", false},
    {GET, 204, 0, false, "HTTP/1.1 204 No Content\r\nx: y\r\n\r\n", false},
    {GET, 304, 0, false, "HTTP/1.1 304 Not Modified\r\nx: y\r\n\r\n", false},
    {GET, 304, 9, false, "HTTP/1.1 304 Not Modified\r\nx: y\r\ncontent-length: 9\r\n\r\n", false},
    {HEAD, 200, 9, false, "HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 9\r\n\r\n", false},
    {HEAD, 200, -1, false, "HTTP/1.1 200 OK\r\nx: y\r\n\r\n", false},
    {HEAD, 403, 2, true, "HTTP/1.1 403 Forbidden\r\nx: y\r\ncontent-length: 2\r\n\r\n", false},
    {CLOSE, 200, 2, true,
     "HTTP/1.1 200 OK\r\nx: y\r\nconnection: close\r\ncontent-length: 2\r\n\r\nab", true},
    {OLD, 200, 2, true,
     "HTTP/1.1 200 OK\r\nx: y\r\nconnection: close\r\ncontent-length: 2\r\n\r\nab", true},
    {OLD_KEPT, 200, 2, true,
     "HTTP/1.1 200 OK\r\nx: y\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nab", false},
    {OLD_KEPT, 200, -1, true, "HTTP/1.1 200 OK\r\nx: y\r\nconnection: close\r\n\r\nab", true},
};

static void test_frames_responses(void **state)
{
    (void)state;
    const struct http_field fields[] = {
        {bytes_of_string("x"), bytes_of_string("y")},
        {bytes_of_string("content-length"), bytes_of_string("77")},
        {bytes_of_string("Transfer-Encoding"), bytes_of_string("gzip")},
        {bytes_of_string("connection"), bytes_of_string("x")},
        {bytes_of_string("keep-alive"), bytes_of_string("timeout=5")},
    };
    for (size_t i = 0; i < sizeof(framings) / sizeof(framings[0]); i++) {
        struct http1_peer p;
        const struct http_response r = {.version = HTTP_2,
                                        .status = framings[i].status,
                                        .fields = {fields, 5},
                                        .body_size = framings[i].body_size,
                                        .has_body = framings[i].has_body};
        http1_peer_init_server(&p);
        http1_peer_feed_text(&p, framings[i].request);
        p.codec->ops->send_response(p.codec, 1, &r);
        if (framings[i].has_body) {
            p.codec->ops->send_data(p.codec, 1, bytes_of_string("ab"));
            assert_int_equal(p.drained, 1);
            assert_int_equal(p.codec->ops->waiting(p.codec, 1), 0);
        }
        p.codec->ops->send_end(p.codec, 1, NULL);
        assert_string_equal(http1_peer_out(&p), framings[i].out);
        assert_int_equal(p.codec->ops->is_over(p.codec), framings[i].is_over);
        assert_int_equal(p.codec->ops->open_streams(p.codec), 0);
        http1_peer_finish(&p);
    }
}

static void test_writes_trailers(void **state)
{
    (void)state;
    struct http1_peer p;
    const struct http_response r = {.status = 200, .body_size = -1, .has_body = true};
    const struct http_field fields[] = {
        {bytes_of_string("grpc-status"), bytes_of_string("0")},
        {bytes_of_string("content-length"), bytes_of_string("5")},
        {bytes_of_string("authorization"), bytes_of_string("x")},
    };
    http1_peer_init_server(&p);
    http1_peer_feed_text(&p, GET);
    p.codec->ops->send_response(p.codec, 1, &r);
    p.codec->ops->send_data(p.codec, 1, bytes_of_string(""));
    p.codec->ops->send_end(p.codec, 1, &(struct http_fields){fields, 3});
    assert_string_equal(http1_peer_out(&p), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
                                            "0\r\ngrpc-status: 0\r\n\r\n");
    http1_peer_finish(&p);
}

/* Whoever makes such a value, the peer gets nothing of it. */
static void test_writes_no_other_lines(void **state)
{
    (void)state;
    static const struct http_field bad[] = {
        {{(const uint8_t *)"x", 1}, {(const uint8_t *)"a\r\nset-cookie: b", 16}},
        {{(const uint8_t *)"x", 1}, {(const uint8_t *)"a\nb", 3}},
        {{(const uint8_t *)"x", 1}, {(const uint8_t *)"a\0b", 3}},
        {{(const uint8_t *)"x: y\r\nz", 7}, {(const uint8_t *)"a", 1}},
        {{(const uint8_t *)"x ", 2}, {(const uint8_t *)"a", 1}},
        {{(const uint8_t *)"", 0}, {(const uint8_t *)"a", 1}},
        {{(const uint8_t *)":status", 7}, {(const uint8_t *)"a", 1}},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct http1_peer p;
        const struct http_response r = {.status = 200, .fields = {&bad[i], 1}};
        http1_peer_init_server(&p);
        http1_peer_feed_text(&p, GET);
        p.codec->ops->send_response(p.codec, 1, &r);
        assert_string_equal(http1_peer_out(&p), "");
        assert_true(p.codec->ops->is_over(p.codec));
        http1_peer_finish(&p);
    }
}

/* A body that is longer or shorter than its head said would move the next message. */
static void test_holds_to_the_length(void **state)
{
    (void)state;
    static const struct {
        const char *data, *out;
    } cases[] = {
        {"abc", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"},
        {"a", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na"},
    };
    for (size_t i = 0; i < 2; i++) {
        struct http1_peer p;
        const struct http_response r = {.status = 200, .body_size = 2, .has_body = true};
        http1_peer_init_server(&p);
        http1_peer_feed_text(&p, GET GET);
        p.codec->ops->send_response(p.codec, 1, &r);
        p.codec->ops->send_data(p.codec, 1, bytes_of_string(cases[i].data));
        p.codec->ops->send_end(p.codec, 1, NULL);
        assert_string_equal(http1_peer_out(&p), cases[i].out);
        assert_true(p.codec->ops->is_over(p.codec));
        http1_peer_retry(&p);
        assert_string_equal(http1_peer_log(&p), TOLD("1"));
        http1_peer_finish(&p);
    }
}

#define EXPECTS "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\nExpect: 100-continue\r\n\r\n"

static void test_says_continue(void **state)
{
    (void)state;
    struct http1_peer p;
    const struct http_response r = {.version = HTTP_1_1, .status = 100};
    http1_peer_init_server(&p);
    http1_peer_feed_text(&p, EXPECTS);
    p.codec->ops->send_informational(p.codec, 1, &r);
    http1_peer_feed_text(&p, "123456789012345678901234567890" GET);
    http1_peer_answer(&p, 1, 201, "");
    p.codec->ops->send_informational(p.codec, 1, &r);
    http1_peer_retry(&p);
    assert_string_equal(http1_peer_out(&p), "HTTP/1.1 100 Continue\r\n\r\n"
                                            "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n");
    assert_string_equal(http1_peer_log(&p),
                        "request 1 PUT scheme= authority=a target=/ body=30 continue\n"
                        "data 123456789012345678901234567890\nend 1\n" TOLD("3"));
    http1_peer_finish(&p);
}

/* What comes then may be the body, or the next request. */
static void test_reads_nothing_after_a_refused_continue(void **state)
{
    (void)state;
    struct http1_peer p;
    http1_peer_init_server(&p);
    http1_peer_feed_text(&p, EXPECTS);
    http1_peer_answer(&p, 1, 413, "no");
    assert_string_equal(http1_peer_out(&p),
                        "HTTP/1.1 413 Content Too Large\r\nconnection: close\r\n"
                        "content-length: 2\r\n\r\nno");
    assert_true(p.codec->ops->is_over(p.codec));
    http1_peer_feed_text(&p, GET GET);
    assert_null(strstr(http1_peer_log(&p), "GET"));
    http1_peer_finish(&p);
}

static void test_tells_an_old_agent_no_interim_response(void **state)
{
    (void)state;
    struct http1_peer p;
    const struct http_response r = {.version = HTTP_1_1, .status = 103};
    http1_peer_init_server(&p);
    http1_peer_feed_text(&p, OLD);
    p.codec->ops->send_informational(p.codec, 1, &r);
    assert_string_equal(http1_peer_out(&p), "");
    http1_peer_finish(&p);
}

static void test_reads_the_rest_of_a_refused_body(void **state)
{
    (void)state;
    struct http1_peer p;
    http1_peer_init_server(&p);
    http1_peer_feed_text(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    http1_peer_answer(&p, 1, 403, "no");
    assert_int_equal(p.codec->ops->open_streams(p.codec), 1);
    http1_peer_feed_text(&p, "def" GET);
    assert_string_equal(http1_peer_log(&p), "request 1 POST scheme= authority=a target=/ body=6\n"
                                            "data abcdef\nend 1\n" TOLD("3"));
    http1_peer_finish(&p);
}

static void feed_large(struct http1_peer *p, size_t size)
{
    static const uint8_t zeros[64 << 10];
    while (size > 0) {
        size_t n = size < sizeof(zeros) ? size : sizeof(zeros);
        http1_peer_feed(p, bytes_of(zeros, n));
        size -= n;
    }
}

static void test_gives_no_more_than_the_window(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nf4240\r\n",
    };
    for (size_t i = 0; i < 2; i++) {
        struct http1_peer p;
        http1_peer_init_server(&p);
        p.holds = true;
        http1_peer_feed_text(&p, heads[i]);
        feed_large(&p, 1000000);
        assert_int_equal(p.given, HTTP_WINDOW);
        assert_true(p.codec->ops->is_blocked(p.codec));
        p.codec->ops->consumed(p.codec, 1, 1000);
        assert_false(p.codec->ops->is_blocked(p.codec));
        http1_peer_retry(&p);
        assert_int_equal(p.given, HTTP_WINDOW + 1000);
        p.holds = false;
        p.codec->ops->consumed(p.codec, 1, HTTP_WINDOW);
        http1_peer_retry(&p);
        assert_int_equal(p.given, 1000000);
        http1_peer_finish(&p);
    }
}

static void test_passes_a_websocket_through(void **state)
{
    (void)state;
    struct http1_peer p;
    const struct http_field accept = {bytes_of_string("sec-websocket-accept"),
                                      bytes_of_string("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")};
    const struct http_response r = {.status = 101,
                                    .fields = {&accept, 1},
                                    .body_size = HTTP_SIZE_UNKNOWN,
                                    .has_body = true,
                                    .is_websocket = true};
    http1_peer_init_server(&p);
    http1_peer_feed_text(&p, WEBSOCKET "early");
    assert_null(strstr(http1_peer_log(&p), "early"));
    p.codec->ops->send_response(p.codec, 1, &r);
    http1_peer_retry(&p);
    http1_peer_feed_text(&p, "GET / HTTP/1.1\r\n\r\n");
    p.codec->ops->send_data(p.codec, 1, bytes_of_string("\x81\x01x"));
    assert_string_equal(http1_peer_out(&p),
                        "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: "
                        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nconnection: upgrade\r\nupgrade: "
                        "websocket\r\n\r\n\x81\x01x");
    assert_non_null(strstr(http1_peer_log(&p), "end 1\ndata earlyGET / HTTP/1.1\r\n\r\n\n"));
    http1_peer_feed_end(&p);
    assert_int_equal(p.problem, HTTP_PROBLEM_ENDED);
    p.codec->ops->send_end(p.codec, 1, NULL);
    assert_true(p.codec->ops->is_over(p.codec));
    http1_peer_finish(&p);
}

static void test_switches_to_nothing_that_was_not_asked(void **state)
{
    (void)state;
    struct http1_peer p;
    const struct http_response r = {.status = 101, .has_body = true, .is_websocket = true};
    http1_peer_init_server(&p);
    http1_peer_feed_text(&p, GET);
    p.codec->ops->send_response(p.codec, 1, &r);
    assert_string_equal(http1_peer_out(&p), "");
    assert_true(p.codec->ops->is_over(p.codec));
    http1_peer_finish(&p);
}

static void test_answers_a_refused_websocket_as_a_request(void **state)
{
    (void)state;
    struct http1_peer p;
    http1_peer_init_server(&p);
    http1_peer_feed_text(&p, WEBSOCKET GET);
    http1_peer_answer(&p, 1, 403, "no");
    http1_peer_retry(&p);
    assert_non_null(strstr(http1_peer_log(&p), TOLD("3")));
    http1_peer_finish(&p);
}

#define CONNECT "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"

static void test_leaves_a_tunnel_alone(void **state)
{
    (void)state;
    struct http1_peer p;
    const struct http_response r = {.status = 200};
    http1_peer_init_server(&p);
    http1_peer_feed_text(&p, CONNECT);
    p.codec->ops->send_response(p.codec, 1, &r);
    http1_peer_feed_text(&p, GET);
    assert_string_equal(http1_peer_out(&p), "HTTP/1.1 200 OK\r\n\r\n");
    assert_true(p.codec->ops->is_blocked(p.codec));
    assert_int_equal(buffer_size(&p.unused), strlen(GET));
    assert_null(strstr(http1_peer_log(&p), "GET"));
    http1_peer_finish(&p);
}

static void test_goes_on_after_a_refused_tunnel(void **state)
{
    (void)state;
    struct http1_peer p;
    http1_peer_init_server(&p);
    http1_peer_feed_text(&p, CONNECT GET);
    http1_peer_answer(&p, 1, 403, "no");
    http1_peer_retry(&p);
    assert_string_equal(http1_peer_out(&p),
                        "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
    assert_non_null(strstr(http1_peer_log(&p), TOLD("3")));
    http1_peer_finish(&p);
}

static void test_goes_away(void **state)
{
    (void)state;
    struct http1_peer p;
    http1_peer_init_server(&p);
    http1_peer_feed_text(&p, GET GET);
    p.codec->ops->go_away(p.codec);
    assert_false(p.codec->ops->is_over(p.codec));
    http1_peer_answer(&p, 1, 200, "");
    assert_non_null(strstr(http1_peer_out(&p), "connection: close\r\n"));
    assert_true(p.codec->ops->is_over(p.codec));
    http1_peer_retry(&p);
    assert_string_equal(http1_peer_log(&p), TOLD("1"));
    http1_peer_finish(&p);

    http1_peer_init_server(&p);
    p.codec->ops->go_away(p.codec);
    assert_true(p.codec->ops->is_over(p.codec));
    http1_peer_finish(&p);
}

static void test_is_over_after_a_reset(void **state)
{
    (void)state;
    struct http1_peer p;
    http1_peer_init_server(&p);
    http1_peer_feed_text(&p, GET GET);
    p.codec->ops->reset(p.codec, 3, HTTP_PROBLEM_CANCELLED);
    assert_false(p.codec->ops->is_over(p.codec));
    p.codec->ops->reset(p.codec, 1, HTTP_PROBLEM_CANCELLED);
    assert_true(p.codec->ops->is_over(p.codec));
    assert_string_equal(http1_peer_out(&p), "");
    http1_peer_finish(&p);
}

static void test_notices_the_end(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *events;
        bool is_over;
    } cases[] = {
        {"", "going away 0\n", true},
        {"GET / HTTP/1.1\r\n", "failed 0 8\n", true},
        {GET, TOLD("1"), false},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx",
         "request 1 POST scheme= authority=a target=/ body=2\ndata x\nfailed 1 8\n", false},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n",
         "request 1 POST scheme= authority=a target=/ body=-1\ndata x\nfailed 1 8\n", false},
    };
    _Static_assert(HTTP_PROBLEM_ENDED == 8, "as the table says");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http1_peer p;
        http1_peer_init_server(&p);
        http1_peer_feed_text(&p, cases[i].bytes);
        http1_peer_feed_end(&p);
        assert_string_equal(http1_peer_log(&p), cases[i].events);
        assert_int_equal(p.codec->ops->is_over(p.codec), cases[i].is_over);
        http1_peer_answer(&p, 1, 200, "x"); /* the other half may still be open */
        assert_true(p.codec->ops->is_over(p.codec));
        http1_peer_finish(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_understands_messages_at_every_split),
        cmocka_unit_test(test_understands_a_byte_at_a_time),
        cmocka_unit_test(test_reads_the_next_request_after_the_answer),
        cmocka_unit_test(test_may_be_answered_within_the_event),
        cmocka_unit_test(test_keeps_messages_apart_at_every_split),
        cmocka_unit_test(test_frames_responses),
        cmocka_unit_test(test_writes_trailers),
        cmocka_unit_test(test_writes_no_other_lines),
        cmocka_unit_test(test_holds_to_the_length),
        cmocka_unit_test(test_says_continue),
        cmocka_unit_test(test_reads_nothing_after_a_refused_continue),
        cmocka_unit_test(test_tells_an_old_agent_no_interim_response),
        cmocka_unit_test(test_reads_the_rest_of_a_refused_body),
        cmocka_unit_test(test_gives_no_more_than_the_window),
        cmocka_unit_test(test_passes_a_websocket_through),
        cmocka_unit_test(test_switches_to_nothing_that_was_not_asked),
        cmocka_unit_test(test_answers_a_refused_websocket_as_a_request),
        cmocka_unit_test(test_leaves_a_tunnel_alone),
        cmocka_unit_test(test_goes_on_after_a_refused_tunnel),
        cmocka_unit_test(test_goes_away),
        cmocka_unit_test(test_is_over_after_a_reset),
        cmocka_unit_test(test_notices_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

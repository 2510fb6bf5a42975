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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_understands_messages_at_every_split),
        cmocka_unit_test(test_understands_a_byte_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

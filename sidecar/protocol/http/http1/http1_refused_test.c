/* What is refused, and why: each case at every split, where it must come to the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/protocol/http/http1/http1_peer.h"

/* The size counts: some have a NUL. */
#define CASE(bytes, problem, why)                                                                  \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, HTTP_PROBLEM_##problem, why                                      \
    }
#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

struct refused {
    const char *bytes;
    size_t size;
    enum http_problem problem;
    const char *why;
};

#define NO_VERSION "the request line has no version"
#define NO_VERSION_IN_PLACE "the start line has no version of HTTP in its place"
#define VERSION "the version is neither HTTP/1.0 nor HTTP/1.1"
#define SPACES "the request line has a space too many"
#define EMPTY_LINE "there is an empty line before the start line"
#define START "the start line starts with something else"
#define BARE_CR "there is a bare CR"
#define BARE_LF "a line ends in a bare LF"
#define CONTROL "the head has a control character"
#define HAS_NUL "the head has a NUL"
#define FOLDED "a field's line is folded"
#define NO_NAME "a field has no name"
#define NO_COLON "a field has no colon"
#define NO_TOKEN "a field's name is not a token"
#define SPACE_COLON "there is white space before a colon"

#define LENGTH "Content-Length is not a number"

#define CODINGS "there is more than one Transfer-Encoding"
#define CODING "the transfer coding is another one than chunked"
#define HOSTS "there is more than one Host"
#define NO_HOST "there is no Host"
#define HOST "Host is not a plain host and port"
#define OTHER_HOST "Host is another one than the target's"
#define AUTHORITY "the target has no plain host"
#define CHARACTER "the target has a character that no target has"
#define FORM "the target is neither a path nor a URL of http or https"
#define CHUNK_SIZE "a chunk's size is not a number"
#define CHUNK_LF "a chunk's line ends in a bare LF"
#define CHUNK_TEXT "a chunk's line has a bare LF, or no text"
#define CHUNK_CR "there is a bare CR in a chunk's line"
#define CHUNK_END "a chunk does not end where it said"
#define EXTENSION "a chunk's extensions are not understood"
#define TRAILER "the trailers have a field that belongs into the head"
#define OPTION "Connection names a field that is not of the connection"
/* llhttp's own. */
#define LL_TWO_LENGTHS "Duplicate Content-Length"
#define LL_LENGTH "Invalid character in Content-Length"
#define LL_BOTH "Content-Length can't be present with Transfer-Encoding"
#define LL_CODING "Invalid `Transfer-Encoding` header value"
#define LL_NOT_CHUNKED "Request has invalid `Transfer-Encoding`"
#define TWICE "a field that may be there once is there twice"

static const struct refused requests[] = {
    /* The start line. */
    CASE("GET /\r\n\r\n", MALFORMED, NO_VERSION),
    CASE("GET\r\n\r\n", MALFORMED, NO_VERSION),
    CASE("GET / \r\n\r\n", MALFORMED, NO_VERSION_IN_PLACE),
    CASE("GET / HTTP/1.1 \r\n\r\n", MALFORMED, SPACES),
    CASE("GET  / HTTP/1.1\r\n\r\n", MALFORMED, SPACES),
    CASE("GET /a b HTTP/1.1\r\n\r\n", MALFORMED, SPACES),
    CASE("GET /  HTTP/1.1\r\n\r\n", MALFORMED, SPACES),
    CASE("GET\t/\tHTTP/1.1\r\n\r\n", MALFORMED, "the start line has a tab"),
    CASE(" GET / HTTP/1.1\r\n\r\n", MALFORMED, START),
    CASE("\tGET / HTTP/1.1\r\n\r\n", MALFORMED, START),
    CASE("\nGET / HTTP/1.1\r\n\r\n", MALFORMED, START),
    CASE("\0GET / HTTP/1.1\r\n\r\n", MALFORMED, START),
    CASE("\x16\x03\x01\x02\x00", MALFORMED, START),
    CASE("\r\n\r\nGET / HTTP/1.1\r\n\r\n", MALFORMED, EMPTY_LINE),
    CASE("\rGET / HTTP/1.1\r\n\r\n", MALFORMED, BARE_CR),
    CASE("GET / HTTP/0.9\r\n\r\n", UNSUPPORTED, VERSION),
    CASE("GET / HTTP/1.2\r\n\r\n", UNSUPPORTED, VERSION),
    CASE("GET / HTTP/2.0\r\n\r\n", UNSUPPORTED, VERSION),
    CASE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", UNSUPPORTED, VERSION),
    CASE("GET / http/1.1\r\n\r\n", MALFORMED, NO_VERSION_IN_PLACE),
    CASE("GET / HTTP/11\r\n\r\n", MALFORMED, NO_VERSION_IN_PLACE),
    CASE("GET / HTTP/1.10\r\n\r\n", MALFORMED, NO_VERSION_IN_PLACE),
    CASE("GET / HTTP/01.1\r\n\r\n", MALFORMED, NO_VERSION_IN_PLACE),
    CASE("GET / HTPT/1.1\r\n\r\n", MALFORMED, NO_VERSION_IN_PLACE),
    CASE("G@T / HTTP/1.1\r\n\r\n", MALFORMED, "the method is not a token"),
    CASE("GET / HTTP/1.1\nHost: a\r\n\r\n", MALFORMED, BARE_LF),
    CASE("GET / HTTP/1.1\rHost: a\r\n\r\n", MALFORMED, BARE_CR),
    CASE("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", MALFORMED, HAS_NUL),
    CASE("GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", MALFORMED, CONTROL),
    CASE("GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", MALFORMED, CONTROL),
    /* The target. */
    CASE("GET /#f HTTP/1.1\r\nHost: a\r\n\r\n", MALFORMED, CHARACTER),
    CASE("GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n", MALFORMED, CHARACTER),
    CASE("GET /\"x\" HTTP/1.1\r\nHost: a\r\n\r\n", MALFORMED, CHARACTER),
    CASE("GET /<x> HTTP/1.1\r\nHost: a\r\n\r\n", MALFORMED, CHARACTER),
    CASE("GET * HTTP/1.1\r\nHost: a\r\n\r\n", MALFORMED, "only OPTIONS has the target *"),
    CASE("GET http://a?x HTTP/1.1\r\nHost: a\r\n\r\n", MALFORMED,
         "the target has a query and no path"),
    CASE("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", MALFORMED, FORM),
    CASE("GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", MALFORMED, AUTHORITY),
    CASE("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", MALFORMED, AUTHORITY),
    CASE("GET http://a@b:80/ HTTP/1.1\r\nHost: b\r\n\r\n", MALFORMED, AUTHORITY),
    CASE("GET http://%61/ HTTP/1.1\r\nHost: a\r\n\r\n", MALFORMED, AUTHORITY),
    CASE("GET http://a:/ HTTP/1.1\r\nHost: a\r\n\r\n", MALFORMED, AUTHORITY),
    CASE("CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", MALFORMED, "CONNECT needs a host and a port"),
    CASE("CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\n", MALFORMED, "CONNECT needs a host and a port"),
    CASE("CONNECT a:0 HTTP/1.1\r\nHost: a\r\n\r\n", MALFORMED, "CONNECT needs a host and a port"),
    CASE("CONNECT a:65536 HTTP/1.1\r\nHost: a\r\n\r\n", MALFORMED,
         "CONNECT needs a host and a port"),
    CASE("CONNECT a:443 HTTP/1.1\r\nHost: b:443\r\n\r\n", MALFORMED, OTHER_HOST),
    CASE("CONNECT a:443 HTTP/1.1\r\nHost: a:8443\r\n\r\n", MALFORMED, OTHER_HOST),
    /* Host. */
    CASE("GET / HTTP/1.1\r\n\r\n", MALFORMED, NO_HOST),
    CASE("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", MALFORMED, HOSTS),
    CASE("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", MALFORMED, HOSTS),
    CASE("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", MALFORMED, HOSTS),
    CASE("GET / HTTP/1.1\r\nHost:\r\n\r\n", MALFORMED, HOST),
    CASE("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", MALFORMED, HOST),
    CASE("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", MALFORMED, HOST),
    CASE("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", MALFORMED, HOST),
    CASE("GET / HTTP/1.1\r\nHost: u:p@a\r\n\r\n", MALFORMED, HOST),
    CASE("GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", MALFORMED, HOST),
    CASE("GET / HTTP/1.1\r\nHost: a:80x\r\n\r\n", MALFORMED, HOST),
    CASE("GET / HTTP/1.1\r\nHost: a:+80\r\n\r\n", MALFORMED, HOST),
    CASE("GET / HTTP/1.1\r\nHost: a:\r\n\r\n", MALFORMED, HOST),
    CASE("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", MALFORMED, HOST),
    CASE("GET / HTTP/1.1\r\nHost: []\r\n\r\n", MALFORMED, HOST),
    CASE("GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n", MALFORMED, HOST),
    CASE("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", MALFORMED, OTHER_HOST),
    CASE("GET http://a/ HTTP/1.1\r\nHost: a:443\r\n\r\n", MALFORMED, OTHER_HOST),
    /* Lines and fields. */
    CASE(GET " x: folded\r\n\r\n", MALFORMED, FOLDED),
    CASE(GET "x: a\r\n\tb\r\n\r\n", MALFORMED, FOLDED),
    CASE("GET / HTTP/1.1\r\n Host: a\r\n\r\n", MALFORMED, FOLDED),
    CASE(GET ": v\r\n\r\n", MALFORMED, NO_NAME),
    CASE(GET "x\r\n\r\n", MALFORMED, NO_COLON),
    CASE(GET "x\n\r\n", MALFORMED, NO_COLON),
    CASE(GET "x : v\r\n\r\n", MALFORMED, SPACE_COLON),
    CASE(GET "Content-Length\t: 5\r\n\r\n", MALFORMED, SPACE_COLON),
    CASE(GET "x y: v\r\n\r\n", MALFORMED, SPACE_COLON),
    CASE(GET "x(y): v\r\n\r\n", MALFORMED, NO_TOKEN),
    CASE(GET "(x): v\r\n\r\n", MALFORMED, NO_TOKEN),
    CASE(GET "x\0: v\r\n\r\n", MALFORMED, NO_TOKEN),
    CASE(GET "\xc3\xa9: v\r\n\r\n", MALFORMED, NO_TOKEN),
    CASE(GET "x\x0b: v\r\n\r\n", MALFORMED, NO_TOKEN),
    CASE(GET "\x0c"
             "x: v\r\n\r\n",
         MALFORMED, NO_TOKEN),
    CASE(GET "x: a\nb\r\n\r\n", MALFORMED, BARE_LF),
    CASE(GET "x: a\n\r\n", MALFORMED, BARE_LF),
    CASE(GET "x: a\rb\r\n\r\n", MALFORMED, BARE_CR),
    CASE(GET "x: a\r\r\n\r\n", MALFORMED, BARE_CR),
    CASE(GET "x: a\r\n\rb\r\n\r\n", MALFORMED, BARE_CR),
    CASE(GET "x: a\r\n\n", MALFORMED, BARE_LF),
    CASE(GET "x: a\0b\r\n\r\n", MALFORMED, HAS_NUL),
    CASE(GET "x: a\x08"
             "b\r\n\r\n",
         MALFORMED, CONTROL),
    CASE(GET "x: a\x7f"
             "b\r\n\r\n",
         MALFORMED, CONTROL),
    /* Lengths. */
    CASE(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", MALFORMED, LL_TWO_LENGTHS),
    CASE(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", MALFORMED, LL_TWO_LENGTHS),
    CASE(POST "Content-Length: 5, 5\r\n\r\nhello", MALFORMED, LL_LENGTH),
    CASE(POST "Content-Length: +5\r\n\r\nhello", MALFORMED, LL_LENGTH),
    CASE(POST "Content-Length: -5\r\n\r\nhello", MALFORMED, LL_LENGTH),
    CASE(POST "Content-Length: 0x5\r\n\r\nhello", MALFORMED, LL_LENGTH),
    CASE(POST "Content-Length: 5 5\r\n\r\nhello", MALFORMED, LL_LENGTH),
    CASE(POST "Content-Length: 5;\r\n\r\nhello", MALFORMED, LL_LENGTH),
    CASE(POST "Content-Length: 5.0\r\n\r\nhello", MALFORMED, LL_LENGTH),
    CASE(POST "Content-Length:\r\n\r\n", MALFORMED, "Empty Content-Length"),
    CASE(POST "Content-Length: \xd9\xa5\r\n\r\nhello", MALFORMED, LL_LENGTH),
    CASE(POST "Content-Length: 18446744073709551621\r\n\r\nhello", MALFORMED,
         "Content-Length overflow"),
    CASE(POST "Content-Length: 9223372036854775808\r\n\r\nhello", MALFORMED, LENGTH),
    CASE(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", MALFORMED,
         LL_BOTH),
    CASE(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", MALFORMED,
         LL_BOTH),
    CASE(POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", MALFORMED,
         LL_BOTH),
    CASE(POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", UNSUPPORTED, CODING),
    CASE(POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", MALFORMED, LL_CODING),
    CASE(POST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", MALFORMED, LL_CODING),
    CASE(POST "Transfer-Encoding: identity\r\n\r\n", MALFORMED, LL_NOT_CHUNKED),
    CASE(POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", MALFORMED, LL_NOT_CHUNKED),
    CASE(POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", MALFORMED, LL_NOT_CHUNKED),
    CASE(POST "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", MALFORMED, LL_NOT_CHUNKED),
    CASE(POST "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", UNSUPPORTED, CODING),
    CASE(POST "Transfer-Encoding: \x0b"
              "chunked\r\n\r\n0\r\n\r\n",
         MALFORMED, CONTROL),
    CASE(POST "Transfer-Encoding:\r\n\r\n", UNSUPPORTED, CODING),
    CASE(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         MALFORMED, LL_CODING),
    CASE(POST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", MALFORMED,
         CODINGS),
    CASE("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", MALFORMED,
         "HTTP/1.0 has no Transfer-Encoding"),
    CASE("TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", MALFORMED,
         "CONNECT and TRACE have no body"),
    CASE("CONNECT a:443 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         MALFORMED, "CONNECT and TRACE have no body"),
    /* What is said of the connection and of the rest. */
    CASE(POST "Expect: 200-ok\r\n\r\n", MALFORMED, "Expect is something else than 100-continue"),
    CASE(POST "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n", MALFORMED,
         "a field that may be there once is there twice"),
    CASE(GET "Connection: close, Authorization\r\n\r\n", MALFORMED, OPTION),
    CASE(GET "Connection: host\r\n\r\n", MALFORMED, OPTION),
    CASE(GET "Connection: Content-Length\r\n\r\n", MALFORMED, OPTION),
    CASE(GET "Connection: transfer-encoding\r\n\r\n", MALFORMED, OPTION),
    CASE(GET "Connection: keep-alive\r\nConnection: Cookie\r\n\r\n", MALFORMED, OPTION),
    CASE(GET "Connection: x-forwarded-for\r\n\r\n", MALFORMED, OPTION),
    CASE(GET "Connection: a b\r\n\r\n", MALFORMED, "Connection is not a list of names"),
    CASE(GET "Connection: \"close\"\r\n\r\n", MALFORMED, "Connection is not a list of names"),
    CASE(GET "Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q\r\n\r\n", MALFORMED,
         "Connection names too many fields"),
    CASE(GET "Authorization: a\r\nAuthorization: b\r\n\r\n", MALFORMED, TWICE),
    CASE(GET "Content-Type: a/b\r\ncontent-type: c/d\r\n\r\n", MALFORMED, TWICE),
    CASE("FROB / HTTP/1.1\r\nHost: a\r\n\r\n", UNSUPPORTED, "Invalid method encountered"),
    /* Chunks. */
    CASE(CHUNKED "\r\n", MALFORMED, CHUNK_SIZE),
    CASE(CHUNKED "5\nhello\r\n0\r\n\r\n", MALFORMED, CHUNK_LF),
    CASE(CHUNKED "5\rhello\r\n0\r\n\r\n", MALFORMED, CHUNK_CR),
    CASE(CHUNKED " 5\r\nhello\r\n0\r\n\r\n", MALFORMED, CHUNK_SIZE),
    CASE(CHUNKED "5 \r\nhello\r\n0\r\n\r\n", MALFORMED, CHUNK_SIZE),
    CASE(CHUNKED "5\t;x\r\nhello\r\n0\r\n\r\n", MALFORMED, CHUNK_SIZE),
    CASE(CHUNKED "+5\r\nhello\r\n0\r\n\r\n", MALFORMED, CHUNK_SIZE),
    CASE(CHUNKED "-5\r\nhello\r\n0\r\n\r\n", MALFORMED, CHUNK_SIZE),
    CASE(CHUNKED "0x5\r\nhello\r\n0\r\n\r\n", MALFORMED, CHUNK_SIZE),
    CASE(CHUNKED "5_0\r\nhello\r\n0\r\n\r\n", MALFORMED, CHUNK_SIZE),
    CASE(CHUNKED "5g\r\nhello\r\n0\r\n\r\n", MALFORMED, CHUNK_SIZE),
    CASE(CHUNKED "0000000000000005\r\nhello\r\n0\r\n\r\n", MALFORMED,
         "a chunk's size has too many digits"),
    CASE(CHUNKED "fffffffffffffffff\r\nhello", MALFORMED, "a chunk's size has too many digits"),
    CASE(CHUNKED "5;\r\nhello\r\n0\r\n\r\n", MALFORMED, EXTENSION),
    CASE(CHUNKED "5;a=\r\nhello\r\n0\r\n\r\n", MALFORMED, EXTENSION),
    CASE(CHUNKED "5; a\r\nhello\r\n0\r\n\r\n", MALFORMED, EXTENSION),
    CASE(CHUNKED "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n", MALFORMED, EXTENSION),
    CASE(CHUNKED "5;a\nhello\r\n0\r\n\r\n", MALFORMED, CHUNK_TEXT),
    CASE(CHUNKED "5;a\0\r\nhello\r\n0\r\n\r\n", MALFORMED, CHUNK_TEXT),
    CASE(CHUNKED "5;a\rb\r\nhello\r\n0\r\n\r\n", MALFORMED, CHUNK_CR),
    CASE(CHUNKED "5\r\nhelloX0\r\n\r\n", MALFORMED, CHUNK_END),
    CASE(CHUNKED "5\r\nhello\n0\r\n\r\n", MALFORMED, CHUNK_END),
    CASE(CHUNKED "5\r\nhello\r0\r\n\r\n", MALFORMED, CHUNK_END),
    CASE(CHUNKED "4\r\nhello\r\n0\r\n\r\n", MALFORMED, CHUNK_END),
    CASE(CHUNKED "5\r\nhello0\r\n\r\n", MALFORMED, CHUNK_END),
    /* Trailers. */
    CASE(CHUNKED "0\r\nContent-Length: 5\r\n\r\n", MALFORMED, TRAILER),
    CASE(CHUNKED "0\r\nTransfer-Encoding: chunked\r\n\r\n", MALFORMED, LL_CODING),
    CASE(CHUNKED "0\r\nHost: b\r\n\r\n", MALFORMED, TRAILER),
    CASE(CHUNKED "0\r\nx: 1\r\nAuthorization: b\r\n\r\n", MALFORMED, TRAILER),
    CASE(CHUNKED "0\r\nCookie: b\r\n\r\n", MALFORMED, TRAILER),
    CASE(CHUNKED "0\r\nConnection: close\r\n\r\n", MALFORMED, TRAILER),
    CASE(CHUNKED "0\r\nContent-Type: a/b\r\n\r\n", MALFORMED, TRAILER),
    CASE(CHUNKED "0\r\n x: 1\r\n\r\n", MALFORMED, FOLDED),
    CASE(CHUNKED "0\r\nx : 1\r\n\r\n", MALFORMED, SPACE_COLON),
    CASE(CHUNKED "0\r\nx: 1\n\r\n", MALFORMED, BARE_LF),
    CASE(CHUNKED "0\r\n\rGET / HTTP/1.1\r\n\r\n", MALFORMED, BARE_CR),
    CASE(CHUNKED "0\r\nGET /x HTTP/1.1\r\n\r\n", MALFORMED, SPACE_COLON),
};

#define OK_LINE "HTTP/1.1 200 OK\r\n"
#define RESPONSE_CHUNKED OK_LINE "Transfer-Encoding: chunked\r\n\r\n"

static const struct refused responses[] = {
    CASE("\r\nHTTP/1.1 200 OK\r\n\r\n", MALFORMED, EMPTY_LINE),
    CASE("HTTP/1.1  200 OK\r\n\r\n", MALFORMED, "the status line has no status in its place"),
    CASE("HTTP/1.1 20 OK\r\n\r\n", MALFORMED, "the status line has no status in its place"),
    CASE("HTTP/1.1 2000 OK\r\n\r\n", MALFORMED, "the status line has no status in its place"),
    CASE("HTTP/1.1 200OK\r\n\r\n", MALFORMED, "the status line has no status in its place"),
    CASE("HTTP/2.0 200 OK\r\n\r\n", UNSUPPORTED, VERSION),
    CASE("HTTP/1.1 600 No\r\n\r\n", MALFORMED, "the status is none of HTTP"),
    CASE("HTTP/1.1 099 No\r\n\r\n", MALFORMED, "the status is none of HTTP"),
    CASE("SSH-2.0-OpenSSH_9.2\r\n", MALFORMED, "the status line has no status in its place"),
    CASE("ICY 200 OK\r\n\r\n", MALFORMED, "the status line has no status in its place"),
    CASE("HTTP/1.1 200 OK\nx: y\r\n\r\n", MALFORMED, BARE_LF),
    CASE("HTTP/1.1 200 O\rK\r\n\r\n", MALFORMED, BARE_CR),
    CASE(OK_LINE "x: a\r\n b\r\n\r\n", MALFORMED, FOLDED),
    CASE(OK_LINE "x : a\r\n\r\n", MALFORMED, SPACE_COLON),
    CASE(OK_LINE "x: a\nb: c\r\n\r\n", MALFORMED, BARE_LF),
    CASE(OK_LINE "x: a\0\r\n\r\n", MALFORMED, HAS_NUL),
    CASE(OK_LINE "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", MALFORMED, LL_TWO_LENGTHS),
    CASE(OK_LINE "Content-Length: 1, 1\r\n\r\nx", MALFORMED, LL_LENGTH),
    CASE(OK_LINE "Content-Length: +1\r\n\r\nx", MALFORMED, LL_LENGTH),
    CASE(OK_LINE "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", MALFORMED,
         LL_BOTH),
    CASE(OK_LINE "Transfer-Encoding: gzip\r\n\r\n", UNSUPPORTED, CODING),
    CASE(OK_LINE "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", UNSUPPORTED, CODING),
    CASE("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", MALFORMED,
         "HTTP/1.0 has no Transfer-Encoding"),
    CASE(OK_LINE "Connection: Content-Type\r\nContent-Length: 0\r\n\r\n", MALFORMED, OPTION),
    CASE(OK_LINE "Content-Type: a/b\r\nContent-Type: c/d\r\n\r\n", MALFORMED, TWICE),
    CASE("HTTP/1.1 204 No\r\nContent-Length: 1\r\n\r\nx", MALFORMED,
         "a response without content has a length"),
    CASE("HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", MALFORMED,
         "a response without content has a length"),
    CASE("HTTP/1.1 100 Continue\r\nContent-Length: 1\r\n\r\nx", MALFORMED,
         "an informational response has a length"),
    CASE("HTTP/1.0 100 Continue\r\n\r\n", MALFORMED, "HTTP/1.0 has no informational responses"),
    CASE("HTTP/1.1 101 Switch\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", PROTOCOL,
         "the protocol is switched to one that was not asked for"),
    CASE(RESPONSE_CHUNKED "x\r\n", MALFORMED, CHUNK_SIZE),
    CASE(RESPONSE_CHUNKED "1\r\nxy\r\n", MALFORMED, CHUNK_END),
    CASE(RESPONSE_CHUNKED "0\r\nSet-Cookie: a\r\n\r\n", MALFORMED, TRAILER),
};

static void feed(struct http1_peer *p, const struct refused *r, size_t at)
{
    http1_peer_feed(p, bytes_of(r->bytes, at));
    http1_peer_feed(p, bytes_of(r->bytes + at, r->size - at));
}

static void expect_refusal(struct http1_peer *p, const struct refused *r, uint32_t stream)
{
    if (p->failed != 1 || p->problem != r->problem || p->stream != stream ||
        strcmp(p->why, r->why) != 0) {
        fail_msg("%.*s: failed %u times, problem %d: %s", (int)r->size, r->bytes, p->failed,
                 (int)p->problem, p->why);
    }
    assert_null(strstr(http1_peer_log(p), "end "));
}

static void test_refuses_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        const struct refused *r = &requests[i];
        char *whole = NULL;
        for (size_t at = 0; at <= r->size; at++) {
            struct http1_peer p;
            http1_peer_init_server(&p);
            feed(&p, r, at);
            expect_refusal(&p, r, 1);
            if (whole == NULL) {
                whole = strdup(http1_peer_log(&p));
            }
            assert_string_equal(http1_peer_log(&p), whole);
            /* It is answered once, and then all is over, whatever follows. */
            http1_peer_answer(&p, 1, 400, "no");
            assert_non_null(strstr(http1_peer_out(&p), "connection: close\r\n"));
            http1_peer_feed_text(&p, GET "\r\n");
            http1_peer_answer(&p, 3, 200, "ok");
            assert_true(p.codec->ops->is_over(p.codec));
            assert_null(strstr(http1_peer_out(&p), "200"));
            http1_peer_finish(&p);
        }
        free(whole);
    }
}

static void test_refuses_responses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(responses) / sizeof(responses[0]); i++) {
        const struct refused *r = &responses[i];
        for (size_t at = 0; at <= r->size; at++) {
            struct http1_peer p;
            http1_peer_init_client(&p);
            assert_int_equal(http1_peer_ask(&p, "GET", "/"), 1);
            feed(&p, r, at);
            expect_refusal(&p, r, 1);
            assert_true(p.codec->ops->is_over(p.codec));
            assert_int_equal(http1_peer_ask(&p, "GET", "/"), 0);
            http1_peer_finish(&p);
        }
    }
}

static void expect_large(const char *start, char repeated, size_t count, const char *end,
                         enum http_problem problem)
{
    struct http1_peer p;
    struct buffer b;
    buffer_init(&b, 1 << 20);
    assert_int_equal(buffer_append_string(&b, start), OK);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(buffer_append(&b, bytes_of(&repeated, 1)), OK);
    }
    assert_int_equal(buffer_append_string(&b, end), OK);
    http1_peer_init_server(&p);
    http1_peer_feed(&p, buffer_bytes(&b));
    assert_int_equal(p.failed, problem == HTTP_PROBLEM_NONE ? 0 : 1);
    assert_int_equal(p.problem, problem);
    http1_peer_finish(&p);
    buffer_finish(&b);
}

static void test_has_limits(void **state)
{
    (void)state;
    expect_large("GET /", 'a', HTTP_TARGET_MAX - 1, " HTTP/1.1\r\nHost: a\r\n\r\n",
                 HTTP_PROBLEM_NONE);
    expect_large("GET /", 'a', HTTP_TARGET_MAX, " HTTP/1.1\r\nHost: a\r\n\r\n",
                 HTTP_PROBLEM_TARGET_TOO_LONG);
    expect_large("GET /", 'a', 2 * HTTP_TARGET_MAX, "", HTTP_PROBLEM_TARGET_TOO_LONG);
    expect_large(GET "x: ", 'a', HTTP_HEAD_MAX - 128, "\r\n\r\n", HTTP_PROBLEM_NONE);
    expect_large(GET "x: ", 'a', HTTP_HEAD_MAX - 64, "\r\n\r\n", HTTP_PROBLEM_TOO_LARGE);
    expect_large(GET "x: ", 'a', HTTP_HEAD_MAX, "", HTTP_PROBLEM_TOO_LARGE);
    expect_large(CHUNKED "5;", 'a', 255, "\r\nhello\r\n0\r\n\r\n", HTTP_PROBLEM_NONE);
    expect_large(CHUNKED "5;", 'a', 256, "\r\nhello\r\n0\r\n\r\n", HTTP_PROBLEM_MALFORMED);
    expect_large(CHUNKED "5;", 'a', 4096, "", HTTP_PROBLEM_MALFORMED);
    expect_large(CHUNKED "0\r\nx: ", 'a', HTTP_HEAD_MAX, "", HTTP_PROBLEM_TOO_LARGE);
}

static void test_counts_fields(void **state)
{
    (void)state;
    for (size_t count = HTTP_FIELDS_MAX - 1; count <= HTTP_FIELDS_MAX; count++) {
        struct http1_peer p;
        http1_peer_init_server(&p);
        http1_peer_feed_text(&p, GET);
        for (size_t i = 0; i < count; i++) {
            http1_peer_feed_text(&p, "x: y\r\n");
        }
        http1_peer_feed_text(&p, "\r\n");
        bool fits = count < HTTP_FIELDS_MAX; /* Host is one of them */
        assert_int_equal(p.failed, fits ? 0 : 1);
        assert_int_equal(p.problem, fits ? HTTP_PROBLEM_NONE : HTTP_PROBLEM_TOO_LARGE);
        http1_peer_finish(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refuses_requests),
        cmocka_unit_test(test_refuses_responses),
        cmocka_unit_test(test_has_limits),
        cmocka_unit_test(test_counts_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

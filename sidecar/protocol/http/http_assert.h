/* Around the tests of a conversation (http_fixture.h), and what they look for. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP_ASSERT_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP_ASSERT_H

#include "sidecar/protocol/http/http_fixture.h"

#define GET "GET /customers/42 HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define HEAD(more) "POST /pay HTTP/1.1\r\nHost: localhost\r\n" more "\r\n"
#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

int http_setup(void **state);
int http_teardown(void **state);
#define HTTP_TEST(name) cmocka_unit_test_setup_teardown(name, http_setup, http_teardown)

void http_assert_has(const char *text, const char *part);
void http_assert_has_not(const char *text, const char *part);

#endif

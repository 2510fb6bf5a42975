#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controlplane/metrics/metrics_server.h"

static void source(void *context, struct metrics_page *page)
{
    metrics_counter(page, "chaperone_records_total", "Records.", *(double *)context);
    metrics_begin(page, "chaperone_lag", "gauge", "Lag.");
    metrics_sample(page, "job", "a", 1);
    metrics_sample(page, "job", "b\"\\\nc", 0.5);
}

static void what_sources_say_is_written_in_their_order(void **state)
{
    (void)state;
    double records = 9007199254740992.0;
    struct metrics *m = metrics_create();
    struct buffer out;
    buffer_init(&out, 1 << 16);
    assert_int_equal(metrics_add(m, source, &records), OK);
    assert_int_equal(metrics_write(m, &out), OK);
    char *text = bytes_to_string(buffer_bytes(&out));
    assert_string_equal(text, "# HELP chaperone_records_total Records.\n"
                              "# TYPE chaperone_records_total counter\n"
                              "chaperone_records_total 9007199254740992\n"
                              "# HELP chaperone_lag Lag.\n"
                              "# TYPE chaperone_lag gauge\n"
                              "chaperone_lag{job=\"a\"} 1\n"
                              "chaperone_lag{job=\"b\\\"\\\\\\nc\"} 0.5\n");
    free(text);
    buffer_finish(&out);
    metrics_destroy(m);
}

static void sources_have_their_limit_and_text_its_cap(void **state)
{
    (void)state;
    double records = 1;
    struct metrics *m = metrics_create();
    for (int i = 0; i < METRICS_SOURCES_MAX; i++) {
        assert_int_equal(metrics_add(m, source, &records), OK);
    }
    assert_int_equal(metrics_add(m, source, &records), ERR_LIMIT);
    struct buffer out;
    buffer_init(&out, 100);
    assert_int_equal(metrics_write(m, &out), ERR_LIMIT);
    buffer_finish(&out);
    metrics_destroy(m);
}

static char *ask(int port, const char *request)
{
    static char answer[4096];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(write(fd, request, strlen(request)), (ssize_t)strlen(request));
    size_t at = 0;
    for (ssize_t n = 1; n > 0 && at<sizeof(answer) - 1; at += n> 0 ? (size_t)n : 0) {
        n = read(fd, answer + at, sizeof(answer) - 1 - at);
    }
    (void)close(fd);
    answer[at] = '\0';
    return answer;
}

static void only_get_and_only_these_paths(void **state)
{
    (void)state;
    double records = 7;
    struct metrics *m = metrics_create();
    struct metrics_server *s = NULL;
    assert_int_equal(metrics_add(m, source, &records), OK);
    assert_int_equal(metrics_server_start(m, "127.0.0.1", 0, &s, NULL), OK);
    int port = metrics_server_port(s);
    assert_non_null(strstr(ask(port, "GET /metrics HTTP/1.0\r\n\r\n"), "records_total 7\n"));
    assert_non_null(strstr(ask(port, "GET /healthz HTTP/1.0\r\n\r\n"), "ok\n"));
    assert_non_null(strstr(ask(port, "GET /secret HTTP/1.0\r\n\r\n"), " 404 "));
    assert_non_null(
        strstr(ask(port, "POST /metrics HTTP/1.0\r\nContent-Length: 0\r\n\r\n"), " 405 "));
    struct metrics_server *other = NULL;
    struct err_text why = {0};
    assert_int_equal(metrics_server_start(m, "127.0.0.1", (uint16_t)port, &other, &why),
                     ERR_UNAVAILABLE);
    assert_non_null(strstr(why.text, "metrics.listen"));
    metrics_server_stop(s);
    metrics_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_sources_say_is_written_in_their_order),
        cmocka_unit_test(sources_have_their_limit_and_text_its_cap),
        cmocka_unit_test(only_get_and_only_these_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Every line of the metrics is one that Prometheus takes (text exposition format 0.0.4). */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/metrics.h"

/* [a-zA-Z_:][a-zA-Z0-9_:]* at the front of `at`; its length. */
static size_t name_length(const char *at)
{
    size_t n = 0;
    while (isalpha((unsigned char)at[n]) || at[n] == '_' ||
           (n > 0 && isdigit((unsigned char)at[n]))) {
        n++;
    }
    return n;
}

struct family {
    char name[64], type[16];
    size_t samples;
};

static void read_comment(const char *line, struct family *f)
{
    char keyword[8], name[64], rest[128];
    assert_int_equal(sscanf(line, "# %7s %63s %127[^\n]", keyword, name, rest), 3);
    assert_int_equal(name_length(name), strlen(name));
    if (strcmp(keyword, "HELP") == 0) {
        (void)snprintf(f->name, sizeof(f->name), "%s", name);
        f->type[0] = '\0';
        f->samples = 0;
        assert_null(strchr(rest, '\\'));
    } else {
        assert_string_equal(keyword, "TYPE");
        assert_string_equal(name, f->name);
        assert_true(strcmp(rest, "counter") == 0 || strcmp(rest, "gauge") == 0);
        (void)snprintf(f->type, sizeof(f->type), "%.15s", rest);
    }
}

static void read_sample(const char *line, struct family *f)
{
    char *end = NULL;
    size_t n = name_length(line);
    assert_true(n > 0 && line[n] == ' ');
    assert_int_equal(strlen(f->name), n);
    assert_memory_equal(line, f->name, n);
    (void)strtod(line + n + 1, &end);
    assert_int_equal(*end, '\0');
    assert_int_not_equal(f->type[0], '\0');
    assert_int_equal(++f->samples, 1); /* no labels, so no second one */
    /* A counter's name ends in _total, a gauge's does not (OpenMetrics asks for it). */
    bool total = n > 6 && memcmp(line + n - 6, "_total", 6) == 0;
    assert_int_equal(total, strcmp(f->type, "counter") == 0);
}

static void test_every_line_is_one_of_the_format(void **state)
{
    (void)state;
    const struct metrics m = {.sessions_opened = 7, .bytes_to_agents = (uint64_t)1 << 52};
    const struct metrics_gauges g = {.uptime_s = 0.25, .certificate_not_after_s = 1795251785};
    struct buffer out;
    buffer_init(&out, 64 << 10);
    assert_int_equal(metrics_write(&m, &g, &out), OK);
    assert_int_equal(buffer_append(&out, bytes_of("", 1)), OK);
    char *rest = (char *)out.data;
    struct family f = {0};
    size_t lines = 0;
    for (char *line = strsep(&rest, "\n"); rest != NULL; line = strsep(&rest, "\n")) {
        lines++;
        if (line[0] == '#') {
            read_comment(line, &f);
        } else {
            read_sample(line, &f);
        }
    }
    assert_true(lines >= 3 * 20);
    buffer_finish(&out);
}

static bool has_line(const struct buffer *b, const char *line)
{
    struct bytes in = buffer_bytes(b);
    return memmem(in.data, in.size, line, strlen(line)) != NULL;
}

static void test_large_numbers_keep_all_digits(void **state)
{
    (void)state;
    const struct metrics m = {.sessions_opened = 7, .bytes_to_agents = ((uint64_t)1 << 52) + 1};
    const struct metrics_gauges g = {.connected = 1, .uptime_s = 0.25, .spool_cap = 1 << 30};
    struct buffer out;
    buffer_init(&out, 64 << 10);
    assert_int_equal(metrics_write(&m, &g, &out), OK);
    assert_true(has_line(&out, "\nchaperone_sessions_opened_total 7\n"));
    assert_true(has_line(&out, "\nchaperone_bytes_to_agents_total 4503599627370497\n"));
    assert_true(has_line(&out, "\nchaperone_spool_cap_bytes 1073741824\n"));
    assert_true(has_line(&out, "\nchaperone_control_plane_connected 1\n"));
    assert_true(has_line(&out, "\nchaperone_uptime_seconds 0.25\n"));
    buffer_finish(&out);
}

static void test_what_does_not_fit_is_an_error(void **state)
{
    (void)state;
    struct metrics m = {0};
    struct metrics_gauges g = {0};
    struct buffer out;
    buffer_init(&out, 500);
    assert_int_equal(metrics_write(&m, &g, &out), ERR_LIMIT);
    buffer_finish(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_line_is_one_of_the_format),
        cmocka_unit_test(test_large_numbers_keep_all_digits),
        cmocka_unit_test(test_what_does_not_fit_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

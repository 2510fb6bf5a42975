/* bytes, cursor, writer, arena, clock, uuid, log: through their public headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/cursor.h"
#include "base/log.h"
#include "base/uuid.h"
#include "base/writer.h"

/* ---- buffer
 * --------------------------------------------------------------------------------------- */

static void test_buffer_keeps_its_cap(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 10);
    assert_int_equal(buffer_append_string(&b, "12345678"), OK);
    assert_int_equal(buffer_append_string(&b, "abc"), ERR_LIMIT);
    assert_true(bytes_equal_string(buffer_bytes(&b), "12345678"));
    buffer_consume(&b, 6);
    assert_int_equal(buffer_append_string(&b, "abcdefgh"), OK); /* the room in front counts */
    assert_true(bytes_equal_string(buffer_bytes(&b), "78abcdefgh"));
    assert_null(buffer_reserve(&b, 1));
    assert_null(buffer_reserve(&b, SIZE_MAX)); /* no sum that wraps */
    buffer_finish(&b);
    assert_int_equal(buffer_size(&b), 0);
}

static void test_buffer_formats_long_text(void **state)
{
    (void)state;
    char longer[2000];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    struct buffer b;
    buffer_init(&b, 4096);
    assert_int_equal(buffer_append_format(&b, "<%s>", longer), OK);
    assert_int_equal(buffer_size(&b), sizeof(longer) + 1);
    buffer_wipe(&b);
}

/* ---- cursor and writer
 * ------------------------------------------------------------------------------ */

static void test_cursor_reads_what_writer_wrote(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 64);
    struct writer w = writer_start(&b);
    size_t length = writer_open_length(&w);
    writer_put_u8(&w, 0xfe);
    writer_put_u16(&w, 0x1234);
    writer_put_u32(&w, 0xdeadbeef);
    writer_put_string(&w, "text");
    writer_close_length(&w, length);
    assert_int_equal(writer_finish(&w), OK);
    struct cursor c = cursor_of(buffer_bytes(&b));
    assert_int_equal(cursor_read_u32(&c), 4 + 1 + 2 + 4 + 5);
    assert_int_equal(cursor_read_u8(&c), 0xfe);
    assert_int_equal(cursor_read_u16(&c), 0x1234);
    assert_int_equal(cursor_read_u32(&c), 0xdeadbeef);
    assert_true(bytes_equal_string(cursor_read_string(&c), "text"));
    assert_true(cursor_is_complete(&c));
    buffer_finish(&b);
}

static void test_writer_leaves_nothing_behind_when_it_fails(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 6);
    assert_int_equal(buffer_append_string(&b, "ab"), OK);
    struct writer w = writer_start(&b);
    writer_put_u16(&w, 1);
    writer_put_u32(&w, 2);
    writer_put_u8(&w, 3); /* would fit, but the message has failed already */
    assert_int_equal(writer_finish(&w), ERR_LIMIT);
    assert_true(bytes_equal_string(buffer_bytes(&b), "ab"));
    buffer_finish(&b);
}

static void test_cursor_never_reads_beyond_its_end(void **state)
{
    (void)state;
    uint8_t *exact = malloc(3); /* so that ASan sees a read beyond it */
    assert_non_null(exact);
    memcpy(exact, "abc", 3);
    struct cursor c = cursor_of(bytes_of(exact, 3));
    assert_int_equal(cursor_read_u32(&c), 0);
    assert_true(c.failed);
    assert_int_equal(cursor_read_u8(&c), 0); /* failure stays */
    c = cursor_of(bytes_of(exact, 3));
    assert_int_equal(cursor_read_string(&c).size, 0); /* no terminator */
    assert_true(c.failed);
    c = cursor_of(bytes_of(exact, 3));
    assert_int_equal(cursor_read_bytes(&c, SIZE_MAX).size, 0);
    assert_true(c.failed);
    c = cursor_of((struct bytes){0});
    assert_int_equal(cursor_read_bytes(&c, 0).size, 0);
    assert_true(cursor_is_complete(&c));
    free(exact);
}

/* ---- arena
 * ------------------------------------------------------------------------------------------- */

static void test_arena_has_a_cap_and_zeroes(void **state)
{
    (void)state;
    struct arena *a = arena_create(64, 256);
    assert_non_null(a);
    uint8_t *p = arena_alloc(a, 40);
    assert_non_null(p);
    memset(p, 0xff, 40);
    assert_non_null(arena_alloc(a, 150)); /* larger than a block */
    assert_null(arena_alloc(a, 100));     /* beyond the cap */
    assert_null(arena_alloc(a, SIZE_MAX));
    arena_reset(a);
    assert_int_equal(arena_used(a), 0);
    p = arena_alloc(a, 40);
    assert_non_null(p);
    for (size_t i = 0; i < 40; i++) {
        assert_int_equal(p[i], 0);
    }
    assert_string_equal(arena_copy_string(a, bytes_of("abcdef", 3)), "abc");
    assert_int_equal((uintptr_t)arena_alloc(a, 1) % _Alignof(max_align_t), 0);
    arena_destroy(a);
    arena_destroy(NULL);
}

/* ---- clock, uuid, log
 * ---------------------------------------------------------------------------------- */

static int64_t fixed_wall(void *context)
{
    return *(int64_t *)context;
}

static struct clock fixed_clock(int64_t *ns)
{
    return (struct clock){.wall_ns = fixed_wall, .monotonic_ns = fixed_wall, .context = ns};
}

static void test_times_are_rfc3339(void **state)
{
    (void)state;
    char out[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(0, out);
    assert_string_equal(out, "1970-01-01T00:00:00.000000Z");
    clock_format_rfc3339(1795251785123456789, out);
    assert_string_equal(out, "2026-11-21T09:03:05.123456Z");
}

static void test_the_late_clock_is_never_ahead(void **state)
{
    (void)state;
    int64_t ns = 1795251785123456789;
    struct clock fixed = fixed_clock(&ns), system = clock_system();
    assert_int_equal(clock_late_wall(&fixed), ns);
    int64_t late = clock_late_wall(&system);
    assert_true(late > 0 && late <= clock_wall(&system));
}

static void test_uuids_sort_by_time(void **state)
{
    (void)state;
    int64_t ns = 1795251785123456789;
    struct clock clock = fixed_clock(&ns);
    char first[UUID_TEXT_SIZE], second[UUID_TEXT_SIZE], third[UUID_TEXT_SIZE];
    assert_int_equal(uuid_make_v7(&clock, first), OK);
    assert_int_equal(uuid_make_v7(&clock, second), OK);
    ns += 1000000;
    assert_int_equal(uuid_make_v7(&clock, third), OK);
    assert_string_not_equal(first, second);
    assert_true(strcmp(first, third) < 0 && strcmp(second, third) < 0);
    assert_int_equal(first[14], '7');
    assert_non_null(strchr("89ab", first[19]));
}

/* What a log line is, written to a pipe. */
static void read_line(const struct log_field *fields, enum log_format format, char *out,
                      size_t size)
{
    int ends[2];
    int64_t ns = 1795251785123456789;
    assert_int_equal(pipe(ends), 0);
    struct log log = {
        .fd = ends[1], .format = format, .level = LOG_INFO, .clock = fixed_clock(&ns)};
    log_write(&log, LOG_DEBUG, "dropped", fields);
    log_write(&log, LOG_WARN, "event", fields);
    ssize_t n = read(ends[0], out, size - 1);
    assert_true(n > 0);
    out[n] = '\0';
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void test_log_lines(void **state)
{
    (void)state;
    char line[8192];
    const struct log_field fields[] = {
        log_text("who", "a \"b\"\n\x01"), log_number("n", -5), log_text("none", NULL), {0}};
    read_line(fields, LOG_JSON, line, sizeof(line));
    assert_string_equal(line, "{\"time\":\"2026-11-21T09:03:05.123456Z\",\"level\":\"warn\","
                              "\"event\":\"event\",\"who\":\"a \\\"b\\\"\\u000a\\u0001\",\"n\":-5,"
                              "\"none\":\"\"}\n");
    read_line(fields, LOG_HUMAN, line, sizeof(line));
    assert_string_equal(line, "09:03:05.123 WARN  event who=\"a \\\"b\\\"\\u000a\\u0001\" n=-5 "
                              "none=\"\"\n");
}

static void test_a_log_line_is_utf8_whatever_a_peer_says(void **state)
{
    (void)state;
    char out[256];
    const struct log_field fields[] = {
        log_text("said", "\xff\xc3\xa9 \xed\xa0\x80 \xf0\x9f\x98\x80 \xc3"), {0}};
    read_line(fields, LOG_JSON, out, sizeof(out));
    assert_non_null(strstr(out, "\"said\":\"?\xc3\xa9 ??? \xf0\x9f\x98\x80 ?\""));
}

static void test_a_log_line_of_any_length_is_one_line(void **state)
{
    (void)state;
    char *huge = malloc(20000);
    char line[8192];
    assert_non_null(huge);
    memset(huge, '"', 19999);
    huge[19999] = '\0';
    const struct log_field fields[] = {log_text("huge", huge), log_text("more", huge), {0}};
    read_line(fields, LOG_JSON, line, sizeof(line));
    assert_true(strlen(line) <= 4096);
    assert_int_equal(line[strlen(line) - 1], '\n');
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    free(huge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buffer_keeps_its_cap),
        cmocka_unit_test(test_buffer_formats_long_text),
        cmocka_unit_test(test_cursor_reads_what_writer_wrote),
        cmocka_unit_test(test_writer_leaves_nothing_behind_when_it_fails),
        cmocka_unit_test(test_cursor_never_reads_beyond_its_end),
        cmocka_unit_test(test_arena_has_a_cap_and_zeroes),
        cmocka_unit_test(test_times_are_rfc3339),
        cmocka_unit_test(test_the_late_clock_is_never_ahead),
        cmocka_unit_test(test_uuids_sort_by_time),
        cmocka_unit_test(test_log_lines),
        cmocka_unit_test(test_a_log_line_is_utf8_whatever_a_peer_says),
        cmocka_unit_test(test_a_log_line_of_any_length_is_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

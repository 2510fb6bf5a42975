/* Jobs that write files, over a real store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "controlplane/export/compress.h"
#include "controlplane/export/export_fixture.h"

#define PLAIN "- {name: x, from: beginning, file: {directory: '@/out'}}\n"

/* All files of the pattern, one after the other, owned; `*out_count` of them. */
static char *read_all(struct test *t, const char *pattern, size_t *out_count)
{
    glob_t found;
    char *all = strdup("");
    int result = glob(export_path(t, pattern), 0, NULL, &found);
    *out_count = result == 0 ? found.gl_pathc : 0;
    for (size_t i = 0; i < *out_count; i++) {
        char *text = export_read(found.gl_pathv[i]);
        char *longer = malloc(strlen(all) + strlen(text) + 1);
        assert_non_null(longer);
        (void)sprintf(longer, "%s%s", all, text);
        free(all);
        free(text);
        all = longer;
    }
    globfree(&found);
    return all;
}

/* The lines' positions: "1 2 3". */
static void assert_positions(const char *lines, const char *expected)
{
    char seen[4096] = "";
    for (const char *at = strstr(lines, "\"position\":"); at != NULL;
         at = strstr(at + 1, "\"position\":")) {
        char one[32];
        (void)snprintf(one, sizeof(one), "%s%d", seen[0] == '\0' ? "" : " ",
                       atoi(at + strlen("\"position\":")));
        (void)strncat(seen, one, sizeof(seen) - strlen(seen) - 1);
    }
    assert_string_equal(seen, expected);
}

static void assert_exported(struct test *t, const char *pattern, size_t files, const char *expected)
{
    size_t count = 0;
    char *text = read_all(t, pattern, &count);
    assert_positions(text, expected);
    assert_int_equal(count, files);
    free(text);
}

static void records_are_written_as_they_arrive(void **state)
{
    struct test *t = *state;
    export_ship(t, "a", 2);
    export_configure(t, PLAIN);
    export_await_position(t, 3);
    assert_exported(t, "out/*.part", 1, "1 2 3");
    export_ship(t, "b", 1);
    export_await_position(t, 5);
    assert_exported(t, "out/*.part", 1, "1 2 3 4 5");
    export_end(t);
    assert_exported(t, "out/x-00000000000000000001-*Z.jsonl", 1, "1 2 3 4 5");
    assert_exported(t, "out/*.part", 0, "");
}

static void from_now_on_means_from_the_first_start_on(void **state)
{
    struct test *t = *state;
    export_ship(t, "a", 2);
    export_configure(t, "- {name: x, file: {directory: '@/out'}}\n");
    export_await_state(t, EXPORT_RUNNING);
    export_configure(t, " []\n");
    export_ship(t, "b", 1); /* while no job runs */
    export_configure(t, "- {name: x, file: {directory: '@/out'}}\n");
    export_await_position(t, 5);
    export_end(t);
    assert_exported(t, "out/*", 1, "4 5");
}

static void a_restart_goes_on_where_it_was(void **state)
{
    struct test *t = *state;
    export_ship(t, "a", 2);
    export_configure(t, PLAIN);
    export_await_position(t, 3);
    export_configure(t, PLAIN);
    export_ship(t, "b", 1);
    export_await_position(t, 5);
    export_end(t);
    assert_exported(t, "out/*.jsonl", 2, "1 2 3 4 5");
}

static void only_what_matches_is_written_and_all_is_passed(void **state)
{
    struct test *t = *state;
    export_ship(t, "a", 4);
    export_configure(t, "- {name: x, from: beginning, filter: {kinds: [intent], verdict: deny},"
                        " file: {directory: '@/out'}}\n");
    export_await_position(t, 5);
    export_end(t);
    assert_exported(t, "out/*.jsonl", 1, "3 5");
}

static void a_file_ends_by_its_size(void **state)
{
    struct test *t = *state;
    export_configure(t, "- {name: x, from: beginning, file: {directory: '@/out', rotate_size: "
                        "4096}}\n");
    for (size_t i = 0; i < 20; i++) {
        export_ship(t, "a", 1);
        export_await_position(t, 2 * (i + 1));
    }
    export_end(t);
    glob_t found;
    assert_int_equal(glob(export_path(t, "out/x-*.jsonl"), 0, NULL, &found), 0);
    assert_true(found.gl_pathc > 2);
    globfree(&found);
    size_t count = 0;
    char *text = read_all(t, "out/x-*.jsonl", &count);
    assert_positions(text,
                     "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 "
                     "28 29 30 31 32 33 34 35 36 37 38 39 40");
    free(text);
}

static void a_file_ends_by_its_age(void **state)
{
    struct test *t = *state;
    export_ship(t, "a", 1);
    export_configure(t, "- {name: x, from: beginning, file: {directory: '@/out', rotate_every: "
                        "1h}}\n");
    export_await_position(t, 2);
    assert_exported(t, "out/*.jsonl", 0, "");
    t->wall_shift = INT64_C(3601) * 1000000000;
    export_ship(t, "b", 1);
    export_await_position(t, 4);
    assert_exported(t, "out/*.jsonl", 1, "1 2");
}

static void what_a_dead_process_left_is_cut_and_kept(void **state)
{
    struct test *t = *state;
    export_ship(t, "a", 1);
    export_configure(t, PLAIN);
    export_await_position(t, 2);
    export_configure(t, " []\n");
    const char *left = export_path(t, "out/x-00000000000000000009-20261121T010203Z.jsonl.part");
    FILE *f = fopen(left, "we");
    assert_non_null(f);
    assert_true(fputs("{\"position\":9}\n{\"posit", f) >= 0);
    assert_int_equal(fclose(f), 0);
    /* Another job's, and no file of ours: not touched. */
    const char *other = export_path(t, "out/x-y-00000000000000000009-20261121T010203Z.jsonl.part");
    assert_int_equal(symlink("/etc/passwd", other), 0);
    export_configure(t, PLAIN);
    export_ship(t, "b", 1);
    export_await_position(t, 4);
    assert_exported(t, "out/x-00000000000000000009-20261121T010203Z.jsonl", 1, "9");
    assert_int_not_equal(access(left, F_OK), 0);
    assert_int_equal(access(other, F_OK), 0);
}

static void a_directory_that_cannot_be_is_a_failure_with_its_reason(void **state)
{
    struct test *t = *state;
    export_ship(t, "a", 1);
    FILE *f = fopen(export_path(t, "out"), "we");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    export_configure(t, PLAIN);
    export_await_state(t, EXPORT_FAILING);
    struct exports_job job = export_first(t);
    assert_non_null(strstr(job.status.error.text, "out"));
    assert_int_equal(job.behind, 2);
    assert_int_equal(remove(export_path(t, "out")), 0);
    export_await_position(t, 2);
    export_end(t);
    assert_exported(t, "out/*.jsonl", 1, "1 2");
    char *log = export_read(export_path(t, "log"));
    char *first = strstr(log, "export_failed");
    assert_non_null(first);
    assert_null(strstr(first + 1, "export_failed"));
    assert_non_null(strstr(first, "export_resumed"));
    free(log);
}

static void compressed_files_are_whole_up_to_the_last_batch(void **state)
{
    (void)state;
    static const enum config_compression kinds[] = {CONFIG_COMPRESS_NONE, CONFIG_COMPRESS_GZIP,
                                                    CONFIG_COMPRESS_ZSTD};
    for (size_t k = 0; k < 3; k++) {
        struct buffer out;
        buffer_init(&out, 1 << 20);
        assert_int_equal(export_compress(kinds[k], bytes_of_string("one\n"), &out), OK);
        size_t first = buffer_size(&out);
        assert_int_equal(export_compress(kinds[k], bytes_of_string("two and more\n"), &out), OK);
        size_t whole = buffer_size(&out);
        for (size_t cut = 0; cut <= whole; cut++) {
            size_t expected = cut == whole ? whole : cut >= first ? first : 0;
            assert_int_equal(
                export_compress_whole(kinds[k], bytes_of(buffer_bytes(&out).data, cut)), expected);
        }
        /* A page that never reached the disk. */
        memset(out.data + first + 4, 0, whole - first - 4);
        if (kinds[k] != CONFIG_COMPRESS_NONE) {
            assert_int_equal(export_compress_whole(kinds[k], buffer_bytes(&out)), first);
        }
        buffer_finish(&out);
    }
}

static void a_schedule_writes_a_file_and_its_manifest(void **state)
{
    struct test *t = *state;
    export_ship(t, "a", 2);
    export_configure(t, "- {name: d, from: beginning, file: {directory: '@/out', compress: zstd},"
                        " schedule: {every: 1h}}\n");
    export_await_state(t, EXPORT_WAITING);
    assert_exported(t, "out/*", 0, "");
    t->wall_shift = INT64_C(3600) * 1000000000;
    audit_feed_publish(t->feed, 3); /* wakes it */
    export_await_position(t, 3);
    export_ship(t, "b", 1); /* in the next hour */
    t->wall_shift *= 2;
    audit_feed_publish(t->feed, 5);
    export_await_position(t, 5);
    export_end(t);
    size_t count = 0;
    char *manifests = read_all(t, "out/d-*Z.manifest.json", &count);
    assert_int_equal(count, 2);
    assert_non_null(strstr(manifests, "\"after_position\":0,\"up_to_position\":3,"));
    assert_non_null(strstr(manifests, "\"records\":3,"));
    assert_non_null(strstr(manifests, "\"after_position\":3,\"up_to_position\":5,"));
    free(manifests);
    free(read_all(t, "out/d-*Z.jsonl.zst", &count));
    assert_int_equal(count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPORT_TEST(records_are_written_as_they_arrive),
        EXPORT_TEST(from_now_on_means_from_the_first_start_on),
        EXPORT_TEST(a_restart_goes_on_where_it_was),
        EXPORT_TEST(only_what_matches_is_written_and_all_is_passed),
        EXPORT_TEST(a_file_ends_by_its_size),
        EXPORT_TEST(a_file_ends_by_its_age),
        EXPORT_TEST(what_a_dead_process_left_is_cut_and_kept),
        EXPORT_TEST(a_directory_that_cannot_be_is_a_failure_with_its_reason),
        cmocka_unit_test(compressed_files_are_whole_up_to_the_last_batch),
        EXPORT_TEST(a_schedule_writes_a_file_and_its_manifest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "cli/evidence/zip.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crypto/crypto.h"

enum { LARGE = 5 << 20 };

struct test {
    char directory[64], path[80];
    int fd;
    struct zip *zip;
};

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    (void)snprintf(t->directory, sizeof(t->directory), "/tmp/zip_test-XXXXXX");
    assert_non_null(mkdtemp(t->directory));
    (void)snprintf(t->path, sizeof(t->path), "%s/x.zip", t->directory);
    t->fd = open(t->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(t->fd >= 0);
    const struct zip_options options = {.fd = t->fd,
                                        .folder = "evidence",
                                        .made_unix_ns = INT64_C(1795250580000000000),
                                        .directory = t->directory};
    assert_int_equal(zip_create(&options, &t->zip, NULL), OK);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    zip_destroy(t->zip);
    assert_int_equal(close(t->fd), 0);
    assert_int_equal(unlink(t->path), 0);
    assert_int_equal(rmdir(t->directory), 0); /* nothing else was left there */
    free(t);
    return 0;
}

/* Reads the next file whole and compares it. */
static void expect(struct archive *a, const char *name, const uint8_t *data, size_t size)
{
    struct archive_entry *entry = NULL;
    uint8_t *read = malloc(size + 1);
    assert_non_null(read);
    assert_int_equal(archive_read_next_header(a, &entry), ARCHIVE_OK);
    assert_string_equal(archive_entry_pathname(entry), name);
    assert_int_equal(archive_entry_filetype(entry), AE_IFREG);
    assert_int_equal(archive_read_data(a, read, size + 1), (la_ssize_t)size);
    assert_memory_equal(read, data, size);
    free(read);
}

static void describe(struct zip *z, size_t n, const char *name, size_t size, const char *sha256)
{
    struct json j;
    json_init(&j);
    cJSON *list = json_add_array(&j, j.root, "files");
    assert_int_equal(zip_describe(z, n, &j, list), OK);
    const cJSON *item = cJSON_GetArrayItem(list, 0);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(item, "name")), name);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(item, "sha256")), sha256);
    char expected[24];
    (void)snprintf(expected, sizeof(expected), "%zu", size);
    char *found = cJSON_PrintUnformatted(cJSON_GetObjectItem(item, "size"));
    assert_string_equal(found, expected);
    cJSON_free(found);
    json_finish(&j);
}

static void test_files_of_every_size(void **state)
{
    struct test *t = *state;
    uint8_t *large = malloc(LARGE);
    assert_non_null(large);
    for (size_t i = 0; i < LARGE; i++) {
        large[i] = (uint8_t)(i * 2654435761U >> 13);
    }
    assert_int_equal(zip_add(t->zip, "empty", (struct bytes){0}), OK);
    FILE *out = zip_begin(t->zip, "a/small.txt");
    assert_non_null(out);
    assert_true(fprintf(out, "%s\n", "abc") > 0);
    assert_null(zip_begin(t->zip, "b")); /* one at a time */
    assert_int_equal(zip_end(t->zip), OK);
    assert_int_equal(zip_add(t->zip, "large", bytes_of(large, LARGE)), OK);
    assert_int_equal(zip_count(t->zip), 3);
    describe(t->zip, 0, "empty", 0,
             "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    describe(t->zip, 1, "a/small.txt", 4,
             "edeaaff3f1774ad2888673770c6d64097e391bc362d7d6fb34982ddf0efd18cb");
    uint8_t digest[CRYPTO_SHA256_SIZE];
    char hex[2 * CRYPTO_SHA256_SIZE + 1];
    crypto_sha256_of(bytes_of(large, LARGE), digest);
    crypto_hex_encode(bytes_of(digest, sizeof(digest)), hex);
    describe(t->zip, 2, "large", LARGE, hex);
    assert_int_equal(zip_finish(t->zip), OK);

    struct archive *a = archive_read_new();
    struct archive_entry *entry = NULL;
    assert_int_equal(archive_read_support_format_zip(a), ARCHIVE_OK);
    assert_int_equal(archive_read_open_filename(a, t->path, 1 << 16), ARCHIVE_OK);
    expect(a, "evidence/empty", NULL, 0);
    expect(a, "evidence/a/small.txt", (const uint8_t *)"abc\n", 4);
    expect(a, "evidence/large", large, LARGE);
    assert_int_equal(archive_read_next_header(a, &entry), ARCHIVE_EOF);
    assert_int_equal(archive_read_free(a), ARCHIVE_OK);
    free(large);
}

static void test_a_write_that_fails_is_said(void **state)
{
    struct test *t = *state;
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(full >= 0);
    const struct zip_options options = {.fd = full, .folder = "x", .directory = t->directory};
    struct zip *zip = NULL;
    assert_int_equal(zip_create(&options, &zip, NULL), OK);
    enum err e = OK;
    uint8_t *noise = malloc(LARGE);
    assert_non_null(noise);
    struct crypto_random random = crypto_random_system();
    assert_int_equal(crypto_random_fill(&random, noise, LARGE), OK);
    for (int i = 0; e == OK && i < 8; i++) {
        e = zip_add(zip, "noise", bytes_of(noise, LARGE));
    }
    assert_int_equal(e, ERR_FULL);
    assert_null(zip_begin(zip, "next"));
    assert_int_equal(zip_finish(zip), ERR_FULL); /* it stays */
    assert_true(zip_error(zip)[0] != '\0');
    zip_destroy(zip);
    assert_int_equal(close(full), 0);
    free(noise);
}

static void test_what_is_not_finished_is_thrown_away(void **state)
{
    struct test *t = *state;
    FILE *out = zip_begin(t->zip, "half");
    assert_non_null(out);
    assert_true(fputs("half of it", out) >= 0); /* and then teardown */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_files_of_every_size, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_write_that_fails_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_not_finished_is_thrown_away, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

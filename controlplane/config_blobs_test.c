#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "controlplane/config_fixture.h"

#define IN_FILE(section) "listen: 127.0.0.1:0\ndata: /tmp/x\n" section

static void test_without_a_section_there_are_none(void **state)
{
    (void)state;
    struct config *config = config_fixture_load(IN_FILE(""));
    assert_int_equal(config->store.blobs.kind, CONFIG_BLOBS_NONE);
    config_release(config);
}

static void test_a_directory(void **state)
{
    (void)state;
    struct config *config = config_fixture_load(IN_FILE("blobs: {directory: blobs}\n"));
    assert_int_equal(config->store.blobs.kind, CONFIG_BLOBS_DIRECTORY);
    assert_string_equal(config->store.blobs.directory, "/etc/chaperone/blobs");
    assert_int_equal(config->store.blobs.threshold, 64 << 10);
    config_release(config);
}

#define KEYS "access_key_id: {env: A}, secret_access_key: {env: B}"

static void test_s3(void **state)
{
    (void)state;
    struct config *config = config_fixture_load(
        IN_FILE("blobs:\n  threshold: 128KiB\n  s3: {endpoint: 'https://s3.example', "
                "bucket: b, region: eu-1, style: virtual_host, timeout: 3s, " KEYS "}\n"));
    const struct config_blobs *b = &config->store.blobs;
    assert_int_equal(b->kind, CONFIG_BLOBS_S3);
    assert_string_equal(b->endpoint, "https://s3.example");
    assert_string_equal(b->bucket, "b");
    assert_string_equal(b->region, "eu-1");
    assert_true(b->is_virtual_host);
    assert_int_equal(b->threshold, 128 << 10);
    assert_int_equal(b->timeout_ns, 3000000000);
    assert_int_equal(b->key_id.source, CONFIG_SECRET_ENV);
    assert_string_equal(b->secret_key.at, "B");
    config_release(config);
}

static void test_what_is_wrong_is_named(void **state)
{
    static const struct config_mistake cases[] = {
        {IN_FILE("blobs: {}\n"), "exactly one of `directory` and `s3`"},
        {IN_FILE("blobs: {directory: x, s3: {}}\n"), "exactly one of `directory` and `s3`"},
        {IN_FILE("blobs: {directory: x, threshold: 5}\n"), "blobs.threshold"},
        {IN_FILE("blobs: {s3: {bucket: b, region: r, " KEYS "}}\n"), "endpoint"},
        {IN_FILE("blobs: {s3: {endpoint: 'https://h', bucket: b, region: r, access_key_id: {env: "
                 "A}}}\n"),
         "secret_access_key"},
        {IN_FILE(
             "blobs: {s3: {endpoint: 'https://h', bucket: b, region: r, access_key_id: {env: A}, "
             "secret_access_key: {store: n}}}\n"),
         "found {store: ...}"},
        {IN_FILE("blobs: {directory: x, folder: y}\n"), "folder"},
        /* A secret that stands there is not repeated. */
        {IN_FILE("blobs: {s3: {endpoint: 'https://h', bucket: b, region: r, access_key_id:"
                 " {env: A}, secret_access_key: hunter2}}\n"),
         "secret_access_key"},
    };
    (void)state;
    config_fixture_refuse_each(cases, sizeof(cases) / sizeof(cases[0]), "", "hunter2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_section_there_are_none),
        cmocka_unit_test(test_a_directory),
        cmocka_unit_test(test_s3),
        cmocka_unit_test(test_what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "controlplane/config.h"

static enum err load(const char *blobs, struct config **out, struct err_text *why)
{
    char text[2048];
    (void)snprintf(text, sizeof(text), "listen: 127.0.0.1:0\ndata: /tmp/x\n%s", blobs);
    return config_load_text("/etc/c.yaml", bytes_of_string(text), out, why);
}

static void test_without_a_section_there_are_none(void **state)
{
    struct config *config = NULL;
    struct err_text why = {.text = ""};
    (void)state;
    assert_int_equal(load("", &config, &why), OK);
    assert_int_equal(config->store.blobs.kind, CONFIG_BLOBS_NONE);
    config_release(config);
}

static void test_a_directory(void **state)
{
    struct config *config = NULL;
    struct err_text why = {.text = ""};
    (void)state;
    assert_int_equal(load("blobs: {directory: blobs}\n", &config, &why), OK);
    assert_int_equal(config->store.blobs.kind, CONFIG_BLOBS_DIRECTORY);
    assert_string_equal(config->store.blobs.directory, "/etc/blobs");
    assert_int_equal(config->store.blobs.threshold, 64 << 10);
    config_release(config);
}

#define KEYS "access_key_id: {env: A}, secret_access_key: {env: B}"

static void test_s3(void **state)
{
    struct config *config = NULL;
    struct err_text why = {.text = ""};
    (void)state;
    assert_int_equal(load("blobs:\n  threshold: 128KiB\n  s3: {endpoint: 'https://s3.example', "
                          "bucket: b, region: eu-1, style: virtual_host, timeout: 3s, " KEYS "}\n",
                          &config, &why),
                     OK);
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
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"blobs: {}\n", "exactly one of `directory` and `s3`"},
        {"blobs: {directory: x, s3: {}}\n", "exactly one of `directory` and `s3`"},
        {"blobs: {directory: x, threshold: 5}\n", "blobs.threshold"},
        {"blobs: {s3: {bucket: b, region: r, " KEYS "}}\n", "endpoint"},
        {"blobs: {s3: {endpoint: 'https://h', bucket: b, region: r, access_key_id: {env: A}}}\n",
         "secret_access_key"},
        {"blobs: {s3: {endpoint: 'https://h', bucket: b, region: r, access_key_id: {env: A}, "
         "secret_access_key: {store: n}}}\n",
         "found {store: ...}"},
        {"blobs: {directory: x, folder: y}\n", "folder"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config *config = NULL;
        struct err_text why = {.text = ""};
        assert_int_equal(load(cases[i].text, &config, &why), ERR_INVALID);
        if (strstr(why.text, cases[i].expected) == NULL) {
            fail_msg("case %zu: %s", i, why.text);
        }
    }
    /* A secret that stands there is not repeated. */
    struct config *config = NULL;
    struct err_text why = {.text = ""};
    assert_int_equal(load("blobs: {s3: {endpoint: 'https://h', bucket: b, region: r, access_key_id:"
                          " {env: A}, secret_access_key: hunter2}}\n",
                          &config, &why),
                     ERR_INVALID);
    assert_null(strstr(why.text, "hunter2"));
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

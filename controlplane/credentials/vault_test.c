#include "controlplane/credentials/vault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/testing/scratch.h"
#include "controlplane/credentials/secret_key.h"

struct fixture {
    char directory[SCRATCH_SIZE];
    char key[80];
    struct vault *vault;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    scratch_create(f->directory);
    (void)snprintf(f->key, sizeof(f->key), "%s/credentials.key", f->directory);
    assert_int_equal(vault_open(f->key, &f->vault, NULL), OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    vault_close(f->vault);
    scratch_remove(f->directory);
    free(f);
    return 0;
}

static struct buffer seal(const struct vault *vault, const char *name, const char *secret)
{
    struct buffer sealed;
    buffer_init(&sealed, 1 << 20);
    assert_int_equal(vault_seal(vault, name, bytes_of_string(secret), &sealed), OK);
    return sealed;
}

static void assert_opens(const struct vault *vault, const char *name, struct bytes sealed,
                         const char *expected)
{
    struct buffer secret;
    buffer_init(&secret, 1 << 20);
    assert_int_equal(vault_unseal(vault, name, sealed, &secret), OK);
    assert_true(bytes_equal_string(buffer_bytes(&secret), expected));
    buffer_wipe(&secret);
}

static void assert_refused(const struct vault *vault, const char *name, struct bytes sealed)
{
    struct buffer secret;
    buffer_init(&secret, 1 << 20);
    assert_int_equal(vault_unseal(vault, name, sealed, &secret), ERR_INVALID);
    assert_int_equal(buffer_size(&secret), 0);
    buffer_finish(&secret);
}

static void a_secret_comes_back_after_a_restart(void **state)
{
    struct fixture *f = *state;
    struct buffer sealed = seal(f->vault, "orders", "s3cret");
    vault_close(f->vault);
    f->vault = NULL;
    assert_int_equal(vault_open(f->key, &f->vault, NULL), OK);
    assert_opens(f->vault, "orders", buffer_bytes(&sealed), "s3cret");
    buffer_finish(&sealed);
}

static void an_empty_secret_is_a_secret(void **state)
{
    struct fixture *f = *state;
    struct buffer sealed = seal(f->vault, "orders", "");
    assert_opens(f->vault, "orders", buffer_bytes(&sealed), "");
    buffer_finish(&sealed);
}

static void the_clear_text_is_not_in_the_sealed_value(void **state)
{
    struct fixture *f = *state;
    struct buffer one = seal(f->vault, "orders", "s3cret-s3cret");
    struct buffer two = seal(f->vault, "orders", "s3cret-s3cret");
    assert_null(memmem(one.data + one.start, buffer_size(&one), "s3cret", 6));
    assert_false(bytes_equal(buffer_bytes(&one), buffer_bytes(&two)));
    buffer_finish(&one);
    buffer_finish(&two);
}

static void any_changed_bit_is_refused(void **state)
{
    struct fixture *f = *state;
    struct buffer sealed = seal(f->vault, "orders", "s3cret");
    for (size_t i = 0; i < buffer_size(&sealed) * 8; i++) {
        sealed.data[sealed.start + i / 8] ^= (uint8_t)(1U << (i % 8));
        assert_refused(f->vault, "orders", buffer_bytes(&sealed));
        sealed.data[sealed.start + i / 8] ^= (uint8_t)(1U << (i % 8));
    }
    for (size_t n = 0; n < buffer_size(&sealed); n++) {
        assert_refused(f->vault, "orders", bytes_of(buffer_bytes(&sealed).data, n));
    }
    assert_opens(f->vault, "orders", buffer_bytes(&sealed), "s3cret");
    buffer_finish(&sealed);
}

static void a_value_under_another_name_is_refused(void **state)
{
    struct fixture *f = *state;
    struct buffer sealed = seal(f->vault, "orders", "s3cret");
    assert_refused(f->vault, "billing", buffer_bytes(&sealed));
    buffer_finish(&sealed);
}

static void another_key_is_refused(void **state)
{
    struct fixture *f = *state;
    struct buffer sealed = seal(f->vault, "orders", "s3cret");
    vault_close(f->vault);
    f->vault = NULL;
    assert_int_equal(unlink(f->key), 0);
    assert_int_equal(vault_open(f->key, &f->vault, NULL), OK);
    assert_refused(f->vault, "orders", buffer_bytes(&sealed));
    buffer_finish(&sealed);
}

static void the_key_is_made_with_mode_0600(void **state)
{
    struct fixture *f = *state;
    struct stat s;
    assert_int_equal(stat(f->key, &s), 0);
    assert_int_equal(s.st_mode & 07777, 0600);
    assert_int_equal(s.st_size, SECRET_KEY_SIZE);
}

static void a_key_that_others_may_read_is_refused(void **state)
{
    struct fixture *f = *state;
    struct vault *vault = NULL;
    struct err_text why = {0};
    assert_int_equal(chmod(f->key, 0644), 0);
    assert_int_equal(vault_open(f->key, &vault, &why), ERR_DENIED);
    assert_null(vault);
    assert_non_null(strstr(why.text, "mode 0644"));
    assert_non_null(strstr(why.text, f->key));
}

static void a_file_that_is_no_key_is_refused(void **state)
{
    struct fixture *f = *state;
    struct vault *vault = NULL;
    struct err_text why = {0};
    assert_int_equal(truncate(f->key, SECRET_KEY_SIZE - 1), 0);
    assert_int_equal(vault_open(f->key, &vault, &why), ERR_INVALID);
    assert_int_equal(truncate(f->key, SECRET_KEY_SIZE + 1), 0);
    assert_int_equal(vault_open(f->key, &vault, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "expected 32 bytes"));
}

static void a_secret_above_the_cap_is_refused(void **state)
{
    struct fixture *f = *state;
    struct buffer out;
    buffer_init(&out, 1 << 20);
    char *large = calloc(1, VAULT_SECRET_CAP + 1);
    struct bytes secret = bytes_of(large, VAULT_SECRET_CAP + 1);
    assert_int_equal(vault_seal(f->vault, "orders", secret, &out), ERR_LIMIT);
    assert_int_equal(buffer_size(&out), 0);
    buffer_finish(&out);
    free(large);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_secret_comes_back_after_a_restart),
        CASE(an_empty_secret_is_a_secret),
        CASE(the_clear_text_is_not_in_the_sealed_value),
        CASE(any_changed_bit_is_refused),
        CASE(a_value_under_another_name_is_refused),
        CASE(another_key_is_refused),
        CASE(the_key_is_made_with_mode_0600),
        CASE(a_key_that_others_may_read_is_refused),
        CASE(a_file_that_is_no_key_is_refused),
        CASE(a_secret_above_the_cap_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

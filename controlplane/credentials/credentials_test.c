#include "controlplane/credentials/credentials.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/testing/scratch.h"
#include "controlplane/files/files.h"

struct fixture {
    char directory[SCRATCH_SIZE];
    char file[96];
    struct vault *vault;
    struct store *store;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    char path[96];
    scratch_create(f->directory);
    (void)snprintf(f->file, sizeof(f->file), "%s/password", f->directory);
    (void)snprintf(path, sizeof(path), "%s/key", f->directory);
    assert_int_equal(vault_open(path, &f->vault, NULL), OK);
    (void)snprintf(path, sizeof(path), "%s/db", f->directory);
    assert_int_equal(store_open_sqlite(path, NULL, &f->store, NULL), OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    vault_close(f->vault);
    scratch_remove(f->directory);
    free(f);
    return 0;
}

static enum err read_password(struct fixture *f, enum config_secret_source source, const char *at,
                              char out[64], struct err_text *why)
{
    const struct config_credential c = {
        .name = "c", .user = "u", .password = {.source = source, .at = at}};
    struct credentials_values values;
    enum err e = credentials_read(&c, f->vault, f->store, &values, why);
    if (e == OK) {
        struct bytes b = buffer_bytes(&values.password);
        assert_true(b.size < 64);
        (void)snprintf(out, 64, "%.*s", (int)b.size, (const char *)b.data);
        credentials_finish(&values);
    }
    return e;
}

static void from_the_environment(void **state)
{
    char got[64];
    struct err_text why = {0};
    assert_int_equal(setenv("CREDENTIALS_TEST", "s3cret", 1), 0);
    assert_int_equal(read_password(*state, CONFIG_SECRET_ENV, "CREDENTIALS_TEST", got, NULL), OK);
    assert_string_equal(got, "s3cret");
    assert_int_equal(unsetenv("CREDENTIALS_TEST"), 0);
    assert_int_equal(read_password(*state, CONFIG_SECRET_ENV, "CREDENTIALS_TEST", got, &why),
                     ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "CREDENTIALS_TEST"));
}

static void from_a_file_as_it_is_now(void **state)
{
    struct fixture *f = *state;
    char got[64];
    struct err_text why = {0};
    assert_int_equal(file_replace(f->file, 0600, bytes_of_string("one\n"), NULL), OK);
    assert_int_equal(read_password(f, CONFIG_SECRET_FILE, f->file, got, NULL), OK);
    assert_string_equal(got, "one");
    assert_int_equal(file_replace(f->file, 0600, bytes_of_string("two \r\n"), NULL), OK);
    assert_int_equal(read_password(f, CONFIG_SECRET_FILE, f->file, got, NULL), OK);
    assert_string_equal(got, "two ");
    assert_int_equal(unlink(f->file), 0);
    assert_int_equal(read_password(f, CONFIG_SECRET_FILE, f->file, got, &why), ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, f->file));
}

static void from_the_store(void **state)
{
    struct fixture *f = *state;
    char got[64];
    struct err_text why = {0};
    assert_int_equal(read_password(f, CONFIG_SECRET_STORE, "a", got, &why), ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "credential set a"));
    assert_int_equal(credentials_put(f->vault, f->store, "a", bytes_of_string("s"), 1, NULL), OK);
    assert_int_equal(read_password(f, CONFIG_SECRET_STORE, "a", got, NULL), OK);
    assert_string_equal(got, "s");
}

static void a_stored_value_moved_to_another_name_does_not_open(void **state)
{
    struct fixture *f = *state;
    char got[64];
    struct err_text why = {0};
    struct arena *arena = arena_create(4096, 1 << 20);
    struct store_secret secret;
    assert_int_equal(credentials_put(f->vault, f->store, "a", bytes_of_string("s"), 1, NULL), OK);
    assert_int_equal(store_secret_get(f->store, "a", arena, &secret), OK);
    assert_int_equal(store_secret_put(f->store, "b", secret.sealed, 2), OK);
    arena_destroy(arena);
    assert_int_equal(read_password(f, CONFIG_SECRET_STORE, "b", got, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "does not open"));
}

static void no_password_is_an_empty_one(void **state)
{
    char got[64] = "x";
    assert_int_equal(read_password(*state, CONFIG_SECRET_NONE, NULL, got, NULL), OK);
    assert_string_equal(got, "");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(from_the_environment),
        CASE(from_a_file_as_it_is_now),
        CASE(from_the_store),
        CASE(a_stored_value_moved_to_another_name_does_not_open),
        CASE(no_password_is_an_empty_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

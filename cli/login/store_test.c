#include "cli/login/store.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char home[PATH_MAX];
static char file[PATH_MAX + 64];

static int setup(void **state)
{
    (void)state;
    const char *base = getenv("TEST_TMPDIR");
    (void)snprintf(home, sizeof(home), "%s/store.XXXXXX", base == NULL ? "/tmp" : base);
    if (mkdtemp(home) == NULL) {
        return -1;
    }
    (void)snprintf(file, sizeof(file), "%s/chaperone/logins/h.example%%3A7443.json", home);
    return setenv("XDG_STATE_HOME", home, 1);
}

static struct login_stored sample(void)
{
    return (struct login_stored){.server = strdup("h.example:7443"),
                                 .issuer = strdup("https://id.example"),
                                 .client_id = strdup("cli"),
                                 .token = strdup("a.b.c"),
                                 .refresh_token = strdup("r"),
                                 .subject = strdup("ann"),
                                 .is_access = true,
                                 .expires_ns = 1763712000LL * 1000000000};
}

static void write_sample(void)
{
    struct login_stored s = sample();
    struct err_text why = {0};
    assert_int_equal(login_store_write(&s, &why), OK);
    login_stored_finish(&s);
}

static mode_t mode_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 07777;
}

static void test_what_is_written_is_read(void **state)
{
    (void)state;
    struct login_stored s;
    /* Whatever the user's mask. */
    mode_t before = umask(0);
    write_sample();
    (void)umask(before);
    assert_int_equal(login_store_read("h.example:7443", &s, NULL), OK);
    assert_string_equal(s.issuer, "https://id.example");
    assert_string_equal(s.token, "a.b.c");
    assert_string_equal(s.refresh_token, "r");
    assert_true(s.is_access);
    assert_null(s.audience);
    assert_true(s.expires_ns == 1763712000LL * 1000000000);
    login_stored_finish(&s);
    char directory[PATH_MAX + 64];
    (void)snprintf(directory, sizeof(directory), "%s/chaperone/logins", home);
    assert_int_equal(mode_of(file), 0600);
    assert_int_equal(mode_of(directory), 0700);
}

static void test_it_is_for_one_server(void **state)
{
    (void)state;
    struct login_stored s;
    write_sample();
    assert_int_equal(login_store_read("other.example:7443", &s, NULL), ERR_NOT_FOUND);
    assert_int_equal(login_store_read("h.example:744", &s, NULL), ERR_NOT_FOUND);
    /* A name is a name, never a way to another file. */
    assert_int_equal(login_store_read("../../h.example:7443", &s, NULL), ERR_NOT_FOUND);
    assert_int_equal(login_store_remove("other.example:7443", NULL), ERR_NOT_FOUND);
    assert_int_equal(login_store_remove("h.example:7443", NULL), OK);
    assert_int_equal(login_store_read("h.example:7443", &s, NULL), ERR_NOT_FOUND);
}

static void test_files_that_are_not_used(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "{}", "not json", "{\"server\":\"h.example:7443\"}",
                                      "{\"server\":\"x:1\",\"issuer\":\"i\",\"client_id\":\"c\","
                                      "\"token\":\"t\",\"kind\":\"id\"}"};
    struct login_stored s;
    struct err_text why = {0};
    write_sample();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        FILE *f = fopen(file, "w");
        assert_non_null(f);
        assert_true(fputs(bad[i], f) >= 0);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(login_store_read("h.example:7443", &s, &why), ERR_INVALID);
    }
    write_sample();
    assert_int_equal(chmod(file, 0604), 0);
    assert_int_equal(login_store_read("h.example:7443", &s, &why), ERR_DENIED);
    assert_non_null(strstr(why.text, "may be read by others"));
    /* Writing it again makes it private again. */
    write_sample();
    assert_int_equal(mode_of(file), 0600);
    char elsewhere[PATH_MAX + 8];
    (void)snprintf(elsewhere, sizeof(elsewhere), "%s/copy", home);
    assert_int_equal(rename(file, elsewhere), 0);
    assert_int_equal(symlink(elsewhere, file), 0);
    assert_int_equal(login_store_read("h.example:7443", &s, &why), ERR_IO);
}

static void test_a_lock_is_exclusive(void **state)
{
    (void)state;
    int held = -1;
    char directory[PATH_MAX + 64];
    assert_int_equal(login_store_lock(&held, NULL), OK);
    (void)snprintf(directory, sizeof(directory), "%s/chaperone/logins", home);
    int other = open(directory, O_RDONLY | O_CLOEXEC);
    assert_true(other >= 0);
    assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
    assert_int_equal(close(held), 0);
    assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(close(other), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_what_is_written_is_read, setup),
        cmocka_unit_test_setup(test_it_is_for_one_server, setup),
        cmocka_unit_test_setup(test_files_that_are_not_used, setup),
        cmocka_unit_test_setup(test_a_lock_is_exclusive, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

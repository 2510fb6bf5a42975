#include "cli/login/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* RFC 7636 appendix B. */
static void test_challenge(void **state)
{
    char challenge[LOGIN_SECRET_SIZE];
    (void)state;
    assert_int_equal(
        login_secret_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", challenge), OK);
    assert_string_equal(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

static enum err fill_known(void *context, uint8_t *out, size_t size)
{
    memset(out, *(int *)context, size);
    return OK;
}

static enum err fill_nothing(void *context, uint8_t *out, size_t size)
{
    (void)context;
    (void)out;
    (void)size;
    return ERR_IO;
}

static void test_secrets_are_the_random_bytes_in_base64url(void **state)
{
    int byte = 0xff;
    struct crypto_random known = {.fill = fill_known, .context = &byte};
    struct crypto_random broken = {.fill = fill_nothing};
    char secret[LOGIN_SECRET_SIZE] = "untouched";
    (void)state;
    assert_int_equal(login_secret_make(&broken, secret), ERR_IO);
    assert_string_equal(secret, "untouched");
    assert_int_equal(login_secret_make(&known, secret), OK);
    assert_string_equal(secret, "__________________________________________8");
    byte = 0xfb;
    assert_int_equal(login_secret_make(&known, secret), OK);
    assert_string_equal(secret, "-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_challenge),
        cmocka_unit_test(test_secrets_are_the_random_bytes_in_base64url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

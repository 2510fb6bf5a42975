/* Which sessions share a TLS context, and which do not. */
#include "sidecar/target_tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/pem.h>

#include "base/crypto/crypto.h"

/* A certificate that only has to be one. */
static struct bytes make_certificate(BIO *certificate, BIO *key_out)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, NULL);
    assert_int_equal(EVP_PKEY_keygen_init(context), 1);
    assert_int_equal(EVP_PKEY_keygen(context, &key), 1);
    EVP_PKEY_CTX_free(context);
    X509 *x = X509_new();
    assert_int_equal(X509_set_version(x, 2), 1);
    assert_non_null(X509_gmtime_adj(X509_get_notBefore(x), 0));
    assert_non_null(X509_gmtime_adj(X509_get_notAfter(x), 3600));
    assert_int_equal(X509_set_pubkey(x, key), 1);
    assert_true(X509_sign(x, key, NULL) > 0);
    assert_int_equal(PEM_write_bio_X509(certificate, x), 1);
    assert_int_equal(PEM_write_bio_PrivateKey(key_out, key, NULL, NULL, 0, NULL, NULL), 1);
    X509_free(x);
    EVP_PKEY_free(key);
    const uint8_t *data = NULL;
    size_t size = 0;
    assert_int_equal(BIO_mem_contents(certificate, &data, &size), 1);
    return bytes_of(data, size);
}

struct fixture {
    struct target_tls contexts;
    BIO *ca, *other_ca, *key, *other_key;
    struct tls_client_options options, other;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->ca = BIO_new(BIO_s_mem());
    f->other_ca = BIO_new(BIO_s_mem());
    f->key = BIO_new(BIO_s_mem());
    f->other_key = BIO_new(BIO_s_mem());
    f->options = (struct tls_client_options){.verify = TLS_CHECK_NAME,
                                             .ca_pem = make_certificate(f->ca, f->key)};
    f->other = f->options;
    f->other.ca_pem = make_certificate(f->other_ca, f->other_key);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    target_tls_forget(&f->contexts);
    BIO_free(f->ca);
    BIO_free(f->other_ca);
    BIO_free(f->key);
    BIO_free(f->other_key);
    free(f);
    return 0;
}

/* Borrows: it lives as long as the fixture, unless others take its place. */
static struct tls_context *get(struct fixture *f, const struct tls_client_options *options)
{
    struct tls_context *context = NULL;
    struct err_text why = {0};
    assert_int_equal(target_tls_get(&f->contexts, options, &context, &why), OK);
    assert_non_null(context);
    tls_context_destroy(context);
    return context;
}

static void test_the_same_is_made_once(void **state)
{
    struct fixture *f = *state;
    struct tls_context *first = get(f, &f->options);
    assert_ptr_equal(get(f, &f->options), first);
    assert_ptr_not_equal(get(f, &f->other), first);
    assert_ptr_equal(get(f, &f->options), first);
}

static void test_what_is_checked_otherwise_is_another(void **state)
{
    struct fixture *f = *state;
    struct tls_context *strict = get(f, &f->options);
    struct tls_client_options weaker = f->options;
    weaker.verify = TLS_CHECK_CHAIN;
    assert_ptr_not_equal(get(f, &weaker), strict);
    weaker.verify = TLS_CHECK_NOTHING;
    assert_ptr_not_equal(get(f, &weaker), strict);
    weaker = f->options;
    weaker.alpn = "h2";
    assert_ptr_not_equal(get(f, &weaker), strict);
    weaker = f->options;
    weaker.only_tls13 = true;
    assert_ptr_not_equal(get(f, &weaker), strict);
    weaker = f->options;
    weaker.ca_pem = (struct bytes){0}; /* the system's */
    assert_ptr_not_equal(get(f, &weaker), strict);
    assert_ptr_equal(get(f, &f->options), strict);
}

static void test_a_clients_key_is_not_shared(void **state)
{
    struct fixture *f = *state;
    struct tls_client_options keyed = f->options;
    const uint8_t *data = NULL;
    size_t size = 0;
    assert_int_equal(BIO_mem_contents(f->key, &data, &size), 1);
    keyed.certificate_pem = f->options.ca_pem;
    keyed.key_pem = bytes_of(data, size);
    struct tls_context *a = NULL, *b = NULL;
    struct err_text why = {0};
    assert_int_equal(target_tls_get(&f->contexts, &keyed, &a, &why), OK);
    assert_int_equal(target_tls_get(&f->contexts, &keyed, &b, &why), OK);
    assert_ptr_not_equal(a, b);
    assert_ptr_not_equal(get(f, &f->options), a);
    tls_context_destroy(a);
    tls_context_destroy(b);
}

static void test_what_cannot_be_made_is_not_kept(void **state)
{
    struct fixture *f = *state;
    struct tls_client_options bad = f->options;
    bad.ca_pem = bytes_of_string("no certificate");
    struct tls_context *context = NULL;
    struct err_text why = {0};
    assert_int_equal(target_tls_get(&f->contexts, &bad, &context, &why), ERR_INVALID);
    assert_int_equal(target_tls_get(&f->contexts, &bad, &context, &why), ERR_INVALID);
    assert_null(context);
}

/* Whoever uses one that had to make room still has it. */
static void test_more_than_are_kept(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
    enum { NAMES = sizeof(names) / sizeof(names[0]) };
    struct tls_context *own[NAMES];
    struct err_text why = {0};
    for (size_t i = 0; i < NAMES; i++) {
        struct tls_client_options named = f->options;
        named.alpn = names[i];
        assert_int_equal(target_tls_get(&f->contexts, &named, &own[i], &why), OK);
        for (size_t j = 0; j < i; j++) {
            assert_ptr_not_equal(own[i], own[j]);
        }
    }
    struct tls_client_options last = f->options;
    last.alpn = names[NAMES - 1];
    assert_ptr_equal(get(f, &last), own[NAMES - 1]);
    for (size_t i = 0; i < NAMES; i++) {
        tls_context_destroy(own[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_same_is_made_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_checked_otherwise_is_another, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_clients_key_is_not_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_made_is_not_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more_than_are_kept, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

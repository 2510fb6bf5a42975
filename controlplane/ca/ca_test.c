#include "controlplane/ca/ca.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/testing/scratch.h"

static const char id[] = "0199e9a2-0000-7000-8000-000000000001";
static const int64_t second = 1000000000;

struct fixture {
    char directory[SCRATCH_SIZE];
    struct ca_options options;
    struct ca *ca;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    scratch_create(f->directory);
    f->options = (struct ca_options){.directory = f->directory, .clock = clock_system()};
    assert_int_equal(ca_open(&f->options, &f->ca, NULL), OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    ca_close(f->ca);
    scratch_remove(f->directory);
    free(f);
    return 0;
}

/* A request that asks for more than it gets. Returns owned (free with OPENSSL_free). */
static struct bytes make_request(EVP_PKEY *key, EVP_PKEY *signer)
{
    X509_REQ *r = X509_REQ_new();
    unsigned char *der = NULL;
    assert_int_equal(X509_REQ_set_pubkey(r, key), 1);
    assert_int_equal(X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(r), "CN", MBSTRING_ASC,
                                                (const unsigned char *)"admin", -1, -1, 0),
                     1);
    STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
    sk_X509_EXTENSION_push(
        extensions, X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE"));
    assert_int_equal(X509_REQ_add_extensions(r, extensions), 1);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    bool hashes = EVP_PKEY_is_a(signer, "ED25519") == 1;
    assert_true(X509_REQ_sign(r, signer, hashes ? NULL : EVP_sha256()) > 0);
    int size = i2d_X509_REQ(r, &der);
    X509_REQ_free(r);
    return bytes_of(der, (size_t)size);
}

static struct csr *make_csr(const char *type)
{
    EVP_PKEY *key =
        strcmp(type, "ED25519") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, type) : EVP_EC_gen(type);
    struct bytes der = make_request(key, key);
    struct csr *csr = NULL;
    struct err_text why = {0};
    assert_int_equal(csr_parse(der, &csr, &why), OK);
    OPENSSL_free((void *)(uintptr_t)der.data);
    EVP_PKEY_free(key);
    return csr;
}

static X509 *parse(struct bytes pem)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
    X509 *c = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(c);
    return c;
}

/* What a TLS stack would say. */
static bool verifies(const struct ca *ca, struct bytes pem, int purpose)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    X509 *root = parse(ca_certificate_pem(ca)), *leaf = parse(pem);
    assert_int_equal(X509_STORE_add_cert(store, root), 1);
    assert_int_equal(X509_STORE_CTX_init(context, store, leaf, NULL), 1);
    assert_int_equal(X509_STORE_CTX_set_purpose(context, purpose), 1);
    bool valid = X509_verify_cert(context) == 1;
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    X509_free(root);
    X509_free(leaf);
    return valid;
}

static void a_sidecar_gets_its_id_and_nothing_it_asked_for(void **state)
{
    struct fixture *f = *state;
    static const char *const types[] = {"ED25519", "P-256"};
    for (size_t i = 0; i < 2; i++) {
        struct csr *csr = make_csr(types[i]);
        struct ca_leaf leaf = {0};
        struct ca_sidecar sidecar = {0};
        char name[64];
        uint8_t hash[CRYPTO_SHA256_SIZE];
        assert_int_equal(ca_sign_sidecar(f->ca, csr, id, 3600 * second, &leaf, NULL), OK);
        struct bytes pem = buffer_bytes(&leaf.pem);
        assert_true(verifies(f->ca, pem, X509_PURPOSE_SSL_CLIENT));
        assert_false(verifies(f->ca, pem, X509_PURPOSE_SSL_SERVER));
        X509 *c = parse(pem);
        assert_true(X509_NAME_get_text_by_NID(X509_get_subject_name(c), NID_commonName, name,
                                              sizeof(name)) > 0);
        assert_string_equal(name, id);
        assert_int_equal(X509_check_ca(c), 0);
        X509_free(c);
        int64_t now = clock_wall(&f->options.clock);
        assert_int_equal(ca_read_sidecar(pem, now, &sidecar), OK);
        assert_string_equal(sidecar.id, id);
        crypto_sha256_of(csr_public_key_der(csr), hash);
        assert_memory_equal(sidecar.key_hash, hash, sizeof(hash));
        int64_t lifetime = leaf.not_after_ns - now;
        assert_in_range(lifetime, 3590 * second, 3600 * second);
        assert_int_equal(ca_read_sidecar(pem, leaf.not_after_ns + second, &sidecar), ERR_DENIED);
        buffer_finish(&leaf.pem);
        csr_destroy(csr);
    }
}

static void serials_differ(void **state)
{
    struct fixture *f = *state;
    struct csr *csr = make_csr("ED25519");
    struct ca_leaf one = {0}, two = {0};
    assert_int_equal(ca_sign_sidecar(f->ca, csr, id, second, &one, NULL), OK);
    assert_int_equal(ca_sign_sidecar(f->ca, csr, id, second, &two, NULL), OK);
    assert_string_not_equal(one.serial, two.serial);
    assert_int_equal(strlen(one.serial), 40);
    buffer_finish(&one.pem);
    buffer_finish(&two.pem);
    csr_destroy(csr);
}

static void a_request_without_proof_of_possession_is_refused(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
    struct bytes der = make_request(key, other);
    struct csr *csr = NULL;
    struct err_text why = {0};
    assert_int_equal(csr_parse(der, &csr, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "not signed by its own key"));
    OPENSSL_free((void *)(uintptr_t)der.data);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

static void other_keys_are_refused(void **state)
{
    (void)state;
    EVP_PKEY *keys[] = {EVP_RSA_gen(2048), EVP_EC_gen("P-384"), EVP_EC_gen("secp256k1")};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct bytes der = make_request(keys[i], keys[i]);
        struct csr *csr = NULL;
        struct err_text why = {0};
        assert_int_equal(csr_parse(der, &csr, &why), ERR_INVALID);
        assert_non_null(strstr(why.text, "expected Ed25519 or ECDSA P-256"));
        OPENSSL_free((void *)(uintptr_t)der.data);
        EVP_PKEY_free(keys[i]);
    }
}

static void bytes_that_are_no_request_are_refused(void **state)
{
    (void)state;
    struct csr *csr = NULL;
    struct err_text why = {0};
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    struct bytes der = make_request(key, key);
    for (size_t n = 0; n < der.size; n++) {
        assert_int_equal(csr_parse(bytes_of(der.data, n), &csr, &why), ERR_INVALID);
    }
    uint8_t *large = calloc(1, CSR_SIZE_MAX + 1);
    memcpy(large, der.data, der.size);
    assert_int_equal(csr_parse(bytes_of(large, der.size + 1), &csr, &why), ERR_INVALID);
    assert_int_equal(csr_parse(bytes_of(large, CSR_SIZE_MAX + 1), &csr, &why), ERR_LIMIT);
    free(large);
    OPENSSL_free((void *)(uintptr_t)der.data);
    EVP_PKEY_free(key);
}

static void an_id_with_other_characters_is_refused(void **state)
{
    struct fixture *f = *state;
    struct csr *csr = make_csr("ED25519");
    struct ca_leaf leaf = {0};
    assert_int_equal(ca_sign_sidecar(f->ca, csr, "a,DNS:evil", second, &leaf, NULL), ERR_INVALID);
    assert_int_equal(ca_sign_sidecar(f->ca, csr, "", second, &leaf, NULL), ERR_INVALID);
    csr_destroy(csr);
}

static void a_server_certificate_names_its_hosts(void **state)
{
    struct fixture *f = *state;
    static const char *const hosts[] = {"localhost", "127.0.0.1", "::1"};
    struct ca_leaf leaf = {0};
    struct ca_sidecar sidecar;
    struct buffer key;
    buffer_init(&key, CA_PEM_CAP);
    assert_int_equal(ca_issue_server(f->ca, hosts, 3, 3600 * second, &leaf, &key, NULL), OK);
    struct bytes pem = buffer_bytes(&leaf.pem);
    assert_true(verifies(f->ca, pem, X509_PURPOSE_SSL_SERVER));
    assert_false(verifies(f->ca, pem, X509_PURPOSE_SSL_CLIENT));
    X509 *c = parse(pem);
    assert_int_equal(X509_check_host(c, "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(c, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(c, "::1", 0), 1);
    assert_int_equal(X509_check_host(c, "other", 0, 0, NULL), 0);
    X509_free(c);
    /* It is of the same CA, but it is not a sidecar. */
    assert_int_equal(ca_read_sidecar(pem, clock_wall(&f->options.clock), &sidecar), ERR_DENIED);
    buffer_finish(&leaf.pem);
    buffer_wipe(&key);
}

static void a_host_that_is_none_is_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const hosts[] = {"a,URI:chaperone:sidecar:1", "a b", "x:y", ""};
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        struct ca_leaf leaf = {0};
        struct buffer key;
        struct err_text why = {0};
        buffer_init(&key, CA_PEM_CAP);
        assert_int_equal(ca_issue_server(f->ca, &hosts[i], 1, second, &leaf, &key, &why),
                         ERR_INVALID);
        assert_non_null(strstr(why.text, "is not a host name or an address"));
        buffer_wipe(&key);
    }
}

static void the_own_ca_survives_a_restart(void **state)
{
    struct fixture *f = *state;
    char *before = bytes_to_string(ca_certificate_pem(f->ca));
    ca_close(f->ca);
    f->ca = NULL;
    assert_int_equal(ca_open(&f->options, &f->ca, NULL), OK);
    assert_true(bytes_equal_string(ca_certificate_pem(f->ca), before));
    free(before);
}

static void a_ca_key_that_others_may_read_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[128];
    struct ca *ca = NULL;
    struct stat s;
    struct err_text why = {0};
    (void)snprintf(path, sizeof(path), "%s/ca.key", f->directory);
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 07777, 0600);
    assert_int_equal(chmod(path, 0604), 0);
    assert_int_equal(ca_open(&f->options, &ca, &why), ERR_DENIED);
    assert_non_null(strstr(why.text, "mode 0604"));
}

static void an_external_ca_is_used_and_published(void **state)
{
    struct fixture *f = *state;
    char certificate[128], key[128], directory[128], published[160];
    (void)snprintf(certificate, sizeof(certificate), "%s/ca.pem", f->directory);
    (void)snprintf(key, sizeof(key), "%s/ca.key", f->directory);
    (void)snprintf(directory, sizeof(directory), "%s/data", f->directory);
    (void)snprintf(published, sizeof(published), "%s/ca.pem", directory);
    const struct ca_options options = {
        .directory = directory, .certificate = certificate, .key = key, .clock = clock_system()};
    struct ca *ca = NULL;
    assert_int_equal(ca_open(&options, &ca, NULL), OK);
    assert_true(bytes_equal(ca_certificate_pem(ca), ca_certificate_pem(f->ca)));
    assert_int_equal(access(published, R_OK), 0);
    ca_close(ca);
}

static void a_key_of_another_certificate_is_refused(void **state)
{
    struct fixture *f = *state;
    char certificate[128], key[160], directory[128];
    (void)snprintf(certificate, sizeof(certificate), "%s/ca.pem", f->directory);
    (void)snprintf(directory, sizeof(directory), "%s/other", f->directory);
    (void)snprintf(key, sizeof(key), "%s/ca.key", directory);
    const struct ca_options other = {.directory = directory, .clock = clock_system()};
    const struct ca_options mixed = {
        .directory = f->directory, .certificate = certificate, .key = key, .clock = clock_system()};
    struct ca *ca = NULL;
    struct err_text why = {0};
    assert_int_equal(ca_open(&other, &ca, NULL), OK);
    ca_close(ca);
    ca = NULL;
    assert_int_equal(ca_open(&mixed, &ca, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "is not the key of the certificate"));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_sidecar_gets_its_id_and_nothing_it_asked_for),
        CASE(serials_differ),
        CASE(a_request_without_proof_of_possession_is_refused),
        CASE(other_keys_are_refused),
        CASE(bytes_that_are_no_request_are_refused),
        CASE(an_id_with_other_characters_is_refused),
        CASE(a_server_certificate_names_its_hosts),
        CASE(a_host_that_is_none_is_refused),
        CASE(the_own_ca_survives_a_restart),
        CASE(a_ca_key_that_others_may_read_is_refused),
        CASE(an_external_ca_is_used_and_published),
        CASE(a_key_of_another_certificate_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

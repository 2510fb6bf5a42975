/* gRPC's own TLS: who is let in, and what the server knows of them. */
#include "base/rpc/rpc_tls.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rpc/testing/fixture.h"

/* A key and its certificate, PEM, made for the test. */
struct identity {
    EVP_PKEY *key;
    X509 *certificate;
    char *key_pem, *certificate_pem;
};

static char *take_pem(BIO *bio)
{
    char *data = NULL;
    long size = BIO_get_mem_data(bio, &data);
    char *text = bytes_to_string(bytes_of(data, (size_t)size));
    assert_non_null(text);
    BIO_free(bio);
    return text;
}

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* Signed by `issuer`, or by itself when that is NULL (a CA then). */
static void make_identity(struct identity *id, const char *name, const char *algorithm,
                          const char *alternative_names, const struct identity *issuer)
{
    id->key = strcmp(algorithm, "EC") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256")
                                           : EVP_PKEY_Q_keygen(NULL, NULL, algorithm);
    assert_non_null(id->key);
    id->certificate = X509_new();
    X509 *c = id->certificate;
    X509 *by = issuer == NULL ? c : issuer->certificate;
    assert_int_equal(X509_set_version(c, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(c), 1 + (long)strlen(name)), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(c), -60));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(c), 3600));
    assert_int_equal(X509_set_pubkey(c, id->key), 1);
    assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_UTF8,
                                                (const unsigned char *)name, -1, -1, 0),
                     1);
    assert_int_equal(X509_set_issuer_name(c, X509_get_subject_name(by)), 1);
    add_extension(c, by, NID_basic_constraints, issuer == NULL ? "critical,CA:TRUE" : "CA:FALSE");
    if (alternative_names != NULL)
        add_extension(c, by, NID_subject_alt_name, alternative_names);
    EVP_PKEY *signer = issuer == NULL ? id->key : issuer->key;
    const EVP_MD *digest = EVP_PKEY_get_id(signer) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
    assert_true(X509_sign(c, signer, digest) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509(bio, c), 1);
    id->certificate_pem = take_pem(bio);
    bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(bio, id->key, NULL, NULL, 0, NULL, NULL), 1);
    id->key_pem = take_pem(bio);
}

static void free_identity(struct identity *id)
{
    X509_free(id->certificate);
    EVP_PKEY_free(id->key);
    free(id->certificate_pem);
    free(id->key_pem);
}

struct tls_fixture {
    struct fixture base;
    struct identity ca, other_ca, server, client, ed25519_client, stranger;
    struct rpc_credentials *server_credentials;
};

static int set_up(void **state)
{
    struct tls_fixture *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    make_identity(&t->ca, "the CA", "EC", NULL, NULL);
    make_identity(&t->other_ca, "another CA", "EC", NULL, NULL);
    make_identity(&t->server, "server", "EC", "DNS:control.test,IP:127.0.0.1", &t->ca);
    make_identity(&t->client, "sidecar one", "EC", NULL, &t->ca);
    make_identity(&t->ed25519_client, "sidecar two", "ED25519", NULL, &t->ca);
    make_identity(&t->stranger, "sidecar one", "EC", NULL, &t->other_ca);
    assert_int_equal(rpc_credentials_server(bytes_of_string(t->server.certificate_pem),
                                            bytes_of_string(t->server.key_pem),
                                            bytes_of_string(t->ca.certificate_pem),
                                            &t->server_credentials),
                     OK);
    assert_int_equal(rpc_runtime_create(2, NULL, &t->base.runtime), OK);
    fixture_start_server(&t->base,
                         &(struct rpc_server_options){.address = "127.0.0.1:0",
                                                      .credentials = t->server_credentials});
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct tls_fixture *t = *state;
    rpc_server_destroy(t->base.server);
    rpc_runtime_destroy(t->base.runtime);
    rpc_credentials_destroy(t->server_credentials);
    free_identity(&t->ca);
    free_identity(&t->other_ca);
    free_identity(&t->server);
    free_identity(&t->client);
    free_identity(&t->ed25519_client);
    free_identity(&t->stranger);
    free(t);
    return 0;
}

/* Calls with the given CA and identity (may be NULL); `*out_reply` is owned. */
static enum rpc_code call(struct tls_fixture *t, const struct identity *ca,
                          const struct identity *identity, const char *authority,
                          EchoReply **out_reply)
{
    struct rpc_credentials *credentials = NULL;
    struct bytes certificate = bytes_of(NULL, 0), key = bytes_of(NULL, 0);
    if (identity != NULL) {
        certificate = bytes_of_string(identity->certificate_pem);
        key = bytes_of_string(identity->key_pem);
    }
    assert_int_equal(rpc_credentials_client(bytes_of_string(ca->certificate_pem), certificate, key,
                                            &credentials),
                     OK);
    fixture_open_channel(&t->base, &(struct rpc_channel_options){.authority = authority,
                                                                 .credentials = credentials});
    rpc_credentials_destroy(credentials);
    EchoRequest request = REQUEST_INIT;
    struct rpc_status status;
    *out_reply = NULL;
    enum rpc_code code = fixture_unary(t->base.channel, &request, NULL, out_reply, &status);
    rpc_channel_destroy(t->base.channel);
    return code;
}

static void assert_known_as(struct tls_fixture *t, const struct identity *identity)
{
    EchoReply *reply;
    assert_int_equal(call(t, &t->ca, identity, NULL, &reply), RPC_OK);
    assert_string_equal(reply->certificate_pem, identity->certificate_pem);
    chaperone__rpc__test__echo_reply__free_unpacked(reply, NULL);
}

static void test_server_knows_the_client(void **state)
{
    struct tls_fixture *t = *state;
    assert_known_as(t, &t->client);
    assert_known_as(t, &t->ed25519_client);
}

static void test_client_without_certificate_is_nobody(void **state)
{
    struct tls_fixture *t = *state;
    EchoReply *reply;
    assert_int_equal(call(t, &t->ca, NULL, NULL, &reply), RPC_OK);
    assert_string_equal(reply->certificate_pem, "");
    chaperone__rpc__test__echo_reply__free_unpacked(reply, NULL);
}

static void test_certificate_of_another_ca_is_refused(void **state)
{
    struct tls_fixture *t = *state;
    EchoReply *reply;
    assert_int_equal(call(t, &t->ca, &t->stranger, NULL, &reply), RPC_UNAVAILABLE);
    assert_null(reply);
}

static void test_server_of_another_ca_is_refused(void **state)
{
    struct tls_fixture *t = *state;
    EchoReply *reply;
    assert_int_equal(call(t, &t->other_ca, &t->client, NULL, &reply), RPC_UNAVAILABLE);
}

static void test_server_name_is_checked(void **state)
{
    struct tls_fixture *t = *state;
    EchoReply *reply;
    assert_int_equal(call(t, &t->ca, &t->client, "control.test", &reply), RPC_OK);
    chaperone__rpc__test__echo_reply__free_unpacked(reply, NULL);
    assert_int_equal(call(t, &t->ca, &t->client, "evil.test", &reply), RPC_UNAVAILABLE);
}

static void test_plaintext_client_is_refused(void **state)
{
    struct tls_fixture *t = *state;
    fixture_open_channel(&t->base, &(struct rpc_channel_options){.target = NULL});
    EchoRequest request = REQUEST_INIT;
    EchoReply *reply;
    struct rpc_status status;
    assert_int_equal(fixture_unary(t->base.channel, &request, NULL, &reply, &status),
                     RPC_UNAVAILABLE);
    rpc_channel_destroy(t->base.channel);
}

static void test_wrong_credentials(void **state)
{
    struct tls_fixture *t = *state;
    struct rpc_credentials *credentials = NULL;
    struct bytes none = bytes_of(NULL, 0), junk = bytes_of_string("junk");
    struct bytes ca = bytes_of_string(t->ca.certificate_pem);
    struct bytes certificate = bytes_of_string(t->server.certificate_pem);
    struct bytes key = bytes_of_string(t->server.key_pem);
    assert_int_equal(rpc_credentials_client(ca, certificate, none, &credentials), ERR_INVALID);
    assert_int_equal(rpc_credentials_server(none, none, ca, &credentials), ERR_INVALID);
    assert_int_equal(rpc_credentials_server(certificate, none, ca, &credentials), ERR_INVALID);
    assert_null(credentials);
    /* What is no PEM shows when it is used: gRPC looks at it only then. */
    assert_int_equal(rpc_credentials_server(junk, junk, ca, &credentials), OK);
    struct rpc_server *server = NULL;
    struct rpc_server_options options = {.address = "127.0.0.1:0", .credentials = credentials};
    struct err_text why;
    assert_int_equal(rpc_server_create(t->base.runtime, &options, &server, &why), ERR_IO);
    rpc_credentials_destroy(credentials);
    /* A server's are not a client's. */
    struct rpc_channel *channel = NULL;
    assert_int_equal(rpc_credentials_server(certificate, key, ca, &credentials), OK);
    struct rpc_channel_options mixed = {.target = t->base.address, .credentials = credentials};
    assert_int_equal(rpc_channel_create(t->base.runtime, &mixed, &channel), ERR_INVALID);
    rpc_credentials_destroy(credentials);
    rpc_credentials_destroy(NULL);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(test_server_knows_the_client),
        WITH_SERVER(test_client_without_certificate_is_nobody),
        WITH_SERVER(test_certificate_of_another_ca_is_refused),
        WITH_SERVER(test_server_of_another_ca_is_refused),
        WITH_SERVER(test_server_name_is_checked),
        WITH_SERVER(test_plaintext_client_is_refused),
        WITH_SERVER(test_wrong_credentials),
    };
    return cmocka_run_group_tests(tests, NULL, fixture_end_group);
}

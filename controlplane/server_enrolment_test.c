/* A sidecar's way in: join tokens, OIDC tokens, renewal, and what a certificate is good for. */
#include <stdlib.h>

#include "base/crypto/crypto.h"
#include "controlplane/ca/ca.h"
#include "controlplane/files/files.h"
#include "controlplane/testing/fixture.h"

static void a_join_token_enrols_once(void **state)
{
    struct fixture *f = *state;
    char *token = fixture_join_token(f);
    EVP_PKEY *key = make_key("ED25519");
    struct answer a = fixture_enrol(f, key, token, NULL, NULL);
    assert_int_equal(a.status.code, RPC_OK);
    const Chaperone__V1__EnrolResponse *r = (const Chaperone__V1__EnrolResponse *)a.reply;
    struct ca_sidecar read;
    const struct clock clock = clock_system();
    assert_int_equal(ca_read_sidecar(bytes_of(r->certificate_pem.data, r->certificate_pem.len),
                                     clock_wall(&clock), &read),
                     OK);
    assert_string_equal(read.id, r->sidecar);
    int64_t lifetime = r->not_after_unix_ns - clock_wall(&clock);
    assert_in_range(lifetime / 1000000000, 24 * 3600 - 60, 24 * 3600);
    assert_true(r->ca_pem.len > 0);
    answer_finish(&a);
    assert_answer(fixture_enrol(f, key, token, NULL, NULL), RPC_UNAUTHENTICATED, "used before");
    assert_answer(fixture_enrol(f, key, "chaperone-join-x", NULL, NULL), RPC_UNAUTHENTICATED,
                  "unknown");
    assert_answer(fixture_enrol(f, key, NULL, NULL, NULL), RPC_UNAUTHENTICATED,
                  "a join token or an OIDC token is needed");
    EVP_PKEY_free(key);
    free(token);
}

static void a_broken_request_does_not_use_the_token_up(void **state)
{
    struct fixture *f = *state;
    char *token = fixture_join_token(f);
    EVP_PKEY *wrong = make_key("P-384"), *key = make_key("P-256");
    assert_answer(fixture_enrol(f, wrong, token, NULL, NULL), RPC_INVALID_ARGUMENT,
                  "expected Ed25519 or ECDSA P-256");
    assert_answer(fixture_enrol(f, key, token, NULL, NULL), RPC_OK, "");
    EVP_PKEY_free(wrong);
    EVP_PKEY_free(key);
    free(token);
}

static void an_oidc_token_enrols_whom_the_configuration_names(void **state)
{
    struct fixture *f = *state;
    char *node = fixture_token(f, "node-1", "nodes"), *other = fixture_token(f, "x", "agents");
    EVP_PKEY *key = make_key("P-256");
    assert_answer(fixture_enrol(f, key, NULL, node, NULL), RPC_OK, "");
    assert_answer(fixture_enrol(f, key, NULL, other, NULL), RPC_PERMISSION_DENIED,
                  "\"x\" may not enrol a sidecar");
    assert_answer(fixture_enrol(f, key, NULL, "x.y.z", NULL), RPC_UNAUTHENTICATED, "");
    EVP_PKEY_free(key);
    free(node);
    free(other);
}

static char *enrolled_id(struct fixture *f, EVP_PKEY *key, const char *keep)
{
    char *token = fixture_join_token(f);
    struct answer a = fixture_enrol(f, key, token, NULL, keep);
    assert_int_equal(a.status.code, RPC_OK);
    char *id = strdup(((const Chaperone__V1__EnrolResponse *)a.reply)->sidecar);
    answer_finish(&a);
    free(token);
    return id;
}

static void a_sidecar_keeps_its_id_with_its_key_only(void **state)
{
    struct fixture *f = *state;
    EVP_PKEY *key = make_key("ED25519"), *other = make_key("ED25519");
    char *id = enrolled_id(f, key, NULL), *again = enrolled_id(f, key, id);
    char *thief = enrolled_id(f, other, id);
    assert_string_equal(again, id);
    assert_string_not_equal(thief, id);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
    free(id);
    free(again);
    free(thief);
}

static struct answer renew(struct rpc_channel *channel, EVP_PKEY *key)
{
    Chaperone__V1__RenewRequest request = CHAPERONE__V1__RENEW_REQUEST__INIT;
    request.csr = make_csr(key);
    struct answer a = fixture_call(channel, &chaperone__v1__enrolment__descriptor, "Renew",
                                   &request.base, NULL, 0);
    OPENSSL_free(request.csr.data);
    return a;
}

static void a_certificate_is_renewed_for_the_same_key(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct answer a = renew(s.channel, s.key);
    assert_int_equal(a.status.code, RPC_OK);
    const Chaperone__V1__EnrolResponse *r = (const Chaperone__V1__EnrolResponse *)a.reply;
    assert_string_equal(r->sidecar, s.id);
    struct bytes pem = bytes_of(r->certificate_pem.data, r->certificate_pem.len);
    assert_false(bytes_equal(pem, buffer_bytes(&s.certificate_pem)));
    struct rpc_channel *renewed = fixture_channel(f, pem, s.key);
    assert_answer(renew(renewed, s.key), RPC_OK, "");
    rpc_channel_destroy(renewed);
    answer_finish(&a);
    EVP_PKEY *other = make_key("ED25519");
    assert_answer(renew(s.channel, other), RPC_PERMISSION_DENIED, "for the same key");
    EVP_PKEY_free(other);
    sidecar_finish(&s);
}

static void renewal_needs_a_certificate(void **state)
{
    struct fixture *f = *state;
    EVP_PKEY *key = make_key("ED25519");
    assert_answer(renew(f->channel, key), RPC_UNAUTHENTICATED,
                  "the client certificate of an enrolled sidecar is needed");
    EVP_PKEY_free(key);
}

/* Signed by the real CA, but for an id that nobody enrolled, or with a key that it was not enrolled
 * with. */
static void a_certificate_of_an_unknown_sidecar_is_refused(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    char *directory = files_join(f->directory, "state/ca");
    const struct ca_options options = {.directory = directory, .clock = clock_system()};
    struct ca *ca = NULL;
    assert_int_equal(ca_open(&options, &ca, NULL), OK);
    const char *const ids[] = {"0199e9a2-0000-7000-8000-000000000001", s.id};
    for (size_t i = 0; i < 2; i++) {
        EVP_PKEY *key = make_key("ED25519");
        ProtobufCBinaryData der = make_csr(key);
        struct csr *csr = NULL;
        struct ca_leaf leaf = {0};
        assert_int_equal(csr_parse(bytes_of(der.data, der.len), &csr, NULL), OK);
        assert_int_equal(ca_sign_sidecar(ca, csr, ids[i], INT64_C(3600000000000), &leaf, NULL), OK);
        struct rpc_channel *channel = fixture_channel(f, buffer_bytes(&leaf.pem), key);
        assert_answer(renew(channel, key), RPC_UNAUTHENTICATED, "is not enrolled here");
        rpc_channel_destroy(channel);
        buffer_finish(&leaf.pem);
        csr_destroy(csr);
        OPENSSL_free(der.data);
        EVP_PKEY_free(key);
    }
    ca_close(ca);
    free(directory);
    sidecar_finish(&s);
}

/* A certificate of another CA does not get through TLS at all. */
static void a_certificate_of_another_ca_is_refused(void **state)
{
    struct fixture *f = *state;
    char *directory = files_join(f->directory, "other");
    const struct ca_options options = {.directory = directory, .clock = clock_system()};
    struct ca *ca = NULL;
    EVP_PKEY *key = make_key("ED25519");
    ProtobufCBinaryData der = make_csr(key);
    struct csr *csr = NULL;
    struct ca_leaf leaf = {0};
    assert_int_equal(ca_open(&options, &ca, NULL), OK);
    assert_int_equal(csr_parse(bytes_of(der.data, der.len), &csr, NULL), OK);
    assert_int_equal(ca_sign_sidecar(ca, csr, "0199e9a2-0000-7000-8000-000000000001",
                                     INT64_C(3600000000000), &leaf, NULL),
                     OK);
    struct rpc_channel *channel = fixture_channel(f, buffer_bytes(&leaf.pem), key);
    Chaperone__V1__ResumeRequest request = CHAPERONE__V1__RESUME_REQUEST__INIT;
    struct answer a = fixture_call(channel, &chaperone__v1__audit_ingest__descriptor, "Resume",
                                   &request.base, NULL, 1000);
    assert_int_not_equal(a.status.code, RPC_OK);
    answer_finish(&a);
    rpc_channel_destroy(channel);
    buffer_finish(&leaf.pem);
    csr_destroy(csr);
    OPENSSL_free(der.data);
    EVP_PKEY_free(key);
    ca_close(ca);
    free(directory);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_join_token_enrols_once),
        CASE(a_broken_request_does_not_use_the_token_up),
        CASE(an_oidc_token_enrols_whom_the_configuration_names),
        CASE(a_sidecar_keeps_its_id_with_its_key_only),
        CASE(a_certificate_is_renewed_for_the_same_key),
        CASE(renewal_needs_a_certificate),
        CASE(a_certificate_of_an_unknown_sidecar_is_refused),
        CASE(a_certificate_of_another_ca_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
